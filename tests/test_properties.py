"""Properties that hold for every regression, on random ones; answers known by construction."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olsattention import (
    CoulombeEmbedding,
    RankDeficiencyWarning,
    SpectralSmoother,
    attention_weights,
    hat_matrix,
    leverage,
    loo_residuals,
    ols_coefficients,
    r_factor,
    ridge_path,
    thin_svd,
)
from olsattention.arrays import qr_triangle
from olsattention.regression.rfactor import merge_r

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 8), st.integers(0, 2**32 - 1))
settings.register_profile("house", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("house")


def draw(n, p, seed, condition=1e3):
    """A design built from its SVD, so that everything about it is known before any solver runs."""
    rng = np.random.default_rng(seed)
    k = min(n, p)
    U, V = (np.linalg.qr(rng.normal(size=(size, k)))[0] for size in (n, p))
    d = np.geomspace(1, 1 / condition, k)
    return (U * d) @ V.T, U, d, V, rng


@given(SIZES)
def test_weights_are_the_pseudo_inverse(sizes):
    n, p, seed = sizes
    X, U, d, V, rng = draw(n, p, seed)
    T = rng.normal(size=(3, p))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        W = attention_weights(T, X)
    np.testing.assert_allclose(W, T @ (V / d) @ U.T, atol=1e-9 * np.abs(W).max())


@given(SIZES, st.floats(1e-6, 1e3))
def test_ridge_weights_from_known_singular_values(sizes, lam):
    n, p, seed = sizes
    X, U, d, V, rng = draw(n, p, seed)
    T = rng.normal(size=(3, p))
    known = T @ (V * (d / (d**2 + lam))) @ U.T
    np.testing.assert_allclose(
        attention_weights(T, X, lam), known, atol=1e-11 * max(1, np.abs(known).max())
    )
    np.testing.assert_allclose(
        SpectralSmoother.from_design(X).weights(T, lam),
        known,
        atol=1e-9 * max(1, np.abs(known).max()),
    )


@given(SIZES, st.floats(0, 1e3))
def test_rows_sum_to_one_with_an_intercept(sizes, lam):
    n, p, seed = sizes
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n + p + 1, p)) + 100 * rng.normal(size=p)
    W = attention_weights(X[:4] * 2, X, lam, intercept=True)
    np.testing.assert_allclose(W.sum(axis=1), 1, atol=1e-11)


@given(SIZES)
def test_permutation_equivariance_and_basis_invariance(sizes):
    n, p, seed = sizes
    rng = np.random.default_rng(seed)
    X, A = (
        rng.normal(size=(n + p, p)),
        np.linalg.qr(rng.normal(size=(p, p)))[0] * rng.uniform(0.1, 10, p),
    )
    order = rng.permutation(n + p)
    W = attention_weights(X[:3], X)
    np.testing.assert_allclose(attention_weights(X[:3], X[order]), W[:, order], atol=1e-11)
    np.testing.assert_allclose(attention_weights(X[:3] @ A, X @ A), W, atol=1e-9)


@given(SIZES)
def test_hat_matrix_is_a_projection(sizes):
    n, p, seed = sizes
    X = draw(n + p, p, seed)[0]
    H = hat_matrix(X)
    np.testing.assert_allclose(H @ H, H, atol=1e-12)
    np.testing.assert_allclose(np.trace(H), p, rtol=1e-12)
    np.testing.assert_allclose(leverage(X), np.diag(H), atol=1e-13)
    np.testing.assert_allclose(attention_weights(X, X), H, atol=1e-10)


@given(SIZES, st.floats(1e-8, 1e8))
def test_smoother_eigenvalues_and_df(sizes, lam):
    n, p, seed = sizes
    X, _, d, _, _ = draw(n, p, seed)
    s = SpectralSmoother.from_design(X)
    assert np.all((0 <= s.shrinkage(lam)) & (s.shrinkage(lam) < 1))
    np.testing.assert_allclose(s.df(lam), np.sum(d**2 / (d**2 + lam)), rtol=1e-9)
    np.testing.assert_allclose(s.U.T @ s.U, np.eye(len(s.mu)), atol=1e-10)


@given(SIZES)
def test_r_factors_merge_in_any_order(sizes):
    n, p, seed = sizes
    rng = np.random.default_rng(seed)
    blocks = [rng.normal(size=(size, p)) for size in (n, p, n + p)]
    whole = r_factor(np.vstack(blocks))
    for order in ((0, 1, 2), (2, 0, 1)):
        R = np.zeros((0, p))
        for i in order:
            R = merge_r(R, blocks[i])
        np.testing.assert_allclose(R, whole, atol=1e-11 * np.abs(whole).max())


@pytest.mark.parametrize("condition", [1, 1e3, 1e6, 1e9, 1e12])
def test_r_factor_is_as_accurate_as_householder(condition):
    X = draw(400, 20, 7, condition)[0]
    R, reference = r_factor(X), qr_triangle(X)
    np.testing.assert_allclose(R, reference, atol=1e-14 * np.linalg.norm(X) * 20)
    Q = X @ np.linalg.inv(R)
    assert np.linalg.norm(Q.T @ Q - np.eye(20)) < 1e-13 * condition


@given(SIZES)
def test_loo_residuals_equal_refits(sizes):
    n, p, seed = sizes
    rng = np.random.default_rng(seed)
    n = n + p + 2
    X, y = rng.normal(size=(n, p)), rng.normal(size=n)
    refit = [
        y[i] - X[i] @ np.linalg.lstsq(np.delete(X, i, 0), np.delete(y, i), rcond=None)[0]
        for i in range(n)
    ]
    scale = np.max(np.abs(refit))
    np.testing.assert_allclose(loo_residuals(X, y), refit, atol=1e-8 * scale)
    np.testing.assert_allclose(
        SpectralSmoother.from_design(X).loo_residuals(y, 0.0), refit, atol=1e-8 * scale
    )


def test_path_against_ridge_cv():
    from sklearn.linear_model import RidgeCV

    rng = np.random.default_rng(1)
    X, lams = rng.normal(size=(60, 8)) + 5, np.geomspace(1e-3, 1e3, 12)
    y = X[:, 0] + rng.normal(size=60)
    peer = RidgeCV(lams, store_cv_results=True, gcv_mode="svd").fit(X, y)
    path = ridge_path(X, y, lams, intercept=True)
    np.testing.assert_allclose(path.loo, peer.cv_results_.mean(axis=0), rtol=1e-10)
    best = np.argmin(path.loo)
    np.testing.assert_allclose(path.coefficients[best], peer.coef_, rtol=1e-9)
    np.testing.assert_allclose(path.intercept[best], peer.intercept_, rtol=1e-9)


FUNCTIONS = {
    "attention_weights": lambda X, T, y: attention_weights(T, X),
    "ridge weights": lambda X, T, y: attention_weights(T, X, 0.5, True),
    "embedding": lambda X, T, y: (
        CoulombeEmbedding(0.5, True).fit(X).transform(T)
        @ CoulombeEmbedding(0.5, True).fit(X).train_.T
    ),
    "hat_matrix": lambda X, T, y: hat_matrix(X),
    "leverage": lambda X, T, y: leverage(X),
    "loo_residuals": lambda X, T, y: loo_residuals(X, y),
    "ols_coefficients": lambda X, T, y: ols_coefficients(X, y),
    "thin_svd": lambda X, T, y: thin_svd(X).s,
    "r_factor": lambda X, T, y: r_factor(X),
    "smoother fit": lambda X, T, y: SpectralSmoother.from_design(X, True).fit(y, 0.5),
    "smoother weights": lambda X, T, y: SpectralSmoother.from_design(X, True).weights(
        T, 0.5
    ),
    "smoother loo": lambda X, T, y: SpectralSmoother.from_design(X, True).loo(y, 0.5),
    "smoother gcv": lambda X, T, y: SpectralSmoother.from_design(X, True).gcv(y, 0.5),
    "path": lambda X, T, y: ridge_path(X, y, [0.1, 1.0], True).coefficients,
}


@pytest.mark.parametrize("shape", [(30, 4), (200, 20), (5, 9)])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore::olsattention.RankDeficiencyWarning")
def test_torch_gives_the_numbers_of_numpy(name, shape):
    rng = np.random.default_rng(3)
    X, T, y = (
        rng.normal(size=shape),
        rng.normal(size=(6, shape[1])),
        rng.normal(size=shape[0]),
    )
    ours = FUNCTIONS[name](X, T, y)
    tensor = FUNCTIONS[name](*map(torch.from_numpy, (X, T, y)))
    assert isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64
    np.testing.assert_allclose(
        tensor.numpy(), ours, rtol=1e-12, atol=1e-12 * np.nanmax(np.abs(ours), initial=0)
    )


@pytest.mark.parametrize(
    "name",
    [
        "attention_weights",
        "ridge weights",
        "hat_matrix",
        "leverage",
        "loo_residuals",
        "ols_coefficients",
        "smoother fit",
        "smoother weights",
        "smoother loo",
        "smoother gcv",
        "path",
    ],
)
def test_gradients_flow(name):
    rng = np.random.default_rng(4)
    inputs = [
        torch.tensor(rng.normal(size=size), requires_grad=True)
        for size in ((9, 3), (2, 3), (9,))
    ]
    assert torch.autograd.gradcheck(FUNCTIONS[name], inputs)


def test_gradient_reaches_the_penalty():
    rng = np.random.default_rng(5)
    X, T = torch.tensor(rng.normal(size=(9, 3))), torch.tensor(rng.normal(size=(2, 3)))
    lam = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda lam: attention_weights(T, X, lam, True), [lam])
