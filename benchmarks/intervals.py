"""Jackknife+ intervals of ridge and kernel ridge: from the closed form, and by MAPIE's refits."""

import numpy as np
from harness import Case
from mapie.regression import CrossConformalRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut

from olsattention import SpectralSmoother, kernels, prediction_interval

LAM, COVERAGE = 5.0, 0.9


def cases():
    X, y, new = data(2000, 50, 500)

    def ours():
        s = SpectralSmoother.from_design(X, intercept=True)
        return prediction_interval(s, new, y, LAM, COVERAGE)

    floor = np.random.default_rng(0).normal(size=(len(new), X.shape[1]))
    yield compare("ridge", Ridge(LAM), ours, X, y, new, lambda: floor @ X.T)

    X, y, new = data(300, 5, 100)

    def ours_by_kernel():
        s = SpectralSmoother.from_gram(kernels.rbf(X))
        return prediction_interval(s, kernels.rbf(new, X), y, LAM, COVERAGE)

    model = KernelRidge(alpha=LAM, kernel="rbf", gamma=0.5)
    K = kernels.rbf(X)
    yield compare(
        "kernel ridge", model, ours_by_kernel, X, y, new, lambda: np.linalg.eigh(K)
    )


def data(n, p, m):
    rng = np.random.default_rng(16)
    X, new = rng.normal(size=(n, p)), rng.normal(size=(m, p))
    return X, X[:, 0] + rng.normal(size=n), new


def compare(name, model, ours, X, y, new, floor):
    def peer():
        made = CrossConformalRegressor(
            model, confidence_level=COVERAGE, cv=LeaveOneOut(), method="plus"
        )
        return made.fit_conformalize(X, y).predict_interval(new)[1][:, :, 0]

    apart = np.max(np.abs(np.stack(ours()[1:], axis=1) - peer()))
    return Case(
        f"jackknife+ of {name}, {X.shape[0]} x {X.shape[1]}, {len(new)} new rows",
        ours,
        {"floor: the product or factor alone": floor, "MAPIE, a fit for each row": peer},
        {
            "largest difference of the ends": f"{apart:.1e}",
            "size of the weights": f"{8 * len(X) * len(new) / 2**20:.0f} MiB",
        },
        3,
    )
