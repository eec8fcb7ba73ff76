# Written by `make export` from the chapters: edit those, not this.
from typing import Any
__all__ = ['AttentionRegressor']
import array_api_compat
import numpy as np
from fastcore.basics import patch
from olsattention.arrays import Table, as_flag, as_floats, as_lam, as_matrix, as_number, labelled, labels_of, to_numpy
from ..kernels.names import get_kernel
from .tabular import fit_similarity
from ..regression.smoother import SpectralSmoother
from ..regression.weighting import RowWeights, require_weight_type
from ..selection.gcv import CRITERIA, select_lam
from ..selection.tridiagonal import smoother_of_gram
try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("olsattention.practice.estimators needs scikit-learn 1.6 or later and pandas; pip install 'olsattention[sklearn]'") from error

class AttentionRegressor(RegressorMixin, BaseEstimator):
    """Ridge or kernel ridge regression that says which training rows each prediction listens to.

    Parameters
    ----------
    kernel : str or callable
        A name known to `get_kernel`, or a function ``kernel(X, Z)`` of two sets of rows that returns their matrix (m, n).
        ``"sobolev"`` and ``"spline"`` make additive models of columns scaled to the unit interval by the training rows.
    alpha : {"gcv", "loo", "gml", "rgcv"} or float
        A criterion that chooses the penalty, or the penalty itself, >= 0: the number beside the Gram matrix, as in
        scikit-learn's Ridge and KernelRidge.
    fit_intercept : bool
        Leave a constant unpenalised. A spline always has one.
    length_scale : float, optional
        Of ``"rbf"``, ``"matern"`` and ``"laplacian"``; default (12.1).
    nu : float
        Of ``"matern"``.
    degree, gamma, coef0 : int, float or None, float
        Of ``"polynomial"``.
    scale : float, optional
        Of ``"exponential"``; default (12.1).
    order : {1, 2, 3}
        Of ``"sobolev"``.
    period : float, optional
        Of ``"sobolev"``, in the units of the columns; default the range of each.
    kernel_params : dict, optional
        Further parameters, for kernels that are functions.
    weight_type : {"frequency", "precision"}
        What `sample_weight` means to a criterion: so many copies of a row, which repeat its error, or one over the variance
        of its error, up to a factor. Fits at a given `alpha` do not depend on it.

    Attributes
    ----------
    alpha_ : float
        The penalty. 0.0 if a criterion was asked for but the unpenalised functions interpolate: then nothing depends on it.
    selection_ : SelectedLam or None
        How a criterion chose it.
    df_, gcv_, loo_ : float
        Effective degrees of freedom; generalised cross-validation and mean squared leave-one-out error at `alpha_`, the mean
        over outcomes. `loo_` is computed when asked for.
    coef_ : array, shape (p,) or (k, p)
        Only if ``kernel="linear"``.
    dual_coef_, X_fit_ : array, shape (n,) or (n, k), and (n, p)
        For other kernels: predictions are ``kernel(X, X_fit_) @ dual_coef_ + intercept_``, and for splines the slopes.
    intercept_ : float or array (k,)
    kernel_params_ : dict
        Parameters of the kernel, defaults resolved.
    y_fit_ : array, shape (n,) or (n, k)
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Notes
    -----
    Several outcomes share the penalty. Computed and returned in float64. With array-API dispatch, torch tensors are fitted on
    their device and come back. A kernel keeps its factorisation, one or two arrays (n, n); from 500 rows on, GCV and GML need no
    eigenvectors. Source: (3a.1) to (3a.4), (12.1) to (12.4), (12b.1).
    """

    def __init__(self, kernel='linear', alpha='gcv', *, fit_intercept=True, length_scale=None, nu=1.5, degree=3, gamma=None, coef0=1.0, scale=None, order=1, period=None, kernel_params=None, weight_type='frequency'):
        ...

    def __sklearn_tags__(self):
        ...

    def fit(self, X, y, sample_weight=None, groups=None):
        """Fit the regression.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (n, p)
        Training rows; an index is remembered for `attention_weights` and `explain`.
    y : array, tensor, Series or DataFrame, shape (n,) or (n, k)
        Outcomes.
    sample_weight : array, shape (n,), or float, optional
        Not negative; a row of weight zero is as good as dropped. `weight_type` says what they mean to a criterion.
    groups : array, shape (n,), optional
        Labels of rows that ``alpha="loo"`` leaves out together.

    Returns
    -------
    AttentionRegressor
        Itself.

    Raises
    ------
    TypeError, ValueError
        On input that is not finite and real, an unknown kernel or criterion, or weights that are negative or all zero.

    Warns
    -----
    BoundaryWarning
        If the criterion asks for no penalty, or for an infinite one.
    """

    def _fit_smoother(self, X):
        """The similarity and the smoother of the rows that count (m, p)."""

    def _set_coefficients(self, X, y):
        ...

    def predict(self, X, return_std=False):
        """Predictions at new rows (m, p), shape (m,) or (m, k); with `return_std` also the deviation of a new outcome (5d.4)."""

    def _mean(self, X):
        ...

    def attention_weights(self, X):
        """The weights of all training rows in each prediction: ``attention_weights(X) @ y_fit_ == predict(X)``.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (m, p)
        New rows.

    Returns
    -------
    array, tensor or DataFrame, shape (m, n)
        Labelled if X and the training rows have an index. Rows sum to 1 if there is an intercept.

    Notes
    -----
    Source: (3a.2), (12b.1).
    """

    @property
    def loo_(self):
        ...

    def explain(self, X, top=5, groups=None):
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
        One row for each query, rank and (if there are several) output: ``query``, ``rank`` (from 1), ``row`` (the label of
        the training row), ``weight``, ``outcome`` (its y), ``contribution`` (their product), ``share`` (contribution over
        prediction), ``leverage`` (of the training row) and ``without`` (the prediction, had the row not been there).

    Notes
    -----
    Over all training rows the contributions add to the prediction and the shares to 1; with weights or outcomes of both
    signs a share may be negative or above 1. The intercept is inside the weights.
    Of groups the weights and contributions are sums, ``row`` is the label and ``rows`` their number; the rank is by the sum
    of the sizes of the weights. Source: (12b.1), (5c.2).
    """

    def plot_weights(self, X, ax=None):
        """Draw the attention of the queries (m, p) as a heat map; returns the Axes."""

    def influence(self, X, groups=None):
        """How every prediction changes if a training row, or a group of them, is deleted; exact at the same `alpha_`.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (m, p)
        New rows.
    groups : array, shape (n,), optional
        Labels of the training rows; those of one label are deleted together.

    Returns
    -------
    array, tensor or DataFrame, shape (m, n) or (m, G), with several outputs (m, n, k) or (m, G, k)
        Labelled if X and the training rows have an index. Groups of the rows that count, in order of appearance.

    Notes
    -----
    Source: (5c.2).
    """

    def _groups_of(self, groups):
        """Labels of the rows that count, validated for all rows; None for None."""

    def _entered(self, X):
        """New rows (m, p) as the smoother takes them, and their unpenalised functions or None."""

    def _without(self, X, groups):
        """Predictions (m, n, k) or (m, G, k) without each row or group, an ndarray."""

    def _of_groups(self, X, W, y, top, groups, without):
        """The table of `explain` for groups, from weights (m, n), outcomes and predictions (m, G, k) without each."""

    def _kept(self):
        """Places of the rows that count, an ndarray."""

    def _deviation(self, X):
        """Standard deviation (m,) or (m, k) of a new outcome of weight 1."""

    def predict_interval(self, X, coverage=0.9, method='jackknife+', groups=None):
        """Intervals for the outcomes of new rows.

    Parameters
    ----------
    X : array, tensor or DataFrame, shape (m, p)
        New rows.
    coverage : float
        In (0, 1).
    method : {"jackknife+", "posterior"}
        From leave-one-out errors, which covers ``1 - 2 (1 - coverage)`` for exchangeable rows whatever the law of the errors;
        or the normal interval of `predict` with `return_std`.
    groups : array, shape (n,), optional
        Labels of training rows; those of one label are left out together (CV+).

    Returns
    -------
    Interval
        ``.prediction``, ``.lower``, ``.upper``, each (m,) or (m, k); Series or DataFrames if X is a DataFrame.

    Raises
    ------
    ValueError
        On an unknown method, a coverage outside (0, 1), or groups beside the posterior.

    Notes
    -----
    Source: (5d.4), (5d.6), (5d.7).
    """
AttentionRegressor.__init_subclass__()
CHOOSING: Any

def _check_parameters(estimator):
    """Errors for parameters that no kernel will check."""

def _choice(smoother, y, alpha, groups=None):
    """The penalty, and how a criterion chose it or None."""

def _mean(values):
    """The mean of a criterion over all outcomes, a number."""

def _index_of(X):
    """The row labels of a DataFrame, else None."""

def _wide(values, name):
    ...

def _place(values):
    """The library and the device of an array."""

def _beside(values, X):
    """Outcomes or weights in the library and on the device of X."""

def _validated(estimator, **given):
    """X, or X and y, in float64 of one library, by scikit-learn's rules; an error that names a bad position."""

def _queries(estimator, X, method):
    """New rows, from the library and the device of the training rows."""

def _name_bad_position(given, error):
    ...

def _rows_of(X, sample_weight, weight_type):
    """The `RowWeights` of the rows X (n, p); weights come to the library and the device of X."""

def _explanation(W, y, top, index, rows, outputs, audit):
    """The table of `explain`, from weights (m, n) and outcomes (n,) or (n, k); labels may be None, and
    the `audit` are leverages (n,) and predictions without each row (m, n, k)."""
from scipy.special import ndtri
from ..regression.smoother import as_groups
from olsattention.selection.sure import Interval, noise_variance, posterior_variance, prediction_interval
from ..selection.without import influence as change_by_deletion

def _kernel_with_itself(similarity, X):
    """The kernel of each row of X (m, p) with itself, (m,)."""
