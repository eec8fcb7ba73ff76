"""Certificates: a bound is never below the error, whatever is claimed; forgeries that cannot be seen are known."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olsattention.models.certificates import (
    certify_eigenpairs,
    certify_hat_matrix,
    certify_ridge,
    certify_traces,
)

SIZES = st.integers(-17, 0).map(lambda e: 10.0**e)


def known(rng, n, spread):
    """A symmetric matrix with the eigenvectors that were used to build it."""
    vectors = np.linalg.qr(rng.normal(size=(n, n)))[0]
    mu = np.sort(rng.normal(size=n) * 10.0 ** rng.uniform(-spread, 0, size=n))
    A = (vectors * mu) @ vectors.T
    return (A + A.T) / 2, mu, vectors


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(0, 12), SIZES, SIZES)
def test_the_bound_is_never_below_the_error(seed, n, spread, in_values, in_vectors):
    rng = np.random.default_rng(seed)
    A, mu, vectors = known(rng, n, spread)
    claim = np.sort(mu + in_values * rng.normal(size=n))
    got = certify_eigenpairs(A, claim, vectors + in_vectors * rng.normal(size=(n, n)))
    with mpmath.workdps(40):
        true = np.array(
            sorted(
                float(x) for x in mpmath.eigsy(mpmath.matrix(A.tolist()), eigvals_only=True)
            )
        )
    assert np.all(abs(claim - true) <= got.bound)


@pytest.mark.parametrize("scale", [1e-150, 1e-3, 1.0, 1e150])
def test_the_bound_scales_with_the_matrix(scale):
    A, mu, vectors = known(np.random.default_rng(0), 20, 3)
    mu, vectors = np.linalg.eigh(A * scale)
    got = certify_eigenpairs(A * scale, mu, vectors)
    assert got.bound < 1e-11 * scale


@pytest.mark.parametrize("scale", [1e-158, 1e-163, 1e-170, 1e-300, 5e-324, 1e160, 1e300])
def test_bounds_hold_where_products_and_squares_leave_the_range(scale):
    rng = np.random.default_rng(5)
    A, _, _ = known(rng, 6, 1)
    A = np.tril(scale * A) + np.tril(scale * A, -1).T
    with mpmath.workdps(40):
        true = [
            float(x) for x in mpmath.eigsy(mpmath.matrix(A.tolist()), eigvals_only=True)
        ]
    mu, vectors = np.linalg.eigh(A)
    for claim in (mu, 0 * mu, mu[::-1].copy()):
        assert np.all(
            abs(claim - np.sort(true)) <= certify_eigenpairs(A, claim, vectors).bound
        )
    assert certify_traces(A, mu, 1e-13 * abs(mu).max())
    K, W = np.sqrt(scale) * rng.normal(size=(5, 3)), rng.normal(size=(3, 1))
    got = certify_ridge(K, np.sqrt(scale) * rng.normal(size=(5, 1)), W, max(scale, 1e-300))
    assert got.coefficients > 0.1 and got.fit >= 0  # W solves nothing here


def test_a_residual_whose_square_is_zero_is_no_proof():
    A = np.diag([2e-170, 1e-170])
    got = certify_eigenpairs(A, [3e-170, 1e-170], np.eye(2))
    assert 1e-170 <= got.bound < 1.1e-170  # a norm of squares would have said nil


def test_copies_of_one_pair_prove_nothing():
    A, mu, vectors = known(np.random.default_rng(1), 8, 1)
    assert (
        certify_eigenpairs(A, np.full(8, mu[3]), np.repeat(vectors[:, 3:4], 8, 1)).bound
        == np.inf
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), SIZES)
def test_traces_never_convict_the_innocent(seed, n, size):
    rng = np.random.default_rng(seed)
    A, _, _ = known(rng, n, 3)
    mu = np.linalg.eigvalsh(A)
    assert certify_traces(A, mu + size * rng.uniform(-1, 1, n), 1.01 * size + 1e-13)
    assert not certify_traces(A, mu + 3 * size + 1e-9, size)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), SIZES, st.sampled_from([1e-6, 1e-2, 1.0, 1e4]))
def test_ridge_bounds_are_never_below_the_error(seed, size, lam):
    rng = np.random.default_rng(seed)
    K, V = rng.normal(size=(9, 4)) * 10.0 ** rng.uniform(-4, 0, 4), rng.normal(size=(9, 2))
    with mpmath.workdps(50):
        M, Y = mpmath.matrix(K.tolist()), mpmath.matrix(V.tolist())
        exact = mpmath.lu_solve(M.T * M + mpmath.mpf(lam) * mpmath.eye(4), M.T * Y[:, 0])
        other = mpmath.lu_solve(M.T * M + mpmath.mpf(lam) * mpmath.eye(4), M.T * Y[:, 1])
    W = np.array([[float(a), float(b)] for a, b in zip(exact, other)])
    claim = W * (1 + size * rng.normal(size=W.shape))
    got = certify_ridge(K, V, claim, lam)
    assert np.linalg.norm(claim - W) <= got.coefficients + 1e-15 * np.linalg.norm(W)
    assert np.linalg.norm(K @ (claim - W)) <= got.fit + 1e-15 * np.linalg.norm(W)


@pytest.mark.parametrize("size", [1e-8, 1e-3, 1.0])
def test_one_wrong_entry_of_a_hat_matrix_is_seen(size):
    rng = np.random.default_rng(2)
    Q, K = rng.normal(size=(30, 5)), rng.normal(size=(40, 5))
    H = Q @ np.linalg.solve(K.T @ K + np.eye(5), K.T)
    assert certify_hat_matrix(H, Q, K, 1.0, rng) < 1e-11
    for _ in range(20):
        wrong = H.copy()
        wrong[rng.integers(30), rng.integers(40)] += size
        assert size <= certify_hat_matrix(wrong, Q, K, 1.0, rng) < 20 * size


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda A: certify_eigenpairs(A + np.triu(A), [1, 1], A), "symmetric to the bit"),
        (lambda A: certify_eigenpairs(A, [1, 1, 1], A), r"mu must have shape \(2, 1\)"),
        (lambda A: certify_eigenpairs(A, [1, np.nan], A), "mu contains nan"),
        (lambda A: certify_eigenpairs(A, [1, 1], A[:1]), r"U must have shape \(2, 2\)"),
        (lambda A: certify_traces(A, [1, 1], -1.0), "accuracy must be >= 0"),
        (lambda A: certify_ridge(A, A, A, 0.0), "without a penalty"),
        (lambda A: certify_ridge(A, A[:1], A, 1.0), r"V must have shape \(2, 2\)"),
        (lambda A: certify_hat_matrix(A, A, A, 0.0, None), "lam must be > 0"),
        (lambda A: certify_hat_matrix(A, A, A, 1.0, None, probes=0), "probes >= 1"),
        (
            lambda A: certify_hat_matrix(A, A[:, :1], A, 1.0, None),
            "Q has 1 columns but K has 2",
        ),
        (
            lambda A: certify_hat_matrix(A[:1], A, A, 1.0, None),
            r"H must have shape \(2, 2\)",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.array([[2.0, 1.0], [1.0, 3.0]]))
