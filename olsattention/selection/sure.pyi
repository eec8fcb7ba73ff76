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
    ...

def standard_error(smoother: SpectralSmoother | TridiagonalSmoother, X: AnyArray, y: AnyArray, lam: Number, *, null_space: AnyArray | None=None) -> SameKind:
    ...

def coefficient_errors(smoother: SpectralSmoother, y: AnyArray, lam: Number) -> Column:
    ...

def _scaled_weights(smoother, W):
    ...

def _like(values, x):
    ...

def posterior_variance(smoother: SpectralSmoother | TridiagonalSmoother, X: AnyArray, lam: Number, *, diagonal: AnyArray | None=None, null_space: AnyArray | None=None) -> SameKind:
    ...

def _variance_of_design(smoother, X, lam):
    ...

def _variance_of_kernel(smoother, K, lam, diagonal, null_space):
    ...

def _explained(smoother, K, T, places, lam):
    ...

class Interval(NamedTuple):
    """Forecasts and the ends of their intervals, each (m,) or (m, k); labelled if the
    new rows are."""
    prediction: SameKind
    lower: SameKind
    upper: SameKind

    @property
    def width(self) -> SameKind:
        ...

    def holds(self, outcome: AnyArray) -> Numpy:
        """Whether each outcome (m,) or (m, k) lies within, ends included."""

def prediction_interval(smoother: SpectralSmoother | TridiagonalSmoother, X: AnyArray, y: AnyArray, lam: Number, coverage: float=0.9, *, groups: AnyArray | None=None, null_space: AnyArray | None=None) -> Interval:
    ...
BLOCK: Any

def _in_blocks(X, null_space, n):
    ...

def _as_given(values, smoother, X, y):
    ...

class LeftOut(NamedTuple):
    """Of q rows that count: errors without them (q, k), the share of weight each loses,
    its group, mass or None."""
    errors: Numpy
    share: Numpy | float
    codes: Numpy | None
    mass: Numpy | None
    kept: Numpy | None

def _left_out(smoother, y, lam, groups):
    ...

def _reach(W, left, coverage):
    ...

def _group_sums(change, codes):
    ...

def _rank(coverage, total):
    ...

def _quantile(W, moves, size, most, coverage):
    ...

def _heavy_quantile(values, mass, coverage):
    ...

def adaptive_interval(forecasts: AnyArray, outcomes: AnyArray, coverage: float=0.9, *, rate: float=0.05, delay: int=1) -> Interval:
    ...

def _radii(errors, coverage, rate, delay):
    ...
