# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
from collections.abc import Callable
from typing import Any
from fastcore.basics import patch
from olsattention.arrays import AnyArray, Matrix, Number, SameKind, Table, as_matrix, as_queries
from .names import KERNELS, Kernel, get_kernel
from ..regression.smoother import SpectralSmoother
__all__ = ['KernelSmoother']

class KernelSmoother:
    """Kernel ridge regression for every penalty, from one eigendecomposition.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (n, p)
        Training rows.
    kernel : str or callable
        A name known to `get_kernel`, or a function of two sets of rows.
    intercept : bool
        Leave a constant unpenalised.
    null_space : callable, optional
        Maps rows (m, p) to the values (m, c) of further unpenalised functions, such as
        `spline_null_space`.
    weights, weight_type
        As in `SpectralSmoother.from_design`.
    **parameters
        Passed to the kernel, such as ``length_scale``.

    Attributes
    ----------
    smoother : SpectralSmoother
        Of the Gram matrix: fit, df, shrinkage, leverage, gcv, loo.

    Notes
    -----
    Bad rows, an unknown kernel, or a function that is no kernel (the least eigenvalue
    is named): TypeError, ValueError. Source: (4e.2), (4e.3); Kimeldorf and Wahba
    (1971); Schölkopf, Herbrich and Smola (2001).
    """
    smoother: SpectralSmoother

    def __init__(self, X: AnyArray, kernel: str | Kernel='rbf', intercept: bool=False, null_space: Callable[[Any], Any] | None=None, weights: AnyArray | float | None=None, weight_type: str='precision', **parameters: Any) -> None:
        ...

    def __repr__(self) -> str:
        ...

    def gram(self, X: AnyArray) -> tuple[Table, Any]:
        """The kernel of new rows (m, p) with the training rows, shape (m, n), and their
    null space (m, c) or None."""

    def weights(self, X: Matrix, lam: Number, filter: str='ridge') -> Matrix:
        """Attention of new rows (m, p) over the training rows, shape (m, n)."""

    def predict(self, X: AnyArray, y: AnyArray, lam: Number, filter: str='ridge') -> SameKind:
        """Predictions at new rows (m, p), shape (m,) or (m, k), for outcomes y (n,) or (n,
    k)."""
