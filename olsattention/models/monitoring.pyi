# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import io
import json
import math
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
import numpy as np
from fastcore.basics import patch
from scipy.special import ndtri
from ..arrays import AnyArray, Frame, Numpy, as_lam, write_whole
from .spectrum import as_spectra, condition_number, head_spectrum
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from olsattention.models.capture import CapturedAttention
__all__ = ['DELTAS', 'conformal_p', 'log_shares', 'step_capital', 'log_mixture', 'log_martingale', 'average_threshold', 'Reading', 'SpectrumMonitor', 'captured_spectra']

def conformal_p(scores: Numpy, earlier: Numpy, u: Numpy) -> Numpy:
    ...
DELTAS: Numpy = np.array([0.5, 1.0, 1.5, 2.0, 3.0])

def log_shares(count: int, start: int=0) -> Numpy:
    ...

def step_capital(log_S: Numpy, z: Numpy, log_w: float) -> Numpy:
    ...

def log_mixture(log_S: Numpy, spent: float) -> Numpy:
    ...

def log_martingale(z: Numpy) -> Numpy:
    ...

def average_threshold(alpha: float, heads: int) -> float:
    ...

class Reading(NamedTuple):
    """What one batch did: the time, the capital that the alarm looks at, whether it has
    rung, the rank of the batch's score, and per head distance, capital and
    summaries."""
    t: int
    capital: float
    alarm: bool
    p: float
    distance: Numpy
    head_capital: Numpy
    condition: Numpy
    effective_rank: Numpy
    df: Numpy

class SpectrumMonitor:
    """Watch spectra for drift: P(ever an alarm) <= alpha on exchangeable batches.

    Parameters
    ----------
    reference : array (n, heads, d) or (n, d), or sequence of n dicts of arrays (d,)
        Eigenvalues of batches from when all was well, 20 at least; 100 or more make a
        faster alarm. Half of them, at random, fit the score and are not ranked against.
    lam : float
        Positive: distances are those of ``log(mu + lam)``.
    rng : numpy.random.Generator
        For the split and for ties; a copy of it is kept.
    alpha : float
        The probability with which the alarm may ever be false.
    combine : {"largest", "average", "score"}
        How heads make one alarm: by the largest of weighted martingales, half of the
        weight on the batch (10.5); by the average of the heads', whose threshold is
        higher than 1 / alpha (10.6); or by the batch's score alone.
    names : sequence of str, optional
        Names of the heads; spectra may then come as a dict.

    Raises
    ------
    TypeError, ValueError
        On a reference too short, not finite or negative; lam <= 0; alpha not in (0, 1).

    Notes
    -----
    **Assumes** that batches are exchangeable while nothing changes. Thin or pool a
    stream whose batches resemble the ones before. Source: Theorems 10.1 to 10.5.
    """
    lam: float
    alpha: float
    combine: str
    names: list[str]
    rng: np.random.Generator
    t: int
    alarm_at: int | None
    readings: list[Reading]

    def __init__(self, reference: AnyArray | Sequence[Mapping[str, AnyArray]], lam: float, rng: np.random.Generator, *, alpha: float=0.01, combine: str='largest', names: Sequence[str] | None=None) -> None:
        ...

    def _fit(self, reference):
        """Split the reference, fit (10.4) on one half, and score the other."""

    def _distance(self, logs):
        """The distances (10.4) of log-spectra (..., heads, d)."""

    def _scores(self, logs):
        """The score of the batch, and behind it those of its heads, for log-spectra (...,
    heads, d)."""

    def reset(self) -> None:
        """Start anew from the reference, with all capital put back; each start may raise a
    false alarm with probability alpha.
    """

    def update(self, spectra: AnyArray | Mapping[str, AnyArray]) -> Reading:
        """Take in the spectra of one batch.

    Parameters
    ----------
    spectra : array, shape (heads, d) or (d,), or dict of str to array
        Eigenvalues, in the order of the reference.

    Returns
    -------
    Reading

    Raises
    ------
    TypeError, ValueError
        On values that are not finite or negative, or heads that are not those of the
        reference; the state is unchanged.
    """

    def _checked(self, spectra):
        """Spectra (heads, d) of this model, or an error."""

    def _take(self, scores, z):
        """One step of (10.3) for the batch and every head."""

    def _reading(self, mu, scores, p):
        """The record of the batch that was just taken in."""

    @property
    def log_capitals(self) -> Numpy:
        """Logarithms of the martingales: of the batch's score, then of each head (heads +
    1,)."""

    @property
    def weights(self) -> Numpy:
        """What each martingale counts in the alarm: that of the batch, then each head's
    (heads + 1,); they sum to one.
    """

    @property
    def log_capital(self) -> float:
        """The logarithm of the capital that the alarm looks at: the largest weighted one,
    or the average."""

    @property
    def threshold(self) -> float:
        """The capital at which the alarm rings: 1 / alpha, or for the average as (10.6) has
    it."""

    @property
    def alarm(self) -> bool:
        """Whether the alarm has ever rung since the start."""

    def change_point(self) -> int | None:
        """The start that explains the readings best (10.7): an estimate of the change, no
    test.

    Returns
    -------
    int or None
        The first changed reading, counted from 1; None before the first reading.
    """

    def leading(self, count: int=5) -> dict[str, float]:
        """The heads with the largest capital, as a dict of name to capital, largest
    first."""

    def named(self) -> list[str]:
        """The heads whose own capital is beyond 2 heads / alpha now, largest first; Theorem
    10.5 covers the naming.
    """

    def report(self) -> str:
        """A few lines for a person: whether and when the alarm rang, since when it may have
    been so, and which heads drove it.
    """

    def frame(self, heads: bool=False) -> Frame:
        """The readings as a DataFrame: one row a batch, or one a batch and head.

    Parameters
    ----------
    heads : bool

    Returns
    -------
    DataFrame
    """

    def to_jsonl(self) -> str:
        """The readings as text, one JSON object a line."""

    def plot(self, ax: Axes | None=None) -> Axes:
        """Draw the capital on a logarithmic axis, with the threshold of the alarm.

    Parameters
    ----------
    ax : Axes, optional

    Returns
    -------
    Axes
    """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the monitor to a file, completely or not at all; an existing file is
    replaced.

    Parameters
    ----------
    path : path

    Raises
    ------
    OSError
        If it cannot be written; nothing is left behind.
    """

    def _written(self):
        """The bytes of the file: arrays as `np.savez` writes them, and JSON for the
    rest."""

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SpectrumMonitor:
        """Read a monitor that `save` wrote; it goes on as if it had never stopped.

    Parameters
    ----------
    path : path

    Raises
    ------
    ValueError
        If the file is damaged, of another kind or of a later version.
    OSError
        If it cannot be read.
    """

    @classmethod
    def _restored(cls, plain, parts):
        """A monitor from the parts of its file."""

def as_reference(reference, names):
    ...

def stacked(spectra, names):
    ...

def as_options(lam, alpha, combine):
    ...

def grown(buffer, size):
    ...

def captured_spectra(captured: CapturedAttention, *, per_token: bool=True) -> dict[str, Numpy]:
    ...
BIT_GENERATORS = ('PCG64', 'PCG64DXSM', 'MT19937', 'Philox', 'SFC64')
ARRAYS = ('_mean', '_spread', '_center', '_scale', '_reference', '_log_S', '_bag', '_z')
PLAIN = ('lam', 'alpha', 'combine', 'names', 't', 'alarm_at', '_spent', '_size')
FORMAT = {'format': 'olsattention monitor', 'version': 1}

def parts_of(data):
    ...

def generator_of(state):
    ...

def readings_of(parts):
    ...
