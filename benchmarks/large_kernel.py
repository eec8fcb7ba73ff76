"""Kernel ridge regression on many rows: against GPyTorch at the same true residual, and Nystroem with Ridge at the same test error."""

import numpy as np
import torch
from harness import Case
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from olsattention import LargeKernelRegressor
from olsattention.practice.large import KernelProduct

ROWS, COLUMNS, SCALE, TOL = 8000, 10, 3.0, 1e-6
PENALTY = 1e-5  # times the number of rows


def cases(rows=ROWS, peers=True, repeats=3):
    X, y, X_test, y_test = data(rows)
    lam = PENALTY * rows

    def ours():
        model = LargeKernelRegressor(alpha=lam, length_scale=SCALE, tol=TOL)
        return model.fit(X, y)

    model = ours()
    wanted = error(model.predict(X_test), y_test)
    facts = {
        "test error, ours": f"{wanted:.4f}",
        "true relative residual, ours": f"{true_residual(model):.1e}",
        "products in the inner solves": model.solution_.products,
    }
    others = {}
    if peers:
        components = enough_components(X, y, X_test, y_test, wanted)
        others[f"Nystroem({components}) + Ridge, same test error"] = lambda: nystroem(
            X, y, components
        )
        others["GPyTorch, same true residual"] = lambda: gpytorch_solve(X, y, lam)[0]
        facts["Nystroem components, same test error"] = components
        facts["true relative residual, GPyTorch"] = f"{gpytorch_solve(X, y, lam)[1]:.1e}"
    yield Case(f"kernel ridge, {rows} x {COLUMNS}", ours, others, facts, repeats)


def data(rows):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(rows + 2000, COLUMNS))
    y = np.sin(2 * X[:, 0]) + 0.5 * X[:, 1] ** 2 + X[:, 2] * X[:, 3]
    y += 0.3 * rng.normal(size=len(y))
    return X[:rows], y[:rows], X[rows:], y[rows:]


def error(predicted, y):
    return float(np.sqrt(np.mean((predicted - y) ** 2)))


def true_residual(model):
    """Of (K + lam I) a + b = y, with every entry of K made anew in float64."""
    X, a = model.X_fit_, model.dual_coef_[:, None]
    products = KernelProduct(X, model._products.kernel, 0)
    y = data(len(X))[1]
    fitted = products.double_product(a)[:, 0] + model.alpha_ * a[:, 0] + model.intercept_
    return np.linalg.norm(y - fitted) / np.linalg.norm(y)


def nystroem(X, y, components):
    features = Nystroem(gamma=0.5 / SCALE**2, n_components=components, random_state=0)
    return make_pipeline(features, Ridge(PENALTY * len(X))).fit(X, y)


def enough_components(X, y, X_test, y_test, wanted):
    """The fewest of 500, 1000, 2000, 4000 whose test error is within one percent of ours, or the largest."""
    for components in (500, 1000, 2000, 4000):
        if error(nystroem(X, y, components).predict(X_test), y_test) < 1.01 * wanted:
            break
    return components


def gpytorch_solve(X, y, lam):
    """The same system by GPyTorch's preconditioned conjugate gradients, its tolerance lowered until the true residual is ours."""
    import gpytorch
    from linear_operator.operators import (
        AddedDiagLinearOperator,
        ConstantDiagLinearOperator,
    )

    Xt, yt = torch.from_numpy(X), torch.from_numpy(y - y.mean())[:, None]
    kernel = gpytorch.kernels.RBFKernel()
    kernel.lengthscale = SCALE
    s = gpytorch.settings
    with (
        torch.no_grad(),
        s.cg_tolerance(TOL),
        s.eval_cg_tolerance(TOL),
        s.max_cg_iterations(2000),
        s.max_cholesky_size(1),
        s.max_preconditioner_size(100),
        s.min_preconditioning_size(1),
        s.fast_computations(True, True, True),
    ):
        noise = ConstantDiagLinearOperator(torch.tensor([lam], dtype=Xt.dtype), len(Xt))
        system = AddedDiagLinearOperator(kernel.double()(Xt).evaluate_kernel(), noise)
        a = system.solve(yt)
        residual = yt - system.matmul(a)
    return a, float(residual.norm() / yt.norm())


if __name__ == "__main__":  # once, outside `make bench`: many rows, ours alone
    import sys
    import time

    import harness

    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    start = time.perf_counter()
    (case,) = cases(rows, peers=False)
    seconds = time.perf_counter() - start
    peak = harness._status("VmHWM") / 2**20
    print(f"{rows} rows: {seconds:.0f} s with the checks, peak {peak:.0f} MiB", case.facts)
