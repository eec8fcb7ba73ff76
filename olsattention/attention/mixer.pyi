# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import math
from typing import NamedTuple
import torch
from fastcore.basics import patch
import torch.nn as nn
from torch.nn import functional as F
from .cuts import starts_of
from .functional import ridge_attention
from .state import RidgeAttentionState
__all__ = ['RidgeMixer', 'MixerState']

class RidgeMixer(nn.Module):
    """A causal token mixer: ridge-attention heads whose gates, weights and penalties
    are learned from the tokens.

    Parameters
    ----------
    embed_dim : int
        Width E of the tokens.
    num_heads : int
        Query heads.
    key_heads : int, optional
        Heads of keys and values, a divisor of `num_heads`; by default as many.
    head_dim : int, optional
        Width d of a head; by default ``embed_dim // num_heads``.
    taps : int
        Tokens that each channel of queries, keys and values sees, its own included.
    forgets, weighs : bool
        Whether tokens have gates, and weights.
    least_lam : float
        The least penalty, > 0, for keys of length one.
    device, dtype : optional
        Of the parameters.

    Raises
    ------
    ValueError
        On numbers that do not fit together.

    Notes
    -----
    Gates start so that heads remember from about ten to a thousand tokens. Source:
    (7b2.1).
    """
    embed_dim: int
    num_heads: int
    key_heads: int
    head_dim: int
    least_lam: float

    def __init__(self, embed_dim: int, num_heads: int, *, key_heads: int | None=None, head_dim: int | None=None, taps: int=4, forgets: bool=True, weighs: bool=True, least_lam: float=0.25, device: torch.device | None=None, dtype: torch.dtype | None=None) -> None:
        ...

    def reset_parameters(self) -> None:
        """Draw the projections as `nn.Linear` does; filters pass the token itself,
    penalties exceed the least by about .7."""

    @property
    def lam(self) -> torch.Tensor:
        """The penalty of each channel of each key head, shape (H, d)."""

    def gates(self, x: torch.Tensor) -> torch.Tensor | None:
        """The gate of each token (B, T, E) in each key head, shape (B, H, T); None if the
    layer does not forget."""

    def weights(self, x: torch.Tensor) -> torch.Tensor | None:
        """The weight of each token (B, T, E) in each key head, shape (B, H, T); None if the
    layer does not weigh."""

    def _heads(self, rows: torch.Tensor, before: torch.Tensor | None, starts: torch.Tensor | None) -> _Heads:
        """Queries, keys and values (B, heads, T, d) of projected tokens."""

    def _starts(self, x: torch.Tensor, cu_seqlens: torch.Tensor | None, document_ids: torch.Tensor | None) -> torch.Tensor | None:
        """Which tokens (B, T) begin a document; None if nothing is packed."""

    def _require_tokens(self, x: torch.Tensor) -> None:
        ...

    def forward(self, x: torch.Tensor, *, key_mask: torch.Tensor | None=None, cu_seqlens: torch.Tensor | None=None, document_ids: torch.Tensor | None=None) -> torch.Tensor:
        """Mix tokens (B, T, E), each with those before it; the same shape comes out.

    `key_mask` (B, T) is False where a token is padding, before or behind a sequence.
    `cu_seqlens` or `document_ids` say where packed documents begin, as in
    `ridge_attention`. Raises ValueError on tokens that do not fit.
    """

    def step(self, x: torch.Tensor, state: MixerState | None=None) -> tuple[torch.Tensor, MixerState]:
        """Mix the next tokens (B, T, E) of sequences, and return the state to go on with;
    the first call has none."""

def filtered(x: torch.Tensor, taps: torch.Tensor, before: torch.Tensor | None, starts: torch.Tensor | None) -> torch.Tensor:
    ...

class _Heads(NamedTuple):
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor

class MixerState(NamedTuple):
    """What a `RidgeMixer` remembers of earlier tokens.

    Attributes
    ----------
    memory : RidgeAttentionState
        Of the key heads, ``heads=(B, H)``.
    last : Tensor, shape (B, taps - 1, .)
        The last projected tokens.
    """
    memory: RidgeAttentionState
    last: torch.Tensor
