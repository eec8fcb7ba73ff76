"""Gates in chunks, packed documents, windows, weights: against definitions, in both precisions, and to the bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olsattention import RidgeAttentionState, causal_ridge, forgetful_ridge, ridge_attention
from olsattention.attention.gated import gated_ridge, long_documents, planned
from olsattention.attention.window import many_pairs, windowed_ridge


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def heads(N, T, d, d_v, dtype=torch.float64, seed=0, g=1):
    draw = rng(seed)
    shapes = (N, g, T, d), (N, T, d), (N, T, d_v)
    return [torch.randn(*s, generator=draw, dtype=torch.float64).to(dtype) for s in shapes]


def gates_like_trained(N, T, seed=0):
    """Between .9 and 1, a reset every 500 tokens, elsewhere in each head."""
    gates = 0.9 + 0.1 * torch.rand(N, T, generator=rng(seed), dtype=torch.float64)
    for h in range(N):
        gates[h, 37 * h % 500 :: 500] = 0
    return gates


GATES = {
    ".99": lambda N, T: torch.full((N, T), 0.99).double(),
    ".9": lambda N, T: torch.full((N, T), 0.9).double(),
    "trained": gates_like_trained,
}


BARS = [
    (1.0, 5e-6),
    (0.1, 5e-5),
    (1e-3, 2e-3),
]  # what single precision may lose, by penalty


@pytest.fixture(params=GATES)
def gated(request):
    """Makes heads of T tokens with gates in single precision, a penalty, and their answers in double."""

    def make(T, lam):
        q, k, v = heads(2, T, 64, 64, torch.float32)
        gates, penalty = GATES[request.param](2, T).float(), torch.full((2,), lam).double()
        want, *_ = gated_ridge(*(x.double() for x in (q, k, v, gates)), penalty)
        return q, k, v, gates, penalty, want

    return make


@pytest.mark.parametrize(("lam", "bar"), BARS)
def test_single_precision_with_gates(gated, lam, bar):
    q, k, v, gates, penalty, want = gated(1024, lam)
    part = [x[..., :90, :].double() for x in (q, k, v)]
    exact, *_ = forgetful_ridge(*part, gates[:, :90].double(), penalty)
    assert (want[:, :, :90] - exact).norm() <= 1e-10 * exact.norm()
    assert planned(gates, 64, None)
    for size in (1e-3, 1e3):
        got = gated_ridge(size * q, k, v, gates, penalty.float())[0].double() / size
        assert (got - want).norm() <= bar * want.norm()
        assert ((got - want).norm(dim=-1) / want.norm(dim=-1)).max() <= 2 * bar


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 150), st.integers(1, 20), st.integers(0, 10**6))
def test_chunks_are_one_factorisation_a_token(T, d, seed):
    draw = rng(seed)
    q, k, v = heads(2, T, d, 3, seed=seed, g=2)
    gates = torch.rand(2, T, generator=draw).double() ** 0.2
    gates[torch.rand(2, T, generator=draw) < 0.05] = 0.0
    gates[torch.rand(2, T, generator=draw) < 0.2] = 1.0
    lam = torch.tensor([0.5, 3.0]).double()
    ours = gated_ridge(q, k, v, gates, lam, diagnostics=True)
    theirs = forgetful_ridge(q, k, v, gates, lam, diagnostics=True)
    for a, b in zip((*ours, *gated_ridge(q, k, v, gates, lam)), (*theirs, *theirs[:3])):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_gates_of_one_are_no_gates():
    q, k, v = heads(2, 200, 16, 4, torch.float32)
    lam = torch.ones(2)
    ones = torch.ones(2, 200)
    got, *_ = gated_ridge(q, k, v, ones, lam)
    torch.testing.assert_close(got, causal_ridge(q, k, v, lam)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lam", [1.0, 1e-3])
@pytest.mark.parametrize("T", [300, 1100])
def test_a_document_changes_no_bit_of_another(lam, T):
    """Of short documents and of long ones, which are sequences of their own."""
    draw = rng(3)
    q, k, v = (torch.randn(1, 2, T, 16, generator=draw) for _ in range(3))
    cuts = torch.tensor([0, 70, 150, 155, T])
    gates = 0.9 + 0.1 * torch.rand(1, 2, T, generator=draw)
    starts = torch.zeros(2, T, dtype=torch.bool)
    starts[:, cuts[:-1]] = True
    assert (long_documents(torch.ones(2, T), starts) is None) == (T == 300)

    def found(q, k, v, gates):
        given = [x.clone().requires_grad_() for x in (q, k, v)]
        options = dict(is_causal=True, cu_seqlens=cuts, decay=gates)
        whole = ridge_attention(*given, lam, full_output=True, **options)
        out = ridge_attention(*given, lam, **options)
        by = torch.autograd.grad(out.square().sum(), given)
        rows = out, *by, whole.output, whole.error, whole.leverage[..., None]
        return [x[:, :, 150:] for x in rows] + [
            whole.state.R[:, :, 2:],
            whole.state.Z[:, :, 2:],
        ]

    for decay in (None, gates):
        before = found(q, k, v, decay)
        for size in (1e-4, 1e3):
            changed = [x.clone() for x in (q, k, v)]
            for x in changed:
                x[:, :, :150] = size * torch.randn(1, 2, 150, 16, generator=draw)
            for a, b in zip(before, found(*changed, decay)):
                assert torch.equal(a, b)


def test_documents_by_numbers_differ_by_row():
    draw = rng(5)
    q, k, v = (
        torch.randn(2, 3, 60, 8, generator=draw, dtype=torch.float64) for _ in range(3)
    )
    ids = torch.zeros(2, 60, dtype=torch.long)
    ids[0, 10:], ids[0, 30:], ids[1, 45:] = 5, 2, 1
    whole = ridge_attention(
        q, k, v, 0.3, is_causal=True, document_ids=ids, full_output=True
    )
    for row, cuts in ((0, (0, 10, 30, 60)), (1, (0, 45, 60))):
        for i, (a, b) in enumerate(zip(cuts, cuts[1:])):
            part = [x[row, :, a:b] for x in (q, k, v)]
            alone = ridge_attention(*part, 0.3, is_causal=True, full_output=True)
            for x, y in (
                (whole.output[row, :, a:b], alone.output),
                (whole.state.gram[row, :, i], alone.state.gram),
            ):
                torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-10)


def test_padding_and_documents():
    """What a masked token holds reaches nothing, NaN least of all."""
    draw = rng(6)
    q, k, v = (
        torch.randn(1, 2, 40, 6, generator=draw, dtype=torch.float64) for _ in range(3)
    )
    ids = torch.arange(40)[None] // 20
    mask = torch.ones(1, 40, dtype=torch.bool)
    mask[0, 5:12] = False
    options = dict(is_causal=True, document_ids=ids, key_mask=mask, decay=0.95)
    want = ridge_attention(q, k, v, 1.0, **options)
    spoilt = [x.clone() for x in (q, k, v)]
    for x in spoilt:
        x[:, :, 5:12] = float("nan")
    assert torch.equal(ridge_attention(*spoilt, 1.0, **options), want)


def test_a_weight_of_zero_is_no_token_but_has_a_derivative():
    draw = rng(7)
    q, k, v = (
        torch.randn(1, 2, 30, 4, generator=draw, dtype=torch.float64) for _ in range(3)
    )
    weight = torch.rand(1, 2, 30, generator=draw, dtype=torch.float64)
    weight[..., 7] = 0
    mask = torch.ones(1, 30, dtype=torch.bool)
    mask[0, 7] = False
    for options in ({}, {"is_causal": True}, {"is_causal": True, "decay": 0.95}):
        got = ridge_attention(q, k, v, 0.5, weight=weight, **options)
        same = ridge_attention(q, k, v, 0.5, weight=weight, key_mask=mask, **options)
        left = torch.arange(30) != 7 if options else torch.arange(30) >= 0
        if options.get("decay"):  # of a masked token the gate is one
            left &= torch.arange(30) < 7
        torch.testing.assert_close(
            got[:, :, left], same[:, :, left], rtol=1e-10, atol=1e-10
        )
        w = weight.clone().requires_grad_()
        f = ridge_attention(q, k, v, 0.5, weight=w, **options).square().sum()
        (by,) = torch.autograd.grad(f, w)
        step = torch.zeros_like(weight)
        step[0, 0, 7] = 1e-6
        up = ridge_attention(q, k, v, 0.5, weight=weight + step, **options).square().sum()
        slope = (up - f.detach()) / 1e-6
        torch.testing.assert_close(by[0, 0, 7], slope, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("window", [1, 5, 64, 100])
def test_a_window_decodes_to_the_same(window):
    q, k, v = heads(3, 90, 8, 4, torch.float32)
    whole = ridge_attention(q[:, 0], k, v, 0.5, is_causal=True, window=window)
    state = RidgeAttentionState(0.5, 8, 4, (3,), window=window)
    rows = [state.update(k[:, t], v[:, t]).attend(q[:, 0, t]) for t in range(90)]
    torch.testing.assert_close(whole, torch.stack(rows, 1), rtol=2e-3, atol=2e-4)


def rolling(q, k, v, lam, w):
    """A window's regressions, one a token, from its rows in double precision."""
    q, k, v = (x.double() for x in (q, k, v))
    eye, rows = lam**0.5 * torch.eye(k.shape[-1]).double(), []
    for t in range(k.shape[1]):
        part = slice(max(0, t - w + 1), t + 1)
        K = torch.cat([k[:, part], eye.expand(len(k), -1, -1)], 1)
        V = torch.cat([v[:, part], torch.zeros(len(k), len(eye), v.shape[-1])], 1)
        rows.append(q[:, :, t] @ torch.linalg.lstsq(K, V).solution)
    return torch.stack(rows, 2)


@pytest.mark.parametrize("w", [8, 33, 48, 64, 65, 80, 128, 200])
@pytest.mark.parametrize(("lam", "bar"), BARS)
def test_single_precision_in_windows(w, lam, bar):
    """The hardest have about as many pairs as channels."""
    q, k, v = heads(2, 260, 64, 16, torch.float32)
    penalty = torch.full((2,), lam)
    want = rolling(q, k, v, float(penalty[0]), w)
    exact, *_ = windowed_ridge(*(x.double() for x in (q, k, v)), penalty.double(), w)
    torch.testing.assert_close(exact, want, rtol=0, atol=1e-10 * float(want.abs().max()))
    for size in (1e-3, 1e3):
        got = windowed_ridge(size * q, k, v, penalty, w)[0].double() / size
        assert (got - want).norm() <= bar * want.norm()
        assert ((got - want).norm(dim=-1) / want.norm(dim=-1)).max() <= 2.5 * bar


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(1, 100), st.integers(1, 20), st.integers(0, 10**6))
def test_windows_of_any_size_are_one_regression_a_token(T, w, d, seed):
    q, k, v = heads(2, T, d, 3, seed=seed, g=2)
    out, h, e = windowed_ridge(
        q, k, v, torch.full((2,), 0.4, dtype=torch.float64), w, diagnostics=True
    )
    torch.testing.assert_close(out, rolling(q, k, v, 0.4, w), rtol=1e-9, atol=1e-10)
    fitted = rolling(k[:, None], k, v, 0.4, w)[:, 0]
    torch.testing.assert_close((1 - h[..., None]) * e, v - fitted, rtol=1e-8, atol=1e-9)


def test_only_the_blocks_of_a_window_that_lose_digits_are_done_twice(monkeypatch):
    """Keys that are alike, in one of many blocks; before and behind it single precision does."""
    q, k, v = heads(1, 4000, 16, 2, torch.float32)
    k[:, 2100:2140] = k[:, 2100:2101] + 1e-4 * k[:, 2100:2140]
    k[:, 2100:2140] *= 1e3
    done = []

    def watched(q, *given):
        done.append(q.dtype)
        return many_pairs(q, *given)

    monkeypatch.setattr("olsattention.attention.window.many_pairs", watched)
    got, *_ = windowed_ridge(q, k, v, torch.ones(1), 40)
    want, *_ = windowed_ridge(*(x.double() for x in (q, k, v)), torch.ones(1).double(), 40)
    assert (got - want).norm() <= 5e-5 * want.norm()
    wide = done.count(torch.float64) - done.count(torch.float32) * 0
    assert 1 <= wide - -(-4000 // 2048) < done.count(torch.float32)


@pytest.mark.parametrize(("lam", "bar"), BARS)
def test_decoding_with_gates(gated, lam, bar):
    """Pairs wait while all fades; every answer is that of the definition, whatever the size of queries."""
    T = 540
    q, k, v, gates, _, want = gated(T, lam)
    state, waited, rows = RidgeAttentionState(lam, 64, 64, (2,)), 0, []
    for t in range(T):
        state.update(k[:, t], v[:, t], gates[:, t])
        waited += state._memory.fading is not None
        both = [state.attend(size * q[:, 0, t]) / size for size in (1e-3, 1e3)]
        torch.testing.assert_close(*both, rtol=1e-3, atol=1e-3 * float(both[0].norm()))
        rows.append(both[0].double())
    got = torch.stack(rows, 1)
    assert waited > T / 2
    assert (got - want[:, 0]).norm() <= bar * want.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pairs_that_wait_while_all_fades_are_part_of_the_state(dtype, tmp_path):
    """Gates, none, near zero and zero in turn; whatever is asked of the state knows every pair."""
    draw, N, T, d = rng(11), 3, 150, 6
    q, k, v = (x.to(dtype) for x in heads(N, T, d, 4, seed=2))
    gates = 1 - 0.02 * torch.rand(N, T, generator=draw, dtype=torch.float64)
    gates[:, 40:44], gates[1, 60], gates[:, 90], gates[2, 120] = 1, 0, 1e-4, 1e-20
    gates, weight = gates.to(dtype), torch.rand(N, T, generator=draw).to(dtype)
    weight[:, 30] = 0
    state = RidgeAttentionState(0.3, d, 4, (N,), dtype=dtype)
    near = (
        dict(rtol=2e-4, atol=2e-5) if dtype == torch.float32 else dict(rtol=1e-9, atol=1e-9)
    )
    waited = 0
    for t in range(T):
        gate = None if 40 <= t < 44 else gates[:, t]
        state.update(k[:, t], v[:, t], gate, weight[:, t])
        waited += state._memory.fading is not None
        if t % 13:
            continue
        n = t + 1
        want = RidgeAttentionState(0.3, d, 4, (N,), dtype=dtype)
        want.update(k[:, :n], v[:, :n], gates[:, :n], weight[:, :n])
        state.save(tmp_path / "state.pt")
        kept = state.clone()
        for other in (
            state,
            RidgeAttentionState.load(tmp_path / "state.pt"),
            state.map(torch.clone),
            kept,
        ):
            torch.testing.assert_close(
                other.attend(q[:, 0, :n]), want.attend(q[:, 0, :n]), **near
            )
        torch.testing.assert_close(kept.leverage(k[:, t]), want.leverage(k[:, t]), **near)
        torch.testing.assert_close(kept.gram, want.gram, **near)
        torch.testing.assert_close(kept.fade, want.fade, **near)
        after = RidgeAttentionState(0.3, d, 4, (N,), dtype=dtype).update(k[:, :9], v[:, :9])
        torch.testing.assert_close(
            kept.merge(after).attend(q[:, 0, 0]),
            want.merge(after).attend(q[:, 0, 0]),
            **near,
        )
        assert kept.count == want.count
    assert waited > T / 2


def test_reading_while_pairs_wait_and_all_fades():
    """Derivatives by queries, transforms, and gates that have derivatives themselves."""
    q, k, v = heads(2, 40, 5, 3)
    state = RidgeAttentionState(0.3, 5, 3, (2,), dtype=torch.float64)
    k = 0.5 * k
    for t in range(20):
        state.update(k[:, t], v[:, t], 0.97)
    assert state._memory.fading is not None
    asked = q[:, 0, :4].clone().requires_grad_()
    assert torch.autograd.gradcheck(state.attend, asked)
    each = torch.func.vmap(state.attend, in_dims=1, out_dims=1)(q[:, 0, :4])
    torch.testing.assert_close(each, state.attend(q[:, 0, :4]), rtol=1e-10, atol=1e-10)
    with torch.inference_mode():
        inside = state.clone().update(k[:, 39], v[:, 39], 0.97).attend(q[:, 0, 0])
    gate = torch.full((2,), 0.97, dtype=torch.float64).requires_grad_()

    def learned(gate):
        return state.clone().update(k[:, 39], v[:, 39], gate).attend(q[:, 0, 0])

    torch.testing.assert_close(learned(gate).detach(), inside, rtol=1e-10, atol=1e-10)
    assert torch.autograd.gradcheck(learned, gate)


def test_a_penalty_by_channel_in_the_state(tmp_path):
    draw = rng(8)
    K, V, Q = (
        torch.randn(2, 40, n, generator=draw, dtype=torch.float64) for n in (5, 3, 5)
    )
    lam = 0.1 + torch.rand(2, 5, generator=draw, dtype=torch.float64)
    want = torch.linalg.solve(K.mT @ K + torch.diag_embed(lam), K.mT @ V)
    state = RidgeAttentionState(lam, 5, 3, (2,), dtype=torch.float64).update(K, V)
    near = dict(rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(state.coefficients, want, **near)
    torch.testing.assert_close(state.attend(Q), Q @ want, **near)
    torch.testing.assert_close(state.gram, K.mT @ K, **near)
    torch.testing.assert_close(state.moment, K.mT @ V, **near)
    again = RidgeAttentionState.from_moments(K.mT @ K, K.mT @ V, lam)
    torch.testing.assert_close(again.attend(Q), Q @ want, **near)
    parts = [
        RidgeAttentionState(lam, 5, 3, (2,), dtype=torch.float64).update(K[:, s], V[:, s])
        for s in (slice(9), slice(9, 40))
    ]
    torch.testing.assert_close(parts[0].merge(parts[1]).coefficients, want, **near)
    state.save(tmp_path / "state.pt")
    kept = RidgeAttentionState.load(tmp_path / "state.pt")
    assert torch.equal(kept.attend(Q), state.attend(Q))
    for k, v in zip(K[:, 9:].unbind(1), V[:, 9:].unbind(1)):
        state.downdate(k, v)
    torch.testing.assert_close(
        state.coefficients, parts[0].coefficients, rtol=1e-7, atol=1e-7
    )
    with pytest.raises(ValueError, match="different penalties by channel"):
        state.merge(RidgeAttentionState(1.0, 5, 3, (2,), dtype=torch.float64))


Q, K, V = heads(2, 12, 4, 3)
Q = Q[:, 0]
CAUSAL = {"is_causal": True}
BAD = {
    "documents without an order": (dict(cu_seqlens=torch.tensor([0, 12])), "need is_causal=True"),
    "a window without an order": (dict(window=3), "window needs is_causal=True"),
    "documents too short": (CAUSAL | dict(cu_seqlens=torch.tensor([0, 11])), "lead from 0 to the number of tokens, 12, got"),
    "documents that come back": (CAUSAL | dict(document_ids=torch.tensor([1] * 4 + [2] * 4 + [1] * 4)), "come back"),
    "ids of other tokens": (CAUSAL | dict(document_ids=torch.ones(2, 5, dtype=torch.long)), "document_ids must broadcast"),
    "a window with gates": (CAUSAL | dict(window=3, decay=0.9), "cannot be combined"),
    "no window": (CAUSAL | dict(window=0), "window must be a whole number of at least 1"),
    "a negative weight": (dict(weight=-1.0), "weight must be >= 0"),
    "a weight that is NaN": (dict(weight=torch.full((12,), float("nan"))), "weight must be >= 0 and finite"),
    "weights of other tokens": (dict(weight=torch.ones(7)), "weight must broadcast"),
    "other channels": (dict(lam=torch.ones(2, 5)), "lam must be a number, or broadcast to the heads"),
    "a negative channel": (dict(lam=torch.tensor([1.0, -1.0, 1.0, 1.0])), "lam must be > 0"),
    "a gate below zero": (CAUSAL | dict(decay=torch.full((12,), -0.1)), r"decay must be in \[0, 1\]"),
    "a gate that is NaN": (CAUSAL | dict(decay=torch.full((12,), float("nan"))), r"decay must be in \[0, 1\]"),
    "gates of other tokens": (CAUSAL | dict(decay=torch.ones(7)), "decay must broadcast"),
    "documents that go back": (CAUSAL | dict(cu_seqlens=torch.tensor([0, 8, 5, 12])), "must not decrease"),
    "no documents": (CAUSAL | dict(cu_seqlens=torch.tensor([12])), "lead from 0 to the number of tokens"),
    "a channel that is zero": (dict(lam=torch.tensor([1.0, 0.0, 1.0, 1.0])), "lam must be > 0"),
    "an infinite weight": (dict(weight=torch.full((12,), float("inf"))), "weight must be >= 0 and finite"),
    "a gate above one": (CAUSAL | dict(decay=1.5), r"decay must be in \[0, 1\]"),
    "a state of no documents": (CAUSAL | dict(cu_seqlens=torch.tensor([0, 12]), state=RidgeAttentionState(1.0, 4, 3, dtype=torch.float64)), "of documents"),
    "a state with another window": (CAUSAL | dict(window=3, state=RidgeAttentionState(1.0, 4, 3, (2,), 4, torch.float64)), "state must have window=3"),
    "a state without channels": (dict(lam=torch.ones(2, 4), state=RidgeAttentionState(1.0, 4, 3, (2,), dtype=torch.float64)), "for each channel, or neither"),
    "a window of documents in full": (CAUSAL | dict(window=3, cu_seqlens=torch.tensor([0, 12]), full_output=True), "documents with a window"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused(name):
    options, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        ridge_attention(Q, K, V, **{"lam": 1.0, **options})


STATE_BAD = {
    "other channels": (lambda: RidgeAttentionState(torch.ones(2, 5), 4, 3, (2,)), "lam must be a number, or broadcast to the heads"),
    "a window with gates": (lambda: RidgeAttentionState(1.0, 4, 3, (2,), 5).update(ONE[0], ONE[1], 0.9), "cannot be combined"),
    "a negative weight": (lambda: RidgeAttentionState(1.0, 4, 3, (2,)).update(*ONE, weight=-1.0), "weight must be >= 0 and finite, got values from -1 to -1"),
    "a gate above one": (lambda: RidgeAttentionState(1.0, 4, 3, (2,)).update(*ONE, 1.5), r"decay must be in \[0, 1\], got values from 1.5 to 1.5"),
    "a gate below zero": (lambda: RidgeAttentionState(1.0, 4, 3, (2,)).update(*ONE, -0.5), r"decay must be in \[0, 1\]"),
    "a gate that is NaN": (lambda: RidgeAttentionState(1.0, 4, 3, (2,)).update(*ONE, float("nan")), r"decay must be in \[0, 1\]"),
}  # fmt: skip
ONE = torch.ones(2, 4), torch.ones(2, 3)


@pytest.mark.parametrize("name", STATE_BAD)
def test_what_does_not_fit_a_state_is_refused(name):
    make, message = STATE_BAD[name]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("options", [{}, {"decay": 0.95}, {"window": 7}])
def test_a_masked_document_may_hold_anything(options):
    """Zeros come out of it, nothing of it reaches another; unmasked, the error says where it is."""
    draw = rng(12)
    q, k, v = (torch.randn(1, 2, 900, 6, generator=draw) for _ in range(3))
    cuts, mask = torch.tensor([0, 300, 600, 900]), torch.ones(1, 900, dtype=torch.bool)
    mask[:, 300:600] = False
    options = dict(options, is_causal=True, cu_seqlens=cuts)
    want = ridge_attention(q, k, v, 1.0, key_mask=mask, **options)
    spoilt = [x.clone() for x in (q, k, v)]
    for x in spoilt:
        x[:, :, 300:600] = float("nan")
    got = ridge_attention(*spoilt, 1.0, key_mask=mask, **options)
    assert torch.equal(got, want) and not got[:, :, 300:600].any()
    with pytest.raises(
        ValueError, match=r"contains nan at \(0, 0, 300, 0\); mask it with key_mask"
    ):
        ridge_attention(*spoilt, 1.0, **options)


def test_both_ways_of_saying_where_documents_begin():
    with pytest.raises(TypeError, match="not both"):
        ridge_attention(
            Q,
            K,
            V,
            1.0,
            is_causal=True,
            cu_seqlens=torch.tensor([0, 12]),
            document_ids=torch.ones(12, dtype=torch.long),
        )
    with pytest.raises(TypeError, match="tensor of integers"):
        ridge_attention(Q, K, V, 1.0, is_causal=True, cu_seqlens=[0, 12])


def packed_heads(lengths, dtype, d=16, d_v=5, g=1, seed=20):
    """Queries, keys, values of documents side by side, and where they begin."""
    draw, T = rng(seed), sum(lengths)
    q, k, v = (
        torch.randn(1, n, T, w, generator=draw, dtype=torch.float64).to(dtype)
        for n, w in ((2 * g, d), (2, d), (2, d_v))
    )
    return q, k, v, torch.tensor([0, *lengths]).cumsum(0)


SHORT = (5, 20, 33, 16, 1, 70, 64, 15, 48)


@pytest.mark.parametrize("g", [1, 2])
@pytest.mark.parametrize("decay", [None, 0.99, 0.7, "mixed"])
@pytest.mark.parametrize("lengths", [SHORT, (3, 3), (40, 100), (64, 128)])
def test_documents_are_what_each_is_alone(lengths, decay, g):
    """Answers and all derivatives, those by gates and penalties too; first chunks of every length, resets within documents."""
    q, k, v, cuts = packed_heads(lengths, torch.float64, g=g)
    draw, T = rng(21), q.shape[2]
    gates = None
    if decay == "mixed":
        gates = 0.9 + 0.1 * torch.rand(1, 2, T, generator=draw).double()
        gates[..., ::37], gates[..., 5::50] = 0.0, 1e-3
    elif decay is not None:
        gates = torch.full((1, 2, T), decay).double()
    given = [q, k, v, torch.tensor([0.3, 1.0]).double()]
    given = [x.requires_grad_() for x in (given if gates is None else [*given, gates])]
    options = dict(is_causal=True, enable_gqa=g > 1)
    whole = ridge_attention(*given[:4], cu_seqlens=cuts, decay=gates, **options)
    parts = []
    for a, b in zip(cuts[:-1], cuts[1:]):
        own = None if gates is None else gates[..., a:b]
        part = (x[:, :, a:b] for x in given[:3])
        parts.append(ridge_attention(*part, given[3], decay=own, **options))
    alone, by = torch.cat(parts, 2), torch.randn(*whole.shape, generator=draw).double()
    close = dict(rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(whole, alone, **close)
    found, want = (torch.autograd.grad(x, given, by) for x in (whole, alone))
    for a, b in zip(found, want):
        torch.testing.assert_close(a, b, **close)


def test_derivatives_of_packed_documents():
    """Once and twice, against differences."""
    q, k, v, cuts = packed_heads((3, 7, 1, 9), torch.float64, d=3, d_v=2)
    gates = 0.8 + 0.2 * torch.rand(1, 2, 20, generator=rng(22)).double()
    lam = torch.tensor([0.5, 1.5]).double()
    given = [x.requires_grad_() for x in (q, k, v, lam, gates)]

    def attend(q, k, v, lam, gates):
        return ridge_attention(q, k, v, lam, is_causal=True, cu_seqlens=cuts, decay=gates)

    assert torch.autograd.gradcheck(attend, given, fast_mode=True)
    assert torch.autograd.gradgradcheck(attend, given, fast_mode=True)


@pytest.mark.parametrize("lam, bar", [(1.0, 1e-5), (0.1, 5e-5), (1e-3, 2e-3)])
@pytest.mark.parametrize("decay", [None, 0.98])
def test_single_precision_of_packed_documents(decay, lam, bar):
    """Within the bars of one sequence; short first chunks leave sums of low rank to the next."""
    q, k, v, cuts = packed_heads((200, 130, 64, 65, 30, 10, 100), torch.float32, d=64)
    options = dict(is_causal=True, cu_seqlens=cuts, decay=decay)
    given = [x.requires_grad_() for x in (q, k, v)]
    out = ridge_attention(*given, lam, **options)
    wide = [x.detach().double().requires_grad_() for x in given]
    want = ridge_attention(*wide, lam, **options)
    assert (out - want).norm() <= bar * want.norm()
    found, exact = (
        torch.autograd.grad(x.square().sum(), y) for x, y in ((out, given), (want, wide))
    )
    for a, b in zip(found, exact):
        assert (a - b).norm() <= 10 * bar * b.norm()


@pytest.mark.parametrize("lengths", [(40, 100, 30, 130, 7), (300, 300, 400)])
@pytest.mark.parametrize("decay", [None, 0.97])
def test_derivatives_that_are_nan_stay_in_their_document(lengths, decay):
    q, k, v, cuts = packed_heads(lengths, torch.float32)
    given = [x.requires_grad_() for x in (q, k, v)]
    out = ridge_attention(*given, 1.0, is_causal=True, cu_seqlens=cuts, decay=decay)
    by = torch.randn(*out.shape, generator=rng(23))
    want = torch.autograd.grad(out, given, by, retain_graph=True)
    for a, b in zip(cuts[:-1], cuts[1:]):
        spoilt, others = by.clone(), torch.ones(out.shape[2], dtype=torch.bool)
        spoilt[:, :, a:b], others[a:b] = float("nan"), False
        found = torch.autograd.grad(out, given, spoilt, retain_graph=True)
        assert all(bool(x[:, :, a:b].isnan().any()) for x in found)
        for x, y in zip(found, want):
            assert torch.equal(x[:, :, others], y[:, :, others])


@pytest.mark.parametrize("decay", [None, 0.97])
def test_a_document_that_loses_all_digits_changes_no_bit_of_another(decay):
    """Keys that not even double precision holds are answered by reflections, the others as ever."""
    q, k, v, cuts = packed_heads((40, 90, 35), torch.float64, d=8)
    options = dict(is_causal=True, cu_seqlens=cuts, decay=decay)
    before = ridge_attention(q, k, v, 1e-2, **options)
    k[:, :, 40:130] *= 1e9
    after = ridge_attention(q, k, v, 1e-2, **options)
    assert torch.equal(before[:, :, :40], after[:, :, :40])
    assert torch.equal(before[:, :, 130:], after[:, :, 130:])
    alone = ridge_attention(
        *(x[:, :, 40:130] for x in (q, k, v)), 1e-2, is_causal=True, decay=decay
    )
    torch.testing.assert_close(after[:, :, 40:130], alone, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("decay", [None, 0.97])
def test_documents_go_on_from_their_states(decay):
    """Two packed halves, with the states of the first, are the whole documents."""
    q, k, v, cuts = packed_heads((30, 80, 66), torch.float64)
    half, at = torch.tensor([0, 10, 50, 76]), torch.zeros(176, dtype=torch.bool)
    for a, b in ((0, 10), (30, 70), (110, 136)):
        at[a:b] = True
    options = dict(is_causal=True, decay=decay)
    whole = ridge_attention(q, k, v, 0.5, cu_seqlens=cuts, full_output=True, **options)
    first = [x[:, :, at] for x in (q, k, v)]
    known = ridge_attention(*first, 0.5, cu_seqlens=half, full_output=True, **options)
    rest, others = [x[:, :, ~at] for x in (q, k, v)], torch.tensor([0, 20, 60, 100])
    out = ridge_attention(*rest, None, cu_seqlens=others, state=known.state, **options)
    torch.testing.assert_close(out, whole.output[:, :, ~at], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_heads_that_are_reset_begin_anew_alone(dtype):
    """Resets of one head at a time, to zero and nearly, while the pairs of others wait on; what is kept, saved and mapped is the same state."""
    N, T, d = 5, 120, 8
    q, k, v = (x.to(dtype) for x in heads(N, T, d, 4, seed=31))
    gates = 0.96 + 0.04 * torch.rand(N, T, generator=rng(32)).to(dtype)
    for t, h, gate in ((15, 1, 0), (22, 3, 1e-3), (23, 1, 0), (41, 0, 0.3), (60, 4, 0)):
        gates[h, t] = gate
    state, alone = RidgeAttentionState(3.0, d, 4, (N,), dtype=dtype), 0
    want, *_ = gated_ridge(
        *(x.double() for x in (q, k, v, gates)), torch.full((N,), 3.0).double()
    )
    bar = 1e-5 if dtype == torch.float32 else 1e-11
    for t in range(T):
        waiting = state._memory.pairs
        state.update(k[:, t], v[:, t], gates[:, t])
        after = state._memory.pairs
        if bool((gates[:, t] < 0.5).any()) and waiting is not None and after is not None:
            rows = state._memory.rows[:, :-1]
            left = (rows == 0).all(2).all(1)
            alone += int(bool(left.any()) and not bool(left.all()))
        got, copy = state.attend(q[:, 0, t]), state.clone().map(torch.clone)
        for one in (got, copy.attend(q[:, 0, t])):
            assert (one.double() - want[:, 0, t]).norm() <= bar * want[:, 0, t].norm()
    assert alone >= 3
    torch.testing.assert_close(state.fade, gates.prod(1))
