# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import math
from typing import NamedTuple
import numpy as np
from fastcore.basics import patch
from scipy.special import gamma, zeta
from scipy.stats import t as student
from ..arrays import AnyArray, Numpy, as_floats, as_matrix, to_numpy
from .risk import RiskCurve, best_lam
__all__ = ['SequenceModel', 'TheoryLine', 'Rate', 'empirical_rate']

class SequenceModel:
    """Regression as a sequence of directions, with noise ``sigma / sqrt(n)`` in each.

    Parameters
    ----------
    smoothness : float
        s > 0 of the truth: squared coefficients are ``j**(-2 s / d - 1)``.
    order : float
        m of the kernel: eigenvalues are ``j**(-2 m / d)``; ``2 * order > dimension``.
    dimension : int
        d >= 1 of the inputs.
    sigma : float
        Standard deviation of the noise of one row, > 0.

    Raises
    ------
    ValueError
        Naming the assumption that fails.

    Notes
    -----
    Penalties are those of the mean convention, ``lam / n``. Source: (8b.1); Caponnetto
    and De Vito (2007).
    """
    smoothness: float
    order: float
    dimension: int
    sigma: float

    def __init__(self, smoothness: float, order: float=1, dimension: int=1, sigma: float=1.0) -> None:
        ...

    def __repr__(self) -> str:
        ...

    def coordinates(self, count: int) -> tuple[Numpy, Numpy]:
        """The first `count` eigenvalues and coefficients, two arrays (count,)."""

    def bias_variance(self, n: int, lams: AnyArray) -> RiskCurve:
        """Squared bias and variance (8b.2) of n rows at every penalty of a grid, in the
    mean convention; a RiskCurve of arrays (L,)."""

    def oracle_lam(self, n: int) -> float:
        """The penalty of least risk (8b.2) for n rows, in the mean convention."""

    def _sums(self, lam):
        """Eigenvalues, coefficients, and the energy beyond them, for penalties from `lam`
    on."""

    def asymptotic(self, n: int) -> TheoryLine:
        """The asymptotic oracle of n rows (8b.5); beyond ``smoothness = 2 order`` saturated
    (8b.6), there with its logarithm (8b.7)."""
REACH = 60

def _sums_at(mu, energy, lam):
    ...

def _rows(n):
    ...

class TheoryLine(NamedTuple):
    """What (8b.5) and (8b.6) say for n rows: the penalty `lam` and the `risk`, and
    their exponents, numbers."""
    lam: float
    risk: float
    lam_slope: float
    risk_slope: float

class Rate(NamedTuple):
    """A fitted exponent, ``value ~ exp(intercept) * n**slope``, from low to high."""
    slope: float
    low: float
    high: float
    intercept: float

def empirical_rate(sizes: AnyArray, values: AnyArray, confidence: float=0.95) -> Rate:
    ...

def _errors(values, means):
    ...

def _line(x, y, errors, repetitions, confidence):
    ...
