"""Data whose answers are certified: NIST's regressions, with rational arithmetic as second path."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from olsattention import (
    attention_weights,
    hat_matrix,
    leverage,
    loo_residuals,
    ols_coefficients,
    thin_svd,
)

NIST = json.loads(
    (Path(__file__).parents[1] / "nbs" / "data" / "nist_strd.json").read_text()
)

# Correct digits of the *worst* coefficient that must be reached: the book's bars less half a digit, for other machines'
# libraries. Filip's powers x^10 are rounded before any solver sees them; no solver can pass 7.9.
BARS = {
    "Longley": 14.0,
    "Norris": 13.5,
    "Filip": 7.4,
    "Wampler1": 14.5,
    "Wampler2": 12.5,
    "Wampler3": 14.5,
    "Wampler4": 14.5,
    "Wampler5": 14.5,
}


def design(name):
    x, certified = np.array(NIST[name]["x"], float), np.array(NIST[name]["certified"])
    X = (
        np.column_stack([np.ones(len(x)), x])
        if x.ndim == 2
        else np.vander(x, len(certified), increasing=True)
    )
    return X, np.array(NIST[name]["y"], float), certified


def exact_coefficients(X, y):
    """Least squares of the float64 data in rational arithmetic: no rounding anywhere."""
    X, y = (
        [[Fraction(v) for v in row] for row in X.tolist()],
        [Fraction(v) for v in y.tolist()],
    )
    p = len(X[0])
    M = [
        [sum(r[i] * r[j] for r in X) for j in range(p)]
        + [sum(r[i] * v for r, v in zip(X, y))]
        for i in range(p)
    ]
    for i in range(p):
        M[i] = [v / M[i][i] for v in M[i]]
        for k in range(p):
            if k != i:
                M[k] = [a - M[k][i] * c for a, c in zip(M[k], M[i])]
    return [row[-1] for row in M]


def digits(error):
    return -np.log10(max(error, 1e-17))


@pytest.mark.parametrize("name", NIST)
def test_coefficients_reach_the_certified_values(name):
    X, y, certified = design(name)
    assert digits(np.max(np.abs(ols_coefficients(X, y) / certified - 1))) >= BARS[name]


@pytest.mark.parametrize("name", NIST)
def test_coefficients_equal_exact_arithmetic(name):
    X, y, _ = design(name)
    exact = np.array([float(b) for b in exact_coefficients(X, y)])
    np.testing.assert_allclose(ols_coefficients(X, y), exact, rtol=2e-14)


@pytest.mark.parametrize("name", NIST)
def test_weights_survive_hard_data(name):
    X, y, _ = design(name)
    b = exact_coefficients(X, y)
    fitted = np.array(
        [float(sum(Fraction(v) * c for v, c in zip(row, b))) for row in X.tolist()]
    )
    W = attention_weights(X, X)
    assert digits(np.max(np.abs(W @ y - fitted)) / np.max(np.abs(fitted))) >= 14.5
    assert abs(np.trace(W) - X.shape[1]) < 1e-12
    assert np.max(np.abs(W.sum(axis=1) - 1)) < 1e-12
    assert np.max(np.abs(W - W.T)) < 1e-12


@pytest.mark.parametrize("name", NIST)
def test_intercept_instead_of_a_column_of_ones(name):
    X, y, _ = design(name)
    W = attention_weights(X[:, 1:], X[:, 1:], intercept=True)
    np.testing.assert_allclose(
        W, attention_weights(X, X), atol=1e-9 if name == "Filip" else 1e-12
    )


@pytest.mark.parametrize("name", NIST)
def test_no_silent_loss_of_rank(name, recwarn):
    X, _, _ = design(name)
    assert thin_svd(X).rank == X.shape[1]
    attention_weights(X, X), hat_matrix(X), leverage(X)
    assert not recwarn.list


def test_longley_against_statsmodels():
    import statsmodels.api as sm

    X, y, _ = design("Longley")
    influence = sm.OLS(y, X).fit(method="qr").get_influence()
    np.testing.assert_allclose(leverage(X), influence.hat_matrix_diag, rtol=1e-9)
    np.testing.assert_allclose(loo_residuals(X, y), influence.resid_press, rtol=1e-8)
