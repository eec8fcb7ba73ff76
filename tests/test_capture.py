"""Capture: not one bit of a model changes, and what was read gives the model's own answers."""

import copy
import itertools
import math
import pickle
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from olsattention import CaptureError, capture_attention, register_ridge_attention
from olsattention.models.capture import AttentionCall

transformers = pytest.importorskip("transformers")
transformers.utils.logging.set_verbosity_error()
SMALL = dict(vocab_size=60, hidden_size=32, intermediate_size=40, num_hidden_layers=2)
HEADS = SMALL | dict(num_attention_heads=4)
GROUPED = HEADS | dict(num_key_value_heads=2, pad_token_id=0)
ARCHITECTURES = {
    "Bert": HEADS,
    "Roberta": HEADS | dict(pad_token_id=0),
    "Electra": HEADS | dict(embedding_size=32),
    "DistilBert": dict(vocab_size=60, dim=32, hidden_dim=40, n_layers=2, n_heads=4),
    "GPT2": dict(vocab_size=60, n_embd=32, n_layer=2, n_head=4),
    "GPTNeoX": HEADS,
    "OPT": dict(
        vocab_size=60,
        hidden_size=32,
        ffn_dim=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        word_embed_proj_dim=32,
    ),
    "Llama": GROUPED,
    "Qwen2": GROUPED,
    "Mistral": GROUPED | dict(sliding_window=3),
    "Bloom": dict(vocab_size=60, hidden_size=32, n_layer=2, n_head=4),
    "T5": dict(vocab_size=60, d_model=32, d_kv=8, d_ff=40, num_layers=2, num_heads=4),
    "Bart": dict(
        vocab_size=60,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=40,
        decoder_ffn_dim=40,
    ),
}
ENCODER_DECODER = {"T5", "Bart"}
TOKENS = torch.randint(3, 60, (2, 9), generator=torch.Generator().manual_seed(0))
RIGHT, LEFT = torch.ones(2, 9, dtype=torch.long), torch.ones(2, 9, dtype=torch.long)
RIGHT[0, 6:], LEFT[0, :3] = 0, 0


def build(name, attention, **options):
    torch.manual_seed(0)
    config = getattr(transformers, name + "Config")(
        **ARCHITECTURES[name], attn_implementation=attention, **options
    )
    return getattr(transformers, name + "Model")(config).eval()


def inputs_of(name, mask):
    inputs = dict(input_ids=TOKENS, attention_mask=mask)
    if name in ENCODER_DECODER:
        inputs["decoder_input_ids"] = TOKENS[:, :5]
    return inputs


def tensors_in(out):
    return [x for x in out.to_tuple() if isinstance(x, torch.Tensor)]


def assert_read_rightly(captured, tol=1e-5):
    for call in captured.calls:
        if call.output is not None:
            seen = call.output.isfinite().all(-1)
            error = (call.attend() - call.output)[seen].abs().max()
            assert error <= tol * call.output[seen].abs().max(), (call.name, call.op, error)


@pytest.mark.parametrize(
    "name, attention",
    [
        (n, a)
        for n in ARCHITECTURES
        for a in ("sdpa", "eager")
        if (n, a) != ("Bloom", "sdpa")
    ],
)
def test_outputs_are_bit_equal_and_calls_are_read_rightly(name, attention):
    model = build(name, attention)
    layers = 6 if name in ENCODER_DECODER else 2
    for training, grad, mask in itertools.product(
        (False, True), (False, True), (None, RIGHT, LEFT)
    ):
        inputs = inputs_of(name, mask)
        with torch.set_grad_enabled(grad):
            model.train(training)
            torch.manual_seed(1)
            bare = model(**inputs)
            torch.manual_seed(1)
            with capture_attention(model) as captured:
                out = model(**inputs)
        assert all(map(torch.equal, tensors_in(out), tensors_in(bare)))
        assert len(captured.found) == len(captured.layers) == layers and not captured.missed
        assert len(captured.calls) == layers and sum(captured.heads.values()) == 4 * layers
        if not training:
            assert_read_rightly(captured)


@pytest.mark.parametrize("name", ["Bert", "GPT2", "Llama", "T5"])
def test_weights_are_those_that_the_eager_model_gives_out(name):
    eager = build(name, "eager")
    fused = copy.deepcopy(eager)
    fused.set_attn_implementation("sdpa")
    inputs = inputs_of(name, RIGHT)
    with torch.no_grad():
        out = eager(**inputs, output_attentions=True)
        with capture_attention(fused) as captured:
            fused(**inputs)
    given = {
        "T5": lambda: [
            *out.encoder_attentions,
            *itertools.chain(*zip(out.decoder_attentions, out.cross_attentions)),
        ]
    }.get(name, lambda: out.attentions)()
    assert len(given) == len(captured.layers)
    for layer, wanted in zip(captured.layers, given):
        (call,) = captured[layer]
        seen = call.fresh[:, None, :, None] if call.query.shape[2] == 9 else True
        assert ((call.weights() - wanted) * seen).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["Bert", "GPT2", "Llama", "Mistral", "T5", "Bart"])
def test_every_way_of_computing_gives_the_same_queries_keys_and_values(name):
    read = []
    for attention, backend in (
        ("eager", SDPBackend.MATH),
        ("sdpa", SDPBackend.MATH),
        ("sdpa", SDPBackend.FLASH_ATTENTION),
    ):
        model = build(name, attention)
        for mode in (torch.no_grad, torch.inference_mode):
            with sdpa_kernel(backend), mode(), capture_attention(model) as captured:
                model(**inputs_of(name, LEFT))
            read.append(captured)
    for other in read[1:]:
        assert other.layers == read[0].layers
        for one, two in zip(read[0].calls, other.calls):
            for x in ("query", "key", "value"):
                a, b = (real(getattr(call, x)) for call in (one, two))
                assert a.shape == b.shape
                assert (a - b).abs().max() < 1e-5 * a.abs().max()
            assert math.isclose(one.scale, two.scale, rel_tol=1e-6)
            assert torch.equal(one.fresh, two.fresh)
            assert (real(one.weights()) - real(two.weights())).abs().max() < 1e-5


def real(x):
    """Without the rows of padding on the left, of which eager and fused attention make different things."""
    x = x.transpose(1, 2)
    return x[LEFT.bool()] if x.shape[1] == 9 else x[1]


PADDING = RIGHT == 0
X = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("masks", ["none", "padding", "causal", "bias", "both"])
def test_pytorchs_encoder(norm_first, batch_first, nested, masks):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        16, 2, 32, norm_first=norm_first, batch_first=batch_first, dropout=0.1
    )
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested)
    given = {}
    if masks in ("padding", "both"):
        given["src_key_padding_mask"] = PADDING
    if masks in ("causal", "both"):
        given["mask"] = torch.ones(9, 9).triu(1).bool()
    if masks == "bias":
        given["mask"] = torch.arange(81).reshape(9, 9) % 3 * 0.5
    x = X if batch_first else X.transpose(0, 1)
    for training, mode in itertools.product(
        (False, True), (torch.no_grad, torch.enable_grad, torch.inference_mode)
    ):
        model.train(training)
        with mode():
            torch.manual_seed(1)
            bare = model(x, **given)
            torch.manual_seed(1)
            with capture_attention(model) as captured:
                out = model(x, **given)
        assert torch.equal(out, bare)
        assert captured.layers == ["layers.0.self_attn", "layers.1.self_attn"]
        assert captured.found == captured.layers
        if training:
            continue
        call, block = captured.calls[0], model.layers[0]
        with torch.no_grad():  # finish the first layer by hand
            attended = block.self_attn.out_proj(call.attend().transpose(1, 2).flatten(2))
            feed = nn.Sequential(block.linear1, nn.ReLU(), block.linear2)
            if norm_first:
                z = X + attended
                z = z + feed(block.norm2(z))
            else:
                z = block.norm1(X + attended)
                z = block.norm2(z + feed(z))
            with capture_attention(model.layers[0]):
                wanted = model.layers[0](
                    x,
                    src_mask=given.get("mask"),
                    src_key_padding_mask=given.get("src_key_padding_mask"),
                )
        if mode is torch.enable_grad and masks == "bias":
            continue  # numbers are biases there, and truths in the fused kernel
        wanted = wanted if batch_first else wanted.transpose(0, 1)
        rows = ~PADDING if "src_key_padding_mask" in given else slice(None)
        assert (z - wanted)[rows].abs().max() < 1e-5


@pytest.mark.parametrize(
    "options",
    [
        {},
        dict(kdim=12, vdim=10),
        dict(add_bias_kv=True),
        dict(add_zero_attn=True),
        dict(bias=False),
    ],
)
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("padding", [None, PADDING])
def test_pytorchs_multihead_attention(options, need_weights, padding):
    torch.manual_seed(0)
    model = nn.MultiheadAttention(16, 2, batch_first=True, **options).eval()
    other = [X[..., : options.get(w, 16)] for w in ("kdim", "vdim")]
    for mode in (torch.no_grad, torch.enable_grad, torch.inference_mode):
        with mode():
            bare, weights = model(
                X, *other, key_padding_mask=padding, need_weights=need_weights
            )
            with capture_attention(model) as captured:
                out, _ = model(
                    X, *other, key_padding_mask=padding, need_weights=need_weights
                )
            assert torch.equal(out, bare)
            (call,) = captured.calls
            assert call.query.shape == (2, 2, 9, 8) and math.isclose(call.scale, 8**-0.5)
            by_hand = model.out_proj(call.attend().transpose(1, 2).flatten(2))
            assert (by_hand - out)[~PADDING].abs().max() < 1e-6
            if need_weights:
                assert (call.weights().mean(1) - weights)[~PADDING].abs().max() < 1e-6


def test_a_query_that_sees_nothing_gets_zero():
    query, key, value = torch.randn(
        3, 1, 2, 4, 3, generator=torch.Generator().manual_seed(2)
    )
    seen = torch.ones(1, 1, 4, 4).tril(-1).bool()
    call = AttentionCall("", query, key, value, mask=seen)
    assert not call.attend()[:, :, 0].any() and not call.weights()[:, :, 0].any()
    assert torch.allclose(call.weights()[:, :, 1:].sum(-1), torch.ones(()))


def test_pytorchs_transformer_has_three_kinds_of_attention():
    torch.manual_seed(0)
    model = nn.Transformer(16, 2, 2, 2, 32, batch_first=True).eval()
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    bare = model(X, X[:, :5], tgt_mask=causal, src_key_padding_mask=PADDING)
    with capture_attention(model) as captured:
        out = model(X, X[:, :5], tgt_mask=causal, src_key_padding_mask=PADDING)
    assert torch.equal(out, bare) and len(captured.layers) == len(captured.found) == 6
    assert captured["decoder.layers.0.multihead_attn"][0].key.shape[2] == 9
    assert_read_rightly(captured)


class ByHand(nn.Module):
    """A mixer of one's own, which is called attention by nobody."""

    def __init__(self, way, groups=1, width=None):
        super().__init__()
        self.q, self.k = nn.Linear(16, 16), nn.Linear(16, 16 // groups)
        self.v = nn.Linear(16, width or 16 // groups)
        self.way, self.groups = way, groups
        if way == "in one product":
            self.num_heads = 2  # its heads stand among the sequences

    def forward(self, x):
        q, k, v = self.q(x), self.k(x), self.v(x)
        if self.way != "flat":
            q, k, v = (
                z.unflatten(-1, (h, -1)).transpose(1, 2)
                for z, h in ((q, 2), (k, 2 // self.groups), (v, 2 // self.groups))
            )
        return self.mix(q, k, v)

    def mix(self, q, k, v):
        if self.way == "sdpa":
            return F.scaled_dot_product_attention(
                q, k, v, is_causal=True, enable_gqa=self.groups > 1
            )
        if self.way == "einsum":
            weights = torch.einsum("bhqd,bhkd->bhqk", q, k).mul(0.3).softmax(-1)
            return torch.einsum("bhqk,bhkd->bhqd", weights, v)
        if self.way == "before":
            q *= 0.3
            scores = q @ k.mT
            scores.masked_fill_(torch.ones(9, 9).triu(1).bool(), -torch.inf)
            return torch.softmax(scores, -1) @ v
        if self.way == "flat":
            return ((q @ k.mT) / 4).softmax(2) @ v
        if self.way == "turned":
            return (v.mT @ (q @ k.mT).softmax(-1).mT).mT
        if self.way == "biased":
            bias = torch.arange(81.0).reshape(9, 9) / 81
            return ((q @ k.mT + bias) * 0.3).softmax(-1) @ v
        if self.way == "in one product":
            q, k, v = (x.flatten(0, 1) for x in (q, k, v))
            bias = torch.arange(81.0).reshape(9, 9) / 81
            scores = torch.baddbmm(bias, q, k.mT, beta=2, alpha=0.3)
            return (scores.softmax(-1) @ v).unflatten(0, (2, 2))
        if self.way == "cap":
            return (5 * torch.tanh(q @ k.mT / 5)).softmax(-1) @ v
        return torch.relu(q @ k.mT) @ v


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize(
    "way, options",
    [
        ("sdpa", {}),
        ("sdpa", dict(groups=2)),
        ("sdpa", dict(width=6)),
        ("einsum", {}),
        ("before", {}),
        ("flat", {}),
        ("turned", {}),
        ("biased", {}),
        ("in one product", {}),
    ],
)
def test_attention_written_by_hand(way, options, mode):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 16), ByHand(way, **options)).eval()
    with mode():
        bare = model(X)
        with capture_attention(model) as captured:
            out = model(X)
    assert torch.equal(out, bare) and captured.layers == captured.found == ["1"]
    (call,) = captured.calls
    assert (call.attend() - call.output).abs().max() < 1e-6
    q = model[1].q(model[0](X))
    assert (call.query.transpose(1, 2).flatten(2) - q).abs().max() < 1e-6
    with capture_attention(model[1]) as captured:
        model[1](X)
    assert captured.layers == [""]


@pytest.mark.parametrize("way", ["cap", "relu"])
def test_what_cannot_be_read_is_an_error_if_it_is_called_attention(way):
    class OwnAttention(ByHand):
        pass

    model = nn.ModuleList([nn.MultiheadAttention(16, 2), OwnAttention(way)])
    model.forward = lambda x: model[1](model[0](x, x, x)[0])
    with pytest.raises(
        CaptureError, match="1 of 2 attention layers of ModuleList ran"
    ) as error:
        with capture_attention(model):
            model(X)
    assert error.value.captured.layers == ["0"]
    with capture_attention(model) as captured:  # a layer that does not run is no hole
        model[0](X, X, X)
    assert captured.missed == ["1"] and "1 of 2 attention layers" in repr(captured)


def test_softcapped_scores_of_a_known_model_are_an_error():
    config = transformers.Gemma2Config(**GROUPED, head_dim=8, attn_implementation="eager")
    model = transformers.Gemma2Model(config).eval()
    with pytest.raises(CaptureError, match="could not be read"), capture_attention(model):
        model(TOKENS)


def test_generation_counts_every_key_once():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**GROUPED, attn_implementation="sdpa")
    model = transformers.LlamaForCausalLM(config).eval()
    options = dict(attention_mask=LEFT, max_new_tokens=6, do_sample=False, pad_token_id=0)
    wanted = model.generate(TOKENS, **options)
    with torch.no_grad(), capture_attention(model) as once:
        mask = F.pad(LEFT, (0, 5), value=1)
        places = (mask.cumsum(1) - 1).clamp(min=0)  # as generation counts them
        model(wanted[:, :-1], attention_mask=mask, position_ids=places)
    for more in ({}, dict(cache_implementation="static"), dict(use_cache=False)):
        with capture_attention(model, keep="moments") as captured:
            out = model.generate(TOKENS, **options, **more)
        assert torch.equal(out, wanted) and not captured.calls
        assert set(captured.seen.values()) == {6}
        name = captured.layers[1]
        assert captured.heads == {n: 4 for n in captured.layers}
        if more.get("use_cache", True):
            got, exact = captured.moments_of(name), once.moments_of(name)
            assert got.keys == exact.keys == 6 + 9 + 2 * 5
            assert (
                got.key_key - exact.key_key
            ).abs().max() < 1e-5 * exact.key_key.abs().max()
            assert (got.key_value - exact.key_value).abs().max() < 1e-6
        with capture_attention(model) as captured:
            model.generate(TOKENS, **options, **more)
        assert_read_rightly(captured)


@pytest.mark.parametrize("name", ["Bert", "Llama"])
@pytest.mark.parametrize("mask", [None, LEFT, RIGHT])
def test_ridge_attention_of_transformers(name, mask):
    from transformers import AttentionInterface

    register_ridge_attention(0.7)
    own = dict(ridge_lam=[0.5, 2.0]) if name == "Llama" else {}
    model, registered = build(name, "ridge", **own), AttentionInterface()["ridge"]
    inputs = dict(input_ids=TOKENS, attention_mask=mask)
    bare = model(**inputs)
    with capture_attention(model) as captured:
        out = model(**inputs)
    assert torch.equal(out.last_hidden_state, bare.last_hidden_state)
    assert AttentionInterface()["ridge"] is registered
    assert len(captured.calls) == 2 and {c.kind for c in captured.calls} == {"ridge"}
    for call in captured.calls:
        assert call.key.shape[1] == (2 if own else 4)
        error = ((call.attend() - call.output) * call.fresh[:, None, :, None]).abs().max()
        assert error < 1e-5
        H = call.weights()
        assert torch.allclose(
            H @ call.value.repeat_interleave(4 // call.value.shape[1], 1),
            call.attend(),
            atol=1e-5,
        )


def test_ridge_generation_with_a_cache_that_stops_growing():
    from olsattention import RidgeCache

    register_ridge_attention()
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**GROUPED, attn_implementation="ridge")
    model = transformers.LlamaForCausalLM(config).eval()
    options = dict(max_new_tokens=6, do_sample=False, pad_token_id=0)
    wanted = model.generate(TOKENS, **options)
    with capture_attention(model) as captured:
        out = model.generate(TOKENS, past_key_values=RidgeCache(config), **options)
    assert torch.equal(out, wanted)
    for call in captured.calls:
        assert (call.attend() - call.output).abs().max() < 1e-4
    with capture_attention(model) as captured:  # beside padding, masks are positions
        model.generate(TOKENS, attention_mask=LEFT, **options)
    for call in captured.calls:
        real = call.fresh[:, None, :, None] if call.fresh.shape[1] == 9 else True
        assert ((call.attend() - call.output) * real).abs().max() < 1e-4


# ---- bounded memory, and what is left behind ---------------------------------------------------------------


def test_a_sample_is_of_whole_passes_and_uniform():
    model, counts = build("Bert", "sdpa"), torch.zeros(12)
    inputs = [torch.full((1, 2), t + 3) for t in range(12)]
    for seed in range(60):
        with torch.no_grad(), capture_attention(model, keep=3, seed=seed) as captured:
            for tokens in inputs:
                model(tokens)
        passes = [
            [i for i, _ in sorted(captured._kept[n], key=lambda x: x[0])]
            for n in captured.layers
        ]
        assert len(captured.calls) == 6 and passes[0] == passes[1]
        counts[passes[0]] += 1
    assert counts.sum() == 180 and (counts - 15).abs().max() < 4 * (15 * 0.75) ** 0.5


def test_the_stream_has_the_moments_of_what_is_kept():
    model = build("Llama", "sdpa")
    for keep in ("all", "moments", 1):
        with torch.no_grad(), capture_attention(model, keep=keep) as captured:
            for mask in (None, LEFT, RIGHT):
                model(TOKENS, attention_mask=mask)
        moments = captured.moments_of("layers.1.self_attn")
        if keep == "all":
            wanted = moments
        assert moments.keys == moments.queries == 18 + 15 + 15
        for x in ("key_key", "query_query", "key_query", "key_value", "value_value"):
            assert torch.equal(getattr(moments, x), getattr(wanted, x))


def test_what_was_read_is_a_copy():
    model = nn.MultiheadAttention(16, 2, batch_first=True).eval()
    with capture_attention(model) as captured:
        model(X, X, X, need_weights=False)
        before = captured.calls[0].query.clone()
        with torch.no_grad():
            model.in_proj_weight.zero_()
            model(X, X, X, need_weights=False)
    assert torch.equal(captured.calls[0].query, before)
    assert not before.requires_grad and not captured.calls[0].key.requires_grad


def state_of(model):
    return {
        n: (set(vars(m)), len(m._forward_hooks), len(m._forward_pre_hooks))
        for n, m in model.named_modules()
    }


def test_nothing_is_left_behind_after_an_exception():
    register_ridge_attention()
    from transformers import AttentionInterface

    for attention in ("sdpa", "eager", "ridge"):
        model, registry = build("Bert", attention), dict(AttentionInterface._global_mapping)
        before = state_of(model)
        with pytest.raises(ZeroDivisionError), capture_attention(model):
            model(TOKENS)
            raise ZeroDivisionError
        with pytest.raises(IndexError), capture_attention(model):
            model(TOKENS + 10**6)
        assert (
            state_of(model) == before
            and dict(AttentionInterface._global_mapping) == registry
        )
        with capture_attention(model) as captured:
            model(TOKENS)
        assert len(captured.calls) == 2
        pickle.dumps(model)


def test_two_threads_do_not_share_the_registry():
    register_ridge_attention()
    from transformers import AttentionInterface

    registry = dict(AttentionInterface._global_mapping)
    models = [build("Bert", "ridge") for _ in range(3)]
    answers, refused = [], []

    def other_thread():
        with pytest.raises(CaptureError, match="another thread is capturing"):
            with capture_attention(models[1]):
                refused.append("never")
        answers.append(models[2](TOKENS).last_hidden_state)
        with torch.no_grad():  # the same model, while another thread looks at it
            models[0](TOKENS)

    with torch.no_grad(), capture_attention(models[0]) as captured:
        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
        models[0](TOKENS)
    assert len(captured.calls) == 2 and len(answers) == 1 and not refused
    assert dict(AttentionInterface._global_mapping) == registry
    with capture_attention(models[1]) as captured:
        models[1](TOKENS)
    assert len(captured.calls) == 2


def test_gradients_are_those_without_a_capture():
    model = build("Bert", "eager")
    model(TOKENS).last_hidden_state.square().sum().backward()
    wanted = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    with capture_attention(model) as captured:
        model(TOKENS).last_hidden_state.square().sum().backward()
    got = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(captured.calls) == 2 and all(map(torch.equal, got, wanted))


def test_only_this_model_is_read():
    one, two = build("Bert", "sdpa"), build("Bert", "sdpa")
    with capture_attention(one) as captured:
        one(TOKENS)
        two(TOKENS)
        F.scaled_dot_product_attention(X[:, None], X[:, None], X[:, None])
    assert len(captured.calls) == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_other_precisions(dtype, attention):
    model = build("Llama", attention).to(dtype)
    bare = model(TOKENS).last_hidden_state
    with capture_attention(model) as captured:
        out = model(TOKENS).last_hidden_state
    assert torch.equal(out, bare)
    assert {c.query.dtype for c in captured.calls} == {dtype}
    # the eager model takes the softmax in single precision, whatever its own
    tol = max(20 * torch.finfo(dtype).eps, 1e-6 if attention == "eager" else 0)
    assert_read_rightly(captured, tol=tol)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_mixed_precision(mode, attention):
    model = build("Bert", attention)
    with mode(), torch.autocast("cpu", torch.bfloat16):
        bare = model(TOKENS).last_hidden_state
        with capture_attention(model) as captured:
            out = model(TOKENS).last_hidden_state
    assert torch.equal(out, bare) and len(captured.calls) == 2


def test_one_token():
    model = build("Llama", "sdpa")
    with capture_attention(model) as captured:
        model(TOKENS[:, :1])
    assert captured.calls[0].weights().shape == (2, 4, 1, 1)


def test_bad_input():
    model = nn.Sequential(nn.Linear(16, 16))
    with pytest.raises(CaptureError, match="no attention of Sequential ran.*none by name"):
        with capture_attention(model):
            model(X)
    bert = build("Bert", "sdpa")
    with pytest.raises(CaptureError, match="it has 2 such layers.*call the model inside"):
        with capture_attention(bert):
            pass
    with pytest.raises(TypeError, match="must be a torch.nn.Module, got str"):
        with capture_attention("bert"):
            pass
    for keep in (0, -1, True, "some", 1.5):
        with (
            pytest.raises(ValueError, match="keep must be"),
            capture_attention(bert, keep=keep),
        ):
            pass
    with capture_attention(bert) as captured:
        with pytest.raises(CaptureError, match="another capture is running"):
            with capture_attention(bert):
                pass
        bert(TOKENS)
    assert len(captured.calls) == 2
    with pytest.raises(KeyError, match="no layer 'x' was captured"):
        captured["x"]
    with (
        pytest.raises(CaptureError, match="compiled"),
        capture_attention(torch.compile(bert)),
    ):
        pass
    part = nn.Sequential(bert)
    part[0].compile()
    with (
        pytest.raises(CaptureError, match="its module 0 is compiled"),
        capture_attention(part),
    ):
        pass


def test_no_capture_inside_compiled_code():
    bert = build("Bert", "sdpa")

    @torch.compile(backend="eager")
    def run(tokens):
        with capture_attention(bert) as captured:
            bert(tokens)
        return len(captured.calls)

    try:
        assert run(TOKENS) == 2  # the compiler leaves it alone
    except Exception as error:
        assert "capture" in str(error)
