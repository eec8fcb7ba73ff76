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
    ...

def _unit_of(X):
    ...

def _variances(X, w):
    ...

def _length_scale(X, w):
    ...

def _laplacian_scale(X, w):
    ...

def _exponential_scale(X, w):
    ...
DEFAULTS: Any

class Similarity(NamedTuple):
    """A kernel with its parameters, and for kernels on the unit interval `low` and
    `width` of each column (p,).

    `basis` (c, r) makes r independent functions of the c that are not penalised, an
    `intercept` among them.
    """
    kernel: object
    parameters: dict
    low: object = None
    width: object = None
    intercept: bool = False
    basis: object = None

    def __call__(self, X, Z):
        ...

    def _units(self, X):
        ...

    def _additive(self, U, V):
        ...

    def _as_they_are(self, X, Z):
        """The kernel of rows as they are, or in units of the `length_scale` of each
    column."""

    def functions(self, X, intercept):
        """The functions that are not penalised, at rows X (m, p): none, a constant, or for
    splines all lines."""

    def beside(self, X, w, intercept):
        """The same, with a basis (12.4) of what is not penalised at the rows X (n, p) with
    weights w (n,) or None.
    """

    def unpenalised(self, X):
        """The functions that are not penalised, at rows X (m, p), shape (m, r); None if
    there are none."""

def fit_similarity(kernel, X, w, given, extra):
    ...

def _parameters(kernel, function, X, w, given):
    ...

def _ends(X):
    ...

def _above_zero(value, name):
    ...

def _one_per_column(scales, p):
    ...

def _translated(kernel, given):
    ...

def warn_of_ignored(kernel, given, usual):
    ...

def _differ(value, usual):
    ...

class _Checked:
    """A kernel that is a user's function: its matrix is copied, and must have the right
    shape."""

    def __init__(self, function):
        ...

    def __call__(self, X, Z, **parameters):
        ...

def _given_matrix(X, Z, columns=None):
    ...

def _independent(T, intercept):
    ...
