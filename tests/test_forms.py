"""What does not fit, what is padding and what weighs nothing, in every form of attention: full, causal, gated, in windows, packed, from states, in layers and in models."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from olsattention import (
    MultiheadRidgeAttention,
    RidgeAttentionState,
    RidgeMixer,
    register_ridge_attention,
    ridge_attention,
)

T, D, W = 12, 4, 3
draw = torch.Generator().manual_seed(0)


def normal(*shape, generator=draw):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


Q, K, V = normal(2, T, D), normal(2, T, D), normal(2, T, 3)
CUTS, CAUSAL = torch.tensor([0, 5, T]), {"is_causal": True}
FORMS = {
    "full": {},
    "causal": CAUSAL,
    "gated": CAUSAL | {"decay": 0.9},
    "window": CAUSAL | {"window": W},
    "packed": CAUSAL | {"cu_seqlens": CUTS},
    "packed window": CAUSAL | {"cu_seqlens": CUTS, "window": W},
    "packed gated": CAUSAL | {"cu_seqlens": CUTS, "decay": 0.9},
}


def state(form):
    """One that goes on with this form, after four tokens."""
    heads = (2, 2) if "packed" in form else (2,)
    window, seed = W if form == "window" else None, torch.Generator().manual_seed(1)
    found = RidgeAttentionState(0.5, D, 3, heads, window, torch.float64)
    return found.update(*(normal(*heads, 4, n, generator=seed) for n in (D, 3)))


def with_state(form):
    """The options of a form that goes on from a state, if it can."""
    if form == "packed window":
        return FORMS[form]
    return FORMS[form] | {"state": state(form)}


def gates(*values):
    """Of all tokens, these last."""
    return torch.tensor([0.9] * (T - len(values)) + list(values)).double()


WRONG = {
    "negative weight": ({"weight": -gates(0.5)}, "weight must be >= 0 and finite"),
    "infinite weight": ({"weight": gates(torch.inf)}, "weight must be >= 0 and finite"),
    "weight that is NaN": ({"weight": gates(torch.nan)}, "weight must be >= 0 and finite"),
    "weights of other tokens": ({"weight": torch.ones(T + 1)}, "weight must broadcast"),
    "other channels": ({"lam": torch.ones(2, D + 1)}, "broadcast to the heads or|heads and channels"),
    "other heads": ({"lam": torch.ones(3)}, "lam must be a number, or broadcast to the heads"),
    "negative channel": ({"lam": torch.tensor([1.0, 1.0, -1.0, 1.0])}, "lam must be > 0"),
    "gate below zero": ({"decay": gates(-0.1)}, r"decay must be in \[0, 1\]"),
    "gate above one": ({"decay": gates(1.1)}, r"decay must be in \[0, 1\]"),
    "gate that is NaN": ({"decay": gates(torch.nan)}, r"decay must be in \[0, 1\]"),
    "window with gates": ({"decay": 0.9, "window": W}, "cannot be combined"),
    "ids that come back": ({"document_ids": torch.arange(T) % 2}, "document_ids come back"),
    "ids of other tokens": ({"document_ids": torch.ones(T + 1).long()}, "must broadcast"),
    "too few tokens": ({"cu_seqlens": torch.tensor([0, 5])}, "lead from 0 to the number"),
    "documents that go back": ({"cu_seqlens": torch.tensor([0, 8, 5, T])}, "not decrease"),
}  # fmt: skip


def applies(form, bad):
    """Whether this mistake can be made in this form."""
    options = WRONG[bad][0]
    if "decay" in options and "window" not in options:
        return form not in ("full", "window", "packed window")
    if "window" in options:
        return form != "full"
    return form != "full" or not {"document_ids", "cu_seqlens"} & set(options)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(
    ("form", "bad"), [(f, b) for f in FORMS for b in WRONG if applies(f, b)]
)
def test_what_does_not_fit_is_refused_in_every_form(form, bad, before):
    wrong, message = WRONG[bad]
    options = with_state(form) if before else FORMS[form]
    if {"document_ids", "cu_seqlens"} & set(wrong):
        options = {k: v for k, v in options.items() if k != "cu_seqlens"}
        options.pop("state", None)
    with pytest.raises(ValueError, match=message):
        ridge_attention(Q, K, V, **{"lam": 0.5} | options | wrong)


@pytest.mark.parametrize("form", FORMS)
def test_a_weight_of_zero_is_a_pair_of_zeros(form):
    """In outputs, and, where there is one, in the state."""
    weight = torch.rand(2, T, generator=draw).double()
    weight[:, [0, 6, T - 1]] = 0
    kept = torch.where(weight > 0, weight, 1.0)
    keep = (weight > 0)[..., None]
    options = with_state(form)
    full = form != "packed window"
    found, want = (
        ridge_attention(Q, k, v, 0.5, weight=w, full_output=full, **options)
        for k, v, w in ((K, V, weight), (K * keep, V * keep, kept))
    )
    if not full:
        torch.testing.assert_close(found, want, rtol=1e-10, atol=1e-12)
        return
    ones = torch.ones(*found.state.heads, D, dtype=torch.float64)
    for x, y in (
        (found.output, want.output),
        (found.state.gram, want.state.gram),
        (found.state.attend(ones), want.state.attend(ones)),
    ):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("decay", [None, 0.9])
def test_a_state_is_told_a_weight_of_zero(decay):
    """It learns nothing, but a gate fades what it knows."""
    known = RidgeAttentionState(0.5, D, 3, (2,), dtype=torch.float64).update(K, V)
    told = known.clone().update(K[:, 0], V[:, 0], decay, weight=torch.zeros(2))
    torch.testing.assert_close(
        told.gram, (decay or 1.0) * known.gram, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_padding_may_hold_anything_in_every_form(form, before):
    """Also a whole document; what is unmasked is refused, and the error says where."""
    keep = torch.ones(2, T, dtype=torch.bool)
    keep[1, 5:] = False  # the second document of the second head
    spoilt = [torch.where(keep[..., None], x, torch.nan) for x in (Q, K, V)]
    asked = spoilt[0] if form != "full" else Q
    full = form != "packed window"
    options = with_state(form) if before else FORMS[form]
    options = options | {"key_mask": keep, "full_output": full}
    found, want = (
        ridge_attention(*x, 0.5, **options) for x in ((asked, *spoilt[1:]), (Q, K, V))
    )
    if full:
        torch.testing.assert_close(found.state.gram, want.state.gram, rtol=0, atol=0)
        found, want = found.output, want.output
    assert torch.equal(found, want)
    if form != "full":
        assert not found[1, 5:].any()
    with pytest.raises(ValueError, match=r"contains nan at \(1, 5, 0\); mask it with"):
        ridge_attention(asked, *spoilt[1:], 0.5, **FORMS[form])


IDS = {"cu_seqlens": torch.tensor([0, 3, 8])}
LAYER = {
    "ids that come back": (lambda: mixer()(X, document_ids=torch.arange(8)[None] % 2), "document_ids come back"),
    "ids of other tokens": (lambda: mixer()(X, document_ids=torch.ones(2, 9).long()), "document_ids must broadcast"),
    "too few tokens": (lambda: mixer()(X, cu_seqlens=torch.tensor([0, 7])), "lead from 0 to the number of tokens, 8"),
    "a penalty below zero": (lambda: RidgeMixer(8, 2, least_lam=-1.0), "least_lam must be > 0"),
    "NaN that is no padding": (lambda: mixer()(torch.full_like(X, torch.nan)), "contains nan|must be"),
    "penalties of other heads": (lambda: MultiheadRidgeAttention(8, 2, lam=torch.ones(3)), "lam"),
    "a penalty that is zero": (lambda: MultiheadRidgeAttention(8, 2, lam=0.0), "lam must be > 0"),
    "a gate above one": (lambda: MultiheadRidgeAttention(8, 2, decay=1.5), r"\[0, 1\]"),
    "a gate below zero": (lambda: MultiheadRidgeAttention(8, 2, decay=-0.5), r"\[0, 1\]"),
}  # fmt: skip
X = normal(2, 8, 8)


def mixer():
    torch.manual_seed(0)
    return RidgeMixer(8, 2, dtype=torch.float64)


@pytest.mark.parametrize("name", LAYER)
def test_what_does_not_fit_a_layer_is_refused(name):
    make, message = LAYER[name]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("options", [{}, IDS])
def test_padding_of_a_mixer_may_hold_anything(options):
    layer, keep = mixer(), torch.ones(2, 8, dtype=torch.bool)
    keep[1, 3:] = False
    spoilt = torch.where(keep[..., None], X, torch.nan)
    found, want = (layer(x, key_mask=keep, **options) for x in (spoilt, X))
    assert torch.equal(found, want) and not found[1, 3:].any()
    torch.testing.assert_close(found[1, :3], layer(X[1:, :3])[0], rtol=1e-10, atol=1e-12)


def model(**more):
    torch.manual_seed(0)
    sizes = dict(vocab_size=20, hidden_size=16, intermediate_size=16, num_hidden_layers=2)
    heads = dict(num_attention_heads=4, num_key_value_heads=2, use_cache=False)
    name = register_ridge_attention()
    config = LlamaConfig(**sizes, **heads, attn_implementation=name, **more)
    return LlamaForCausalLM(config).double().eval()


TOKENS = torch.randint(0, 20, (1, 9), generator=draw)
BOTH = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 4])[None]
MODEL = {
    "documents elsewhere": (lambda: model()(TOKENS, position_ids=BOTH, cu_seq_lens_q=torch.tensor([0, 3, 9])), "begin at different tokens"),
    "too few tokens": (lambda: model()(TOKENS, cu_seq_lens_q=torch.tensor([0, 3, 8])), "must lead from 0 to the 9 tokens"),
    "penalties of other heads": (lambda: model(ridge_lam=[1.0] * 4)(TOKENS), "lam must"),
    "a penalty below zero": (lambda: model(ridge_lam=[1.0, -1.0])(TOKENS), "lam must be > 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODEL)
def test_what_does_not_fit_a_model_is_refused(name):
    make, message = MODEL[name]
    with pytest.raises(ValueError, match=message):
        make()


@torch.no_grad()
def test_padding_of_a_model_may_hold_anything():
    """Also NaN in its embeddings: no other token's answer has it."""
    own, mask = model(), torch.ones(1, 9, dtype=torch.long)
    mask[0, :4] = 0
    seen, x = mask[0].bool(), own.model.embed_tokens(TOKENS)
    spoilt = torch.where(seen[:, None], x, torch.nan)
    found, want = (own(inputs_embeds=y, attention_mask=mask).logits for y in (spoilt, x))
    assert torch.equal(found[:, 4:], want[:, 4:])
