"""Weights of a linear regression: against the bare work, NumPy's pseudo-inverse, and macroforecast."""

import numpy as np
import pandas as pd
from harness import Case
from macroforecast.interpretation import ols_attention_weights

from olsattention import attention_weights


def cases():
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(2000, 400)), rng.normal(size=(2000, 400))
    frames = [pd.DataFrame(a).add_prefix("x") for a in (train, test)]

    def bare():
        Q, _ = np.linalg.qr(train)
        return test @ Q.T

    ours, theirs = (
        attention_weights(test, train, intercept=True),
        ols_attention_weights(*frames),
    )
    yield Case(
        "weights, 2000 x 400 training rows, 2000 queries",
        lambda: attention_weights(test, train, intercept=True),
        {
            "floor: one thin QR and the product": bare,
            "numpy pinv": lambda: test @ np.linalg.pinv(train),
            "macroforecast": lambda: ols_attention_weights(*frames),
        },
        {
            "error of W X_train = X_test, ours": f"{error(ours, train, test):.1e}",
            "error of W X_train = X_test, macroforecast": f"{error(weights_of(theirs), train, test):.1e}",
        },
    )

    near = train.copy()
    near[:, 1] = near[:, 0] + 1e-6 * near[:, 1]
    ours, theirs = (
        attention_weights(test, near),
        weights_of(ols_attention_weights(*map(named, (near, test)), add_intercept=False)),
    )
    yield Case(
        "the same, two columns nearly equal (refined)",
        lambda: attention_weights(test, near),
        {"floor: one thin QR and the product": bare},
        {
            "error of W X_train = X_test, ours": f"{error(ours, near, test):.1e}",
            "error of W X_train = X_test, macroforecast": f"{error(theirs, near, test):.1e}",
        },
        repeats=3,
    )


def named(values):
    return pd.DataFrame(values).add_prefix("x")


def weights_of(table):
    """macroforecast answers in long form: test rows slowest, training rows fastest."""
    return table["weight"].to_numpy().reshape(table["test_row"].nunique(), -1)


def error(W, train, test):
    """Every least-squares weight matrix must reproduce the queries from the keys."""
    return np.abs(W @ train - test).max() / np.abs(test).max()
