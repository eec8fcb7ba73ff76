"""Choosing a penalty: against 60 digits, against eigenvectors, and on inputs that leave little to choose."""

import warnings

import mpmath as mp
import numpy as np
import pytest

from olsattention import (
    BoundaryWarning,
    SpectralSmoother,
    TridiagonalSmoother,
    criterion_curve,
    kernels,
    select_lam,
)

rng = np.random.default_rng(0)
X, Y = rng.uniform(size=(60, 1)), rng.normal(size=60)


def hilbert(n):
    return 1 / (np.arange(n)[:, None] + np.arange(n) + 1.0)


@pytest.mark.parametrize(
    "K",
    [kernels.rbf(X[:40], length_scale=0.5), hilbert(30), kernels.spline(X[:40])],
    ids=["rbf", "hilbert", "spline"],
)
@pytest.mark.parametrize("intercept", [False, True])
def test_gcv_of_an_ill_conditioned_gram_matrix_against_60_digits(K, intercept):
    y, n = Y[: len(K)], len(K)
    with mp.workdps(60):
        centre = mp.eye(n) - mp.ones(n, n) / n if intercept else mp.eye(n)
        mu, U = mp.eigsy(centre * mp.matrix(K.tolist()) * centre)
        z2 = [v**2 for v in U.T * centre * mp.matrix(y.tolist())]
        sums = [abs(mp.fsum(U[:, j])) for j in range(n)]
        constant = max(range(n), key=lambda j: sums[j]) if intercept else -1
        kept = [j for j in range(n) if j != constant]
    s, largest, eps = SpectralSmoother.from_gram(K, intercept), float(max(mu)), 2.0**-52
    for ratio in 10.0 ** np.arange(-14, 7):
        lam = ratio * largest
        with mp.workdps(60):
            q = [lam / (mu[j] + lam) for j in kept]
            exact = float(
                n * mp.fsum(a**2 * z2[j] for a, j in zip(q, kept)) / mp.fsum(q) ** 2
            )
        assert abs(s.gcv(y, lam) / exact - 1) <= 100 * eps * max(1, 1 / ratio)
    assert np.isfinite([s.gcv(y, lam) for lam in (0.0, 1e-300, 1e300)]).all()


@pytest.mark.parametrize(
    "n, kernel", [(400, kernels.rbf), (400, kernels.matern), (7, kernels.rbf)]
)
@pytest.mark.parametrize("criterion", ["gcv", "gml", "ubre"])
def test_without_eigenvectors_the_same_penalty(n, kernel, criterion):
    r = np.random.default_rng(1)
    rows = r.normal(size=(n, 1))
    y, K = np.sin(2 * rows[:, 0]) + 0.3 * r.normal(size=n), kernel(rows)
    chosen = [
        select_lam(s(K, intercept=True), y, criterion, sigma=0.3)
        for s in (TridiagonalSmoother, SpectralSmoother.from_gram)
    ]
    assert chosen[0].lam == pytest.approx(chosen[1].lam, rel=1e-6)
    assert chosen[0].df == pytest.approx(chosen[1].df, rel=1e-6)


def test_the_gram_matrix_is_kept_unless_it_may_be_destroyed():
    K = kernels.rbf(X)
    before = K.copy()
    for smoother in (TridiagonalSmoother, SpectralSmoother.from_gram):
        smoother(K, intercept=True), smoother(K)
        assert np.array_equal(K, before)


def test_equal_eigenvalues():
    with pytest.warns(
        BoundaryWarning
    ):  # only the scale of the fit is left to choose, and GCV does not see it
        select_lam(SpectralSmoother.from_gram(np.eye(8)), Y[:8])


def test_an_outcome_orthogonal_to_every_direction():
    s = SpectralSmoother.from_design([[1.0], [-1.0], [0.0], [0.0]])
    with pytest.warns(BoundaryWarning, match="upper end"):
        assert select_lam(s, [1.0, 1.0, 2.0, -1.0]).boundary == "upper"


def test_a_constant_outcome_asks_for_the_simplest_model():
    s = SpectralSmoother.from_design(X, intercept=True)
    with pytest.warns(BoundaryWarning, match="upper end"):
        assert select_lam(s, np.full(60, 3.0)).df == pytest.approx(1, abs=1e-5)


def test_duplicate_points_and_few_rows():
    twice = np.vstack([X, X])
    s = SpectralSmoother.from_gram(kernels.rbf(twice, length_scale=0.3), intercept=True)
    assert select_lam(s, np.r_[Y, Y + 0.1]).lam > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BoundaryWarning)
        assert (
            select_lam(SpectralSmoother.from_design([[1.0], [2.0]], True), [1.0, 3.0]).df
            <= 2
        )
    with pytest.raises(ValueError, match="too few rows"):
        select_lam(SpectralSmoother.from_design([[1.0]], True), [1.0])


def test_a_grid_may_hold_zero_and_bad_requests_are_named():
    s = SpectralSmoother.from_design(X, intercept=True)
    assert np.isfinite(criterion_curve(s, Y, [0.0, 1.0])).all()
    for call, says in [
        (
            lambda: criterion_curve(s, Y, [1.0], "aic"),
            "known are gcv, loo, gml, rgcv, ubre",
        ),
        (lambda: criterion_curve(s, Y, [-1.0]), r"lams\[0\] must be >= 0"),
        (
            lambda: criterion_curve(s, Y, [1.0], "rgcv", robustness=0),
            "robustness must be in",
        ),
        (lambda: select_lam(s, Y, bounds=(1.0, 0.5)), "0 < lower < upper"),
        (lambda: select_lam(s, Y[:5]), "y must have shape"),
    ]:
        with pytest.raises(ValueError, match=says):
            call()


def test_outcomes_share_a_penalty_or_choose_their_own():
    s = SpectralSmoother.from_gram(kernels.rbf(X, length_scale=0.2), intercept=True)
    two = np.column_stack([np.sin(6 * X[:, 0]), np.cos(3 * X[:, 0])]) + 0.3 * rng.normal(
        size=(60, 2)
    )
    own = select_lam(s, two, per_outcome=True)
    for j in range(2):
        assert own.lam[j] == pytest.approx(select_lam(s, two[:, j]).lam, rel=1e-8)
    shared, spread = select_lam(s, two), two.var(axis=0)
    assert shared.score == pytest.approx(
        (criterion_curve(s, two, [shared.lam]) / spread).mean(), rel=1e-12
    )
    assert own.lam.min() <= shared.lam <= own.lam.max()
