"""Ridge attention: every form agrees with the definition, in every option, at odd sizes, and nothing leaks."""

import itertools
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from fractions import Fraction
from functools import partial
from operator import itemgetter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint

from olsattention import (
    RidgeAttentionState,
    SpectralSmoother,
    cross_hat_matrix,
    head_coefficients,
    head_lam,
    resonance,
    resonance_spectrum,
    ridge_attention,
    select_lam,
)
from olsattention.attention.causal import causal_ridge
from olsattention.attention.relatives import delta_rule
from olsattention.attention.state import SAVED, WAITING, rank_one


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def heads(*shape, seed=0, dtype=torch.float64):
    """Query, key and value of shape (*shape[:-2], T, d), (.., T, d), (.., T, d_v) for shape (.., T, d, d_v)."""
    *lead, T, d, d_v = shape
    g = rng(seed)
    return tuple(
        torch.randn(*lead, T, w, generator=g, dtype=torch.float64).to(dtype)
        for w in (d, d, d_v)
    )


def assert_same_with_derivatives(found, wanted, given, rtol):
    """What a graph finds is what is found outside of it, and so are the derivatives, with a digit less."""
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=rtol / 100)
    losses = [sum(x.sin().sum() for x in xs) for xs in (found, wanted)]
    for one, other in zip(*(torch.autograd.grad(loss, given) for loss in losses)):
        torch.testing.assert_close(one, other, rtol=10 * rtol, atol=rtol / 10)


def definition(query, key, value, lam, gate=None):
    """Causal ridge attention of one head in float64, one regression a token, nothing shared with the package."""
    query, key, value = (x.detach().double().numpy() for x in (query, key, value))
    T, d = key.shape
    out = np.zeros((T, value.shape[1]))
    for t in range(T):
        w = np.ones(t + 1)
        if gate is not None:
            for s in range(t + 1):
                w[s] = np.prod(np.asarray(gate[s + 1 : t + 1]))
        root = np.sqrt(w)[:, None]
        design = np.vstack([root * key[: t + 1], math.sqrt(lam) * np.eye(d)])
        outcome = np.vstack([root * value[: t + 1], np.zeros((d, value.shape[1]))])
        out[t] = query[t] @ np.linalg.lstsq(design, outcome, rcond=None)[0]
    return torch.tensor(out)


# ---- full = chunked = token by token -----------------------------------------------------------------------

SIZES = [1, 2, 3, 15, 16, 17, 63, 64, 65, 130, 500]


@pytest.mark.parametrize("T", SIZES)
@pytest.mark.parametrize(("d", "d_v"), [(1, 1), (3, 5), (17, 2), (33, 33)])
def test_causal_is_one_regression_a_token(T, d, d_v):
    q, k, v = heads(T, d, d_v, seed=T)
    got = ridge_attention(q, k, v, 0.3, is_causal=True)
    want = definition(q, k, v, 0.3)
    assert got.shape == (T, d_v)
    assert (got - want).abs().max() <= 1e-11 * want.abs().max()


@pytest.mark.parametrize("T", SIZES)
def test_causal_equals_state_equals_full_at_the_end(T):
    q, k, v = heads(2, 3, T, 6, 4, seed=T)
    causal = ridge_attention(q, k, v, 0.7, is_causal=True)
    state = RidgeAttentionState(0.7, 6, 4, (2, 3), dtype=torch.float64)
    for t in range(T):
        got = state.update(k[..., t, :], v[..., t, :]).attend(q[..., t, :])
        torch.testing.assert_close(got, causal[..., t, :], rtol=1e-11, atol=1e-12)
    full = ridge_attention(q, k, v, 0.7)
    torch.testing.assert_close(full[..., -1, :], causal[..., -1, :], rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(
        full, cross_hat_matrix(q, k, 0.7) @ v, rtol=1e-11, atol=1e-12
    )
    assert state.count == T


@settings(max_examples=60, deadline=None)
@given(
    lead=st.lists(st.integers(1, 3), max_size=3),
    T=st.integers(0, 90),
    d=st.integers(1, 9),
    d_v=st.integers(1, 9),
    chunk=st.integers(1, 100),
    seed=st.integers(0, 1000),
)
def test_any_shape_any_chunk(lead, T, d, d_v, chunk, seed):
    q, k, v = heads(*lead, T, d, d_v, seed=seed)
    got = ridge_attention(q, k, v, 0.5, is_causal=True, chunk=chunk)
    assert got.shape == (*lead, T, d_v)
    torch.testing.assert_close(
        got, ridge_attention(q, k, v, 0.5, is_causal=True), rtol=1e-11, atol=1e-12
    )
    for t in {0, T // 2, T - 1} & set(range(T)):
        known = ridge_attention(
            q[..., t : t + 1, :], k[..., : t + 1, :], v[..., : t + 1, :], 0.5
        )
        torch.testing.assert_close(got[..., t : t + 1, :], known, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("T", [1, 7, 64, 65, 200])
@pytest.mark.parametrize("gates", ["constant", "any", "with zeros"])
def test_forgetting_is_weighted_regression(T, gates):
    q, k, v = heads(T, 4, 2, seed=T)
    gate = torch.rand(T, generator=rng(1), dtype=torch.float64)
    gate = torch.full((T,), 0.95, dtype=torch.float64) if gates == "constant" else gate
    if gates == "with zeros":
        gate[::7] = 0.0
    got = ridge_attention(q, k, v, 0.3, is_causal=True, decay=gate)
    torch.testing.assert_close(got, definition(q, k, v, 0.3, gate), rtol=1e-11, atol=1e-12)
    state = RidgeAttentionState(0.3, 4, 2, dtype=torch.float64)
    for t in range(T):
        out = state.update(k[t], v[t], gate[t]).attend(q[t])
        torch.testing.assert_close(out, got[t], rtol=1e-11, atol=1e-12)
    at_once = RidgeAttentionState(0.3, 4, 2, dtype=torch.float64).update(k, v, gate)
    torch.testing.assert_close(at_once.attend(q[-1]), got[-1], rtol=1e-11, atol=1e-12)


def test_gates_of_one_change_nothing_and_a_number_is_a_constant_gate():
    q, k, v = heads(2, 3, 50, 4, 4)
    plain = ridge_attention(q, k, v, 0.3, is_causal=True)
    torch.testing.assert_close(
        ridge_attention(q, k, v, 0.3, is_causal=True, decay=1.0), plain
    )
    per_head = torch.tensor([0.9, 0.5, 1.0], dtype=torch.float64)[:, None]
    got = ridge_attention(q, k, v, 0.3, is_causal=True, decay=per_head)
    for h, gate in enumerate((0.9, 0.5, 1.0)):
        want = ridge_attention(q[:, h], k[:, h], v[:, h], 0.3, is_causal=True, decay=gate)
        torch.testing.assert_close(got[:, h], want)


def test_a_query_sees_no_future():
    q, k, v = heads(2, 100, 5, 3)
    for decay in (None, 0.9):
        before = ridge_attention(q, k, v, 0.3, is_causal=True, decay=decay)
        changed = [x.clone() for x in (q, k, v)]
        for x in changed:
            x[:, 70:] = 1e3
        after = ridge_attention(*changed, 0.3, is_causal=True, decay=decay)
        torch.testing.assert_close(after[:, :70], before[:, :70], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("decay", [None, 0.9])
@pytest.mark.parametrize("groups", [1, 3])
def test_a_sequence_in_parts(decay, groups):
    _, k, v = heads(2, 4, 130, 6, 5)
    q = heads(2, 4 * groups, 130, 6, 5, seed=1)[0]
    options = dict(is_causal=True, enable_gqa=groups > 1, decay=decay)
    whole = ridge_attention(q, k, v, 0.6, full_output=True, **options)
    state, outs = None, []
    for a, b in itertools.pairwise([0, 1, 40, 107, 130]):
        part = ridge_attention(
            q[:, :, a:b],
            k[:, :, a:b],
            v[:, :, a:b],
            0.6,
            state=state,
            full_output=True,
            **options,
        )
        state, outs = part.state, [*outs, part.output]
    torch.testing.assert_close(torch.cat(outs, 2), whole.output, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(state.gram, whole.state.gram, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(state.fade, whole.state.fade)
    assert state.count == 130
    full = ridge_attention(
        q[:, :, :1],
        k[:, :, 107:],
        v[:, :, 107:],
        None,
        state=ridge_attention(
            q[:, :, :107],
            k[:, :, :107],
            v[:, :, :107],
            0.6,
            full_output=True,
            is_causal=True,
            enable_gqa=groups > 1,
        ).state,
        enable_gqa=groups > 1,
    )
    torch.testing.assert_close(
        full,
        ridge_attention(q[:, :, :1], k, v, 0.6, enable_gqa=groups > 1),
        rtol=1e-11,
        atol=1e-12,
    )


def test_diagnostics_are_those_of_the_definition():
    q, k, v = heads(3, 80, 5, 2)
    for decay in (None, 0.8):
        out = ridge_attention(q, k, v, 0.4, is_causal=True, decay=decay, full_output=True)
        for t in (0, 1, 33, 79):
            weight = (1.0 if decay is None else decay) ** torch.arange(
                t, -1, -1, dtype=torch.float64
            )[:, None]
            for h in range(3):
                K, V = k[h, : t + 1], v[h, : t + 1]
                past = 0.4 * torch.eye(5).double() + (weight[:-1] * K[:-1]).T @ K[:-1]
                predicted = K[-1] @ torch.linalg.solve(
                    past, (weight[:-1] * K[:-1]).T @ V[:-1]
                )
                torch.testing.assert_close(
                    out.error[h, t], V[-1] - predicted, rtol=1e-11, atol=1e-12
                )
                now = past + torch.outer(K[-1], K[-1])
                torch.testing.assert_close(
                    out.leverage[h, t], K[-1] @ torch.linalg.solve(now, K[-1])
                )
        fitted = ridge_attention(k, k, v, 0.4, is_causal=True, decay=decay)
        torch.testing.assert_close(out.residual, v - fitted, rtol=1e-11, atol=1e-12)


# ---- padding -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("causal", "decay"), [(False, None), (True, None), (True, 0.9)])
@pytest.mark.parametrize("side", ["left", "right", "holes", "all"])
def test_padding_does_not_leak(causal, decay, side):
    q, k, v = heads(2, 3, 70, 4, 4)
    keep = torch.ones(2, 70, dtype=torch.bool)
    where = {
        "left": slice(0, 30),
        "right": slice(41, 70),
        "holes": slice(1, 70, 3),
        "all": slice(0, 70),
    }[side]
    keep[1, where] = False
    options = dict(is_causal=causal, decay=decay)
    dirty = [
        torch.where(keep[:, None, :, None], x, float("nan")).requires_grad_()
        for x in (q, k, v)
    ]
    asked = dirty[0] if causal else q
    out = ridge_attention(asked, *dirty[1:], 0.4, key_mask=keep, **options)
    assert out.isfinite().all()
    if side == "all":
        assert (out[1] == 0).all()
    else:
        rows = keep[1] if causal else slice(None)
        alone = ridge_attention(
            q[1][:, rows], k[1][:, keep[1]], v[1][:, keep[1]], 0.4, **options
        )
        torch.testing.assert_close(out[1][:, rows], alone, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(out[0], ridge_attention(q, k, v, 0.4, **options)[0])
    out.square().sum().backward()
    for x in dirty[0 if causal else 1 :]:
        assert x.grad.isfinite().all()
        assert (x.grad[1][:, ~keep[1]] == 0).all()


# ---- options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3), (1, 3), (2, 1)),
        ((3,), (2, 3), (1,)),
        ((1, 3), (2, 1), (1, 1)),
        ((), (2, 3), (3,)),
        ((2, 6), (1, 3), (2, 3)),
        ((1, 6), (2, 2), (2, 1)),
        ((6,), (2, 3), (3,)),
    ],
)
def test_leading_dimensions_broadcast(shapes, is_causal):
    q, k, v = (
        heads(*lead, 7, 4, w, seed=i)[1 if w == 4 else 2]
        for i, (lead, w) in enumerate(zip(shapes, (4, 4, 2)))
    )
    grouped = len(shapes[0]) and shapes[0][-1] == 6
    found = ridge_attention(q, k, v, 0.5, is_causal=is_causal, enable_gqa=bool(grouped))
    lead = torch.broadcast_shapes(shapes[1], shapes[2])
    if grouped:
        h = torch.broadcast_shapes((2, lead[-1]), lead)
        k, v = k.expand(*h, 7, 4), v.expand(*h, 7, 2)
        k, v = (x.repeat_interleave(6 // h[-1], -3) for x in (k, v))
    lead = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    wanted = []
    for t in range(7):
        K, V = (x[..., : t + 1 if is_causal else 7, :] for x in (k, v))
        omega = torch.linalg.solve(0.5 * torch.eye(4) + K.mT @ K, K.mT @ V)
        wanted.append(q.expand(*lead, 7, 4)[..., t, None, :] @ omega)
    assert found.shape == (*lead, 7, 2)
    assert torch.allclose(found, torch.cat(wanted, -2), atol=1e-12)


def test_grouped_heads_are_repeated_keys():
    q = heads(2, 6, 40, 4, 4)[0]
    _, k, v = heads(2, 2, 40, 4, 3, seed=1)
    wide = k.repeat_interleave(3, 1), v.repeat_interleave(3, 1)
    lam = torch.tensor([0.2, 2.0], dtype=torch.float64)
    for options in ({}, {"is_causal": True}, {"is_causal": True, "decay": 0.9}):
        got = ridge_attention(q, k, v, lam, enable_gqa=True, **options)
        want = ridge_attention(q, *wide, lam.repeat_interleave(3), **options)
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-12)


def test_scale_is_a_penalty_in_another_unit():
    q, k, v = heads(2, 30, 4, 4)
    for options in ({}, {"is_causal": True}):
        got = ridge_attention(q, k, v, 0.6, scale=0.5, **options)
        torch.testing.assert_close(got, ridge_attention(q, k, v, 1.2, **options))
    hat = 0.5 * q @ k.mT @ torch.linalg.inv(0.5 * k @ k.mT + 0.6 * torch.eye(30).double())
    torch.testing.assert_close(ridge_attention(q, k, v, 0.6, scale=0.5), hat @ v)


def test_every_head_chooses_the_penalty_of_its_own_regression():
    g = rng(0)
    k = torch.randn(2, 3, 100, 4, generator=g, dtype=torch.float64)
    v = k @ torch.randn(2, 3, 4, 2, generator=g, dtype=torch.float64) + torch.randn(
        2, 3, 100, 2, generator=g, dtype=torch.float64
    )
    chosen = head_lam(k, v)
    for b, h in itertools.product(range(2), range(3)):
        want = select_lam(
            SpectralSmoother.from_design(k[b, h].numpy()), v[b, h].numpy()
        ).lam
        assert math.isclose(float(chosen[b, h]), want, rel_tol=1e-6)
    torch.testing.assert_close(
        ridge_attention(k, k, v, "gcv"), ridge_attention(k, k, v, chosen)
    )
    keep = torch.ones(2, 100, dtype=torch.bool)
    keep[1, 60:] = False
    masked = head_lam(k, v, key_mask=keep)
    torch.testing.assert_close(masked[1], head_lam(k[1, :, :60], v[1, :, :60]))
    noiseless = head_lam(k.float(), (k @ torch.ones(4, 2).double()).float())
    assert ridge_attention(k.float(), k.float(), v.float(), noiseless).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "options", [{}, {"is_causal": True}, {"is_causal": True, "decay": 0.9}]
)
def test_half_precision_is_computed_in_single(dtype, options):
    q, k, v = heads(2, 3, 200, 8, 5, dtype=dtype)
    got = ridge_attention(q, k, v, 0.1, **options)
    want = ridge_attention(q.float(), k.float(), v.float(), 0.1, **options).to(dtype)
    assert got.dtype == dtype
    # one rounding to half precision, as of the single-precision result
    assert (
        (got.float() - want.float()).abs()
        <= 2 * torch.finfo(dtype).eps * want.float().abs() + 1e-6
    ).all()


def test_huge_keys_do_not_overflow_half_precision():
    q, k, v = heads(70, 4, 3, dtype=torch.float16)
    k = (k.float() * 1e4).to(
        torch.float16
    )  # their squares exceed the largest half-precision number
    for options in ({}, {"is_causal": True}):
        out = ridge_attention(q, k, v, 1e8, **options)
        want = ridge_attention(q.double(), k.double(), v.double(), 1e8, **options)
        assert (out.double() - want).abs().max() <= 2e-3 * want.abs().max()


def test_autocast_does_not_reach_the_solver():
    q, k, v = heads(2, 100, 8, 8, dtype=torch.float32)
    want = ridge_attention(q, k, v, 1e-2, is_causal=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = ridge_attention(q, k, v, 1e-2, is_causal=True)
    torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_autocast_does_not_reach_the_backward_pass_or_the_state():
    found = []
    for on in (False, True):
        q, k, v = (x.requires_grad_() for x in heads(2, 100, 16, 16, dtype=torch.float32))
        with torch.autocast("cpu", torch.bfloat16, enabled=on):
            loss = ridge_attention(q, k, v, 1.0, is_causal=True).square().sum()
            loss.backward()
            state = RidgeAttentionState(1.0, 16, 16, (2,)).update(k[:, :50], v[:, :50])
            for t in range(50, 60):
                state.update(k[:, t], v[:, t])
            with torch.no_grad():
                answers = [state.update(k[:, 60], v[:, 60], 0.9).attend(q)]
                answers += [state.merge(state).gram, cross_hat_matrix(q, k, 1.0)]
                answers += [head_coefficients(k, v, 1.0), resonance_spectrum(q, k, 1.0)]
        found.append([q.grad, k.grad, v.grad, *answers])
    for without, within in zip(*found):
        torch.testing.assert_close(within, without, rtol=0, atol=0)


# ---- accuracy ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lam", "bar"), [(1.0, 5e-6), (0.1, 5e-5), (1e-3, 2e-3)])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_single_precision_against_normal_equations_in_double(lam, bar, size):
    T = 4096 if size == 1 and lam < 1 else 512
    q, k, v = heads(2, T, 64, 64, dtype=torch.float32)
    q = q * size
    got = ridge_attention(q, k, v, lam, is_causal=True).double()
    A, B, worst = (
        lam * torch.eye(64).double().expand(2, 64, 64),
        torch.zeros(2, 64, 64).double(),
        0.0,
    )
    total, apart = 0.0, 0.0
    for a in range(0, T, 64):
        kk, vv = k[:, a : a + 64].double(), v[:, a : a + 64].double()
        As = A[:, None] + (kk[..., :, None] * kk[..., None, :]).cumsum(1)
        Bs = B[:, None] + (kk[..., :, None] * vv[..., None, :]).cumsum(1)
        want = (q[:, a : a + 64].double()[:, :, None] @ torch.linalg.solve(As, Bs))[:, :, 0]
        A, B = As[:, -1], Bs[:, -1]
        total, apart = (
            total + want.square().sum(),
            apart + (got[:, a : a + 64] - want).square().sum(),
        )
        worst = max(
            worst, float(((got[:, a : a + 64] - want).norm(dim=2) / want.norm(dim=2)).max())
        )
    assert (apart / total).sqrt() <= bar
    assert worst <= 2 * bar  # of a single token


def with_outlier(size, T=100, d=16):
    q, k, v = (x[0] for x in heads(1, T, d, 2, dtype=torch.float32))
    k[T // 2] *= size
    return q, k, v


def by_reflections(q, k, v, lam):
    """Ridge regression in float64 that squares nothing."""
    q, k, v = (x.double() for x in (q, k, v))
    rows = torch.cat([k, lam**0.5 * torch.eye(k.shape[1]).double()])
    outcomes = torch.cat([v, v.new_zeros(k.shape[1], v.shape[1])])
    return q @ torch.linalg.lstsq(rows, outcomes).solution


@pytest.mark.parametrize("size", [1e3, 1e5])
def test_one_huge_key_among_others(size):
    q, k, v = with_outlier(size)
    want = by_reflections(q, k, v, 1.0)
    near = dict(rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ridge_attention(q, k, v, 1.0).double(), want, **near)
    H = cross_hat_matrix(q, k, 1.0).double()
    torch.testing.assert_close(H @ v.double(), want, **near)
    for options in ({}, {"decay": 1.0}, {"full_output": True}):
        got = ridge_attention(q, k, v, 1.0, is_causal=True, **options)
        got = got.output if options.get("full_output") else got
        for t in (3, 49, 50, 60, 99):
            exact = by_reflections(q[t : t + 1], k[: t + 1], v[: t + 1], 1.0)[0]
            torch.testing.assert_close(got[t].double(), exact, **near)


@pytest.mark.parametrize("size", [1e3, 1e5, 1e8])
def test_a_huge_key_enters_a_state(size):
    q, k, v = with_outlier(size)
    want = by_reflections(q, k, v, 1.0)
    one_by_one, gated = (RidgeAttentionState(1.0, 16, 2) for _ in range(2))
    for t in range(100):
        one_by_one.update(k[t], v[t])
        gated.update(k[t], v[t], 1.0)
    for state in (one_by_one, gated, RidgeAttentionState(1.0, 16, 2).update(k, v)):
        got = state.attend(q).double()
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1e4, 1e9])
def test_a_window_lets_go_of_a_huge_key(size):
    q, k, v = with_outlier(size, T=60, d=4)
    state = RidgeAttentionState(1.0, 4, 2, window=8)
    for t in range(60):
        state.update(k[t], v[t])
        kept = slice(max(0, t - 7), t + 1)
        want = by_reflections(q[t : t + 1], k[kept], v[kept], 1.0)[0]
        torch.testing.assert_close(state.attend(q[t]).double(), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["scale", "offset", "penalty", "wide"])
@pytest.mark.parametrize("options", [{}, {"decay": 1.0}, {"full_output": True}])
def test_early_tokens_keep_their_digits(name, options):
    d, lam = {"penalty": (16, 1e-5), "wide": (96, 1e-4)}.get(name, (16, 0.1))
    q, k, v = (x[0] for x in heads(1, 150, d, 2, dtype=torch.float32))
    if name == "scale":
        k[:, 3] *= 200
    if name == "offset":
        k += 100
    got = ridge_attention(q, k, v, lam, is_causal=True, **options)
    got = (got.output if options.get("full_output") else got).double()
    want = [by_reflections(q[t : t + 1], k[: t + 1], v[: t + 1], lam) for t in range(150)]
    want = torch.cat(want)
    assert (got - want).abs().max() <= 2e-4 * want.abs().max()


def exactly(q, k, v, lam, decay=1.0):
    """Answers in rational arithmetic, rounded once."""
    q, k, v = ([[Fraction(x) for x in row] for row in t.tolist()] for t in (q, k, v))
    d = len(k[0])
    M = [[Fraction(0)] * (d + len(v[0])) for _ in range(d)]
    for key, value in zip(k, v):
        for i, row in enumerate(M):
            M[i] = [Fraction(decay) * m + key[i] * x for m, x in zip(row, key + value)]
    for i in range(d):
        M[i][i] += Fraction(lam)
    for i in range(d):
        M[i] = [x / M[i][i] for x in M[i]]
        for j in range(d):
            if j != i and M[j][i]:
                M[j] = [x - M[j][i] * y for x, y in zip(M[j], M[i])]
    answers = [
        [sum(x * row[d + c] for x, row in zip(one, M)) for c in range(len(v[0]))]
        for one in q
    ]
    return torch.tensor([[float(x) for x in row] for row in answers], dtype=torch.float64)


def hard_keys(kind, T, d, size, generator):
    k, sizes = torch.randn(T, d, generator=generator, dtype=torch.float64), 10.0**-size
    rows, columns = (sizes ** torch.rand(n, 1, generator=generator) for n in (T, d))
    if kind == "rows":
        return k * rows
    if kind == "columns":
        return k * columns.T
    if kind == "both":
        return k * rows * columns.T
    if kind == "directions":
        return (
            k
            * columns.T
            @ torch.linalg.qr(torch.randn(d, d, generator=generator).double()).Q
        )
    if kind == "one direction":
        return k[:, :1] + sizes * k
    if kind == "common part":
        return k + 1 / sizes
    if kind == "repeated":
        return k[:1] + sizes * k
    k[T // 2] /= sizes  # an outlier
    return k


KINDS = ["rows", "columns", "both", "directions", "one direction", "common part"]
KINDS += ["repeated", "outlier"]


@pytest.mark.parametrize("lam", [1.0, 1e-4, 1e-9])
@pytest.mark.parametrize("size", [2, 6, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_hard_keys_in_double_precision_are_answered_right_or_refused(kind, size, lam):
    generator = rng(size)
    k = hard_keys(kind, 7, 3, size, generator)
    q = torch.randn(7, 3, generator=generator).double()
    v = (k @ torch.randn(3, 1, generator=generator).double()).abs() + 1e-3
    whole = exactly(q, k, v, lam)
    past = [exactly(q[t : t + 1], k[: t + 1], v[: t + 1], lam) for t in range(7)]
    faded = [exactly(q[t : t + 1], k[: t + 1], v[: t + 1], lam, 0.5) for t in range(7)]
    past, faded = torch.cat(past), torch.cat(faded)

    def one_by_one(**given):
        state = RidgeAttentionState(lam, 3, 1, dtype=torch.float64)
        return torch.stack(
            [state.update(k[t], v[t], **given).attend(q[t]) for t in range(7)]
        )

    causal = {"is_causal": True}
    for answer, want in [
        (lambda: ridge_attention(q, k, v, lam), whole),
        (lambda: ridge_attention(q, k, v, lam, full_output=True).state.attend(q), whole),
        (lambda: q @ head_coefficients(k, v, lam), whole),
        (lambda: cross_hat_matrix(q, k, lam) @ v, whole),
        (lambda: ridge_attention(q, k, v, lam, **causal), past),
        (lambda: ridge_attention(q, k, v, lam, full_output=True, **causal).output, past),
        (lambda: ridge_attention(q, k, v, lam, decay=0.5, **causal), faded),
        (one_by_one, past),
        (lambda: one_by_one(decay=0.5), faded),
    ]:
        try:
            found = answer()
        except ValueError as error:
            assert "too few digits" in str(error)
            continue
        assert (found - want).norm() <= 1e-4 * want.norm()


def test_keys_whose_products_have_lost_a_digit():
    k = torch.tensor([[8e7, 8e7], [0.0, 1.0]], dtype=torch.float64)
    v = torch.tensor([[8e7], [5.0]], dtype=torch.float64)
    q = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(ridge_attention(q, k, v, 1.0).item(), 2.0, rtol=1e-7, atol=0)
    asked = ridge_attention(q.expand(2, 2), k, v, 1.0, is_causal=True)
    torch.testing.assert_close(asked[1].item(), 2.0, rtol=1e-7, atol=0)
    # with derivatives
    k.requires_grad_()
    v.requires_grad_()
    by_value, by_key = torch.autograd.grad(ridge_attention(q, k, v, 1.0).sum(), (v, k))
    other = ridge_attention(q, k, v + torch.tensor([[0.0], [1.0]]), 1.0)
    torch.testing.assert_close(by_value[1].item(), other.item() - 2.0, rtol=1e-6, atol=0)
    moved = k.detach() + torch.tensor([[0.0, 0.0], [0.0, 1e-5]])
    slope = (
        exactly(q, moved, v.detach(), 1.0) - exactly(q, k.detach(), v.detach(), 1.0)
    ) / 1e-5
    torch.testing.assert_close(by_key[1, 1].item(), slope.item(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lam", [10.0, 1.0, 1e-2, 1e-4])
@pytest.mark.parametrize(
    "options", [{}, {"is_causal": True}, {"is_causal": True, "decay": 0.99}]
)
def test_single_precision_keeps_four_digits_of_hard_keys(kind, lam, options):
    generator = rng(3)
    k = hard_keys(kind, 150, 8, 2, generator)
    for seen in (True, False):
        q = (
            k
            if seen
            else k.norm(dim=1).mean() * torch.randn(150, 8, generator=generator).double()
        )
        v = k @ torch.randn(8, 2, generator=generator).double()
        v = v + torch.randn(150, 2, generator=generator)
        given = [x.float() for x in (q, k, v)]
        want = ridge_attention(*(x.double() for x in given), lam, **options)
        found = ridge_attention(*given, lam, **options).double()
        assert (found - want).norm() <= 1e-4 * want.norm()


@pytest.mark.parametrize(
    "options", [{}, {"is_causal": True}, {"is_causal": True, "decay": 0.99}]
)
def test_a_compiled_graph_on_a_processor_keeps_its_digits(options):
    q, k, v = (x[0] for x in heads(1, 60, 8, 2, dtype=torch.float32))
    k = k + 10
    compiled = torch.compile(
        lambda lam: ridge_attention(q, k, v, lam, **options),
        backend="aot_eager",
        fullgraph=True,
    )
    # chunks with gates stay in single precision a little longer: of these keys they promise four digits, not seven
    promised = 1e-4 if "decay" in options else 1e-6
    for lam in (1e-3, 1e-4, 1e-5):
        want = ridge_attention(*(x.double() for x in (q, k, v)), lam, **options)
        found = compiled(torch.tensor(lam)).double()
        assert (found - want).norm() <= promised * want.norm()
        eager = ridge_attention(q, k, v, torch.tensor(lam), **options).double()
        assert (found - eager).norm() <= 1e-6 * want.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("exponent", range(-36, 37, 8))
@pytest.mark.parametrize("lam", [1e-30, 1e-10, 1.0, 1e10])
def test_keys_of_any_size_enter_a_state(lam, exponent, dtype):
    size = 10.0**exponent
    k = size * torch.tensor([[3.0, 4.0], [0.5, -1.0], [2.0, 1.0]], dtype=dtype)
    v = torch.tensor([[7.0], [1.0], [-2.0]], dtype=dtype)
    q = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=dtype)
    lam = torch.tensor(lam, dtype=dtype)
    for n in (1, 2, 3):
        want = exactly(q, k[:n], v[:n], lam.item())
        least = min(float(want.abs().max()), float(lam) ** 0.5 / size)  # of answers, of Z
        if least < 1e-30 and dtype == torch.float32:
            continue  # less than single precision holds with all its digits
        one_by_one = RidgeAttentionState(lam, 2, 1, dtype=dtype)
        for t in range(n):
            one_by_one.update(k[t], v[t])
        at_once = RidgeAttentionState(lam, 2, 1, dtype=dtype).update(k[:n], v[:n])
        gated = RidgeAttentionState(lam, 2, 1, dtype=dtype).update(k[:n], v[:n], 1.0)
        for state in (one_by_one, at_once, gated):
            torch.testing.assert_close(
                state.coefficients.double(),
                want,
                rtol=1e-4,
                atol=1e-5 * float(want.abs().max()),
            )


def test_keys_that_overflow_are_refused_and_nothing_is_lost():
    q, k, v = with_outlier(5e37, T=10, d=4)
    assert k.isfinite().all()
    state = RidgeAttentionState(1.0, 4, 2).update(k[:3], v[:3])
    before = state.attend(q)
    with pytest.raises(ValueError, match="overflow"):
        state.update(torch.full((2, 4), 3e38), v[5:7])
    torch.testing.assert_close(state.attend(q), before, rtol=0, atol=0)
    window = RidgeAttentionState(1.0, 4, 2, window=7).update(k[:3], v[:3])
    small = RidgeAttentionState(1e-4, 4, 2)
    for t in range(3):
        small.update(1e-2 * k[t], v[t])
    for other, known in ((state, k[:3]), (window, k[:3]), (small, 1e-2 * k[:3])):
        with pytest.raises(ValueError, match="overflow"):
            other.update(torch.full((2, 4), 3e38), v[5:7])
        # one whose square overflows is no matter
        other.update(k[5], v[5])
        known, lam = torch.cat([known, k[5:6]]), 1e-4 if other is small else 1.0
        want = exactly(q[:3], known, v[[0, 1, 2, 5]], lam)
        torch.testing.assert_close(other.attend(q[:3]).double(), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"decay": 1.0}, {"decay": 0.9}, {}])
def test_errors_before_the_first_token_was_seen(options):
    q, k, v = (x[0] for x in heads(1, 9, 64, 2, dtype=torch.float32))
    out = ridge_attention(q, k, v, 1e-3, is_causal=True, full_output=True, **options)
    torch.testing.assert_close(out.error[0], v[0], rtol=0, atol=0)
    assert (out.leverage < 1).all()
    k2, v2 = k.double(), v.double()
    t = 5
    weight = options.get("decay", 1.0) ** torch.arange(t, 0, -1).double()[:, None]
    A = k2[:t].T @ (weight * k2[:t]) + 1e-3 * torch.eye(64).double()
    want = v2[t] - torch.linalg.solve(A, k2[:t].T @ (weight * v2[:t])).T @ k2[t]
    torch.testing.assert_close(out.error[t].double(), want, rtol=1e-3, atol=1e-3)


def test_leave_one_out_errors_where_leverages_are_nearly_one():
    q, k, v = (x[0] for x in heads(1, 3, 4, 2, dtype=torch.float32))
    got = ridge_attention(q, k, v, 1e-4, full_output=True).error.double()
    for t in range(3):
        others = [s for s in range(3) if s != t]
        k2, v2 = k.double(), v.double()
        want = v2[t] - exact_answer(1e-4, k2[others], v2[others], k2[t])
        torch.testing.assert_close(got[t], want, rtol=1e-4, atol=1e-5)


def decoding_error(tokens, d=16):
    """Largest relative error of decoding in single precision with forgetting, keys over three decades; and the state."""
    g = rng(3)
    spread = torch.logspace(0, -3, d)
    mixing = torch.randn(d, 4, generator=g)
    state = RidgeAttentionState(0.01, d, 4)
    A, B = 0.01 * torch.eye(d).double(), torch.zeros(d, 4).double()
    eye, errors, sizes = 0.01 * torch.eye(d).double(), [], []
    for t in range(tokens):
        k, q = (torch.randn(d, generator=g) * spread for _ in range(2))
        v = (k / spread) @ mixing + 0.1 * torch.randn(4, generator=g)
        state.update(k, v, 0.99)
        A = 0.99 * A + 0.01 * eye + torch.outer(k.double(), k.double())
        B = 0.99 * B + torch.outer(k.double(), v.double())
        if t % 10 == 0 or t > tokens - 100:
            want = q.double() @ torch.linalg.solve(A, B)
            errors.append(float((state.attend(q).double() - want).norm()))
            sizes.append(float(want.norm()))
    return max(errors) / float(np.median(sizes)), state


def test_decoding_with_forgetting_keeps_its_digits():
    error, state = decoding_error(3000)
    assert error <= 1e-4
    assert torch.linalg.eigvalsh(state.gram.double() + 0.01 * torch.eye(16).double())[0] > 0


@pytest.mark.slow
def test_a_hundred_thousand_tokens():
    error, state = decoding_error(100_000)
    assert error <= 1e-4
    assert (state.R.diagonal() > 0).all()
    assert torch.linalg.eigvalsh(state.gram.double() + 0.01 * torch.eye(16).double())[0] > 0


# ---- derivatives -------------------------------------------------------------------------------------------

OPTIONS = {
    "full": {},
    "causal": {"is_causal": True, "chunk": 3},
    "decay": {
        "is_causal": True,
        "decay": torch.tensor([0.9, 0.0, 0.5, 1.0, 0.3, 0.8, 0.7], dtype=torch.float64),
    },
    "mask": {"key_mask": torch.tensor([True, True, False, True, True, False, True])},
    "causal mask": {
        "is_causal": True,
        "chunk": 4,
        "key_mask": torch.tensor([False, True, False, True, True, False, True]),
    },
    "scale": {"scale": 0.3, "is_causal": True},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("grouped", [False, True])
def test_derivatives_of_every_option(name, grouped):
    q = heads(4 if grouped else 2, 7, 3, 2)[0].requires_grad_()
    k, v = (x.requires_grad_() for x in heads(2, 7, 3, 2, seed=1)[1:])
    lam = torch.tensor([0.5, 1.5], dtype=torch.float64, requires_grad=True)

    def f(q, k, v, lam):
        return ridge_attention(q, k, v, lam, enable_gqa=grouped, **OPTIONS[name])

    assert torch.autograd.gradcheck(f, (q, k, v, lam), fast_mode=True)
    assert torch.autograd.gradgradcheck(f, (q, k, v, lam), fast_mode=True)


@pytest.mark.parametrize("name", ["full", "causal", "decay"])
def test_derivatives_of_state_and_diagnostics(name):
    q, k, v = (x.requires_grad_() for x in heads(2, 7, 3, 2))
    lam = torch.tensor([0.5, 1.5], dtype=torch.float64, requires_grad=True)

    def f(q, k, v, lam):
        out = ridge_attention(q, k, v, lam, full_output=True, **OPTIONS[name])
        return out.output, out.leverage, out.error, out.residual, out.state.attend(q)

    assert torch.autograd.gradcheck(f, (q, k, v, lam), fast_mode=True)
    assert torch.autograd.gradgradcheck(f, (q, k, v, lam), fast_mode=True)

    def g(q, k, v, lam):
        first = ridge_attention(
            q[:, :3], k[:, :3], v[:, :3], lam, full_output=True, is_causal=True
        )
        options = {} if name == "full" else {"is_causal": True}
        if name == "decay":
            options["decay"] = 0.8
        return ridge_attention(
            q[:, 3:], k[:, 3:], v[:, 3:], None, state=first.state, **options
        )

    assert torch.autograd.gradcheck(g, (q, k, v, lam), fast_mode=True)
    assert torch.autograd.gradgradcheck(g, (q, k, v, lam), fast_mode=True)


def test_gates_have_derivatives():
    q, k, v = (x.requires_grad_() for x in heads(1, 6, 2, 2))
    gate = torch.tensor(
        [[0.5, 0.9, 0.2, 0.7, 0.6, 0.8]], dtype=torch.float64, requires_grad=True
    )

    def f(q, k, v, gate):
        return ridge_attention(q, k, v, 0.5, is_causal=True, decay=gate)

    assert torch.autograd.gradcheck(f, (q, k, v, gate))
    assert torch.autograd.gradgradcheck(f, (q, k, v, gate))


@pytest.mark.parametrize(
    "options", [{}, {"is_causal": True}, {"is_causal": True, "decay": 0.97}]
)
def test_gradients_in_single_precision(options):
    grads = {}
    for dtype in (torch.float64, torch.float32):
        q, k, v = (x.requires_grad_() for x in heads(2, 300, 16, 16, dtype=dtype))
        lam = torch.full((2,), 0.5, dtype=dtype, requires_grad=True)
        (ridge_attention(q, k, v, lam, **options).square().mean()).backward()
        grads[dtype] = [x.grad.double() for x in (q, k, v, lam)]
    for single, double in zip(grads[torch.float32], grads[torch.float64]):
        assert (single - double).norm() <= 1e-4 * double.norm()


def one_regression_a_token(q, k, v, lam):
    A = (k[:, :, None] * k[:, None]).cumsum(0) + lam * torch.eye(k.shape[1], dtype=k.dtype)
    B = (k[:, :, None] * v[:, None]).cumsum(0)
    return (q[:, None] @ torch.linalg.solve(A, B))[:, 0]


@pytest.mark.parametrize(
    ("d", "lam", "bar"),
    [(4, 1e-3, 2e-5), (16, 1e-3, 2e-4), (64, 1.0, 1e-5), (64, 0.1, 1e-4), (64, 1e-3, 1e-3)],
)
def test_derivatives_keep_their_digits_at_small_penalties(d, lam, bar):
    inputs = [x[0] for x in heads(1, 200, d, 3, dtype=torch.float32)]
    weights = torch.randn(200, 3, generator=rng(8))
    found = []
    for dtype, f in (
        (torch.float64, one_regression_a_token),
        (torch.float32, lambda *x: ridge_attention(*x, is_causal=True)),
    ):
        leaves = [x.to(dtype).requires_grad_() for x in inputs]
        found.append(torch.autograd.grad((f(*leaves, lam) * weights).sum(), leaves))
    for want, got in zip(*found):
        assert (got.double() - want).norm() <= bar * want.norm()


@pytest.mark.parametrize("d", [1, 4, 8, 16])
@pytest.mark.parametrize("lam", [1e-3, 1e-5])
def test_narrow_heads_keep_their_digits(d, lam):
    q, k, v = (x[0] for x in heads(1, 300, d, 3, dtype=torch.float32))
    got = ridge_attention(q, k, v, lam, is_causal=True)[2 * d :].double()
    want = one_regression_a_token(q.double(), k.double(), v.double(), lam)[2 * d :]
    assert (got - want).norm() <= 2e-5 * want.norm()


@pytest.mark.parametrize("which", ["query", "key", "value", "lam", "query lam"])
def test_second_derivatives_of_some_inputs(which):
    given = dict(zip(("query", "key", "value"), heads(6, 3, 2)))
    given["lam"] = torch.tensor(0.7, dtype=torch.float64)
    names = which.split()

    def f(*x):
        return ridge_attention(**{**given, **dict(zip(names, x))}, is_causal=True)

    leaves = [given[name].clone().requires_grad_() for name in names]
    assert torch.autograd.gradgradcheck(f, leaves)


def test_second_derivatives_of_no_tokens():
    q, k, v = (x.requires_grad_() for x in heads(2, 0, 3, 2))
    out = ridge_attention(q, k, v, 1.0, is_causal=True)
    (d_q,) = torch.autograd.grad(out.sum(), q, create_graph=True)
    assert d_q.shape == q.shape


def test_a_gradient_by_what_the_state_knows():
    q, k, v = (x.requires_grad_() for x in heads(2, 9, 3, 2))
    weight = torch.randn(2, 3, 3, generator=rng(2), dtype=torch.float64)  # not symmetric

    def gram(k):
        return (
            ridge_attention(q, k, v, 1.0, is_causal=True, full_output=True).state.gram
            * weight
        ).sum()

    def moments(k):
        G = causal_ridge(q[:, None], k, v, torch.ones(2).double())[1]
        return (G * weight).sum()

    want = torch.autograd.grad(((k.mT @ k) * weight).sum(), k)[0]
    for f in (gram, moments):
        torch.testing.assert_close(torch.autograd.grad(f(k), k)[0], want)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(reentrant):
    q, k, v = (x.requires_grad_() for x in heads(2, 20, 3, 2))

    def f(*x):
        return ridge_attention(*x, 1e-3, is_causal=True)

    want = torch.autograd.grad(f(q, k, v).square().sum(), (q, k, v))
    checkpoint(f, q, k, v, use_reentrant=reentrant).square().sum().backward()
    for x, d in zip((q, k, v), want):
        torch.testing.assert_close(x.grad, d)


def test_one_tensor_as_key_and_value():
    x = heads(1, 7, 3, 3)[0].requires_grad_()
    for create_graph in (False, True):
        out, *_ = causal_ridge(x[:, None], x, x, torch.full((1,), 0.5).double())
        (got,) = torch.autograd.grad(out.square().sum(), x, create_graph=create_graph)
        parts = [x.detach().clone().requires_grad_() for _ in range(3)]
        out, *_ = causal_ridge(
            parts[0][:, None], *parts[1:], torch.full((1,), 0.5).double()
        )
        want = sum(torch.autograd.grad(out.square().sum(), parts))
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


def test_an_inflation_that_leaves_four_digits_is_harmless():
    from olsattention.attention.heads import keeps_digits

    for dtype, harmless, lost in ((torch.float32, 30.0, 40.0), (torch.float64, 1e10, 1e11)):
        assert keeps_digits(torch.tensor(harmless), dtype)
        assert not keeps_digits(torch.tensor(lost), dtype)
        assert not keeps_digits(torch.tensor(torch.nan), dtype)


def test_a_learned_penalty_learns():
    g = rng(0)
    k = torch.randn(64, 40, 6, generator=g)
    v = k @ torch.randn(64, 6, 1, generator=g) + 2 * torch.randn(64, 40, 1, generator=g)
    log_lam = torch.tensor(-3.0, requires_grad=True)
    optimiser = torch.optim.Adam([log_lam], lr=0.3)
    for _ in range(60):
        optimiser.zero_grad()
        out = ridge_attention(k[:, 20:], k[:, :20], v[:, :20], log_lam.exp())
        loss = (out - v[:, 20:]).square().mean()
        loss.backward()
        optimiser.step()
    # noise variance over prior variance of the coefficients
    assert 2 < float(log_lam.detach().exp()) < 8


# ---- compilers ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"is_causal": True}, {"is_causal": True, "decay": 0.9}]
)
def test_compiles_without_a_break(options):
    q, k, v = (x.requires_grad_() for x in heads(2, 100, 8, 8, dtype=torch.float32))

    def f(q, k, v):
        return ridge_attention(q, k, v, 0.5, **options)

    got, want = torch.compile(f, fullgraph=True)(q, k, v), f(q, k, v)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    grads = [torch.autograd.grad(x.square().sum(), (q, k, v)) for x in (got, want)]
    for a, b in zip(*grads):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


CAUSAL_FORMS = [
    {},
    {"decay": 0.9},
    {"full_output": True},
    {"decay": 0.9, "full_output": True},
]


LOCAL_FORMS = [
    {"window": 9},
    {"documents": 3},
    {"documents": 1},
    {"documents": 4, "decay": 0.9},
    {"documents": 3, "window": 9},
    {"window": 9, "full_output": True},
    {"window": 9, "before": 20},
    {"window": 9, "before": 4, "full_output": True},
    {"documents": 3, "full_output": True},
    {"documents": 3, "before": 6},
    {"documents": 3, "before": 6, "full_output": True, "decay": 0.9},
    {"documents": 1, "before": 6, "full_output": True},
]


@pytest.mark.parametrize("options", LOCAL_FORMS)
def test_one_graph_serves_windows_and_documents_of_every_length(options):
    """With derivatives, states that come and go, and the same graph wherever documents begin."""
    torch._dynamo.reset()  # it counts the graphs of a function, not of a test
    graphs, lam = [], torch.tensor([0.5, 1.0, 2.0]).double().requires_grad_()
    options = dict(options, is_causal=True)
    n, seen = options.pop("documents", None), options.pop("before", None)

    def attend(q, k, v, lam, ids, cuts, state):
        given = dict(options, state=state)
        if n is None:
            return flat_answer(ridge_attention(q, k, v, lam, **given))
        found = flat_answer(ridge_attention(q, k, v, lam, cu_seqlens=cuts, **given))
        if seen is None and len(found) == 1:
            found.append(ridge_attention(q, k, v, lam, document_ids=ids, **given))
        return found

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(attend, backend=backend, fullgraph=True, dynamic=True)
    for T, B in ((12, 10), (64, 4), (65, 2), (300, 4)):  # no two sizes alike at first
        given = [x.requires_grad_() for x in heads(B, 3, T, 7, 8, seed=T)] + [lam]
        ids = torch.arange(T) * (n or 1) // T
        cuts = torch.cat([torch.zeros(1), ids.bincount().cumsum(0)]).int()
        state = None
        if seen is not None:
            several = (B, 3) if n is None else (B, 3, n)
            own = lam.detach() if n is None else lam.detach()[:, None].expand(3, n)
            state = RidgeAttentionState(
                own, 7, 8, several, options.get("window"), torch.float64
            )
            state.update(*heads(*several, seen, 7, 8, seed=1)[1:])
        found, wanted = (
            f(*given, ids, cuts, None if state is None else state.clone())
            for f in (compiled, attend)
        )
        assert_same_with_derivatives(found, wanted, given, rtol=1e-9)
    assert len(graphs) == 1


def test_a_graph_must_know_how_many_documents_have_states():
    """By the length of `cu_seqlens`, or by their states; a document without tokens is noticed when it runs."""
    q, k, v = heads(2, 12, 4, 3)

    def attend(**how):
        return ridge_attention(
            q, k, v, 0.5, is_causal=True, full_output=True, **how
        ).leverage

    compiled = torch.compile(attend, backend="eager", fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported, match="give cu_seqlens instead"):
        compiled(document_ids=torch.tensor([1] * 4 + [2] * 8))
    torch.testing.assert_close(
        compiled(cu_seqlens=torch.tensor([0, 4, 12])),
        attend(cu_seqlens=torch.tensor([0, 4, 12])),
    )
    with pytest.raises(ValueError, match="no document may be empty"):
        compiled(cu_seqlens=torch.tensor([0, 4, 4, 12]))


@pytest.mark.parametrize("options", [{}, {"is_causal": True, "decay": 0.9}])
def test_any_number_of_query_heads_in_one_graph(options):
    graphs = []

    def attend(q, k, v):
        return ridge_attention(q, k, v, 0.5, enable_gqa=True, **options)

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(attend, backend=backend, fullgraph=True, dynamic=True)
    for B, H, g in ((5, 3, 2), (6, 4, 2), (7, 5, 3)):
        q = heads(B, g * H, 11, 4, 2)[0]
        _, k, v = heads(B, H, 11, 4, 2, seed=1)
        many = (x.repeat_interleave(g, 1) for x in (k, v))
        want = ridge_attention(q, *many, 0.5, **options)
        torch.testing.assert_close(compiled(q, k, v), want, rtol=1e-10, atol=1e-12)
    assert len(graphs) <= 2


def test_documents_that_do_not_fit_are_noticed_when_the_graph_runs():
    q, k, v = heads(2, 12, 4, 3)

    def attend(**how):
        return ridge_attention(q, k, v, 0.5, is_causal=True, **how)

    compiled = torch.compile(attend, backend="eager", fullgraph=True)
    ids = torch.tensor([1] * 4 + [2] * 4 + [1] * 4)
    with pytest.raises(RuntimeError, match="must follow one another"):
        compiled(document_ids=ids)
    for cuts in ([0, 5, 11], [0, 8, 5, 12], [1, 12]):
        with pytest.raises(RuntimeError, match="must not decrease, and lead from 0"):
            compiled(cu_seqlens=torch.tensor(cuts))


@pytest.mark.parametrize("options", [{}, {"cu_seqlens": torch.tensor([0, 4, 12])}])
@pytest.mark.parametrize("gate", [-0.1, 1.5, float("nan")])
def test_gates_that_are_none_are_noticed_when_the_graph_runs(options, gate):
    q, k, v = heads(2, 12, 4, 3)
    gates = torch.full((12,), 0.9, dtype=torch.float64)

    def attend(gates):
        return ridge_attention(q, k, v, 0.5, is_causal=True, decay=gates, **options)

    compiled = torch.compile(attend, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(gates), attend(gates))
    gates[7] = gate
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\]"):
        compiled(gates)


@pytest.mark.parametrize(
    "options", [{"window": 5}, {"cu_seqlens": torch.tensor([0, 4, 12])}]
)
def test_a_graph_of_windows_and_documents_names_what_is_wrong(options):
    q, k, v = heads(2, 12, 4, 3)
    options = options | {"is_causal": True}
    compiled = torch.compile(
        lambda v: ridge_attention(q, k, v, 0.5, **options), backend="eager", fullgraph=True
    )
    v[1, 7, 2] = math.nan
    with pytest.raises(ValueError, match=r"value contains nan at \(1, 7, 2\)"):
        compiled(v)


def flat_answer(answer):
    """The tensors of an answer, diagnostics included."""
    if isinstance(answer, torch.Tensor):
        return [answer]
    return [answer.output, answer.leverage, answer.error, answer.state.gram]


@pytest.mark.parametrize("options", CAUSAL_FORMS)
def test_one_graph_serves_every_length_and_batch(options):
    graphs, lam = [], torch.tensor([0.5, 1.0, 2.0]).double().requires_grad_()

    def attend(q, k, v, lam):
        return flat_answer(ridge_attention(q, k, v, lam, is_causal=True, **options))

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(attend, backend=backend, fullgraph=True, dynamic=True)
    for T, B in ((5, 2), (3, 2), (64, 4), (65, 2), (130, 4)):
        given = [x.requires_grad_() for x in heads(B, 3, T, 7, 8, seed=T)] + [lam]
        found, wanted = compiled(*given), attend(*given)
        assert_same_with_derivatives(found, wanted, given, rtol=1e-10)
    assert len(graphs) == 1


class Head(torch.nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, q, k, v):
        return ridge_attention(q, k, v, 0.5, is_causal=True, **self.options)


@pytest.mark.parametrize("options", CAUSAL_FORMS[:2])
def test_heads_of_any_length_are_exported(options):
    dims = {0: torch.export.Dim("B", max=64), 2: torch.export.Dim("T", min=2, max=5000)}
    shapes = dict.fromkeys("qkv", dims)
    made = torch.export.export(
        Head(**options), heads(3, 2, 20, 4, 4), dynamic_shapes=shapes, strict=False
    )
    for T, B in ((2, 1), (77, 5)):
        given = [x.requires_grad_() for x in heads(B, 2, T, 4, 4)]
        found, wanted = made.module()(*given), Head(**options)(*given)
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
        one, other = (torch.autograd.grad(x.sin().sum(), given) for x in (found, wanted))
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("diagnostics", [False, True])
def test_the_node_of_a_graph_keeps_the_rules_of_operations(gated, diagnostics):
    q, k, v = (x.requires_grad_() for x in heads(4, 9, 3, 2))
    lam = torch.full((4,), 0.5).double().requires_grad_()
    G, B = ((k.mT @ x).detach().requires_grad_() for x in (k, v))
    gates = torch.rand(4, 9, generator=rng(1)).double().requires_grad_() if gated else None
    node = torch.ops.olsattention.causal_heads.default
    given = q[:, None], k, v, lam, G, B, gates
    torch.library.opcheck(node, (*given, None, None, None, diagnostics))

    def answers(q, k, v, lam, G, B, *gates):
        given = q, k, v, lam, (G + G.mT) / 2, B, *(gates or [None])
        return [x for x in node(*given, None, None, None, diagnostics) if x.numel()]

    learned = [x for x in given if x is not None]
    assert torch.autograd.gradcheck(answers, learned, fast_mode=True)


@pytest.mark.parametrize("kind", ["window", "documents", "states", "both"])
@pytest.mark.parametrize("diagnostics", [False, True])
def test_the_node_of_windows_and_documents_keeps_the_rules_of_operations(kind, diagnostics):
    q, k, v = (x.requires_grad_() for x in heads(4, 9, 3, 2))
    lam = torch.full((4,), 0.5).double().requires_grad_()
    window, gates, starts = 3 if kind in ("window", "both") else None, None, None
    G, B = (torch.zeros(4, 3, n, dtype=torch.float64) for n in (3, 2))
    if kind != "window":
        starts = torch.zeros(4, 9, dtype=torch.bool)
        starts[:, [0, 5]] = True
    if window is None:
        gates = torch.rand(4, 9, generator=rng(1)).double().requires_grad_()
    if kind == "states":
        G, B = ((k.mT @ x).detach()[:, None].repeat(1, 2, 1, 1) for x in (k, v))
        G, B = G.requires_grad_(), B.requires_grad_()
    node = torch.ops.olsattention.causal_heads.default
    given = q[:, None], k, v, lam, G, B, gates
    options = starts, None, window, diagnostics
    if kind != "both":
        torch.library.opcheck(node, (*given, *options))

    def answers(*learned):
        learned = iter(learned)
        q, k, v, lam, G, B, gates = (next(learned) if x in wanted else x for x in given)
        found = node(q, k, v, lam, (G + G.mT) / 2, B, gates, *options)
        return [x for x in found if x.numel() and x.requires_grad]

    wanted = Among(x for x in given if x is not None and x.requires_grad)
    assert torch.autograd.gradcheck(answers, list(wanted), fast_mode=True)


class Among(list):
    """Tensors, of which it asks whether they are in it, not whether they are equal."""

    def __contains__(self, x):
        return any(x is one for one in self)


def test_a_graph_answers_from_the_rows_too_and_names_what_is_wrong():
    k = torch.tensor([[8e7, 8e7], [0.0, 1.0]], dtype=torch.float64)
    v = torch.tensor([[8e7], [5.0]], dtype=torch.float64)
    q = torch.tensor([[0.0, 1.0]] * 2, dtype=torch.float64)
    compiled = torch.compile(Head(), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(q, k, 2 * v), Head()(q, k, 2 * v))
    with pytest.raises(ValueError, match=r"key contains nan at \(0, 1, 0\)"):
        compiled(q, k * torch.tensor([[1.0], [math.nan]]), v)


IDS = (torch.arange(20) // 8)[None]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [*CAUSAL_FORMS[:2], {"window": 5}, {"document_ids": IDS}]
)
def test_transforms_of_functions_compile(options):
    given = heads(3, 2, 20, 4, 4)

    def attend(q, k, v):
        return ridge_attention(q, k, v, 0.5, is_causal=True, **options)

    def loss(*given):
        return attend(*given).sin().sum()

    for f in (torch.func.vmap(attend), torch.func.grad(loss, (0, 1, 2))):
        compiled = torch.compile(f, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(*given), f(*given), rtol=1e-9, atol=1e-11)


def test_without_triton_products_do_it(monkeypatch):
    from olsattention.attention.causal import inverse_cholesky, one_launch

    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "olsattention.attention.launch", raising=False)
    one_launch.cache_clear()
    assert one_launch() is None
    one_launch.cache_clear()
    X = torch.randn(3, 80, 50, generator=rng())
    W = inverse_cholesky(X.mT @ X)
    torch.testing.assert_close(
        W @ (X.mT @ X) @ W.mT, torch.eye(50).expand(3, 50, 50), rtol=0, atol=1e-4
    )


# ---- the resonance matrix ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("Tq", "Tk", "d"), [(1, 1, 1), (3, 9, 5), (9, 3, 5), (40, 50, 4)])
def test_spectrum_of_the_resonance_matrix(Tq, Tk, d):
    g = rng(0)
    q, k = (torch.randn(2, T, d, generator=g, dtype=torch.float64) for T in (Tq, Tk))
    got = resonance_spectrum(q, k, 0.3)
    want = torch.linalg.eigvalsh(resonance(q, k, 0.3)).flip(-1)[:, : got.shape[-1]]
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)
    assert got.shape[-1] == min(Tq, Tk, d)


# ---- bad input ---------------------------------------------------------------------------------------------

q, k, v = heads(2, 3, 10, 4, 5)
BAD = {
    "no tensor": (
        lambda: ridge_attention(q.numpy(), k, v, 1.0),
        TypeError,
        "torch.as_tensor",
    ),
    "integers": (lambda: ridge_attention(q.long(), k, v, 1.0), TypeError, "floating-point"),
    "dtypes": (lambda: ridge_attention(q.float(), k, v, 1.0), TypeError, "convert one"),
    "one dimension": (lambda: ridge_attention(q[0, 0, 0], k, v, 1.0), ValueError, "shape"),
    "widths": (lambda: ridge_attention(q[..., :3], k, v, 1.0), ValueError, "same width"),
    "no width": (
        lambda: ridge_attention(q[..., :0], k[..., :0], v, 1.0),
        ValueError,
        "at least 1",
    ),
    "tokens": (
        lambda: ridge_attention(q, k, v[:, :, :9], 1.0),
        ValueError,
        "agree in all but",
    ),
    "causal": (
        lambda: ridge_attention(q[:, :, :5], k, v, 1.0, is_causal=True),
        ValueError,
        "a query for every key",
    ),
    "heads": (
        lambda: ridge_attention(q, k[:, :2], v[:, :2], 1.0),
        ValueError,
        "enable_gqa",
    ),
    "groups": (
        lambda: ridge_attention(q, k[:, :2], v[:, :2], 1.0, enable_gqa=True),
        ValueError,
        "multiple",
    ),
    "lam 0": (lambda: ridge_attention(q, k, v, 0.0), ValueError, "lam must be > 0"),
    "lam negative": (
        lambda: ridge_attention(q, k, v, torch.tensor(-1.0)),
        ValueError,
        "lam must be > 0",
    ),
    "lam NaN": (
        lambda: ridge_attention(q, k, v, float("nan")),
        ValueError,
        "lam must be > 0",
    ),
    "lam shape": (
        lambda: ridge_attention(q, k, v, torch.ones(6)),
        ValueError,
        "broadcast to the heads",
    ),
    "lam and scale": (
        lambda: ridge_attention(
            q,
            k,
            v,
            None,
            scale=2.0,
            state=RidgeAttentionState(1.0, 4, 5, (2, 3), dtype=torch.float64),
        ),
        TypeError,
        "scale goes with lam",
    ),
    "lam below the dtype": (
        lambda: ridge_attention(q.float(), k.float(), v.float(), 1e-50),
        ValueError,
        "lam must be within torch.float32",
    ),
    "lam over scale": (
        lambda: ridge_attention(q, k, v, 1e200, scale=1e-200),
        ValueError,
        "lam / scale must be",
    ),
    "lam of a state far above": (
        lambda: ridge_attention(
            q.float(),
            k.float(),
            v.float(),
            1.0,
            state=RidgeAttentionState(1e6, 4, 5, (2, 3)),
        ),
        ValueError,
        "use the penalty of the state",
    ),
    "lam None, other heads": (
        lambda: ridge_attention(q, k, v, None, state=RidgeAttentionState(1.0, 4, 5, (3,))),
        ValueError,
        "state must have heads",
    ),
    "chunk": (
        lambda: ridge_attention(q, k, v, 1.0, is_causal=True, chunk=0),
        ValueError,
        "chunk must be",
    ),
    "infinite query": (
        lambda: ridge_attention(q * float("inf"), k, v, 1.0),
        ValueError,
        "query contains",
    ),
    "NaN values, no queries": (
        lambda: ridge_attention(q[:, :, :0], k, v * float("nan"), 1.0, full_output=True),
        ValueError,
        "value contains nan",
    ),
    "NaN keys, no queries": (
        lambda: ridge_attention(q[:, :, :0], k * float("nan"), v, 1.0, full_output=True),
        ValueError,
        "key contains nan",
    ),
    "whose gates": (
        lambda: ridge_attention(
            q[:, :2], k[:, :2], v[:, :2], 1.0, is_causal=True, decay=torch.ones(2, 10)
        ),
        ValueError,
        "2 sequences or of 2 heads",
    ),
    "coefficients": (
        lambda: head_coefficients(k.half(), v[:, :, :9].half(), 1.0),
        ValueError,
        "agree in all but",
    ),
    "head_lam": (lambda: head_lam(k, v[:, :, :9]), ValueError, "agree in all but"),
    "delta rule, values": (
        lambda: delta_rule(q, k, v[:, :, :9]),
        ValueError,
        "agree in all",
    ),
    "delta rule, queries": (
        lambda: delta_rule(q[:, :, :9], k, v),
        ValueError,
        "a query for every key",
    ),
    "lam None": (lambda: ridge_attention(q, k, v, None), TypeError, "lam must be given"),
    "lam True": (lambda: ridge_attention(q, k, v, True), TypeError, "lam must be a number"),
    "criterion": (lambda: ridge_attention(q, k, v, "aic"), ValueError, "known are gcv"),
    "causal gcv": (
        lambda: ridge_attention(q, k, v, "gcv", is_causal=True),
        ValueError,
        "look ahead",
    ),
    "scale": (
        lambda: ridge_attention(q, k, v, 1.0, scale=0.0),
        ValueError,
        "scale must be > 0",
    ),
    "mask dtype": (
        lambda: ridge_attention(q, k, v, 1.0, key_mask=torch.ones(2, 10)),
        TypeError,
        "bool",
    ),
    "mask shape": (
        lambda: ridge_attention(q, k, v, 1.0, key_mask=torch.ones(2, 9, dtype=torch.bool)),
        ValueError,
        "key_mask must broadcast",
    ),
    "full decay": (
        lambda: ridge_attention(q, k, v, 1.0, decay=0.9),
        ValueError,
        "is_causal",
    ),
    "decay": (
        lambda: ridge_attention(q, k, v, 1.0, decay=1.1, is_causal=True),
        ValueError,
        r"\[0, 1\]",
    ),
    "decay shape": (
        lambda: ridge_attention(q, k, v, 1.0, decay=torch.ones(7), is_causal=True),
        ValueError,
        "decay must broadcast",
    ),
    "NaN": (
        lambda: ridge_attention(q, k * float("nan"), v, 1.0),
        ValueError,
        r"key contains nan at \(0, 0, 0, 0\)",
    ),
    "NaN in a later column": (
        lambda: ridge_attention(
            q, k, torch.where(torch.arange(5) == 3, float("nan"), v), 1
        ),
        ValueError,
        r"value contains nan at \(0, 0, 0, 3\)",
    ),
    "NaN beside a masked NaN": (
        lambda: ridge_attention(
            q,
            torch.where(torch.arange(10)[:, None] > 7, float("nan"), k),
            v,
            1.0,
            key_mask=torch.arange(10) < 9,
        ),
        ValueError,
        r"key contains nan at \(0, 0, 8, 0\)",
    ),
    "NaN, causal": (
        lambda: ridge_attention(q, k, v * float("nan"), 1.0, is_causal=True),
        ValueError,
        "value contains nan",
    ),
    "indefinite": (
        lambda: ridge_attention(
            *(x[..., :1].repeat(1, 1, 9, 4) for x in (q, k, v)),
            1e-27,
        ),
        ValueError,
        "too few digits",
    ),
    "indefinite, causal": (
        lambda: ridge_attention(
            *(x[..., :1].repeat(1, 1, 9, 4) for x in (q, k, v)),
            1e-27,
            is_causal=True,
        ),
        ValueError,
        "too few digits",
    ),
    "state of other heads": (
        lambda: ridge_attention(
            q, k, v, 1.0, state=RidgeAttentionState(1.0, 4, 5, (2,), dtype=torch.float64)
        ),
        ValueError,
        "state must have heads",
    ),
    "state of another dtype": (
        lambda: ridge_attention(q, k, v, 1.0, state=RidgeAttentionState(1.0, 4, 5, (2, 3))),
        ValueError,
        "state must have heads",
    ),
    "state with a window": (
        lambda: ridge_attention(
            q,
            k,
            v,
            1.0,
            state=RidgeAttentionState(1.0, 4, 5, (2, 3), window=3, dtype=torch.float64),
        ),
        ValueError,
        "sliding window",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_say_what_is_wrong(name):
    call, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        call()


def test_nothing_to_attend_to():
    for options in ({}, {"is_causal": True}, {"is_causal": True, "decay": 0.5}):
        out = ridge_attention(
            q[:, :, :0], k[:, :, :0], v[:, :, :0], 1.0, full_output=True, **options
        )
        assert out.output.shape == (2, 3, 0, 5) and out.state.count == 0
    assert (ridge_attention(q, k[:, :, :0], v[:, :, :0], 1.0) == 0).all()
    for options in ({}, {"key_mask": torch.ones(10).bool()}, {"enable_gqa": True}):
        out = ridge_attention(q[:, :0], k[:, :0], v[:, :0], 1.0, is_causal=True, **options)
        assert out.shape == (2, 0, 10, 5)
    assert ridge_attention(q[:0], k[:0], v[:0], 1.0, is_causal=True).shape == (0, 3, 10, 5)
    assert ridge_attention(q, k, v, np.float32(1.0)).shape == v.shape


def test_keys_that_are_all_equal():
    same = k[:1, :1, :1].expand(2, 3, 10, 4)
    for causal in (False, True):
        out = ridge_attention(same, same, v, 1.0, is_causal=causal)
        norm, count = (
            float(same[0, 0, 0].square().sum()),
            torch.arange(1, 11).double()[:, None],
        )
        mean = v.cumsum(2) if causal else v.sum(2, keepdim=True).expand_as(v)
        count = count if causal else count[-1:]
        torch.testing.assert_close(out, mean * norm / (1 + count * norm))


# ---- the state ---------------------------------------------------------------------------------------------


def test_a_window_is_the_regression_of_its_pairs():
    q, k, v = heads(2, 300, 5, 3)
    state = RidgeAttentionState(0.2, 5, 3, (2,), window=37, dtype=torch.float64)
    for t in range(300):
        state.update(k[:, t], v[:, t])
        a = max(0, t - 36)
        want = ridge_attention(q[:, t : t + 1], k[:, a : t + 1], v[:, a : t + 1], 0.2)
        torch.testing.assert_close(
            state.attend(q[:, t]), want[:, 0], rtol=1e-11, atol=1e-12
        )
    jump = state.clone().update(k[:, :50], v[:, :50])
    want = ridge_attention(q[:, :1], k[:, 13:50], v[:, 13:50], 0.2)
    torch.testing.assert_close(jump.attend(q[:, 0]), want[:, 0], rtol=1e-11, atol=1e-12)


def exact_answer(lam, k, v, q):
    A = lam * torch.eye(k.shape[-1]).double() + k.mT @ k
    return (q[..., None, :] @ torch.linalg.solve(A, k.mT @ v))[..., 0, :]


def test_pairs_wait_unless_they_are_news():
    q, k, v = heads(2, 150, 4, 3)
    k[:, 90] *= 100  # news, while others wait
    state = RidgeAttentionState(0.2, 4, 3, (2,), dtype=torch.float64)
    waited = []
    for t in range(150):
        state.update(k[:, t], v[:, t])
        want = exact_answer(0.2, k[:, : t + 1], v[:, : t + 1], q[:, t])
        torch.testing.assert_close(state.attend(q[:, t]), want, rtol=1e-11, atol=1e-12)
        waiting = state._memory.pairs
        waited.append(0 if waiting is None else waiting.shape[1])
    assert waited[0] == 0 == waited[90] < waited[89]  # the first is news, and the large one
    assert max(waited) < WAITING and 0 in waited[40:80]


def test_pairs_that_wait_are_part_of_the_state(tmp_path):
    q, k, v = heads(2, 60, 4, 3)
    state = RidgeAttentionState(0.2, 4, 3, (2,), dtype=torch.float64)
    for t in range(50):
        state.update(k[:, t], v[:, t])
    assert state._memory.pairs is not None and state.count == 50
    other = state.clone().update(k[:, 50], v[:, 50])
    want = exact_answer(0.2, k[:, :50], v[:, :50], q[:, 0])
    state.clone().save(tmp_path / "state.pt")
    for same in (
        state.clone(),
        state.clone().map(torch.clone),
        RidgeAttentionState.load(tmp_path / "state.pt"),
        RidgeAttentionState(0.2, 4, 3, (2,), dtype=torch.float64).merge(state.clone()),
        state.clone().update(k[:, 50], v[:, 50]).downdate(k[:, 50], v[:, 50]),
    ):
        assert same.count == 50
        torch.testing.assert_close(same.attend(q[:, 0]), want, rtol=1e-11, atol=1e-12)
        same.update(k[:, 50:], v[:, 50:])
        grown = exact_answer(0.2, k, v, q[:, 0])
        torch.testing.assert_close(same.attend(q[:, 0]), grown, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(state.attend(q[:, 0]), want, rtol=1e-11, atol=1e-12)
    gram = k[:, :51].mT @ k[:, :51]
    torch.testing.assert_close(other.gram, gram, rtol=1e-12, atol=1e-12)
    leverage = torch.linalg.solve(gram + 0.2 * torch.eye(4).double(), k[:, 55])
    torch.testing.assert_close(other.leverage(k[:, 55]), (leverage * k[:, 55]).sum(-1))
    assert (state.R.triu() == state.R).all()


@pytest.mark.parametrize("lead", [(), (1, 1, 2), (0, 3)])
def test_a_state_of_any_heads(lead):
    q, k, v = (x[0].expand(*lead, *x.shape[1:]) for x in heads(1, 9, 4, 3))
    state = RidgeAttentionState(9.0, 4, 3, lead, dtype=torch.float64)
    for t in range(9):
        state.update(k[..., t, :], v[..., t, :])
        want = exact_answer(9.0, k[..., : t + 1, :], v[..., : t + 1, :], q[..., t, :])
        torch.testing.assert_close(state.attend(q[..., t, :]), want)
    assert state.leverage(k).shape == (*lead, 9) and state.R.shape == (*lead, 4, 4)
    assert state.attend(q).shape == (*lead, 9, 3)


def test_reading_does_not_cut_the_graph():
    _, k, v = heads(40, 4, 2)
    k.requires_grad_()
    state = RidgeAttentionState(50.0, 4, 2, dtype=torch.float64)
    for t in range(40):
        state.update(k[t], v[t])
    assert state._memory.pairs is not None
    with torch.no_grad():
        read = [state.R, state.gram, state.leverage(k)]
    with torch.inference_mode():
        read.append(state.coefficients)
    answer = state.attend(torch.ones(4).double())
    (got,) = torch.autograd.grad(answer.sum(), k)
    full = ridge_attention(torch.ones(1, 4).double(), k, v, 50.0)
    torch.testing.assert_close(got, torch.autograd.grad(full.sum(), k)[0])
    torch.testing.assert_close(read[1], k.T @ k)


def test_reading_in_inference_mode_leaves_no_mark():
    _, k, v = heads(40, 4, 2)
    state = RidgeAttentionState(50.0, 4, 2, dtype=torch.float64)
    for t in range(39):
        state.update(k[t], v[t])
    with torch.inference_mode():
        assert state._memory.pairs is not None and state.R.isfinite().all()
    last = k[39].clone().requires_grad_()
    state.update(last, v[39]).attend(torch.ones(4).double()).sum().backward()
    assert last.grad.isfinite().all()


def test_readers_in_threads_see_one_state():
    q, k, v = heads(200, 8, 3)
    state = RidgeAttentionState(50.0, 8, 3, dtype=torch.float64)
    wrong = []

    def read(look, want):
        if not torch.allclose(look(), want, rtol=1e-9):
            wrong.append(look)

    with ThreadPoolExecutor(4) as pool:
        for t in range(200):
            state.update(k[t], v[t])
            want = exact_answer(50.0, k[: t + 1], v[: t + 1], q[0])
            looks = [lambda: state.attend(q[0]), lambda: q[0] @ state.coefficients] * 3
            list(pool.map(read, looks, [want] * 6))
    assert not wrong


@pytest.mark.parametrize("keys", ["alike", "shared part", "again and again", "graded"])
@pytest.mark.parametrize("lam", [1.0, 1e-2, 1e-4, 1e-6, 1e-8])
def test_news_waits_in_single_precision_and_loses_no_digits(lam, keys):
    q, k, v = (x.float() for x in heads(4, 130, 16, 8))
    if keys == "shared part":
        q, k = q + 100, k + 100
    elif keys == "again and again":
        k = k[:, :3].repeat(1, 44, 1)[:, :130] + 1e-3 * k
        q = k.flip(1)
    elif keys == "graded":
        q, k = (x * torch.logspace(0, -4, 16) for x in (q, k))
    state, waited = RidgeAttentionState(lam, 16, 8, (4,)), 0
    for t in range(130):
        got = state.update(k[:, t], v[:, t]).attend(q[:, t]).double()
        given = zip(q[:, t : t + 1], k[:, : t + 1], v[:, : t + 1])
        want = torch.cat([by_reflections(*head, lam) for head in given])
        assert (got - want).norm() <= 5e-6 * want.norm()
        waited += state._memory.pairs is not None
    assert waited > 60 and state.dtype == torch.float32


def test_news_waits_from_the_first_token_on():
    _, k, v = (x.float() for x in heads(2, 40, 8, 3))
    state = RidgeAttentionState(0.01, 8, 3, (2,))
    for t in range(31):
        state.update(k[:, t], v[:, t])
        assert state._memory.pairs.shape[1] == t + 1
        assert state._memory.inverse.dtype == torch.float64
    state.update(k[:, 31], v[:, 31])
    assert state._memory.pairs is None and state._memory.R.dtype == torch.float32
    # not if it is larger than double precision bears, or if that is the precision of the state
    for other, key in (
        (RidgeAttentionState(1e-8, 8, 3, (2,)), 10 * k[:, 0]),
        (RidgeAttentionState(0.01, 8, 3, (2,), dtype=torch.float64), k[:, 0].double()),
    ):
        assert other.update(key, v[:, 0].to(key.dtype))._memory.pairs is None


@pytest.mark.parametrize("diagonal", [True, False])
def test_moments_without_a_count_are_not_forgotten_by_the_first_pair(diagonal):
    q, k, v = (x.float() for x in heads(2, 20, 4, 3))
    gram, moment = k.mT @ k, k.mT @ v
    if diagonal:
        gram = gram * torch.eye(4)
    state = RidgeAttentionState.from_moments(gram, moment, 0.5)
    got = state.update(2 * k[:, 3], v[:, 3]).attend(q[:, 0])
    key, value = 2 * k[:, 3:4], v[:, 3:4]
    A = gram + 0.5 * torch.eye(4) + key.mT @ key
    want = (q[:, :1] @ torch.linalg.solve(A, moment + key.mT @ value))[:, 0]
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_a_triangle_that_is_often_asked_for_lets_no_pair_wait():
    q, k, v = heads(3, 200, 4, 2)
    state, waited = RidgeAttentionState(0.5, 4, 2, (3,), dtype=torch.float64), []
    for t in range(200):
        state.update(k[:, t], v[:, t])
        waited.append(state._memory.pairs is not None)
        if 40 <= t < 100:
            want = k[:, : t + 1].mT @ k[:, : t + 1]
            torch.testing.assert_close(state.gram, want, rtol=1e-11, atol=1e-11)
    assert any(waited[:40]) and not any(waited[45:100]) and any(waited[130:])
    want = exact_answer(0.5, k, v, q[:, 0])
    torch.testing.assert_close(state.attend(q[:, 0]), want, rtol=1e-11, atol=1e-12)


def test_one_head_of_many_has_news():
    q, k, v = heads(6, 120, 4, 3)
    k[2, 60:] *= torch.logspace(0, 3, 60).double()[:, None]
    state = RidgeAttentionState(1.0, 4, 3, (6,), dtype=torch.float64)
    for t in range(120):
        state.update(k[:, t], v[:, t])
        want = exact_answer(1.0, k[:, : t + 1], v[:, : t + 1], q[:, t])
        torch.testing.assert_close(state.attend(q[:, t]), want, rtol=1e-9, atol=1e-11)


def test_pairs_that_wait_have_derivatives():
    q, k, v = heads(12, 3, 2)
    k[0] *= 10

    def decode(q, k, v):
        state = RidgeAttentionState(50.0, 3, 2, dtype=torch.float64)
        for t in range(12):
            state.update(k[t], v[t])
        assert state._memory.pairs is not None
        return state.attend(q[0])

    assert torch.autograd.gradcheck(decode, [x.requires_grad_() for x in (q, k, v)])


@pytest.mark.parametrize("one_by_one", [True, False])
def test_ten_thousand_tokens_without_forgetting_do_not_drift(one_by_one):
    g = rng(5)
    k, v = torch.randn(10_000, 8, generator=g), torch.randn(10_000, 2, generator=g)
    state = RidgeAttentionState(0.3, 8, 2)
    R, Z = state.R, state.Z
    for t in range(10_000):
        if one_by_one:  # as on a GPU
            R, Z, _ = rank_one(R, Z, k[t], v[t], 1)
        else:
            state.update(k[t], v[t])
    if not one_by_one:
        R, Z = state.R, state.Z
    k, v, R, Z = (x.double() for x in (k, v, R, Z))
    for got, want in (
        (R.T @ R, k.T @ k + 0.3 * torch.eye(8).double()),
        (R.T @ Z, k.T @ v),
    ):
        assert (got - want).norm() <= 5e-6 * want.norm()


def test_a_failed_update_leaves_the_state_as_it_was(tmp_path):
    q, k, v = heads(3, 20, 4, 2)
    state = RidgeAttentionState(0.5, 4, 2, (3,), dtype=torch.float64).update(k, v)
    before = state.attend(q[:, 0])
    for call in (
        lambda: state.update(k[:, 0] * float("nan"), v[:, 0]),
        lambda: state.update(k[:2, 0], v[:2, 0]),
        lambda: state.update(k[:, 0], v[:, 0, :1]),
        lambda: state.update(k[:, 0], v[:, 0], decay=-0.1),
        lambda: state.downdate(100 * k[:, 0], v[:, 0]),
        lambda: state.downdate(k[:, :2], v[:, :2]),
        lambda: state.attend(q[..., :3]),
        lambda: state.merge(RidgeAttentionState(0.6, 4, 2, (3,), dtype=torch.float64)),
        lambda: state.merge(RidgeAttentionState(0.5, 4, 2, (2,), dtype=torch.float64)),
        lambda: state.merge(RidgeAttentionState(0.5, 4, 2, (3,))),
    ):
        with pytest.raises((ValueError, TypeError)):
            call()
    torch.testing.assert_close(state.attend(q[:, 0]), before, rtol=0, atol=0)
    path = tmp_path / "state.pt"
    state.save(path)
    torch.testing.assert_close(
        RidgeAttentionState.load(path).attend(q[:, 0]), before, rtol=0, atol=0
    )
    torch.save({"version": 3}, path)
    with pytest.raises(ValueError, match="later version"):
        RidgeAttentionState.load(path)
    torch.save(dict.fromkeys([*SAVED, "version"], 1), path)
    with pytest.raises(ValueError, match="does not hold"):
        RidgeAttentionState.load(path)
    torch.save({"R": state.R}, path)
    with pytest.raises(ValueError, match="does not hold"):
        RidgeAttentionState.load(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="does not hold"):
        RidgeAttentionState.load(path)


@pytest.mark.parametrize("shape", [(), (5,), (4, 1), (4, 5), (1, 4, 1), (2, 1, 5)])
def test_a_state_reads_gates_as_attention_does(shape):
    q, k, v = heads(2, 4, 5, 3, 2)
    decay = torch.rand(shape, generator=rng(4), dtype=torch.float64)
    state = RidgeAttentionState(0.5, 3, 2, (2, 4), dtype=torch.float64).update(k, v, decay)
    options = dict(is_causal=True, decay=decay, full_output=True)
    want = ridge_attention(q, k, v, 0.5, **options).state
    torch.testing.assert_close(state.gram, want.gram)
    torch.testing.assert_close(state.fade, want.fade)
    one = RidgeAttentionState(0.5, 3, 2, (2, 4), dtype=torch.float64).update(k, v)
    two = one.clone().update(k[:, :, 0], v[:, :, 0], torch.rand(4).double())
    assert two.gram.shape == (2, 4, 3, 3)


def test_what_was_cut_off_is_not_kept(tmp_path):
    _, k, v = heads(100_000, 4, 4)
    state = RidgeAttentionState(1.0, 4, 4, window=2, dtype=torch.float64).update(k, v)
    assert state.keys.untyped_storage().nbytes() == 2 * 4 * 8
    many = RidgeAttentionState(1.0, 4, 4, (1000,)).map(lambda x: x[:1])
    many.save(tmp_path / "one.pt")
    assert (tmp_path / "one.pt").stat().st_size < 10_000


def test_merging_is_associative_and_equals_reading_on():
    _, k, v = heads(2, 90, 4, 3)
    blank = RidgeAttentionState(0.5, 4, 3, (2,), dtype=torch.float64)
    for decay in (None, 0.9):
        a, b, c = (
            blank.clone().update(k[:, s], v[:, s], decay)
            for s in (slice(30), slice(30, 31), slice(31, 90))
        )
        whole = blank.clone().update(k, v, decay)
        for merged in (
            a.merge(b).merge(c),
            a.merge(b.merge(c)),
            blank.merge(a).merge(b).merge(c).merge(blank),
        ):
            torch.testing.assert_close(merged.gram, whole.gram, rtol=1e-11, atol=1e-12)
            torch.testing.assert_close(merged.moment, whole.moment, rtol=1e-11, atol=1e-12)
            assert merged.count == 90


def test_a_state_follows_its_beams():
    q, k, v = heads(3, 2, 20, 4, 3)
    state = RidgeAttentionState(0.5, 4, 3, (3, 2), dtype=torch.float64).update(k, v)
    order = torch.tensor([2, 2, 0, 1])
    chosen = state.map(lambda x: x[order])
    torch.testing.assert_close(
        chosen.attend(q[order, :, 0]), state.attend(q[:, :, 0])[order]
    )


# ---- transforms of functions ---------------------------------------------------------------------------------

EVERY_FORM = [{}, {"is_causal": True}, {"is_causal": True, "decay": 0.9}]


@pytest.mark.parametrize("options", EVERY_FORM)
def test_functions_of_attention_can_be_transformed(options):
    q, k, v = heads(2, 9, 4, 3)
    lam = torch.tensor(0.5, dtype=torch.float64)

    def attend(q, k, v, lam):
        return ridge_attention(q, k, v, lam, **options)

    def loss(*given):
        return attend(*given).sin().sum()

    def by_key(key):
        return attend(q, key, v, lam)

    given = [x.clone().requires_grad_() for x in (q, k, v, lam)]
    wanted = torch.autograd.grad(loss(*given), given)
    found = torch.func.grad(loss, (0, 1, 2, 3))(q, k, v, lam)
    for one, other in zip(found, wanted):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    each = torch.func.vmap(torch.func.grad(loss, 1), (0, 0, 0, None))(q, k, v, lam)
    torch.testing.assert_close(each, wanted[1], rtol=1e-10, atol=1e-12)
    reverse, ahead = torch.func.jacrev(by_key)(k), torch.func.jacfwd(by_key)(k)
    torch.testing.assert_close(reverse, ahead, rtol=1e-10, atol=1e-12)
    step = 1e-6 * torch.ones_like(k)
    slope = (by_key(k + step) - by_key(k - step)) / 2e-6
    tangent = torch.func.jvp(by_key, (k,), (torch.ones_like(k),))[1]
    torch.testing.assert_close(tangent, slope, rtol=1e-5, atol=1e-7)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(k, torch.ones_like(k))
        same = torch.autograd.forward_ad.unpack_dual(by_key(dual)).tangent
    torch.testing.assert_close(same, tangent, rtol=1e-10, atol=1e-12)
    curvature = torch.func.hessian(lambda key: loss(q[0], key, v[0], lam))(k[0])
    curvature = curvature.reshape(36, 36)
    torch.testing.assert_close(curvature, curvature.T, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("options", EVERY_FORM)
@pytest.mark.parametrize("which", range(4))
def test_vmap_over_any_argument_is_a_loop(options, which):
    q, k, v = (x[0] for x in heads(2, 9, 4, 3))
    given = [q, k, v, torch.tensor(0.5).double()]
    many = torch.stack([given[which], 2 * given[which], 3 * given[which]])

    def attend(x):
        return ridge_attention(*given[:which], x, *given[which + 1 :], **options)

    want = torch.stack([attend(x) for x in many])
    torch.testing.assert_close(torch.func.vmap(attend)(many), want, rtol=1e-10, atol=1e-12)


# ---- documents and shapes where there is nothing to look at --------------------------------------------------

LENGTHS = [3, 2, 4]


def documents_alone(q, k, v, lam, ids, states=None, gates=None):
    """Outputs, leverage, errors and coefficients of documents, each by its own call."""
    found, learned = [], []
    for j, a in enumerate(torch.unique_consecutive(ids, return_counts=True)[1].cumsum(0)):
        b = int(a)
        a = sum(len(x.output[0]) for x in found)
        fade = None if gates is None else gates[a:b]
        prior = None if states is None else states.map(itemgetter((slice(None), j)))
        parts = (x[:, a:b] for x in (q, k, v))
        options = {"is_causal": True, "decay": fade, "state": prior}
        found.append(ridge_attention(*parts, lam, full_output=True, **options))
        learned.append(found[-1].state.coefficients)
    parts = zip(*((x.output, x.leverage[..., None], x.error) for x in found))
    return *(torch.cat(x, 1) for x in parts), torch.stack(learned, 1)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("prior", [False, True])
def test_documents_in_transforms_and_graphs_are_documents_alone(gated, prior):
    q, k, v = heads(2, 9, 4, 3)
    ids = torch.repeat_interleave(torch.tensor([5, 1, 7]), torch.tensor(LENGTHS))
    gates = 0.7 + 0.3 * torch.rand(9, generator=rng()).double() if gated else None
    states = None
    if prior:
        states = RidgeAttentionState(0.5, 4, 3, (2, 3), dtype=torch.float64)
        pairs = heads(2, 3, 6, 4, 3, seed=1)[1:]
        states.update(*pairs)
    want = documents_alone(q, k, v, 0.5, ids, states, gates)
    options = {"is_causal": True, "decay": gates, "state": states}

    def attend(q, k, v, ids=ids):
        told = ridge_attention(q, k, v, 0.5, document_ids=ids, full_output=True, **options)
        return told.output, told.leverage[..., None], told.error, told.state.coefficients

    def output(q, k, v):
        return ridge_attention(q, k, v, 0.5, document_ids=ids, **options)

    ahead = torch.ones_like(k)
    for found in (
        attend(q, k, v),
        torch.func.vjp(attend, q, k, v)[0],
        torch.func.jvp(lambda k: attend(q, k, v), (k,), (ahead,))[0],
        torch.compile(attend, backend="eager", fullgraph=prior)(q, k, v),
        (torch.compile(output, backend="eager", fullgraph=True)(q, k, v),),
        (torch.func.vjp(output, q, k, v)[0],),
    ):
        for one, other in zip(found, want, strict=len(found) == 4):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    step = 1e-6 * ahead
    slopes = [
        (a - b) / 2e-6 for a, b in zip(attend(q, k + step, v), attend(q, k - step, v))
    ]
    found = torch.func.jvp(lambda k: attend(q, k, v), (k,), (ahead,))[1]
    for one, other in zip(found, slopes):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    if prior:
        return
    # heads mapped, and a row of documents for each
    many = torch.stack([ids, torch.arange(9) // 4, torch.zeros(9, dtype=torch.long)])
    found = torch.func.vmap(attend, (None, None, None, 0))(q, k, v, many)
    for i, row in enumerate(many):
        alone = documents_alone(q, k, v, 0.5, row, None, gates)
        for one, other in zip(found, alone):
            one = one[i][:, : len(row.unique())] if one[i].shape[1] == 3 else one[i]
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    cuts = torch.tensor([[0, 3, 5, 9], [0, 4, 8, 9], [0, 0, 9, 9]])
    by_cuts = torch.func.vmap(
        lambda c: ridge_attention(q, k, v, 0.5, cu_seqlens=c, **options)
    )(cuts)
    torch.testing.assert_close(by_cuts, found[0], rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match="come back"):
        torch.func.vmap(attend, (None, None, None, 0))(q, k, v, ids[None] // 5 % 2)
    with pytest.raises(ValueError, match="must not decrease, and lead from 0"):
        torch.func.vmap(lambda c: ridge_attention(q, k, v, 0.5, cu_seqlens=c, **options))(
            cuts + 1
        )


def test_documents_with_a_window_can_be_transformed():
    q, k, v = heads(3, 9, 4, 3)
    ids = torch.repeat_interleave(torch.tensor([5, 1, 7]), torch.tensor(LENGTHS))

    def attend(q, k, v):
        return ridge_attention(q, k, v, 0.5, is_causal=True, document_ids=ids, window=2)

    want = torch.empty_like(v)
    for t in range(9):
        seen = slice(t - 1 if t and ids[t - 1] == ids[t] else t, t + 1)
        want[:, t : t + 1] = ridge_attention(q[:, t : t + 1], k[:, seen], v[:, seen], 0.5)
    torch.testing.assert_close(attend(q, k, v), want, rtol=1e-10, atol=1e-12)
    mapped = torch.func.vmap(attend)(q, k, v)
    torch.testing.assert_close(mapped, want, rtol=1e-10, atol=1e-12)
    given = [x.clone().requires_grad_() for x in (q, k, v)]
    wanted = torch.autograd.grad(attend(*given).sin().sum(), given)

    def loss(*given):
        return attend(*given).sin().sum()

    each = torch.func.vmap(torch.func.grad(loss, (0, 1, 2)))(q, k, v)
    for one, other in zip(each, wanted):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


SHAPED = [
    {},
    {"is_causal": True},
    {"is_causal": True, "decay": 0.9},
    {"is_causal": True, "window": 4},
    {"is_causal": True, "document_ids": torch.arange(9) // 4},
    {"is_causal": True, "document_ids": torch.arange(9) // 4, "window": 2},
    {"is_causal": True, "cu_seqlens": torch.tensor([0, 4, 9]), "decay": 0.9},
    {"is_causal": True, "key_mask": torch.arange(9) > 2, "weight": 0.5},
]


@pytest.mark.parametrize("options", SHAPED)
@pytest.mark.parametrize("where", ["meta", "fake"])
def test_answers_of_tensors_without_numbers_have_their_shapes(options, where):
    q, k, v = heads(2, 9, 4, 3)
    uncounted = "document_ids" in options  # how many states there are, is in numbers

    def told(q, k, v, **options):
        out = [ridge_attention(q, k, v, 0.5, **options)]
        if not uncounted:
            told = ridge_attention(q, k, v, 0.5, full_output=True, **options)
            out += [told.leverage, told.error, told.state.R, told.state.Z]
        (out[0].sum() + 0).backward()
        return [(x.shape, x.dtype) for x in (*out, k.grad)]

    want = told(*(x.clone().requires_grad_() for x in (q, k, v)), **options)
    fake = FakeTensorMode()
    move = fake.from_tensor if where == "fake" else lambda x: x.to("meta")
    given = [move(x).requires_grad_() for x in (q, k, v)]
    moved = {n: move(x) if isinstance(x, torch.Tensor) else x for n, x in options.items()}
    with fake if where == "fake" else nullcontext():
        assert told(*given, **moved) == want
        if uncounted and "window" not in options:
            with pytest.raises(ValueError, match="must know how many documents"):
                ridge_attention(*given, 0.5, full_output=True, **moved)


# ---- a state from moments, and moved -------------------------------------------------------------------------


def test_a_state_from_moments_is_that_of_the_pairs():
    q, k, v = heads(2, 3, 40, 5, 2)
    lam = torch.tensor([0.1, 1.0, 3.0]).double()
    want = RidgeAttentionState(lam, 5, 2, (2, 3), dtype=torch.float64).update(k, v)
    made = RidgeAttentionState.from_moments(k.mT @ k, k.mT @ v, lam, count=40)
    torch.testing.assert_close(made.R, want.R, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(made.attend(q), want.attend(q), rtol=1e-10, atol=1e-12)
    for state in (made, want):
        state.update(k[..., 0, :], v[..., 0, :])
    torch.testing.assert_close(made.attend(q), want.attend(q), rtol=1e-10, atol=1e-12)
    assert repr(made) == repr(want)


@pytest.mark.parametrize(
    ("gram", "moment", "error", "message"),
    [
        (torch.ones(3, 2), torch.ones(3, 1), ValueError, "must have shapes"),
        (torch.eye(3), torch.ones(2, 1), ValueError, "must have shapes"),
        (torch.eye(3).long(), torch.ones(3, 1), TypeError, "floating"),
        (torch.eye(3) * math.nan, torch.ones(3, 1), ValueError, "gram must be finite"),
        (torch.eye(3), torch.ones(3, 1) * math.inf, ValueError, "moment must be finite"),
        (torch.ones(3, 3).triu(), torch.ones(3, 1), ValueError, "symmetric"),
        (-2 * torch.eye(3), torch.ones(3, 1), ValueError, "not positive definite"),
    ],
)
def test_moments_of_no_keys_are_refused(gram, moment, error, message):
    with pytest.raises(error, match=message):
        RidgeAttentionState.from_moments(gram, moment, 1.0)


def test_a_state_moves_and_lets_go_of_its_graph():
    _, k, v = heads(2, 20, 4, 3)
    k.requires_grad_()
    state = RidgeAttentionState(0.5, 4, 3, (2,), window=8, dtype=torch.float64).update(k, v)
    assert state.dtype == torch.float64 and state.device == torch.device("cpu")
    assert state.R.requires_grad and not state.detach().R.requires_grad
    single = state.detach().to(torch.float32)
    assert {
        x.dtype for x in (single.R, single.Z, single.lam, single.fade, single.keys)
    } == {torch.float32}
    single.update(k.detach()[:, 0].float(), v[:, 0].float())
    torch.testing.assert_close(single.to("cpu").R.double(), single.R.double())
    for wrong in (torch.Tensor.half, torch.Tensor.bfloat16, torch.Tensor.int):
        with pytest.raises(TypeError, match="float32 or torch.float64"):
            state.map(wrong)
    with pytest.raises(TypeError, match="tensor for a tensor"):
        state.map(lambda x: x.tolist())
    with pytest.raises(ValueError, match="leading dimensions"):
        state.map(lambda x: x[..., :1])


def far(found, wanted):
    """The largest error of an answer, in units of the largest answer."""
    return float(((found - wanted).norm(dim=-1) / wanted.norm(dim=-1).amax()).max())


def answers(K, V, Q, lam, dtype, gate, pieces):
    """Answers of a state that learns a few pairs at a time, each to the query after them, and the state."""
    state = RidgeAttentionState(lam, K.shape[-1], V.shape[-1], K.shape[:1], dtype=dtype)
    K, V, Q = (x.to(dtype) for x in (K, V, Q))
    found = []
    for a in range(0, K.shape[1], pieces):
        span = slice(a, a + pieces)
        state.update(K[:, span], V[:, span], gate)
        found.append(state.attend(Q[:, a]).double())
    return torch.stack(found), state


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.floats(0, 5).map(lambda e: 10**e),
    st.floats(-4, 0).map(lambda e: 10**e),
    st.sampled_from([None, 0.5, 0.99, 1.0]),
    st.sampled_from([1, 3, 40]),
    st.sampled_from(["state", "window", "halves", "moved", "weights"]),
    st.integers(0, 1000),
)
def test_a_single_precision_state_keeps_its_digits(common, lam, gate, pieces, kind, seed):
    generator = torch.Generator().manual_seed(seed)
    d, T = 6, 160
    shared = common * torch.randn(2, 1, d, generator=generator)
    K, Q = (torch.randn(2, T, d, generator=generator) + shared for _ in range(2))
    V = torch.randn(2, T, 3, generator=generator)
    want, double = answers(K, V, Q, lam, torch.float64, gate, pieces)
    got, single = answers(K, V, Q, lam, torch.float32, gate, pieces)
    assert far(got, want) < 5e-5
    query = Q[:, -1]
    if kind == "window":
        K, V = (x[:, :60] for x in (K, V))
        windows = [
            RidgeAttentionState(lam, d, 3, (2,), window=20, dtype=t)
            for t in (torch.float32, torch.float64)
        ]
        for t in range(60):
            for window in windows:
                window.update(K[:, t].to(window.dtype), V[:, t].to(window.dtype))
        single, double = windows
    elif kind == "halves":
        single, double = (
            RidgeAttentionState(lam, d, 3, (2,), dtype=x.dtype)
            .update(K[:, :50].to(x.dtype), V[:, :50].to(x.dtype))
            .merge(x)
            for x in (single, double)
        )
    elif kind == "moved":
        single = double.to(torch.float32).map(lambda x: x[[1, 0]])
        double = double.map(lambda x: x[[1, 0]])
        query = query[[1, 0]]
    elif kind == "weights":
        single.update(K.float(), V.float(), weight=0.1)
        double.update(K.double(), V.double(), weight=0.1)
    assert single.dtype == torch.float32 and single.attend(query).dtype == torch.float32
    assert far(single.attend(query).double(), double.attend(query.double())) < 5e-5


@pytest.mark.parametrize(
    "form", [{}, {"is_causal": True}, {"is_causal": True, "decay": 0.99}]
)
def test_a_single_precision_state_goes_in_and_out_of_calls(form, tmp_path):
    generator = torch.Generator().manual_seed(0)
    K, Q = (torch.randn(2, 100, 6, generator=generator) + 1e4 for _ in range(2))
    V = torch.randn(2, 100, 3, generator=generator)
    first, rest = slice(60), slice(60, 100)
    got, want = [], []
    for out, dtype in ((got, torch.float32), (want, torch.float64)):
        q, k, v = (x.to(dtype) for x in (Q, K, V))
        state = ridge_attention(
            q[:, first], k[:, first], v[:, first], 0.1, full_output=True, **form
        ).state
        state.save(tmp_path / "state.pt")
        state = RidgeAttentionState.load(tmp_path / "state.pt")
        assert state.dtype == dtype
        state = state.clone().update(k[:, 60], v[:, 60]).downdate(k[:, 60], v[:, 60])
        found = ridge_attention(
            q[:, rest], k[:, rest], v[:, rest], None, state=state, full_output=True, **form
        )
        out += [found.output, found.leverage, found.error, found.state.attend(q[:, 0])]
    for a, b in zip(got, want, strict=True):
        assert a.dtype == torch.float32 and float((a - b).norm() / b.norm()) < 1e-4


def learned(key, value, query, kind="plain"):
    """The answer of a state of one head after some pairs, one by one."""
    d, d_v, place = key.shape[-1], value.shape[-1], {"dtype": query.dtype}
    window = 4 if kind == "window" else None
    state = RidgeAttentionState(0.1, d, d_v, window=window, **place)
    for k, v in zip(key, value, strict=True):
        state.update(k, v, 0.9 if kind == "gates" else None)
    if kind == "merged":
        state = state.merge(RidgeAttentionState(0.1, d, d_v, **place).update(key, value))
    elif kind == "downdated":
        state.downdate(key[2], value[2])
    elif kind == "moments":
        G, B = key.double().mT @ key.double(), key.double().mT @ value.double()
        state = RidgeAttentionState.from_moments(G, B, 0.1)
        return state.attend(query.double()).to(query.dtype)
    return state.attend(query)


def weights_of_the_learned(kind):
    """How often each of nine pairs counts in `learned`."""
    weights = torch.full((9,), 2.0 if kind == "merged" else 1.0)
    if kind == "gates":
        weights = 0.9 ** torch.arange(8, -1, -1)
    weights[: 5 if kind == "window" else 0] = 0
    weights[2] = 0 if kind == "downdated" else weights[2]
    return weights.double()


@pytest.mark.parametrize(
    "kind", ["plain", "gates", "window", "merged", "downdated", "moments"]
)
@pytest.mark.parametrize("common", [0.0, 1e3])
def test_a_state_that_cannot_look_keeps_its_digits_too(common, kind):
    generator = torch.Generator().manual_seed(0)
    shapes = (3, 9, 6), (3, 9, 2), (3, 6)
    key, value, query = (torch.randn(*s, generator=generator) for s in shapes)
    given = key + common, value, query + common
    root = weights_of_the_learned(kind).sqrt()[:, None]
    prior = 0.1**0.5 * torch.eye(6).double()
    want = []
    for k, v, q in zip(*(x.double() for x in given)):
        rows, outcomes = torch.cat([root * k, prior]), torch.cat([root * v, 0 * k[:6, :2]])
        want.append(q @ torch.linalg.lstsq(rows, outcomes, driver="gelsd").solution)
    want = torch.stack(want)
    attend = partial(learned, kind=kind)
    compiled = torch.compile(torch.vmap(attend), backend="eager", fullgraph=True)
    for found in (torch.vmap(attend)(*given), compiled(*given)):
        assert found.dtype == torch.float32 and far(found.double(), want) < 1e-6
    with FakeTensorMode():
        shape = attend(*(torch.empty(s)[0] for s in shapes)).shape
    assert shape == (2,)
    key, value, query = (x[0] for x in given)
    slope = torch.func.grad(lambda k: attend(k, value, query).sum())(key)
    wide = key.double().requires_grad_()
    (exact,) = torch.autograd.grad(attend(wide, value.double(), query.double()).sum(), wide)
    assert far(slope.double(), exact) < 1e-5


def test_states_that_differ_cannot_be_merged_unseen():
    _, k, v = heads(2, 4, 3, 2)
    merged = torch.vmap(
        lambda k, v, lam: (
            RidgeAttentionState(lam, 3, 2, dtype=torch.float64)
            .update(k, v)
            .merge(RidgeAttentionState(0.5, 3, 2, dtype=torch.float64).update(k, v))
            .coefficients
        )
    )(k, v, torch.tensor([0.5, 0.6]).double())
    twice = RidgeAttentionState(0.5, 3, 2, dtype=torch.float64).update(
        k[0].repeat(2, 1), v[0].repeat(2, 1)
    )
    torch.testing.assert_close(merged[0], twice.coefficients, rtol=1e-10, atol=1e-12)
    assert merged[1].isnan().all()
