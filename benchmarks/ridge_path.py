"""A hundred penalties with leave-one-out errors: against RidgeCV and the bare Gram product; columns in unlike units."""

import numpy as np
from harness import Case
from sklearn.linear_model import RidgeCV

from olsattention import ridge_path

LAMS = np.geomspace(1e-3, 1e6, 100)


def cases():
    yield compare(20_000, 500, repeats=3)
    yield compare(500, 20_000, repeats=3)
    yield unlike_units(12_000, 400, repeats=7)


def compare(n, p, repeats):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, p))
    y = X[:, :10].sum(axis=1) + rng.normal(size=n)
    gram = (lambda: X.T @ X) if n > p else (lambda: X @ X.T)

    def peer():
        return RidgeCV(alphas=LAMS, store_cv_results=True).fit(X, y)

    path, fitted = ridge_path(X, y, LAMS, intercept=True), peer()
    loo = fitted.cv_results_.mean(axis=0)
    return Case(
        f"ridge path with df, RSS, GCV, LOO, {n} x {p}, 100 penalties",
        lambda: ridge_path(X, y, LAMS, intercept=True),
        {"floor: the bare Gram product": gram, "scikit-learn RidgeCV": peer},
        {
            "largest relative difference of LOO": f"{np.max(np.abs(path.loo / loo - 1)):.1e}",
            "extra memory over X": f"X is {X.nbytes / 2**20:.0f} MiB",
        },
        repeats,
    )


def unlike_units(n, p, repeats):
    """Columns whose sizes fall by 1e-3, against the same columns in one unit."""
    rng = np.random.default_rng(2)
    alike = rng.normal(size=(n, p))
    y = alike[:, :10].sum(axis=1) + rng.normal(size=n)
    unlike = alike * np.geomspace(1, 1e-3, p)
    return Case(
        f"ridge path, columns falling from 1 to 1e-3, {n} x {p}, 100 penalties",
        lambda: ridge_path(unlike, y, LAMS, intercept=True),
        {"all columns of size 1": lambda: ridge_path(alike, y, LAMS, intercept=True)},
        {"asked for": "at least 0.71 (1.4 times as long at most)"},
        repeats,
    )
