"""Criteria and kernel ridge against refits and scikit-learn, and Gram matrices and outcomes that are hardly data."""

from functools import partial

import numpy as np
import pytest

from olsattention import (
    BoundaryWarning,
    KernelSmoother,
    RankDeficiencyWarning,
    SpectralSmoother,
    TridiagonalSmoother,
    criterion_curve,
    get_kernel,
    influence,
    kernels,
    select_lam,
)

rng = np.random.default_rng(11)
N = 23
X = rng.normal(size=(N, 3)) * [1.0, 5.0, 0.2] + [0.0, 3.0, 0.0]
POINTS = np.sort(rng.uniform(size=(N, 1)), axis=0)
Y = np.column_stack([np.sin(5 * POINTS[:, 0]), X[:, 1]]) + rng.normal(size=(N, 2))
LAMS = [1e-4, 0.1, 3.0, 500.0]
CONSTANT = np.ones((N, 1))


def as_one(y):
    return y[:, 0]


# ---- leave-one-out: brute force ----------------------------------------------------------------------------


def design_error(X, y, lam, intercept, i):
    """The error at row i of ridge on the other rows, by least squares on rows of pseudo-observations."""
    keep = np.arange(len(X)) != i
    centre = X[keep].mean(axis=0) if intercept else np.zeros(X.shape[1])
    mean = y[keep].mean(axis=0) if intercept else 0.0
    rows = np.vstack([X[keep] - centre, lam**0.5 * np.eye(X.shape[1])])
    outcomes = np.concatenate([y[keep] - mean, np.zeros((X.shape[1], *y.shape[1:]))])
    slopes = np.linalg.lstsq(rows, outcomes, rcond=None)[0]
    return y[i] - mean - (X[i] - centre) @ slopes


@pytest.mark.parametrize("outcomes", [Y, as_one(Y)], ids=["two outcomes", "one outcome"])
@pytest.mark.parametrize("lam", [0.0, *LAMS])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("columns", [1, 3])
def test_loo_of_a_design_equals_refits(intercept, lam, outcomes, columns):
    rows = X[:, :columns]
    refits = [design_error(rows, outcomes, lam, intercept, i) for i in range(N)]
    s = SpectralSmoother.from_design(rows, intercept)
    scale = np.abs(refits).max()
    np.testing.assert_allclose(s.loo_residuals(outcomes, lam), refits, atol=1e-10 * scale)
    np.testing.assert_allclose(
        s.loo(outcomes, lam), np.mean(np.square(refits), axis=0), rtol=1e-10
    )


def test_loo_of_a_wide_design_equals_refits():
    rows, outcomes = rng.normal(size=(9, 20)), Y[:9]
    for intercept in (False, True):
        s = SpectralSmoother.from_design(rows, intercept)
        for lam in LAMS:
            refits = [design_error(rows, outcomes, lam, intercept, i) for i in range(9)]
            np.testing.assert_allclose(s.loo_residuals(outcomes, lam), refits, atol=1e-10)


def gram_error(K, T, y, lam, i):
    """The error at row i of kernel ridge on the other rows, by the bordered system."""
    keep, c = np.arange(len(K)) != i, T.shape[1]
    K_in, T_in = K[np.ix_(keep, keep)], T[keep]
    system = np.block([[K_in + lam * np.eye(len(K_in)), T_in], [T_in.T, np.zeros((c, c))]])
    right = np.concatenate([y[keep], np.zeros((c, *y.shape[1:]))])
    return y[i] - np.concatenate([K[i, keep], T[i]]) @ np.linalg.solve(system, right)


NULL_SPACES = {
    "none": (CONSTANT[:, :0], {}),
    "intercept": (CONSTANT, {"intercept": True}),
    "line": (np.hstack([CONSTANT, POINTS]), {"null_space": np.hstack([CONSTANT, POINTS])}),
    "intercept and slope": (
        np.hstack([CONSTANT, POINTS]),
        {"intercept": True, "null_space": POINTS},
    ),
}


@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("null", NULL_SPACES)
@pytest.mark.parametrize(
    "kernel",
    [
        partial(kernels.rbf, length_scale=0.3),
        partial(kernels.matern, length_scale=0.3),
        kernels.spline,
        kernels.linear,
    ],
    ids=["rbf", "matern", "spline", "linear"],
)
def test_loo_of_a_gram_matrix_equals_refits(kernel, null, lam):
    K, (T, keywords) = kernel(POINTS), NULL_SPACES[null]
    refits = np.array([gram_error(K, T, Y, lam, i) for i in range(N)])
    s = SpectralSmoother.from_gram(K, **keywords)
    scale = np.abs(refits).max()
    np.testing.assert_allclose(s.loo_residuals(Y, lam), refits, atol=1e-10 * scale)
    np.testing.assert_allclose(s.loo(Y, lam), np.mean(refits**2, axis=0), rtol=1e-10)
    curve = criterion_curve(s, Y, [lam], "loo")
    np.testing.assert_allclose(curve[0], np.mean(refits**2, axis=0), rtol=1e-10)


# ---- against scikit-learn ----------------------------------------------------------------------------------


def features_error(Z, y, w, intercept, out):
    """The errors of the least-squares fit of minimum norm, on features, to the rows not in `out`; and its predictions."""
    root = w[~out, None] ** 0.5
    centre = np.average(Z[~out], axis=0, weights=w[~out]) * intercept
    mean = np.average(y[~out], weights=w[~out]) * intercept
    rows = root * (Z[~out] - centre)
    b = np.linalg.lstsq(rows, root[:, 0] * (y[~out] - mean), rcond=1e-9)[0]
    return mean + (Z - centre) @ b


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_groups_at_the_penalty_zero_equal_fits_of_minimum_norm(weighted, intercept, seed):
    """Also where rows repeat, or know a direction alone: nothing there is determined but by the norm."""
    random = np.random.default_rng(seed)
    n, p = random.integers(5, 14), random.integers(1, 16)
    Z = random.integers(-1, 2, size=(n, p)) * 1.0  # repeated rows, dependent columns
    y, w = random.normal(size=n), random.uniform(0.5, 2, n) if weighted else np.ones(n)
    groups = random.integers(0, n, n)
    s = SpectralSmoother.from_gram(Z @ Z.T, intercept, weights=w)
    errors, changes = (
        s.group_residuals(y, 0.0, groups),
        influence(s, Z @ Z.T, y, 0.0, groups=groups),
    )
    everything = features_error(Z, y, w, intercept, np.zeros(n, bool))
    for place, group in enumerate(dict.fromkeys(groups)):
        out = groups == group
        left = features_error(Z, y, w, intercept, out)
        np.testing.assert_allclose(errors[out], (y - left)[out], atol=1e-9)
        np.testing.assert_allclose(changes[:, place], left - everything, atol=1e-9)


@pytest.mark.parametrize("intercept", [False, True])
def test_leave_one_out_errors_are_those_of_ridge_cv(intercept):
    from sklearn.linear_model import RidgeCV

    lams = np.geomspace(1e-3, 1e3, 13)
    peer = RidgeCV(lams, fit_intercept=intercept, store_cv_results=True, gcv_mode="svd")
    peer.fit(X, Y)  # cv_results_: rows, outcomes, penalties
    s = SpectralSmoother.from_design(X, intercept)
    for j, lam in enumerate(lams):
        errors = s.loo_residuals(Y, lam) ** 2
        np.testing.assert_allclose(errors, peer.cv_results_[..., j], rtol=1e-10, atol=1e-12)
    shared = criterion_curve(s, Y, lams, "loo").mean(axis=1)
    assert lams[shared.argmin()] == peer.alpha_
    fitted = s.predict(X, Y, peer.alpha_)
    np.testing.assert_allclose(fitted, peer.predict(X), rtol=1e-10)


def test_gcv_is_ridge_cv_where_all_rows_have_one_leverage():
    """What scikit-learn calls GCV is leave-one-out; the two are one if no row is special, as on a circle."""
    from sklearn.linear_model import RidgeCV

    angle = 2 * np.pi * np.arange(N) / N
    circle = np.column_stack([f(k * angle) for k in (1, 2, 3) for f in (np.cos, np.sin)])
    circle *= [3.0, 3.0, 1.0, 1.0, 0.1, 0.1]
    lams = np.geomspace(1e-3, 1e3, 13)
    for intercept in (False, True):
        peer = RidgeCV(lams, fit_intercept=intercept, store_cv_results=True, gcv_mode="svd")
        mean = peer.fit(circle, as_one(Y)).cv_results_.mean(axis=0)
        s = SpectralSmoother.from_design(circle, intercept)
        for criterion in ("gcv", "loo"):
            curve = criterion_curve(s, as_one(Y), lams, criterion)
            np.testing.assert_allclose(curve, mean, rtol=1e-10)
        # elsewhere they are not
        other = SpectralSmoother.from_design(X, intercept)
        assert abs(other.gcv(as_one(Y), 1.0) / other.loo(as_one(Y), 1.0) - 1) > 1e-3


PAIRS = {  # ours, and the parameters of scikit-learn's kernel of the same formula
    "linear": ({}, {}),
    "polynomial": (
        dict(degree=3, gamma=0.2, coef0=1.5),
        dict(degree=3, gamma=0.2, coef0=1.5),
    ),
    "polynomial of degree 2": (dict(degree=2), dict(degree=2)),
    "rbf": (dict(length_scale=2.0), dict(gamma=1 / 8)),
    "laplacian": (dict(length_scale=2.0), dict(gamma=1 / 2)),
}


@pytest.mark.parametrize("lam", [0.1, 3.0, 500.0])
@pytest.mark.parametrize("name", PAIRS)
def test_kernel_ridge_is_that_of_scikit_learn(name, lam):
    from sklearn.kernel_ridge import KernelRidge

    ours, theirs = PAIRS[name]
    kernel, new = name.split()[0], rng.normal(size=(7, 3))
    # of one size, or the polynomial's condition number spoils the peer's digits, not ours
    rows = X / [1.0, 5.0, 0.2]
    peer = KernelRidge(alpha=lam, kernel=kernel, **theirs).fit(rows, Y)
    smoother = KernelSmoother(rows, kernel, **ours)
    for got, wanted in [
        (smoother.predict(new, Y, lam), peer.predict(new)),
        (smoother.weights(new, lam) @ Y, peer.predict(new)),
        (smoother.smoother.fit(Y, lam), peer.predict(rows)),
        (smoother.smoother.dual_coefficients(Y, lam)[0], peer.dual_coef_),
    ]:
        np.testing.assert_allclose(got, wanted, atol=1e-10 * np.abs(wanted).max())


# ---- matrices that no kernel gives -------------------------------------------------------------------------

FROM_GRAM = {"spectral": SpectralSmoother.from_gram, "tridiagonal": TridiagonalSmoother}
each_smoother = pytest.mark.parametrize("make", FROM_GRAM.values(), ids=FROM_GRAM)


@each_smoother
@pytest.mark.parametrize("intercept", [False, True])
def test_a_matrix_that_is_not_symmetric(make, intercept):
    K = kernels.rbf(X)
    K[3, 5] += 1e-6
    with pytest.raises(
        ValueError, match=r"symmetric, but K and its transpose differ by 1e-06"
    ):
        make(K, intercept=intercept)
    with pytest.raises(ValueError, match=r"K must be square, got shape \(23, 22\)"):
        make(K[:, :-1], intercept=intercept)


def test_attention_scores_are_no_gram_matrix():
    scores = X @ rng.normal(size=(3, 3)) @ X.T
    with pytest.raises(ValueError, match="K must be symmetric"):
        SpectralSmoother.from_gram(scores)
    with pytest.raises(ValueError, match="K must be symmetric"):
        KernelSmoother(X, lambda A, B=None: scores)


def test_an_indefinite_matrix_names_its_least_eigenvalue():
    Q = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    K = (Q * [4.0, 3.0, 2.0, 1.0, 0.5, -0.25]) @ Q.T
    K = (K + K.T) / 2
    for call in (
        lambda: SpectralSmoother.from_gram(K),
        lambda: KernelSmoother(Q, lambda A, B=None: K),
    ):
        with pytest.raises(ValueError, match=r"eigenvalue is -0\.25 \(the largest is 4\)"):
            call()
    # without eigenvalues it is seen at the first penalty that is too small
    with pytest.raises(ValueError, match="K is indefinite"):
        TridiagonalSmoother(K).df(0.1)


@each_smoother
def test_a_matrix_may_be_indefinite_in_the_null_space(make):
    K = np.eye(6) - 5 / 6  # negative on the constant alone
    with pytest.raises(ValueError, match="least eigenvalue is -4|K is indefinite"):
        make(K).df(1.0)
    assert make(K, intercept=True).df(1.0) == pytest.approx(1 + 5 / 2)


@each_smoother
def test_rounding_errors_of_a_singular_matrix_are_forgiven(make):
    A = rng.normal(size=(40, 3))
    K = A @ A.T
    assert np.linalg.eigvalsh(K)[0] < 0
    assert make((K + K.T) / 2).df(1.0) == pytest.approx(
        np.sum(1 - 1 / (1 + np.linalg.svd(A)[1] ** 2)), rel=1e-12
    )


# ---- few rows, equal rows, equal eigenvalues, outcomes without content -------------------------------------


@each_smoother
def test_one_row_and_two(make):
    y, one = np.array([3.0]), make(np.array([[2.0]]))
    assert one.df(1.0) == pytest.approx(2 / 3)
    np.testing.assert_allclose(one.predict([[2.0]], y, 1.0), 2.0)
    np.testing.assert_allclose(criterion_curve(one, y, [1.0]), 9.0)  # all that is known
    free = make(np.array([[2.0]]), intercept=True)
    assert free.df(1.0) == pytest.approx(1, abs=1e-15)
    np.testing.assert_allclose(free.predict([[7.0]], y, 1.0), 3.0)
    with pytest.raises(ValueError, match="too few rows"):
        select_lam(free, y)
    K, y = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([1.0, 4.0])
    two = make(K, intercept=True)  # beside the mean one direction, of eigenvalue 1
    np.testing.assert_allclose(two.predict(K, y, 1.0), [2.5 - 0.75, 2.5 + 0.75])
    np.testing.assert_allclose(criterion_curve(two, y, [1.0]), 9.0)
    ridge = np.linalg.solve(K + np.eye(2), K @ y)
    np.testing.assert_allclose(make(K).predict(K, y, 1.0), ridge)


def test_leave_one_out_of_one_row_and_two():
    K, y = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([1.0, 4.0])
    one = SpectralSmoother.from_gram(K[:1, :1])
    np.testing.assert_allclose(
        one.loo_residuals(y[:1], 1.0), y[:1]
    )  # nothing else is known
    two = SpectralSmoother.from_gram(K)
    np.testing.assert_allclose(two.loo_residuals(y, 1.0), y - K[0, 1] / 3.0 * y[::-1])
    free = SpectralSmoother.from_gram(K, intercept=True)
    np.testing.assert_allclose(free.loo_residuals(y, 1.0), y - y[::-1])


def test_of_two_equal_rows_one_predicts_the_other():
    rows, y = np.vstack([POINTS[:8], POINTS[:1]]), np.r_[as_one(Y)[:8], as_one(Y)[0]]
    K = kernels.laplacian(rows, length_scale=0.3)
    s = SpectralSmoother.from_gram(K)
    errors = s.loo_residuals(y, 1e-6)
    refits = [gram_error(K, np.ones((9, 0)), y, 1e-6, i) for i in range(9)]
    np.testing.assert_allclose(errors, refits, atol=1e-10 * np.abs(refits).max())
    assert np.abs(errors[[0, 8]]).max() < 1e-4 < np.abs(errors[1:8]).min()
    W = s.weights(K[:1], 1e-3)
    assert W[0, 0] == pytest.approx(W[0, 8], rel=1e-10)


@pytest.mark.parametrize("criterion", ["gcv", "loo", "gml", "ubre", "rgcv"])
def test_equal_eigenvalues_under_every_criterion(criterion):
    """K = I: the fit is y / (1 + lam), whatever else."""
    s, y = SpectralSmoother.from_gram(np.eye(8)), as_one(Y)[:8]
    mean = np.mean(y**2)
    lams = np.array([0.0, 0.5, 1.0, 7.0])
    g = 1 / (1 + lams)
    wanted = {
        "gcv": mean + 0 * lams,
        "loo": mean + 0 * lams,
        "gml": None,
        "ubre": (1 - g) ** 2 * mean + 0.09 * (2 * g - 1),
        "rgcv": mean * (0.3 + 0.7 * g**2),
    }[criterion]
    curve = criterion_curve(s, y, lams, criterion, sigma=0.3)
    if wanted is None:  # its scale is free
        wanted = curve[0] + 0 * lams
    np.testing.assert_allclose(curve, wanted, rtol=1e-12)
    np.testing.assert_allclose(s.df(1.0), 4.0, rtol=1e-14)


@pytest.mark.parametrize("criterion", ["gcv", "loo", "gml", "ubre", "rgcv"])
def test_a_grid_may_hold_zero_under_every_criterion(criterion):
    lams = [0.0, 1e-300, 1e-8, 1.0]
    tall = SpectralSmoother.from_design(X, intercept=True)
    matern = kernels.matern(POINTS, length_scale=0.2)
    for s in (
        tall,
        SpectralSmoother.from_gram(matern, intercept=True),
        SpectralSmoother.from_gram(
            kernels.spline(POINTS), null_space=NULL_SPACES["line"][0]
        ),
    ):
        curve = criterion_curve(s, as_one(Y), lams, criterion, sigma=0.3)
        assert np.isfinite(curve).all()
        if s is tall and criterion == "gml":
            assert (
                curve[0] > 1e30
            )  # no likelihood: noise that is not there explains nothing
        else:  # zero is the limit of small penalties
            np.testing.assert_allclose(curve[0], curve[1], rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_a_kernel_that_the_null_space_explains_altogether(scale):
    """What is left of it is the rounding errors of centring, of either sign."""
    line = np.hstack([CONSTANT, POINTS])
    for K, keywords in [
        (scale * kernels.linear(POINTS), {"null_space": line}),
        (scale * kernels.polynomial(POINTS, degree=1), {"null_space": line}),
        (scale * np.ones((N, N)), {"intercept": True}),
    ]:
        s = SpectralSmoother.from_gram(K, **keywords)
        columns = line if "null_space" in keywords else CONSTANT
        fitted = columns @ np.linalg.lstsq(columns, Y, rcond=None)[0]
        assert s.df(1e-3 * scale) == pytest.approx(columns.shape[1])
        np.testing.assert_allclose(s.fit(Y, 1e-3 * scale), fitted, atol=1e-12)


@pytest.mark.parametrize("null", ["intercept", "line"])
@each_smoother
def test_outcomes_that_the_null_space_explains(make, null):
    K, (T, keywords) = kernels.matern(POINTS, length_scale=0.3), NULL_SPACES[null]
    s, plain = make(K, **keywords), T @ np.arange(3.0, 3.0 + T.shape[1])
    a, b = s.dual_coefficients(plain, 0.5)
    np.testing.assert_allclose(K @ a + T @ b, plain, rtol=1e-13)
    with pytest.warns(BoundaryWarning, match="upper end"):
        chosen = select_lam(s, plain)
    assert chosen.score == 0 and chosen.df == pytest.approx(T.shape[1], abs=1e-5)
    # but what is small beside the constant is not nothing
    tilted = 1e6 + 1e-3 * as_one(Y)
    assert select_lam(s, tilted).score == pytest.approx(
        1e-6 * select_lam(s, as_one(Y)).score, rel=1e-4
    )


@each_smoother
def test_an_outcome_orthogonal_to_everything(make):
    A = np.linalg.qr(np.column_stack([rng.normal(size=(9, 3)), as_one(Y)[:9]]))[0]
    directions, y = A[:, :3], A[:, 3]
    K = (directions * [3.0, 2.0, 1.0]) @ directions.T
    s = make((K + K.T) / 2)
    for lam in (0.1, 10.0):
        np.testing.assert_allclose(s.dual_coefficients(y, lam)[0], y / lam, atol=1e-13)
        wanted = (1 / 9) / (1 - s.df(lam) / 9) ** 2
        np.testing.assert_allclose(criterion_curve(s, y, [lam]), wanted, rtol=1e-12)
    with pytest.warns(BoundaryWarning, match="upper end"):
        assert select_lam(s, y).df < 1e-3


# ---- names -------------------------------------------------------------------------------------------------


def test_unknown_names_are_answered_with_the_known_ones():
    s = SpectralSmoother.from_design(X, intercept=True)
    for call, known in [
        (lambda: KernelSmoother(X, "gaussian"), list(kernels.KERNELS)),
        (lambda: get_kernel("RBF"), list(kernels.KERNELS)),
        (lambda: select_lam(s, as_one(Y), "cv"), ["gcv", "loo", "gml", "rgcv", "ubre"]),
        (lambda: s.df(1.0, filter="lasso"), ["ridge", "ols", "pcr", "flow"]),
    ]:
        with pytest.raises(ValueError, match="unknown .*; known are") as caught:
            call()
        listed = str(caught.value).partition("known are ")[2].split(", ")
        assert listed == known


def test_dependent_rows_warn_where_the_weights_are_not_unique():
    twice = np.hstack([X, X[:, :1]])
    with pytest.warns(RankDeficiencyWarning):
        SpectralSmoother.from_design(twice).weights(twice, 0.0)


@pytest.mark.parametrize("intercept", [False, True])
def test_the_matrix_of_a_users_kernel_is_left_alone(intercept):
    A = rng.normal(size=(9, 4))
    K = A @ A.T
    kept = K.copy()
    KernelSmoother(A, lambda A, B=None: K, intercept=intercept)
    assert (K == kept).all()
