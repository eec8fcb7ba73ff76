# Written by `make export` from the chapters: edit those, not this.
from typing import Any
__all__ = []
from typing import NamedTuple
import array_api_compat
import numpy as np
from fastcore.basics import patch
from ..arrays import Table, as_floats, promote, to_numpy

class RowWeights(NamedTuple):
    """What the rows of a regression weigh, and which of them count.

    `w` (m,) are the weights above zero, None where all are one; `kept` (m,) the places of their rows among all n, and `dropped`
    (n - m,) the places of the others, None if every row counts. `copies` says which of (3a.4) a criterion is to see.
    """
    n: int
    w: object = None
    kept: object = None
    dropped: object = None
    copies: bool = False

    @classmethod
    def of(cls, weights, X, weight_type='precision', name='weights'):
        """The weights (n,), or a number for all, of the rows of a `Table` X (n, p); None for equal ones."""

    @property
    def counting(self):
        """How many rows count, m."""

    @property
    def sum(self):
        """The sum of all weights."""

    @property
    def total(self):
        """The number nu of observations (3a.4)."""

    @property
    def share(self):
        """The v of (3a.4), shape (m,), or None where all are one."""

    def of_kept(self, values):
        """The rows that count (m, ...) of values at all rows (n, ...)."""

    def times_root(self, values):
        """Values (m, k) at the rows that count, times the roots of their weights."""

    def scaled(self, values):
        """The scaled rows (m, k) of values at all rows (n, k)."""

    def unscaled(self, values):
        """Values (m, k) on the original scale, of scaled ones."""

    def spread(self, values, dropped=None):
        """Values (n, ...) at all rows, from those at the rows that count and at the dropped ones, where None is zero."""

    def attention(self, values):
        """What all outcomes (n, k) get, of what scaled outcomes (m, k) get: (3a.2), transposed."""

def require_weight_type(weight_type):
    ...

def _validated(weights, X, name):
    ...
