# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
from typing import Generic, NamedTuple
import array_api_compat
import numpy as np
from fastcore.basics import patch
from olsattention.arrays import AnyArray, Array, Frame, Matrix, Number, SameKind, Table, as_flag, as_lam, as_matrix, as_number, as_queries, as_regression, labelled, matmul, to_numpy
from .principal import Mean, half_filter, principal, squares
from .refinement import augmented_solve, orthonormalise
from .rfactor import VIF_HARMLESS
__all__ = ['attention_weights', 'CoulombeEmbedding', 'LearnedEmbedding', 'learn_embedding', 'dual_diagnostics']

class _Design(NamedTuple):
    """The matrix (2.7), and how to write new rows in its columns."""
    A: Table
    n: int
    mean: object
    intercept: bool

    @property
    def offset(self):
        ...

    def rows(self, X):
        ...

def _design(train, lam, intercept, centre=True):
    ...
QUERIES_AT_ONCE = 1024

def _refined(train, queries, lam, intercept, centred, factor):
    ...

def attention_weights(X_test: Matrix, X_train: Matrix, lam: Number=0.0, intercept: bool=False) -> Matrix:
    ...

def _tall_weights(queries, train, lam, intercept):
    ...

def _wide_weights(queries, train, lam, intercept):
    ...

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
    """What gradient descent made of the query-key matrix: `omega` (p, p), the loss
    `history`, and whether it `converged`."""
    omega: Array
    history: list[float]
    converged: bool

    def weights(self, X_test: Array, X_train: Array) -> Array:
        ...

def _descend(rows, Y, steps, tol):
    ...

def learn_embedding(X: Array, y: Array, steps: int=5000, tol: float=1e-13) -> LearnedEmbedding[Array]:
    ...

def dual_diagnostics(weights: AnyArray, top: float=0.05) -> Frame:
    ...
