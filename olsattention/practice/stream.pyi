# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import hashlib
import io
import json
import math
import warnings
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias
import numpy as np
from fastcore.basics import patch
from scipy.linalg.blas import dsyrk, dtrmm, dtrsm
from scipy.linalg.lapack import dpotrf, dtrtri
from olsattention.arrays import AnyArray, Number, Numpy, SameKind, Table, as_flag, as_lam, as_matrix, as_regression, labelled, labels_of, qr_triangle, require_same_columns, to_numpy, write_whole
from ..regression.rfactor import VIF_HARMLESS
from ..regression.smoother import CriterionSums, RidgePath, SpectralSmoother
from ..regression.svd import RankDeficiencyWarning
from ..selection.gcv import SelectedLam, select_lam
if TYPE_CHECKING:
    from collections.abc import Iterable
WeightType: TypeAlias = Literal['precision', 'frequency']
__all__ = ['WeightType', 'BLOCK_ROWS', 'AT_ONCE', 'MAGIC', 'SAVED', 'LeastSquaresState', 'inverse_and_vif', 'whiten', 'absorb', 'preconditioned', 'absorb_gram', 'absorb_rows', 'harmless', 'Solved', 'take_apart', 'plain']

class LeastSquaresState:
    """The R factor of ``[1 X y]`` of all rows seen so far: everything that least
    squares and ridge need of them.

    Begin with an empty one, `update` it with blocks of rows, `merge` it with others,
    and ask.

    Attributes
    ----------
    R : ndarray, shape (1 + p + k, 1 + p + k), or None
        The triangle (13.1), float64; of the weighted and faded rows. None before the
        first row.
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
    note : dict or None
        Of a loaded state, what was saved with it.

    Notes
    -----
    The size depends on p and k only. Source: (13.1), Proposition 13.1; Demmel, Grigori,
    Hoemmen and Langou (2012).
    """
    R: Numpy | None
    count: float
    blocks: int
    columns: list[Any] | None
    outcomes: list[Any] | None
    p: int | None
    k: int | None
    single: bool
    note: dict[str, Any] | None

    def __init__(self) -> None:
        ...

    def __repr__(self) -> str:
        ...

    def update(self, X: AnyArray, y: AnyArray, weights: AnyArray | None=None) -> LeastSquaresState:
        """Add a block of rows.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (b, p)
        Any number of rows, none included; computed in float64. The columns of a
        DataFrame must be those of the first block.
    y : array, tensor, Series or DataFrame, shape (b,) or (b, k)
    weights : array, shape (b,), optional
        Not negative; a row counts as so many copies, or as one over its variance, see
        `sigma2`.

    Returns
    -------
    LeastSquaresState
        Itself.

    Raises
    ------
    TypeError, ValueError
        On input that is not finite and real, or other columns than before: the error
        names the block and the row, and the state is as it was.

    Notes
    -----
    One product like X'X where no variance inflation factor is large, elsewhere two, and
    Householder's QR for a block that is news to the triangle. Memory beside the block:
    `BLOCK_ROWS` rows, or twice as many. Source: (13.2).
    """

    def _name(self, table, outcomes, names):
        ...

    def merge(self, other: LeastSquaresState) -> LeastSquaresState:
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

    def copy(self) -> LeastSquaresState:
        """Another state that holds the same."""

    def forget(self, factor: float) -> LeastSquaresState:
        """Multiply the weights of all rows so far by a factor in [0, 1] (13.4), and `count`
    with them; returns the state.
    """

    def _apart(self, intercept):
        ...

    def _columns(self, values):
        """Values (p, k) as the caller gave outcomes: (p,) or (p, k), with labels if there
    are any."""

    def _outcomes(self, values):
        """Values (..., k) as the caller gave outcomes: without the last dimension for a
    vector."""

    def coefficients(self, lam: Number=0.0, intercept: bool=True) -> tuple[SameKind, SameKind]:
        """Coefficients of ridge, shape (p,) or (p, k), and the intercept, a number or (k,);
    least squares by default.

    Warns of dependent columns if `lam` is 0; the minimum-norm answer is given. Source:
    (1b.3).
    """

    def predict(self, X: AnyArray, lam: Number=0.0, intercept: bool=True) -> SameKind:
        """Predictions at new rows X (m, p), shape (m,) or (m, k)."""

    def _rows_of(self, X, name='X'):
        ...

    def df(self, lam: Number=0.0, intercept: bool=True) -> float:
        """Effective degrees of freedom, a number; the intercept counts one."""

    def rss(self, lam: Number=0.0, intercept: bool=True) -> SameKind:
        """Weighted residual sum of squares (13.5), a number or (k,)."""

    def gcv(self, lam: Number=0.0, intercept: bool=True) -> SameKind:
        """Generalised cross-validation (13.5) of ridge, a number or (k,)."""

    def select_penalty(self, criterion: str='gcv', intercept: bool=True, **options: Any) -> SelectedLam:
        """The penalty that a criterion chooses, a `SelectedLam`; options as in
    `select_lam`. Leave-one-out would need the rows.
    """

    def ridge_path(self, lams: Iterable[Number], intercept: bool=True) -> RidgePath:
        """A `RidgePath` over penalties (L,), each >= 0; `loo` is NaN, for it would need the
    rows."""

    def sigma2(self, intercept: bool=True, weight_type: WeightType='precision') -> SameKind:
        """Variance of the errors, a number or (k,): the residual sum of squares of least
    squares over ``n - df``.

    `weight_type` says what n is: ``"precision"``, the number of rows, for weights that
    are one over a variance; ``"frequency"``, the sum of the weights, for weights that
    are copies. NaN if nothing is left.
    """

    def standard_errors(self, lam: Number=0.0, intercept: bool=True, weight_type: WeightType='precision') -> tuple[SameKind, SameKind]:
        """Standard errors of the coefficients, (p,) or (p, k), and of the intercept, a
    number or (k,); source (13.6).

    Of what the noise does to ridge coefficients, not of their bias. A coefficient that
    is not determined has NaN if `lam` is 0.
    """

    def leverage(self, X: AnyArray, lam: Number=0.0, intercept: bool=True, weights: AnyArray | None=None) -> SameKind:
        """The leverage (13.7) of rows X (m, p) that the state has seen, with their weights
    (m,) if they had any; shape (m,).
    """

    def attention_weights(self, X_test: AnyArray, X_train: AnyArray, lam: Number=0.0, intercept: bool=True, weights: AnyArray | None=None) -> SameKind:
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
        """The constant's share, and centred rows in the triangle's directions, with the
    penalty and without, (m, p) each.
    """

    def save(self, path: str | Path, note: dict[str, Any] | None=None) -> None:
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
        If it cannot be written, a full disk included: then what was there before still
        is.
    TypeError
        If a column label is neither text nor a number.
    """

    @classmethod
    def load(cls, path: str | Path) -> LeastSquaresState:
        """The state in a file that `save` wrote; its note is in `.note`.

    Raises
    ------
    ValueError
        If the file is no state, or is truncated or damaged.
    """
BLOCK_ROWS = 2048

def inverse_and_vif(R: Numpy) -> tuple[Numpy, float]:
    ...

def whiten(R: Numpy, B: Numpy) -> Numpy:
    ...

def absorb(R: Numpy | None, B: Numpy) -> Numpy:
    ...

def preconditioned(R: Numpy, S: Numpy) -> Numpy | None:
    ...

def _square(R):
    ...

def absorb_gram(R: Numpy, G: Numpy) -> Numpy | None:
    ...

def checked(state, X, y, weights):
    ...

def names_of(y):
    ...

def require_same_outcomes(state, outcomes, names):
    ...

def checked_weights(weights, n):
    ...

def blocks_of(buffer, X, y, w):
    ...

def gram_of(buffer, X, y, w):
    ...
AT_ONCE: Any

def absorb_rows(R: Numpy | None, X: Numpy, y: Numpy, w: Numpy | None) -> Numpy:
    ...

def harmless(R: Numpy) -> bool:
    ...

def require_mergeable(first, second):
    ...

class Solved(NamedTuple):
    """A state, taken apart: a smoother of the triangle R_xx, and what that does not
    know."""
    smoother: SpectralSmoother
    z: Numpy
    left: Numpy
    n: float
    constants: int
    mean: Numpy
    outcome: Numpy
    across: Numpy
    total: float
    triangle: Numpy

def take_apart(state: LeastSquaresState, intercept: bool) -> Solved:
    ...

def centred_triangle(state, Rxx, intercept):
    ...

class OfState:
    """A state as a smoother, as far as `select_lam` needs one: (13.5)."""
    solved: Solved
    largest_eigenvalue: float
    least_penalty: float

    def __init__(self, solved: Solved) -> None:
        ...

    def df(self, lam: Number) -> float:
        ...

    def dfs(self, lams: Numpy) -> Numpy:
        ...

    def criterion_sums(self, y: object, lams: Numpy) -> tuple[list[CriterionSums], bool]:
        ...
MAGIC = b'olsattention least squares state 1\n'
SAVED = ('count', 'blocks', 'columns', 'outcomes', 'p', 'k', 'single')

def plain(label: object) -> float:
    ...
