# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import hashlib
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from os import PathLike
from typing import TYPE_CHECKING
import numpy as np
import torch
from fastcore.basics import patch
from .gates import HeadGates, closing, gate_of
from .importance import SCORES, linear_part, rank_heads
if TYPE_CHECKING:
    import pandas as pd
__all__ = ['HeadMask', 'route', 'ablate', 'budget_curve', 'loss_behind', 'HeadModes', 'head_modes', 'mode_scores', 'pruned_state_dict']

@dataclass(eq=False)
class HeadMask:
    """Which heads of a model, or which modes of its heads, are kept, and what stands in the place of the others.

    Attributes
    ----------
    model : str
        The class of the model.
    mark : str
        Of the weights of its output projections; another model has another one.
    projections : dict of str to str
        For each attention layer the module that reads its heads.
    keep : dict of str to Tensor of bool, shape (H,) or (H, d_v)
        Heads, or modes.
    means : dict of str to Tensor, shape (H, d_v)
    modes : dict of str to Tensor, shape (H, d_v, d_v)
        In columns; empty if whole heads are kept or not.

    Notes
    -----
    ``len(mask)`` is how many are kept. Source: (9h.1).
    """
    model: str
    mark: str
    projections: dict[str, str]
    keep: dict[str, torch.Tensor]
    means: dict[str, torch.Tensor]
    modes: dict[str, torch.Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        ...

    def __repr__(self) -> str:
        ...

    def save(self, path: str | PathLike[str]) -> None:
        """Write the mask to a file that `HeadMask.load` reads; it holds tensors and names, no code."""

    @classmethod
    def load(cls, path: str | PathLike[str]) -> HeadMask:
        """Read a mask from a file.

    Raises
    ------
    ValueError
        If the file is none of a mask.
    """

def mark_of(model, projections):
    """A hash of the weights of output projections."""

def as_budget(budget, total, what):
    """A number of heads or modes, from a number or a share."""

def route(gates: HeadGates, scores: pd.DataFrame, budget: int | float, by: str='integrated', modes: HeadModes | None=None) -> HeadMask:
    """Keep the heads of highest score, or the modes.

    Parameters
    ----------
    gates : HeadGates
        With means set.
    scores : DataFrame
        From `head_scores`, or, with `modes`, from `mode_scores`: one row a head or mode, in their order.
    budget : int or float
        How many are kept; a float is a share of all.
    by : str
        The column of `scores`. Of equals the first are kept.
    modes : HeadModes, optional

    Returns
    -------
    HeadMask

    Raises
    ------
    TypeError, ValueError
        On a budget that is larger than the model, or none; on scores of another model, or that are NaN. Source: (9h.1), (9h.2).
    """

def head_sizes(gates):
    """The shape of a layer's part of a mask of heads."""

def mode_sizes(modes):
    """The shape of a layer's part of a mask of modes."""

def projector(keep, basis):
    """P (H, d, d) with which the centred answers of heads are multiplied, for modes that are kept by shares (H, d)."""

def passing(P, mean):
    """A hook that multiplies the centred answers of heads by P (H, d, d)."""

def hook_of(mask, layer):
    """What `ablate` puts before the projection of a layer."""

def require_same(model, mask):
    """Raise unless a mask is of this model."""

@contextmanager
def ablate(model: torch.nn.Module, mask: HeadMask, check: bool=True) -> Iterator[None]:
    """Run a model with the heads and modes of a mask, and the means of the others.

    Parameters
    ----------
    model : nn.Module
        The model that the mask was made for.
    mask : HeadMask
    check : bool
        Whether to make sure that it is, by the weights of its output projections.

    Raises
    ------
    ValueError
        If the mask is of another model; nothing has been changed then.

    Notes
    -----
    Nothing is left in the model afterwards. Source: (9h.1).
    """

def budget_curve(gates: HeadGates, scores: pd.DataFrame, loss: Callable[[], torch.Tensor], budgets: Sequence[int] | None=None, by: Sequence[str] | None=None) -> pd.DataFrame:
    """The loss of a model that keeps only the heads of highest score, for every budget and every score.

    Parameters
    ----------
    gates : HeadGates
        With means set.
    scores : DataFrame
        From `head_scores`; further columns are welcome.
    loss : callable
        Calls the model and returns its loss.
    budgets : sequence of int, optional
        How many heads are kept; by default every number from none to all.
    by : sequence of str, optional
        Columns to rank by; by default those of `SCORES`.

    Returns
    -------
    DataFrame
        Rows are budgets, columns scores. Source: (9h.2).

    Raises
    ------
    TypeError, ValueError
        As `route` does.
    """

def loss_behind(gates: HeadGates, mask: HeadMask, loss: Callable[[], torch.Tensor]) -> float:
    """The loss of the gates' model behind a mask of its heads; source: (9h.1)."""

@dataclass(frozen=True, eq=False)
class HeadModes:
    """Directions in which the answers of heads vary.

    Attributes
    ----------
    bases : dict of str to Tensor, shape (H, d_v, d_v)
        Orthonormal, in columns, the direction of greatest variance first.
    variance : dict of str to Tensor, shape (H, d_v)

    Notes
    -----
    ``len(modes)`` is their number. Source: (9h.3).
    """
    bases: dict[str, torch.Tensor]
    variance: dict[str, torch.Tensor]

    def __len__(self) -> int:
        ...

def head_modes(gates: HeadGates, run: Callable[[], object]) -> HeadModes:
    """The modes of every head, from what `run` reads.

    Parameters
    ----------
    gates : HeadGates
        With means set; the variance is about them.
    run : callable
        Calls the model, once or several times.

    Notes
    -----
    Nothing is left in the model. Source: (9h.3).
    """

def mode_scores(gates: HeadGates, modes: HeadModes, loss: Callable[[], torch.Tensor], steps: int=16) -> pd.DataFrame:
    """The integrated gradient of every mode of every head, one row a mode.

    Parameters
    ----------
    gates : HeadGates
        With means set.
    modes : HeadModes
    loss : callable
        Calls the model and returns its loss, a tensor of one element with gradients.
    steps : int
        Nodes of the integral, a forward and a backward pass each.

    Returns
    -------
    DataFrame
        ``layer, name, head, mode, variance, integrated``. The scores of a head's modes add up to the head's own.

    Notes
    -----
    Source: (9e.2), Proposition 9h.1.
    """

@contextmanager
def sharing(gates, modes, shares):
    """Run a model with a share (H, d_v) of every mode passing."""

def pruned_state_dict(model: torch.nn.Module, mask: HeadMask, add_bias: bool=False) -> dict[str, torch.Tensor]:
    """The state of a model without the heads and modes that a mask does not keep; it needs no hooks any more.

    Parameters
    ----------
    model : nn.Module
    mask : HeadMask
        Of this model.
    add_bias : bool
        Add a bias to projections that have none, for a model that is built with one.

    Returns
    -------
    dict of str to Tensor
        As ``model.state_dict()``, with other weights and biases of the output projections; all shapes are as they were.

    Raises
    ------
    ValueError
        If the mask is of another model, or a projection has no bias that could hold what heads say on average.

    Notes
    -----
    Source: (9h.4).
    """

def folded_projection(module, mask, layer):
    """Weight (width, m) and constant (m,) of a projection behind the mask's gates."""
