# Written by `make export` from the chapters: edit those, not this.
from typing import Any
__all__ = []
import math
import warnings
from inspect import signature
from typing import NamedTuple
import array_api_compat
import numpy as np
from fastcore.basics import patch
from olsattention.arrays import Table, as_floats, as_lam, as_matrix, as_number, outside_level, to_numpy
from ..kernels.names import ALIASES, KERNELS, get_kernel
from ..regression.rfactor import BLOCK_ROWS
from ..regression.svd import column_scale, scaled_svd

def _shares(X, w):
    """The weights of the rows as shares of their sum, (n,)."""

def _unit_of(X):
    """A power of two near the largest entry, so that no square leaves the range; 1 for zeros."""

def _variances(X, w):
    """Weighted variances of the columns, (p,)."""

def _length_scale(X, w):
    ...

def _laplacian_scale(X, w):
    ...

def _exponential_scale(X, w):
    ...
DEFAULTS: Any

class Similarity(NamedTuple):
    """A kernel with its parameters, and for kernels on the unit interval `low` and `width` of each column (p,).

    `basis` (c, r) makes r independent functions of the c that are not penalised, an `intercept` among them.
    """
    kernel: object
    parameters: dict
    low: object = None
    width: object = None
    intercept: bool = False
    basis: object = None

    def __call__(self, X, Z):
        """The kernel between queries X (m, p) and training rows Z (n, p), shape (m, n)."""

    def _units(self, X):
        ...

    def _additive(self, U, V):
        ...

    def _as_they_are(self, X, Z):
        """The kernel of rows as they are, or in units of the `length_scale` of each column."""

    def functions(self, X, intercept):
        """The functions that are not penalised, at rows X (m, p): none, a constant, or for splines all lines."""

    def beside(self, X, w, intercept):
        """The same, with a basis (12.4) of what is not penalised at the rows X (n, p) with weights w (n,) or None."""

    def unpenalised(self, X):
        """The functions that are not penalised, at rows X (m, p), shape (m, r); None if there are none."""

def fit_similarity(kernel, X, w, given, extra):
    """The `Similarity` of a kernel, by name or a function, for rows X (n, p) with weights w (n,) or None.

    Of the parameters `given`, those are taken that the kernel has, and what is None is found from the rows (12.1). `extra` are
    further ones, the only ones for a function. ``"precomputed"`` takes the matrix itself for X.
    """

def _parameters(kernel, function, X, w, given):
    ...

def _ends(X):
    """The least value and the range of each column, (p,); a column that is constant has range 1."""

def _above_zero(value, name):
    ...

def _one_per_column(scales, p):
    """Validated length scales (p,)."""

def _translated(kernel, given):
    """Parameters `given` under the names of a kernel: scikit-learn's gamma is another name for a length scale (12b.2)."""

def warn_of_ignored(kernel, given, usual):
    """Warn of parameters `given` that differ from the `usual` ones and that a named kernel does not have."""

def _differ(value, usual):
    ...

class _Checked:
    """A kernel that is a user's function: its matrix is copied, and must have the right shape."""

    def __init__(self, function):
        ...

    def __call__(self, X, Z, **parameters):
        ...

def _given_matrix(X, Z, columns=None):
    """The kernel "precomputed": rows X (m, n) are the matrix, of which the `columns` of training rows that count are taken."""

def _independent(T, intercept):
    """Coefficients (c, r) of independent functions that span the columns of T (n, c), orthonormal at the rows.

    Where columns are dependent, slopes are those of least norm beside a constant that is free.
    """
