# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import copy
import hashlib
import io
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
from ..arrays import write_whole
from .gates import HeadGates, closing, gate_of
from .importance import SCORES, linear_part, rank_heads
if TYPE_CHECKING:
    import pandas as pd
__all__ = ['HeadMask', 'route', 'ablate', 'budget_curve', 'loss_behind', 'HeadModes', 'head_modes', 'mode_scores', 'pruned_state_dict', 'pruned_model']

@dataclass(eq=False)
class HeadMask:
    """Which heads of a model, or which modes of its heads, are kept, and what stands in
    the place of the others.

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
        """Write the mask to a file that `HeadMask.load` reads, whole or not at all.

    It holds tensors and names, no code; an existing file is replaced.
    """

    @classmethod
    def load(cls, path: str | PathLike[str]) -> HeadMask:
        """Read a mask from a file.

    Raises
    ------
    ValueError
        If the file is none of a mask.
    """

def mark_of(model, projections):
    ...

def as_budget(budget, total, what):
    ...

def route(gates: HeadGates, scores: pd.DataFrame, budget: int | float, by: str='integrated', modes: HeadModes | None=None) -> HeadMask:
    ...

def head_sizes(gates):
    ...

def mode_sizes(modes):
    ...

def projector(keep, basis):
    ...

def passing(P, mean):
    ...

def hook_of(mask, layer):
    ...

def require_same(model, mask):
    ...

@contextmanager
def ablate(model: torch.nn.Module, mask: HeadMask, check: bool=True) -> Iterator[None]:
    ...

def budget_curve(gates: HeadGates, scores: pd.DataFrame, loss: Callable[[], torch.Tensor], budgets: Sequence[int] | None=None, by: Sequence[str] | None=None) -> pd.DataFrame:
    ...

def loss_behind(gates: HeadGates, mask: HeadMask, loss: Callable[[], torch.Tensor]) -> float:
    ...

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
    ...

def mode_scores(gates: HeadGates, modes: HeadModes, loss: Callable[[], torch.Tensor], steps: int=16) -> pd.DataFrame:
    ...

@contextmanager
def sharing(gates, modes, shares):
    ...

def require_whole(mask):
    ...

def pruned_state_dict(model: torch.nn.Module, mask: HeadMask, add_bias: bool=False) -> dict[str, torch.Tensor]:
    ...

def folded_projection(module, mask, layer):
    ...

def pruned_model(model: torch.nn.Module, mask: HeadMask, example: Callable[[torch.nn.Module], torch.Tensor]) -> torch.nn.Module:
    ...
INTO_HEADS = [('query', 'key', 'value'), ('q_proj', 'k_proj', 'v_proj'), ('q_lin', 'k_lin', 'v_lin')]
COUNTED: Any

def remove_heads(model, layer, projection, mask):
    ...

def answers(model, example, wanted):
    ...

def replace_linear(module, weight, bias):
    ...
