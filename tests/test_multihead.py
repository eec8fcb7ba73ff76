"""The layer of ridge heads: PyTorch's parameters, shapes and masks; the definition, head by head, in every option."""

import copy
import inspect
import io
import itertools
import pickle
import re
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch._subclasses.fake_tensor import FakeTensorMode

from olsattention import (
    MultiheadRidgeAttention,
    RidgeAttentionState,
    combination_weights,
    ensemble_decomposition,
)

E, HEADS = 12, 3


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64).to(dtype)


def pair(seed=0, dtype=torch.float64, softmax=None, **ridge):
    """A ridge layer and a softmax layer with the same random parameters, biases included."""
    options = {"batch_first": True, "dtype": dtype, **(softmax or {})}
    theirs = nn.MultiheadAttention(E, HEADS, **options)
    with torch.no_grad():
        for i, p in enumerate(theirs.parameters()):
            p.copy_(normal(*p.shape, seed=100 * seed + i) / 3)
    ours = MultiheadRidgeAttention(E, HEADS, **options, **ridge)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def projected(layer, x, which):
    """Queries, keys or values of every head, (heads, T, d), of one sequence (T, width), by hand."""
    state, d = layer.state_dict(), E // HEADS
    i = "qkv".index(which)
    W = (
        state["in_proj_weight"][i * E : (i + 1) * E]
        if "in_proj_weight" in state
        else state[f"{which}_proj_weight"]
    )
    y = x @ W.T
    if "in_proj_bias" in state:
        y = y + state["in_proj_bias"][i * E : (i + 1) * E]
    return torch.stack([y[:, h * d : (h + 1) * d] for h in range(HEADS)])


def definition(layer, query, key, value, lams, causal=False, ignored=(), decay=1.0):
    """(7b.1) of one sequence: output (L, E) and weights (heads, L, S); a least-squares problem a query and head."""
    q, k, v = (projected(layer, x, w) for x, w in zip((query, key, value), "qkv"))
    L, S, d = len(query), len(key), E // HEADS
    weights = np.zeros((HEADS, L, S))
    for h, t in itertools.product(range(HEADS), range(L)):
        known = [s for s in range(t + 1 if causal else S) if s not in ignored]
        if not known or (causal and t in ignored):
            continue
        age = [sum(1 for r in known if r > s) for s in known]
        root = np.sqrt(decay ** np.array(age))[:, None]
        design = np.vstack([root * k[h][known].numpy(), np.sqrt(lams[h]) * np.eye(d)])
        # the answer is linear in the outcomes: its weights are those of the unit outcomes
        unit = np.vstack([root * np.eye(len(known)), np.zeros((d, len(known)))])
        weights[h, t, known] = (
            q[h][t].numpy() @ np.linalg.lstsq(design, unit, rcond=None)[0]
        )
    weights = torch.tensor(weights)
    out = torch.cat(list(weights @ v), -1) @ layer.state_dict()["out_proj.weight"].T
    bias = layer.state_dict().get("out_proj.bias")
    return out if bias is None else out + bias, weights


def close(got, want, tol=1e-10):
    torch.testing.assert_close(got, want, rtol=tol, atol=tol)


# ---- the definition ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("lam", [0.3, [0.1, 1.0, 10.0]])
def test_output_and_weights_are_those_of_the_definition(causal, padded, lam):
    ours, _ = pair(lam=lam)
    lams = [lam] * 3 if isinstance(lam, float) else lam
    x = normal(2, 9, E)
    key = x if causal else normal(2, 11, E, seed=1)
    value = normal(2, key.shape[1], E, seed=2)
    mask = torch.zeros(2, key.shape[1], dtype=torch.bool)
    mask[0, :2] = mask[1, 5] = True
    options = {"is_causal": causal, "key_padding_mask": mask if padded else None}
    output, weights = ours(x, key, value, average_attn_weights=False, **options)
    for b in range(2):
        ignored = set(mask[b].nonzero()[:, 0].tolist()) if padded else ()
        want = definition(ours, x[b], key[b], value[b], lams, causal, ignored)
        close(output[b], want[0])
        close(weights[b], want[1])
    average = ours(x, key, value, **options)[1]
    close(average, weights.mean(1))
    without, none = ours(x, key, value, need_weights=False, **options)
    assert none is None and torch.equal(without, output)


def test_decay_is_that_of_weighted_regressions():
    ours, _ = pair(lam=0.4, decay=0.8)
    x = normal(10, E)
    mask = torch.zeros(10, dtype=torch.bool)
    mask[[3, 4]] = True
    got = ours(x, x, x, mask, is_causal=True, average_attn_weights=False)
    want = definition(ours, x, x, x, [0.4] * 3, True, {3, 4}, 0.8)
    close(got[0], want[0])
    close(got[1], want[1])
    with pytest.raises(ValueError, match="is_causal=True"):
        ours(x, x, x)


@pytest.mark.parametrize("causal", [False, True])
def test_a_learned_pair_is_one_more_observation(causal):
    ours, _ = pair(softmax={"add_bias_kv": True}, lam=0.5)
    x = normal(2, 7, E)
    output, weights = ours(x, x, x, is_causal=causal, average_attn_weights=False)
    assert weights.shape == (2, HEADS, 7, 8)
    k, v = (projected(ours, x[0], w) for w in "kv")
    q = projected(ours, x[0], "q")
    first = [b.detach().reshape(HEADS, 1, -1) for b in (ours.bias_k, ours.bias_v)]
    k, v = (torch.cat([z, b], 1) for z, b in zip((k, v), first))
    heads = []
    for t in range(7):
        known = [*range(t + 1 if causal else 7), 7]
        A = k[:, known].mT @ k[:, known] + 0.5 * torch.eye(4).double()
        heads.append(q[:, t : t + 1] @ torch.linalg.solve(A, k[:, known].mT @ v[:, known]))
    heads = torch.cat(heads, 1)
    want = torch.cat(list(heads), -1) @ ours.out_proj.weight.T + ours.out_proj.bias
    close(output[0], want.detach())
    close((weights[0] @ v).detach(), heads)


def test_a_key_of_zero_teaches_nothing():
    plain, _ = pair(softmax={"add_bias_kv": True})
    options = {"batch_first": True, "add_bias_kv": True, "dtype": torch.float64}
    zero = MultiheadRidgeAttention(E, HEADS, add_zero_attn=True, **options)
    zero.load_state_dict(plain.state_dict())
    x = normal(2, 7, E)
    (got, weights), (want, fewer) = zero(x, x, x), plain(x, x, x)
    assert torch.equal(got, want) and (weights[..., -1] == 0).all()
    assert torch.equal(weights[..., :-1], fewer)


# ---- as nn.MultiheadAttention ------------------------------------------------------------------------------


def test_signatures_begin_as_pytorchs():
    for name in ("__init__", "forward"):
        theirs, ours = (
            inspect.signature(getattr(kind, name)).parameters
            for kind in (nn.MultiheadAttention, MultiheadRidgeAttention)
        )
        both = [(list(p), [x.default for x in p.values()]) for p in (theirs, ours)]
        assert [part[: len(theirs)] for part in both[1]] == list(both[0])


LAYOUTS = {
    "packed": {},
    "no bias": {"bias": False},
    "other widths": {"kdim": 5, "vdim": 7},
    "one other width": {"kdim": 5},
    "learned pair": {"add_bias_kv": True},
    "zero": {"add_zero_attn": True},
    "all": {"kdim": 5, "vdim": 7, "add_bias_kv": True, "add_zero_attn": True},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_parameters_names_order_and_first_values_are_pytorchs(name):
    made = []
    for kind in (nn.MultiheadAttention, MultiheadRidgeAttention):
        torch.manual_seed(3)
        made.append(kind(E, HEADS, **LAYOUTS[name]))
    theirs, ours = (dict(m.named_parameters()) for m in made)
    assert list(ours) == list(theirs) and list(made[1].state_dict()) == list(
        made[0].state_dict()
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    made[1].load_state_dict(made[0].state_dict(), strict=True)
    made[0].load_state_dict(made[1].state_dict(), strict=True)


def test_a_softmax_layer_loads_into_learned_penalties_and_they_are_saved():
    ours = nn.Sequential(MultiheadRidgeAttention(E, HEADS, lam="learned"))
    nn.init.constant_(ours[0].log_lam, 2.0)
    theirs = nn.Sequential(nn.MultiheadAttention(E, HEADS))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert (ours[0].log_lam == 2.0).all()
    again = nn.Sequential(MultiheadRidgeAttention(E, HEADS, lam="learned"))
    again.load_state_dict(ours.state_dict())
    assert (again[0].log_lam == 2.0).all()
    broken = {k: v for k, v in theirs.state_dict().items() if "in_proj_weight" not in k}
    with pytest.raises(RuntimeError, match="in_proj_weight"):
        ours.load_state_dict(broken)
    with pytest.raises(
        RuntimeError, match="log_lam"
    ):  # the other way round it is one too many
        theirs.load_state_dict(ours.state_dict())


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("average", [False, True])
def test_shapes_are_pytorchs(name, batch_first, batched, average):
    layout = {**LAYOUTS[name], "batch_first": batch_first, "dtype": torch.float64}
    ours, theirs = (
        kind(E, HEADS, **layout)
        for kind in (MultiheadRidgeAttention, nn.MultiheadAttention)
    )
    lead = (lambda T: (2, T) if batch_first else (T, 2)) if batched else (lambda T: (T,))
    x = [normal(*lead(T), w) for T, w in ((4, E), (6, ours.kdim), (6, ours.vdim))]
    mask = (
        torch.zeros(2, 6, dtype=torch.bool) if batched else torch.zeros(6, dtype=torch.bool)
    )
    for padding in (None, mask):
        got, want = (m(*x, padding, average_attn_weights=average) for m in (ours, theirs))
        assert [g.shape for g in got] == [w.shape for w in want]
    assert ours(*x, need_weights=False)[1] is None


def test_the_order_of_axes_changes_nothing():
    first, _ = pair()
    later = copy.deepcopy(first)
    later.batch_first = False
    x, memory = normal(2, 5, E), normal(2, 8, E, seed=1)
    mask = torch.zeros(2, 8, dtype=torch.bool)
    mask[0, 6:] = True
    got = later(x.transpose(0, 1), memory.transpose(0, 1), memory.transpose(0, 1), mask)
    want = first(x, memory, memory, mask)
    close(got[0].transpose(0, 1), want[0], 1e-12)
    close(got[1], want[1], 1e-12)
    alone = first(x[1], memory[1], memory[1], mask[1])
    close(alone[0], want[0][1], 1e-12)
    close(alone[1], want[1][1], 1e-12)


@pytest.mark.parametrize(
    "what", ["same tensor", "same key and value", "all different objects"]
)
def test_one_projection_or_three(what):
    ours, _ = pair()
    x, y = normal(2, 6, E), normal(2, 6, E, seed=1)
    q, kv = (x, x) if what == "same tensor" else (x, y)
    got = ours(q, kv, kv if what != "all different objects" else kv.clone())[0]
    close(got, ours(q.clone(), kv.clone(), kv.clone())[0], 1e-12)


# ---- masks -------------------------------------------------------------------------------------------------


def causal_masks(T, N=2):
    number = nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64)
    truth = torch.ones(T, T).triu(1).bool()
    return {"bool": truth, "number": number, "of heads": truth.expand(N * HEADS, T, T)}


@pytest.mark.parametrize("kind", ["bool", "number", "of heads"])
@pytest.mark.parametrize("hint", [False, True])
@pytest.mark.parametrize("T", [1, 2, 7])
def test_the_causal_mask_is_recognised(kind, hint, T):
    ours, _ = pair()
    x = normal(2, T, E)
    got = ours(x, x, x, attn_mask=causal_masks(T)[kind], is_causal=hint)
    want = ours(x, x, x, is_causal=True)
    for g, w in zip(got, want):
        close(g, w, 1e-12)
    assert (got[1].triu(1) == 0).all()


def test_masks_that_hide_nothing_are_none():
    ours, _ = pair()
    x = normal(2, 5, E)
    want = ours(x, x, x)[0]
    for mask in (torch.zeros(5, 5), torch.zeros(6, 5, 5, dtype=torch.bool)):
        assert torch.equal(ours(x, x, x, attn_mask=mask)[0], want)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), number=st.booleans())
def test_any_other_mask_is_refused(seed, number):
    ours, _ = pair()
    x = normal(1, 4, E)
    hidden = torch.rand(4, 4, generator=rng(seed)) < 0.5
    mask = torch.zeros(4, 4).masked_fill(hidden, float("-inf")) if number else hidden
    allowed = not hidden.any() or torch.equal(hidden, causal_masks(4)["bool"])
    if allowed:
        ours(x, x, x, attn_mask=mask)
    else:
        with pytest.raises(ValueError, match="causal mask"):
            ours(x, x, x, attn_mask=mask)
        with pytest.raises(ValueError, match="causal mask"):
            ours(x, x, x, attn_mask=mask, is_causal=True)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("number", [False, True])
def test_what_is_ignored_may_be_anything(causal, number):
    """In output, weights and gradients; the others answer as if it were not there."""
    ours, _ = pair()
    ignored = torch.tensor([[False] * 6, [False, True, False, False, True, True]])
    mask = torch.zeros(2, 6).masked_fill(ignored, float("-inf")) if number else ignored
    clean = normal(2, 6, E)
    dirty = clean.masked_fill(ignored[..., None], float("nan")).requires_grad_()
    query = dirty if causal else clean
    output, weights = ours(query, dirty, dirty, mask, is_causal=causal)
    assert output.isfinite().all() and weights.isfinite().all()
    assert (weights[1][:, ignored[1]] == 0).all()
    rows = [0, 2, 3] if causal else list(range(6))
    kept = clean[1, ~ignored[1]]
    alone = ours(clean[1, rows], kept, kept, is_causal=causal)[0]
    close(output[1, rows], alone)
    output.square().sum().backward()
    assert dirty.grad.isfinite().all() and (dirty.grad[ignored] == 0).all()
    assert all(p.grad.isfinite().all() for p in ours.parameters())


def test_padding_of_self_attention_may_be_anything():
    """Where it holds NaN it asks as if it were zero; a query that is no padding may not."""
    ours, _ = pair()
    ignored = torch.tensor([[False] * 6, [False, True, False, False, True, True]])
    clean = normal(2, 6, E)
    clean[1, 4] = 0.5  # padding need not be NaN
    dirty = clean.clone()
    dirty[1, 1, 2], dirty[1, 5] = float("nan"), float("inf")
    dirty.requires_grad_()
    output, weights = ours(dirty, dirty, dirty, ignored)
    want = ours(clean, clean, clean, ignored)[0]
    keep = [0, 2, 3, 4]
    close(output[0], want[0], 1e-14)
    close(output[1, keep], want[1, keep], 1e-14)
    assert weights.isfinite().all()
    zero = ours(torch.zeros_like(clean), clean, clean, ignored)[0]
    close(output[1, [1, 5]], zero[1, [1, 5]], 1e-14)
    output.square().sum().backward()
    assert all(x.grad.isfinite().all() for x in (dirty, *ours.parameters()))
    with pytest.raises(ValueError, match="query contains nan"):
        ours(dirty.clone(), dirty, dirty, ignored)


def test_a_query_sees_no_future():
    ours, _ = pair(softmax={"add_bias_kv": True})
    x = normal(1, 80, E)
    before = ours(x, x, x, is_causal=True)[0]
    changed = x.clone()
    changed[:, 50:] = 1e3
    after = ours(changed, changed, changed, is_causal=True)[0]
    close(after[:, :50], before[:, :50], 1e-12)


# ---- decoding ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [[0, 25], [0, *range(1, 26)], [0, 1, 9, 10, 11, 25]])
@pytest.mark.parametrize("options", [{}, {"decay": 0.9}])
@pytest.mark.parametrize("layout", ["packed", "learned pair", "no bias"])
@pytest.mark.parametrize("padded", [False, True])
def test_steps_are_the_causal_layer(cuts, options, layout, padded):
    ours, _ = pair(softmax=LAYOUTS[layout], lam="learned", **options)
    x, y = normal(2, 25, E), normal(2, 25, E, seed=1)
    mask = torch.zeros(2, 25, dtype=torch.bool)
    mask[0, :4] = mask[1, 10] = padded
    want = ours(x, x, y, mask, is_causal=True)[0]
    state, answers = None, []
    for a, b in itertools.pairwise(cuts):
        part = mask[:, a:b] if padded else None
        new, next_state = ours.step(x[:, a:b], x[:, a:b], y[:, a:b], state, part)
        if state is not None:  # calling again from the same state gives the same
            close(ours.step(x[:, a:b], x[:, a:b], y[:, a:b], state, part)[0], new, 1e-13)
        state, answers = next_state, [*answers, new]
    close(torch.cat(answers, 1), want)
    assert isinstance(state, RidgeAttentionState) and state.heads == (2, HEADS)


def test_steps_in_other_orders_of_axes():
    ours, _ = pair()
    x = normal(6, 2, E)
    ours.batch_first = False
    want = ours(x, x, x, is_causal=True)[0]
    state, answers = None, []
    for t in range(6):
        out, state = ours.step(*[x[t : t + 1]] * 3, state)
        answers.append(out)
    close(torch.cat(answers), want)
    out, state = ours.step(*[x[:5, 1]] * 3)
    last, _ = ours.step(*[x[5:, 1]] * 3, state)
    close(torch.cat([out, last]), want[:, 1])


def test_a_step_can_be_differentiated():
    ours, _ = pair(lam="learned")
    x = normal(1, 5, E)
    _, state = ours.step(x[:, :4], x[:, :4], x[:, :4])
    ours.step(x[:, 4:], x[:, 4:], x[:, 4:], state)[0].square().sum().backward()
    by_step = {name: p.grad.clone() for name, p in ours.named_parameters()}
    ours.zero_grad()
    ours(x, x, x, is_causal=True)[0][:, 4:].square().sum().backward()
    for name, p in ours.named_parameters():
        close(by_step[name], p.grad)


# ---- derivatives, dtypes, copies ---------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("layout", ["packed", "all"])
def test_derivatives(causal, layout):
    options = {**LAYOUTS[layout], "dtype": torch.float64, "batch_first": True}
    ours = MultiheadRidgeAttention(4, 2, lam="learned", **options)
    names, parameters = zip(*ours.named_parameters())
    x = [normal(1, 3, w).requires_grad_() for w in (4, ours.kdim, ours.vdim)]
    mask = torch.tensor([[False, True, False]])

    def f(q, k, v, *values):
        return torch.func.functional_call(
            ours, dict(zip(names, values)), (q, k, v, mask), {"is_causal": causal}
        )

    assert torch.autograd.gradcheck(f, (*x, *parameters))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("causal", [False, True])
def test_half_precision(dtype, causal):
    double, _ = pair(lam="learned")
    half = copy.deepcopy(double).to(dtype)
    x = normal(2, 20, E, dtype=dtype)
    output, weights = half(x, x, x, is_causal=causal)
    assert output.dtype == weights.dtype == dtype
    want = double(x.double(), x.double(), x.double(), is_causal=causal)[0]
    # projections of twelve numbers rounded to half precision, and a regression that may amplify them a few times
    assert (output.double() - want).norm() <= 30 * torch.finfo(dtype).eps * want.norm()
    first, state = half.step(x[:, :19], x[:, :19], x[:, :19])
    last, state = half.step(x[:, 19:], x[:, 19:], x[:, 19:], state)
    assert last.dtype == dtype and state.R.dtype == torch.float32
    if causal:
        apart = (torch.cat([first, last], 1).double() - output.double()).norm()
        assert apart <= 4 * torch.finfo(dtype).eps * want.norm()


def test_autocast():
    ours, _ = pair(dtype=torch.float32)
    x = normal(2, 20, E, dtype=torch.float32)
    want = ours(x, x, x, is_causal=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = ours(x, x, x, is_causal=True)
        out, state = ours.step(x[:, :1], x[:, :1], x[:, :1])
        out, state = ours.step(x[:, 1:2], x[:, 1:2], x[:, 1:2], state)
    assert got[0].dtype == torch.bfloat16 and state.R.dtype == torch.float32
    assert (got[0] - want[0]).norm() <= 30 * torch.finfo(torch.bfloat16).eps * want[
        0
    ].norm()
    assert (out[:, 0] - got[0][:, 1]).norm() <= 0.05 * out.norm()


@pytest.mark.parametrize("lam", [0.5, [0.1, 1.0, 10.0], "learned"])
def test_copies_are_the_same_layer(lam):
    ours, _ = pair(lam=lam, decay=0.9)
    x = normal(2, 6, E)
    want = ours(x, x, x, is_causal=True)[0]
    buffer = io.BytesIO()
    torch.save(ours, buffer)
    buffer.seek(0)
    for again in (
        copy.deepcopy(ours),
        pickle.loads(pickle.dumps(ours)),
        torch.load(buffer, weights_only=False),
    ):
        assert torch.equal(again(x, x, x, is_causal=True)[0], want)
        assert repr(again) == repr(ours)


def test_penalties_may_be_given_in_many_ways():
    for lam in (2, 2.0, np.float32(2), torch.tensor(2.0), [2, 2, 2], np.full(3, 2.0)):
        assert MultiheadRidgeAttention(E, HEADS, lam=lam).lam.tolist() == [2.0] * 3


def test_what_a_layer_says_of_itself():
    text = repr(MultiheadRidgeAttention(E, HEADS, kdim=5, lam=[3.0, 1.0, 2.0], decay=0.9))
    assert "lam=[3.0, 1.0, 2.0], kdim=5, decay=0.9, batch_first=False" in text
    assert "lam=0.5, batch_first=True" in repr(
        MultiheadRidgeAttention(E, HEADS, lam=0.5, batch_first=True)
    )
    assert "lam='learned'" in repr(MultiheadRidgeAttention(E, HEADS, lam="learned"))


def test_penalties_learn():
    ours = MultiheadRidgeAttention(E, HEADS, lam="learned", batch_first=True)
    x, target = (
        normal(8, 30, E, dtype=torch.float32),
        normal(8, 30, E, seed=1, dtype=torch.float32),
    )
    optimiser = torch.optim.Adam(ours.parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = (ours(x, x, x)[0] - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] and (ours.log_lam.detach() != 0).all()
    assert torch.equal(ours.lam, ours.log_lam.exp())


# ---- PyTorch's layers --------------------------------------------------------------------------------------


def encoder(layers=2, heads=4, **options):
    """An encoder whose attention modules are ridge layers of the same parameters; an even number of heads."""
    made = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(
            E, heads, 24, dropout=0.0, batch_first=True, dtype=torch.float64, **options
        ),
        layers,
    )
    for layer in made.layers:
        ridge = MultiheadRidgeAttention(E, heads, batch_first=True, dtype=torch.float64)
        ridge.load_state_dict(layer.self_attn.state_dict())
        layer.self_attn = ridge
    return made


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.filterwarnings("ignore:.*nested", "ignore:.*mismatched src_key_padding_mask")
def test_encoders_evaluate_what_they_train(causal, padded, norm_first):
    """Their fast path would compute softmax attention from the same parameters, in silence."""
    made = encoder(norm_first=norm_first)
    x = normal(2, 8, E)
    options = {}
    if causal:
        options["mask"] = nn.Transformer.generate_square_subsequent_mask(
            8, dtype=torch.float64
        )
    keep = torch.ones(2, 8, dtype=torch.bool)
    if padded:
        keep[1, 5:] = False
        options["src_key_padding_mask"] = ~keep
    training = made(x, **options)
    with torch.no_grad():
        evaluating = made.eval()(x, **options)
    close(evaluating[keep], training[keep], 1e-12)
    softmax = nn.TransformerEncoderLayer(
        E, 4, 24, dropout=0.0, batch_first=True, dtype=torch.float64, norm_first=norm_first
    )
    softmax.load_state_dict(made.layers[0].state_dict())
    one = made.layers[0](x)
    assert (softmax.eval()(x) - one).abs().max() > 1e-3


@pytest.mark.filterwarnings("ignore:.*nested")
def test_nested_tensors_are_padded_sequences():
    ours, _ = pair()
    parts = [normal(n, E, seed=n) for n in (5, 3)]
    nested = torch.nested.as_nested_tensor(parts)
    out, weights = ours(nested, nested, nested, need_weights=False)
    assert out.is_nested and weights is None
    for got, x in zip(out.unbind(), parts):
        close(got, ours(x, x, x)[0])
    with pytest.raises(ValueError, match="need_weights=False"):
        ours(nested, nested, nested)


def test_a_decoder_layer_attends_to_itself_and_to_memory():
    made = nn.TransformerDecoderLayer(
        E, HEADS, 24, dropout=0.0, batch_first=True, dtype=torch.float64
    )
    for name in ("self_attn", "multihead_attn"):
        ridge, _ = pair(seed=len(name))
        setattr(made, name, ridge)
    x, memory = normal(2, 6, E), normal(2, 9, E, seed=1)
    hide = nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64)
    out = made(x, memory, tgt_mask=hide)
    y = made.norm1(x + made.self_attn(x, x, x, is_causal=True)[0])
    y = made.norm2(y + made.multihead_attn(y, memory, memory)[0])
    want = made.norm3(y + made.linear2(made.linear1(y).relu()))
    close(out, want)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("causal", "lam", "padding"),
    [(True, [0.5, 1.0, 2.0], "bool"), (False, "learned", "number")],
)
def test_compiles_without_a_break(causal, lam, padding):
    torch._dynamo.reset()
    ours, _ = pair(dtype=torch.float32, lam=lam)
    x = normal(2, 40, E, dtype=torch.float32).requires_grad_()
    mask = torch.zeros(2, 40).bool()
    mask[1, 35:] = True
    mask = (
        mask if padding == "bool" else torch.zeros(2, 40).masked_fill(mask, float("-inf"))
    )
    hide = causal_masks(40)["number"].float() if causal else None

    def f(x):
        return ours(x, x, x, mask, attn_mask=hide, is_causal=causal)

    got, want = torch.compile(f, fullgraph=True)(x), f(x)
    for g, w in zip(got, want):
        torch.testing.assert_close(g, w, rtol=1e-4, atol=1e-5)
    grads = [torch.autograd.grad(o[0].square().sum(), x)[0] for o in (got, want)]
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
def test_on_a_gpu():
    ours, _ = pair(dtype=torch.float32, lam=[0.5, 1.0, 2.0])
    x, mask = normal(2, 40, E, dtype=torch.float32), torch.zeros(2, 40).bool()
    mask[1, 30:] = True
    for causal in (False, True):
        want = ours(x, x, x, mask, is_causal=causal)
        got = copy.deepcopy(ours).cuda()(*[x.cuda()] * 3, mask.cuda(), is_causal=causal)
        for g, w in zip(got, want):
            torch.testing.assert_close(g.cpu(), w, rtol=1e-3, atol=1e-4)


# ---- bad input ---------------------------------------------------------------------------------------------

LAYER = MultiheadRidgeAttention(E, HEADS, batch_first=True, dtype=torch.float64)
X = normal(2, 5, E)
BAD = {
    "dropout": (
        lambda: MultiheadRidgeAttention(E, HEADS, 0.1),
        ValueError,
        "put nn.Dropout",
    ),
    "heads": (lambda: MultiheadRidgeAttention(E, 5), ValueError, "multiple of num_heads"),
    "no heads": (
        lambda: MultiheadRidgeAttention(E, 0),
        ValueError,
        "multiple of num_heads",
    ),
    "lam 0": (lambda: MultiheadRidgeAttention(E, 3, lam=0), ValueError, "lam must be > 0"),
    "lam of heads": (
        lambda: MultiheadRidgeAttention(E, 3, lam=[1.0, 2.0]),
        ValueError,
        "one for each head, got 2",
    ),
    "lam text": (lambda: MultiheadRidgeAttention(E, 3, lam="gcv"), TypeError, '"learned"'),
    "lam True": (lambda: MultiheadRidgeAttention(E, 3, lam=True), TypeError, '"learned"'),
    "lam None": (lambda: MultiheadRidgeAttention(E, 3, lam=None), TypeError, '"learned"'),
    "decay": (lambda: MultiheadRidgeAttention(E, 3, decay=1.5), ValueError, r"\[0, 1\]"),
    "decay text": (
        lambda: MultiheadRidgeAttention(E, 3, decay="x"),
        TypeError,
        "decay must be",
    ),
    "no tensor": (lambda: LAYER(X, X.numpy(), X), TypeError, "key must be a torch.Tensor"),
    "no query": (lambda: LAYER(X.numpy(), X, X), TypeError, "query must be a torch.Tensor"),
    "dtype": (
        lambda: LAYER(X.float(), X, X),
        TypeError,
        "query is torch.float32 but the layer",
    ),
    "width": (
        lambda: LAYER(X, X[..., :7], X),
        ValueError,
        r"key must have shape \(N, T, 12\)",
    ),
    "dimensions": (lambda: LAYER(X, X[0], X[0]), ValueError, "key must have shape"),
    "batch": (lambda: LAYER(X, X[:1], X[:1]), ValueError, "the same batch"),
    "length": (lambda: LAYER(X, X, X[:, :4]), ValueError, "the same length"),
    "padding shape": (
        lambda: LAYER(X, X, X, torch.zeros(2, 4).bool()),
        ValueError,
        r"a value for every key, \(2, 5\)",
    ),
    "padding dtype": (lambda: LAYER(X, X, X, torch.zeros(2, 5).long()), TypeError, "bool"),
    "padding list": (
        lambda: LAYER(X, X, X, [[False] * 5] * 2),
        TypeError,
        "must be a tensor",
    ),
    "padding numbers": (
        lambda: LAYER(X, X, X, torch.ones(2, 5)),
        ValueError,
        "no scores to which 1 could be added",
    ),
    "mask shape": (
        lambda: LAYER(X, X, X, attn_mask=torch.zeros(4, 5)),
        ValueError,
        r"attn_mask must have shape \(5, 5\) or \(6, 5, 5\)",
    ),
    "mask list": (
        lambda: LAYER(X, X, X, attn_mask=[[0.0]], is_causal=True),
        TypeError,
        "must be a tensor",
    ),
    "mask numbers": (
        lambda: LAYER(X, X, X, attn_mask=torch.full((5, 5), 0.5)),
        ValueError,
        "no scores",
    ),
    "causal, fewer queries": (
        lambda: LAYER(X[:, :3], X, X, is_causal=True),
        ValueError,
        "a query for every key",
    ),
    "NaN": (lambda: LAYER(X, X * float("nan"), X), ValueError, "key contains nan"),
    "step": (lambda: LAYER.step(X[:, :1], X, X), ValueError, "a query for every key"),
    "step of another batch": (
        lambda: LAYER.step(*[X[:1, :1]] * 3, LAYER.step(X, X, X)[1]),
        ValueError,
        "state must be of 1 sequences and 3 heads",
    ),
    "steps of another batch": (
        lambda: LAYER.step(*[X[:1, :2]] * 3, LAYER.step(X, X, X)[1]),
        ValueError,
        "state must be of 1 sequences and 3 heads",
    ),
    "heads as floats": (
        lambda: MultiheadRidgeAttention(E, 3.0),
        TypeError,
        "must be integers, got 12 and 3.0",
    ),
    "gradient of lam": (
        lambda: MultiheadRidgeAttention(E, 3, lam=torch.ones(3, requires_grad=True)),
        ValueError,
        'pass lam="learned"',
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_say_what_is_wrong(name):
    call, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        call()


def test_nothing_to_attend_to():
    empty = normal(2, 0, E)
    output, weights = LAYER(X, empty, empty)
    assert weights.shape == (2, 5, 0) and torch.equal(
        output, LAYER.out_proj.bias.expand(2, 5, E)
    )
    assert LAYER(empty, empty, empty, is_causal=True)[0].shape == (2, 0, E)
    assert LAYER(X[:0], X[:0], X[:0])[0].shape == (0, 5, E)


@pytest.mark.parametrize("options", [{}, {"decay": 0.9}, {"add_bias_kv": True}])
@pytest.mark.parametrize("padded", [False, True])
def test_steps_of_no_sequence(options, padded):
    layer = MultiheadRidgeAttention(E, HEADS, batch_first=True, **options)
    state = None
    for tokens in (3, 1, 1, 0, 2):
        x = torch.zeros(0, tokens, E)
        mask = torch.zeros(0, tokens, dtype=torch.bool) if padded else None
        out, state = layer.step(x, x, x, state, mask)
        assert out.shape == (0, tokens, E)
    assert state.heads == (0, HEADS) and state.count == 7 + len(options) * (
        "add_bias_kv" in options
    )


@pytest.mark.parametrize("N", [HEADS, 1])
def test_gates_are_of_sequences_where_there_are_as_many_as_heads(N):
    """With padding a step has a gate for each sequence, which is no gate for each head."""
    layer = MultiheadRidgeAttention(E, HEADS, batch_first=True, decay=0.6).double()
    x = normal(N, 9, E)
    mask = torch.zeros(N, 9, dtype=torch.bool)
    mask[0, 3:6] = True
    want, state, answers = layer(x, x, x, mask, is_causal=True)[0], None, []
    for t in range(9):
        one = x[:, t : t + 1]
        out, state = layer.step(one, one, one, state, mask[:, t : t + 1])
        answers.append(out)
    close(torch.cat(answers, 1), want)
    everything = torch.ones(2, 5, dtype=torch.bool)
    assert torch.equal(LAYER(X, X, X, everything)[0], LAYER.out_proj.bias.expand(2, 5, E))


# ---- ensembles ---------------------------------------------------------------------------------------------


def by_loops(f, t):
    """The terms from their definitions, one number at a time."""
    M, R, n = f.shape
    average = [[sum(f[i, r, k] for i in range(M)) / M for k in range(n)] for r in range(R)]

    def cov(i, j, k):
        first, second = f[i, :, k] - f[i, :, k].mean(), f[j, :, k] - f[j, :, k].mean()
        return sum(first[r] * second[r] for r in range(R)) / R

    points = range(n)
    pairs = [(i, j) for i in range(M) for j in range(M) if i != j]
    return {
        "error": sum((average[r][k] - t[k]) ** 2 for r in range(R) for k in points) / R / n,
        "bias": sum(
            (sum(f[i, :, k].mean() for i in range(M)) / M - t[k]) ** 2 for k in points
        )
        / n,
        "variance": sum(cov(i, i, k) for i in range(M) for k in points) / M / n,
        "covariance": sum(cov(i, j, k) for i, j in pairs for k in points)
        / max(len(pairs), 1)
        / n,
        "ambiguity": sum(
            (f[i, r, k] - average[r][k]) ** 2
            for i in range(M)
            for r in range(R)
            for k in points
        )
        / (M * R * n),
    }


@settings(max_examples=60, deadline=None)
@given(
    M=st.integers(1, 5),
    R=st.integers(2, 6),
    n=st.integers(1, 4),
    seed=st.integers(0, 9999),
    shift=st.sampled_from([0.0, 1e3]),
)
def test_decompositions_are_identities(M, R, n, seed, shift):
    g = np.random.default_rng(seed)
    f, t = (
        g.normal(size=(M, R, n)) + g.normal(size=(M, 1, n)) + shift,
        g.normal(size=n) + shift,
    )
    parts, wanted = ensemble_decomposition(f, t), by_loops(f, t)
    for name, value in wanted.items():
        assert np.isclose(getattr(parts, name), value, rtol=1e-9, atol=1e-9)
    total = parts.bias + parts.variance / M + (1 - 1 / M) * parts.covariance
    assert np.isclose(parts.error, total, rtol=1e-12)
    assert np.isclose(
        parts.error, parts.member_error - parts.ambiguity, rtol=1e-12, atol=1e-12
    )
    assert np.isclose(parts.error_matrix.mean(), parts.error, rtol=1e-12)
    assert parts.heads == M and parts.to_frame().loc["error", "value"] == parts.error


def test_tensors_in_tensors_out():
    f, t = normal(3, 5, 4, 2).requires_grad_(), normal(4, 2, seed=1)
    parts = ensemble_decomposition(f, t)
    want = ensemble_decomposition(f.detach().numpy(), t.numpy())
    for got, expected in zip(parts, want):
        assert isinstance(got, torch.Tensor) and got.dtype == torch.float64
        np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-12)
    assert torch.autograd.gradcheck(lambda f, t: ensemble_decomposition(f, t)[:6], (f, t))
    single = ensemble_decomposition(f.detach().float(), t.float())
    assert single.bias.dtype == torch.float32 and "3 heads" in repr(single)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        repr(parts), parts.to_frame()


def test_one_repetition_has_an_ambiguity_only():
    f, t = normal(4, 6).numpy(), np.zeros(6)
    parts = ensemble_decomposition(f, t)
    assert np.isclose(parts.ambiguity, f.var(axis=0).mean())
    assert all(np.isnan(x) for x in (parts.bias, parts.variance, parts.covariance))


@settings(max_examples=60, deadline=None)
@given(M=st.integers(1, 6), rank=st.integers(0, 7), seed=st.integers(0, 9999))
def test_combination_weights_are_best(M, rank, seed):
    g = np.random.default_rng(seed)
    root = g.normal(size=(M, rank))
    C = root @ root.T
    w = combination_weights(C)
    assert np.isclose(w.sum(), 1, rtol=1e-12)
    for _ in range(20):  # any other weights of sum one are no better
        move = g.normal(size=M)
        move -= move.mean()
        assert w @ C @ w <= (w + move) @ C @ (w + move) + 1e-9 * np.trace(C)
    gradient = C @ w
    assert np.ptp(gradient) <= 1e-7 * (np.trace(C) + 1)


@pytest.mark.parametrize("M", [2, 3, 5, 7, 30])
def test_identical_heads_share_equally(M):
    """Rounding errors are no reason to prefer one."""
    error = np.random.default_rng(M).normal(size=40)
    heads = np.stack([error + 0.1] * M) * (1 + 1e-16)
    w = combination_weights(ensemble_decomposition(heads, np.zeros(40)).error_matrix)
    np.testing.assert_allclose(w, 1 / M, rtol=1e-12)
    for size in (0.1, 0.7, 1e-9, 3e8):
        noise = size * 1e-16 * np.random.default_rng(0).normal(size=(M, M))
        np.testing.assert_allclose(
            combination_weights(size * np.ones((M, M)) + noise + noise.T), 1 / M, rtol=1e-12
        )


BAD_ENSEMBLES = {
    "shape": (
        lambda: ensemble_decomposition(np.ones((2, 3, 4)), np.ones(5)),
        "(heads, repet",
    ),
    "no heads": (
        lambda: ensemble_decomposition(np.ones((0, 4)), np.ones(4)),
        "not be empty",
    ),
    "NaN": (
        lambda: ensemble_decomposition(np.array([[1.0, np.nan]]), np.ones(2)),
        "head_outputs contains nan at (0, 1)",
    ),
    "infinite target": (
        lambda: ensemble_decomposition(np.ones((2, 2)), np.array([1.0, np.inf])),
        "target contains inf at (1,)",
    ),
    "libraries": (
        lambda: ensemble_decomposition(np.ones((2, 2)), torch.ones(2)),
        "convert",
    ),
    "text": (lambda: ensemble_decomposition("heads", np.ones(2)), "array of numbers"),
    "not square": (lambda: combination_weights(np.ones((2, 3))), "(heads, heads)"),
    "not symmetric": (lambda: combination_weights(np.triu(np.ones((2, 2)))), "symmetric"),
    "not finite": (lambda: combination_weights(np.full((2, 2), np.nan)), "finite"),
    "indefinite": (
        lambda: combination_weights(np.diag([1.0, -1.0])),
        "positive semidefinite, but has the eigenvalue -1",
    ),
}


@pytest.mark.parametrize("name", BAD_ENSEMBLES)
def test_errors_of_ensembles_say_what_is_wrong(name):
    call, message = BAD_ENSEMBLES[name]
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        call()


# ---- where others go too -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lam", [1.0, "learned"])
@pytest.mark.parametrize("is_causal", [False, True])
def test_the_layer_compiles_once(lam, is_causal):
    torch._dynamo.reset()
    layer = MultiheadRidgeAttention(8, 2, batch_first=True, lam=lam)
    counter = CompileCounter()
    compiled = torch.compile(layer, backend=counter, fullgraph=True)
    for seed in range(3):
        x = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(seed))
        found = compiled(x, x, x, is_causal=is_causal)[0]
        wanted = layer(x, x, x, is_causal=is_causal)[0]
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert counter.frame_count == 1


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_a_nested_tensor_keeps_its_layout(layout):
    layer = MultiheadRidgeAttention(8, 2, batch_first=True)
    parts = [torch.randn(3, 8), torch.randn(5, 8), torch.randn(1, 8)]
    x = torch.nested.nested_tensor(parts, layout=layout)
    found, _ = layer(x, x, x, need_weights=False)
    assert found.layout == layout
    for got, one, added in zip(found.unbind(), parts, (x + found).unbind()):
        want = layer(one, one, one)[0]
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(added, one + want, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_causal", [False, True])
def test_a_nested_tensor_with_holes_keeps_them(is_causal):
    layer = MultiheadRidgeAttention(8, 2, batch_first=True)
    whole = torch.randn(3, 6, 8, requires_grad=True)
    begins, lengths = torch.tensor([0, 1, 2]), torch.tensor([3, 4, 2])
    x = torch.nested.narrow(whole, 1, begins, lengths, layout=torch.jagged)
    found, _ = layer(x, x, x, need_weights=False, is_causal=is_causal)
    parts = [whole[i, a : a + n] for i, (a, n) in enumerate(zip(begins, lengths))]
    want = [layer(one, one, one, is_causal=is_causal)[0] for one in parts]
    for got, one in zip((x + found).unbind(), map(torch.add, parts, want)):
        torch.testing.assert_close(got, one, rtol=1e-4, atol=1e-5)
    ours, theirs = (
        torch.autograd.grad(sum(y.sin().sum() for y in answers), whole)[0]
        for answers in (found.unbind(), want)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_the_layer_can_be_quantised_as_pytorchs():
    layer = MultiheadRidgeAttention(8, 2, batch_first=True)
    x = torch.randn(2, 5, 8)
    quantised = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(layer))[0]
    assert torch.equal(quantised(x, x, x)[0], layer(x, x, x)[0])


@pytest.mark.parametrize("is_causal", [False, True])
def test_shapes_can_be_asked_without_numbers(is_causal):
    with FakeTensorMode():
        layer = MultiheadRidgeAttention(8, 2, batch_first=True, lam="learned")
        x, gone = torch.randn(2, 5, 8), torch.zeros(2, 5, dtype=torch.bool)
        found = layer(x, x, x, key_padding_mask=gone, is_causal=is_causal)
    assert [y.shape for y in found] == [(2, 5, 8), (2, 5, 5)]
