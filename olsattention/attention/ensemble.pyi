# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
from typing import TYPE_CHECKING, NamedTuple
import array_api_compat
from fastcore.basics import patch
from ..arrays import AnyArray, Array, as_floats, promote, to_numpy
if TYPE_CHECKING:
    import pandas as pd
__all__ = ['EnsembleDecomposition', 'ensemble_decomposition', 'combination_weights']

class EnsembleDecomposition(NamedTuple):
    """What the mean squared error of an average of heads consists of; every term is in
    squared units of the target.

    Bias, variance and covariance are NaN with a single repetition, which does not tell
    them apart.

    Attributes
    ----------
    error : float or 0-d tensor
        Of the average of the heads: ``bias + variance / M + (1 - 1/M) * covariance``,
        and ``member_error - ambiguity``.
    member_error : float or 0-d tensor
        Of a single head, in the mean over heads.
    bias : float or 0-d tensor
        Square of the mean bias of the heads, in the mean over points.
    variance : float or 0-d tensor
        Of a head, in the mean over heads and points.
    covariance : float or 0-d tensor
        Of two different heads, in the mean over pairs and points; zero if there is but
        one head.
    ambiguity : float or 0-d tensor
        Spread of the heads about their average.
    error_matrix : array, shape (M, M)
        Mean products of the errors of two heads, for `combination_weights`.
    """
    error: object
    member_error: object
    bias: object
    variance: object
    covariance: object
    ambiguity: object
    error_matrix: object

    def _numbers(self):
        ...

    def __repr__(self) -> str:
        ...

    @property
    def heads(self) -> int:
        """Number of heads, M."""

    def to_frame(self) -> pd.DataFrame:
        """The terms as a DataFrame: their values, and what each adds to the error of the
    average."""

def ensemble_decomposition(head_outputs: AnyArray, target: AnyArray) -> EnsembleDecomposition:
    ...

def _predictions(head_outputs, target):
    ...

def _products(x):
    ...

def combination_weights(error_matrix: Array) -> Array:
    ...
