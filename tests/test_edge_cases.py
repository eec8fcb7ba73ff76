"""Hard geometry: offsets, units, near-dependence, more columns than rows, huge and tiny penalties, against 120 digits."""

import warnings

import mpmath as mp
import numpy as np
import pytest

from olsattention import (
    CoulombeEmbedding,
    RankDeficiencyWarning,
    SpectralSmoother,
    attention_weights,
    ridge_path,
)

rng = np.random.default_rng(0)
X, T = rng.normal(size=(12, 3)), rng.normal(size=(3, 3))
WIDE, WIDE_T = rng.normal(size=(4, 9)), rng.normal(size=(2, 9))
UNITS, WIDE_UNITS = 10.0 ** np.array([-10, 0, 10]), 10.0 ** np.linspace(-8, 8, 9)
NEAR = np.column_stack([X[:, :2], X[:, 0] + 1e-6 * X[:, 2]])
CONSTANT = np.column_stack([X[:, :2], np.full(12, 7.3)])

# training rows, queries, penalties, and what the factored forms may lose where only refinement keeps all
CASES = {
    "plain": (X, T, (0, 1, 1e-20, 1e20), 1e-14),
    "far away": (X + 1e9, T + 1e9, (0, 1, 1e-8, 1e8), 1e-5),
    "units": (X * UNITS, T * UNITS, (0, 1, 1e-22, 1e18), 1e-14),
    "extreme units": (X * UNITS**10, T * UNITS**10, (0, 1), 1e-14),
    "nearly dependent": (NEAR, T, (0, 1e-18, 1e-12, 1), 1e-7),
    "duplicate column": (X[:, [0, 1, 0]], T, (1, 1e-8), 1e-13),
    "constant column": (CONSTANT, T, (1, 1e-8), 1e-13),
    "rows of different size": (X * 10.0 ** rng.uniform(-6, 6, (12, 1)), T, (0, 1), 1e-13),
    "wide": (WIDE, WIDE_T, (0, 1, 1e-10, 1e10), 1e-13),
    "wide and far away": (WIDE + 1e6, WIDE_T + 1e6, (0, 1, 1e-4), 1e-7),
    "wide with units": (WIDE * WIDE_UNITS, WIDE_T * WIDE_UNITS, (0, 1), 1e-13),
    "square": (X[:3], T, (0, 1), 1e-13),
    "two rows": (X[:2, :1], T[:, :1], (0, 1), 1e-14),
}
PARAMETERS = [
    pytest.param(rows, queries, lam, intercept, loss, id=f"{name}-{lam:g}-{intercept}")
    for name, (rows, queries, lams, loss) in CASES.items()
    for lam in lams
    for intercept in (False, True)
]


def inverse(A):
    """Of a symmetric positive definite matrix of any scaling."""
    d = [mp.sqrt(A[i, i]) if A[i, i] > 0 else mp.mpf(1) for i in range(A.rows)]
    scaled = [[A[i, j] / d[i] / d[j] for j in range(A.rows)] for i in range(A.rows)]
    scaled = mp.inverse(mp.matrix(scaled))
    return mp.matrix(
        [[scaled[i, j] / d[i] / d[j] for j in range(A.rows)] for i in range(A.rows)]
    )


def exact_weights(queries, rows, lam, intercept):
    with mp.workdps(120):
        A, B, lam = mp.matrix(rows.tolist()), mp.matrix(queries.tolist()), mp.mpf(lam)
        n, p = A.rows, A.cols
        if intercept:
            mean = mp.ones(1, n) * A / n
            A, B = A - mp.ones(n, 1) * mean, B - mp.ones(B.rows, 1) * mean
        if p > n - intercept:
            constant = mp.ones(n, n) if intercept else mp.zeros(n, n)  # keeps it invertible
            W = B * A.T * inverse(A * A.T + lam * mp.eye(n) + constant)
        else:
            W = B * inverse(A.T * A + lam * mp.eye(p)) * A.T
        W = W + mp.ones(B.rows, n) / n if intercept else W
        return np.array(W.tolist(), dtype=float)


def relative_error(got, exact):
    return np.max(np.abs(got - exact) / np.max(np.abs(exact), axis=1, keepdims=True))


@pytest.mark.parametrize("rows, queries, lam, intercept, loss", PARAMETERS)
@pytest.mark.filterwarnings("ignore::olsattention.RankDeficiencyWarning")
def test_weights_against_120_digits(rows, queries, lam, intercept, loss):
    exact = exact_weights(queries, rows, lam, intercept)
    refined = loss if rows.shape[1] > rows.shape[0] else 1e-12
    assert relative_error(attention_weights(queries, rows, lam, intercept), exact) < refined
    if intercept and abs(rows).min() > 1e5:
        loss = 1e-13  # centred in two steps
    smoother = SpectralSmoother.from_design(rows, intercept)
    assert relative_error(smoother.weights(queries, lam), exact) < loss
    e = CoulombeEmbedding(lam, intercept).fit(rows)
    assert relative_error(e.transform(queries) @ e.train_.T, exact) < loss


def exact_criteria(rows, y, lam, intercept):
    """GCV, LOO and RSS of ridge from a hat matrix of 120 digits, LOO by its definition."""
    with mp.workdps(120):
        n = len(y)

        def hat(keep):
            A = mp.matrix(rows[keep].tolist())
            one = mp.matrix([1] * A.rows)
            mean = (one.T * A) / A.rows if intercept else mp.zeros(1, A.cols)
            Z, A_all = A - one * mean, mp.matrix(rows.tolist()) - mp.ones(n, 1) * mean
            M = mp.inverse(Z * Z.T + mp.mpf(lam) * mp.eye(A.rows))
            W = A_all * Z.T * M
            if intercept:
                W = W + (mp.ones(n, 1) - W * one) * one.T / A.rows
            return W

        y = [mp.mpf(v) for v in y]
        H = hat(list(range(n)))
        e = [y[i] - mp.fsum(H[i, j] * y[j] for j in range(n)) for i in range(n)]
        rss, spare = mp.fsum(v * v for v in e), n - mp.fsum(H[i, i] for i in range(n))
        left_out = []
        for i in range(n):
            keep = [j for j in range(n) if j != i]
            W = hat(keep)
            left_out.append(y[i] - mp.fsum(W[i, k] * y[j] for k, j in enumerate(keep)))
        loo = mp.fsum(v * v for v in left_out) / n
        return [float(v) for v in (n * rss / spare**2, loo, rss)]


NAMES = ["plain", "far away", "units", "wide", "square", "constant column"]


@pytest.mark.parametrize("lam", [1e-12, 1e-6, 1.0, 1e6])
@pytest.mark.parametrize(
    "name, intercept",
    # far from the origin and without an intercept, nine digits of the design are its offset
    [(name, i) for name in NAMES for i in (False, True) if i or name != "far away"],
)
def test_criteria_against_120_digits(name, intercept, lam):
    rows = CASES[name][0]
    y = np.random.default_rng(1).normal(size=len(rows))
    path = ridge_path(rows, y, [lam], intercept)
    got = [path.gcv[0], path.loo[0], path.rss[0]]
    np.testing.assert_allclose(got, exact_criteria(rows, y, lam, intercept), rtol=1e-10)


def test_interpolation_is_silent_and_finite():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s = SpectralSmoother.from_design(WIDE, True)
        assert np.isfinite([s.gcv(X[:4, 0], 0.0), s.loo(X[:4, 0], 0.0)]).all()
        g = SpectralSmoother.from_gram(np.eye(4))
        assert g.gcv(X[:4, 0], 0.0) == pytest.approx(np.sum(X[:4, 0] ** 2) / 4)


def test_two_rows_and_one():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = SpectralSmoother.from_design([[2.0]], True)
        assert (
            one.df(1.0) == 1
            and np.isnan(one.gcv([3.0], 1.0))
            and np.isnan(one.loo([3.0], 1.0))
        )
        np.testing.assert_allclose(one.fit([3.0], 1.0), 3.0)
        two = SpectralSmoother.from_design([[1.0], [3.0]], True)
        np.testing.assert_allclose(two.loo_residuals([1.0, 5.0], 1.0), [-4.0, 4.0])


def test_a_smoother_warns_when_the_answer_is_not_unique():
    s = SpectralSmoother.from_design(WIDE)
    for call in (lambda: s.weights(WIDE_T, 0.0), lambda: s.coefficients(X[:4, 0], 0.0)):
        with pytest.warns(RankDeficiencyWarning, match="rank 4 of 9"):
            call()


def test_constant_outcome():
    path = ridge_path(X, np.full(12, 3.0), [0.1, 1.0], intercept=True)
    np.testing.assert_allclose(path.coefficients, 0, atol=1e-15)
    np.testing.assert_allclose(path.intercept, 3.0)
    np.testing.assert_allclose([path.gcv, path.loo, path.rss], 0, atol=1e-25)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_are_kept(dtype):
    import torch

    s = SpectralSmoother.from_design(X.astype(dtype), True)
    for values in (
        s.mu,
        s.fit(X[:, 0], 1.0),
        s.weights(T.astype(dtype), 1.0),
        s.loo_residuals(X[:, 0], 1.0),
    ):
        assert values.dtype == dtype
    rows = torch.tensor(X, dtype=getattr(torch, dtype))
    lam = torch.tensor(1.0, dtype=torch.float64)
    assert SpectralSmoother.from_design(rows).weights(rows, lam).dtype == rows.dtype
    assert attention_weights(rows, rows, lam).dtype == rows.dtype
