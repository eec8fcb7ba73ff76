# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
from typing import Generic, NamedTuple
import array_api_compat
import numpy as np
from fastcore.basics import patch
from olsattention.arrays import AnyArray, Array, Frame, Matrix, Number, SameKind, Table, as_flag, as_lam, as_matrix, as_number, as_queries, as_regression, labelled, matmul, to_numpy, triangular_inverse
from olsattention.regression.refinement import accurate_svd, augmented_solve, orthonormalise, surely_independent
from .rfactor import BLOCK_ROWS, VIF_HARMLESS, r_factor_of_rows
from .svd import warn_rank
__all__ = ['attention_weights', 'CoulombeEmbedding', 'LearnedEmbedding', 'learn_embedding', 'dual_diagnostics']

class Mean(NamedTuple):
    """Column means (p,), of rows that may weigh, in two parts: `low` holds what `high` rounds away."""
    high: object
    low: object

    @classmethod
    def of(cls, X, weights=None):
        ...

    def subtract_from(self, X):
        ...

    def dot(self, b):
        ...

    def norm(self, n):
        """The norms of the means as columns of n equal numbers, or of rows that weigh n together, shape (p,)."""

class _Design(NamedTuple):
    """The matrix (2.7), and how to write new rows in its columns."""
    A: Table
    n: int
    mean: object
    intercept: bool

    @property
    def offset(self):
        """How much larger the columns were before centring, shape (q,), or None."""

    def rows(self, X):
        ...

def _design(train, lam, intercept, centre=True):
    ...
QUERIES_AT_ONCE = 1024

def _refined(train, queries, lam, intercept, centred, factor):
    """Weights (m, n) by `augmented_solve`, on the uncentred design if float64 can hold its rank."""

def attention_weights(X_test: Matrix, X_train: Matrix, lam: Number=0.0, intercept: bool=False) -> Matrix:
    """How much each forecast of a linear regression listens to each training outcome.

    Parameters
    ----------
    X_test : array, tensor or DataFrame, shape (m, p)
        Queries. The same columns in the same order as `X_train`.
    X_train : array, tensor or DataFrame, shape (n, p)
        Keys.
    lam : float
        Ridge penalty beside the Gram matrix, >= 0.
    intercept : bool
        Add an unpenalised constant; every row of weights then sums to 1.

    Returns
    -------
    array or DataFrame, shape (m, n)
        ``weights @ y`` are the predictions. DataFrames in give a DataFrame with the test index as rows and the training
        index as columns. torch tensors stay on their device and are differentiable.

    Raises
    ------
    TypeError, ValueError
        On NaN or infinity, mismatched columns, a negative penalty.

    Warns
    -----
    RankDeficiencyWarning
        If ``lam == 0`` and columns are dependent; the minimum-norm weights are returned.

    Notes
    -----
    Cost: one QR of ``(n, p)`` and an ``(m, p) @ (p, n)`` product; about thirty times that where refinement is needed.
    Source: (2.2) and (2.7); Goulet Coulombe (2025); Björck (1967) for the refinement.
    """

def _tall_weights(queries, train, lam, intercept):
    """Weights (m, n) from the QR decomposition of (2.7), refined where a variance inflation factor says so."""

class Principal(NamedTuple):
    """Principal axes of a design: with `mean` subtracted, ``X @ axes == U``, orthonormal, and ``U * d`` are its coordinates.

    `U` has shape (n, r), `d` (r,) descending, `axes` (p, r).
    """
    U: object
    d: object
    axes: object
    mean: object

def principal(train, intercept=False, warn=False, weights=None, least=0.0):
    """The principal axes of the rows of a `Table` (n, p), centred if there is an intercept; p may exceed n.

    Rows that have `weights` are centred at their weighted mean, then scaled by the roots.

    Parameters
    ----------
    train : Table, shape (n, p)
    intercept : bool
    warn : bool
        Whether to warn of rank deficiency.
    weights : array, shape (n,), optional
        In float64, above zero.
    least : float
        The least penalty that will be asked for: what is small beside it needs fewer digits.

    Returns
    -------
    Principal
    """

def squares(d, train):
    """Eigenvalues from singular values, in the dtype of a `Table`; an error where they leave its range."""

def _left_axes(R, least=0.0):
    """Left singular vectors and singular values of a square matrix, largest first, for penalties from `least` on."""

def _times(X, axes, owned):
    """``X @ axes``, by blocks of rows in the memory of X if it is ours; autograd gets an array of its own."""

def _safe_inverse(R, vif, mean_norm, X):
    """The inverse of a triangle of a `Table`, or None where one Gram product lost digits or the rank is in doubt."""

def _tall_axes(X, mean, owned, warn, roots, least):
    """U, d, axes of a `Table` with n >= p, whose memory may be `owned`, and whether it has full rank."""

def _axis(n, roots):
    """The unit vector of (2.8): its first entry, and the others as a number or (n - 1, 1)."""

def _reflect(X, roots):
    """The reflection (2.8) of centred rows, in their memory unless autograd needs it."""

def _reflect_back(U, roots):
    """The reflection (2.8) undone, shape (n, r) from (n - 1, r)."""

def _wide_axes(X, mean, owned, warn, roots, least):
    """U, d, axes of a `Table` with n < p, through the transpose; centred rows are reflected (2.8)."""

def half_filter(d, lam):
    """``d / sqrt(d**2 + lam)``, the square root of the ridge filter, without squares that leave the range."""

def _wide_weights(queries, train, lam, intercept):
    """Weights (m, n) for p > n: the ridge filter on the principal axes."""

class CoulombeEmbedding:
    """The embedding in which a linear regression is a matrix of inner products.

    ``transform(X_test) @ transform(X_train).T`` are the attention weights.

    Parameters
    ----------
    lam : float
        Ridge penalty beside the Gram matrix, >= 0.
    intercept : bool
        Give every row a constant coordinate ``1 / sqrt(n)``.

    Attributes
    ----------
    train_ : array, shape (n, r)
        Embedding of the training rows; orthonormal columns if ``lam == 0``.
    projection_ : array, shape (p, r)
        Query and key projection, acting on (centred) rows.
    eigenvalues_ : array, shape (r,)
        Eigenvalues of the (centred) ``X'X``, descending.
    rank_ : int
        Number of coordinates, the constant one not counted.

    Notes
    -----
    Source: (2.1), (2.3); Goulet Coulombe (2025), section 2.
    """
    lam: Number
    intercept: bool
    train_: SameKind
    projection_: SameKind
    eigenvalues_: SameKind
    rank_: int

    def __init__(self, lam: Number=0.0, intercept: bool=False) -> None:
        ...

    def __repr__(self) -> str:
        ...

    def fit(self, X: AnyArray) -> CoulombeEmbedding:
        """Compute the embedding of training rows, shape (n, p); returns self."""

    def _with_constant(self, F, train):
        ...

    def transform(self, X: Matrix) -> Matrix:
        """Embed rows of shape (m, p) as (m, r); a DataFrame keeps its index."""

class LearnedEmbedding(NamedTuple, Generic[Array]):
    """What gradient descent made of the query-key matrix: `omega` (p, p), the loss `history`, and whether it `converged`."""
    omega: Array
    history: list[float]
    converged: bool

    def weights(self, X_test: Array, X_train: Array) -> Array:
        """Attention weights ``X_test @ omega @ X_train.T``, shape (m, n)."""

def _descend(rows, Y, steps, tol):
    """Accelerated descent on (2.9) from zero: the last query-key matrix, the losses, and whether `tol` was met."""

def learn_embedding(X: Array, y: Array, steps: int=5000, tol: float=1e-13) -> LearnedEmbedding[Array]:
    """Learn a query-key matrix by gradient descent from zero on ``||Y - X omega X'Y||^2 / 2``.

    Parameters
    ----------
    X : array or tensor, shape (n, p)
        Rows; standardise them first, for the conditioning of the problem is the fourth power of theirs.
    y : array or tensor, shape (n,) or (n, k)
        Targets. With k >= p generic ones, the minimiser is ``inv(X'X)``; with one, see (2.11).
    steps : int
        Most steps.
    tol : float
        Stop when the gradient is below `tol` times its first value.

    Returns
    -------
    LearnedEmbedding
        ``omega (p, p)``, the loss at every point where the gradient was taken, and whether the tolerance was met.

    Raises
    ------
    TypeError, ValueError
        On input that is not finite and real.

    Notes
    -----
    Runs in torch, with the gradient from autograd, step 1 / L, Nesterov momentum and restarts (O'Donoghue and Candès, 2015).
    Source: (2.9); Goulet Coulombe (2025), section 3.
    """

def dual_diagnostics(weights: AnyArray, top: float=0.05) -> Frame:
    """Describe each forecast's weights as one would a portfolio.

    Parameters
    ----------
    weights : array, tensor or DataFrame, shape (m, n)
        One forecast a row; consecutive rows are taken as consecutive in time for `turnover`.
    top : float
        The share of rows, in (0, 1], that `concentration` looks at.

    Returns
    -------
    DataFrame, m rows
        ``total`` (sum of weights), ``short_position`` (sum of the negative ones, <= 0), ``gross_exposure`` (sum of absolute
        weights), ``variance`` (sum of squares: the forecast's variance over the noise's), ``concentration`` (share of the
        gross exposure held by the largest `top` of the rows), ``effective_rows`` (gross squared over variance: the number of
        equal weights that would be as concentrated) and ``turnover`` (sum of absolute changes since the previous row; NaN in
        the first).

    Raises
    ------
    TypeError, ValueError
        On weights that are not finite and real, or `top` outside (0, 1].

    Notes
    -----
    Source: Goulet Coulombe, Goebel and Klieber (2024) for concentration, short position and turnover; (2.5) for the variance.
    """
