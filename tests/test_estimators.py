"""The estimator: scikit-learn's own checks, brute force, peers, weights as copies, labels, and bad input."""

import pickle
import subprocess
import sys
import tracemalloc
import warnings
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import clone, config_context
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from olsattention import (
    AttentionRegressor,
    BoundaryWarning,
    RankDeficiencyWarning,
    SpectralSmoother,
    criterion_curve,
    kernels,
    select_lam,
)
from olsattention.kernels import KERNELS
from olsattention.practice import estimators as module
from olsattention.selection import tridiagonal

CRITERIA = ("gcv", "loo", "gml", "rgcv")
rng = np.random.default_rng(12)
X, X_new = rng.normal(size=(40, 3)) * [1, 2, 0.5], rng.normal(size=(7, 3))
Y = np.column_stack([np.sin(X[:, 0]) + X[:, 1], X[:, 2] ** 2, X @ [1, 2, 3]])
Y += 0.3 * rng.normal(size=Y.shape)
y, w = Y[:, 0], rng.integers(0, 4, size=40).astype(float)

quiet = pytest.mark.filterwarnings("ignore::olsattention.selection.gcv.BoundaryWarning")


# ---- scikit-learn's checks -----------------------------------------------------------------------------------

# RidgeCV is marked alike: for a criterion, weights are precisions and not copies
PRECISIONS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "weights are precisions"
    for kind in ("dense", "sparse")
}


def passes_every_check(name, alpha):
    """With a number for alpha nothing is expected to fail, and what is expected to fail may pass."""
    expected = PRECISIONS if isinstance(alpha, str) else None
    results = check_estimator(
        AttentionRegressor(name, alpha), expected_failed_checks=expected, on_skip=None
    )
    failed = {r["check_name"] for r in results if r["status"] == "xfail"}
    assert failed <= set(expected or ())


def sieved(cases, kept):
    """Cases for `parametrize`: those of `kept` as they are, the others marked slow."""
    marks = {case: [] if case in kept else [pytest.mark.slow] for case in cases}
    return [pytest.param(*case, marks=mark) for case, mark in marks.items()]


ALL = list(product(KERNELS, (*CRITERIA, 1.0, 0.0)))
KEPT = [case for case in ALL if case[1] in ("gcv", 1.0)]
# the other penalties for each of the two models
KEPT += [
    *product(("linear", "spline"), ("loo", 0.0)),
    ("linear", "rgcv"),
    ("spline", "gml"),
]


@quiet
@pytest.mark.parametrize("name, alpha", sieved(ALL, KEPT))
def test_scikit_learn_checks(name, alpha):
    passes_every_check(name, alpha)


TRIDIAGONAL = list(product(("polynomial", "rbf", "spline"), ("gcv", 1.0)))


@quiet
@pytest.mark.parametrize(
    "name, alpha", sieved(TRIDIAGONAL, [("spline", "gcv"), ("rbf", 1.0)])
)
def test_scikit_learn_checks_without_eigenvectors(name, alpha, monkeypatch):
    monkeypatch.setattr(tridiagonal, "MANY_ROWS", 1)
    passes_every_check(name, alpha)


# ---- against brute force and peers -------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, w + 0.5], ids=["equal", "weighted"])
@pytest.mark.parametrize(
    "name, ours, theirs",
    [
        ("linear", {}, {}),
        ("polynomial", {}, {}),
        (
            "polynomial",
            {"degree": 2, "gamma": 0.3, "coef0": 0.0},
            {"degree": 2, "gamma": 0.3, "coef0": 0.0},
        ),
        ("rbf", {"length_scale": 1.5}, {"gamma": 1 / (2 * 1.5**2)}),
        ("laplacian", {"length_scale": 1.5}, {"gamma": 1 / 1.5}),
    ],
)
@pytest.mark.parametrize("outcome", [y, Y], ids=["one", "several"])
def test_kernel_ridge(name, ours, theirs, weights, outcome):
    a = AttentionRegressor(name, 0.3, fit_intercept=False, **ours).fit(X, outcome, weights)
    b = KernelRidge(kernel=name, alpha=0.3, **theirs).fit(X, outcome, weights)
    np.testing.assert_allclose(a.predict(X_new), b.predict(X_new), rtol=0, atol=1e-10)
    if name != "linear":
        np.testing.assert_allclose(a.dual_coef_, b.dual_coef_, rtol=0, atol=1e-10)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("shape", [(40, 3), (8, 20)])
@pytest.mark.parametrize("weights", [False, True])
def test_ridge(intercept, shape, weights):
    r = np.random.default_rng(1)
    A, b = r.normal(size=shape) + 3, r.normal(size=(shape[0], 2))
    v = r.uniform(0, 2, size=shape[0]) if weights else None
    ours = AttentionRegressor(alpha=0.7, fit_intercept=intercept).fit(A, b, v)
    theirs = Ridge(0.7, fit_intercept=intercept, solver="svd").fit(A, b, v)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=0, atol=1e-9)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("p", [3, 30])
def test_leave_one_out_of_scikit_learn(intercept, p):
    r = np.random.default_rng(2)
    A, b, grid = r.normal(size=(25, p)), r.normal(size=25), np.geomspace(1e-3, 1e3, 25)
    settings = dict(gcv_mode="svd", fit_intercept=intercept, store_cv_results=True)
    theirs = RidgeCV(grid, **settings).fit(A, b)
    ours = [
        AttentionRegressor(alpha=a, fit_intercept=intercept).fit(A, b).loo_ for a in grid
    ]
    np.testing.assert_allclose(ours, theirs.cv_results_.mean(axis=0), rtol=1e-10)
    chosen = AttentionRegressor(alpha="loo", fit_intercept=intercept).fit(A, b)
    assert chosen.loo_ <= min(ours) * (1 + 1e-12)
    assert np.isclose(chosen.selection_.score, chosen.loo_, rtol=1e-12)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(
    "intercept, outcome", [(False, y), (True, Y)], ids=["one", "several with intercept"]
)
def test_leave_one_out_by_refitting(name, intercept, outcome, monkeypatch):
    A, outcome = X[:20], outcome[:20]
    intercept = intercept or name == "spline"
    # what is found from the rows is held fixed, so that only the row is left out
    fitted = AttentionRegressor(name, 0.5, fit_intercept=intercept).fit(A, outcome)
    if name in ("sobolev", "spline"):
        similarity = fitted._similarity
        monkeypatch.setattr(module, "fit_similarity", lambda *_: similarity)
    given = {k: v for k, v in fitted.kernel_params_.items() if k in fitted.get_params()}
    fixed = AttentionRegressor(name, 0.5, fit_intercept=intercept, **given)
    errors = []
    for i in range(len(A)):
        kept = np.arange(len(A)) != i
        predicted = fixed.fit(A[kept], outcome[kept]).predict(A[i : i + 1])
        errors.append(outcome[i] - predicted[0])
    assert np.isclose(fitted.loo_, np.mean(np.square(errors)), rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", KERNELS)
def test_degrees_of_freedom_and_gcv_by_definition(name):
    m = AttentionRegressor(name, 0.5).fit(X, y)
    H = m.attention_weights(X)
    gcv = np.mean((y - H @ y) ** 2) / (1 - np.trace(H) / 40) ** 2
    assert np.isclose(m.df_, np.trace(H), rtol=1e-10)
    assert np.isclose(m.gcv_, gcv, rtol=1e-10)


# ---- attention ---------------------------------------------------------------------------------------------


EIGENVECTORS = list(product(KERNELS, ("gcv", "loo", 0.5), [10**9]))
NONE = [
    (name, alpha, 1)
    for name, alpha, _ in EIGENVECTORS
    if name != "linear" and alpha != "loo"
]


@quiet
@pytest.mark.parametrize("name, alpha, many", EIGENVECTORS + NONE)
@pytest.mark.parametrize("weights", [None, w], ids=["equal", "weighted"])
def test_weights_times_outcomes_are_predictions(name, alpha, many, weights, monkeypatch):
    monkeypatch.setattr(tridiagonal, "MANY_ROWS", many)
    m = AttentionRegressor(name, alpha).fit(X, Y, weights)
    W = m.attention_weights(X_new)
    np.testing.assert_allclose(W @ Y, m.predict(X_new), rtol=0, atol=1e-9)
    np.testing.assert_allclose(W.sum(axis=1), 1, rtol=0, atol=1e-9)
    if weights is not None:
        assert np.all(W[:, w == 0] == 0)


COPIES = np.random.default_rng(7).integers(0, 4, size=40)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("many", [1, 10**9], ids=["tridiagonal", "eigenvectors"])
def test_whole_weights_are_copies(name, many, monkeypatch):
    monkeypatch.setattr(tridiagonal, "MANY_ROWS", many)
    weighted = AttentionRegressor(name, 0.5, weight_type="frequency").fit(X, Y, COPIES)
    repeated = AttentionRegressor(name, 0.5).fit(X.repeat(COPIES, 0), Y.repeat(COPIES, 0))
    for attribute in ("df_", "gcv_", "loo_"):
        one, other = getattr(weighted, attribute), getattr(repeated, attribute)
        assert np.isclose(one, other, rtol=1e-10), (attribute, one, other)
    np.testing.assert_allclose(
        weighted.predict(X_new), repeated.predict(X_new), rtol=0, atol=1e-10
    )
    for criterion in ("gcv", "gml") if many == 1 and name != "linear" else CRITERIA:
        curves = [
            criterion_curve(m._smoother, y, [0.1, 1, 10], criterion)
            for m, y in [
                (weighted, Y[COPIES > 0]),
                (repeated, Y.repeat(COPIES, 0)),
            ]
        ]
        scale = curves[0][0] / curves[1][0] if criterion == "gml" else 1.0
        np.testing.assert_allclose(curves[0] / scale, curves[1], rtol=1e-9)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_with_copies_the_same_penalty_is_chosen(criterion):
    r = np.random.default_rng(8)
    A, times = r.normal(size=(60, 8)), r.integers(0, 4, size=60)
    b = A @ r.normal(size=8) / 3 + 2 * r.normal(size=60)
    weighted = AttentionRegressor(alpha=criterion, weight_type="frequency").fit(A, b, times)
    repeated = AttentionRegressor(alpha=criterion).fit(A.repeat(times, 0), b.repeat(times))
    assert np.isclose(weighted.alpha_, repeated.alpha_, rtol=1e-8)
    assert weighted.selection_.boundary is None


@pytest.mark.parametrize("name", ["linear", "rbf", "spline"])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_scale_of_precisions_means_nothing(name, criterion):
    v = np.random.default_rng(9).uniform(0.2, 3, size=40)
    outcome = y + np.random.default_rng(10).normal(size=40) / v**0.5
    fits = [
        AttentionRegressor(name, criterion, weight_type="precision").fit(X, outcome, c * v)
        for c in (1, 0.01, 100)
    ]
    for m, c in zip(fits[1:], (0.01, 100)):
        assert np.isclose(m.alpha_, c * fits[0].alpha_, rtol=1e-6)
        assert np.isclose(m.df_, fits[0].df_, rtol=1e-6)


def test_precisions_are_the_weights_of_ridge_cv():
    v, grid = np.random.default_rng(9).uniform(0.2, 3, size=40), np.geomspace(0.01, 100, 9)
    theirs = RidgeCV(grid, gcv_mode="svd", store_cv_results=True).fit(X, y, v)
    for a, wanted in zip(grid, theirs.cv_results_.mean(axis=0)):
        m = AttentionRegressor(alpha=a, weight_type="precision").fit(X, y, v)
        assert np.isclose(m.loo_, wanted, rtol=1e-10)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(3, 25),
    p=st.integers(1, 30),
    name=st.sampled_from(["linear", "rbf", "spline"]),
    intercept=st.booleans(),
)
def test_weights_of_any_shape(seed, n, p, name, intercept):
    """Weights against the minimiser of (3a.1) itself, and its scale: c times all weights is alpha / c."""
    r = np.random.default_rng(seed)
    A, b, v = r.normal(size=(n, p)), r.normal(size=n), r.uniform(0.1, 3, size=n)
    intercept = intercept or name == "spline"
    m = AttentionRegressor(name, 0.5, fit_intercept=intercept).fit(A, b, v)
    same = AttentionRegressor(name, 1.0, fit_intercept=intercept).fit(A, b, 2 * v)
    np.testing.assert_allclose(m.predict(A), same.predict(A), rtol=0, atol=1e-9)
    residual = v * (b - m.predict(A))
    if intercept:
        assert abs(residual.sum()) < 1e-9
    if name == "rbf":
        np.testing.assert_allclose(m.dual_coef_, residual / 0.5, rtol=0, atol=1e-9)
    if name == "linear":
        np.testing.assert_allclose(m.coef_, A.T @ residual / 0.5, rtol=0, atol=1e-9)


def test_leave_one_out_with_copies_leaves_out_one():
    fitted, errors = AttentionRegressor(alpha=0.5, weight_type="frequency").fit(X, y, w), []
    for i in range(40):
        less = w - (np.arange(40) == i) * (w > 0)
        refitted = AttentionRegressor(alpha=0.5).fit(X, y, less)
        errors.append(y[i] - refitted.predict(X[i : i + 1])[0])
    wanted = np.sum(w * np.square(errors)) / w.sum()
    assert np.isclose(fitted.loo_, wanted, rtol=1e-10)


def test_copies_are_whole():
    with pytest.raises(
        ValueError, match="counts copies .* got 0.3 at row 0; .* precisions"
    ):
        AttentionRegressor(weight_type="frequency").fit(X, y, np.full(40, 0.3))


@pytest.mark.parametrize("name", ["linear", "spline", "rbf"])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_constant_weight_is_no_weight(name, criterion):
    """R's smooth.spline, mgcv and RidgeCV are unchanged by it; 1/40 makes the weights sum to one."""
    r = np.random.default_rng(21)
    outcome = np.sin(X[:, 0]) + r.normal(size=40)
    plain = AttentionRegressor(name, criterion).fit(X, outcome)
    for c in (1 / 40, 0.1, 2.0, 10.0, 1e-30, 1e30):
        m = AttentionRegressor(name, criterion).fit(X, outcome, np.full(40, c))
        assert np.isclose(m.df_, plain.df_, rtol=1e-5)
        np.testing.assert_allclose(m.predict(X), plain.predict(X), rtol=0, atol=1e-5)


# ---- explanations ------------------------------------------------------------------------------------------

FRAME = pd.DataFrame(X, columns=list("abc"), index=[f"row {i}" for i in range(40)])
QUERIES = pd.DataFrame(X_new, columns=list("abc"), index=list("pqrstuv"))


@pytest.mark.parametrize("name", ["linear", "matern"])
def test_explain(name):
    m = AttentionRegressor(name).fit(FRAME, y)
    table, W = m.explain(QUERIES, top=3), m.attention_weights(QUERIES)
    columns = "query rank row weight outcome contribution share leverage without".split()
    assert table.columns.tolist() == columns
    assert table["query"].tolist() == [q for q in QUERIES.index for _ in range(3)]
    assert table["rank"].tolist() == [1, 2, 3] * 7
    for row in table.itertuples():
        assert row.weight == W.loc[row.query, row.row]
        assert row.outcome == y[FRAME.index.get_loc(row.row)]
        assert row.contribution == row.weight * row.outcome
        assert (W.loc[row.query].abs() > abs(row.weight)).sum() == row.rank - 1
    sums = m.explain(QUERIES, top=None).groupby("query", sort=False)
    np.testing.assert_allclose(sums["contribution"].sum(), m.predict(QUERIES), atol=1e-10)
    np.testing.assert_allclose(sums["share"].sum(), 1, atol=1e-10)
    assert len(m.explain(QUERIES, top=99)) == 7 * 40


def test_explain_several_outputs():
    outcomes = pd.DataFrame(Y, columns=["u", "v", "w"], index=FRAME.index)
    m = AttentionRegressor("rbf").fit(FRAME, outcomes)
    table = m.explain(QUERIES, top=2)
    assert table["output"].tolist() == ["u", "v", "w"] * 14
    assert table["rank"].tolist() == [1, 1, 1, 2, 2, 2] * 7
    sums = m.explain(QUERIES, None).groupby(["query", "output"])["contribution"].sum()
    np.testing.assert_allclose(sums.unstack(), m.predict(QUERIES), atol=1e-10)


def test_explain_with_labels_that_repeat_or_are_missing():
    twice = FRAME.set_axis(["same"] * 40)
    table = AttentionRegressor().fit(twice, y).explain(QUERIES.set_axis(["q"] * 7), top=2)
    assert (
        len(table) == 14 and set(table["row"]) == {"same"} and set(table["query"]) == {"q"}
    )
    bare = AttentionRegressor().fit(X, Y).explain(X_new, top=1)
    assert bare["query"].tolist() == [i for i in range(7) for _ in range(3)]
    assert bare["output"].tolist() == [0, 1, 2] * 7
    dates = pd.period_range("1990Q1", periods=40, freq="Q")
    table = AttentionRegressor().fit(FRAME.set_axis(dates), y).explain(QUERIES, top=1)
    assert set(table["row"]) <= set(dates)


@pytest.mark.parametrize("top", [0, -1, 1.5, "all"])
def test_explain_refuses(top):
    m = AttentionRegressor().fit(X, y)
    with pytest.raises(ValueError, match="top must be a whole number"):
        m.explain(X_new, top=top)


def test_labels_and_figure():
    m = AttentionRegressor("rbf").fit(FRAME, y)
    W = m.attention_weights(QUERIES)
    assert W.index.equals(QUERIES.index) and W.columns.equals(FRAME.index)
    assert isinstance(m.predict(QUERIES), np.ndarray)
    assert m.feature_names_in_.tolist() == ["a", "b", "c"]
    ax = m.plot_weights(QUERIES)
    assert np.array_equal(ax.get_images()[0].get_array(), W)
    with pytest.raises(ValueError, match="feature names"):
        m.predict(QUERIES[["b", "a", "c"]])


# ---- the rest of scikit-learn ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KERNELS)
def test_pickle_and_clone(name):
    m = AttentionRegressor(name, 0.5).fit(FRAME, Y, w)
    copy = pickle.loads(pickle.dumps(m))
    assert np.array_equal(copy.predict(QUERIES), m.predict(QUERIES))
    pd.testing.assert_frame_equal(copy.explain(QUERIES), m.explain(QUERIES), rtol=1e-10)
    assert np.isclose(copy.loo_, m.loo_, rtol=1e-12)
    fresh = clone(m)
    assert fresh.get_params() == m.get_params()
    with pytest.raises(NotFittedError):
        _ = fresh.loo_
    with pytest.raises(NotFittedError):
        fresh.attention_weights(X)


def test_pipeline_hands_on_labels():
    scaler = StandardScaler().set_output(transform="pandas")
    pipe = make_pipeline(scaler, AttentionRegressor("matern")).fit(FRAME, y)
    table = pipe[-1].explain(pipe[:-1].transform(QUERIES), top=1)
    assert set(table["query"]) == set(QUERIES.index) and set(table["row"]) <= set(
        FRAME.index
    )
    whole = make_pipeline(StandardScaler(), AttentionRegressor()).set_output(
        transform="pandas"
    )
    assert whole.fit(FRAME, y).predict(QUERIES).shape == (7,)


def test_grid_search():
    grid = {
        "alpha": ["gcv", 0.1, 10.0],
        "length_scale": [None, 1.0],
        "kernel": ["rbf", "linear"],
    }
    search = GridSearchCV(AttentionRegressor(), grid, cv=3, error_score="raise").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.explain(X_new, top=1).shape == (7, 9)


def test_metadata_routing():
    class Spy(AttentionRegressor):
        def fit(self, X, y, sample_weight=None):
            self.total_ = None if sample_weight is None else sum(sample_weight)
            return super().fit(X, y, sample_weight)

    with config_context(enable_metadata_routing=True):
        asked = Spy(alpha=1.0).set_fit_request(sample_weight=True)
        asked = asked.set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, asked).fit(X, y, sample_weight=w)
        assert pipe[-1].total_ == w.sum()
        search = GridSearchCV(asked, {"alpha": [0.1, 1.0]}, cv=3, error_score="raise")
        assert search.fit(X, y, sample_weight=w).best_estimator_.total_ == w.sum()
        plain = cross_val_score(Spy(alpha=1.0).set_fit_request(sample_weight=False), X, y)
        assert len(plain) == 5


DISPATCH = """
import sys, warnings
import numpy as np, torch
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_array_api_input
from olsattention import AttentionRegressor
from olsattention.kernels import KERNELS
warnings.simplefilter("ignore")
cases = {(name, alpha, dtype) for name in KERNELS for alpha in ("gcv", "loo", 0.5) for dtype in ("float64", "float32")}
if "few" in sys.argv:  # every kernel, and for each of the two models every kind of penalty and both types
    cases = {case for case in cases if case[0] in ("linear", "spline") or case[1] == 0.5}
    cases = {case for case in cases if case[2] == "float64" or case[0] == "linear" and case[1] == "gcv"
             or case[0] == "spline" and case[1] == 0.5}
for name, alpha, dtype in cases:
    check_array_api_input("AttentionRegressor", AttentionRegressor(name, alpha), "torch", "cpu", dtype,
                          check_values=name == "linear" and dtype == "float64", check_sample_weight=True)
rng = np.random.default_rng(0)
X, y, w = rng.normal(size=(30, 3)), rng.normal(size=30), rng.integers(0, 3, size=30)
plain = AttentionRegressor("matern").fit(X, y, w)
with config_context(array_api_dispatch=True):
    A, b = torch.from_numpy(X), torch.from_numpy(y)
    m = make_pipeline(StandardScaler(), AttentionRegressor("matern")).fit(A, b)
    assert isinstance(m.predict(A), torch.Tensor) and isinstance(m.score(A, b), float)
    m = AttentionRegressor("matern").fit(A, y, w)  # outcomes and weights follow X
    W = m.attention_weights(A)
    assert isinstance(W, torch.Tensor) and isinstance(m.dual_coef_, torch.Tensor)
    assert np.abs(m.predict(A).numpy() - plain.predict(X)).max() < 1e-10
    assert np.abs(W.numpy() - plain.attention_weights(X)).max() < 1e-10
    assert np.allclose(m.explain(A[:2])["weight"], plain.explain(X[:2])["weight"], atol=1e-10)
    try:
        m.predict(X)
        sys.exit("no error")
    except ValueError as error:
        assert "must use the same namespace" in str(error), error
"""


@pytest.mark.parametrize("cases", ["few", pytest.param("all", marks=pytest.mark.slow)])
def test_torch_through_array_api_dispatch(cases):
    """In a fresh interpreter, because SciPy reads its own switch when it is imported."""
    import os

    done = subprocess.run(
        [sys.executable, "-c", DISPATCH, cases],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_torch_without_dispatch_is_what_scikit_learn_makes_of_it():
    m = AttentionRegressor().fit(torch.from_numpy(X), torch.from_numpy(y))
    assert isinstance(m.predict(torch.from_numpy(X_new)), np.ndarray)
    assert np.array_equal(m.coef_, AttentionRegressor().fit(X, y).coef_)


def test_import_without_scikit_learn_says_what_to_do():
    code = "import sys; sys.modules['sklearn'] = None; import olsattention; olsattention.AttentionRegressor"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (
        "ImportError" in done.stderr
        and "pip install 'olsattention[sklearn]'" in done.stderr
    )


# ---- kernels in the estimator ------------------------------------------------------------------------------


def test_spline_goes_straight_on_and_sobolev_comes_round():
    x = np.linspace(2, 6, 30)[:, None]
    b = np.sin(2 * x[:, 0])
    spline = AttentionRegressor("spline", 1e-4).fit(x, b)
    for side in (np.array([[1.0], [0.0], [-1.0]]), np.array([[7.0], [8.0], [9.0]])):
        steps = np.diff(spline.predict(side))
        assert np.isclose(steps[0], steps[1], rtol=1e-9) and abs(steps[0]) > 0.1
    ends = np.array([[6 - 1e-6], [6.0], [6 + 1e-6]])
    slopes = np.diff(spline.predict(ends)) / 1e-6
    assert np.isclose(slopes[0], slopes[1], atol=1e-3)  # no kink where the data end
    for period in (None, 4.0, np.pi):
        wave = AttentionRegressor("sobolev", 1e-3, period=period).fit(x, b)
        length = 4.0 if period is None else period
        np.testing.assert_allclose(wave.predict(x + 3 * length), wave.predict(x), atol=1e-8)


def test_additive_models_find_additive_functions():
    r = np.random.default_rng(5)
    A = r.uniform(-2, 7, size=(300, 3)) * [1, 10, 0.1]
    truth = np.sin(A[:, 0]) + (A[:, 1] / 20) ** 2 + 30 * A[:, 2]
    m = AttentionRegressor("spline").fit(A, truth + 0.1 * r.normal(size=300))
    assert m.score(A, truth) > 0.999 and m.df_ < 60
    line = AttentionRegressor("spline").fit(A, A @ [1, 2, 3.0] + 4)
    np.testing.assert_allclose(line.predict(5 * A), 5 * A @ [1, 2, 3.0] + 4, rtol=1e-9)


@pytest.mark.parametrize("name", ["rbf", "laplacian", "matern", "sobolev", "spline"])
def test_units_do_not_matter(name):
    """One factor for all columns, and for the last two kernels any units."""
    factors = np.array([1e3, 1e-3, 7.0]) if name in ("sobolev", "spline") else 1e3
    a = AttentionRegressor(name).fit(X, y).predict(X_new)
    b = AttentionRegressor(name).fit(X * factors, y).predict(X_new * factors)
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_a_function_as_kernel():
    calls = []

    def kernel(A, B, power=1):
        K = (A @ B.T + 1) ** power
        calls.append(K)
        return K

    m = AttentionRegressor(kernel, 0.5, kernel_params={"power": 2}).fit(X, y)
    same = AttentionRegressor("polynomial", 0.5, degree=2, gamma=1.0).fit(X, y)
    np.testing.assert_allclose(m.predict(X_new), same.predict(X_new), atol=1e-10)
    assert np.array_equal(calls[0], (X @ X.T + 1) ** 2)  # the user's array is left alone
    with pytest.raises(ValueError, match=r"kernel\(X, Z\) must return shape \(40, 40\)"):
        AttentionRegressor(lambda A, B: A @ A.T[:, :3]).fit(X, y)
    with pytest.raises(ValueError, match="positive semidefinite"):
        AttentionRegressor(lambda A, B: -A @ B.T).fit(X, y)


# ---- many rows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [False, True])
def test_many_rows_need_no_eigenvectors_and_one_matrix(weights, monkeypatch):
    r, n = np.random.default_rng(6), 1200
    A = r.normal(size=(n, 3))
    b, v = (
        np.sin(A[:, 0]) + r.normal(size=n),
        r.uniform(0.5, 1.5, size=n) if weights else None,
    )

    def no_eigenvectors(*_, **__):
        raise AssertionError("eigenvectors were computed")

    with monkeypatch.context() as m:
        m.setattr(SpectralSmoother, "from_gram", no_eigenvectors)
        m.setattr("olsattention.regression.smoother.BLOCK_ROWS", 64)  # small beside n
        tracemalloc.start()
        fast = AttentionRegressor("matern", length_scale=1.7).fit(A, b, v)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 1.7 * 8 * n**2  # half of one are the tiles of the kernel
    monkeypatch.setattr(tridiagonal, "MANY_ROWS", 10**9)
    slow = AttentionRegressor("matern", length_scale=1.7).fit(A, b, v)
    assert np.isclose(fast.alpha_, slow.alpha_, rtol=1e-6)
    assert np.isclose(fast.loo_, slow.loo_, rtol=1e-8)
    fast.alpha_ = slow.alpha_
    np.testing.assert_allclose(
        fast.attention_weights(A[:9]), slow.attention_weights(A[:9]), atol=1e-10
    )


# ---- little data, and bad data -----------------------------------------------------------------------------


@quiet
@pytest.mark.filterwarnings("ignore::olsattention.regression.svd.RankDeficiencyWarning")
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("alpha", [*CRITERIA, 1.0])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows(name, alpha, n):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        m = AttentionRegressor(name, alpha).fit(X[:n], y[:n])
    assert np.isfinite(m.predict(X_new)).all()
    np.testing.assert_allclose(m.attention_weights(X_new).sum(axis=1), 1, atol=1e-9)
    if n == 1:
        assert m.df_ == 1 and np.allclose(m.predict(X_new), y[0])
        assert m.alpha_ == (alpha if alpha == 1.0 else 0.0)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("alpha", CRITERIA)
def test_constant_outcome(name, alpha):
    with pytest.warns(BoundaryWarning, match="the unpenalised part of the model alone"):
        m = AttentionRegressor(name, alpha).fit(X, np.full(40, 1 / 3))
    np.testing.assert_allclose(m.predict(X_new), 1 / 3, rtol=1e-9)


@quiet
@pytest.mark.parametrize("name", KERNELS)
def test_constant_columns_and_duplicate_rows(name):
    A = np.column_stack([X[:, 0], np.full(40, 7.0)])
    A[20:] = A[:20]
    m = AttentionRegressor(name).fit(A, y)
    assert np.isfinite(m.predict(A)).all()
    np.testing.assert_allclose(m.attention_weights(A) @ y, m.predict(A), atol=1e-9)


def test_no_penalty_and_too_many_columns_warns():
    with pytest.warns(RankDeficiencyWarning):
        AttentionRegressor(alpha=0.0).fit(np.c_[X, X], y)


def bad(value, at):
    A = X.copy()
    A[at] = value
    return A


@pytest.mark.parametrize(
    "arguments, error, says",
    [
        (
            (bad(np.nan, (4, 1)), y),
            ValueError,
            "NaN or infinity: X contains nan at row 4, column 1",
        ),
        (
            (FRAME.replace(X[4, 1], np.nan), y),
            ValueError,
            "contains nan at row 4, column 'b'",
        ),
        ((bad(np.inf, (4, 1)), y), ValueError, "X contains inf at row 4, column 1"),
        ((X, np.r_[y[:-1], np.nan]), ValueError, "y contains nan at row 39"),
        ((X, y[:-1]), ValueError, "inconsistent numbers of samples"),
        ((X[0], y), ValueError, "Expected 2D array"),
        ((X, None), ValueError, "requires y to be passed"),
        ((X, y, -w), ValueError, "sample_weight must be finite and >= 0, got -.* at row"),
        ((X, y, np.r_[w[:-1], np.nan]), ValueError, "finite and >= 0, got nan at row 39"),
        ((X, y, 0 * w), ValueError, "all are zero"),
        ((X, y, w[:-1]), ValueError, r"sample_weight must have shape \(40,\), got \(39,\)"),
        (
            (X, y, w[:, None]),
            ValueError,
            r"sample_weight must have shape \(40,\), got \(40, 1\)",
        ),
        ((X, y, ["heavy"] * 40), TypeError, "sample_weight must hold real numbers"),
        ((X.astype(np.longdouble), y), TypeError, "convert it to float64"),
    ],
)
def test_bad_data(arguments, error, says):
    with pytest.raises(error, match=says):
        AttentionRegressor().fit(*arguments)


@pytest.mark.parametrize(
    "parameters, error, says",
    [
        ({"kernel": "cosine"}, ValueError, "unknown kernel 'cosine'; known are linear, "),
        ({"kernel": 3}, TypeError, "kernel must be a function or one of the names"),
        ({"alpha": "ubre"}, ValueError, "known are gcv, loo, gml, rgcv, or a number"),
        ({"alpha": -1}, ValueError, "alpha must be >= 0"),
        ({"alpha": np.nan}, ValueError, "alpha must be >= 0"),
        ({"alpha": None}, TypeError, "alpha must be one real number"),
        (
            {"alpha": [1.0, 2.0]},
            ValueError,
            "one for each outcome, got 2 for a single outcome",
        ),
        ({"alpha": True}, TypeError, "alpha must be one real number"),
        ({"fit_intercept": 1}, TypeError, "fit_intercept must be True or False"),
        ({"kernel": "rbf", "length_scale": 0}, ValueError, "length_scale must be > 0"),
        ({"kernel": "sobolev", "order": 4}, ValueError, "order must be 1, 2 or 3"),
        (
            {"kernel": "sobolev", "period": -1},
            ValueError,
            "period must be >= 0|period must be > 0",
        ),
        ({"kernel": "spline", "fit_intercept": False}, ValueError, "always has a constant"),
        ({"weight_type": "analytic"}, ValueError, "weight_type must be 'frequency' or"),
        ({"kernel": "exponential", "scale": 1e4}, ValueError, "overflows"),
    ],
)
def test_bad_parameters(parameters, error, says):
    with pytest.raises(error, match=says):
        AttentionRegressor(**parameters).fit(X, y)


def test_select_lam_warns_where_the_user_stands():
    line = X @ [1.0, 2, 3]
    with pytest.warns(BoundaryWarning) as caught:
        AttentionRegressor().fit(X, line)
    assert caught[0].filename == __file__
    with pytest.warns(BoundaryWarning) as caught:
        select_lam(SpectralSmoother.from_design(X), line)
    assert caught[0].filename == __file__


def test_on_real_data_the_criteria_agree_with_cross_validation():
    A, b = load_diabetes(return_X_y=True)
    A = A / A.std(axis=0)
    grid = list(np.geomspace(1e-1, 1e3, 5))
    search = GridSearchCV(AttentionRegressor("matern"), {"alpha": grid}, cv=5).fit(A, b)
    best, scores = AttentionRegressor("matern", "gcv").fit(A, b), search.cv_results_
    ours = cross_val_score(clone(best).set_params(alpha=best.alpha_), A, b, cv=5).mean()
    assert ours > scores["mean_test_score"].max() - 0.01


def test_kernel_names_are_all_of_chapter_4():
    assert set(KERNELS) == {f for f in KERNELS if kernels.get_kernel(f) is KERNELS[f]}
