# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple
import array_api_compat
import numpy as np
import scipy.linalg
from fastcore.basics import patch
from scipy.optimize import brentq
from olsattention.arrays import AnyArray, Frame, Number, Numpy, SameKind, Table, as_flag, as_lam, as_matrix, as_number, as_queries, as_regression, labelled, labels_of, matmul, outside_level, penalties, promote, require_same_columns, to_numpy
from .principal import principal, squares
from .rfactor import BLOCK_ROWS
from .ridge import spectral_filter
from olsattention.regression.svd import RankDeficiencyWarning, nothing_left, refined, scaled_svd
from .weighting import RowWeights
__all__ = ['SpectralSmoother', 'RidgePath', 'ridge_path']

class SpectralSmoother:
    """One factorisation; every penalty afterwards is cheap.

    Build it with `from_design` or `from_gram`; names of filters: `spectral_filter`.

    Attributes
    ----------
    mu : array, shape (r,)
        Eigenvalues of the Gram matrix on what is orthogonal to `null`, descending.
    U : array, shape (n, r)
        Their eigenvectors, orthonormal: the embedding of the training rows.
    null : array, shape (n, c)
        Orthonormal basis of what is not penalised.
    n : int
        Number of training rows that count: those of weight zero do not.
    rows : RowWeights
        What they weigh. If they do, `mu`, `U` and `null` are those of the scaled rows.

    Notes
    -----
    Outcomes y have shape (n,) or (n, k). New rows are ``X (m, p)`` or their kernel ``K
    (m, n)`` with the training rows. Answers are on the original scale: the fit of a row
    of weight zero is a prediction. Source: (3b.1) to (3b.6); Wahba (1990).
    """
    mu: SameKind
    U: SameKind
    null: SameKind
    n: int
    rows: RowWeights

    def __init__(self, mu: Any=None, U: Any=None, null: Any=None, source: Any=None, rows: RowWeights | None=None) -> None:
        ...

    def __repr__(self) -> str:
        ...

    @property
    def _xp(self) -> Any:
        ...

    @property
    def _index(self) -> Any:
        ...

    @classmethod
    def from_design(cls, X: AnyArray | Table, intercept: bool=False, weights: AnyArray | float | None=None, weight_type: str='precision', least_lam: float=0.0) -> SpectralSmoother:
        """Factor a design matrix.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (n, p)
        Training rows; p may exceed n.
    intercept : bool
        Centre the columns and add an unpenalised constant.
    weights : array or tensor, shape (n,), or float, optional
        Not negative; a row of weight zero is as good as dropped.
    weight_type : {"precision", "frequency"}
        What a criterion makes of the weights (3a.4): one over the variance of a row's
        error, or so many copies of it.
    least_lam : float
        The least penalty that will be asked for. Columns in different units are
        factored faster if directions far below it need not be told apart to their last
        digits.

    Returns
    -------
    SpectralSmoother

    Raises
    ------
    TypeError, ValueError
        On input that is not a finite real matrix, or weights that are negative or all
        zero.

    Notes
    -----
    Cost: an R factor of the longer side, an SVD of the triangle and one product for U.
    Extra memory: one array of the size of X.
    """

    def shrinkage(self, lam: Number, filter: str='ridge') -> SameKind:
        """The filter factors, shape (r,), one for each eigenvalue in `mu`."""

    def df(self, lam: Number, filter: str='ridge') -> float:
        """Effective degrees of freedom (3b.1), a number; each unpenalised function counts
    one."""

    def dfs(self, lams: Sequence[Number] | AnyArray) -> Numpy:
        """The `df` of ridge at every penalty of a grid, ndarray (L,)."""

    @property
    def largest_eigenvalue(self) -> float:
        """The largest eigenvalue, a number; 0 if there is none."""

    @property
    def least_penalty(self) -> float:
        """Where a search should start: below it no direction feels the penalty, or a Gram
    matrix's rounding errors do."""

    @property
    def has_limit(self) -> bool:
        """Whether ``lam == 0`` is a penalty like others: not if a Gram matrix is singular
    but for its rounding errors."""

    def lam_for_df(self, df: float) -> float:
        """The ridge penalty whose effective degrees of freedom are `df`, a number between
    those at infinity and at 0."""

    def hat_matrix(self, lam: Number, filter: str='ridge') -> SameKind:
        """The smoother matrix (3b.1), shape (n, n): ``H @ y`` are the fitted values."""

    def leverage(self, lam: Number, filter: str='ridge') -> SameKind:
        """The diagonal of the smoother matrix, shape (n,); it sums to `df`."""

    def fit(self, y: AnyArray, lam: Number, filter: str='ridge') -> SameKind:
        """Fitted values at the training rows, the shape of y."""

    def residuals(self, y: AnyArray, lam: Number, filter: str='ridge') -> SameKind:
        """What the fit leaves, the shape of y."""

    def _reported(self, y, scaled, dropped):
        """Values at all rows, in the shape of y, from those at the scaled rows and at rows
    of weight zero."""

    @classmethod
    def from_gram(cls, K: AnyArray, intercept: bool=False, null_space: AnyArray | None=None, overwrite: bool=False, index: Any=None, weights: AnyArray | float | None=None, weight_type: str='precision') -> SpectralSmoother:
        """Factor a Gram matrix.

    Parameters
    ----------
    K : array, tensor or DataFrame, shape (n, n)
        Symmetric, and positive semidefinite on what is orthogonal to the null space.
    intercept : bool
        Leave a constant unpenalised.
    null_space : array or tensor, shape (n, c), optional
        Values at the training rows of other functions that are not penalised.
    overwrite : bool
        Whether K may be destroyed, which saves a copy. NumPy only.
    index : pandas.Index, optional
        Labels of the training rows; by default those of K, if it is a DataFrame.
    weights, weight_type
        As in `from_design`.

    Returns
    -------
    SpectralSmoother

    Raises
    ------
    TypeError, ValueError
        If K is not finite, real, square, symmetric and positive semidefinite, or the
        null space is rank deficient.

    Notes
    -----
    Cost: one symmetric eigendecomposition. Memory: a copy of K, and the eigenvectors.
    """

    def loo_residuals(self, y: AnyArray, lam: Number) -> SameKind:
        """Leave-one-out prediction errors of ridge, the shape of y, without refitting;
    minimum-norm fits at ``lam == 0``.

    NaN where the unpenalised functions alone follow a row, or where coefficients would
    no longer be determined. With `weight_type` "frequency" one copy of the row is left
    out, or what there is if that is less.
    """

    def loo(self, y: AnyArray, lam: Number) -> SameKind:
        """Mean squared leave-one-out error (3b.2) of ridge, a number or (k,)."""

    def _deleted(self, y, lam, codes):
        """Errors (n, k) of all rows without their groups, least in norm where they are not
    determined, and the doubts."""

    def group_residuals(self, y: AnyArray, lam: Number, groups: AnyArray) -> SameKind:
        """Prediction errors of ridge, the shape of y, each row predicted without its group,
    without refitting.

    At ``lam == 0`` those of the minimum-norm fits.

    `groups` (n,) are labels of any kind, one for each row; a row is left out with all
    its copies. NaN where the other groups do not determine the prediction.
    """

    def leave_group_out(self, y: AnyArray, lam: Number, groups: AnyArray) -> SameKind:
        """Mean squared `group_residuals`, weighted as those of `loo`, a number or (k,)."""

    def gcv(self, y: AnyArray, lam: Number) -> SameKind:
        """Generalised cross-validation (3b.2) of ridge, a number or (k,); its limit at
    ``lam == 0``."""

    def criterion_sums(self, y: AnyArray, lams: Sequence[Number] | AnyArray) -> tuple[list[CriterionSums], bool]:
        """The `CriterionSums` of every outcome, in NumPy, and whether there was a single
    one."""

    def judge(self, y: AnyArray) -> tuple[list[Judged], bool]:
        """Every outcome as `Judged`, and whether there was a single one."""

    def _attend(self, T, E, lam, filter):
        """Attention over the scaled rows of new rows with coordinates T (m, c) and E (m,
    r)."""

    def _answer(self, T, E, y, lam, filter):
        """Predictions (m, k) at new rows with coordinates T (m, c) and E (m, r)."""

    def _gain(self, lam, filter):
        ...

    def _warn(self, lam):
        ...

    def weights(self, X: AnyArray | Table, lam: Number, filter: str='ridge', null_space: AnyArray | None=None) -> SameKind:
        """Attention of m new rows over the training rows, shape (m, n); ``weights @ y`` are
    predictions.

    `null_space` (m, c) is needed where it was given to `from_gram`.
    """

    def predict(self, X: AnyArray | Table, y: AnyArray, lam: Number, filter: str='ridge', null_space: AnyArray | None=None) -> SameKind:
        """Predictions at m new rows, shape (m,) or (m, k), without forming the weights."""

    def coefficients(self, y: AnyArray, lam: Number, filter: str='ridge') -> tuple[SameKind, SameKind]:
        """Coefficients on the variables of a design, shape (p,) or (p, k), and the
    intercept, a number or (k,)."""

    def dual_coefficients(self, y: AnyArray, lam: Number, filter: str='ridge') -> tuple[SameKind, SameKind]:
        """Coefficients a (n,) or (n, k) of the training rows' kernel functions, and b (c,)
    or (c, k) of the null space.

    After `from_gram`, predictions are ``K_new @ a + T_new @ b``.
    """

class DesignRows(NamedTuple):
    """How rows of a design enter: by coordinates on the principal `axes` (p, r), with
    `mean` subtracted or None."""
    train: object
    axes: object
    mean: object
    penalty: str = 'lam'
    noise = 0.0

    def warn(self, rank):
        ...

    def is_unique(self, r):
        """Whether r directions determine all coefficients; a row needed for it has no
    prediction at ``lam == 0``."""

    def doubt(self, smoother, r):
        """The largest variance inflation factor of the columns beside the constant, or of
    the rows if there are fewer."""

    def gain(self, g, mu, lam, filter):
        """What a coordinate of a new row counts."""

    def embed(self, smoother, X, null_space):
        """Coordinates of new rows on the null space (m, c) and on the directions (m, r),
    and their index."""

    def constant(self, smoother, y, b):
        """The intercept (1, k) that goes with coefficients b (p, k)."""

class Outcome(NamedTuple):
    """An outcome (n, k) in columns, scaled: coordinates on the null space (c, k), the
    rest (m, k), the rest's (r, k).

    `dropped` has its values at rows of weight zero, on the original scale.
    """
    level: object
    centred: object
    z: object
    single: bool
    columns: object = None
    dropped: object = None

    @classmethod
    def of(cls, smoother, y):
        ...

    def squeeze(self, values):
        ...

    def only(self, j):
        ...

    def in_units(self):
        ...

def in_columns(train, y, dtype):
    ...

def beside_null(rows, null, y, mean=False):
    ...

def without_residue(rest, y, c=0):
    ...

def units_of(values):
    ...

def in_squares(values, unit):
    ...

def require_symmetric(K):
    ...
ENTRIES = 150

def _without_noise(mu, n, level):
    ...

def null_functions(table, intercept, null_space):
    ...

def _require_independent(T):
    ...

def _scaled_gram(K, rows, overwrite):
    ...

class GramRows(NamedTuple):
    """How rows known by their kernel with the training rows enter (3b.6)."""
    train: object
    intercept: bool
    R: object
    across: object
    dropped: object = None
    within: object = None
    noise = 1e-14

    def warn(self, rank):
        ...

    def is_unique(self, r):
        """Never: what a kernel does not determine is as small as can be."""

    def doubt(self, smoother, r):
        """The square of how much the errors of a Gram matrix are magnified in its null
    space."""

    def gain(self, g, mu, lam, filter):
        """What a coordinate of a new row counts: g / mu, and for ridge also where mu =
    0."""

    def embed(self, smoother, K, null_space):
        """Coordinates of new rows on the null space (m, c) and on the directions (m, r),
    and their index."""

    def functions(self, test, null_space):
        """The unpenalised functions at the rows of a `Table`, as many as at the training
    rows."""

    def coordinates(self, smoother, K, T):
        """Coordinates of rows with a scaled kernel K (m, n) and unpenalised functions T (m,
    c)."""

def gram_rows(K, intercept, null_space, index, overwrite, weights, weight_type):
    ...

def largest_row_sum(K, roots=None):
    ...

def centred_gram(K, null, across, value, overwrite):
    ...

def _eigh_beside(K, null, across, overwrite):
    ...

def _full(smoother):
    ...

def removed(smoother, lams):
    ...

def of_known(smoother, lams):
    ...

def quotient(top, bottom, xp, otherwise=math.nan):
    ...

def loo_parts(smoother, y, lams, rows):
    ...

def _beside_free(smoother, y, g, rows):
    ...

def _projection(smoother, own):
    ...

def _least_free(smoother, free, r):
    ...

def left_out(smoother, y, lams, rows=slice(None)):
    ...

def _loo(smoother, y, lams):
    ...
from typing import Any
from olsattention.arrays import AnyArray, Array, Number, Numpy, SameKind

class RowGroups(NamedTuple):
    """The group of each of n rows: places `codes` (n,) in the list of `labels`, in
    order of appearance."""
    codes: Numpy
    labels: list[Any]

def as_groups(groups: AnyArray, train: Table, counting: Any=None) -> RowGroups:
    ...

def same_sizes(codes: Numpy) -> list[Numpy]:
    ...

def solve_groups(M: Array, top: Array, least: float) -> tuple[Array, Any]:
    ...

def not_determined(n: int, doubts: list[Any]) -> Numpy:
    ...

def limit_groups(C, c, A, a, least):
    ...

def _block(U, at, g=1.0):
    ...

def _free_block(smoother, at, own):
    ...

def _at_penalty(smoother, y, lam):
    ...

def _at_limit(smoother, y, lam):
    ...

def group_errors(smoother: Any, y: Outcome, lam: Number, codes: Numpy) -> tuple[SameKind, list[Any]]:
    ...

class CriterionSums(NamedTuple):
    """What criteria are made of: one outcome, L penalties, up to the factor that the q
    have in common.

    `rss` is the sum of ``q**2 z**2``, `quadratic` that of ``q z**2``, with what no
    direction explains; `spare` sums the q, `log_determinant` their logarithms;
    `squared` is ``tr(H @ H)``, `left_out()` the mean squared leave-one-out error.
    ``factor * q`` is ``1 - g``. All have shape (L,).
    """
    n: Any
    unpenalised: int
    factor: SameKind
    rss: SameKind
    quadratic: SameKind
    spare: SameKind
    log_determinant: SameKind
    squared: SameKind | None
    left_out: Callable[[], SameKind] | None

    def gcv(self) -> SameKind:
        ...

    def in_numpy(self) -> CriterionSums:
        ...

def criterion_sums_of(smoother, y, lams, free=None):
    ...

def _unexplained(smoother, y):
    ...

def of_copies(sums, rows):
    ...

class Judged(NamedTuple):
    """One outcome before a criterion: its `CriterionSums` as a function of penalties,
    in squares of its `unit`.

    `spread` is the mean square of what the null space leaves of it, `roundoff` that of
    its rounding errors; `grouped` maps groups and penalties to its mean squared errors
    without the group.
    """
    sums: Callable[[Any], CriterionSums]
    unit: float = 1.0
    spread: float = 1.0
    roundoff: float = 0.0
    grouped: Callable[[Any, Any], Any] | None = None

def judged(level, rest, unit, sums, grouped=None):
    ...

def _sums_in_numpy(smoother, y, free, lams):
    ...

def _grouped(smoother, y, groups, lams):
    ...

def as_kernel_of(K, train, n):
    ...

class RidgePath(NamedTuple):
    """Ridge regression at every penalty of a grid; arrays with one row a penalty.

    `coefficients` has shape (L, p) or (L, p, k), `df` (L,); `intercept`, `rss`, `gcv`
    and `loo` (L,) or (L, k).
    """
    lam: SameKind
    coefficients: SameKind
    intercept: SameKind
    df: SameKind
    rss: SameKind
    gcv: SameKind
    loo: SameKind
    columns: Any = None

    def __repr__(self) -> str:
        ...

    def to_frame(self) -> Frame:
        ...

    def plot(self, ax: Any=None) -> Any:
        ...

def ridge_path(X: AnyArray | Table, y: AnyArray, lams: Sequence[Number] | AnyArray, intercept: bool=False) -> RidgePath:
    ...

def _path(s, y, lams, filters):
    ...
