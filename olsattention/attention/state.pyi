# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import math
import os
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple
import torch
from fastcore.basics import patch
from .forgetting import gates_of
from olsattention.attention.heads import factor, may_look, outside_autocast, require_definite, require_heads, require_pairs, solving_dtype
from olsattention.attention.triangle import MOST, carefully, cast, change, holds, in_dtype, inverse_squares, rank_one, require_finite, squares
from olsattention.attention.waiting import FADED, WAITING, Fading, answer, asked_of, begun_anew, faded_by, faded_to, fading_from, inverse, put, reduced
from olsattention.attention.weights import penalties_of, product_dtype, weights_of
__all__ = ['SAVED', 'RidgeAttentionState']

class Memory(NamedTuple):
    """What a state holds. One assignment replaces it, so that whoever reads meanwhile
    has the old one or the new."""
    R: torch.Tensor
    Z: torch.Tensor
    pairs: torch.Tensor | None = None
    rows: torch.Tensor | None = None
    inverse: torch.Tensor | None = None
    fading: Fading | None = None

class RidgeAttentionState:
    """What causal ridge-attention heads remember, in square-root form; its size does
    not depend on how much they saw.

    Parameters
    ----------
    lam : float or Tensor
        Penalty > 0; a tensor broadcasts to `heads`, or to ``(*heads, d)`` with a
        penalty for each channel of the keys.
    d, d_v : int
        Widths of keys and values.
    heads : tuple of int
        Leading dimensions of keys and values, such as (batch, heads).
    window : int, optional
        Keep only the last `window` pairs, exactly; the memory then holds them too.
    dtype : torch.dtype
        Of the state: float32 or float64.
    device : torch.device, optional

    Attributes
    ----------
    lam : Tensor, shape heads
        One, if every channel has its own.
    channels : Tensor, shape ``(*heads, d)``, or None
        The penalty of each channel; R and Z are in its units, those of (6c5.2).
    fade : Tensor, shape heads
        Product of all gates: what is left of anything that was known before the first
        token.
    count : int
        Tokens seen.

    Raises
    ------
    TypeError, ValueError
        On a penalty that is not positive, or shapes, dtypes and devices that do not
        fit; a failed update leaves the state as it was.

    Notes
    -----
    Adding a pair costs O(d (d + d_v)), apart from one d x d factorisation in thirty-two
    pairs, with gates in some eight to thirty-two; O(d^3) where a gate is below .8 or
    anything has derivatives. On a processor answers in float32 keep about five digits,
    with weights and penalties by channel too. Source: (6d.1) to (6d.5), (6e.1), (6e.2);
    Gill et al. (1974).
    """
    lam: torch.Tensor
    channels: torch.Tensor | None
    fade: torch.Tensor
    count: int
    window: int | None
    keys: torch.Tensor | None
    values: torch.Tensor | None
    _reads = (-math.inf, math.inf)
    _bounds = None

    def __init__(self, lam: float | torch.Tensor, d: int, d_v: int, heads: tuple[int, ...]=(), window: int | None=None, dtype: torch.dtype=torch.float32, device: torch.device | str | None=None) -> None:
        ...

    def __repr__(self) -> str:
        ...

    def _become(self, R, Z, tokens):
        ...

    @property
    def heads(self) -> tuple[int, ...]:
        """Leading dimensions, a tuple."""

    def _settled(self):
        """R and Z with all pairs that wait; kept, unless that would cut what they depend on
    out of a graph."""

    def _read(self):
        """`_settled`, for those who ask for the triangle; how many tokens pass between two
    that do is remembered."""

    def _with(self, R, Z, key, value, F=None):
        """The triangle and its outcomes after T pairs more; F is ``R^-T``, if it is
    known."""

    def _holds(self, R, key, new):
        """Whether the triangle R with one key more, `new`, keeps its digits by (6d.6); what
    bounds it is kept for the next."""

    def _grown(self, key, value):
        ...

    @property
    def R(self) -> torch.Tensor:
        """The upper triangle, ``R' R = lam I + K'K``, shape (..., d, d); with penalties by
    channel in their units."""

    @property
    def Z(self) -> torch.Tensor:
        """The rotated outcomes, ``R' Z = K'V``, shape (..., d, d_v)."""

    @property
    def gram(self) -> torch.Tensor:
        """``K'K``, discounted, shape (..., d, d)."""

    def _moments(self):
        """``K'K`` and ``K'V``, in the units of the triangle."""

    @property
    def moment(self) -> torch.Tensor:
        """``K'V``, discounted, shape (..., d, d_v)."""

    @property
    def coefficients(self) -> torch.Tensor:
        """The ridge coefficients, shape (..., d, d_v)."""

    def _require(self, name, x, width):
        """Raise unless x (..., width) begins with the heads and can be computed with in the
    dtype of the state."""

    def _checked(self, key, value):
        """Validated pairs (..., T, d) and (..., T, d_v), in the dtype of the state."""

    def _tokens(self, x):
        """How many vectors x holds for each head, and their width."""

    def _in_units(self, key, value, weight=None, tokens=()):
        """Pairs (..., T, d) and (..., T, d_v) in the units of the triangle, scaled by the
    roots of their weights, all products in the dtype of products."""

    def update(self, key: torch.Tensor, value: torch.Tensor, decay: float | torch.Tensor | None=None, weight: float | torch.Tensor | None=None) -> RidgeAttentionState:
        """Learn pairs: ``key (..., d)`` and ``value (..., d_v)``, or ``(..., T, d)`` and
    ``(..., T, d_v)`` for T tokens.

    `decay` is the gate by which the past fades before each token: a number, or a tensor
    that broadcasts to the shape of the keys without their width; `weight` is how much
    each pair counts, likewise. Returns the state. Raises TypeError or ValueError, and
    stays as it was, if they do not fit or hold NaN.
    """

    def _one(self, key, value):
        """One pair more: it waits, or enters the triangle. On a GPU, which must not be
    asked, it enters."""

    def _begun(self, R, Z, key, learns):
        """`inverse`, if a pair with this key may begin to wait, in float64 if it is news;
    else None."""

    def _faded(self, key, value, gate):
        """Whether one pair now waits while all fades, by a gate or none."""

    def _anew(self, at, left):
        """What is remembered once the pairs of the heads `at` (N,) have entered, with
    `left` (N,) of what was there before them, while others wait on.

    None if most heads are among them, which then had better enter together, or one
    loses digits.
    """

    def _fading(self, key, value, gates):
        ...

    def _sliding(self, key, value):
        ...

    def attend(self, query: torch.Tensor, enable_gqa: bool=False) -> torch.Tensor:
        """Answer queries ``(..., d)`` or ``(..., T, d)``; with the same shape but d_v, in
    the dtype of the query.

    With `enable_gqa` the last of the leading dimensions of the query may be a multiple
    of that of the state. Raises TypeError or ValueError if the queries do not fit.
    """

    def leverage(self, key: torch.Tensor) -> torch.Tensor:
        """``k'A^-1 k`` of keys (..., d) or (..., T, d) that were not learned yet: the
    variance of their prediction, per unit of noise.

    Raises TypeError or ValueError if the keys do not fit.
    """

    def downdate(self, key: torch.Tensor, value: torch.Tensor, weight: float | torch.Tensor | None=None) -> RidgeAttentionState:
        """Forget one pair that was learned, ``key (..., d)`` and ``value (..., d_v)``; with
    the weight that it had; returns the state.

    Raises ValueError, and stays as it was, if (on the CPU) the pair cannot have been
    learned. The rounding errors of the state are divided by one minus the pair's
    leverage.
    """

    def merge(self, other: RidgeAttentionState) -> RidgeAttentionState:
        """The state after these tokens and then those of `other`; both stay as they are.

    Raises ValueError if they differ in shape, dtype or lam, or one has a window.
    """

    def clone(self) -> RidgeAttentionState:
        """A copy that shares nothing which is written to."""

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> RidgeAttentionState:
        """The state with `function` applied to every tensor, such as ``lambda x: x.cuda()``
    or ``lambda x: x[beams]``."""

    def _products(self):
        """The dtypes of the pairs of a window, if they are not that of the state."""

    def to(self, *args: Any, **kwargs: Any) -> RidgeAttentionState:
        """The state on another device or in another dtype, float32 or float64; arguments as
    those of `torch.Tensor.to`."""

    def detach(self) -> RidgeAttentionState:
        """The state without what it depends on: derivatives stop here."""

    @property
    def dtype(self) -> torch.dtype:
        """Of what the state learns and remembers, a torch.dtype; R and Z are in float64
    where float32 would lose digits."""

    @property
    def device(self) -> torch.device:
        """Where the state is, a torch.device."""

    @classmethod
    def from_moments(cls, gram: torch.Tensor, moment: torch.Tensor, lam: float | torch.Tensor, count: int=0) -> RidgeAttentionState:
        """The state of heads whose moments are known: ``gram = K'K`` (..., d, d) and
    ``moment = K'V`` (..., d, d_v).

    What rounding has taken from the moments is lost: answers have a relative error of
    about the roundoff of their dtype times the largest ``A_jj (A^-1)_jj``, with ``A =
    K'K + lam I``. Let keys share a part c times as large as that in which they differ,
    and it is c squared roundoffs: in float32 three digits are left at c = 100. Give
    such moments in float64.

    `count` says of how many tokens. The penalty `lam` may be a number or a tensor that
    broadcasts to the heads. Raises TypeError or ValueError if they do not fit together,
    or the moments are those of no keys: not finite, not symmetric, not positive
    semidefinite.
    """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file, for `load`."""

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: torch.device | str | None=None) -> RidgeAttentionState:
        """Read a state that `save` wrote; only tensors and numbers are read. Raises
    ValueError if the file holds none."""
AGAIN = 64
HUGE = 10000000000.0

def _sure(R, Z):
    ...
LOUD = 100000000.0
OFTEN = 24
LASTING = 0.8
NEWS: Any

def _same_penalties(one, other):
    ...

def _kept(function, R, Z):
    ...

def _in_two_parts(function, *tensors):
    ...

def _require_moments(G, B):
    ...

def _require_state(state):
    ...
SAVED = ('R', 'Z', 'lam', 'fade', 'count', 'window', 'keys', 'values', 'channels')
