"""What a user might write, with the types that a checker must see: `test_types.py` checks it strictly, and runs it."""

from collections.abc import Callable
from typing import Any, assert_type

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray

import olsattention
from olsattention import (
    CoulombeEmbedding,
    MultiheadRidgeAttention,
    RidgeAttentionOutput,
    RidgeAttentionState,
    attention_weights,
    dual_diagnostics,
    get_kernel,
    hat_matrix,
    head_lam,
    kernels,
    lam_from_mean,
    learn_embedding,
    leverage,
    loo_residuals,
    mean_from_lam,
    merge_r,
    ols_coefficients,
    plots,
    r_factor,
    register_ridge_attention,
    ridge_attention,
    spectral_filter,
    thin_svd,
)
from olsattention.arrays import Matrix
from olsattention.attention import (
    SoftmaxRegression,
    delta_rule,
    local_linear_weights,
    softmax_regression,
    softmax_weights,
)
from olsattention.checks import check
from olsattention.kernels import spline_null_space
from olsattention.regression import LearnedEmbedding, ThinSVD


def centred_kernel(X: Matrix, Z: Matrix | None = None) -> Matrix:
    """A function of one's own keeps the promise of the functions that it calls."""
    return kernels.rbf(X, Z, length_scale=2.0)


def of_numpy(X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """NumPy in, NumPy out."""
    assert_type(attention_weights(X[:2], X, lam=np.float64(0.5)), NDArray[Any])
    assert_type(hat_matrix(X), NDArray[Any])
    assert_type(leverage(X), NDArray[Any])
    assert_type(loo_residuals(X, y), NDArray[Any])
    assert_type(ols_coefficients(X, y), NDArray[Any])
    assert_type(thin_svd(X), ThinSVD[NDArray[Any]])
    assert_type(thin_svd(X).U, NDArray[Any])
    assert_type(thin_svd(X).rank, int)
    assert_type(merge_r(r_factor(X), X), NDArray[Any])
    assert_type(spectral_filter(np.array([1.0, 2.0]), 0.5), NDArray[Any])
    embedding = CoulombeEmbedding(lam=1.0, intercept=True).fit(X)
    assert_type(embedding, CoulombeEmbedding)
    assert_type(embedding.transform(X[:2]), NDArray[Any])
    assert_type(embedding.rank_, int)
    learned = learn_embedding(X, y, steps=20)
    assert_type(learned, LearnedEmbedding[NDArray[Any]])
    assert_type(learned.history, list[float])
    assert_type(learned.weights(X[:2], X), NDArray[Any])
    assert_type(centred_kernel(X), NDArray[Any])
    assert_type(kernels.matern(X, X[:1], length_scale=0.5, nu=2.5), NDArray[Any])
    assert_type(kernels.linear(X), NDArray[Any])
    assert_type(kernels.polynomial(X, degree=2), NDArray[Any])
    assert_type(kernels.exponential(X / 10), NDArray[Any])
    assert_type(kernels.laplacian(X), NDArray[Any])
    unit = np.linspace(0, 1, 5)[:, None]
    assert_type(kernels.sobolev(unit, order=2), NDArray[Any])
    assert_type(kernels.spline(unit), NDArray[Any])
    assert_type(spline_null_space(unit), NDArray[Any])
    assert_type(get_kernel("rbf"), Callable[..., Any])


def of_torch(X: torch.Tensor, y: torch.Tensor) -> None:
    """torch in, torch out."""
    lam = torch.tensor(0.5, requires_grad=True)
    assert_type(attention_weights(X[:2], X, lam=lam), torch.Tensor)
    assert_type(hat_matrix(X), torch.Tensor)
    assert_type(leverage(X), torch.Tensor)
    assert_type(loo_residuals(X, y), torch.Tensor)
    assert_type(ols_coefficients(X, y), torch.Tensor)
    assert_type(thin_svd(X).Vt, torch.Tensor)
    assert_type(r_factor(X), torch.Tensor)
    assert_type(spectral_filter(X[:, 0] ** 2, lam), torch.Tensor)
    assert_type(CoulombeEmbedding().fit(X).transform(X), torch.Tensor)
    assert_type(learn_embedding(X, y, steps=20).omega, torch.Tensor)
    assert_type(centred_kernel(X), torch.Tensor)
    assert_type(lam_from_mean(lam, 10), torch.Tensor)


def of_heads(x: torch.Tensor) -> None:
    """Attention: what comes out depends on what is asked for."""
    assert_type(ridge_attention(x, x, x, 0.5, is_causal=True, decay=0.9), torch.Tensor)
    known = ridge_attention(x, x, x, torch.ones(2), full_output=True)
    assert_type(known, RidgeAttentionOutput)
    assert_type(known.residual, torch.Tensor)
    assert_type(known.state, RidgeAttentionState)
    assert_type(ridge_attention(x, x, x, None, state=known.state), torch.Tensor)
    assert_type(known.state.to(torch.float64).coefficients, torch.Tensor)
    assert_type(head_lam(x, x, "loo"), torch.Tensor)
    assert_type(softmax_weights(x, x), torch.Tensor)
    assert_type(delta_rule(x, x, x, beta=torch.tensor(0.5)), torch.Tensor)
    layer = MultiheadRidgeAttention(4, 2, batch_first=True, lam="learned")
    assert_type(layer.lam, torch.Tensor)
    assert_type(layer.forward(x, x, x), tuple[torch.Tensor, torch.Tensor | None])
    assert_type(layer.step(x, x, x)[1], RidgeAttentionState)
    assert_type(register_ridge_attention(0.5, name="ridge-half"), str)


def of_relatives(X: pd.DataFrame, y: pd.Series) -> None:
    """The estimators that attention is like."""
    assert_type(local_linear_weights(X, X, length_scale=2.0), pd.DataFrame)
    trained = softmax_regression(X, y, penalty=0.1, steps=5)
    assert_type(trained, SoftmaxRegression)
    assert_type(trained.history, list[float])
    assert_type(trained.predict(X), NDArray[Any])


def of_pandas(X: pd.DataFrame, y: pd.Series) -> None:
    """Labels come back where a row is an observation; a factor has none."""
    assert_type(attention_weights(X, X, intercept=True), pd.DataFrame)
    assert_type(hat_matrix(X), pd.DataFrame)
    assert_type(leverage(X), pd.Series)
    assert_type(loo_residuals(X, y), pd.Series)
    assert_type(ols_coefficients(X, y), pd.Series)
    assert_type(thin_svd(X).s, NDArray[Any])
    assert_type(r_factor(X), NDArray[Any])
    assert_type(CoulombeEmbedding().fit(X).transform(X), pd.DataFrame)
    assert_type(kernels.rbf(X), pd.DataFrame)


def of_numbers_and_figures(X: NDArray[np.float64]) -> None:
    """Numbers, lines of a table, and Axes."""
    assert_type(lam_from_mean(0.1, n=10), float)
    assert_type(mean_from_lam(1, n=10), float)
    check("0.3", mean_from_lam(lam_from_mean(0.5, 7), 7), 0.5, tol=1e-12)
    weights = attention_weights(X[:2], X)
    assert_type(dual_diagnostics(weights, top=0.1), pd.DataFrame)
    assert_type(plots.plot_weights(weights), Axes)
    assert_type(plots.plot_shrinkage(np.array([1.0, 2.0]), kinds=("ridge", "pcr")), Axes)
    assert_type(plots.plot_lines(np.arange(3.0), {"a": [1.0, 2.0, 3.0]}, log="y"), Axes)
    assert_type(olsattention.__version__, str)


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    rows, outcomes = rng.normal(size=(20, 3)), rng.normal(size=20)
    of_numpy(rows, outcomes)
    of_pandas(pd.DataFrame(rows), pd.Series(outcomes))
    of_torch(torch.tensor(rows), torch.tensor(outcomes))
    of_heads(torch.ones(2, 3, 4))
    of_relatives(pd.DataFrame(rows), pd.Series(outcomes))
    of_numbers_and_figures(rows)
