"""Kernel ridge regression that chooses its penalty: against cross-validation on a grid, eigenvectors, and one Cholesky."""

import numpy as np
from harness import Case
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV

from olsattention import SpectralSmoother, TridiagonalSmoother, kernels, select_lam

ROWS, COLUMNS, ALPHAS = 3000, 10, np.geomspace(1e-4, 1e2, 20)


def cases():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(ROWS, COLUMNS))
    y = np.sin(X[:, 0]) + 0.5 * X[:, 1] ** 2 + 0.3 * rng.normal(size=ROWS)
    scale = 3.0
    K = kernels.rbf(X, length_scale=scale)

    def ours():
        s = TridiagonalSmoother(kernels.rbf(X, length_scale=scale), overwrite=True)
        chosen = select_lam(s, y)
        return chosen, s.dual_coefficients(y, chosen.lam)[0]

    def eigenvectors():
        s = SpectralSmoother.from_gram(kernels.rbf(X, length_scale=scale), overwrite=True)
        chosen = select_lam(s, y)
        return chosen, s.dual_coefficients(y, chosen.lam)[0]

    def search():
        model = KernelRidge(kernel="rbf", gamma=0.5 / scale**2)
        return GridSearchCV(model, {"alpha": ALPHAS}, cv=5).fit(X, y)

    (fast, a), (slow, _) = ours(), eigenvectors()
    regularised = K + fast.lam * np.eye(ROWS)
    direct = np.linalg.solve(regularised, y)
    yield Case(
        f"kernel ridge with GCV, {ROWS} x {COLUMNS}",
        ours,
        {
            "floor: one Cholesky factorisation": lambda: np.linalg.cholesky(regularised),
            "the same with eigenvectors": eigenvectors,
            "GridSearchCV(KernelRidge), 20 alphas, cv=5": search,
        },
        {
            "lam by GCV": f"{fast.lam:.6f}; with eigenvectors {slow.lam:.6f}",
            "coefficients against a direct solve": f"{np.max(np.abs(a - direct)) / np.max(np.abs(direct)):.1e}",
        },
        3,
    )
