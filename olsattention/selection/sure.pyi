# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import math
from typing import TYPE_CHECKING, Any, NamedTuple
import array_api_compat
import numpy as np
from fastcore.basics import patch
from olsattention.arrays import AnyArray, Column, Number, Numpy, SameKind, as_lam, as_matrix, as_number, labelled, to_numpy
from olsattention.regression.smoother import SpectralSmoother, as_groups, as_kernel_of
from ..regression.svd import nothing_left
from .without import coefficient_frame, coefficient_weights
if TYPE_CHECKING:
    from olsattention.selection.tridiagonal import TridiagonalSmoother
__all__ = ['noise_variance', 'standard_error', 'coefficient_errors', 'posterior_variance', 'Interval', 'prediction_interval', 'adaptive_interval']

def noise_variance(smoother: SpectralSmoother | TridiagonalSmoother, y: AnyArray, lam: Number) -> Any:
    """The variance of the noise, from the residuals and the degrees of freedom that they have left.

    Parameters
    ----------
    smoother : SpectralSmoother or TridiagonalSmoother
    y : array, tensor, Series or DataFrame, shape (n,) or (n, k)
    lam : float
        The penalty.

    Returns
    -------
    float or ndarray, shape (k,)
        Of a row of weight 1; the square of the outcome's unit. 0 at interpolation, NaN where no degree of freedom is left.

    Raises
    ------
    TypeError, ValueError
        On outcomes or a penalty that do not fit.

    Notes
    -----
    Source: (5d.1); with a penalty it is biased upwards, by the squared bias of the fit.
    """

def standard_error(smoother: SpectralSmoother | TridiagonalSmoother, X: AnyArray, y: AnyArray, lam: Number, *, null_space: AnyArray | None=None) -> SameKind:
    """Standard error of the prediction at every new row: the noise times the norm of the weights.

    Parameters
    ----------
    smoother, X, y, lam, null_space
        As in `influence`.

    Returns
    -------
    array, tensor or Series, shape (m,) or (m, k)
        Of the fitted function, without the noise of a new outcome, and without bias.

    Raises
    ------
    TypeError, ValueError
        On input that does not fit.

    Notes
    -----
    Source: (5d.2).
    """

def coefficient_errors(smoother: SpectralSmoother, y: AnyArray, lam: Number) -> Column:
    """Standard errors of the coefficients of a design and one outcome, a Series (p,) or (1 + p,), a constant first.

    Source: (5d.3).
    """

def _scaled_weights(smoother, W):
    """Attention of the scaled rows that count (m, q), from weights (m, n)."""

def _like(values, x):
    """A NumPy array in the library, on the device and in the dtype of x."""

def posterior_variance(smoother: SpectralSmoother | TridiagonalSmoother, X: AnyArray, lam: Number, *, diagonal: AnyArray | None=None, null_space: AnyArray | None=None) -> SameKind:
    """Posterior variance of the function at new rows, in units of the noise variance: ``h / (1 - h)``.

    Parameters
    ----------
    smoother : SpectralSmoother or TridiagonalSmoother
    X, null_space
        As in `influence`.
    lam : float
        The penalty; > 0 for a Gram matrix, whose process has the variance ``sigma**2 / lam`` times the kernel.
    diagonal : array, shape (m,) or float
        Of a kernel: its values ``k(x, x)`` at the new rows.

    Returns
    -------
    array, tensor or Series, shape (m,)
        Add 1 for a new outcome of weight 1. Infinite where ``lam == 0`` and the training rows say nothing.

    Raises
    ------
    TypeError, ValueError
        On input that does not fit, or a missing `diagonal`.

    Notes
    -----
    Source: (5d.4); Rasmussen and Williams (2006), equation (2.26); Wahba (1990), section 5.2.
    """

def _variance_of_design(smoother, X, lam):
    """The posterior variance (m,) at rows of a design: on the null space, on the directions, and off all training rows."""

def _variance_of_kernel(smoother, K, lam, diagonal, null_space):
    """The posterior variance (m,) at rows known by their kernel (m, n) and its diagonal (m,)."""

def _explained(smoother, K, T, places, lam):
    """``k' (K + lam I)^-1 k`` on the complement of the null space, (m,)."""

class Interval(NamedTuple):
    """Forecasts and the ends of their intervals, each of shape (m,) or (m, k); Series or DataFrames if the new rows had labels."""
    prediction: SameKind
    lower: SameKind
    upper: SameKind

    @property
    def width(self) -> SameKind:
        """From end to end."""

    def holds(self, outcome: AnyArray) -> Numpy:
        """Whether each outcome (m,) or (m, k) lies within, ends included."""

def prediction_interval(smoother: SpectralSmoother | TridiagonalSmoother, X: AnyArray, y: AnyArray, lam: Number, coverage: float=0.9, *, groups: AnyArray | None=None, null_space: AnyArray | None=None) -> Interval:
    """Jackknife+ intervals for the outcomes of new rows, or CV+ intervals if rows come in groups; without refitting.

    Parameters
    ----------
    smoother, X, y, lam, null_space
        As in `influence`.
    coverage : float
        The ``1 - alpha`` to aim at, in (0, 1); what is guaranteed for exchangeable rows is ``1 - 2 alpha``.
    groups : array, shape (n,), optional
        Labels of rows that are left out together.

    Returns
    -------
    Interval
        Infinite ends where the rows are too few for the coverage.

    Raises
    ------
    TypeError, ValueError
        On input that does not fit, or a coverage outside (0, 1).

    Notes
    -----
    Copies (weights of type "frequency") count as rows of their own. Time and memory O(m n), in blocks of new rows; gradients
    end here. Source: (5d.6), (5d.8); Barber et al. (2021).
    """
BLOCK: Any

def _in_blocks(X, null_space, n):
    """New rows, and their unpenalised functions or None, a block at a time; at least one block."""

def _as_given(values, smoother, X, y):
    """An answer (m,) or (m, k) in the library of the smoother, with the labels of X and y."""

class LeftOut(NamedTuple):
    """Of the q rows that count: errors without them (q, k), which share of its weight each loses, and its group and mass or None."""
    errors: Numpy
    share: Numpy | float
    codes: Numpy | None
    mass: Numpy | None
    kept: Numpy | None

def _left_out(smoother, y, lam, groups):
    ...

def _reach(W, left, coverage):
    """How far intervals reach down and up from the predictions, (2, m, k), from weights W (m, q) of the rows that count."""

def _group_sums(change, codes):
    """For every row the sum of the changes (m, q) over its group."""

def _rank(coverage, total):
    """``ceil(coverage * (total + 1))``, whatever rounding says of a product that is a whole number."""

def _quantile(W, moves, size, most, coverage):
    """The k-th smallest of ``W * moves + size`` of each row of W (m, q), where no product is larger than `most`."""

def _heavy_quantile(values, mass, coverage):
    """The least of the values (m, q) in each row up to which there is the mass of k observations."""

def adaptive_interval(forecasts: AnyArray, outcomes: AnyArray, coverage: float=0.9, *, rate: float=0.05, delay: int=1) -> Interval:
    """Intervals around forecasts made through time, from the errors of those before, corrected after every hit and miss.

    Parameters
    ----------
    forecasts, outcomes : array or Series, shape (T,)
        In the order of time; an outcome not yet known is NaN.
    coverage : float
        The share to cover in the long run, in (0, 1).
    rate : float
        The gamma of (5d.9), > 0.
    delay : int
        After how many steps an outcome is known, at least 1.

    Returns
    -------
    Interval
        Each made before its outcome was known. Infinite at first, and where the corrected level asks for everything; NaN
        where it asks for nothing.

    Raises
    ------
    TypeError, ValueError
        On series of different lengths, or a coverage, rate or delay outside its range.

    Notes
    -----
    Source: (5d.9); Gibbs and Candès (2021).
    """

def _radii(errors, coverage, rate, delay):
    """Half widths (T,) by (5d.9), each from the errors known `delay` steps later; NaN for the empty interval."""
