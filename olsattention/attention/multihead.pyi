# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import math
from collections.abc import Sequence
from numbers import Integral
from typing import Literal
import torch
from fastcore.basics import patch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from .functional import ridge_attention
from .heads import may_look, solving_dtype
from .state import RidgeAttentionState
__all__ = ['MultiheadRidgeAttention']

class MultiheadRidgeAttention(nn.Module):
    """A layer of ridge-attention heads with the signature and the parameters of
    `torch.nn.MultiheadAttention`.

    Parameters
    ----------
    embed_dim : int
        Width of queries and outputs.
    num_heads : int
        Number of heads, a divisor of `embed_dim`.
    dropout : float
        Must be zero.
    bias : bool
        Whether the projections have biases.
    add_bias_kv : bool
        Whether all queries know a learned key and value too.
    add_zero_attn : bool
        Whether the weights get a column of zeros; nothing else changes.
    kdim, vdim : int, optional
        Widths of keys and values; default `embed_dim`.
    batch_first : bool
        Whether inputs have the shape (N, L, E) instead of (L, N, E).
    device, dtype : optional
        Of the parameters.
    lam : float, sequence of float, or "learned"
        Penalty > 0, in units of squared projected keys; one for all heads, or one each.
        A learned one starts at 1.
    decay : float, optional
        Gate in [0, 1] by which a causal layer forgets, each token.

    Raises
    ------
    TypeError, ValueError
        On options that do not fit together, or have no meaning for a regression.

    Notes
    -----
    Parameters start as those of `nn.MultiheadAttention` from the same seed; its state
    dict loads strictly, and leaves ``log_lam``, the logarithms of learned penalties, as
    they are. Source: (7b.1).
    """
    _qkv_same_embed_dim = False
    embed_dim: int
    num_heads: int
    head_dim: int
    kdim: int
    vdim: int
    batch_first: bool
    decay: float | None
    in_proj_weight: nn.Parameter | None
    in_proj_bias: nn.Parameter | None
    log_lam: nn.Parameter | None
    out_proj: nn.Linear

    def __init__(self, embed_dim: int, num_heads: int, dropout: float=0.0, bias: bool=True, add_bias_kv: bool=False, add_zero_attn: bool=False, kdim: int | None=None, vdim: int | None=None, batch_first: bool=False, device: torch.device | str | None=None, dtype: torch.dtype | None=None, *, lam: float | Sequence[float] | torch.Tensor | Literal['learned']=1.0, decay: float | None=None) -> None:
        ...

    def _make_parameters(self, bias, add_bias_kv, place):
        ...

    def _projections(self):
        ...

    def reset_parameters(self) -> None:
        """Draw the projections as `nn.MultiheadAttention` does; learned penalties become
    1."""

    @property
    def lam(self) -> torch.Tensor:
        """Penalties of the heads, a tensor (num_heads,) in at least float32."""

    def extra_repr(self) -> str:
        """What `print` says of the module."""

    def _load_from_state_dict(self, state_dict, prefix, metadata, strict, missing, *rest):
        ...

    def _heads(self, query, key, value, keep, causal):
        """Projections of (N, T, width), as heads (N, num_heads, T, head_dim)."""

    def _split(self, x):
        ...

    def _with_prior(self, q, k, v, keep, causal):
        """The heads with the learned pair before all others; causal ones with a query
    beside it, to be dropped."""

    def _merged(self, heads, query):
        """Answers (N, num_heads, L, head_dim), through the output projection, in the shape
    of the query."""

    def _batched(self, query, key, value, key_padding_mask):
        """The three as (N, T, width), what is one tensor as one, and which keys count, (N,
    S)."""

    def _require(self, name, x, query, width):
        """Raise unless x is a tensor of this width, with as many dimensions as the query,
    in the dtype of the layer."""

    def _batch_first(self, x):
        ...

    def _answer(self, sequences, keep, causal, need_weights):
        """Answers of the heads (7b.1), (N, num_heads, L, head_dim), and their weights
    (7b.2), (N, num_heads, L, S), or None."""

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, key_padding_mask: torch.Tensor | None=None, need_weights: bool=True, attn_mask: torch.Tensor | None=None, average_attn_weights: bool=True, is_causal: bool=False) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Answer queries by ridge regression of values on keys.

    Parameters
    ----------
    query : Tensor, shape (N, L, E), (L, N, E) or (L, E)
        In the order of `batch_first`, or one sequence alone.
    key : Tensor, shape (N, S, kdim), (S, N, kdim) or (S, kdim)
    value : Tensor, shape (N, S, vdim), (S, N, vdim) or (S, vdim)
    key_padding_mask : Tensor of bool, shape (N, S) or (S,), optional
        True where a key is to be ignored, whatever it holds. Causal heads answer zero
        there; in other self-attention a row that holds NaN asks as if it were zero.
    need_weights : bool
        Whether to return the weights too.
    attn_mask : Tensor, shape (L, S) or (N * num_heads, L, S), optional
        The causal mask, or one that hides nothing. Where looking at it would stall a
        GPU, or while compiling, a hint ``is_causal=True`` is believed, as in PyTorch.
    average_attn_weights : bool
        Whether to average the weights over the heads.
    is_causal : bool
        Whether query t knows the keys up to t only; no mask is needed.

    Returns
    -------
    output : Tensor
        In the shape of the query.
    weights : Tensor or None, shape (N, L, S) or (N, num_heads, L, S)
        Without N for one sequence. Signed; times the projected values they are the
        answers of the heads.

    Raises
    ------
    TypeError, ValueError
        On tensors that do not fit together, and masks that are no mask of a regression.
    """

    def step(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, state: RidgeAttentionState | None=None, key_padding_mask: torch.Tensor | None=None) -> tuple[torch.Tensor, RidgeAttentionState]:
        """Learn the next tokens and answer their queries: a causal layer, a few tokens at a
    time.

    Parameters
    ----------
    query, key, value : Tensor
        As in `forward`, with as many queries as keys: one token, or a prompt.
    state : RidgeAttentionState, optional
        What the call before returned; it is not changed.
    key_padding_mask : Tensor of bool, optional
        As in `forward`.

    Returns
    -------
    output : Tensor
        In the shape of the query: what `forward` with ``is_causal=True`` would answer
        after all tokens so far.
    state : RidgeAttentionState
        Of heads (N, num_heads), of a size that does not depend on the number of tokens.

    Raises
    ------
    TypeError, ValueError
        As `forward`.
    """

    def _one_token(self, q, k, v, state, keep, query):
        """The usual step of decoding, by the state alone."""

    def _forward_nested(self, query, key, value, padding, need_weights, attn_mask, is_causal):
        """Self-attention of a nested tensor, which `nn.TransformerEncoder` makes of padded
    sequences."""

def _visible(x):
    ...

def _hidden(mask, name, look=False):
    ...

def is_causal_mask(attn_mask: torch.Tensor | None, is_causal: bool, shape: tuple[int, int, int], heads: int) -> bool:
    ...

def _penalties(lam, heads):
    ...

def _gate(decay):
    ...
