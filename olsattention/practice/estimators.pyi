# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import warnings
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any
import array_api_compat
import numpy as np
from fastcore.basics import patch
from scipy.optimize import minimize, minimize_scalar
from olsattention.arrays import AnyArray, Frame, SameKind, Table, as_flag, as_floats, as_lam, as_matrix, as_number, labelled, labels_of, to_numpy
from ..kernels.names import Kernel, get_kernel
from .tabular import fit_similarity, warn_of_ignored
from ..regression.smoother import SpectralSmoother
from ..regression.weighting import RowWeights, require_weight_type
from olsattention.selection.gcv import CRITERIA, BoundaryWarning, SelectedLam, as_penalties, select_lam
from ..selection.tridiagonal import smoother_of_gram
__all__ = ['AttentionRegressor']
if TYPE_CHECKING:

    class RegressorMixin:

        def score(self, X: Any, y: Any, sample_weight: Any=None) -> float:
            ...

    class BaseEstimator:

        def get_params(self, deep: bool=True) -> dict[str, Any]:
            ...

        def set_params(self, **params: Any) -> Any:
            ...

        def set_fit_request(self, *, sample_weight: Any='$UNCHANGED$') -> Any:
            ...

        def set_score_request(self, *, sample_weight: Any='$UNCHANGED$') -> Any:
            ...

    def check_is_fitted(estimator: Any) -> None:
        ...

    def validate_data(estimator: Any, *given: Any, **rules: Any) -> Any:
        ...
else:
    try:
        from sklearn.base import BaseEstimator, RegressorMixin
        from sklearn.utils.validation import check_is_fitted, validate_data
    except ImportError as error:
        raise ImportError("olsattention.practice.estimators needs scikit-learn 1.6 or later and pandas; pip install 'olsattention[sklearn]'") from error

class Fitted(BaseEstimator):
    """What a fit leaves in an `AttentionRegressor`, which says what it is."""
    alpha_: Any
    selection_: SelectedLam | None
    df_: Any
    gcv_: Any
    coef_: SameKind
    dual_coef_: SameKind
    X_fit_: SameKind
    y_fit_: SameKind
    intercept_: Any
    kernel_params_: dict[str, Any]
    n_features_in_: int
    feature_names_in_: SameKind

class AttentionRegressor(RegressorMixin, Fitted):
    """Ridge or kernel ridge regression that says whom each prediction listens to.

    A kernel keeps one or two arrays (n, n). Source: (3a.1) to (3a.4), (12.1) to (12b.3).

    Parameters
    ----------
    kernel : str or callable
        A name known to `get_kernel`, ``"precomputed"``, or a function ``kernel(X, Z)``
        that returns a matrix (m, n). ``"sobolev"`` and ``"spline"`` are additive.
    alpha : {"gcv", "loo", "gml", "rgcv"}, float or array (k,)
        A criterion that chooses the penalty, or the penalty itself (of each outcome),
        >= 0: the number beside the Gram matrix.
    alphas : sequence of float, optional
        Penalties for the criterion to choose among; default a search.
    alpha_per_target : bool
        Whether the criterion chooses a penalty for each outcome.
    fit_intercept : bool
        Leave a constant unpenalised. A spline always has one.
    standardize : bool
        Divide the columns by their deviations first; `coef_` is for them as they came.
    length_scale : float, array (p,) or str, optional
        Of ``"rbf"``, ``"matern"``, ``"laplacian"``, for all columns or each; default
        (12.1); ``"auto"`` and ``"auto each"``: the best for the criterion (12b.3).
    nu : float
        Of ``"matern"``.
    degree, coef0 : int, float
        Of ``"polynomial"``.
    gamma, scale : float, optional
        Of ``"polynomial"`` and radial kernels (12b.2); of ``"exponential"``, or (12.1).
    order, period : int, float or None
        Of ``"sobolev"``: 1, 2 or 3; in the units of the columns, default their range.
    kernel_params : dict, optional
        Further ones, for functions.
    weight_type : {"precision", "frequency"}
        What `sample_weight` is: up to a factor one over a variance, or so many copies.

    Attributes
    ----------
    alpha_ : float or array (k,)
        The penalty, or that of each outcome; 0.0 where there is nothing to choose.
    selection_ : SelectedLam or None
        How a criterion chose it.
    df_ : float or array (k,)
        Effective degrees of freedom.
    gcv_, loo_ : float or array (k,)
        Criteria of the fit: means over outcomes, or of each with its own penalty.
    coef_ : array, shape (p,) or (k, p)
        Only if ``kernel="linear"``.
    dual_coef_ : array, shape (n,) or (n, k)
        Of others: ``kernel(X, X_fit_) @ dual_coef_ + intercept_``; a spline's slopes.
    X_fit_ : array, shape (n, p)
        For other kernels, the training rows.
    intercept_ : NumPy float or array (k,)
    kernel_params_ : dict
        Parameters of the kernel, defaults resolved.
    y_fit_ : array, shape (n,) or (n, k)
    """

    def __init__(self, kernel: str | Kernel='linear', alpha: str | float | AnyArray='gcv', *, alphas: AnyArray | None=None, alpha_per_target: bool=False, fit_intercept: bool=True, standardize: bool=False, length_scale: float | str | AnyArray | None=None, nu: float=1.5, degree: int=3, gamma: float | None=None, coef0: float=1.0, scale: float | None=None, order: int=1, period: float | None=None, kernel_params: dict[str, Any] | None=None, weight_type: str='precision') -> None:
        ...

    def __sklearn_tags__(self) -> Any:
        ...

    def fit(self, X: Any, y: AnyArray, sample_weight: AnyArray | float | None=None, groups: AnyArray | None=None) -> AttentionRegressor:
        """Fit the regression.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (n, p)
        Training rows, computed in float64; with ``kernel="linear"`` also sparse, made
        dense. An index is remembered for `attention_weights` and `explain`; one of y or
        the weights must be the same. Nothing is kept that the caller could change.
    y : array, tensor, Series or DataFrame, shape (n,) or (n, k)
        Outcomes.
    sample_weight : array, shape (n,), or float, optional
        Not negative; zero for a row that is as good as dropped. See `weight_type`.
    groups : array, shape (n,), optional
        Labels of rows that ``alpha="loo"`` leaves out together.

    Returns
    -------
    AttentionRegressor
        Itself.

    Raises
    ------
    TypeError, ValueError
        On input that is not finite and real, an unknown kernel or criterion, or weights
        that are negative or all zero.

    Warns
    -----
    BoundaryWarning
        If the criterion asks for no penalty, or for an infinite one.
    """

    def _prepared(self, X):
        """Rows as the similarity and the smoother see them: dense, and in the units of the
    fit."""

    def _fit_smoother(self, X, y):
        """The similarity and the smoother of the rows that count (m, p), whose outcomes are
    y."""

    def _set_coefficients(self, X, y):
        ...

    def _by_penalty(self, ask, y):
        """Two answers for outcomes y, (r,) or (r, k) each, by the penalty of all or of each
    outcome."""

    def _of_each(self, values):
        """Numbers, one for each penalty, as they are shown."""

    def _criterion(self, ask):
        """What a criterion says of the fit: the mean over outcomes, or of each if they have
    their own penalties."""

    def predict(self, X: Any, return_std: bool=False) -> SameKind:
        """Predictions at new rows (m, p), shape (m,) or (m, k); with `return_std` also the
    deviation of a new outcome (5d.4).
    """

    def _mean(self, X):
        """Predictions at prepared rows."""

    def attention_weights(self, X: Any) -> SameKind:
        """The weights of all training rows in each prediction: ``attention_weights(X) @
    y_fit_ == predict(X)``.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (m, p)
        New rows.

    Returns
    -------
    array, tensor or DataFrame, shape (m, n)
        Labelled if X and the training rows have an index. Rows sum to 1 if there is an
        intercept. If every outcome has its own penalty, an array (k, m, n), one matrix
        for each.

    Notes
    -----
    Source: (3a.2), (12b.1).
    """

    @property
    def loo_(self) -> Any:
        ...

    def explain(self, X: Any, top: int | None=5, groups: AnyArray | None=None) -> Frame:
        """Which training rows each prediction listens to most.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (m, p)
        New rows.
    top : int, optional
        How many training rows for each, by the size of their weight; None for all.
    groups : array, shape (n,), optional
        Labels of the training rows; the table is then one of groups, see Notes.

    Returns
    -------
    DataFrame
        One row for each query, rank and (if there are several) output: ``query``,
        ``rank`` (from 1), ``row`` (the label of the training row), ``weight``,
        ``outcome`` (its y), ``contribution`` (their product), ``share`` (contribution
        over prediction), ``leverage`` (of the training row) and ``without`` (the
        prediction, had the row not been there).

    Notes
    -----
    Over all training rows the contributions add to the prediction and the shares to 1;
    with weights or outcomes of both signs a share may be negative or above 1. The
    intercept is inside the weights. Of groups the weights and contributions are sums,
    ``row`` is the label and ``rows`` their number; the rank is by the sum of the sizes
    of the weights. Source: (12b.1), (5c.2).
    """

    def plot_weights(self, X: Any, ax: Any=None) -> Any:
        """Draw the attention of the queries (m, p) as a heat map; returns the Axes."""

    def influence(self, X: Any, groups: AnyArray | None=None) -> SameKind:
        """How every prediction changes if a training row, or a group of them, is deleted;
    exact at the same `alpha_`.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (m, p)
        New rows.
    groups : array, shape (n,), optional
        Labels of the training rows; those of one label are deleted together.

    Returns
    -------
    array, tensor or DataFrame, shape (m, n) or (m, G)
        With several outputs (m, n, k) or (m, G, k). Labelled if X and the training rows
        have an index. Groups of the rows that count, in order of appearance.

    Notes
    -----
    Source: (5c.2).
    """

    def _groups_of(self, groups):
        """Labels of the rows that count, validated for all rows; None for None."""

    def _entered(self, X):
        """New rows (m, p) as the smoother takes them, and their unpenalised functions or
    None."""

    def _without(self, X, groups):
        """Predictions (m, n, k) or (m, G, k) without each row or group, an ndarray."""

    def _of_groups(self, X, W, y, top, groups, without):
        """The table of `explain` for groups, from weights (m, n), outcomes and predictions
    (m, G, k) without each.
    """

    def _kept(self):
        """Places of the rows that count, an ndarray."""

    def _deviation(self, X):
        """Standard deviation (m,) or (m, k) of a new outcome of weight 1."""

    def predict_interval(self, X: Any, coverage: float=0.9, method: str='jackknife+', groups: AnyArray | None=None) -> Interval:
        """Intervals for the outcomes of new rows.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (m, p)
        New rows.
    coverage : float
        In (0, 1).
    method : {"jackknife+", "posterior"}
        From leave-one-out errors, which covers ``1 - 2 (1 - coverage)`` for
        exchangeable rows whatever the law of the errors; or the normal interval of
        `predict` with `return_std`.
    groups : array, shape (n,), optional
        Labels of training rows; those of one label are left out together (CV+).

    Returns
    -------
    Interval
        ``.prediction``, ``.lower``, ``.upper``, each (m,) or (m, k); Series or
        DataFrames if X is a DataFrame.

    Raises
    ------
    ValueError
        On an unknown method, a coverage outside (0, 1), or groups beside the posterior.

    Notes
    -----
    Source: (5d.4), (5d.6), (5d.7).
    """
AttentionRegressor.__init_subclass__()
FITTED: Any

def _forget(estimator):
    ...

def _require_same_index(X, **others):
    ...

def _units_of(estimator, X):
    ...

def _dense(X):
    ...

def _kernel_fit(estimator, X, given, extra):
    ...
CHOOSING: Any

def _check_parameters(estimator):
    ...
USUAL: Any

def _check_combinations(estimator):
    ...

def _check_penalties(estimator):
    ...

def _choice(smoother, y, estimator, groups=None):
    ...

def _index_of(X):
    ...

def _wide(values, name):
    ...

def _place(values):
    ...

def _beside(values, X):
    ...

def _validated(estimator, **given):
    ...

def _queries(estimator, X, method, prepared=True):
    ...

def _name_bad_position(given, error):
    ...

def rows_that_weigh(X, sample_weight, weight_type):
    ...

def _explanation(W, y, top, index, rows, outputs, audit):
    ...
from scipy.special import ndtri
from ..regression.smoother import as_groups
from olsattention.selection.sure import Interval, noise_variance, posterior_variance, prediction_interval
from ..selection.without import influence as change_by_deletion

def _kernel_with_itself(similarity, X):
    ...

def _by_output(tables, outputs):
    ...

def _best_length_scale(estimator, X, y):
    ...

def _first_length_scale(estimator, X):
    ...

def _score_at(estimator, X, y, start, t):
    ...
