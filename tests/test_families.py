"""Ridge attention in the families of the transformers library, a tiny configuration of each: equal to one regression a query, or the error that is expected.

`nbs/data/families.json` says what is expected of each; the page on families shows it.
"""

import inspect
import json
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers
from test_transformers import LAM, by_definition, dense_mask
from transformers import CONFIG_MAPPING, AttentionInterface, AttentionMaskInterface
from transformers.utils import logging

from olsattention import register_ridge_attention
from olsattention.attention.huggingface import HARMLESS, _forward

logging.set_verbosity_error()
FILE = Path(__file__).resolve().parents[1] / "nbs" / "data" / "families.json"
FAMILIES = json.loads(FILE.read_text(encoding="utf-8"))

# sizes by the names that configurations have for them
SMALL = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "embed_dim"), 32),
    **dict.fromkeys(("embedding_size", "word_embed_proj_dim", "vocab_size"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "d_ff", "dff"), 48),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim", "ffn_hidden_size"), 48),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "max_window_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), 128),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("moe_num_experts", "moe_intermediate_size"), 4),
    **dict.fromkeys(("shared_expert_intermediate_size", "q_lora_rank"), 16),
    **dict.fromkeys(("kv_lora_rank", "qk_nope_head_dim", "v_head_dim", "head_dim"), 8),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "moe_k"), 1),
    **dict.fromkeys(("qk_rope_head_dim", "rotary_dim", "patch_size"), 4),
    **dict.fromkeys(("initializer_range", "init_std"), 0.3),
    **dict.fromkeys(("attention_dropout", "attn_pdrop", "dropout", "resid_pdrop"), 0.0),
    **dict.fromkeys(("attention_probs_dropout_prob", "hidden_dropout_prob"), 0.0),
    **dict.fromkeys(("embd_pdrop", "activation_dropout", "hidden_dropout"), 0.0),
    **{"num_key_value_heads": 2, "num_experts_per_tok": 2, "d_kv": 8, "image_size": 16},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 3},
    **{"type_vocab_size": 2, "first_k_dense_replace": 1, "num_channels": 3},
}
KEPT = "pad_token_id", "bos_token_id", "eos_token_id", "num_key_value_heads", "head_dim"


def tiny(kind, implementation, **more):
    """A configuration of a family, as small as its names allow."""
    config = CONFIG_MAPPING[kind]
    usual = config()
    known = {**usual.to_dict(), **{n: 1 for n in usual.attribute_map}}
    given = {n: x for n, x in SMALL.items() if n in known}
    given = {n: x for n, x in given.items() if known[n] is not None or n in KEPT}
    given |= {"use_cache": False, "is_decoder": True, "experts_implementation": "eager"}
    return config(**given | more, attn_implementation=implementation)


def softmax(module, query, key, value, attention_mask, scaling=None, **kwargs):
    """Softmax attention that knows queries, keys, values, mask and scale, and nothing else."""
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask[..., : key.shape[2]], -torch.inf)
    return (scores.softmax(-1) @ value).transpose(1, 2).contiguous(), None


def exactly(module, query, key, value, attention_mask, scaling, **kwargs):
    """`by_definition`, for models too that have scaled their queries and then pass a scale of 1."""
    own = getattr(module, "scaling", 1.0)
    if scaling == 1 and isinstance(own, float):
        query, scaling = query / own, own
    return by_definition(module, query, key, value, attention_mask, scaling, **kwargs)


heard = {}  # arguments of the attention call, by name


def listening(*args, **kwargs):
    heard.update({n: x for n, x in kwargs.items() if x is not None and x is not False})
    return _forward(*args, **kwargs)


listening.is_ridge_attention = True


@pytest.fixture(autouse=True)
def registered():
    register_ridge_attention(LAM)
    AttentionInterface.register("ridge", partial(listening, lam=LAM))
    for name, function in (("definition", exactly), ("plain softmax", softmax)):
        AttentionInterface.register(name, function)
        AttentionMaskInterface.register(name, dense_mask)
    heard.clear()
    yield
    register_ridge_attention(LAM)


def given_to(model, kind):
    """What a model of this class is asked: tokens, or pictures."""
    g = torch.Generator().manual_seed(0)
    tokens = torch.randint(4, 32, (2, 20), generator=g)
    names = inspect.signature(model.forward).parameters
    if "pixel_values" in names and "input_ids" not in names:
        return {"pixel_values": torch.randn(2, 3, 16, 16, generator=g).double()}
    facts = {"input_ids": tokens}
    if "decoder_input_ids" in names and CONFIG_MAPPING[kind]().is_encoder_decoder:
        facts["decoder_input_ids"] = tokens[:, :11]
    return facts


@torch.no_grad()
def answers(kind, name, implementation, **more):
    """What a tiny model says, its weights from one seed."""
    torch.manual_seed(0)
    model = getattr(transformers, name)(tiny(kind, implementation, **more))
    model = model.double().eval()
    return model(**given_to(model, kind))[0]


def apart(one, other):
    return float((one - other).abs().max() / other.abs().max())


def named(result):
    """The families of a result."""
    for key, entry in FAMILIES.items():
        if entry["result"] == result:
            kind, name = key.split("/")
            yield pytest.param(kind, name, entry, id=f"{kind}-{name}")


@pytest.mark.parametrize(("kind", "name", "entry"), list(named("works")))
def test_every_query_is_answered_by_its_own_regression(kind, name, entry):
    more = entry.get("options", {})
    found = answers(kind, name, "ridge", **more)
    known = {"dropout", "lam", "scaling", "is_causal", "attention_mask"}
    assert set(heard) - known <= HARMLESS | {"sliding_window"}
    passed = sorted(set(heard) & HARMLESS)
    assert passed == entry.get("harmless", [])
    # most models compute their norms in single precision
    assert apart(found, answers(kind, name, "definition", **more)) <= 1e-6
    softly = answers(kind, name, "eager", **more)
    assert apart(found, softly) > 1e-3
    if passed:  # what is ignored as harmless says nothing to the library's own attention
        assert apart(answers(kind, name, "plain softmax", **more), softly) <= 1e-4


@pytest.mark.parametrize(("kind", "name", "entry"), list(named("raises")))
def test_families_that_cannot_have_it_say_why(kind, name, entry):
    with pytest.raises((ValueError, AttributeError)) as error:
        answers(kind, name, "ridge", **entry.get("options", {}))
    assert entry["message"] in str(error.value)


@pytest.mark.parametrize(("kind", "name", "entry"), list(named("own classes")))
def test_families_with_classes_of_their_own_raise_from_the_library(kind, name, entry):
    with pytest.raises(KeyError, match="ridge"):
        answers(kind, name, "ridge", **entry.get("options", {}))


@pytest.mark.parametrize(("kind", "name", "entry"), list(named("not seen")))
def test_families_that_never_ask_keep_what_they_have(kind, name, entry):
    more = entry.get("options", {})
    found = answers(kind, name, "ridge", **more)
    assert not heard
    assert apart(found, answers(kind, name, "eager", **more)) == 0


def test_there_are_enough_families_of_both_kinds():
    works = [key for key, entry in FAMILIES.items() if entry["result"] == "works"]
    causal = [key for key in works if FAMILIES[key]["kind"] == "causal"]
    assert len(causal) >= 60 and len(works) - len(causal) >= 15
    met = {name for entry in FAMILIES.values() for name in entry.get("harmless", ())}
    assert met <= HARMLESS
