"""Row weights in the smoothers: against least squares on scaled rows, refits, copies, and rows that weigh nothing."""

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import config_context

from olsattention import (
    AttentionRegressor,
    BoundaryWarning,
    RankDeficiencyWarning,
    SpectralSmoother,
    TridiagonalSmoother,
    criterion_curve,
    kernels,
    select_lam,
)

rng = np.random.default_rng(31)
N = 18
X = rng.normal(size=(N, 3)) * [1.0, 4.0, 0.3] + [0.0, 7.0, 0.0]
Y = np.column_stack([np.sin(X[:, 0]), X[:, 1]]) + rng.normal(size=(N, 2))
NEW = rng.normal(size=(5, 3)) + [0.0, 7.0, 0.0]
W = rng.uniform(0.2, 3.0, size=N)
W[[2, 11]] = 0.0
TYPES = ["precision", "frequency"]


# ---- one brute force for all: least squares on scaled rows and a square root of the kernel -----------------


class BruteForce:
    """Ridge of the rows of a feature map beside unpenalised functions, by least squares on scaled rows and phantom rows."""

    def __init__(self, features, functions, w, lam):
        self.A, self.w, self.lam = np.hstack([functions, features]), w, lam
        self.c, self.q = functions.shape[1], features.shape[1]

    def attention(self, rows, w=None):
        """The weights (m, n) of rows of `A`, with other weights if given."""
        w = self.w if w is None else w
        phantom = np.hstack([np.zeros((self.q, self.c)), self.lam**0.5 * np.eye(self.q)])
        scaled = np.vstack([np.sqrt(w)[:, None] * self.A, phantom])
        pinv = np.linalg.pinv(scaled, rcond=1e-12)[:, : len(w)]
        return rows @ pinv * np.sqrt(w)

    def left_out(self, y, share):
        """Errors of rows of which a share is left out."""
        errors = []
        for i in range(len(y)):
            less = np.where(np.arange(len(y)) == i, self.w * (1 - share), self.w)
            errors.append(y[i] - (self.attention(self.A[i : i + 1], less) @ y)[0])
        return np.array(errors)


def of_design(w, kind, intercept=True):
    s = SpectralSmoother.from_design(X, intercept, w, kind)
    return s, np.ones((N, int(intercept))), X, (NEW, {})


def of_gram(make, intercept):
    def smoother(w, kind):
        s = make(kernels.linear(X), intercept, weights=w, weight_type=kind)
        return s, np.ones((N, int(intercept))), X, (kernels.linear(NEW, X), {})

    return smoother


def of_null_space(make):
    def smoother(w, kind):
        T, T_new = (np.column_stack([np.ones(len(Z)), Z[:, 0]]) for Z in (X, NEW))
        s = make(kernels.linear(X[:, 1:]), null_space=T, weights=w, weight_type=kind)
        K_new = kernels.linear(NEW[:, 1:], X[:, 1:])
        return s, T, X[:, 1:], (K_new, {"null_space": T_new})

    return smoother


MAKERS = {
    "design": of_design,
    "design without intercept": lambda w, kind: of_design(w, kind, False),
    "gram": of_gram(SpectralSmoother.from_gram, True),
    "gram without intercept": of_gram(SpectralSmoother.from_gram, False),
    "null space": of_null_space(SpectralSmoother.from_gram),
    "tridiagonal": of_gram(TridiagonalSmoother, True),
    "tridiagonal without intercept": of_gram(TridiagonalSmoother, False),
    "tridiagonal null space": of_null_space(TridiagonalSmoother),
}
each_smoother = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@each_smoother
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("w", [W, W + 0.5], ids=["two dropped", "all"])
def test_every_answer_equals_least_squares_on_scaled_rows(make, kind, w):
    lam = 0.7
    s, T, features, (new, extra) = make(w, kind)
    brute = BruteForce(features, T, w, lam)
    kept, copies = w > 0, kind == "frequency"
    H, total = brute.attention(brute.A), w.sum() if copies else kept.sum()
    share = np.where(w > 1, 1 / np.maximum(w, 1), 1.0) if copies else np.ones(N)
    errors = brute.left_out(Y, share)
    close = {"rtol": 0, "atol": 1e-10}
    np.testing.assert_allclose(s.leverage(lam), np.diag(H), **close)
    np.testing.assert_allclose(s.df(lam), np.trace(H), **close)
    np.testing.assert_allclose(s.fit(Y, lam), H @ Y, **close)
    np.testing.assert_allclose(s.residuals(Y, lam), Y - H @ Y, **close)
    np.testing.assert_allclose(s.loo_residuals(Y, lam), errors, **close)
    np.testing.assert_allclose(s.loo(Y, lam), w @ errors**2 / total, rtol=1e-10)
    gcv = w @ (Y - H @ Y) ** 2 / total / (1 - np.trace(H) / total) ** 2
    np.testing.assert_allclose(s.gcv(Y, lam), gcv, rtol=1e-10)
    np.testing.assert_allclose(criterion_curve(s, Y, [lam])[0], gcv, rtol=1e-10)
    functions = extra.get("null_space", np.ones((5, T.shape[1])))
    query = np.hstack([functions, NEW[:, 1:] if "null_space" in extra else NEW])
    found = s.weights(new, lam, **extra)
    np.testing.assert_allclose(found, brute.attention(query), **close)
    np.testing.assert_allclose(s.predict(new, Y, lam, **extra), found @ Y, **close)
    assert not found[:, ~kept].any() and s.n == kept.sum()
    if isinstance(s, SpectralSmoother):
        np.testing.assert_allclose(s.hat_matrix(lam), H, **close)
    # one outcome is a column of two
    one = s.loo_residuals(Y[:, 0], lam)
    np.testing.assert_allclose(one, s.loo_residuals(Y, lam)[:, 0], rtol=1e-12, atol=1e-14)
    assert np.ndim(s.gcv(Y[:, 0], lam)) == np.ndim(s.loo(Y[:, 0], lam)) == 0


@each_smoother
@pytest.mark.parametrize("kind", TYPES)
def test_deleting_a_row_moves_predictions_by_its_attention_times_its_error(make, kind):
    """What chapters on influence will need, from every smoother alike: weights, leverages, leave-one-out errors."""
    w = np.minimum(W, 1.0)  # so that a copy left out is the whole row
    s, _, _, (new, extra) = make(w, kind)
    attention, errors = s.weights(new, 0.7, **extra), s.loo_residuals(Y[:, 0], 0.7)
    for i in (0, 2, 5):
        without, _, _, _ = make(w * (np.arange(N) != i), kind)
        moved = without.predict(new, Y[:, 0], 0.7, **extra) - s.predict(
            new, Y[:, 0], 0.7, **extra
        )
        np.testing.assert_allclose(moved, -attention[:, i] * errors[i], rtol=0, atol=1e-10)


def test_whatever_needs_no_eigenvectors_is_in_both_smoothers():
    names = {name for name in vars(TridiagonalSmoother) if name[0] != "_"}
    assert names <= {name for name in vars(SpectralSmoother) if name[0] != "_"}
    assert {"fit", "leverage", "loo_residuals", "weights", "predict"} <= names


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(3, 16),
    p=st.integers(1, 24),
    intercept=st.booleans(),
)
def test_a_design_and_its_gram_matrix_agree(seed, n, p, intercept):
    r = np.random.default_rng(seed)
    A, y, w = r.normal(size=(n, p)), r.normal(size=n), r.uniform(0.1, 3, size=n)
    w[r.permutation(n)[: n // 4]] = 0
    new = r.normal(size=(3, p))
    for kind in TYPES:
        design = SpectralSmoother.from_design(A, intercept, w, kind)
        gram = SpectralSmoother.from_gram(A @ A.T, intercept, weights=w, weight_type=kind)
        tridiagonal = TridiagonalSmoother(A @ A.T, intercept, weights=w, weight_type=kind)
        for other in (gram, tridiagonal):
            np.testing.assert_allclose(
                design.weights(new, 0.3), other.weights(new @ A.T, 0.3), atol=1e-9
            )
            for name in ("residuals", "loo_residuals", "loo", "gcv"):
                mine, theirs = (getattr(s, name)(y, 0.3) for s in (design, other))
                np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-9)
        b, b0 = design.coefficients(y, 0.3)
        np.testing.assert_allclose(new @ b + b0, design.predict(new, y, 0.3), atol=1e-10)


@each_smoother
def test_rows_of_weight_zero_are_as_good_as_dropped(make):
    kept = W > 0
    s, _, _, (new, extra) = make(W, "precision")
    noisy = np.where(kept[:, None], Y, 1e6)
    for name in ("loo", "gcv"):
        assert np.array_equal(getattr(s, name)(noisy, 0.5), getattr(s, name)(Y, 0.5))
    np.testing.assert_array_equal(
        s.predict(new, noisy, 0.5, **extra), s.predict(new, Y, 0.5, **extra)
    )
    fitted = noisy - s.residuals(noisy, 0.5)
    np.testing.assert_allclose(fitted, Y - s.residuals(Y, 0.5), rtol=0, atol=1e-9)


@each_smoother
@pytest.mark.parametrize("kind", TYPES)
def test_equal_weights_of_one_are_none(make, kind):
    plain, weighted = make(None, "precision")[0], make(np.ones(N), kind)[0]
    assert weighted.rows.w is None
    assert np.array_equal(plain.loo_residuals(Y, 0.5), weighted.loo_residuals(Y, 0.5))


@pytest.mark.parametrize("criterion", ["gcv", "loo", "gml"])
def test_a_factor_of_precisions_is_a_factor_of_the_penalty(criterion):
    r = np.random.default_rng(5)
    x, w = np.sort(r.uniform(size=(40, 1)), axis=0), r.uniform(0.2, 3, size=40)
    y, K = np.sin(6 * x[:, 0]) + 0.3 * r.normal(size=40) / w**0.5, kernels.spline(x)
    factors = (1.0, 1e-3, 50.0)
    smoothers = [SpectralSmoother.from_gram(K, True, x, weights=c * w) for c in factors]
    first, *others = (select_lam(s, y, criterion) for s in smoothers)
    for found, c in zip(others, factors[1:]):
        assert found.lam == pytest.approx(c * first.lam, rel=1e-6)
        assert found.df == pytest.approx(first.df, rel=1e-7)
        assert found.boundary is None


# ---- rank is judged alike ----------------------------------------------------------------------------------


def dependent(r, n=30):
    """Designs whose columns depend on one another far from zero, and their rank once centred."""
    x, (a, b) = r.normal(size=(n, 3)), 1e4 + r.normal(size=(2, n))
    year = 1950.0 + r.integers(0, 70, n)
    return [
        (np.column_stack([x, x[:, 2] + 2000]), 3),
        (np.column_stack([year, year / 3]), 1),
        (np.column_stack([a, b, a + b]), 2),
        (np.vstack([x[:8].T, x[:8, 1] + 500.0]), 2),  # wide: two rows are one, shifted
        (x + 1e5, 3),
    ]


@pytest.mark.parametrize("spread", ["even", "uneven", "some zero"])
def test_rank_beside_an_offset_is_that_of_equal_weights(spread):
    for seed in range(20):
        r = np.random.default_rng(seed)
        for A, rank in dependent(r):
            w = r.uniform(0.1, 3, size=len(A))
            w = np.exp(3 * r.normal(size=len(A))) if spread == "uneven" else w
            if spread == "some zero" and len(A) > 4:
                w[:5] = 0
            assert SpectralSmoother.from_design(A, True).mu.shape[0] in (rank, len(A) - 1)
            found = SpectralSmoother.from_design(A, True, w).mu.shape[0]
            assert found == SpectralSmoother.from_design(A, True).mu.shape[0]


def test_exact_collinearity_beside_an_offset_is_said_and_has_the_least_norm():
    r = np.random.default_rng(2)
    x, w = r.normal(size=(30, 3)), r.uniform(0.1, 3, size=30)
    A = np.column_stack([x, x[:, 2] + 2000])
    y = x @ [1.0, 2.0, 3.0] + r.normal(size=30)
    with pytest.warns(RankDeficiencyWarning, match="rank 3 of 4"):
        m = AttentionRegressor(alpha=0.0).fit(A, y, w)
    with pytest.warns(RankDeficiencyWarning):
        attention = m.attention_weights(A)
    design = np.column_stack([np.ones(30), x])
    wanted = np.linalg.lstsq(design * w[:, None] ** 0.5, y * w**0.5, rcond=None)[0]
    np.testing.assert_allclose(m.predict(A), design @ wanted, rtol=0, atol=1e-9)
    slopes = [wanted[1], wanted[2], wanted[3] / 2, wanted[3] / 2]
    np.testing.assert_allclose(m.coef_, slopes, rtol=0, atol=1e-9)
    np.testing.assert_allclose(attention.sum(axis=1), 1, rtol=0, atol=1e-12)


def test_a_large_offset_costs_no_digits():
    """The weighted mean is taken in two parts."""
    y, w = X @ [1.0, -2.0, 3.0] + Y[:, 0], W + 0.1
    far = X + 2.0**30  # the digits that are lost are those of the data
    near = far - 2.0**30
    b, _ = SpectralSmoother.from_design(far, True, w).coefficients(y, 0.5)
    wanted, _ = SpectralSmoother.from_design(near, True, w).coefficients(y, 0.5)
    np.testing.assert_allclose(b, wanted, rtol=1e-11)


# ---- labels, types, gradients, bad input -------------------------------------------------------------------


def test_labels_are_those_of_all_rows():
    rows, frame = [f"row {i}" for i in range(N)], list("abc")
    A = pd.DataFrame(X, rows, frame)
    outcomes = pd.DataFrame(Y, rows, ["u", "v"])
    s = SpectralSmoother.from_design(A, True, W)
    for values in (s.fit(outcomes, 1.0), s.loo_residuals(outcomes, 1.0)):
        assert values.index.tolist() == rows and values.columns.tolist() == ["u", "v"]
    assert s.leverage(1.0).index.tolist() == rows
    assert s.weights(A[:2], 1.0).columns.tolist() == rows
    K = pd.DataFrame(kernels.rbf(X), rows, rows)
    for made in (
        SpectralSmoother.from_gram(K, weights=pd.Series(W, rows)),
        TridiagonalSmoother(K, weights=pd.Series(W, rows)),
    ):
        assert made.loo_residuals(outcomes["u"], 1.0).index.tolist() == rows
        assert made.weights(K[:2], 1.0).columns.tolist() == rows
    with pytest.raises(ValueError, match="weights has another index than X_train"):
        SpectralSmoother.from_design(A, weights=pd.Series(W, rows[::-1]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_kept_and_torch_agrees(dtype):
    A, y = X.astype(dtype), Y.astype(dtype)
    tensors = [torch.from_numpy(v) for v in (A, y, W)]
    tolerance = 2e-4 if dtype == np.float32 else 1e-11
    for kind in TYPES:
        s = SpectralSmoother.from_design(A, True, W, kind)
        t = SpectralSmoother.from_design(tensors[0], True, tensors[2], kind)
        g = SpectralSmoother.from_gram(A @ A.T, True, weights=W, weight_type=kind)
        for name in ("fit", "residuals", "loo_residuals", "loo", "gcv"):
            mine, theirs = getattr(s, name)(y, 0.5), getattr(t, name)(tensors[1], 0.5)
            assert mine.dtype == dtype and theirs.dtype == tensors[0].dtype, name
            np.testing.assert_allclose(theirs, mine, rtol=tolerance, atol=tolerance)
            if dtype == np.float64:
                np.testing.assert_allclose(getattr(g, name)(y, 0.5), mine, atol=1e-9)
        assert s.weights(A[:2], 0.5).dtype == g.weights(A[:2] @ A.T, 0.5).dtype == dtype
        b, b0 = s.coefficients(y, 0.5)
        assert b.dtype == b0.dtype == dtype and t.coefficients(tensors[1], 0.5)[
            1
        ].shape == (2,)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("columns", [2, 9])
def test_gradients_reach_rows_and_weights(kind, columns):
    A = torch.from_numpy(np.random.default_rng(4).normal(size=(5, columns)))
    y, w = torch.from_numpy(Y[:5, 0]), torch.from_numpy(W[:5] + 0.0)  # one row is dropped
    counted, new = w > 0, A[:2] + 1

    def answers(A, v):
        full = torch.zeros(5, dtype=v.dtype).index_put((counted,), v)
        s = SpectralSmoother.from_design(A, True, full, kind)
        return s.fit(y, 0.5), s.loo(y, 0.5), s.gcv(y, 0.5), s.weights(new, 0.5)

    inputs = A.requires_grad_(), w[counted].clone().requires_grad_()
    assert torch.autograd.gradcheck(answers, inputs)


@pytest.mark.parametrize(
    "weights, kind, error, says",
    [
        (-W, "precision", ValueError, "weights must be finite and >= 0, got -"),
        (np.r_[np.nan, W[1:]], "precision", ValueError, "got nan at row 0"),
        (np.r_[W[:-1], np.inf], "precision", ValueError, "got inf at row 17"),
        (W[:-1], "precision", ValueError, r"weights must have shape \(18,\), got \(17,\)"),
        (W[:, None], "precision", ValueError, r"weights must have shape \(18,\)"),
        (0 * W, "precision", ValueError, "all are zero"),
        (["a"] * N, "precision", TypeError, "weights must hold real numbers"),
        (W, "copies", ValueError, "weight_type must be 'frequency' or 'precision'"),
        (torch.from_numpy(W), "precision", TypeError, "weights is a Tensor but"),
    ],
)
def test_bad_weights(weights, kind, error, says):
    K = kernels.rbf(X)
    for make in (
        lambda: SpectralSmoother.from_design(X, True, weights, kind),
        lambda: SpectralSmoother.from_gram(K, weights=weights, weight_type=kind),
        lambda: TridiagonalSmoother(K, weights=weights, weight_type=kind),
    ):
        with pytest.raises(error, match=says):
            make()


def test_a_number_weighs_every_row():
    two = SpectralSmoother.from_design(X, True, 2.0)
    np.testing.assert_allclose(
        two.fit(Y, 1.0), SpectralSmoother.from_design(X, True).fit(Y, 0.5), atol=1e-12
    )


def test_the_gram_matrix_is_kept_unless_it_may_be_destroyed():
    K = kernels.rbf(X)
    before = K.copy()
    for make in (SpectralSmoother.from_gram, TridiagonalSmoother):
        for w in (W, W + 0.1):
            make(K, True, weights=w)
            assert np.array_equal(K, before)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("columns", [1, 4])
def test_few_rows_that_weigh(n, columns):
    A, y, w = X[:n, :1] * np.arange(1, columns + 1), Y[:n, 0], [2.0, 0.5][:n]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        s = SpectralSmoother.from_design(A, True, w)
        assert np.isfinite(s.predict(A, y, 1.0)).all()
        np.testing.assert_allclose(s.weights(A, 1.0).sum(axis=1), 1, atol=1e-12)
        only = SpectralSmoother.from_design(X, True, np.eye(N)[3])  # one row counts
        np.testing.assert_allclose(only.fit(Y, 1.0), np.tile(Y[3], (N, 1)), atol=1e-12)
        assert np.isnan(only.loo(Y, 1.0)).all()


def test_a_constant_outcome_leaves_nothing_for_a_criterion_to_choose():
    for w in (W, 1e6 * W + 1e-3):
        s = SpectralSmoother.from_design(X, True, w)
        assert not s.residuals(np.full(N, 1 / 3), 0.1)[w > 0].any()
        with pytest.warns(BoundaryWarning, match="the unpenalised part of the model alone"):
            select_lam(s, np.full(N, 1 / 3))


# ---- the estimator is one class, though its methods come one by one ----------------------------------------


def test_the_estimator_has_its_parameters_and_its_routing():
    assert "sample_weight" in inspect.signature(AttentionRegressor.fit).parameters
    with config_context(enable_metadata_routing=True):
        asked = AttentionRegressor().set_fit_request(sample_weight=True)
        assert asked.get_metadata_routing().fit.requests["sample_weight"] is True
    assert AttentionRegressor().get_params()["weight_type"] == "precision"
