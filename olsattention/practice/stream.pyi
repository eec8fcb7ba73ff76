# Written by `make export` from the chapters: edit those, not this.
from typing import Any
__all__ = ['BLOCK_ROWS', 'AT_ONCE', 'MAGIC', 'SAVED', 'LeastSquaresState', 'inverse_and_vif', 'whiten', 'absorb', 'preconditioned', 'absorb_gram', 'absorb_rows', 'harmless', 'Solved', 'take_apart', 'plain']
import hashlib
import io
import json
import math
import os
import tempfile
import warnings
from functools import reduce
from pathlib import Path
from typing import NamedTuple
import numpy as np
from fastcore.basics import patch
from scipy.linalg.blas import dsyrk, dtrsm
from scipy.linalg.lapack import dpotrf, dtrtri
from olsattention.arrays import Table, as_flag, as_lam, as_matrix, as_regression, labelled, labels_of, qr_triangle, require_same_columns, to_numpy
from ..regression.rfactor import VIF_HARMLESS
from ..regression.smoother import CriterionSums, RidgePath, SpectralSmoother
from ..regression.svd import RankDeficiencyWarning
from ..selection.gcv import select_lam

class LeastSquaresState:
    """The R factor of ``[1 X y]`` of all rows seen so far: everything that least squares and ridge need of them.

    Begin with an empty one, `update` it with blocks of rows, `merge` it with others, and ask.

    Attributes
    ----------
    R : ndarray, shape (1 + p + k, 1 + p + k), or None
        The triangle (13.1), float64; of the weighted and faded rows. None before the first row.
    count : float
        Rows with a positive weight, each faded as its row is.
    blocks : int
        How many blocks were seen; with this number an error names the next one.
    columns, outcomes : list or None
        Labels of X and of Y, if they came with any.
    p, k : int or None
        Columns of X and of Y.
    single : bool
        Whether outcomes came as vectors (b,); then answers do too.

    Notes
    -----
    The size depends on p and k only. Source: (13.1), Proposition 13.1; Demmel, Grigori, Hoemmen and Langou (2012).
    """

    def __init__(self):
        ...

    def __repr__(self):
        ...

    def update(self, X, y, weights=None):
        """Add a block of rows.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (b, p)
        Any number of rows, none included; computed in float64. The columns of a DataFrame must be those of the first block.
    y : array, tensor, Series or DataFrame, shape (b,) or (b, k)
    weights : array, shape (b,), optional
        Not negative; a row counts as so many copies, or as one over its variance, see `sigma2`.

    Returns
    -------
    LeastSquaresState
        Itself.

    Raises
    ------
    TypeError, ValueError
        On input that is not finite and real, or other columns than before: the error names the block and the row, and the
        state is as it was.

    Notes
    -----
    One product like X'X where no variance inflation factor is large, elsewhere two; Householder's QR for blocks that are news. Extra memory: `BLOCK_ROWS` rows. Source: (13.2).
    """

    def _name(self, table, outcomes, names):
        ...

    def merge(self, other):
        """A new state of the rows of both; neither is changed.

    Parameters
    ----------
    other : LeastSquaresState
        Of the same columns and outcomes.

    Returns
    -------
    LeastSquaresState

    Raises
    ------
    TypeError, ValueError
        If it is no state, or has other columns; the error names them.

    Notes
    -----
    Associative and commutative up to rounding. Source: (1b.4).
    """

    def copy(self):
        """Another state that holds the same."""

    def forget(self, factor):
        """Multiply the weights of all rows so far by a factor in [0, 1] (13.4), and `count` with them; returns the state."""

    def _apart(self, intercept):
        ...

    def _columns(self, values):
        """Values (p, k) as the caller gave outcomes: (p,) or (p, k), with labels if there are any."""

    def _outcomes(self, values):
        """Values (..., k) as the caller gave outcomes: without the last dimension for a vector."""

    def coefficients(self, lam=0.0, intercept=True):
        """Coefficients of ridge, shape (p,) or (p, k), and the intercept, a number or (k,); least squares by default.

    Warns of dependent columns if `lam` is 0; the minimum-norm answer is given. Source: (1b.3).
    """

    def predict(self, X, lam=0.0, intercept=True):
        """Predictions at new rows X (m, p), shape (m,) or (m, k)."""

    def _rows_of(self, X, name='X'):
        ...

    def df(self, lam=0.0, intercept=True):
        """Effective degrees of freedom, a number; the intercept counts one."""

    def rss(self, lam=0.0, intercept=True):
        """Weighted residual sum of squares (13.5), a number or (k,)."""

    def gcv(self, lam=0.0, intercept=True):
        """Generalised cross-validation (13.5) of ridge, a number or (k,)."""

    def select_penalty(self, criterion='gcv', intercept=True, **options):
        """The penalty that a criterion chooses, a `SelectedLam`; options as in `select_lam`. Leave-one-out would need the rows."""

    def ridge_path(self, lams, intercept=True):
        """A `RidgePath` over penalties (L,), each >= 0; `loo` is NaN, for it would need the rows."""

    def sigma2(self, intercept=True, weight_type='precision'):
        """Variance of the errors, a number or (k,): the residual sum of squares of least squares over ``n - df``.

    `weight_type` says what n is: ``"precision"``, the number of rows, for weights that are one over a variance;
    ``"frequency"``, the sum of the weights, for weights that are copies. NaN if nothing is left.
    """

    def standard_errors(self, lam=0.0, intercept=True, weight_type='precision'):
        """Standard errors of the coefficients, (p,) or (p, k), and of the intercept, a number or (k,); source (13.6).

    Of what the noise does to ridge coefficients, not of their bias. A coefficient that is not determined has NaN if `lam` is 0.
    """

    def leverage(self, X, lam=0.0, intercept=True, weights=None):
        """The leverage (13.7) of rows X (m, p) that the state has seen, with their weights (m,) if they had any; shape (m,)."""

    def attention_weights(self, X_test, X_train, lam=0.0, intercept=True, weights=None):
        """Attention of new rows over some of the training rows.

    Parameters
    ----------
    X_test : array, tensor or DataFrame, shape (m, p)
    X_train : array, tensor or DataFrame, shape (b, p)
        Rows that the state has seen: a block of them, or all.
    lam : float
        Penalty >= 0.
    intercept : bool
    weights : array, shape (b,), optional
        Those that the training rows had.

    Returns
    -------
    ndarray or DataFrame, shape (m, b)
        Over all training rows ``weights @ y`` are the predictions.

    Notes
    -----
    Source: (13.7).
    """

    def _embedded(self, table, lam, intercept):
        """The constant's share, and centred rows in the triangle's directions, with the penalty and without, (m, p) each."""

    def save(self, path, note=None):
        """Write the state to a file, whole or not at all.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists.
    note : dict, optional
        Anything that JSON can hold; `load` leaves it in `note`.

    Raises
    ------
    OSError
        If it cannot be written, a full disk included: then what was there before still is.
    TypeError
        If a column label is neither text nor a number.
    """

    @classmethod
    def load(cls, path):
        """The state in a file that `save` wrote; its note is in `.note`.

    Raises
    ------
    ValueError
        If the file is no state, or is truncated or damaged.
    """
BLOCK_ROWS = 2048

def inverse_and_vif(R):
    """``R^-1`` and the largest variance inflation factor (1b.5) of a triangle; infinite where it is singular."""

def whiten(R, B):
    """``B R^-1`` transposed, shape (q, b), by (13.3): a product where no variance inflation factor is large, else by solving."""

def absorb(R, B):
    """The R factor of a triangle and a block of rows (13.2); Householder's where the block is news to the triangle.

    Parameters
    ----------
    R : ndarray, shape (q, q), or None
        Upper triangular, diagonal not negative.
    B : ndarray, shape (b, q)
        Finite, float64, rows contiguous.

    Returns
    -------
    ndarray, shape (q, q)

    Notes
    -----
    Source: Proposition 13.1.
    """

def preconditioned(R, S):
    """``chol(I + S) R`` of (13.2), from the lower half of S, or None where S is large: the block is news."""

def _square(R):
    """A triangle of fewer rows than columns, filled up with zeros."""

def absorb_gram(R, G):
    """The R factor of a triangle and of rows with Gram matrix G (q, q), or None where a variance inflation factor is large.

    Source: (13.2), with the digits of (1b.6).
    """

def checked(state, X, y, weights):
    """A validated block: its Table, outcomes (b, k), weights (b,) or None; errors name the block."""

def names_of(y):
    """Labels of outcomes: of a DataFrame its columns, of a Series its name, else None."""

def require_same_outcomes(state, outcomes, names):
    ...

def checked_weights(weights, n):
    ...

def blocks_of(buffer, X, y, w):
    """Yield ``[1 X y]`` in blocks of rows, weighted; the buffer holds one at a time."""

def gram_of(buffer, X, y, w):
    """The Gram matrix (q, q) of the rows of `blocks_of`."""
AT_ONCE: Any

def absorb_rows(R, X, y, w):
    """The triangle after rows X (b, p), outcomes and weights: by one product where that is harmless, else block by block."""

def harmless(R):
    """Whether no variance inflation factor of a triangle is large."""

def require_mergeable(first, second):
    """Raise unless two states have the same columns and outcomes."""

class Solved(NamedTuple):
    """A state, taken apart: a smoother of the triangle R_xx, and what that does not know."""
    smoother: object
    z: object
    left: object
    n: float
    constants: int
    mean: object
    outcome: object
    across: object
    total: float
    triangle: object

def take_apart(state, intercept):
    """`Solved`, from the triangle with or without its constant."""

def centred_triangle(state, Rxx, intercept):
    """R_xx as a Table that knows how exact it is; columns that are rounding errors become zero."""

class OfState:
    """A state as a smoother, as far as `select_lam` needs one: (13.5)."""

    def __init__(self, solved):
        ...

    def df(self, lam):
        ...

    def dfs(self, lams):
        ...

    def criterion_sums(self, y, lams):
        """As those of the smoother, of the outcomes of the state; `y` is not looked at."""
MAGIC = b'olsattention least squares state 1\n'
SAVED = ('count', 'blocks', 'columns', 'outcomes', 'p', 'k', 'single')

def plain(label):
    """A NumPy number as Python's, for JSON."""
