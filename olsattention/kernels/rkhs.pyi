# Written by `make export` from the chapters: edit those, not this.
from typing import Any
__all__ = ['KernelSmoother']
from fastcore.basics import patch
from ..arrays import as_matrix, as_queries
from .names import KERNELS, get_kernel
from ..regression.smoother import SpectralSmoother

class KernelSmoother:
    """Kernel ridge regression for every penalty, from one eigendecomposition.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (n, p)
        Training rows.
    kernel : str or callable
        A name known to `get_kernel`, or a function of two sets of rows that returns their Gram matrix.
    intercept : bool
        Leave a constant unpenalised.
    null_space : callable, optional
        Maps rows (m, p) to the values (m, c) of further unpenalised functions, such as `spline_null_space`.
    **parameters
        Passed to the kernel, such as ``length_scale``.

    Attributes
    ----------
    smoother : SpectralSmoother
        Of the Gram matrix: fit, df, shrinkage, leverage, gcv, loo.

    Raises
    ------
    TypeError, ValueError
        On bad rows, an unknown kernel, or a function that is no kernel (the least eigenvalue is named).

    Notes
    -----
    Source: (4e.2), (4e.3); Kimeldorf and Wahba (1971); Schölkopf, Herbrich and Smola (2001).
    """

    def __init__(self, X, kernel='rbf', intercept=False, null_space=None, **parameters):
        ...

    def __repr__(self):
        ...

    def gram(self, X):
        """The kernel of new rows (m, p) with the training rows, shape (m, n), and their null space (m, c) or None."""

    def weights(self, X, lam, filter='ridge'):
        """Attention of new rows (m, p) over the training rows, shape (m, n)."""

    def predict(self, X, y, lam, filter='ridge'):
        """Predictions at new rows (m, p), shape (m,) or (m, k), for outcomes y (n,) or (n, k)."""

def gram(self, X):
    """The kernel of new rows (m, p) with the training rows, shape (m, n), and their null space (m, c) or None."""

def weights(self, X, lam, filter='ridge'):
    """Attention of new rows (m, p) over the training rows, shape (m, n)."""

def predict(self, X, y, lam, filter='ridge'):
    """Predictions at new rows (m, p), shape (m,) or (m, k), for outcomes y (n,) or (n, k)."""
