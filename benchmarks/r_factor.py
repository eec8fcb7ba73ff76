"""The triangle of a tall matrix: against the bare Gram product and Householder's QR."""

import numpy as np
from harness import Case

from olsattention import r_factor

ROWS, COLUMNS = 20_000, 500


def cases():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(ROWS, COLUMNS))
    yield compare("no collinearity", X)
    near = X.copy()
    near[:, 1] = near[:, 0] + 1e-3 * near[:, 1]
    yield compare("two columns nearly equal", near)


def compare(name, X):
    R = r_factor(X)
    once = np.linalg.cholesky(X.T @ X).T
    householder = np.linalg.qr(X, mode="r")
    return Case(
        f"{name}, {ROWS} x {COLUMNS}",
        lambda: r_factor(X),
        {
            "floor: the bare Gram product": lambda: X.T @ X,
            "numpy qr, mode r": lambda: np.linalg.qr(X, mode="r"),
        },
        {
            "largest variance inflation factor": f"{vif(X, householder):.1e}",
            "error of R, ours": f"{error(R, X):.1e}",
            "error of R, numpy qr": f"{error(householder, X):.1e}",
            "error of R, one Cholesky of X'X": f"{error(once, X):.1e}",
        },
    )


def vif(X, R):
    """The largest variance inflation factor: the longest row of the inverse triangle, for unit columns."""
    inverse = np.linalg.inv(R / np.linalg.norm(X, axis=0))
    return np.max(np.sum(inverse**2, axis=1))


def error(R, X):
    """How far the columns of X R^-1 are from orthonormal: what the triangle is needed for."""
    A = X @ np.linalg.inv(R)
    return np.linalg.norm(A.T @ A - np.eye(len(R)), 2)
