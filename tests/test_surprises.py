"""What other projects' tests and reports found in an estimator and its criteria: the right value by an independent path."""

import warnings

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from olsattention import (
    AttentionRegressor,
    BoundaryWarning,
    KernelSmoother,
    RankDeficiencyWarning,
    SpectralSmoother,
    TridiagonalSmoother,
    criterion_curve,
    kernels,
    loo_residuals,
    ridge_path,
    select_lam,
)

rng = np.random.default_rng(17)
X, X_new = rng.normal(size=(40, 3)), rng.normal(size=(7, 3))
y = np.sin(X[:, 0]) + X[:, 1] + 0.3 * rng.normal(size=40)

quiet = pytest.mark.filterwarnings("ignore::olsattention.selection.gcv.BoundaryWarning")
deficient = pytest.mark.filterwarnings(
    "ignore::olsattention.regression.svd.RankDeficiencyWarning"
)

# ---- GCV reaches as far as the data do ---------------------------------------------------------------------


@quiet
@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(3, 50),
    p=st.integers(1, 40),
    spread=st.floats(0, 12),
    collinear=st.sampled_from([None, -9, -6, -3]),
    offset=st.sampled_from([0.0, 1.0, 1e6]),
    noise=st.integers(-14, 3),
    intercept=st.booleans(),
)
def test_no_penalty_is_better_than_the_chosen_one(
    seed, n, p, spread, collinear, offset, noise, intercept
):
    r = np.random.default_rng(seed)
    A = r.normal(size=(n, p))
    if collinear is not None:
        A[:, -1] = A[:, 0] + 10.0**collinear * r.normal(size=n)
    A = (A + offset) * 10.0 ** r.uniform(-spread, spread, size=p)
    b = r.normal(size=p) / np.abs(A).max(axis=0) * 10.0 ** r.uniform(-2, 2, size=p)
    outcome = A @ b + 10.0**noise * r.normal(size=n)
    s = SpectralSmoother.from_design(A, intercept)
    if not s.mu.size:
        return
    chosen = select_lam(s, outcome)
    if chosen.score**0.5 <= 1e3 * np.finfo(float).eps * np.abs(outcome).max():
        return  # all curves are made of rounding errors there, and the answer is the boundary
    grid = np.r_[0.0, np.geomspace(1e-13 * s.mu[-1], 1e13 * s.mu[0], 600)]
    curve = criterion_curve(s, outcome, grid)
    assert chosen.score <= np.nanmin(curve) * (1 + 1e-6) + 1e-300
    at = criterion_curve(s, outcome, [chosen.lam])[0]
    assert np.isclose(at, chosen.score, rtol=1e-9, atol=0)


def in_unlike_units():
    r = np.random.default_rng(0)
    rate = r.uniform(0.01, 0.1, 100)
    gdp, t = r.uniform(1e12, 2e13, 100), 1.6e18 + np.arange(100) * 86400e9
    z, x = r.normal(size=100), np.linspace(0, 10, 100)
    noise = 0.1 * r.normal(size=100)
    return {
        "dollars and a rate": (np.c_[gdp, rate], 100 * rate + noise),
        "millions and a rate": (np.c_[gdp / 1e6, rate], 100 * rate + noise),
        "nanoseconds": (np.c_[t, z], z + 5 * noise),
        "degree 9": (np.vander(x, 10)[:, :-1], np.sin(x) + noise),
    }


@pytest.mark.parametrize("name", in_unlike_units())
def test_columns_in_different_units(name):
    A, outcome = in_unlike_units()[name]
    m = AttentionRegressor().fit(A, outcome)
    least_squares = AttentionRegressor(alpha=0.0).fit(A, outcome)
    line = make_pipeline(StandardScaler(), LinearRegression()).fit(A, outcome)
    assert m.gcv_ <= least_squares.gcv_ and m.loo_ <= 1.05 * least_squares.loo_
    assert m.score(A, outcome) > line.score(A, outcome) - 0.02
    standard = AttentionRegressor(standardize=True).fit(A, outcome)
    assert standard.score(A, outcome) > line.score(A, outcome) - 0.02


def test_gcv_in_unlike_units_against_40_digits():
    A, outcome = in_unlike_units()["dollars and a rate"]
    A, outcome = A[:12], outcome[:12]
    m = AttentionRegressor().fit(A, outcome)

    def exact(lam):
        with mp.workdps(40):
            C, n = mp.matrix(A.tolist()), 12
            means = [mp.fsum(C[:, j]) / n for j in range(2)]
            for i in range(n):
                for j in range(2):
                    C[i, j] -= means[j]
            v = mp.matrix((outcome).tolist())
            v -= mp.ones(n, 1) * (mp.fsum(v) / n)
            H = C * mp.inverse(C.T * C + mp.mpf(lam) * mp.eye(2)) * C.T
            e, trace = v - H * v, mp.fsum(H[i, i] for i in range(n)) + 1
            return float(mp.fsum(a * a for a in e) / n / (1 - trace / n) ** 2)

    assert np.isclose(m.gcv_, exact(m.alpha_), rtol=1e-10)
    for factor in (0.9, 1.1, 1e-3, 1e3):
        assert m.gcv_ < exact(m.alpha_ * factor)


@pytest.mark.parametrize("n", [60, 600])
@pytest.mark.parametrize("value", [1.0, 0.1, 3.3, -1e8, 1e-9])
@pytest.mark.parametrize("kernel", ["rbf", "spline"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_constant_outcome_asks_for_a_constant(n, value, kernel, weighted):
    r = np.random.default_rng(1)
    A = r.normal(size=(n, 1))
    w = r.uniform(0.2, 3, size=n) if weighted else None
    with pytest.warns(BoundaryWarning, match="the unpenalised part of the model alone"):
        m = AttentionRegressor(kernel).fit(A, np.full(n, value), w)
    assert m.df_ < (3 if kernel == "spline" else 1) + 0.01
    np.testing.assert_allclose(m.predict(A), value, rtol=1e-9)


def test_a_line_asks_a_spline_for_a_line_and_a_regression_for_no_penalty():
    x = np.random.default_rng(2).uniform(0, 5, size=(700, 1))
    line = 3 + 2 * x[:, 0]
    with pytest.warns(BoundaryWarning, match="unpenalised part"):
        assert AttentionRegressor("spline").fit(x, line).df_ < 2.001
    with pytest.warns(BoundaryWarning, match="no penalty"):
        m = AttentionRegressor().fit(np.c_[x, x**2], line)
    assert m.alpha_ == 0.0 and m.selection_.boundary == "lower"
    np.testing.assert_allclose(m.coef_, [2, 0], rtol=0, atol=1e-11)


# ---- out of range ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["gcv", "loo", "gml", "rgcv"])
@pytest.mark.parametrize("name", ["linear", "matern"])
def test_the_size_of_an_outcome_does_not_matter(criterion, name):
    plain = AttentionRegressor(name, criterion).fit(X, y)
    for size in (2.0**530, 2.0**-530, 1e160, 1e-160):
        m = AttentionRegressor(name, criterion).fit(X, y * size)
        assert np.isclose(m.alpha_, plain.alpha_, rtol=1e-6)
        np.testing.assert_allclose(m.predict(X_new) / size, plain.predict(X_new), rtol=1e-6)


@pytest.mark.parametrize("size", [2.0**660, 2.0**-660, 1e150, 1e-150])
@pytest.mark.parametrize("name", ["rbf", "matern", "laplacian", "spline", "sobolev"])
def test_the_size_of_columns_does_not_matter(name, size):
    plain, m = AttentionRegressor(name, 0.1).fit(X, y), AttentionRegressor(name, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        m.fit(X * size, y)
    np.testing.assert_allclose(m.predict(X_new * size), plain.predict(X_new), atol=1e-9)


@pytest.mark.parametrize("name", ["linear", "exponential"])
@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_where_a_size_does_matter_it_is_said(name, size):
    with pytest.raises(ValueError, match="X.* units"):
        AttentionRegressor(name).fit(X * size, y)


# ---- leaving out -------------------------------------------------------------------------------------------


def refitted(name, A, outcome, **settings):
    errors = []
    for i in range(len(A)):
        kept = np.arange(len(A)) != i
        m = AttentionRegressor(name, 0.0, **settings).fit(A[kept], outcome[kept])
        errors.append(outcome[i] - m.predict(A[i : i + 1])[0])
    return np.array(errors)


@deficient
@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    name=st.sampled_from(["rbf", "matern", "laplacian", "linear", "polynomial"]),
    twice=st.integers(1, 3),
    intercept=st.booleans(),
)
def test_rows_that_repeat_without_a_penalty(seed, name, twice, intercept):
    r = np.random.default_rng(seed)
    wide = name == "linear"
    A = r.normal(size=(9, 20)) if wide else r.uniform(size=(9, 2)) * 3
    A = np.r_[A, A[:twice]]
    outcome = r.normal(size=len(A))
    given = {"degree": 5} if name == "polynomial" else {}
    given |= {} if name in ("linear", "polynomial") else {"length_scale": 0.5}
    m = AttentionRegressor(name, 0.0, fit_intercept=intercept, **given).fit(A, outcome)
    errors = refitted(name, A, outcome, fit_intercept=intercept, **given)
    assert np.isclose(
        m.loo_, np.mean(errors**2), rtol=1e-4 if name == "polynomial" else 1e-6
    )


@pytest.mark.parametrize("size", [1e3, 1e5, 1e7, 1e9, 1e11])
def test_one_outlier_is_predicted_by_the_others(size):
    r = np.random.default_rng(5)
    A, outcome = np.c_[np.ones(20), r.normal(size=20)], r.normal(size=20)
    A[3, 1] = size
    with mp.workdps(60):
        kept = [i for i in range(20) if i != 3]
        M, v = mp.matrix(A[kept].tolist()), mp.matrix(outcome[kept].tolist())
        b = mp.lu_solve(M.T * M, M.T * v)
        exact = float(mp.mpf(outcome[3]) - b[0] - mp.mpf(size) * b[1])
    tolerance = 1e-12 * size
    assert np.isclose(loo_residuals(A, outcome)[3], exact, rtol=max(tolerance, 1e-9))
    s = SpectralSmoother.from_design(A[:, 1:], intercept=True)
    assert np.isclose(s.loo_residuals(outcome, 0.0)[3], exact, rtol=max(tolerance, 1e-9))


# ---- weights -----------------------------------------------------------------------------------------------


@deficient
@pytest.mark.parametrize("kind", ["offset", "a third", "a sum"])
def test_rank_beside_an_offset_is_the_same_with_weights(kind):
    for seed in range(20):
        r = np.random.default_rng(seed)
        A, w = r.normal(size=(30, 3)), r.uniform(0.1, 3, size=30)
        year = r.integers(1950, 2020, size=30).astype(float)
        far = A[:, :2] + 1e4
        A = {
            "offset": np.c_[A, A[:, 2] + 2000],
            "a third": np.c_[year, year / 3],
            "a sum": np.c_[far, far.sum(axis=1)],
        }[kind]
        m = AttentionRegressor(alpha=0.0).fit(A, y[:30], w)
        assert np.abs(m.coef_).max() < 10
        np.testing.assert_allclose(m.attention_weights(A).sum(axis=1), 1, atol=1e-9)
        line = LinearRegression().fit(A[:, :-1], y[:30], w)
        np.testing.assert_allclose(m.predict(A), line.predict(A[:, :-1]), atol=1e-6)


def test_a_kernel_smoother_weighs_rows():
    w = np.random.default_rng(3).uniform(0.2, 3, size=40)
    s = KernelSmoother(X, "matern", intercept=True, length_scale=2.0, weights=w)
    m = AttentionRegressor("matern", 0.7, length_scale=2.0).fit(X, y, w)
    np.testing.assert_allclose(s.predict(X_new, y, 0.7), m.predict(X_new), atol=1e-10)
    np.testing.assert_allclose(s.weights(X_new, 0.7) @ y, m.predict(X_new), atol=1e-10)


# ---- several outcomes, several penalties -------------------------------------------------------------------


def test_a_loud_outcome_does_not_choose_for_a_quiet_one():
    Y = np.c_[np.sin(X[:, 0]) + 0.3 * rng.normal(size=40), y]
    m, loud = (AttentionRegressor("rbf").fit(X, Y * [c, 1.0]) for c in (1.0, 1e6))
    assert np.isclose(m.alpha_, loud.alpha_, rtol=1e-6)
    each = AttentionRegressor("rbf", alpha_per_target=True).fit(X, Y * [1e6, 1.0])
    for j in range(2):
        alone = AttentionRegressor("rbf").fit(X, Y[:, j])
        assert np.isclose(each.alpha_[j], alone.alpha_, rtol=1e-6)
        assert np.isclose(each.df_[j], alone.df_, rtol=1e-6)
        scale = [1e6, 1.0][j]
        np.testing.assert_allclose(
            each.predict(X_new)[:, j], scale * alone.predict(X_new), rtol=1e-5
        )
        assert np.isclose(each.loo_[j], scale**2 * alone.loo_, rtol=1e-6)


def test_a_grid_and_a_penalty_for_each_target_as_ridge_cv_has_them():
    Y, grid = np.c_[y, X @ [1.0, 2, 3] + rng.normal(size=40)], np.geomspace(0.01, 100, 13)
    theirs = RidgeCV(grid, alpha_per_target=True).fit(X, Y)
    ours = AttentionRegressor(alpha="loo", alphas=grid, alpha_per_target=True).fit(X, Y)
    np.testing.assert_allclose(ours.alpha_, theirs.alpha_)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-10)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-10)
    one = AttentionRegressor(alpha="loo", alphas=grid).fit(X, y)
    assert one.alpha_ == RidgeCV(grid).fit(X, y).alpha_
    given = AttentionRegressor(alpha=[0.5, 2.0]).fit(X, Y)
    np.testing.assert_allclose(given.coef_, Ridge([0.5, 2.0]).fit(X, Y).coef_, atol=1e-10)
    for j, W in enumerate(given.attention_weights(X_new)):
        np.testing.assert_allclose(W @ Y[:, j], given.predict(X_new)[:, j], atol=1e-10)
    sums = given.explain(X_new, top=None).groupby(["query", "output"])["contribution"].sum()
    np.testing.assert_allclose(sums.unstack(), given.predict(X_new), atol=1e-10)


@quiet
@pytest.mark.parametrize("alphas", [[0.0, 1.0], [1e-3, 1.0, 100.0]])
@pytest.mark.parametrize("name", ["linear", "matern"])
def test_a_grid_of_penalties_is_what_the_criterion_sees(alphas, name):
    many = np.random.default_rng(4).normal(size=(520, 2))
    outcome = np.sin(many[:, 0]) + 0.5 * np.random.default_rng(5).normal(size=520)
    m = AttentionRegressor(name, alphas=alphas).fit(many, outcome)
    scores = [AttentionRegressor(name, a).fit(many, outcome).gcv_ for a in alphas]
    assert m.alpha_ == alphas[int(np.argmin(scores))]
    np.testing.assert_allclose(m.selection_.scores, scores, rtol=1e-7)


@pytest.mark.parametrize("kind", ["auto", "auto each"])
def test_length_scales_are_those_of_a_gaussian_process(kind):
    r = np.random.default_rng(6)
    A = r.uniform(0, 4, size=(50, 2))
    outcome = np.sin(2 * A[:, 0]) + 0.3 * np.cos(A[:, 1]) + 0.1 * r.normal(size=50)
    first = 1.0 if kind == "auto" else [1.0, 1.0]
    process = ConstantKernel() * RBF(first) + WhiteKernel()
    process = GaussianProcessRegressor(process, n_restarts_optimizer=2, random_state=0)
    signal, noise = process.fit(A, outcome).kernel_.k1, process.kernel_.k2
    m = AttentionRegressor("rbf", "gml", fit_intercept=False, length_scale=kind)
    m.fit(A, outcome)
    np.testing.assert_allclose(
        m.kernel_params_["length_scale"], signal.k2.length_scale, rtol=0.02
    )
    assert np.isclose(m.alpha_, noise.noise_level / signal.k1.constant_value, rtol=0.05)
    np.testing.assert_allclose(m.predict(A), process.predict(A), atol=0.01)


# ---- one fit, one state ------------------------------------------------------------------------------------


def test_nothing_outlives_its_fit():
    m = AttentionRegressor(alpha=1.0).fit(X, y)
    m.set_params(kernel="rbf").fit(X, y)
    assert not hasattr(m, "coef_") and m.dual_coef_.shape == (40,)
    m.set_params(kernel="linear").fit(X, y)
    assert not hasattr(m, "dual_coef_") and not hasattr(m, "X_fit_")
    with pytest.raises(ValueError):
        m.fit(X, np.r_[y[:-1], np.nan])
    with pytest.raises(NotFittedError):
        m.predict(X)


@pytest.mark.parametrize("name", ["linear", "rbf", "spline", "precomputed"])
@pytest.mark.parametrize("alpha", ["loo", 1.0])
def test_nothing_that_the_caller_changes_later_matters(name, alpha):
    A = X @ X.T if name == "precomputed" else X.copy()
    outcome, w, query = y.copy(), np.ones(40), A[:5].copy()
    w[3] = 0.0
    m = AttentionRegressor(name, alpha).fit(A, outcome, w)
    told = (
        m.predict(query),
        m.explain(query)["contribution"],
        m.loo_,
        m.attention_weights(query),
    )
    A[:], outcome[:], w[:] = 1e9, -1e9, 7.0
    again = (
        m.predict(query),
        m.explain(query)["contribution"],
        m.loo_,
        m.attention_weights(query),
    )
    for before, after in zip(told, again):
        np.testing.assert_array_equal(before, after)


def test_an_index_is_compared():
    frame = pd.DataFrame(X, index=list(range(40)), columns=list("abc"))
    series = pd.Series(y, index=frame.index)
    for fit in (
        lambda **k: AttentionRegressor().fit(frame, **k),
        lambda y: ridge_path(frame, y, [1.0]),
        lambda y: SpectralSmoother.from_design(frame).fit(y, 1.0),
    ):
        fit(y=series)
        with pytest.raises(ValueError, match="y has another index than X"):
            fit(y=series[::-1])
    with pytest.raises(ValueError, match="sample_weight has another index than X"):
        AttentionRegressor().fit(frame, series, series.abs()[::-1])


# ---- the words and the ways of scikit-learn ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["rbf", "laplacian", "poly"])
def test_gamma_and_names_are_those_of_kernel_ridge(name):
    ours = AttentionRegressor(name, 0.3, gamma=0.7, fit_intercept=False).fit(X, y)
    theirs = KernelRidge(kernel=name, alpha=0.3, gamma=0.7).fit(X, y)
    np.testing.assert_allclose(ours.predict(X_new), theirs.predict(X_new), atol=1e-10)


def test_a_kernel_may_come_computed():
    w = np.r_[0.0, 2.0, np.ones(38)]
    for weight in (None, w):
        ours = AttentionRegressor("precomputed", 0.3).fit(X @ X.T, y, weight)
        theirs = Ridge(0.3).fit(X, y, weight)
        np.testing.assert_allclose(
            ours.predict(X_new @ X.T), theirs.predict(X_new), atol=1e-10
        )
        W = ours.attention_weights(X_new @ X.T)
        np.testing.assert_allclose(W @ y, theirs.predict(X_new), atol=1e-10)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["linear", "rbf", "polynomial"])
def test_standardising_is_a_scaler_before(name, intercept, weighted):
    w = np.random.default_rng(7).uniform(0.2, 3, size=40) if weighted else None
    A, B = X * [1e9, 1e-6, 1] + [0, 5, 1e4], X_new * [1e9, 1e-6, 1] + [0, 5, 1e4]
    m = AttentionRegressor(name, 0.5, standardize=True, fit_intercept=intercept)
    m.fit(A, y, w)
    if name == "linear" and not intercept:
        size = np.sqrt(np.average(A**2, axis=0, weights=w))
        scaled = A / size, B / size
    else:
        mean = np.average(A, axis=0, weights=w)
        size = np.sqrt(np.average((A - mean) ** 2, axis=0, weights=w))
        scaled = (A - mean) / size, (B - mean) / size
    plain = AttentionRegressor(name, 0.5, fit_intercept=intercept).fit(scaled[0], y, w)
    np.testing.assert_allclose(m.predict(B), plain.predict(scaled[1]), atol=1e-8)
    np.testing.assert_allclose(m.attention_weights(B) @ y, m.predict(B), atol=1e-8)
    if name == "linear":
        np.testing.assert_allclose(m.coef_ * size, plain.coef_, atol=1e-9)
        np.testing.assert_allclose(B @ m.coef_ + m.intercept_, m.predict(B), atol=1e-8)


def test_sparse_rows_go_with_the_linear_kernel():
    town = np.random.default_rng(8).integers(0, 6, size=40)
    hot = scipy.sparse.csr_array(np.eye(6)[town])
    for alpha in ("gcv", 0.5):
        a = AttentionRegressor(alpha=alpha).fit(hot, y)
        b = AttentionRegressor(alpha=alpha).fit(hot.toarray(), y)
        assert np.isclose(a.alpha_, b.alpha_) and np.isclose(a.loo_, b.loo_)
        np.testing.assert_allclose(a.predict(hot), b.predict(hot.toarray()), atol=1e-12)
        np.testing.assert_allclose(a.attention_weights(hot) @ y, a.predict(hot), atol=1e-10)
    theirs = Ridge(0.5).fit(hot, y)
    np.testing.assert_allclose(a.coef_, theirs.coef_, atol=1e-6)
    with pytest.raises(TypeError, match="toarray"):
        AttentionRegressor("rbf").fit(hot, y)


def test_attributes_are_numpy_and_warnings_speak_of_alpha_and_x():
    assert isinstance(AttentionRegressor().fit(X, y).intercept_, np.float64)
    assert isinstance(AttentionRegressor("rbf").fit(X, y).intercept_, np.float64)
    with pytest.warns(
        RankDeficiencyWarning, match="X has rank 3 of 6 and alpha is 0;.* alpha > 0"
    ):
        AttentionRegressor(alpha=0.0).fit(np.c_[X, X], y)
    with pytest.warns(
        UserWarning, match="kernel 'linear' has no length_scale, which is ignored"
    ):
        AttentionRegressor(length_scale=2.0).fit(X, y)
    with pytest.warns(UserWarning, match="kernel 'rbf' has no nu"):
        AttentionRegressor("rbf", nu=2.5).fit(X, y)


FRAME = pd.DataFrame(X, columns=list("abc"))
TEXT = FRAME.astype({"b": object})
TEXT.loc[4, "b"] = "many"
MISSING = FRAME.convert_dtypes()
MISSING.loc[4, "b"] = pd.NA
OBJECTS = FRAME.astype(object)
OBJECTS.loc[4, "b"] = pd.NA
TOWN = FRAME.assign(b=pd.Categorical(["Ulm", "Bonn"] * 20))


@pytest.mark.parametrize(
    "arguments, says",
    [
        ((TEXT, y), "got 'many' at row 4, column 'b'"),
        ((MISSING, y), "at row 4, column 'b'"),
        ((OBJECTS, y), "at row 4, column 'b'"),
        ((TOWN, y), "got 'Ulm' at row 0, column 'b'"),
        ((X, pd.Series(["many", *y[1:]])), "got 'many' at row 0"),
        ((X, pd.Series([*y[:-1], pd.NA], dtype="Float64")), "at row 39"),
    ],
)
def test_what_is_no_number_is_named(arguments, says):
    with pytest.raises((TypeError, ValueError), match=says):
        AttentionRegressor().fit(*arguments)


@pytest.mark.parametrize(
    "call, error, says",
    [
        (lambda: select_lam(X, y), TypeError, r"SpectralSmoother.from_design\(X"),
        (
            lambda: criterion_curve(X, y, [1.0]),
            TypeError,
            r"SpectralSmoother.from_design\(X",
        ),
        (
            lambda: criterion_curve(SpectralSmoother.from_design(X), y, 1.0),
            TypeError,
            r"lams must be a sequence of penalties, got 1.0; for one, write \[1.0\]",
        ),
        (
            lambda: AttentionRegressor("rbf", kernel_params=3).fit(X, y),
            TypeError,
            "kernel_params must be a dict",
        ),
        (
            lambda: AttentionRegressor(lambda a, b: float(a @ b)).fit(X, y),
            (TypeError, ValueError),
            "it gets all rows at once",
        ),
        (
            lambda: AttentionRegressor("matern", gamma=5.0).fit(X, y),
            ValueError,
            "give its length_scale",
        ),
        (
            lambda: AttentionRegressor("rbf", gamma=5.0, length_scale=1.0).fit(X, y),
            ValueError,
            "two names for one number",
        ),
        (
            lambda: AttentionRegressor("rbf", length_scale=[1.0, 2.0]).fit(X, y),
            ValueError,
            r"shape \(3,\), one for each column",
        ),
        (
            lambda: AttentionRegressor("rbf", 1.0, length_scale="auto").fit(X, y),
            ValueError,
            "goes with a criterion",
        ),
        (
            lambda: AttentionRegressor("precomputed").fit(X, y),
            ValueError,
            r"a square matrix, got X of shape \(40, 3\)",
        ),
    ],
)
def test_errors_say_what_to_do(call, error, says):
    with pytest.raises(error, match=says):
        call()


# ---- columns in different units, fast ----------------------------------------------------------------------


@pytest.mark.parametrize("fall", [1.0, 1e-3, 1e-6, 1e-12])
@pytest.mark.parametrize("least", [0.0, 1e-6, 1e-2, 1.0])
@pytest.mark.parametrize("shape", [(200, 30), (30, 200)])
@deficient
def test_a_path_needs_no_more_digits_than_its_penalties(fall, least, shape):
    r = np.random.default_rng(9)
    A, outcome = r.normal(size=shape), r.normal(size=shape[0])
    A = A * np.geomspace(1, fall, shape[1])
    lams = [least, 1.0, 100.0]
    path, s = (
        ridge_path(A, outcome, lams, intercept=True),
        SpectralSmoother.from_design(A, True),
    )
    for i, lam in enumerate(lams):
        assert np.isclose(path.df[i], s.df(lam), rtol=1e-10)
        assert np.isclose(path.gcv[i], s.gcv(outcome, lam), rtol=1e-8)
        assert np.isclose(path.loo[i], s.loo(outcome, lam), rtol=1e-8)
        fitted = A @ path.coefficients[i] + path.intercept[i]
        np.testing.assert_allclose(fitted, s.fit(outcome, lam), atol=1e-9)


def test_every_outcome_for_itself_is_as_if_alone():
    K = kernels.matern(X)
    Y = np.random.default_rng(10).normal(size=(40, 30)) + np.sin(X[:, :1])
    for s in (SpectralSmoother.from_gram(K, True), TridiagonalSmoother(K, True)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BoundaryWarning)
            own = select_lam(s, Y, per_outcome=True)
            alone = [select_lam(s, Y[:, j]) for j in range(30)]
        np.testing.assert_allclose(own.lam, [found.lam for found in alone], rtol=1e-8)
        np.testing.assert_allclose(own.score, [found.score for found in alone], rtol=1e-12)
