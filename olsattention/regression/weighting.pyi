# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
from typing import Any, NamedTuple
import array_api_compat
import numpy as np
from fastcore.basics import patch
from ..arrays import AnyArray, SameKind, Table, as_floats, promote, to_numpy
__all__ = []

class RowWeights(NamedTuple):
    """What the rows of a regression weigh, and which of them count.

    `w` (m,) are the weights above zero, None where all are one; `kept` (m,) the places
    of their rows among all n, and `dropped` (n - m,) the places of the others, None if
    every row counts. `copies` says which of (3a.4) is meant.
    """
    n: int
    w: SameKind = None
    kept: SameKind = None
    dropped: SameKind = None
    copies: bool = False

    @classmethod
    def of(cls, weights: AnyArray | float | None, X: Table, weight_type: str='precision', name: str='weights') -> RowWeights:
        """The weights (n,), or a number for all, of the rows of a `Table` X (n, p); None
    for equal ones."""

    @property
    def counting(self) -> int:
        """How many rows count, m."""

    @property
    def sum(self) -> Any:
        """The sum of all weights."""

    @property
    def total(self) -> Any:
        """The number nu of observations (3a.4)."""

    @property
    def share(self) -> Any:
        """The v of (3a.4), shape (m,), or None where all are one."""

    def of_kept(self, values: SameKind) -> SameKind:
        """The rows that count (m, ...) of values at all rows (n, ...)."""

    def times_root(self, values: SameKind) -> SameKind:
        """Values (m, k) at the rows that count, times the roots of their weights."""

    def scaled(self, values: SameKind) -> SameKind:
        """The scaled rows (m, k) of values at all rows (n, k)."""

    def unscaled(self, values: SameKind) -> SameKind:
        """Values (m, k) on the original scale, of scaled ones."""

    def spread(self, values: SameKind, dropped: SameKind=None) -> SameKind:
        """Values (n, ...) at all rows, from those at the rows that count and at the dropped
    ones, where None is zero."""

    def attention(self, values: SameKind) -> SameKind:
        """What all outcomes (n, k) get, of what scaled outcomes (m, k) get: (3a.2),
    transposed."""

def require_weight_type(weight_type: str) -> None:
    ...

def _validated(weights, X, name):
    ...
