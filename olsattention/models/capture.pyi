# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
import torch
import torch.nn.functional as F
from fastcore.basics import patch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from ..attention.functional import ridge_attention
__all__ = ['AttentionCall', 'HeadMoments', 'used_queries', 'CaptureError', 'CapturedAttention', 'capture_attention']

@dataclass(frozen=True, eq=False)
class AttentionCall:
    """One call of attention: what went in, and what came out.

    Attributes
    ----------
    name : str
        The module of the model that called, as in ``model.get_submodule(name)``.
    query : Tensor, shape (B, H, T_q, d)
    key : Tensor, shape (B, H_k, T_k, d)
        Query head h uses key head ``h // (H // H_k)``.
    value : Tensor, shape (B, H_k, T_k, d_v)
    mask : Tensor or None
        Broadcasts to (B, H, T_q, T_k): truths (True: may be seen), or numbers that are
        added to the scores.
    is_causal : bool
        Whether, beyond the mask, query t sees keys 0..t only.
    scale : float
        What the products ``query @ key.mT`` are multiplied with.
    output : Tensor, shape (B, H, T_q, d_v), or None
        The heads' answers; None where one kernel computes a whole layer and keeps them
        to itself: ask `attend()`.
    fresh : Tensor, shape (B, T_k)
        Keys that are not padding and that no earlier call has seen; keys that come from
        a cache have been seen.
    kind : {"softmax", "ridge"}
    lam : Tensor or None
        Penalty of ridge attention, for keys as they are (not in the unit of scores).
    op : str
        The kernel, "products", or the name in the registry of transformers.
    dropout : float
        Share of weights dropped; nan if unknown. `attend` drops none.
    """
    name: str
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    mask: torch.Tensor | None = None
    is_causal: bool = False
    scale: float = 1.0
    output: torch.Tensor | None = None
    fresh: torch.Tensor | None = None
    kind: str = 'softmax'
    lam: torch.Tensor | None = None
    op: str = ''
    dropout: float = 0.0

    def attend(self, value: torch.Tensor | None=None) -> torch.Tensor:
        """Do the call again by its formula, on its own or other values.

    Parameters
    ----------
    value : Tensor, shape (B, H_k, T_k, m), optional
        Instead of the call's own.

    Returns
    -------
    Tensor, shape (B, H, T_q, m)
        In float32 at least. Source: (9.1), or (6.1) for ridge attention.
    """

    def weights(self) -> torch.Tensor:
        """The weights (B, H, T_q, T_k) of all values in every answer, formed in full; in
    float32 at least."""
HIDDEN = -10000.0

def bias_of(call, rows=slice(None)):
    ...

def used_keys(call):
    ...

def attend_softmax(call, value, rows=slice(None)):
    ...

def attend_ridge(call, value):
    ...

def calling_module(names, depth=2):
    ...

def attention_modules(model):
    ...

def weights_of(model, names):
    ...
KERNELS: Any

def named_arguments(function, args, kwargs):
    ...

def read_kernel(function, args, kwargs, out):
    ...

def rectangle(x):
    ...

def layer_mask(mask, kept):
    ...

def read_layer(function, args, kwargs, out):
    ...
LAYER_KERNELS = {'_transformer_encoder_layer_fwd', '_native_multi_head_attention'}

@dataclass(frozen=True, eq=False)
class Trace:
    """What a piece of memory holds: numbers times `factor`; scores or weights if there
    are queries."""
    factor: float = 1.0
    query: torch.Tensor | None = None
    key: torch.Tensor | None = None
    biases: tuple = ()
    shape: tuple | None = None
    dropout: float = 0.0
    packed: bool = False

    def scaled(self, c):
        ...

    def plus(self, x, shape):
        ...

class Traces:
    """Notes about pieces of memory, as long as they live."""

    def __init__(self):
        ...

    def __getitem__(self, x):
        ...

    def __setitem__(self, x, trace):
        ...

    def pop(self, x):
        ...

def number(x):
    ...

def follow(name, args, kwargs, traces):
    ...
MOVES = {'clone', '_to_copy', 'detach', 'alias', '_unsafe_view', 'maximum'}
KEEPS_WEIGHTS = {'masked_fill', 'nan_to_num', 'where'}

def follow_where(args, traces):
    ...

def follow_product(name, args, kwargs, out, traces):
    ...
HEAD_COUNTS = ('num_heads', 'num_attention_heads', 'n_heads', 'n_head', 'nhead', 'heads')

def split_stack(leading, module):
    ...

def stacked_mask(bias, shape, B, H):
    ...

def read_products(trace, values, out, module, traces):
    ...
READ_OTHERWISE = {'sdpa', 'eager'}
REGISTRY: Any

def ridge_fields(module, query, key, mask, scaling, options):
    ...

class Listening(partial):
    """A function of the registry, and a record of what it is given and returns."""

    def __call__(self, module, query, key, value, mask=None, scaling=None, **options):
        ...

@contextmanager
def listening_registry(model, listener):
    ...

def folded(key, value):
    ...

def fresh_keys(call, before):
    ...

@dataclass(eq=False)
class HeadMoments:
    """Sums of products over the tokens that the heads of one layer have seen, in
    float64.

    Attributes
    ----------
    keys, queries : int
        How many were counted.
    key_key : Tensor, shape (H_k, d, d)
    key_value : Tensor, shape (H_k, d, d_v)
    value_value : Tensor, shape (H_k, d_v, d_v)
    query_query : Tensor, shape (H, d, d)
    key_query : Tensor, shape (H, d, d), or None
        Of each key with the query of the same token; None if keys and queries do not
        belong to the same tokens.

    eps : float
        Unit roundoff of the keys as the model computed them.

    Notes
    -----
    Source: (9.2). `add(call)` counts one more call.
    """
    keys: int = 0
    queries: int = 0
    eps: float = 0.0
    key_key: torch.Tensor | float = 0.0
    key_value: torch.Tensor | float = 0.0
    value_value: torch.Tensor | float = 0.0
    query_query: torch.Tensor | float = 0.0
    key_query: torch.Tensor | float | None = 0.0

    def add(self, call: AttentionCall) -> HeadMoments:
        """Count the fresh keys and the queries of a call; returns itself."""

def used_queries(call: AttentionCall) -> torch.Tensor:
    ...

class CaptureError(RuntimeError):
    """Attention that ran, or should have run, and could not be read."""

@dataclass(eq=False)
class CapturedAttention:
    """What `capture_attention` has read.

    Attributes
    ----------
    found : list of str
        Modules of the model that are attention, by the names of their classes or
        because attention was seen in them.
    keep : "all", "moments" or int
        As it was asked for.
    heads : dict of str to int
        The layers that were captured, in the order of their first calls, and how many
        query heads each has.
    seen : Counter
        How many calls of each layer there were, kept or not.
    moments : dict of str to HeadMoments
        Sums over all tokens, unless everything is kept; `moments_of` has them in both
        cases.

    Notes
    -----
    ``captured[name]`` is the list of calls of a layer that were kept, in their order.
    """
    found: list[str]
    keep: str | int = 'all'
    heads: dict[str, int] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    moments: dict[str, HeadMoments] = field(default_factory=dict)
    _kept: dict = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> list[AttentionCall]:
        ...

    def __repr__(self) -> str:
        ...

    @property
    def layers(self) -> list[str]:
        """Names of the captured layers, in the order of their first calls."""

    @property
    def calls(self) -> list[AttentionCall]:
        """All calls that were kept, layer by layer."""

    def kept(self, name: str) -> list[int]:
        """Which calls of a layer were kept, counted from 0 in their order."""

    @property
    def missed(self) -> list[str]:
        """Names of attention layers that were found and not captured; at the end of a
    capture, those that did not run."""

    def moments_of(self, name: str) -> HeadMoments:
        """Sums of products over the tokens of one layer, (9.2): those of the stream, or of
    all calls that were kept."""

def same_layer(one, other):
    ...

def snapshot(x):
    ...

class Store:
    """Puts calls into a CapturedAttention, as much of them as is to be kept."""

    def __init__(self, captured, seed):
        ...

    def place(self, name, i):
        ...

    def mask(self, mask):
        ...

    def take(self, call):
        ...
FOLLOWED: Any
PRODUCTS = {'bmm', 'mm', 'baddbmm'}
MULTIPLY: Any

@cache
def nature(function):
    ...
VIEWS = {'view', '_unsafe_view', '_reshape_alias'}

def is_packing(x, out):
    ...

def as_if_alone():
    ...

class Listener(TorchDispatchMode):
    """Reads attention from the operations of a model, and changes none."""

    def __init__(self, model, store):
        ...

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        ...

    def caller(self):
        """The module of the model that is running; None if it is another model's."""

    def notice(self, args):
        """Remember that an attention layer ran, by its weights."""

    def layer(self, name, fields):
        """A kernel for a whole layer; its module is known from its weights, or else from
    the stack."""

    def product(self, name, args, kwargs, out):
        """A matrix product: of queries and keys, of weights and values, or of something
    else."""

    def note(self, name, args, kwargs, out):
        """An operation on traced numbers."""

    def record(self, module, query, key, value, op, output=None, packed=False, **fields):
        """Hand a call to the store, in four dimensions, repeated key heads folded and
    packed queries unpacked."""

    def alone(self, function, *args, **kwargs):
        """Call a function that is recorded already; what it does inside is not recorded
    again."""

@contextmanager
def capture_attention(model: torch.nn.Module, keep: str | int='all', seed: int=0):
    ...
RUNNING: Any

def require_capturable(model, keep):
    ...

def require_complete(captured, ran, model):
    ...
