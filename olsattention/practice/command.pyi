# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import hashlib
import itertools
import json
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
import numpy as np
from fastcore.basics import patch
from ..arrays import as_lam
from .stream import LeastSquaresState
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence
__all__ = ['ArrayBlocks', 'ParquetBlocks', 'fit_blocks', 'Fit', 'number', 'fit_command', 'as_alpha', 'text_of', 'fit_arguments', 'run_fit']

class ArrayBlocks(NamedTuple):
    """Blocks of rows of arrays or memory maps, which are read as they are needed.

    `X` has shape (n, p), `y` (n,) or (n, k), `weights` (n,) or None; `rows` a block.
    """
    X: Any
    y: Any
    weights: Any = None
    rows: int = 65536

    def __len__(self) -> int:
        ...

    def since(self, first: int) -> Iterator[tuple[Any, ...]]:
        ...

    def identity(self) -> list[Any]:
        ...

class ParquetBlocks:
    """Blocks of rows of a Parquet file.

    Parameters
    ----------
    path : str or Path
    target : str or list of str
        Column of the outcome; a list for several.
    columns : list of str, optional
        Columns of X; by default all others, which must then be numbers.
    weights : str, optional
        Column of weights.
    rows : int
        Most rows of a block; none reaches over a row group.

    Raises
    ------
    ImportError
        Without pyarrow: ``pip install 'olsattention[distributed]'``.
    ValueError
        If a column is not in the file, or does not hold numbers.
    """
    path: Path
    rows: int
    target: str | Sequence[str]
    targets: list[str]
    columns: list[str]
    weights: str | None
    first: list[int]
    file: Any

    def __init__(self, path: str | Path, target: str | Sequence[str], columns: Sequence[str] | None=None, weights: str | None=None, rows: int=65536) -> None:
        ...

    def __len__(self) -> int:
        ...

    def since(self, first: int) -> Iterator[tuple[Any, ...]]:
        """Yield ``(X, y, weights)`` of the blocks from number `first` on, X a DataFrame."""

    def identity(self) -> list[Any]:
        """What tells this source from another: the columns asked for, and a digest of the
    file's footer."""

def open_parquet(path):
    ...

def require_numbers(schema, names, path):
    ...

def fit_blocks(blocks: ArrayBlocks | ParquetBlocks | Iterable[tuple[Any, ...]], state: LeastSquaresState | None=None, *, checkpoint: str | Path | None=None, every: float=10.0, progress: bool=False) -> LeastSquaresState:
    ...

def _keep(state, checkpoint, identity):
    ...

def resumed(path, identity):
    ...

def counted(source, blocks, first, progress):
    ...

def blocks_since(blocks, first):
    ...

class Fit(NamedTuple):
    """What the command reports of a state at a penalty; `seconds` are those of reading
    and of solving."""
    state: LeastSquaresState
    alpha: float
    seconds: dict[str, float]

    def report(self) -> dict[str, Any]:
        ...

def number(value: float) -> float | None:
    ...

def fit_command(options: argparse.Namespace) -> Fit:
    ...

def as_alpha(state: LeastSquaresState, text: str) -> float:
    ...

def text_of(report: dict[str, Any]) -> str:
    ...

def fit_arguments(parser: argparse.ArgumentParser) -> None:
    ...

def run_fit(options: argparse.Namespace) -> int:
    ...
