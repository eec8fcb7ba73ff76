"""Ridge attention in models of the transformers library: every path agrees with one regression a query, written out."""

import importlib.util
import subprocess
import sys

import pytest
import torch
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertLMHeadModel,
    BertModel,
    BigBirdConfig,
    BigBirdModel,
    BloomConfig,
    BloomForCausalLM,
    DebertaV2Config,
    DebertaV2Model,
    DeepseekV2Config,
    DeepseekV2ForCausalLM,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    DynamicCache,
    EncoderDecoderCache,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MPNetConfig,
    MPNetModel,
    MptConfig,
    MptForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3NextConfig,
    RecurrentGemmaConfig,
    StaticCache,
    TimesFmConfig,
    TimesFmModelForPrediction,
    ViTConfig,
    ViTModel,
    WhisperConfig,
    WhisperForConditionalGeneration,
)
from transformers.masking_utils import causal_mask_function, create_causal_mask, sdpa_mask
from transformers.utils import logging

from olsattention import RidgeCache, register_ridge_attention, ridge_attention
from olsattention.attention.huggingface import HARMLESS, RidgeLayer, Rows, _forward, _mask

logging.set_verbosity_error()
logging.disable_progress_bar()

LLAMA = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
}
BERT = {
    "vocab_size": 40,
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "initializer_range": 0.3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
LAM = 0.7


def by_definition(module, query, key, value, attention_mask, scaling, **kwargs):
    """One ridge regression a query, on the keys that the library's own dense mask lets it see."""
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
    shape = (*query.shape[:3], key.shape[2])
    seen = torch.ones(shape, dtype=torch.bool) if attention_mask is None else attention_mask
    seen = seen.expand(shape).to(key.dtype)
    lam = torch.as_tensor(getattr(module.config, "ridge_lam", LAM), dtype=key.dtype)
    lam = lam.expand(key.shape[1] // groups).repeat_interleave(groups)
    eye = torch.eye(key.shape[-1], dtype=key.dtype)
    A = torch.einsum("bhts,bhsi,bhsj->bhtij", seen, key, key)
    A = A + (lam / scaling)[:, None, None, None] * eye
    B = torch.einsum("bhts,bhsi,bhsj->bhtij", seen, key, value)
    out = (query[..., None, :] @ torch.linalg.solve(A, B))[..., 0, :]
    return out.transpose(1, 2).contiguous(), None


def dense_mask(*args, **kwargs):
    skips = {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
    return sdpa_mask(*args, **kwargs | skips)


@pytest.fixture(autouse=True)
def registered():
    register_ridge_attention(LAM)
    AttentionInterface.register("definition", by_definition)
    AttentionMaskInterface.register("definition", dense_mask)
    yield
    torch._dynamo.reset()  # it counts the graphs of a function, not of a test


def exact_norms(model):
    """The library's norms compute in single precision, which would hide errors or blow them up; these do not."""
    for part in list(model.modules()):
        for name in ("input_layernorm", "post_attention_layernorm", "norm"):
            if hasattr(part, name):
                old = getattr(part, name)
                new = torch.nn.RMSNorm(old.weight.shape, eps=model.config.rms_norm_eps)
                new.weight = old.weight
                setattr(part, name, new)
    return model.double().eval()


def llama(implementation="ridge", seed=0, **more):
    torch.manual_seed(seed)
    config = LlamaConfig(**LLAMA | more, attn_implementation=implementation)
    return exact_norms(LlamaForCausalLM(config))


def bert(implementation="ridge", kind=BertModel, **more):
    torch.manual_seed(0)
    config = BertConfig(**BERT | more, attn_implementation=implementation)
    return kind(config).double().eval()


def words(*shape, seed=0):
    return torch.randint(1, 40, shape, generator=torch.Generator().manual_seed(seed))


TOKENS = words(2, 20)


def padding(side, T=23):
    mask = torch.ones(3, T, dtype=torch.long)
    if side == "left":
        mask[0, :9] = mask[1, :1] = 0
    if side == "right":
        mask[0, 14:] = mask[2, T - 1 :] = 0
    if side == "both":
        mask[0, :3] = mask[0, 20:] = 0
    return mask


def close(got, want, tol=1e-10):
    assert got.isfinite().all()
    assert (got - want).abs().max() <= tol * want.abs().max()


# ---- one pass ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [None, "none", "left", "right", "both"])
@pytest.mark.parametrize("make", [llama, bert])
def test_a_pass_is_one_regression_a_query(make, side):
    mask = None if side is None else padding(side)
    tokens = words(3, 23)
    outs = [make(n)(tokens, attention_mask=mask)[0] for n in ("ridge", "definition")]
    keep = padding("none" if side is None else side).bool()
    close(outs[0][keep], outs[1][keep])


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (1, 65), (2, 130)])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_lengths_and_groups(shape, heads):
    tokens, more = words(*shape), {"num_key_value_heads": heads}
    outs = [llama(n, **more)(tokens).logits for n in ("ridge", "definition")]
    close(*outs)


def test_a_penalty_of_each_head_stands_in_the_configuration():
    lam = [0.2, 5.0]
    tokens = words(2, 17)
    with_lam = llama(ridge_lam=lam)(tokens).logits
    close(with_lam, llama("definition", ridge_lam=lam)(tokens).logits)
    assert (with_lam - llama()(tokens).logits).abs().max() > 1e-3
    with pytest.raises(ValueError, match="broadcast to the heads"):
        llama(ridge_lam=[1.0, 2.0, 3.0])(tokens)
    with pytest.raises(ValueError, match="lam must be > 0"):
        llama(ridge_lam=-1.0)(tokens)
    assert torch.equal(llama(ridge_lam=None)(tokens).logits, llama()(tokens).logits)


def test_a_decoder_that_looks_both_ways():
    tokens = words(2, 17)
    model = llama(is_causal=False)
    close(model(tokens).logits, llama("definition", is_causal=False)(tokens).logits)
    assert (model(tokens).logits - llama()(tokens).logits).abs().max() > 1e-3
    close(llama()(tokens, is_causal=False).logits, model(tokens).logits)


@pytest.mark.parametrize("side", ["none", "left", "right"])
def test_cross_attention(side):
    tokens, memory = words(3, 11), torch.randn(3, 23, 24).double()
    more = {"is_decoder": True, "add_cross_attention": True, "kind": BertLMHeadModel}
    facts = {"encoder_hidden_states": memory, "encoder_attention_mask": padding(side)}
    outs = [bert(n, **more)(tokens, **facts).logits for n in ("ridge", "definition")]
    close(*outs)
    first = bert(**more)(tokens[:, :6], use_cache=True, **facts)
    rest = bert(**more)(tokens[:, 6:], past_key_values=first.past_key_values, **facts)
    close(torch.cat([first.logits, rest.logits], 1), outs[1])


def test_a_row_of_padding_alone_disturbs_nobody():
    mask, tokens = padding("left"), words(3, 23)
    mask[1] = 0
    for make in (llama, bert):
        out = make()(tokens, attention_mask=mask)[0]
        assert out.isfinite().all()
        alone = make()(tokens[2:], attention_mask=mask[2:])[0]
        close(out[2:], alone)


@pytest.mark.parametrize("make", [llama, bert])
def test_an_attention_mask_of_one_row_is_for_all(make):
    mask, tokens, model = padding("left")[:1], words(3, 23), make()
    keep = mask[0].bool()
    close(
        model(tokens, attention_mask=mask)[0][:, keep],
        model(tokens, attention_mask=mask.expand(3, -1))[0][:, keep],
        1e-14,
    )
    with pytest.raises(ValueError, match=r"must have shape \(B, T\) with B = 3, got"):
        model(tokens, attention_mask=padding("left")[:2])


GPT2 = {"vocab_size": 40, "n_embd": 32, "n_layer": 2, "n_head": 4, "attn_pdrop": 0.0}
VIT = {"image_size": 16, "patch_size": 4, "hidden_dropout_prob": 0.0}
VIT |= {key: BERT[key] for key in BERT if key.startswith(("hidden_s", "inter", "num"))}


@pytest.mark.parametrize(
    ("config", "model", "more"),
    [
        (GPT2Config, GPT2LMHeadModel, GPT2),
        (Qwen3Config, Qwen3ForCausalLM, LLAMA | {"head_dim": 8}),
        (ViTConfig, ViTModel, VIT),
    ],
)
def test_other_models(config, model, more):
    """Masks by kind of layer, normed keys, no mask at all; 1e-6, because norms are in single precision."""
    found, pictures = [], torch.randn(2, 3, 16, 16).double()
    for name in ("ridge", "definition"):
        torch.manual_seed(0)
        new = model(config(**more, attn_implementation=name)).double().eval()
        facts = {"pixel_values": pictures} if model is ViTModel else {"input_ids": TOKENS}
        found.append(new(**facts)[0])
    close(*found, 1e-6)


BART = {"vocab_size": 40, "d_model": 24, "encoder_layers": 2, "decoder_layers": 2}
BART |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64}
BART |= {"encoder_attention_heads": 3, "decoder_attention_heads": 3, "init_std": 0.3}
BART |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
BART |= {"forced_eos_token_id": None, "decoder_start_token_id": 2, "dropout": 0.0}
OPT = {"vocab_size": 40, "hidden_size": 24, "ffn_dim": 32, "num_hidden_layers": 2}
OPT |= {"num_attention_heads": 3, "max_position_embeddings": 64, "init_std": 0.3}
OPT |= {"word_embed_proj_dim": 24, "dropout": 0.0}
WHISPER = BART | {
    "num_mel_bins": 8,
    "max_source_positions": 23,
    "decoder_start_token_id": 1,
}
WHISPER |= {"max_target_positions": 30}
SOUND = torch.randn(2, 8, 46, generator=torch.Generator().manual_seed(0)).double()


def heads_of(layer, run):
    """Projected queries, keys, values, (B, H, T, d), and answers of an attention layer in a pass."""
    seen, H = {}, 3
    for name in ("q_proj", "k_proj", "v_proj"):
        part = getattr(layer, name)
        part.register_forward_hook(lambda m, x, out, name=name: seen.update({name: out}))
    layer.out_proj.register_forward_hook(lambda m, x, out: seen.update(answers=x[0]))
    run()
    return [x.unflatten(-1, (H, -1)).transpose(1, 2) for x in seen.values()]


@pytest.mark.parametrize(
    "kind", ["opt", "whisper encoder", "whisper decoder", "whisper cross"]
)
def test_models_that_scale_their_queries_themselves(kind):
    torch.manual_seed(0)
    if kind == "opt":
        model = OPTForCausalLM(OPTConfig(**OPT, attn_implementation="ridge"))
        layer = model.model.decoder.layers[1].self_attn
        facts = {"input_ids": TOKENS}
    else:
        config = WhisperConfig(**WHISPER, attn_implementation="ridge")
        model = WhisperForConditionalGeneration(config)
        part = model.model.encoder if "encoder" in kind else model.model.decoder
        layer = part.layers[1].encoder_attn if "cross" in kind else part.layers[1].self_attn
        facts = {"input_features": SOUND, "decoder_input_ids": TOKENS}
    model.double().eval()
    q, k, v, answers = heads_of(layer, lambda: model(**facts))
    causal = kind in ("opt", "whisper decoder")
    want = ridge_attention(q, k, v, LAM, scale=8**-0.5, is_causal=causal)
    assert q.shape[-1] == 8
    close(answers, want, 1e-12)


# ---- gradients, files, other dtypes --------------------------------------------------------------------------


@pytest.mark.parametrize("make", [llama, bert])
@pytest.mark.parametrize("side", ["none", "left"])
def test_gradients_are_those_of_the_definition(make, side):
    mask, found = padding(side), []
    for name in ("ridge", "definition"):
        model = make(name).train()
        out = model(words(3, 23), attention_mask=mask)[0]
        (out * mask[..., None]).square().sum().backward()
        found.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys() and len(found[0]) > 10
    for name, grad in found[0].items():
        want = found[1][name]
        assert (grad - want).abs().max() <= 1e-9 * want.abs().max().clamp(min=1e-3), name


def test_gradient_checkpointing_changes_nothing():
    grads = []
    for on in (False, True):
        model = llama().train()
        if on:
            # the name in later versions, and in earlier ones
            enable = getattr(model, "activation_checkpointing_enable", None)
            (enable or model.gradient_checkpointing_enable)()
        model(words(2, 17), use_cache=False).logits.square().sum().backward()
        grads.append(model.model.layers[0].self_attn.k_proj.weight.grad)
    close(*grads)


@pytest.mark.parametrize("make", [llama, bert])
def test_a_saved_model_answers_as_before(make, tmp_path):
    lam = [0.5, 2.0] if make is llama else [0.5, 2.0, 1.0]
    model = make(ridge_lam=lam)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(
        tmp_path, attn_implementation="ridge", dtype=torch.float64
    )
    again = exact_norms(again) if make is llama else again.eval()
    assert again.config.ridge_lam == lam
    close(again(words(2, 9))[0], model(words(2, 9))[0], 1e-13)


def test_the_attention_of_a_model_can_be_changed():
    model = llama("sdpa")
    model.set_attn_implementation("ridge")
    close(model(words(2, 9)).logits, llama()(words(2, 9)).logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision(dtype):
    tokens, exact = words(2, 40), llama()(words(2, 40)).logits
    model = llama().to(dtype)
    tol = 1e-4 if dtype == torch.float32 else 0.1
    out = model(tokens).logits
    assert out.dtype == dtype
    assert (out.double() - exact).norm() <= tol * exact.norm()
    cache = RidgeCache(model.config)
    for t in range(40):
        last = model(tokens[:, t : t + 1], past_key_values=cache).logits
    assert last.dtype == dtype and cache.layers[0].keys.dtype == torch.float32
    assert (last[:, 0].double() - exact[:, -1]).norm() <= tol * exact[:, -1].norm()


@pytest.mark.parametrize("kind", ["one pass", "dynamic", "ridge"])
@pytest.mark.parametrize("heads", [2, 4])
def test_mixed_precision(kind, heads):
    """As far from float64 as the linear layers make it, 0.02 as with softmax; a static cache takes no mixed precision."""
    tokens, model = words(2, 40), llama(num_key_value_heads=heads)
    exact = model(tokens).logits
    cache = CACHES[kind](model.config) if kind in CACHES else None
    sizes = [40] if cache is None else [11, 1, 17, *[1] * 11]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = in_pieces(model.float(), tokens, cache, sizes)
    assert (got - exact).norm() <= 0.02 * exact.norm()


@pytest.mark.parametrize("new", [1, 3, 20])
def test_mixed_precision_solves_in_single(new):
    """Heads and caches given float32 compute as they do outside, also where values are bfloat16."""
    q, k, v = (torch.randn(2, 4, 20, 8) for _ in range(3))
    q, v = q[:, :, -new:], v.bfloat16()
    mask = _mask(2, new, 20, 20 - new, mask_function=causal_mask_function)
    attend = AttentionInterface()["ridge"]
    outs = []
    for on in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=on):
            layer = RidgeLayer()
            for start, stop in ((0, 9), (9, 18), (18, 20)):
                layer.update(k[:, :, start:stop], v[:, :, start:stop])
            outs.append((attend(None, q, k, v, mask)[0], layer.keys, layer.values))
    for got, want in zip(*outs[::-1]):
        assert got.dtype == torch.float32 and torch.equal(got, want)


# ---- caches --------------------------------------------------------------------------------------------------

CACHES = {
    "dynamic": lambda config: DynamicCache(config=config),
    "static": lambda config: StaticCache(config=config, max_cache_len=64),
    "ridge": RidgeCache,
}


@torch.no_grad()
def in_pieces(model, tokens, cache, sizes, mask=None):
    out, start = [], 0
    for size in sizes:
        stop = start + size
        facts = {} if mask is None else {"attention_mask": mask[:, :stop]}
        out.append(model(tokens[:, start:stop], past_key_values=cache, **facts).logits)
        start = stop
    assert start == tokens.shape[1]
    return torch.cat(out, 1)


@pytest.mark.parametrize("kind", CACHES)
@pytest.mark.parametrize(
    "sizes", [[60], [1] * 60, [10] + [1] * 50, [30, 30], [1, 20, 1, 1, 30, 7]]
)
@pytest.mark.parametrize("rows", [1, 3])
def test_tokens_in_pieces_are_tokens_at_once(kind, sizes, rows):
    tokens, model = words(rows, 60), llama()
    whole = llama("definition")(tokens).logits
    cache = CACHES[kind](model.config)
    close(in_pieces(model, tokens, cache, sizes), whole, 1e-9)
    assert cache.get_seq_length() == 60


@pytest.mark.parametrize("kind", ["dynamic", "static"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("sizes", [[23], [15] + [1] * 8, [5, 10, 8], [2, 21]])
def test_padding_in_pieces(kind, side, sizes):
    tokens, mask, model = words(3, 23), padding(side), llama()
    whole = llama("definition")(tokens, attention_mask=mask).logits
    got = in_pieces(model, tokens, CACHES[kind](model.config), sizes, mask)
    close(got[mask.bool()], whole[mask.bool()], 1e-9)


def test_the_ridge_cache_does_not_grow():
    model, most = llama(), 0
    cache = RidgeCache(model.config)
    for t in range(100):
        model(words(2, 1, seed=t), past_key_values=cache)
        most = max(most, cache.layers[1].keys.shape[-2])
    assert most == 17 and cache.get_seq_length() == 100  # d = 8: 2 d, and the new one
    cache.reset()
    assert cache.get_seq_length() == 0
    close(
        model(words(2, 30), past_key_values=cache).logits, model(words(2, 30)).logits, 1e-9
    )


# ---- generation ----------------------------------------------------------------------------------------------

GREEDY = {"max_new_tokens": 20, "do_sample": False, "pad_token_id": 0}


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("how", [{}, {"do_sample": True}, {"num_beams": 3}])
@pytest.mark.parametrize("kind", CACHES)
def test_generation_with_a_cache_is_generation_without(rows, how, kind):
    model, tokens, found = llama(), words(rows, 12), []
    given = {"past_key_values": RidgeCache(model.config)}
    given = {"static": {"cache_implementation": "static"}, "ridge": given}.get(kind, {})
    for facts in ({"use_cache": False}, given):
        torch.manual_seed(5)
        found.append(model.generate(tokens, **GREEDY | how, **facts))
    assert found[0].shape == (rows, 32)
    assert torch.equal(*found)


@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_padded_prompts_generate_as_they_do_alone(kind):
    model, tokens, mask = llama(), words(3, 23), padding("left")
    facts = {} if kind == "dynamic" else {"cache_implementation": "static"}
    together = model.generate(tokens, attention_mask=mask, **GREEDY, **facts)
    for row, first in ((0, 9), (1, 1), (2, 0)):
        alone = model.generate(tokens[row : row + 1, first:], use_cache=False, **GREEDY)
        assert torch.equal(together[row, 23:], alone[0, 23 - first :])


def bart():
    torch.manual_seed(0)
    config = BartConfig(**BART, attn_implementation="ridge")
    return BartForConditionalGeneration(config).double().eval()


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_with_encoder_and_decoder(beams):
    model, tokens, how = bart(), words(3, 23), GREEDY | {"num_beams": beams}
    facts = {"attention_mask": padding("right"), **how}
    cache = EncoderDecoderCache(RidgeCache(model.config), DynamicCache())
    found = [
        model.generate(tokens, **given, **facts)
        for given in ({"use_cache": False}, {}, {"past_key_values": cache})
    ]
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    with pytest.raises(ValueError, match="EncoderDecoderCache.RidgeCache"):
        model.generate(tokens, past_key_values=RidgeCache(model.config), **facts)


def test_padding_that_a_ridge_cache_would_merge_is_an_error():
    model = llama()
    with pytest.raises(ValueError, match="cannot take padding back out"):
        model.generate(
            words(3, 23),
            attention_mask=padding("left"),
            past_key_values=RidgeCache(model.config),
            **GREEDY,
        )


def test_a_ridge_cache_cannot_be_cropped():
    model = llama()
    cache = RidgeCache(model.config)
    model(words(1, 5), past_key_values=cache)
    assert not cache.is_croppable
    with pytest.raises(ValueError, match="cannot remove"):
        cache.crop(-1)


def test_a_step_can_be_traced():
    """A step of decoding has no branch on data: dynamo takes it as one graph."""
    model = llama()
    step = torch.compile(model.model.layers[0].self_attn, backend="eager", fullgraph=True)
    x = torch.randn(2, 1, 32).double()
    place = model.model.rotary_emb(x, torch.tensor([[8]]))
    mask = _mask(2, 1, 1, mask_function=causal_mask_function)
    want = model.model.layers[0].self_attn(x, place, mask)[0]
    close(step(x, place, mask)[0], want)


@pytest.mark.parametrize("make", [llama, bert])
def test_a_padded_pass_can_be_traced(make):
    model, tokens, mask = make(), words(3, 23), padding("left")
    traced = torch.compile(model, backend="eager", fullgraph=True)
    facts = {"attention_mask": mask} | ({"use_cache": False} if make is llama else {})
    close(traced(tokens, **facts)[0], model(tokens, **facts)[0], 1e-13)


@torch.no_grad()
def test_compiled_steps_take_a_mask_made_in_advance():
    """As generation does where it compiles; one graph serves all steps."""
    model, tokens, mask, graphs = llama(), words(3, 23), padding("left"), []
    step = torch.compile(model, backend=lambda g, _: graphs.append(g) or g, fullgraph=True)
    cache = StaticCache(config=model.config, max_cache_len=64)
    facts = {"past_key_values": cache}
    out = [model(tokens[:, :10], attention_mask=mask[:, :10], **facts).logits]
    for t in range(10, 23):
        one = tokens[:, t : t + 1]
        embedded = model.model.embed_tokens(one)
        made = create_causal_mask(model.config, embedded, mask[:, : t + 1], cache)
        place = torch.full((3, 1), t)
        out.append(step(one, attention_mask=made, position_ids=place, **facts).logits)
    want = model(tokens, attention_mask=mask).logits
    close(torch.cat(out, 1)[mask.bool()], want[mask.bool()], 1e-9)
    assert len(graphs) == 1


# ---- a cache whose rows arrive as they left ------------------------------------------------------------------

LATENT = {"q_lora_rank": 16, "kv_lora_rank": 8, "qk_rope_head_dim": 4}
LATENT |= {"qk_nope_head_dim": 8, "v_head_dim": 8, "num_key_value_heads": 4}
LATENT |= {"moe_intermediate_size": 16, "n_routed_experts": 4, "num_experts_per_tok": 2}
LATENT |= {"n_group": 1, "topk_group": 1, "attn_implementation": "ridge"}
LATENT |= {"experts_implementation": "eager"}


@pytest.mark.parametrize(
    ("config", "kind"),
    [(DeepseekV2Config, DeepseekV2ForCausalLM), (DeepseekV3Config, DeepseekV3ForCausalLM)],
)
def test_latent_attention_works_without_a_ridge_cache_and_raises_with_it(config, kind):
    torch.manual_seed(0)
    model = kind(config(**LLAMA | LATENT)).double().eval()
    tokens, cache = words(1, 9), DynamicCache()
    steps = [model(tokens[:, t : t + 1], past_key_values=cache).logits for t in range(9)]
    close(torch.cat(steps, 1), model(tokens).logits, 1e-5)
    with pytest.raises(ValueError, match="between its cache and its attention.*default"):
        model(tokens, past_key_values=RidgeCache(model.config))


@pytest.mark.parametrize(
    "alter",
    [
        lambda k: k * 1.0,
        lambda k: k @ torch.eye(4),
        lambda k: k.transpose(2, 3),
        lambda k: k[..., -2:, :],
        lambda k: k.mT,
        lambda k: k.clone(),
        lambda k: k.half(),
        lambda k: k.detach(),
        lambda k: k.data,
        lambda k: k.mul_(2),
        lambda k: k.sum(),
        lambda k: torch.cat([k, k], -2),
        lambda k: torch.nn.functional.normalize(k, dim=-1),
        lambda k: torch.nn.functional.pad(k, (0, 1)),
        lambda k: k.repeat_interleave(2, 1),
        lambda k: torch.where(torch.ones(1).bool(), k, k),
    ],
)
@pytest.mark.parametrize("which", [0, 1])
def test_nobody_computes_with_the_rows_of_a_ridge_cache(alter, which):
    rows = RidgeLayer().update(torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4))
    with pytest.raises(ValueError, match="changes keys or values"):
        alter(rows[which])


def test_rows_of_a_ridge_cache_must_arrive_together():
    torch.manual_seed(0)
    layer, other = RidgeLayer(), RidgeLayer()
    k, v = layer.update(torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4))
    assert type(k) is Rows and k.shape == (1, 2, 3, 4) and k.dtype == torch.float32
    _, foreign = other.update(torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4))
    module, q = torch.nn.Module(), torch.randn(1, 2, 1, 4)
    for key, value in [(v, k), (k, foreign), (k, layer.values), (layer.keys, v), (k, k)]:
        with pytest.raises(ValueError, match="not the keys and the values"):
            _forward(module, q, key, value, None, 0.5)
    found, _ = _forward(module, q, k, v, None, 0.5)
    close(found, _forward(module, q, layer.keys, layer.values, None, 0.5)[0], 0)


def test_rows_of_a_ridge_cache_must_arrive_at_all():
    cache = RidgeCache(llama().config)
    cache.update(torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4), 0)
    with pytest.raises(ValueError, match="nothing came to ridge attention"):
        cache.update(torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4), 1)


# ---- what is refused -----------------------------------------------------------------------------------------


PACKED = torch.cat([torch.arange(12), torch.arange(8)])[None]
TABLE = torch.ones(2, 1, 20, 20)
OLD = torch.ones(2, 1, 1, 20, dtype=torch.long)


def mistral(window):
    torch.manual_seed(0)
    config = MistralConfig(**LLAMA, sliding_window=window, attn_implementation="ridge")
    return exact_norms(MistralForCausalLM(config))


@pytest.mark.parametrize(
    ("make", "facts", "message"),
    [
        (lambda: llama(attention_dropout=0.1).train(), {}, "no weights to drop"),
        (lambda: bert(attention_probs_dropout_prob=0.1).train(), {}, "no weights to drop"),
        (llama, {"attention_mask": TABLE}, "made by hand"),
        (llama, {"attention_mask": TABLE > 0}, "made by hand"),
        (llama, {"attention_mask": OLD}, "made by hand"),
        (llama, {"output_attentions": True}, "weights are not formed"),
        (llama, {"softcap": 30.0}, "no scores to cap"),
        (
            llama,
            {"cu_seq_lens_q": torch.tensor([0, 9])},
            "must lead from 0 to the 20 tokens",
        ),
        (llama, {"sinks": torch.zeros(4)}, "cannot take sinks: it has no softmax"),
        (llama, {"block_indices": torch.zeros(2, 20, 1)}, "cannot take block_indices"),
        (llama, {"indices": torch.zeros(2, 20, 1)}, "cannot take indices"),
        (llama, {"never_heard_of": 0}, "cannot take never_heard_of: what it means"),
        (llama, {"never_heard_of": ()}, "cannot take never_heard_of: what it means"),
    ],
)
def test_what_has_no_meaning_is_an_error(make, facts, message):
    with pytest.raises(ValueError, match=message):
        make()(TOKENS, **facts)


SMALL = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 1}
SMALL |= {"num_attention_heads": 3, "intermediate_size": 32}
FOREIGN = [
    (BloomConfig, BloomForCausalLM, {"vocab_size": 40, "hidden_size": 24, "n_head": 3}),
    (MptConfig, MptForCausalLM, {"vocab_size": 40, "d_model": 24, "n_heads": 3}),
    (MPNetConfig, MPNetModel, SMALL),
    (BigBirdConfig, BigBirdModel, SMALL | {"attention_type": "original_full"}),
]


@pytest.mark.parametrize(("config", "model", "more"), FOREIGN)
@pytest.mark.parametrize("side", [None, "left"])
def test_models_that_compute_attention_themselves_raise(config, model, more, side):
    new = model(config(**more, attn_implementation="ridge")).eval()
    mask = None if side is None else padding("left")
    with pytest.raises((ValueError, AttributeError), match="cannot have ridge attention"):
        new(words(3, 23), attention_mask=mask)


def test_what_the_docstring_advises_finds_models_that_never_ask(caplog):
    new = DebertaV2Model(DebertaV2Config(**SMALL)).eval()
    logging.enable_propagation()
    logging.set_verbosity_warning()
    try:
        new.set_attn_implementation("ridge")
    finally:
        logging.set_verbosity_error()
        logging.disable_propagation()
    assert "does not support setting its attention implementation" in caplog.text
    assert new.config._attn_implementation != "ridge"


def test_a_scale_of_its_own_is_refused():
    more = {"hidden_size": 24, "num_attention_heads": 3, "head_dim": 8}
    more |= {"num_hidden_layers": 1, "intermediate_size": 24, "context_length": 64}
    config = TimesFmConfig(**more, attn_implementation="ridge")
    with pytest.raises(ValueError, match="how TimesFmAttention scales its queries"):
        TimesFmModelForPrediction(config).eval()([torch.randn(64)], freq=[0])


def test_a_window_that_is_off_is_no_obstacle():
    close(mistral(None)(TOKENS).logits, llama()(TOKENS).logits)


@pytest.mark.parametrize(
    "told",
    [
        {"cu_seq_lens_q": torch.tensor([0, 8, 20])},
        {"seq_idx": torch.tensor([[0] * 8 + [1] * 12])},
        {"sliding_window": 3},
    ],
)
def test_what_limits_a_causal_layer_is_not_dropped_by_one_that_looks_both_ways(told):
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 2, 20, 4).double() for _ in range(3))
    causal, both = torch.nn.Module(), torch.nn.Module()
    both.is_causal = False
    shown = torch.ones(1, 1, 1, 20, dtype=torch.bool)
    for given, more in ((None, {"is_causal": False}), (None, {}), (shown, {})):
        module = both if given is None and not more else causal
        with pytest.raises(ValueError, match="of causal layers only"):
            _forward(module, q, k, v, given, 0.5, **more, **told)
    window, first = told.get("sliding_window", 20), 0 if "sliding_window" in told else 8
    found = _forward(causal, q, k, v, None, 0.5, **told)[0]
    for t in (7, 8, 9, 19):
        low = max(t - window + 1, first if t >= first else 0)
        seen = slice(low, t + 1)
        want = ridge_attention(q[:, :, t : t + 1], k[:, :, seen], v[:, :, seen], 2.0)
        close(found[:, t], want[:, :, 0], 1e-12)


def test_a_window_is_there_for_the_last_token_too():
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 2, n, 4).double() for n in (1, 20, 20))
    found = _forward(torch.nn.Module(), q, k, v, None, 0.5, sliding_window=4)[0]
    want = ridge_attention(q, k[:, :, -4:], v[:, :, -4:], 2.0).transpose(1, 2)
    close(found, want, 1e-12)
    more = _forward(torch.nn.Module(), q, k, v, None, 0.5, sliding_window=99)[0]
    close(more, ridge_attention(q, k, v, 2.0).transpose(1, 2), 1e-12)


def test_a_ridge_cache_is_for_attention_in_every_layer():
    kinds = ["linear_attention", "linear_attention", "linear_attention", "full_attention"]
    config = Qwen3NextConfig(
        num_hidden_layers=4, layer_types=kinds, attn_implementation="ridge"
    )
    with pytest.raises(ValueError, match="linear_attention: use DynamicCache"):
        RidgeCache(config)
    config = RecurrentGemmaConfig(num_hidden_layers=3, attn_implementation="ridge")
    with pytest.raises(ValueError, match="layers of this model are linear_attention"):
        RidgeCache(config)


def test_what_is_harmless_or_absent_is_ignored():
    model = llama()
    facts = {"never_heard_of": None, "neither_of": False, "num_items_in_batch": 3}
    places = torch.arange(20).expand(2, -1)
    found = model(TOKENS, position_ids=places, output_hidden_states=True, **facts)
    assert torch.equal(found.logits, model(TOKENS).logits)


def moe(implementation="ridge", **more):
    torch.manual_seed(0)
    given = {"moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}
    given |= {"num_experts": 4, "num_experts_per_tok": 2, "experts_implementation": "eager"}
    config = Qwen2MoeConfig(**LLAMA | given | more, attn_implementation=implementation)
    return exact_norms(Qwen2MoeForCausalLM(config))


def heard_by(model, name):
    """What reaches the attention of a model under a name, from now on; and the model's attention without it."""
    heard, without = [], []

    def listening(module, query, key, value, mask, **kwargs):
        given = kwargs.pop(name, None)
        if given is not None:
            heard.append(given)
            kwargs |= {} if without else {name: given}
        return _forward(module, query, key, value, mask, lam=LAM, **kwargs)

    AttentionInterface.register("listening", listening)
    AttentionMaskInterface.register("listening", _mask)
    model.set_attn_implementation("listening")
    return heard, without


# a model that passes each of the names on to its attention, by itself or because it is asked
PASSED = {
    "position_ids": (lambda: llama(), {}),
    "use_cache": (lambda: llama(), {"use_cache": True}),
    "output_hidden_states": (lambda: llama(), {"output_hidden_states": True}),
    "output_router_logits": (lambda: moe(), {"output_router_logits": True}),
    "cache_position": (lambda: llama(), {"cache_position": torch.arange(20)}),
    "num_items_in_batch": (lambda: llama(), {"labels": TOKENS, "num_items_in_batch": 7}),
    "deterministic": (lambda: llama(), {"deterministic": True}),
    "max_length_q": (lambda: llama(), {"max_length_q": 20}),
    "max_length_k": (lambda: llama(), {"max_length_k": 20}),
}
READ = {"sliding_window", "cu_seq_lens_q", "cu_seq_lens_k", "seq_idx"}  # and obeyed
# what few models pass on; a layer of one does, if it is asked
LAYERS = {
    "position_embeddings": (torch.ones(2, 17, 8), torch.ones(2, 17, 8)),
    "past_key_values": DynamicCache(),
    "return_dict": True,
}


def test_every_harmless_name_is_tried():
    assert HARMLESS == PASSED.keys() | READ | LAYERS.keys()


@pytest.mark.parametrize("name", PASSED)
@pytest.mark.parametrize("implementation", ["listening", "eager", "sdpa"])
def test_a_model_that_passes_a_harmless_name_is_answered_as_without(name, implementation):
    make, facts = PASSED[name]
    model = make()
    heard, without = heard_by(model, name)
    found = model(TOKENS, **facts)
    assert len(heard) == 2  # by each layer
    without.append(True)
    assert torch.equal(model(TOKENS, **facts).logits, found.logits)
    close(found.logits, make()(TOKENS).logits)
    model.set_attn_implementation(implementation)  # to others it says nothing either
    asked = {n: x for n, x in facts.items() if n != name}
    assert torch.equal(model(TOKENS, **facts).logits, model(TOKENS, **asked).logits)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_passes_a_harmless_name_is_answered_as_without(name):
    torch.manual_seed(0)
    small = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 3}
    config = ViTConfig(**small, intermediate_size=32, image_size=16, patch_size=4)
    model = ViTModel(config).double().eval()
    heard, _ = heard_by(model, name)
    layer = next(part for part in model.modules() if type(part).__name__ == "ViTAttention")
    rows = torch.randn(2, 17, 24, dtype=torch.float64)
    found = layer(rows, **{name: LAYERS[name]})
    assert len(heard) == 1
    for got, want in zip(found, layer(rows), strict=True):
        assert got is want is None or torch.equal(got, want)


@pytest.mark.parametrize("name", ["seq_idx", "cu_seq_lens_q", "cu_seq_lens_k"])
def test_a_name_that_is_read_is_obeyed(name):
    facts = {"seq_idx": torch.tensor([[0] * 7 + [1] * 13])}
    facts |= dict.fromkeys(("cu_seq_lens_q", "cu_seq_lens_k"), torch.tensor([0, 7, 20]))
    model, row = llama(), TOKENS[:1]
    places = torch.cat([torch.arange(7), torch.arange(13)])[None]
    both = [model(x, use_cache=False).logits for x in (row[:, :7], row[:, 7:])]
    found = model(row, position_ids=places, use_cache=False, **{name: facts[name]}).logits
    close(found, torch.cat(both, 1))
    ahead = torch.arange(20)[None]  # places that say nothing
    found = model(row, position_ids=ahead, use_cache=False, **{name: facts[name]}).logits
    assert (found[:, 7:] - model(row).logits[:, 7:]).abs().max() > 1e-3


def test_a_mask_that_no_layer_uses_is_no_obstacle():
    # its library makes a mask for windows in advance, whatever the layers are
    close(moe()(TOKENS).logits, moe("definition")(TOKENS).logits)
    windows = {"use_sliding_window": True, "sliding_window": 8}
    windows |= {"layer_types": ["full_attention", "sliding_attention"]}
    whole = moe(**windows)(TOKENS, use_cache=False).logits
    assert (whole - moe()(TOKENS).logits).abs().max() > 1e-3
    close(whole[:, :8], moe()(TOKENS[:, :8]).logits)


# ---- windows and packed sequences ----------------------------------------------------------------------------


def test_a_window_in_one_pass_is_the_window_of_generation():
    model = mistral(8)
    whole = model(TOKENS, use_cache=False).logits
    told = model(TOKENS[:, :5], use_cache=True)
    close(told.logits, whole[:, :5], 1e-9)
    cache, at = told.past_key_values, 5
    for n in (7, 1, 1, 5, 1):  # several tokens at once, and one
        step = model(TOKENS[:, at : at + n], past_key_values=cache)
        close(step.logits, whole[:, at : at + n], 1e-9)
        at += n
    padded = torch.cat([torch.zeros(2, 3, dtype=torch.long), TOKENS], 1)
    mask = torch.ones(2, 23, dtype=torch.long)
    mask[:, :3] = 0
    places = (mask.cumsum(1) - 1).clamp(min=0)
    found = model(padded, attention_mask=mask, position_ids=places, use_cache=False)
    close(found.logits[:, 3:], whole, 1e-9)
    cache, at = (
        DynamicCache(config=model.config),
        0,
    )  # it lets those go that leave the window
    for n in (9, 1, 1, 6, 1, 5):
        part = slice(at, at + n)
        facts = {"attention_mask": mask[:, : at + n], "position_ids": places[:, part]}
        found = model(padded[:, part], past_key_values=cache, **facts).logits
        close(found[:, max(0, 3 - at) :], whole[:, max(0, at - 3) : at + n - 3], 1e-9)
        at += n


WINDOWED = {
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": 6}),
    "gemma2": (
        Gemma2Config,
        Gemma2ForCausalLM,
        {
            "sliding_window": 6,
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
        },
    ),
    "qwen2": (
        Qwen2Config,
        Qwen2ForCausalLM,
        {
            "sliding_window": 6,
            "use_sliding_window": True,
            "max_window_layers": 1,
            "layer_types": ["full_attention", "sliding_attention"],
        },
    ),
}


@torch.no_grad()
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    "name",
    ["mistral", *(pytest.param(x, marks=pytest.mark.slow) for x in ("gemma2", "qwen2"))],
)
def test_generation_with_a_window_is_the_same_in_a_graph(name, padded):
    """Without a break, as other attention of the library: tokens are those of passes over all that is known."""
    torch.manual_seed(0)
    config, kind, more = WINDOWED[name]
    model = kind(config(**LLAMA | more, attn_implementation="ridge")).double().eval()
    facts = {"attention_mask": padding("left", 20)[:2]} if padded else {}
    facts |= {"max_new_tokens": 5, "do_sample": False}
    want = model.generate(TOKENS, use_cache=False, **facts)
    assert torch.equal(model.generate(TOKENS, **facts), want)
    torch._dynamo.reset()
    model.forward = torch.compile(model.forward, backend="eager", fullgraph=True)
    assert torch.equal(model.generate(TOKENS, **facts), want)


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("facts", ["position_ids", "cu_seq_lens_q", "both"])
def test_packed_sequences_are_rows_of_their_own(window, facts):
    model, row = mistral(window), TOKENS[:1]
    lengths = torch.tensor([0, 12, 20], dtype=torch.int32)
    told = {"cu_seq_lens_q": lengths, "cu_seq_lens_k": lengths, "max_length_q": 12}
    if facts == "position_ids" or window:
        told = {}
    if facts != "cu_seq_lens_q" or window:
        told["position_ids"] = PACKED
    found = model(row, use_cache=False, **told).logits
    alone = [model(x, use_cache=False).logits for x in (row[:, :12], row[:, 12:])]
    close(found, torch.cat(alone, 1), 1e-6)
    changed = row.clone()
    changed[:, :12] = TOKENS[1:, :12]
    again = model(changed, use_cache=False, **told).logits
    assert torch.equal(again[:, 12:], found[:, 12:])


# ---- where the library cannot look ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "checkpointing", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_training_without_a_mask_compiles(checkpointing):
    model = llama(use_cache=False).train()
    if checkpointing:
        model.gradient_checkpointing_enable()
    facts = {"labels": TOKENS, "use_cache": False}
    weight = model.model.layers[0].self_attn.k_proj.weight
    (wanted,) = torch.autograd.grad(model(TOKENS, **facts).loss, weight)
    backend = "aot_eager" if checkpointing else "eager"
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    (found,) = torch.autograd.grad(compiled(TOKENS, **facts).loss, weight)
    close(found, wanted, 1e-9)


@pytest.mark.parametrize("window", [None, 5])
def test_a_graph_serves_packed_sequences_and_windows(window):
    """One graph for rows of one sequence and of several; derivatives too."""
    graphs, model = [], mistral(window).train()
    model.config.use_cache = False
    weight = model.model.layers[0].self_attn.k_proj.weight

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(model, backend=backend, fullgraph=True)
    whole = torch.arange(20)[None]
    for position_ids in (whole, PACKED):
        facts = {"position_ids": position_ids, "labels": TOKENS}
        ours, theirs = compiled(TOKENS, **facts), model(TOKENS, **facts)
        close(ours.logits, theirs.logits, 1e-9)
        found, wanted = (torch.autograd.grad(x.loss, weight)[0] for x in (ours, theirs))
        close(found, wanted, 1e-8)
    assert len(graphs) == 1
    cuts = torch.tensor([0, 12, 20], dtype=torch.int32)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    facts = {"cu_seq_lens_q": cuts, "cu_seq_lens_k": cuts, "use_cache": False}
    close(compiled(TOKENS[:1], **facts).logits, model(TOKENS[:1], **facts).logits, 1e-9)


def test_patterns_of_another_kind_are_noticed_when_the_graph_runs():
    odd = torch.compile(
        lambda t: _mask(1, 6, 6, mask_function=lambda b, h, q, k: t[q] >= k).positions + 0,
        backend="eager",
    )
    assert odd(torch.arange(6)).shape == (1, 1, 1, 6)
    with pytest.raises(RuntimeError, match="windows and packed sequences, nothing else"):
        odd(torch.tensor([0, 1, 4, 3, 4, 5]))


@torch.no_grad()
@pytest.mark.parametrize("side", [None, "left"])
def test_a_model_over_many_lengths_makes_two_graphs(side):
    graphs, model = [], llama(use_cache=False)

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(model, backend=backend)
    for T in (23, 30, 64, 65, 70, 130):
        facts = {} if side is None else {"attention_mask": padding(side, T)}
        found, wanted = (f(words(3, T), **facts).logits for f in (compiled, model))
        keep = slice(None) if side is None else facts["attention_mask"].bool()
        close(found[keep], wanted[keep], 1e-9)
    assert len(graphs) <= 2


def test_a_model_of_any_length_can_be_exported():
    model, auto = llama(use_cache=False), torch.export.Dim.AUTO
    shapes = ({0: auto, 1: auto},)
    made = torch.export.export(model, (TOKENS,), dynamic_shapes=shapes, strict=False)
    for tokens in (words(3, 77), words(2, 130)):
        close(made.module()(tokens).logits, model(tokens).logits, 1e-9)


# ---- registration --------------------------------------------------------------------------------------------


def test_registering_twice_and_under_two_names():
    tokens = words(2, 9)
    first = llama()(tokens).logits
    assert register_ridge_attention(LAM) == register_ridge_attention(LAM) == "ridge"
    assert torch.equal(llama()(tokens).logits, first)
    assert register_ridge_attention(9.0, "stiff ridge") == "stiff ridge"
    assert torch.equal(llama()(tokens).logits, first)
    stiff = llama("stiff ridge")(tokens).logits
    close(stiff, llama(ridge_lam=9.0)(tokens).logits)
    register_ridge_attention(9.0)
    close(llama()(tokens).logits, stiff)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"lam": 0.0}, ValueError, "lam must be > 0"),
        ({"lam": float("nan")}, ValueError, "lam must be > 0"),
        ({"lam": "gcv"}, TypeError, "lam must be a number"),
        ({"lam": True}, TypeError, "lam must be a number"),
        ({"name": "sdpa"}, ValueError, "belongs to another"),
        ({"name": "eager"}, ValueError, "belongs to another"),
    ],
)
def test_bad_registrations(arguments, error, message):
    with pytest.raises(error, match=message):
        register_ridge_attention(**arguments)
    assert llama("sdpa")(words(1, 3)).logits.isfinite().all()


def test_a_module_loaded_anew_registers_over_itself():
    """As notebooks run one after another in one process do, and readers with autoreload."""
    here = sys.modules["olsattention.attention.huggingface"]
    again = importlib.util.module_from_spec(here.__spec__)
    here.__spec__.loader.exec_module(again)
    first = llama(register_ridge_attention(name="anew"))(tokens := words(1, 7)).logits
    again.register_ridge_attention(name="anew")
    close(llama("anew")(tokens).logits, first)
    register_ridge_attention(name="anew")


@pytest.mark.parametrize("implementation", ["sdpa", "eager", "definition"])
def test_a_ridge_cache_is_for_ridge_attention(implementation):
    with pytest.raises(ValueError, match="needs every token"):
        RidgeCache(llama(implementation).config)


WITHOUT = """
import sys
sys.modules["transformers"] = None
from olsattention import *
for call in (register_ridge_attention, lambda: RidgeCache(None)):
    try:
        call()
    except ImportError as error:
        print(error)
"""


def test_without_transformers_the_error_says_what_to_install():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("pip install 'olsattention[transformers]'" in line for line in lines)
