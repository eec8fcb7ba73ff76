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
    """What the mean squared error of an average of heads consists of; every term is in squared units of the target.

    Bias, variance and covariance are NaN with a single repetition, which does not tell them apart.

    Attributes
    ----------
    error : float or 0-d tensor
        Of the average of the heads: ``bias + variance / M + (1 - 1/M) * covariance``, and ``member_error - ambiguity``.
    member_error : float or 0-d tensor
        Of a single head, in the mean over heads.
    bias : float or 0-d tensor
        Square of the mean bias of the heads, in the mean over points.
    variance : float or 0-d tensor
        Of a head, in the mean over heads and points.
    covariance : float or 0-d tensor
        Of two different heads, in the mean over pairs and points; zero if there is but one head.
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
        """The terms as a DataFrame: their values, and what each adds to the error of the average."""

def ensemble_decomposition(head_outputs: AnyArray, target: AnyArray) -> EnsembleDecomposition:
    """Bias, variance, covariance and ambiguity of an average of heads.

    Parameters
    ----------
    head_outputs : array or tensor, shape (M, R, ...) or (M, ...)
        Predictions of M heads in R repetitions of the data, or in one.
    target : array or tensor, shape (...)
        What they predict, the same in all repetitions.

    Returns
    -------
    EnsembleDecomposition
        Numbers, or tensors that can be differentiated.

    Raises
    ------
    TypeError, ValueError
        On shapes that do not fit together, or values that are not finite real numbers.

    Notes
    -----
    Moments over the repetitions divide by R, so that (7.1) to (7.3) hold exactly for the sample; `bias` then exceeds that of
    infinitely many repetitions by 1/R of the variance of the average. With observations as targets, their noise counts as
    bias. Source: Ueda and Nakano (1996), Krogh and Vedelsby (1995).
    """

def _predictions(head_outputs, target):
    """Predictions (M, R, n) and a target (n,) of one dtype."""

def _products(x):
    """Mean products of every two heads of x (M, R, n)."""

def combination_weights(error_matrix: Array) -> Array:
    """The weights, with sum one, that combine heads with the least mean squared error.

    Parameters
    ----------
    error_matrix : array or tensor, shape (M, M)
        Mean products of the errors of two heads, bias included: symmetric and positive semidefinite.

    Returns
    -------
    array, shape (M,)
        Possibly negative. If several are best, those nearest to equal weights.

    Raises
    ------
    TypeError, ValueError
        If it is not a finite, symmetric and positive semidefinite matrix.

    Notes
    -----
    With ``P = I - 11'/M`` they are ``1/M - P (P C P)^+ P C 1/M``, which is (7.5) if C is invertible. Source: Bates and
    Granger (1969).
    """
