"""Kernel ridge regression without the Gram matrix: true residuals, GCV by probes, scikit-learn's rules."""

import warnings
from functools import partial

import numpy as np
import pytest
import sklearn
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

from olsattention import (
    AttentionRegressor,
    KernelSmoother,
    LargeKernelRegressor,
    kernels,
    random_features,
)
from olsattention.practice.large import (
    KernelProduct,
    conjugate_gradients,
    random_pivots,
    solve_kernel,
)

rng = np.random.default_rng(13)
N = 1100  # more than two panels
X = rng.normal(size=(N, 3)) + 10
Y = np.column_stack([np.sin(2 * X[:, 0]) + X[:, 1] ** 2, X[:, 2] * X[:, 1]])
Y += 0.2 * rng.normal(size=Y.shape)
X_new = rng.normal(size=(6, 3)) + 10


@pytest.mark.parametrize("memory", [0, 10**6, 2**29])
@pytest.mark.parametrize("name", ["rbf", "laplacian", "matern", "polynomial", "linear"])
def test_products_are_those_of_the_gram_matrix(name, memory):
    kernel = getattr(kernels, name)
    products, K = KernelProduct(X - 10, kernel, memory), kernel(X - 10)
    V = rng.normal(size=(N, 2))
    scale = np.abs(K).sum(axis=1).max()
    assert np.abs(products.double_product(V) - K @ V).max() < 1e-12 * scale
    for _ in range(2):  # the second time from what was kept
        assert np.abs(products.single_product(V.astype("f4")) - K @ V).max() < 1e-5 * scale
    assert np.allclose(products.diagonal(), np.diag(K), rtol=1e-5)
    assert (len(products._panels) == 0) == (memory == 0)


@pytest.mark.parametrize("rank", [1, 33, 200, N])
def test_random_pivots_leave_a_positive_semidefinite_rest(rank):
    kernel = partial(kernels.rbf, length_scale=1.0)
    products, K = KernelProduct(X, kernel), kernel(X)
    M = random_pivots(products, rank, np.random.default_rng(0))
    U = M.U.astype(float)
    rest = np.linalg.eigvalsh(K - (U * M.squares) @ U.T)
    eps = np.finfo(np.float32).eps
    assert rest[0] > -2 * N * eps  # K has entries of at most one, in float32
    # what is left, and up to N squares that are dropped below a millionth of the largest
    assert abs(rest.sum() - M.left) < 1e-6 * M.squares.max() * N
    # F has rounding errors of the size of its largest column
    assert np.allclose(U.T @ U, np.eye(U.shape[1]), atol=1e3 * eps)


@pytest.mark.parametrize("lam", [10.0, 1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_the_residual_is_true(lam, library):
    as_library = torch.from_numpy if library == "torch" else np.asarray
    products = KernelProduct(as_library(X), partial(kernels.rbf, length_scale=2.0))
    M = random_pivots(products, 200, np.random.default_rng(0))
    found = solve_kernel(products, M, as_library(Y), lam, tol=1e-7)
    K = kernels.rbf(X, length_scale=2.0)
    A = np.asarray(found.solution)
    true = np.linalg.norm(Y - K @ A - lam * A, axis=0) / np.linalg.norm(Y, axis=0)
    assert (true <= 1.01e-7).all()
    assert np.allclose(np.asarray(found.residual), true, rtol=0.05, atol=1e-12)


class Counting(KernelProduct):
    """Products that are counted by their precision."""

    singles = doubles = 0

    def single_product(self, V):
        self.singles += 1
        return super().single_product(V)

    def double_product(self, V):
        self.doubles += 1
        return super().double_product(V)


@pytest.mark.parametrize("lam, needed", [(1e-2, False), (1e-7, True)])
def test_where_float32_makes_no_progress_float64_takes_over(lam, needed):
    """A penalty below eps * largest eigenvalue of float32, above that of float64."""
    rows = X[:150]
    products = Counting(rows, partial(kernels.rbf, length_scale=2.0))
    M = random_pivots(products, 100, np.random.default_rng(0))
    found = solve_kernel(products, M, Y[:150], lam, tol=1e-6)
    K = kernels.rbf(rows, length_scale=2.0)
    A = np.asarray(found.solution)
    true = np.linalg.norm(Y[:150] - K @ A - lam * A, axis=0)
    assert (true <= 1.01e-6 * np.linalg.norm(Y[:150], axis=0)).all()
    assert (products.doubles > found.judgements) == needed and products.singles


def test_what_cannot_be_reached_is_said():
    products = KernelProduct(X, partial(kernels.rbf, length_scale=3.0))
    M = random_pivots(products, 3, np.random.default_rng(0))
    with pytest.warns(UserWarning, match="the relative residual is"):
        found = solve_kernel(products, M, Y, 1e-4, tol=1e-9, most=15)
    assert found.products == 15 and (np.asarray(found.residual) > 1e-9).all()


def test_what_is_no_kernel():
    products = KernelProduct(X, lambda A, B: -(A @ B.T))
    M = random_pivots(KernelProduct(X, kernels.linear), 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="not positive semidefinite"):
        conjugate_gradients(products.double_product, M, Y, 1e-3, 1e-6, 10)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("k", [None, 2])
def test_it_agrees_with_the_exact_smoother(intercept, k):
    y = Y if k else Y[:, 0]
    model = LargeKernelRegressor(
        "matern", 0.05, length_scale=2.0, fit_intercept=intercept, tol=1e-9
    ).fit(X, y)
    exact = KernelSmoother(X, partial(kernels.matern, length_scale=2.0), intercept)
    wanted = exact.predict(X_new, y, 0.05)
    assert np.allclose(model.predict(X_new), wanted, atol=1e-6)
    W = model.attention_weights(X_new)
    assert np.allclose(W, exact.weights(X_new, 0.05), atol=1e-6)
    assert np.allclose(W @ y, wanted, atol=1e-5) and model.residual_ <= 1e-9


def test_the_penalty_is_near_the_one_that_exact_gcv_likes():
    model = LargeKernelRegressor(length_scale=2.0, probes=12).fit(X, Y[:, 0])
    exact = KernelSmoother(X, partial(kernels.rbf, length_scale=2.0), intercept=True)
    grid = np.geomspace(1e-5, 1e2, 60)
    best = min(exact.smoother.gcv(Y[:, 0], lam) for lam in grid)
    assert exact.smoother.gcv(Y[:, 0], model.alpha_) < 1.02 * best
    for lam, found in model.curve_.items():
        true = exact.smoother.gcv(Y[:, 0], lam)
        assert abs(found.score - true) < 5 * found.score_error + 1e-3 * true


@pytest.mark.parametrize("intercept", [True, False])
def test_weights_are_copies_and_zero_is_none(intercept):
    rows, y = X[:200], Y[:200]
    w = np.random.default_rng(0).integers(0, 4, 200)
    options = {"alpha": 0.05, "fit_intercept": intercept, "tol": 1e-10}
    ours = LargeKernelRegressor(**options).fit(rows, y, w)
    copies = LargeKernelRegressor(**options).fit(
        np.repeat(rows, w, axis=0), np.repeat(y, w, axis=0)
    )
    assert np.allclose(ours.predict(X_new), copies.predict(X_new), rtol=1e-7)
    W = ours.attention_weights(X_new)
    assert np.allclose(W @ y, ours.predict(X_new), rtol=1e-7)
    assert W.shape == (6, 200) and (W[:, w == 0] == 0).all()
    assert (ours.dual_coef_[w == 0] == 0).all()


@pytest.mark.parametrize("weight_type", ["frequency", "precision"])
def test_weighted_gcv_is_that_of_the_exact_smoother(weight_type):
    rows, y = X[:300], Y[:300, 0]
    w = np.random.default_rng(1).uniform(0.3, 3, 300)
    w = np.ceil(w) if weight_type == "frequency" else w
    given = {"length_scale": 2.0, "weight_type": weight_type}
    ours = LargeKernelRegressor(probes=40, **given).fit(rows, y, w)
    for lam, found in ours.curve_.items():
        exact = AttentionRegressor("rbf", lam, **given).fit(rows, y, w)
        # a fit at the tolerance of the search, beside the error of the probes
        assert abs(found.score - exact.gcv_) < 4 * found.score_error + 2e-3 * exact.gcv_
    exact = AttentionRegressor("rbf", ours.alpha_, **given).fit(rows, y, w)
    assert np.allclose(ours.predict(X_new), exact.predict(X_new), rtol=1e-4)


def test_weights_that_make_no_sense():
    for w, message in (
        (np.r_[-1.0, np.ones(N - 1)], "sample_weight must be finite and >= 0"),
        (np.ones(3), "sample_weight must have shape"),
    ):
        with pytest.raises(ValueError, match=message):
            LargeKernelRegressor(alpha=1.0).fit(X, Y, w)
    with pytest.raises(ValueError, match="weight_type must be"):
        LargeKernelRegressor(alpha=1.0, weight_type="copies").fit(X, Y)


# as in tests/test_estimators.py: for a criterion, weights are precisions and not copies
PRECISIONS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "weights are precisions"
    for kind in ("dense", "sparse")
}


@pytest.mark.parametrize("alpha", [1.0, pytest.param("gcv", marks=pytest.mark.slow)])
def test_scikit_learn_checks(alpha):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # weights are copies to within the residual; scikit-learn asks for seven digits
        results = check_estimator(
            LargeKernelRegressor(alpha=alpha, tol=1e-10),
            expected_failed_checks=PRECISIONS if alpha == "gcv" else None,
            on_skip=None,
        )
    failed = {r["check_name"] for r in results if r["status"] == "xfail"}
    assert failed <= (set(PRECISIONS) if alpha == "gcv" else set())


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"alpha": 0.0}, "alpha must be > 0"),
        ({"alpha": -1.0}, "alpha must be >= 0"),
        ({"alpha": "loo"}, "alpha must be 'gcv' or a number"),
        ({"kernel": "wrong"}, "unknown kernel"),
    ],
)
def test_parameters_that_make_no_sense(parameters, message):
    with pytest.raises(ValueError, match=message):
        LargeKernelRegressor(**parameters).fit(X, Y)


def test_weights_can_be_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        asked = LargeKernelRegressor(alpha=1.0).set_fit_request(sample_weight=True)
        asked.set_score_request(sample_weight=False)
        search = GridSearchCV(asked, {"alpha": [0.1, 1.0]}, cv=2)
        weights = np.r_[np.zeros(20), np.ones(40)]
        found = search.fit(X[:60], Y[:60, 0], sample_weight=weights).best_estimator_
    assert not found.dual_coef_[:20].any() and found.dual_coef_[20:].all()


def test_a_bad_cell_is_named():
    bad = X.copy()
    bad[7, 2] = np.nan
    with pytest.raises(ValueError, match="X contains nan at row 7, column 2"):
        LargeKernelRegressor(alpha=1.0).fit(bad, Y)


@pytest.mark.parametrize("name", ["rbf", "laplacian", "matern"])
def test_random_features_approach_the_kernel(name):
    errors = []
    for D in (100, 10_000):
        features = random_features(3, D, np.random.default_rng(0), name, 1.5)
        Phi = features.transform(X[:40])
        errors.append(
            np.abs(Phi @ Phi.T - getattr(kernels, name)(X[:40], length_scale=1.5))
        )
    assert errors[1].max() < 0.06 and errors[1].mean() < errors[0].mean() / 5
    with pytest.raises(ValueError, match="kernel must be"):
        random_features(3, 5, np.random.default_rng(0), "linear")
