# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
import array_api_compat
import numpy as np
from fastcore.basics import patch
from olsattention.arrays import AnyArray, Numpy, SameKind, as_lam, as_matrix, to_numpy
from ..kernels.names import get_kernel
from .estimators import rows_that_weigh
from ..selection.gcv import RandomizedGCV, randomized_gcv
try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("olsattention.practice.large needs scikit-learn 1.6 or later; pip install 'olsattention[sklearn]'") from error
__all__ = ['PANEL', 'KernelProduct', 'Preconditioner', 'random_pivots', 'Indefinite', 'conjugate_gradients', 'KernelSolution', 'solve_kernel', 'LargeKernelRegressor', 'RandomFeatures', 'random_features']
PANEL = 512

class KernelProduct:
    """Products with a Gram matrix that is never held as a whole.

    Parameters
    ----------
    X : array or tensor, shape (n, p)
        Rows, float64.
    kernel : callable
        ``kernel(X, Z)``, shape (n, m), in the dtype of the rows.
    memory : int
        Bytes of panels that may be kept, in float32.
    root : array or tensor, shape (n,), optional
        Roots of the weights of the rows: products are then with the matrix that has
        rows and columns times these.
    """
    X: SameKind
    kernel: Callable[..., Any]
    memory: int
    root: SameKind
    n: int
    single: SameKind

    def __init__(self, X: SameKind, kernel: Callable[..., Any], memory: int=2 ** 29, root: SameKind=None) -> None:
        ...

    @property
    def xp(self) -> Any:
        ...

    def columns(self, at: SameKind) -> SameKind:
        ...

    def diagonal(self) -> SameKind:
        ...

    def single_product(self, V: SameKind) -> SameKind:
        """``K V`` for V (n, k) in float32."""

    def double_product(self, V: SameKind) -> SameKind:
        """``K V`` for V (n, k) in float64, every entry made anew."""

    def _product(self, X, V, kept):
        ...

class Preconditioner(NamedTuple):
    """The preconditioner M of (13d.2), a low-rank smoother.

    Attributes
    ----------
    U : array or tensor, shape (n, r)
        Left singular vectors of the factor F, in float32.
    squares : array or tensor, shape (r,)
        Squares of its singular values.
    left : float
        The trace of ``K - F F'``.
    overlap : array or tensor, shape (r, r)
        ``U'U``, in float64.
    """
    U: SameKind
    squares: SameKind
    left: float
    overlap: SameKind

    def at(self, lam: float) -> Callable[[Any], Any]:
        ...

def random_pivots(products: KernelProduct, rank: int, rng: np.random.Generator, block: int=32) -> Preconditioner:
    ...

def _columns_left(products, F, at, whole):
    ...

def _singular(F, left):
    ...

def _overlap(F):
    ...

class Indefinite(ValueError):
    """A matrix that should be positive definite is not, or not to the rounding errors
    of its precision."""

@np.errstate(over='ignore', invalid='ignore')
def conjugate_gradients(product: Callable[[Any], Any], M: Preconditioner, B: SameKind, lam: float, tol: float, most: int) -> tuple[SameKind, int, float]:
    ...

class KernelSolution(NamedTuple):
    """What `solve_kernel` found.

    Attributes
    ----------
    solution : array or tensor, shape (n, k)
        In float64.
    residual : array or tensor, shape (k,)
        Relative residuals, recomputed in float64.
    products : int
        Of the inner solves.
    judgements : int
        How often the residual was recomputed.
    """
    solution: SameKind
    residual: SameKind
    products: int
    judgements: int

@np.errstate(over='ignore', invalid='ignore')
def solve_kernel(products: KernelProduct, M: Preconditioner, B: SameKind, lam: float, tol: float=1e-06, share: float=0.0005, most: int=2000) -> KernelSolution:
    ...

def _correction(products, M, R, scale, lam, share, most, double):
    ...

def _sizes(B):
    ...

def _relative(R, size):
    ...

def warn_above(residual, tol):
    ...

class LargeKernelRegressor(RegressorMixin, BaseEstimator):
    """Kernel ridge regression for many rows, to a residual that is true.

    Conjugate gradients, preconditioned by random pivots and refined.

    Memory O(n rank) beside `memory`; a product is O(n^2 p). Source: (13d.1) to (13d.4).

    Parameters
    ----------
    kernel : str or callable
        A name known to `get_kernel`, or a function ``kernel(X, Z)`` of rows.
    alpha : "gcv" or float
        The penalty > 0 beside the Gram matrix, or let the data choose.
    fit_intercept : bool
        Leave a constant unpenalised.
    length_scale : float, optional
        Of the kernel; default the root of the summed variances of the columns.
    kernel_params : dict, optional
        Further parameters of the kernel.
    rank : int, optional
        Of the preconditioner; default five times the root of n.
    tol : float
        Largest relative residual, recomputed in float64.
    memory : int
        Bytes of the Gram matrix that may be kept, in float32.
    probes : int
        Random probes of GCV.
    random_state : int, RandomState or None
    weight_type : {"precision", "frequency"}
        What `sample_weight` is: up to a factor one over a variance, or so many copies.

    Attributes
    ----------
    alpha_, dual_coef_, intercept_, X_fit_
        As in scikit-learn's KernelRidge, with a constant.
    residual_ : float
        The largest relative residual of the systems (13d.1), recomputed.
    solution_ : KernelSolution
        Of these systems, with the products that it took.
    gcv_ : RandomizedGCV or None
        If the penalty was chosen, its score with a standard error.
    curve_ : dict of float to RandomizedGCV
        Scores of all penalties that were tried.
    """
    alpha_: float
    dual_coef_: Numpy
    intercept_: float | Numpy
    X_fit_: Numpy
    residual_: float
    gcv_: RandomizedGCV | None
    curve_: dict[float, RandomizedGCV]
    solution_: KernelSolution
    kernel_params_: dict[str, Any]

    def __init__(self, kernel: str | Callable[..., Any]='rbf', alpha: str | float='gcv', *, fit_intercept: bool=True, length_scale: float | None=None, kernel_params: dict[str, Any] | None=None, rank: int | None=None, tol: float=1e-06, memory: int=2 ** 29, probes: int=10, random_state: Any=0, weight_type: str='precision') -> None:
        ...

    def __sklearn_tags__(self):
        ...

    def _prepare(self, X, seed):
        """The products and the preconditioner of the rows that count (m, p)."""

    def fit(self, X: AnyArray, y: AnyArray, sample_weight: AnyArray | None=None) -> LargeKernelRegressor:
        """Fit rows X (n, p) to outcomes y (n,) or (n, k), weighted (n,) if wanted, none
    negative; returns the estimator.
    """

    def predict(self, X: AnyArray) -> Numpy:
        """Predictions at rows X (m, p), shape (m,) or (m, k)."""

    def attention_weights(self, X: AnyArray) -> Numpy:
        """Attention of rows X (m, p) over the training rows, (m, n): ``weights @ y`` are
    the predictions; a solve for each row.

    With ``c`` the kernel of a row with the training rows it is
    ``u + (1 - 1'u) / 1'w * w``, u and w as in (13d.1).
    """

def valid_rows(estimator, **given):
    ...

def kernel_of(estimator, X, w):
    ...

def fits(products, M, Z, lam, intercept, tol):
    ...

def guess(M, Z, one, n):
    ...

def choose(products, M, Z, intercept, seed, probes, n):
    ...

def mean_gcv(fit, Z, seed, probes, n):
    ...

def require_penalty(alpha):
    ...
LargeKernelRegressor.__init_subclass__()

class RandomFeatures(NamedTuple):
    """Random features of a stationary kernel (13d.5): frequencies (D, p). Make them
    with `random_features`."""
    frequencies: Numpy

    def transform(self, X: AnyArray) -> Numpy:
        ...

def random_features(p: int, D: int, rng: np.random.Generator, kernel: str='rbf', length_scale: float=1.0, nu: float=1.5) -> RandomFeatures:
    ...
