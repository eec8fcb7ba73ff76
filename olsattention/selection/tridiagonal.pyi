# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
from collections.abc import Sequence
from functools import partial
from typing import Any
import array_api_compat
import numpy as np
from fastcore.basics import patch
from scipy.linalg.lapack import dormqr, dpttrf, dpttrs, dsytrd, dsytrd_lwork
from olsattention.arrays import AnyArray, Number, Numpy, SameKind, as_lam, labelled, labels_of, to_numpy
from olsattention.regression.smoother import CriterionSums, Judged, SpectralSmoother, as_kernel_of, beside_null, centred_gram, gram_rows, in_columns, in_squares, judged, largest_row_sum, of_copies, quotient, units_of
from ..regression.weighting import RowWeights
__all__ = ['TridiagonalSmoother']
BLOCK = 256

def _pivots(diagonal, beside):
    ...

def _inverse_diagonal(diagonal, beside):
    ...

class TridiagonalSmoother:
    """Ridge for every penalty from a tridiagonal reduction, without eigenvectors.

    Parameters
    ----------
    K : array or DataFrame, shape (n, n)
        Symmetric positive semidefinite; in float64 by LAPACK. A tensor is an error.
    intercept : bool
        Leave a constant unpenalised.
    null_space : array, shape (n, c), optional
        Values at the training rows of other functions that are not penalised.
    overwrite : bool
        Whether K may be destroyed, which saves a copy.
    index : pandas.Index, optional
        Labels of the training rows; by default those of K, if it is a DataFrame.
    weights, weight_type
        As in `SpectralSmoother.from_design`.

    Attributes
    ----------
    n : int
        Number of training rows that count: those of weight zero do not.
    null : array, shape (n, c)
        Orthonormal basis of what is not penalised.
    rows : RowWeights
        What the rows weigh.

    Raises
    ------
    TypeError, ValueError
        As `SpectralSmoother.from_gram`; on an indefinite K once a penalty meets it.

    Notes
    -----
    Source: (5b.2); Eldén (1984). The criterion LOO needs the eigenvectors.
    """
    n: int
    null: Numpy
    rows: RowWeights

    def __init__(self, K: AnyArray, intercept: bool=False, null_space: AnyArray | None=None, overwrite: bool=False, index: Any=None, weights: AnyArray | float | None=None, weight_type: str='precision') -> None:
        ...

    def __repr__(self) -> str:
        ...

    def _reduce(self, K, ours):
        """Reduce a Gram matrix to tridiagonal form, in its memory if it is ours."""

    def _turn(self, values, direction):
        """``P' values`` for "T", ``P values`` for "N", by the reflections that P is made
    of; shape (n, k)."""

    def _solve(self, w, lam):
        """``A^-1 w`` in the turned coordinates, shape (n, k)."""

    def _trace(self, lam):
        """Trace of (K + lam I)^-1 on the complement of the null space, and the log
    determinant there."""

    def df(self, lam: Number) -> float:
        """Effective degrees of freedom of ridge, a number; each unpenalised function counts
    one."""

    def dfs(self, lams: Sequence[Number] | AnyArray) -> Numpy:
        """The `df` at every penalty of a grid, ndarray (L,)."""

    @property
    def largest_eigenvalue(self) -> float:
        """A bound on the largest eigenvalue, a number."""

    @property
    def least_penalty(self) -> float:
        """Where a search for a penalty should start: above the rounding errors of the
    reduction."""

    def criterion_sums(self, y: AnyArray, lams: Sequence[Number] | AnyArray) -> tuple[list[CriterionSums], bool]:
        """The `CriterionSums` of every outcome, and whether there was a single one;
    (5b.2)."""

    def judge(self, y: AnyArray) -> tuple[list[Judged], bool]:
        """Every outcome as `Judged`, and whether there was a single one."""

    def gcv(self, y: AnyArray, lam: Number) -> Any:
        """Generalised cross-validation (3b.2), a number or (k,)."""

    def _split(self, y):
        """Of outcomes (n, k): coordinates (c, k) in the null space, scaled rest (m, k), if
    there was one; themselves."""

    def _sums(self, w, lams):
        ...

    def dual_coefficients(self, y: AnyArray, lam: Number) -> tuple[Numpy, Numpy]:
        """Coefficients a (n,) or (n, k) of the training rows' kernel functions, and b (c,)
    or (c, k) of the null space."""

    def predict(self, K: AnyArray, y: AnyArray, lam: Number, null_space: AnyArray | None=None) -> SameKind:
        """Predictions (m,) or (m, k) at new rows, from their kernel (m, n) with training
    rows and null space (m, c)."""

    def weights(self, K: AnyArray, lam: Number, null_space: AnyArray | None=None) -> SameKind:
        """Attention of m new rows over the training rows, shape (m, n), given their kernel
    (m, n) and null space (m, c)."""

    def _attend(self, K, T, lam):
        """Attention over the scaled rows of new rows with a scaled kernel K (m, n) and
    unpenalised functions T (m, c)."""

    def _dual(self, level, rest, lam):
        """Coefficients (m, k) of the scaled rows, and (c, k) of the null space."""

    def leverage(self, lam: Number) -> SameKind:
        """The diagonal of the smoother matrix, shape (n,); O(n^3) operations, by blocks of
    columns."""

    def fit(self, y: AnyArray, lam: Number) -> SameKind:
        """Fitted values at the training rows, the shape of y."""

    def residuals(self, y: AnyArray, lam: Number) -> SameKind:
        """What the fit leaves, the shape of y."""

    def loo_residuals(self, y: AnyArray, lam: Number) -> SameKind:
        """Leave-one-out errors as those of `SpectralSmoother`; as `leverage`, O(n^3)
    operations."""

    def loo(self, y: AnyArray, lam: Number) -> Any:
        """Mean squared leave-one-out error (3b.2), a number or (k,); as `leverage`, O(n^3)
    operations."""

    def _removed(self, lam):
        """One less the leverages of the scaled rows (5b.3), shape (m,)."""

    def _kept(self, lam):
        """The denominators ``1 - v h`` of leave-one-out errors (3b.2), shape (m, 1)."""

    def _reported(self, y, lam, over=None):
        """Residuals at all rows, those that count divided by a column (m, 1), in the shape
    of y."""

    def _block(self, rows: Numpy, lam: float) -> Numpy:
        """The rows and columns `rows` (s,) of ``(I - H) / lam``, of the scaled rows."""

    def _deleted(self, y, lam, codes):
        """As of `SpectralSmoother`: errors (n, k) without groups, and doubts, with a
    penalty in the null space only."""

    def group_residuals(self, y: AnyArray, lam: Number, groups: AnyArray) -> SameKind:
        """Leave-group-out errors as those of `SpectralSmoother`; as `leverage`, O(n^3)
    operations."""

def _rows_of(K, *settings):
    ...
from olsattention.arrays import AnyArray, Number, Numpy, SameKind
from olsattention.regression.smoother import as_groups, not_determined, same_sizes, solve_groups
from olsattention.regression.svd import nothing_left
MANY_ROWS = 500

def smoother_of_gram(K, alpha, null_space=None, weights=None, least=None, **settings):
    ...

def _without_eigenvectors(K, alpha, weights, least):
    ...
