# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar
import matplotlib.pyplot as plt
import numpy as np
from fastcore.basics import patch
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from olsattention.arrays import AnyArray, Column, Frame, Numpy, as_matrix, as_regression, to_numpy
from .regression.ridge import spectral_filter
if TYPE_CHECKING:
    import pandas as pd
    from olsattention.attention.ensemble import EnsembleDecomposition
    from olsattention.regression.smoother import RidgePath
    from olsattention.selection.gcv import SelectedLam
    from olsattention.theory.risk import RiskCurve
__all__ = ['LABELS', 'plot_svd_shapes', 'plot_shrinkage', 'plot_weights', 'plot_two_readings', 'plot_ridge_path', 'plot_digits_lost', 'plot_kernels', 'plot_samples', 'plot_criterion', 'plot_attention_rows', 'plot_fits', 'plot_lines', 'plot_errors', 'plot_spread', 'plot_attention_history', 'plot_ratios', 'plot_ensemble', 'plot_risk', 'plot_rates', 'plot_head_map', 'plot_null_band', 'plot_fan', 'plot_influence', 'plot_forecast', 'plot_importance', 'plot_budget', 'Mark', 'Panel', 'Sliding']
COLOURS = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#7F7F7F', '#000000']
WIDTH = 5.2
STYLE: Any
P = ParamSpec('P')
Drawn = TypeVar('Drawn')

def _styled(draw: Callable[P, Drawn]) -> Callable[P, Drawn]:
    ...

def _axes(ax, height=2.8):
    ...

@_styled
def plot_svd_shapes(n: int, p: int, ax: Axes | None=None) -> Axes:
    ...

def _block(ax, x, height, width, colour, alpha, name=''):
    ...
LABELS = {'ols': 'least squares', 'ridge': 'ridge', 'pcr': 'principal components', 'flow': 'gradient flow'}

@_styled
def plot_shrinkage(mu: AnyArray, lam: float=1.0, kinds: Sequence[str]=('ridge', 'pcr'), ax: Axes | None=None) -> Axes:
    ...

def _places(labels, most):
    ...

@_styled
def plot_weights(weights: AnyArray, ax: Axes | None=None) -> Axes:
    ...

def _matrix(ax, x, width, height, values):
    ...

def _bracket(ax, left, right, at, text):
    ...

@_styled
def plot_two_readings(X_test: AnyArray, X_train: AnyArray, y: AnyArray, ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_ridge_path(path: RidgePath, ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_digits_lost(vif: AnyArray, errors: Mapping[str, AnyArray], ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_kernels(kernels: Mapping[str, Callable[..., Any]], at: float=0.3, ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_samples(kernels: Mapping[str, Callable[..., Any]], seed: int=0, ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_criterion(selected: SelectedLam, ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_attention_rows(x: AnyArray, rows: Mapping[str, AnyArray], query: float | None=None, ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_fits(x: AnyArray, y: AnyArray, places: AnyArray, curves: Mapping[str, AnyArray], ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_lines(x: Any, lines: Mapping[str, AnyArray], dots: Mapping[float, float] | None=None, level: float | None=None, log: str='', xlabel: str='', ylabel: str='', ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_errors(x: AnyArray, curves: Mapping[str, AnyArray], bars: Mapping[str, AnyArray] | None=None, dots: Sequence[float]=(), ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_spread(values: Mapping[str, AnyArray] | Frame, truth: float | None=None, ax: Axes | None=None) -> Axes:
    ...

def _draw_history(ax, weights):
    ...

def _years(periods):
    ...

@_styled
def plot_attention_history(weights: Frame, series: Column, diagnostics: Frame, figure: Figure | None=None) -> Numpy:
    ...

@_styled
def plot_ratios(ratios: Mapping[str, Mapping[str, float]], floors: Collection[str]=(), ax: Axes | None=None) -> Axes:
    ...

def _log_limits(ax, ratios):
    ...

@_styled
def plot_ensemble(results: Iterable[EnsembleDecomposition], ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_risk(curve: RiskCurve, ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_rates(sizes: AnyArray, curves: Mapping[str, AnyArray], lines: Mapping[str, AnyArray] | None=None, bars: Mapping[str, AnyArray] | None=None, ylabel: str='risk', ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_head_map(report: pd.DataFrame, column: str, ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_null_band(spectrum: AnyArray, null: AnyArray, ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_fan(reference: AnyArray, spectrum: AnyArray | None=None, ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_influence(influence: AnyArray, ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_forecast(explanation: Frame, interval: tuple[float, float, float], ax: Axes | None=None) -> Axes:
    ...

@_styled
def plot_importance(heads: pd.DataFrame, score: str, effect: str='effect', label: Iterable[int]=(), ax: Axes | None=None) -> Axes:
    ...

def _half(x):
    ...

@_styled
def plot_budget(curves: pd.DataFrame, names: dict[str, str] | None=None, guess: float | None=None, ax: Axes | None=None) -> Axes:
    ...

class Mark(NamedTuple):
    """What is drawn in a `Panel`, at `x` and `y` (n,); either has a leading axis a
    control if it moves.

    `kind` is "line", "dots", "bars" (from zero, coloured by sign) or "cells": then `x`
    and `y` are labels, (q,) and (r,), and `z` (r, q) is what is shown, red above zero
    and blue below. `colour` counts the colours of the book.
    """
    kind: str
    x: Any
    y: Any
    z: Any = None
    name: str = ''
    colour: int = 0

class Panel(NamedTuple):
    """One pair of axes of a `Sliding` figure: a title, marks, labels, and whether an
    axis is logarithmic."""
    title: str
    marks: Sequence[Mark]
    xlabel: str = ''
    ylabel: str = ''
    xlog: bool = False
    ylog: bool = False

def _limits(panel, axis):
    ...

class Sliding:
    """A figure with one or more numbers to slide, all of whose positions are known.

    Parameters
    ----------
    controls : mapping
        Names of what slides, each to the texts of its positions.
    panels : sequence of Panel
    said : array of str, one axis a control
        What every position says, in words and numbers.
    start : sequence of int
        The position to begin with, one number a control.
    columns : int
        Panels side by side; the last one takes what is left of its row.

    Raises
    ------
    ValueError
        If an array has neither the shape of what stands still nor that of what moves,
        or `start` is no position.
    """
    controls: Mapping[str, Sequence[str]]
    panels: Sequence[Panel]
    said: Numpy
    start: tuple[int, ...]
    columns: int

    def __init__(self, controls: Mapping[str, Sequence[str]], panels: Sequence[Panel], said: Any, start: Sequence[int], columns: int=2) -> None:
        ...

    def __repr__(self) -> str:
        ...

    def draw(self, *positions: int) -> Any:
        """Draw one position, a number for each control and by default the start; returns
    the array of Axes."""

    def to_dict(self) -> dict[str, Any]:
        """All positions as lists, texts and numbers, for JSON."""

    def _repr_html_(self) -> str:
        ...

def _within(position, size):
    ...

def _still_or_moving(mark, sizes):
    ...

def _now(array, positions, still=1):
    ...

def _draw_mark(ax, mark, at):
    ...

def _set_axes(ax, panel):
    ...

def _listed(array, sizes, still=1):
    ...
