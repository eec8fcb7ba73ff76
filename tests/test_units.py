"""Weights and penalties by channel in single precision: keys with a large common part keep the digits that they have without."""

import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from olsattention import RidgeAttentionState, RidgeMixer, ridge_attention

N, T, d, d_v, WINDOW = 2, 36, 5, 2, 12
WIDE = torch.float64
CUTS = torch.tensor([0, 14, T])


class Tokens:
    """Float32 tokens whose keys and queries share a part; all that is given is exact, so that a reference can be."""

    def __init__(self, seed, common, groups=1, weighs=True, by_channel=True):
        g = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=g)

        def some(*shape):
            return 0.2 + 2 * torch.rand(*shape, generator=g)

        shared = common * normal(N, 1, d)
        self.q = normal(N * groups, T, d) + shared.repeat_interleave(groups, 0)
        self.k, self.v = normal(N, T, d) + shared, normal(N, T, d_v)
        self.w = some(N, T) if weighs else None
        self.lam = some(N, d) if by_channel else some(N)
        self.gates, self.groups = 0.9 + 0.1 * torch.rand(N, T, generator=g), groups

    def wide(self):
        """The same numbers in double precision."""
        other = object.__new__(Tokens)
        for name, x in vars(self).items():
            setattr(other, name, x.double() if isinstance(x, torch.Tensor) else x)
        return other

    def call(self, **options):
        options = {"weight": self.w, "enable_gqa": True, **options}
        return ridge_attention(self.q, self.k, self.v, self.lam, **options)

    def state(self, **options):
        return RidgeAttentionState(self.lam, d, d_v, (N,), dtype=self.k.dtype, **options)

    def pair(self, t, gates=None):
        """The arguments of `update` for a token, or a slice of them."""
        w = None if self.w is None else self.w[:, t]
        return self.k[:, t], self.v[:, t], None if gates is None else gates[:, t], w


def by_rows(x, seen, weight, t):
    """The answers to queries t, by reflections in double precision of the rows `seen`; nothing is squared."""
    root = weight.sqrt()[..., None]
    lam = x.lam if x.lam.ndim == 2 else x.lam[:, None].expand(N, d)
    rows = torch.cat([torch.diag_embed(lam.sqrt()), root * x.k[:, seen]], 1)
    outcomes = torch.cat([x.v.new_zeros(N, d, d_v), root * x.v[:, seen]], 1)
    Q, R = torch.linalg.qr(rows)
    q = x.q[:, t].unflatten(0, (N, x.groups)).flatten(1, 2)
    asked = torch.linalg.solve_triangular(R.mT, q.mT, upper=False)
    out = asked.mT @ (Q.mT @ outcomes)
    return out.unflatten(1, (x.groups, -1)).flatten(0, 1)


def wanted(x, first=lambda t: 0, gated=False):
    """Causal answers by the definition, from pairs `first(t)` to t."""
    x, rows = x.wide(), []
    for t in range(T):
        seen = slice(first(t), t + 1)
        weight = torch.ones(N, T).double() if x.w is None else x.w
        weight = weight[:, seen]
        if gated:
            later = x.gates[:, seen][:, 1:].flip(1).cumprod(1).flip(1)
            weight = weight * torch.cat([later, torch.ones(N, 1).double()], 1)
        rows.append(by_rows(x, seen, weight, slice(t, t + 1)))
    return torch.cat(rows, 1)


def wanted_in_full(x):
    x = x.wide()
    weight = torch.ones(N, T).double() if x.w is None else x.w
    return by_rows(x, slice(0, T), weight, slice(0, T))


def decoded(x, gates=None, **options):
    state, rows = x.state(**options), []
    for t in range(T):
        state.update(*x.pair(t, gates))
        rows.append(state.attend(x.q[:, t], enable_gqa=True))
    return torch.stack(rows, 1)


def read(x):
    return x.state().update(*x.pair(slice(0, T))).attend(x.q, enable_gqa=True)


def merged(x):
    left, right = (x.state().update(*x.pair(s)) for s in (slice(0, 20), slice(20, T)))
    return left.merge(right).attend(x.q, enable_gqa=True)


def forgotten(x):
    state = x.state().update(*x.pair(slice(0, T)))
    k, v, _, w = (None if y is None else y * 2 for y in x.pair(3))
    state.update(k, v, weight=w).downdate(k, v, w)
    return state.attend(x.q, enable_gqa=True)


def from_moments(x):
    wide = x.wide()
    weight = torch.ones(N, T, 1).double() if x.w is None else wide.w[..., None]
    moments = (wide.k.mT @ (weight * y) for y in (wide.k, wide.v))
    state = RidgeAttentionState.from_moments(*moments, wide.lam).to(torch.float32)
    return state.attend(x.q, enable_gqa=True)


def gone_on(x):
    """Half of the tokens, then the others with the state of the first."""
    parts, state = [], None
    for s in (slice(0, 20), slice(20, T)):
        k, v, gates, w = x.pair(s, x.gates)
        given = x.q[:, s], k, v, x.lam if state is None else None
        options = {"decay": gates, "weight": w, "state": state, "is_causal": True}
        out, state, *_ = ridge_attention(
            *given, full_output=True, enable_gqa=True, **options
        )
        parts.append(out)
    return torch.cat(parts, 1)


def since(w):
    return lambda t: max(0, t + 1 - w)


def of_document(t):
    return 14 if t >= 14 else 0


LIKE = {
    "full": (lambda x: x.call(), wanted_in_full),
    "full, all of it": (lambda x: x.call(full_output=True).output, wanted_in_full),
    "causal": (lambda x: x.call(is_causal=True), wanted),
    "gated": (
        lambda x: x.call(is_causal=True, decay=x.gates),
        lambda x: wanted(x, gated=True),
    ),
    "gated in two parts": (gone_on, lambda x: wanted(x, gated=True)),
    "window": (
        lambda x: x.call(is_causal=True, window=WINDOW),
        lambda x: wanted(x, since(WINDOW)),
    ),
    "few": (lambda x: x.call(is_causal=True, window=2), lambda x: wanted(x, since(2))),
    "packed": (
        lambda x: x.call(is_causal=True, cu_seqlens=CUTS),
        lambda x: wanted(x, of_document),
    ),
    "decoded": (decoded, wanted),
    "decoded, gated": (
        lambda x: decoded(x, x.gates),
        lambda x: wanted(x, gated=True),
    ),
    "decoded, window": (
        lambda x: decoded(x, window=WINDOW),
        lambda x: wanted(x, since(WINDOW)),
    ),
    "read": (read, wanted_in_full),
    "merged": (merged, wanted_in_full),
    "forgotten": (forgotten, wanted_in_full),
    "from moments": (from_moments, wanted_in_full),
}


def apart(got, want):
    return float((got.double() - want).norm() / want.norm())


@pytest.mark.parametrize("kind", LIKE)
@settings(deadline=None, max_examples=6)
@given(
    seed=st.integers(0, 2**31),
    common=st.sampled_from([0.0, 3e2, 3e3, 3e4]),
    units=st.sampled_from([(True, False), (False, True), (True, True), (False, False)]),
    groups=st.sampled_from([1, 3]),
)
def test_a_common_part_costs_no_digits(kind, seed, common, units, groups):
    x = Tokens(seed, common, groups, *units)
    attend, definition = LIKE[kind]
    got = attend(x)
    assert got.dtype == torch.float32
    assert apart(got, definition(x)) < 1e-5


@pytest.mark.parametrize("units", [(True, True), (False, False)])
@pytest.mark.parametrize("gate", [None, 0.99])
def test_a_common_part_that_comes_late(gate, units):
    """A state that has seen other keys is surprised; pairs that wait are the more in danger, with weights or without."""
    for common in (1e3, 1e4):
        for seed in (101, 102, 105):
            quiet, loud = Tokens(seed, 0.0, 1, *units), Tokens(seed, common, 1, *units)
            pairs = (quiet, quiet.wide()), (loud, loud.wide())
            states = [x.state() for x in pairs[0]]
            for both in pairs:
                for t in range(T):
                    for state, x in zip(states, both):
                        k, v, _, w = x.pair(t)
                        state.update(k, v, gate, w)
                    if both[0] is loud:
                        asked = [s.attend(x.q[:, t]) for s, x in zip(states, both)]
                        assert apart(*asked) < 1e-4


OPTIONS = {
    "full": {},
    "causal": {"is_causal": True},
    "window": {"is_causal": True, "window": WINDOW},
    "few": {"is_causal": True, "window": 2},
    "packed": {"is_causal": True, "cu_seqlens": CUTS},
    "gated": {"is_causal": True},
}


def gradients(x, kind):
    names = ["q", "k", "v", "w", "lam"] + (["gates"] if kind == "gated" else [])
    leaves = [getattr(x, name).detach().clone().requires_grad_() for name in names]
    for name, leaf in zip(names, leaves):
        setattr(x, name, leaf)
    options = {"decay": x.gates} if kind == "gated" else {}
    out = x.call(**OPTIONS[kind], **options)
    return torch.autograd.grad((out * out.detach().cos()).sum(), leaves)


@pytest.mark.parametrize("common", [0.0, 3e3])
@pytest.mark.parametrize("kind", OPTIONS)
def test_derivatives_keep_them_too(kind, common):
    found = gradients(Tokens(3, common), kind)
    exact = gradients(Tokens(3, common).wide(), kind)
    for got, want in zip(found, exact):
        # without a common part derivatives by penalties are differences all the same
        assert got.dtype == torch.float32 and apart(got, want) < (5e-7 if common else 1e-4)


@pytest.mark.parametrize("kind", ["causal", "gated", "packed"])
def test_transforms_have_double_precision_throughout(kind):
    """Where one may not look, sums are not rounded between the blocks either."""
    x, exact = Tokens(5, 3e3), gradients(Tokens(5, 3e3).wide(), kind)
    options = OPTIONS[kind]

    def total(q, k, v, w, lam):
        gates = {"decay": x.gates} if kind == "gated" else {}
        out = ridge_attention(q, k, v, lam, weight=w, **options, **gates)
        return (out * out.detach().cos()).sum()

    found = torch.func.grad(total, argnums=(0, 1, 2, 3, 4))(x.q, x.k, x.v, x.w, x.lam)
    for got, want in zip(found, exact):
        assert apart(got, want) < 5e-7


@pytest.mark.parametrize("kind", ["full", "causal"])
def test_a_graph_that_cannot_look_keeps_them(kind):
    x = Tokens(8, 3e3)

    class Head(torch.nn.Module):
        def forward(self, q, k, v, w, lam):
            return ridge_attention(q, k, v, lam, weight=w, **OPTIONS[kind])

    given = x.q, x.k, x.v, x.w, x.lam
    graph = torch.export.export(Head(), given).module()
    definition = wanted_in_full if kind == "full" else wanted
    assert apart(graph(*given), definition(x)) < 1e-6


class Precisions(TorchDispatchMode):
    """The dtypes in which matrices are multiplied and factored."""

    HEAVY = {"mm", "bmm", "addmm", "baddbmm", "linalg_cholesky_ex", "linalg_qr"}

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if function.overloadpacket.__name__ in self.HEAVY:
            first = out[0] if isinstance(out, (tuple, list)) else out
            self.seen.add(first.dtype)
        return out


@pytest.mark.parametrize("kind", ["full", "causal", "window", "packed", "gated"])
def test_where_no_digits_are_in_danger_single_precision_does_it(kind):
    seen = []
    for common in (0.0, 3e3):
        x = Tokens(4, common)
        x.lam = 5 + x.lam
        options = {"decay": x.gates} if kind == "gated" else {}
        with Precisions() as mode:
            x.call(**OPTIONS[kind], **options)
        seen.append(mode.seen)
    assert seen[0] == {torch.float32} and WIDE in seen[1]


@pytest.mark.parametrize("units", [(True, False), (False, True)])
def test_a_window_keeps_its_pairs_as_they_were_formed(units):
    x, out, wide = Tokens(6, 3e4, 1, *units), [], Tokens(6, 3e4, 1, *units).wide()
    states = [y.state(window=WINDOW) for y in (x, x, x, x, wide)]
    for t in range(T):
        if t == T // 2:
            with tempfile.TemporaryDirectory() as folder:
                states[0].save(path := Path(folder) / "state.pt")
                states[0] = RidgeAttentionState.load(path)
            states[1] = states[1].to(torch.float32)
            states[2] = states[2].map(torch.Tensor.clone)
            # a state in float64 that becomes one in float32
            states[3] = states[4].to(torch.float32)
        for state in states[:4]:
            state.update(*x.pair(t))
        states[4].update(*wide.pair(t))
    want = states[4].attend(wide.q)
    for state in states[:4]:
        assert state.dtype == torch.float32 and apart(state.attend(x.q), want) < 1e-6
        out.append(state.keys.dtype)
    assert set(out) == {WIDE}
    assert states[4].keys.dtype == WIDE
    plain = Tokens(6, 3e4, 1, False, False)
    kept = plain.state(window=WINDOW).update(*plain.pair(slice(0, T))).to("cpu")
    assert kept.keys.dtype == torch.float32 and torch.equal(kept.keys, plain.k[:, -WINDOW:])


@pytest.mark.parametrize("common", [0.0, 1e3])
def test_a_mixer_step_by_step_and_at_once(common):
    """Its keys have length one, so its penalties must be small for the common part to matter."""
    torch.manual_seed(2)
    mixer = RidgeMixer(16, 4, key_heads=2, head_dim=6, least_lam=1e-9)
    with torch.no_grad():
        mixer.raw_lam.fill_(-25.0)
        x = torch.randn(2, 30, 16) + common * torch.randn(16)
        heads = mixer._heads(mixer.project(x), None, None)
        gates, weights = mixer.gates(x), mixer.weights(x)
        wide = [y.double() for y in (*heads, mixer.lam)]
        options = {"is_causal": True, "enable_gqa": True}
        own = {"decay": gates.double(), "weight": weights.double()}
        exact = ridge_attention(*wide, **options, **own)
        own = {"decay": gates, "weight": weights}
        assert apart(ridge_attention(*heads, mixer.lam, **options, **own), exact) < 1e-5
        state = RidgeAttentionState(mixer.lam, 6, 6, (2, 2))
        rows = []
        for t in range(30):
            q, k, v = (y[:, :, t] for y in heads)
            state.update(k, v, gates[..., t], weights[..., t])
            rows.append(state.attend(q, enable_gqa=True))
        assert apart(torch.stack(rows, 2), exact) < 1e-5


def test_moments_in_float32_keep_what_their_rounding_left():
    """The bound of `from_moments`."""
    for seed, common in enumerate((0.0, 3.0, 10.0, 30.0, 100.0)):
        x = Tokens(seed, common)
        wide = x.wide()
        G, B = (wide.k.mT @ (wide.w[..., None] * y) for y in (wide.k, wide.v))
        A = G + torch.diag_embed(wide.lam)
        diagonals = (M.diagonal(dim1=1, dim2=2) for M in (A, torch.linalg.inv(A)))
        inflation = float(torch.mul(*diagonals).max())
        state = RidgeAttentionState.from_moments(G.float(), B.float(), x.lam)
        assert apart(state.attend(x.q), wanted_in_full(x)) < 4 * 2.0**-24 * inflation
