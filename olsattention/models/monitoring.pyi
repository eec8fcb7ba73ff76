# Written by `make export` from the chapters: edit those, not this.
from typing import Any
__all__ = ['DELTAS', 'conformal_p', 'log_shares', 'step_capital', 'log_mixture', 'log_martingale', 'Reading', 'SpectrumMonitor']
import io
import json
import math
import os
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
import numpy as np
from fastcore.basics import patch
from scipy.special import ndtri
from ..arrays import as_lam
from .spectrum import as_spectra, condition_number

def conformal_p(scores, earlier, u):
    """The rank (10.2) of each of several scores among its own earlier ones.

    Parameters
    ----------
    scores : array, shape (...)
    earlier : array, shape (..., n)
    u : array, shape (...)
        Uniform on (0, 1].

    Returns
    -------
    array, shape (...)
        In (0, 1].
    """
DELTAS: Any

def log_shares(count, start=0):
    """Logarithms of the shares w of (10.3), `count` of them after the first `start`."""

def step_capital(log_S, z, log_w):
    """One step of (10.3) in logarithms: ``log_S`` (..., 5) after a reading with z (...)."""

def log_mixture(log_S, spent):
    """The logarithm of M in (10.3), from ``log_S`` (..., 5) and the sum of the shares at work."""

def log_martingale(z):
    """The logarithm of M in (10.3) for whole streams at once.

    Parameters
    ----------
    z : array, shape (..., T)
        Normal scores of the ranks.

    Returns
    -------
    array, shape (..., T)
    """

class Reading(NamedTuple):
    """What one batch did: the time, the capital, whether the alarm has rung, and per head distance and summaries."""
    t: int
    capital: float
    alarm: bool
    p: float
    distance: np.ndarray
    head_capital: np.ndarray
    condition: np.ndarray
    effective_rank: np.ndarray
    df: np.ndarray

class SpectrumMonitor:
    """Watch spectra for drift; P(ever a false alarm) <= alpha if batches are exchangeable.

    Parameters
    ----------
    reference : array, shape (n, heads, d) or (n, d)
        Eigenvalues of batches from when all was well, 20 at least; 100 or more make a faster alarm. Half of them, drawn
        at random, fit the score and are not ranked against.
    lam : float
        Positive: distances are those of ``log(mu + lam)``.
    rng : numpy.random.Generator
        For the split and for ties. A copy of its state is kept, so that a saved stream goes on to the bit.
    alpha : float
        The probability with which an alarm may ever be false.
    combine : {"score", "average"}
        How several heads make one test: by the largest distance, which the theorems cover, or by the average of the
        heads' martingales, each of which bets on its head alone; see "Many heads" for what is proved of it.
    names : sequence of str, optional
        Names of the heads; spectra may then come as a dict.

    Raises
    ------
    TypeError, ValueError
        On a reference that is too short, not finite or negative, a penalty that is not positive, or alpha outside (0, 1).

    Notes
    -----
    **Assumes** that batches are exchangeable while nothing changes: alike, and not dependent on their neighbours. Thin or
    pool a stream whose batches resemble the ones before. Source: Theorems 10.1 to 10.3.
    """

    def __init__(self, reference, lam, rng, *, alpha=0.01, combine='score', names=None):
        ...

    def _fit(self, reference):
        """Split the reference, fit (10.4) on one half, and score the other."""

    def _distance(self, logs):
        """The distances (10.4) of log-spectra (..., heads, d)."""

    def _scores(self, logs):
        """The score of the batch, and behind it those of its heads, for log-spectra (..., heads, d)."""

    def reset(self):
        """Start anew from the reference, with a capital of one; each start may raise a false alarm with probability alpha."""

    def update(self, spectra):
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
        On values that are not finite or negative, or heads that are not those of the reference; the state is unchanged.
    """

    def _checked(self, spectra):
        """Spectra (heads, d) of this model, or an error."""

    def _reading(self, mu, scores, p):
        """The record of the batch that was just taken in."""

    @property
    def log_capitals(self):
        """Logarithms of the martingales: of the batch's score, then of each head (heads + 1,)."""

    @property
    def log_capital(self):
        """The logarithm of the capital that the alarm looks at."""

    @property
    def alarm(self):
        """Whether the alarm has ever rung since the start."""

    def change_point(self):
        """The start that explains the readings best (10.5): an estimate of when the change came, not a test.

    Returns
    -------
    int or None
        The first changed reading, counted from 1; None before the first reading.
    """

    def leading(self, count=5):
        """The heads with the largest capital, as a dict of name to capital, largest first."""

    def frame(self, heads=False):
        """The readings as a DataFrame: one row a batch, or one a batch and head.

    Parameters
    ----------
    heads : bool

    Returns
    -------
    DataFrame
    """

    def to_jsonl(self):
        """The readings as text, one JSON object a line."""

    def plot(self, ax=None):
        """Draw the capital on a logarithmic axis, with the threshold of the alarm.

    Parameters
    ----------
    ax : Axes, optional

    Returns
    -------
    Axes
    """

    def save(self, path):
        """Write the monitor to a file, completely or not at all; an existing file is replaced.

    Parameters
    ----------
    path : path

    Raises
    ------
    OSError
        If it cannot be written; nothing is left behind.
    """

    @classmethod
    def load(cls, path):
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

def grown(buffer, size):
    """A buffer (rows, capacity) with room for one more column than `size`."""
BIT_GENERATORS = ('PCG64', 'PCG64DXSM', 'MT19937', 'Philox', 'SFC64')
ARRAYS = ('_mean', '_spread', '_center', '_scale', '_reference', '_log_S', '_bag', '_z')
PLAIN = ('lam', 'alpha', 'combine', 'names', 't', 'alarm_at', '_spent', '_size')
