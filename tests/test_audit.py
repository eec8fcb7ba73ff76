"""Deleted rows, groups and tokens against refits; intervals against MAPIE and their theory; bad input."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mapie.regression import CrossConformalRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, LeaveOneOut
from statsmodels.api import OLS, add_constant
from statsmodels.stats.outliers_influence import OLSInfluence

from olsattention import (
    AttentionRegressor,
    SpectralSmoother,
    TridiagonalSmoother,
    adaptive_interval,
    deletion_diagnostics,
    dfbetas,
    influence,
    kernels,
    noise_variance,
    posterior_variance,
    prediction_interval,
    ridge_attention,
    select_lam,
    standard_error,
    token_influence,
)

rng = np.random.default_rng(16)
N, M, LAM = 24, 5, 0.6
X, NEW = rng.uniform(0.05, 0.95, size=(N, 2)), rng.uniform(0.05, 0.95, size=(M, 2))
Y = np.column_stack([np.sin(6 * X[:, 0]), X[:, 1] ** 2]) + 0.3 * rng.normal(size=(N, 2))
W = rng.uniform(0.3, 3.0, size=N)
HALVES = rng.permutation(np.arange(N) % 2)
THIRDS = np.arange(N) % 3

KERNELS = {
    "linear": kernels.linear,
    "polynomial": kernels.polynomial,
    "rbf": kernels.rbf,
    "laplacian": kernels.laplacian,
    "matern": kernels.matern,
    "exponential": kernels.exponential,
    "sobolev": lambda A, B=None: kernels.sobolev(A[:, :1], None if B is None else B[:, :1]),
    "spline": lambda A, B=None: kernels.spline(A[:, :1], None if B is None else B[:, :1]),
}


def by_system(K, K_new, T, T_new, w, y, keep):
    """Predictions from some rows, by the bordered system of a kernel with unpenalised functions."""
    at, c = np.flatnonzero(keep), T.shape[1]
    A = K[np.ix_(at, at)] + LAM * np.diag(1 / w[at])
    system = np.block([[A, T[at]], [T[at].T, np.zeros((c, c))]])
    right = np.concatenate([y[at], np.zeros((c, *y.shape[1:]))])
    return np.hstack([K_new[:, at], T_new]) @ np.linalg.solve(system, right)


# ---- influence ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("free", [0, 1, 2], ids=["no null space", "constant", "line"])
@pytest.mark.parametrize("weights", [np.ones(N), W], ids=["equal", "weighted"])
def test_influence_of_rows_and_groups_equals_refits(name, free, weights):
    K, K_new = KERNELS[name](X), KERNELS[name](NEW, X)
    T, T_new = (np.column_stack([np.ones(len(Z)), Z[:, 0]])[:, :free] for Z in (X, NEW))
    if free == 2 and name == "linear":
        pytest.skip("the line would be known twice")

    def predict(keep):
        return by_system(K, K_new, T, T_new, weights, Y, keep)

    more, asked = ({"null_space": T}, {"null_space": T_new}) if free else ({}, {})
    everything = predict(np.ones(N, bool))
    for build in (SpectralSmoother.from_gram, TridiagonalSmoother):
        s = build(K, weights=weights, **more)
        for groups in (None, HALVES, THIRDS):
            labels = np.arange(N) if groups is None else groups
            found = influence(s, K_new, Y, LAM, groups=groups, **asked)
            order = list(dict.fromkeys(labels.tolist()))
            wanted = np.stack([predict(labels != g) - everything for g in order], axis=1)
            np.testing.assert_allclose(found, wanted, atol=1e-10 * np.abs(everything).max())
        alone = influence(s, K_new, Y[:, 1], LAM, **asked)
        np.testing.assert_allclose(
            alone, influence(s, K_new, Y, LAM, **asked)[..., 1], atol=1e-13
        )


@settings(max_examples=30, deadline=None)
@given(
    st.integers(6, 30),
    st.integers(1, 4),
    st.floats(1e-3, 1e3),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_groups_of_a_design_equal_refits(n, p, lam, intercept, seed):
    draw = np.random.default_rng(seed)
    A, new, y = draw.normal(size=(n, p)), draw.normal(size=(2, p)), draw.normal(size=n)
    groups = draw.permutation(np.arange(n) % 2)
    w = draw.choice([0.5, 1.0, 2.0], size=n)
    whole = SpectralSmoother.from_design(A, intercept, w)
    found = influence(whole, new, y, lam, groups=groups)
    before, order = whole.predict(new, y, lam), dict.fromkeys(groups.tolist())
    for column, g in zip(found.T, order):
        keep = groups != g
        part = SpectralSmoother.from_design(A[keep], intercept, w[keep])
        after = part.predict(new, y[keep], lam)
        scale = np.abs(y).max() * max(1.0, np.abs(new).max())
        np.testing.assert_allclose(column, after - before, atol=1e-9 * scale)


def test_rows_of_weight_zero_and_copies():
    weights = np.array([0.0, 2.0, 1.0, 3.0] * 6)
    for kind in ("precision", "frequency"):
        s = SpectralSmoother.from_design(X, True, weights, kind)
        found = influence(s, NEW, Y, LAM)
        assert not found[:, weights == 0].any()
        for i in (1, 3):  # with all its copies
            keep = np.arange(N) != i
            part = SpectralSmoother.from_design(X[keep], True, weights[keep])
            after = part.predict(NEW, Y[keep], LAM) - s.predict(NEW, Y, LAM)
            np.testing.assert_allclose(found[:, i], after, atol=1e-12)
        held_out = s.group_residuals(Y, LAM, THIRDS)
        for g in range(3):
            out = THIRDS == g
            part = SpectralSmoother.from_design(X[~out], True, weights[~out])
            errors = Y[out] - part.predict(X[out], Y[~out], LAM)
            np.testing.assert_allclose(held_out[out], errors, atol=1e-12)


def test_labels_and_tensors_come_back():
    rows, columns = pd.period_range("2001", periods=N, freq="Y"), ["a", "b"]
    frame, asked = pd.DataFrame(X, rows, columns), pd.DataFrame(NEW, columns=columns)
    y = pd.Series(Y[:, 0], rows)
    s = SpectralSmoother.from_design(frame, True)
    assert influence(s, asked, y, LAM).columns.equals(rows)
    decade = pd.Series(rows.year // 10, rows)
    assert influence(s, asked, y, LAM, groups=decade).columns.tolist() == [200, 201, 202]
    interval = prediction_interval(s, asked, y, LAM)
    assert interval.lower.index.equals(asked.index) and interval.width.gt(0).all()
    assert s.group_residuals(y, LAM, decade).index.equals(rows)
    with pytest.raises(ValueError, match="groups has another index"):
        s.group_residuals(y, LAM, decade.iloc[::-1])
    table = AttentionRegressor().fit(frame, y).explain(asked, top=2, groups=decade)
    assert set(table["row"]) <= {200, 201, 202} and (table["rows"] >= 4).all()

    t = SpectralSmoother.from_design(torch.tensor(X), True)
    y = torch.tensor(Y, requires_grad=True)
    change = influence(t, torch.tensor(NEW), y, LAM, groups=HALVES)
    numpy = SpectralSmoother.from_design(X, True)
    order = influence(numpy, NEW, Y, LAM, groups=HALVES)
    np.testing.assert_allclose(change.detach(), order, atol=1e-13)
    change.sum().backward()
    assert y.grad.isfinite().all()
    interval = prediction_interval(t, torch.tensor(NEW), torch.tensor(Y), LAM)
    assert isinstance(interval.upper, torch.Tensor) and interval.upper.shape == (M, 2)


def test_at_leverage_one_only_what_is_not_determined_is_missing():
    A = np.column_stack([np.arange(N) < 2, np.arange(N)]).astype(float)
    s = SpectralSmoother.from_design(A, True)
    asked = np.array([[1.0, 3.0], [0.0, 3.0]])
    assert np.isfinite(influence(s, asked, Y, 0.0)).all()  # two rows know the dummy
    found = influence(s, asked, Y, 0.0, groups=np.arange(N) // 2)
    assert np.isnan(found[0, 0]).all() and np.isfinite(found[1]).all()
    part = SpectralSmoother.from_design(A[2:, 1:], True).predict(asked[1:, 1:], Y[2:], 0.0)
    np.testing.assert_allclose(
        found[1, 0], (part - s.predict(asked[1:], Y, 0.0))[0], atol=1e-11
    )


def test_what_is_not_determined_is_found_through_weights():
    draw = np.random.default_rng(0)
    A, w, y = draw.normal(size=(14, 2)), draw.uniform(0.2, 4, size=14), draw.normal(size=14)
    A[4:, 1] = 0  # the first group alone knows the second slope
    s, groups = SpectralSmoother.from_design(A, weights=w), np.arange(14) // 4
    asked = np.array([[1.0, 0.0], [0.5, 1.0]])
    found = influence(s, asked, y, 0.0, groups=groups)
    assert np.isnan(found[1, 0]) and np.isfinite(found[0]).all()
    part = SpectralSmoother.from_design(A[4:, :1], weights=w[4:])
    after = part.predict(asked[:1, :1], y[4:], 0.0) - s.predict(asked[:1], y, 0.0)
    np.testing.assert_allclose(found[0, 0], after[0], atol=1e-12)


def test_deleted_groups_at_interpolation_have_their_limit():
    K, K_new = kernels.laplacian(X), kernels.laplacian(NEW, X)
    s = SpectralSmoother.from_gram(K)
    found = influence(s, K_new, Y, 0.0, groups=HALVES)
    for column, g in zip(np.moveaxis(found, 1, 0), dict.fromkeys(HALVES.tolist())):
        keep = HALVES != g
        after = K_new[:, keep] @ np.linalg.solve(K[np.ix_(keep, keep)], Y[keep])
        np.testing.assert_allclose(
            column, after - K_new @ np.linalg.solve(K, Y), atol=1e-10
        )


def test_summaries_are_those_of_statsmodels():
    theirs = OLSInfluence(OLS(Y[:, 0], add_constant(X)).fit())
    s = SpectralSmoother.from_design(X, True)
    ours = deletion_diagnostics(s, Y[:, 0], 0.0)
    for name, values in {
        "leverage": theirs.hat_matrix_diag,
        "error_without": theirs.resid_press,
        "studentised": theirs.resid_studentized_external,
        "cooks_distance": theirs.cooks_distance[0],
        "dffits": theirs.dffits[0],
    }.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-10)
    np.testing.assert_allclose(dfbetas(s, Y[:, 0], 0.0), theirs.dfbetas, rtol=1e-9)


# ---- criteria, and what is asked wrongly ---------------------------------------------------------------------


def test_groups_choose_the_penalty_that_refits_choose():
    s = SpectralSmoother.from_gram(kernels.rbf(X, length_scale=0.3), intercept=True)
    chosen = select_lam(s, Y[:, 0], "loo", groups=THIRDS)
    for factor in (0.9, 1.1):
        assert s.leave_group_out(Y[:, 0], chosen.lam * factor, THIRDS) > chosen.score
    alone = select_lam(s, Y[:, 0], "loo", groups=np.arange(N))
    assert alone.lam == pytest.approx(select_lam(s, Y[:, 0], "loo").lam, rel=1e-8)
    with pytest.raises(ValueError, match="groups need the eigenvectors"):
        select_lam(TridiagonalSmoother(kernels.rbf(X)), Y, "loo", groups=THIRDS)


@pytest.mark.parametrize(
    "groups, says",
    [
        (np.zeros(N), "one group only, 0.0"),
        (np.where(np.arange(N) == 3, np.nan, 1.0), "no label at row 3, but nan"),
        ([None, *"a" * (N - 1)], "no label at row 0, but None"),
        (np.arange(N - 1), "one label for each of the 24 rows, got 23"),
        (np.zeros((N, 2)), "one label for each of the 24 rows"),
    ],
)
def test_bad_groups(groups, says):
    s = SpectralSmoother.from_design(X, True)
    model = AttentionRegressor("rbf", 1.0).fit(X, Y)
    for ask in (
        lambda: influence(s, NEW, Y, LAM, groups=groups),
        lambda: prediction_interval(s, NEW, Y, LAM, groups=groups),
        lambda: select_lam(s, Y, "loo", groups=groups),
        lambda: model.influence(NEW, groups),
        lambda: model.explain(NEW, groups=groups),
        lambda: AttentionRegressor(alpha="loo").fit(X, Y, groups=groups),
    ):
        with pytest.raises(ValueError, match=says):
            ask()


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.5, 2.0, np.nan])
def test_bad_coverage(coverage):
    s = SpectralSmoother.from_design(X, True)
    with pytest.raises(ValueError, match="coverage must be between 0 and 1"):
        prediction_interval(s, NEW, Y, LAM, coverage)
    with pytest.raises(ValueError, match="coverage must be between 0 and 1"):
        AttentionRegressor().fit(X, Y).predict_interval(NEW, coverage)
    with pytest.raises(ValueError, match="coverage must be in"):
        adaptive_interval(Y[:, 0], Y[:, 1], coverage)


def test_one_row_a_constant_outcome_and_all_weights_zero():
    one = SpectralSmoother.from_design(X[:1], True)
    interval = prediction_interval(one, NEW, Y[:1, 0], LAM)
    assert np.isinf(interval.width).all()
    assert np.isnan(influence(one, NEW, Y[:1, 0], LAM)).all()
    s = SpectralSmoother.from_design(X, True)
    constant = np.full(N, 1 / 3)
    assert not influence(s, NEW, constant, LAM).any()
    assert not prediction_interval(s, NEW, constant, LAM).width.any()
    assert (
        noise_variance(s, constant, LAM) == 0 == standard_error(s, NEW, constant, LAM).max()
    )
    with pytest.raises(ValueError, match="all are zero"):
        SpectralSmoother.from_design(X, True, np.zeros(N))


# ---- intervals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ridge", "kernel", "tridiagonal"])
@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.92])
def test_intervals_are_those_of_mapie(kind, coverage):
    y = Y[:, 0]
    if kind == "ridge":
        s, asked, model = SpectralSmoother.from_design(X, True), NEW, Ridge(LAM)
    else:
        build = SpectralSmoother.from_gram if kind == "kernel" else TridiagonalSmoother
        s, asked = build(kernels.rbf(X)), kernels.rbf(NEW, X)
        model = KernelRidge(alpha=LAM, kernel="rbf", gamma=0.5)
    for cv, groups in ((LeaveOneOut(), None), (GroupKFold(8), np.arange(N) % 8)):
        peer = CrossConformalRegressor(model, confidence_level=coverage, cv=cv)
        wanted = peer.fit_conformalize(X, y, groups=groups).predict_interval(NEW)[1][..., 0]
        found = prediction_interval(s, asked, y, LAM, coverage, groups=groups)
        np.testing.assert_allclose(np.stack(found[1:], axis=1), wanted, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 60), st.floats(0.05, 0.95), st.integers(0, 2**32 - 1))
def test_the_candidates_hold_the_quantile(n, coverage, seed):
    draw = np.random.default_rng(seed)
    A, y = draw.normal(size=(n, 2)), draw.standard_t(1.5, size=n)
    new = draw.normal(size=(3, 2)) * draw.choice([1, 30])  # near, and far beyond the rows
    s = SpectralSmoother.from_design(A, True)
    found, f = prediction_interval(s, new, y, 0.1, coverage), s.predict(new, y, 0.1)
    e = s.loo_residuals(y, 0.1)
    without = f[:, None] - s.weights(new, 0.1) * e
    k = int(np.ceil(round(coverage * (n + 1), 9)))
    if k > n:
        assert np.isinf(found.width).all()
        return
    upper = np.sort(without + np.abs(e), axis=1)[:, k - 1]
    lower = np.sort(without - np.abs(e), axis=1)[:, n - k]
    np.testing.assert_allclose(found.upper, upper, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.lower, lower, rtol=1e-9, atol=1e-9)


def test_blocks_change_nothing(monkeypatch):
    s = SpectralSmoother.from_design(X, True)
    whole = prediction_interval(s, NEW, Y, LAM, groups=THIRDS)
    monkeypatch.setattr("olsattention.selection.sure.BLOCK", 2 * N)
    for one, other in zip(whole, prediction_interval(s, NEW, Y, LAM, groups=THIRDS)):
        np.testing.assert_allclose(one, other, atol=1e-13)
    empty = prediction_interval(s, NEW[:0], Y, LAM)
    assert empty.upper.shape == (0, 2)


def test_adaptive_intervals_know_only_what_was_known():
    outcomes = rng.normal(size=80)
    whole = adaptive_interval(np.zeros(80), outcomes, delay=3)
    part = adaptive_interval(np.zeros(50), outcomes[:50], delay=3)
    np.testing.assert_array_equal(whole.upper[:50], part.upper)
    unknown = np.r_[outcomes[:47], np.full(3, np.nan)]
    np.testing.assert_array_equal(
        adaptive_interval(np.zeros(50), unknown, delay=3).upper, part.upper
    )


@pytest.mark.parametrize(
    "name", ["rbf", "matern", "polynomial", "sobolev", "spline", "linear"]
)
def test_the_estimator_knows_how_sure_it_is(name):
    weights = np.r_[0.0, np.ones(N - 1)]
    model = AttentionRegressor(name, 0.5).fit(X, Y[:, 0], weights)
    asked = np.clip(NEW, X[1:].min(axis=0), X[1:].max(axis=0))  # the unit interval stays
    mean, std = model.predict(asked, return_std=True)
    np.testing.assert_array_equal(mean, model.predict(asked))
    # the leverage that a new row would have if it joined the others; parameters stay as they were
    chosen = {k: v for k, v in model.kernel_params_.items() if k in model.get_params()}
    h = []
    for row in asked:
        joined = AttentionRegressor(name, 0.5).set_params(**chosen)
        joined.fit(np.vstack([X, row]), np.r_[Y[:, 0], 0.0], np.r_[weights, 1.0])
        h.append(joined._smoother.leverage(0.5)[-1])
    noise = noise_variance(model._smoother, Y[1:, 0], 0.5)
    np.testing.assert_allclose(std, np.sqrt(noise / (1 - np.array(h))), rtol=1e-9)


def test_posterior_of_tensors():
    t = SpectralSmoother.from_gram(torch.tensor(kernels.rbf(X)), intercept=True)
    found = posterior_variance(
        t, torch.tensor(kernels.rbf(NEW, X)), LAM, diagonal=torch.ones(M)
    )
    s = SpectralSmoother.from_gram(kernels.rbf(X), intercept=True)
    wanted = posterior_variance(s, kernels.rbf(NEW, X), LAM, diagonal=np.ones(M))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


# ---- tokens --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("T", [1, 2, 17])
@pytest.mark.parametrize("heads", [(), (2,), (2, 3)])
def test_a_removed_token_changes_what_recomputing_says(T, heads, monkeypatch):
    monkeypatch.setattr(
        "olsattention.attention.tokens.ENTRIES", 5 * 4 * T
    )  # several blocks
    draw = torch.Generator().manual_seed(T)
    q, k, v = (torch.randn(*heads, T, d, generator=draw).double() for d in (4, 4, 3))
    lam = torch.rand(heads, generator=draw).double() + 0.1
    for causal in (False, True):
        whole = ridge_attention(q, k, v, lam, is_causal=causal)
        found = token_influence(q, k, v, lam, is_causal=causal, norm=False)
        for i in range(T):
            keep = (torch.arange(T) != i).double()[:, None]
            change = ridge_attention(q, k * keep, v, lam, is_causal=causal) - whole
            torch.testing.assert_close(found[..., i, :], change, atol=1e-10, rtol=1e-10)
        sizes = token_influence(q, k, v, lam, is_causal=causal)
        torch.testing.assert_close(sizes, found.norm(dim=-1))


def test_token_influence_of_no_tokens_and_of_bad_ones():
    nothing = torch.zeros(2, 0, 4)
    assert token_influence(nothing, nothing, nothing, 1.0, is_causal=True).shape == (
        2,
        0,
        0,
    )
    k = torch.ones(2, 3, 4)
    with pytest.raises(ValueError, match="lam must be > 0"):
        token_influence(k, k, k, 0.0)
    with pytest.raises(ValueError, match="value holds NaN"):
        token_influence(k, k, k * torch.nan, 1.0)
    with pytest.raises(TypeError, match="query"):
        token_influence(k.numpy(), k, k, 1.0)
