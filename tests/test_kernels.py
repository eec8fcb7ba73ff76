"""Kernels against scikit-learn, against 50 digits, and as kernels: symmetric, positive semidefinite, differentiable."""

import math
import pickle
import tracemalloc
from functools import partial

import mpmath
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olsattention import get_kernel, kernels
from olsattention.kernels.similarity import TILE

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(12, 3)), rng.normal(size=(7, 3))

SETTINGS = {
    "linear": kernels.linear,
    "polynomial": partial(kernels.polynomial, degree=4, gamma=0.3, coef0=0.5),
    "exponential": kernels.exponential,
    "rbf": partial(kernels.rbf, length_scale=0.7),
    "rbf by differences": partial(kernels.rbf, length_scale=0.02),
    "laplacian": partial(kernels.laplacian, length_scale=0.7),
    **{f"matern {nu}": partial(kernels.matern, length_scale=0.7, nu=nu)
       for nu in (0.3, 0.5, 1.0, 1.5, 1.7, 2.5, 7.2, 20, 41.5, math.inf)},
}  # fmt: skip
UNIT_INTERVAL = {
    **{f"sobolev {m}": partial(kernels.sobolev, order=m) for m in (1, 2, 3)},
    "spline": kernels.spline,
}
STATIONARY = [
    name for name in SETTINGS if name.split()[0] in ("rbf", "laplacian", "matern")
]
ALL = SETTINGS | UNIT_INTERVAL
every_kernel = pytest.mark.parametrize("name", ALL)


def data(name, n, seed=0, p=3):
    """Rows that the kernel accepts, two of them equal if there are two."""
    rng = np.random.default_rng(seed)
    rows = rng.uniform(size=(n, 1)) if name in UNIT_INTERVAL else rng.normal(size=(n, p))
    rows[-1] = rows[0]
    return rows


# ---- against others ----------------------------------------------------------------------------------------


def test_against_scikit_learn():
    from sklearn.metrics import pairwise

    for args in ((X,), (X, Z)):
        for ours, theirs in [
            (kernels.linear(*args), pairwise.linear_kernel(*args)),
            (kernels.polynomial(*args), pairwise.polynomial_kernel(*args)),
            (
                kernels.polynomial(*args, degree=5, gamma=0.2, coef0=0),
                pairwise.polynomial_kernel(*args, degree=5, gamma=0.2, coef0=0),
            ),
            (kernels.rbf(*args, length_scale=0.5), pairwise.rbf_kernel(*args, gamma=2.0)),
            (
                kernels.laplacian(*args, length_scale=0.5),
                pairwise.laplacian_kernel(*args, gamma=2.0),
            ),
        ]:
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "nu", [0.2, 0.5, 0.9, 1, 1.5, 1.7, 2.5, 3.5, 8.1, 25, 60, math.inf]
)
def test_matern_against_scikit_learn(nu):
    from sklearn.gaussian_process.kernels import Matern

    theirs = Matern(0.8, nu=nu)(X, Z)
    np.testing.assert_allclose(kernels.matern(X, Z, 0.8, nu), theirs, rtol=1e-10)


def digits(function, A, B):
    """The kernel of two float64 matrices with 50 digits, rounded once; `function` takes a list of differences."""
    with mpmath.workdps(50):
        A, B = ([[mpmath.mpf(v) for v in row] for row in rows.tolist()] for rows in (A, B))
        return np.array(
            [[float(function([s - t for s, t in zip(a, b)])) for b in B] for a in A]
        )


def matern_digits(r, nu):
    t = mpmath.sqrt(2 * mpmath.mpf(nu)) * r
    scale = 2 ** (1 - mpmath.mpf(nu)) / mpmath.gamma(nu)
    return scale * t ** mpmath.mpf(nu) * mpmath.besselk(nu, t) if r else mpmath.mpf(1)


def norm(differences, length):
    return mpmath.sqrt(sum(d * d for d in differences)) / mpmath.mpf(length)


EXACT = {
    "rbf": (kernels.rbf, lambda d, length: mpmath.exp(-(norm(d, length) ** 2) / 2)),
    "laplacian": (
        kernels.laplacian,
        lambda d, length: mpmath.exp(-sum(abs(x) for x in d) / mpmath.mpf(length)),
    ),
    "matern 1/2": (
        partial(kernels.matern, nu=0.5),
        lambda d, length: mpmath.exp(-norm(d, length)),
    ),
    "matern 3/2": (kernels.matern, lambda d, length: matern_digits(norm(d, length), 1.5)),
    "matern 5/2": (
        partial(kernels.matern, nu=2.5),
        lambda d, length: matern_digits(norm(d, length), 2.5),
    ),
}


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("length_scale", [0.05, 0.3, 1.0, 30.0])
@pytest.mark.parametrize("offset", [0.0, 1e4, 1e8, -3e10])
@pytest.mark.parametrize("name", EXACT)
def test_no_digit_is_lost_far_from_the_origin(name, offset, length_scale, library):
    kernel, function = EXACT[name]
    A, B = X[:8] + offset, Z[:5] + offset
    exact = digits(lambda d: function(d, length_scale), A, B)
    got = np.asarray(kernel(library(A), library(B), length_scale))
    matters = exact > 1e-10
    np.testing.assert_allclose(got[matters], exact[matters], rtol=1e-13)
    # the exponent itself has only so many digits
    np.testing.assert_allclose(got, exact, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize(
    "nu", [0.1, 0.3, 0.5, 0.99, 1, 1.2, 1.5, 2, 2.5, 6.3, 13, 19.99, 20, 50]
)
def test_matern_at_every_distance(nu):
    r = np.r_[
        0, 1e-300, 1e-200, 1e-100, 1e-20, 1e-12, 1e-6, 1e-3, 0.1, 1, 3, 10, 30, 1e3, 1e300
    ]
    with mpmath.workdps(50):
        exact = [float(matern_digits(mpmath.mpf(s), nu)) if s < 1e6 else 0.0 for s in r]
    got = [kernels.matern([[s]], [[0.0]], nu=nu)[0, 0] for s in r]
    np.testing.assert_allclose(got, exact, rtol=1e-13 * max(1, nu / 10), atol=1e-300)
    got = kernels.matern(torch.from_numpy(r[:, None]), torch.zeros(1, 1), nu=nu)
    assert torch.isfinite(got).all()


@pytest.mark.parametrize("nu", [1e2, 1e4, 1e8, 1e15, 1e16, 1e30, 1e300])
def test_matern_tends_to_the_radial_kernel(nu):
    np.testing.assert_allclose(
        kernels.matern(X, Z, nu=nu), kernels.rbf(X, Z), rtol=100 / nu + 1e-13
    )


@pytest.mark.parametrize("power", [-1000, -500, 500, 1000])
@pytest.mark.parametrize(
    "name", ["rbf", "rbf by differences", "matern 1.5", "matern 1.7", "matern 41.5"]
)
def test_units_do_not_matter(name, power):
    kernel, unit = SETTINGS[name], 2.0**power
    length_scale = kernel.keywords["length_scale"] * unit
    scaled = kernel.func(
        X * unit, Z * unit, **kernel.keywords | {"length_scale": length_scale}
    )
    np.testing.assert_array_equal(scaled, kernel(X, Z))


@pytest.mark.parametrize("length_scale", [1e-320, 1e-200, 1e200, 1e308])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", STATIONARY)
def test_extreme_length_scales(name, length_scale, dtype):
    kernel = SETTINGS[name]
    keywords = kernel.keywords | {"length_scale": length_scale}
    limit = np.eye(12) if length_scale < 1 else np.ones((12, 12))
    np.testing.assert_allclose(kernel.func(X, **keywords), limit, rtol=1e-13)
    got = kernel.func(torch.tensor(X, dtype=dtype), **keywords)
    np.testing.assert_allclose(got, limit, rtol=1e-13)


# ---- as kernels --------------------------------------------------------------------------------------------


@every_kernel
@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    n=st.integers(1, 30),
    p=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
    power=st.integers(-3, 1),
    offset=st.sampled_from([0.0, 10.0]),
)
def test_symmetric_and_positive_semidefinite(name, n, p, seed, power, offset):
    rows = data(name, n, seed, p)
    if name in STATIONARY:
        rows = rows * 10.0**power + offset
    K = ALL[name](rows)
    mu = np.linalg.eigvalsh(K)
    assert K.shape == (n, n) and np.all(K == K.T)
    assert mu[0] >= -1e-14 * n * mu[-1]
    if name in STATIONARY:
        assert np.all(np.diag(K) == 1) and np.all((0 <= K) & (K <= 1))


@every_kernel
@pytest.mark.parametrize("n", [1, 2, *(TILE + i for i in (-1, 0, 1)), 2 * TILE + 5])
def test_tiles_fit_together(name, n):
    rows = data(name, n)
    kernel, K = ALL[name], ALL[name](rows)
    assert np.all(K == K.T)
    some = np.unique(np.linspace(0, n - 1, 9).astype(int))
    scale = np.abs(K).max()
    for A, B, part in [
        (rows, rows[some], K[:, some]),
        (rows[some], rows, K[some]),
        (rows, rows.copy(), K),
        (rows[:0], rows, K[:0]),
        (rows, rows[:0], K[:, :0]),
    ]:
        np.testing.assert_allclose(kernel(A, B), part, rtol=1e-12, atol=1e-14 * scale)
    tensor = kernel(torch.from_numpy(rows))
    assert torch.equal(tensor, tensor.T)
    np.testing.assert_array_equal(kernel(rows, rows), K)


def test_tiles_of_few_rows_are_wide():
    long = rng.normal(size=(200_000, 2))
    np.testing.assert_allclose(
        kernels.rbf(long[:3], long).T, kernels.rbf(long, long[:3]), rtol=1e-13
    )


@pytest.mark.parametrize("name", [n for n in SETTINGS if "." not in n or n.endswith("5")])
def test_memory_is_that_of_the_result(name):
    rows, keywords = rng.normal(size=(2500, 40)), {}
    if name == "exponential":
        keywords = {"scale": 0.1}
    SETTINGS[name](rows[:5], **keywords)  # imports
    tracemalloc.start()
    K = SETTINGS[name](rows, **keywords)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.4 * K.nbytes


@pytest.mark.parametrize("name", UNIT_INTERVAL)
def test_spline_kernels_by_quadrature(name):
    """Against the integral or series that defines them."""
    x = np.array([0.0, 0.123, 0.5, 0.987, 1.0])
    j = np.arange(1, 200_001)
    for a in x:
        for b in x:
            if name == "spline":
                wanted = mpmath.quad(lambda u, a=a, b=b: (a - u) * (b - u), [0, min(a, b)])
            else:
                order = int(name.split()[1])
                waves = 2 * np.cos(2 * np.pi * j * (a - b)) / (2 * np.pi * j) ** (2 * order)
                wanted = 1 + waves[::-1].sum()
            assert abs(ALL[name]([[a]], [[b]])[0, 0] - wanted) < (
                3e-7 if name == "sobolev 1" else 1e-14
            )


def test_null_space():
    x = [[0.0], [0.25], [1.0]]
    np.testing.assert_array_equal(kernels.spline_null_space(x), [[1, 0], [1, 0.25], [1, 1]])
    frame = pd.DataFrame(x, index=list("abc"), columns=["time"])
    assert kernels.spline_null_space(frame).index.tolist() == list("abc")
    assert kernels.spline_null_space(torch.tensor(x)).dtype == torch.float32


# ---- arrays of every kind ----------------------------------------------------------------------------------


@every_kernel
def test_torch_gives_the_numbers_of_numpy(name):
    A, B = data(name, 400), data(name, 40, seed=1)
    for args in ((A,), (A, B)):
        K = ALL[name](*args)
        tensor = ALL[name](*map(torch.from_numpy, args))
        assert tensor.dtype == torch.float64 and not tensor.requires_grad
        by_graph = ALL[name](*(torch.tensor(a, requires_grad=True) for a in args))
        # a large exponent has an absolute error, hence the root
        scale = np.abs(K).max()
        for got in (tensor, by_graph.detach()):
            np.testing.assert_allclose(got.numpy(), K, rtol=1e-12, atol=1e-14 * scale)
            np.testing.assert_allclose(got.numpy() / scale, K / scale, atol=1e-13)


@every_kernel
@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
def test_single_precision_stays(name, make):
    A, B = (data(name, n, seed).astype(np.float32) for n, seed in ((400, 0), (9, 1)))
    for args in ((A,), (A, B)):
        K = ALL[name](*map(make, args))
        assert str(K.dtype).endswith("float32")
        exact = ALL[name](*(a.astype(float) for a in args))
        np.testing.assert_allclose(
            np.asarray(K), exact, rtol=2e-4, atol=2e-5 * np.abs(exact).max()
        )


@every_kernel
def test_lists_frames_and_integers(name):
    rows = np.array([[0.0], [1.0], [1.0]])
    K = ALL[name](rows)
    for same in (
        rows.tolist(),
        rows.astype(int),
        rows.astype(bool),
        rows.astype(np.float16),
    ):
        got = ALL[name](same)
        np.testing.assert_allclose(got, K, rtol=1e-5)
    frame = pd.DataFrame(rows, index=list("abc"), columns=["x"])
    table = ALL[name](frame, frame[1:])
    assert table.index.tolist() == list("abc") and table.columns.tolist() == list("bc")
    np.testing.assert_allclose(table, K[:, 1:], rtol=1e-13)
    assert isinstance(ALL[name](frame, rows), np.ndarray)
    assert ALL[name](rows, rows.astype(np.float32)).dtype == np.float64


SMOOTH = [
    n
    for n in ALL
    if n not in ("laplacian", "matern 0.3", "matern 0.5", "matern 1.0", "sobolev 1")
]


def tensors(name, coincide):
    A, B = data(name, 5), data(name, 4, seed=1)
    if not coincide:
        A[-1] += 0.1 * (1 - A[-1])
    else:
        B[0] = A[0]
    return [torch.tensor(a, requires_grad=True) for a in (A, B)]


@every_kernel
@pytest.mark.parametrize("coincide", [False, True])
def test_gradients(name, coincide):
    kernel = ALL[name]
    if name == "rbf by differences":  # with something to differentiate

        def kernel(*T):
            return kernels.rbf(*(t + 50.0 * (torch.arange(len(t)) % 2)[:, None] for t in T))

    if coincide and name not in SMOOTH:
        A, B = tensors(name, True)
        for K in (kernel(A, B), kernel(A)):
            K.sum().backward()
        assert torch.isfinite(A.grad).all() and torch.isfinite(B.grad).all()
        return
    A, B = tensors(name, coincide)
    assert torch.autograd.gradcheck(kernel, [A, B], atol=1e-6)
    assert torch.autograd.gradcheck(kernel, [A], atol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "linear",
        "polynomial",
        "exponential",
        "rbf",
        "matern 1.5",
        "matern 2.5",
        "matern 41.5",
    ],
)
def test_second_derivatives_where_rows_differ(name):
    assert torch.autograd.gradgradcheck(ALL[name], tensors(name, False))


@pytest.mark.parametrize("name", STATIONARY)
def test_gradient_reaches_the_length_scale(name):
    kernel, A = SETTINGS[name], torch.from_numpy(X)
    keywords = {k: v for k, v in kernel.keywords.items() if k != "length_scale"}
    length = torch.tensor(kernel.keywords["length_scale"]).double().requires_grad_()

    def of_length(length):
        return kernel.func(A, length_scale=length, **keywords)

    assert torch.autograd.gradcheck(of_length, [length])
    if "differences" not in name:
        np.testing.assert_allclose(of_length(length).detach(), kernel(X), rtol=1e-6)


def test_gradient_reaches_scale_gamma_and_constant():
    A = torch.from_numpy(X)
    g, c = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.3, 0.5))
    assert torch.autograd.gradcheck(
        lambda g, c: kernels.polynomial(A, gamma=g, coef0=c), [g, c]
    )
    assert torch.autograd.gradcheck(lambda g: kernels.exponential(A, scale=g), [g])


@pytest.mark.gpu
@every_kernel
def test_on_the_gpu(name):
    A, B = data(name, 400), data(name, 40, seed=1)
    for args in ((A,), (A, B)):
        on_gpu = [torch.tensor(a, device="cuda", requires_grad=True) for a in args]
        K = ALL[name](*on_gpu)
        assert K.device.type == "cuda"
        K.sum().backward()
        assert all(torch.isfinite(a.grad).all() for a in on_gpu)
        exact = ALL[name](*args)
        np.testing.assert_allclose(
            K.detach().cpu(), exact, rtol=1e-12, atol=1e-14 * np.abs(exact).max()
        )


# ---- what goes wrong ---------------------------------------------------------------------------------------


def with_bad(value, rows=X):
    bad = rows.copy()
    bad[2, 0] = value
    return bad


@every_kernel
@pytest.mark.parametrize(
    "bad, error, says",
    [
        (with_bad(np.nan), ValueError, "X contains nan at row 2, column 0"),
        (with_bad(np.inf), ValueError, "X contains inf at row 2, column 0"),
        (np.empty((0, 3)), ValueError, "at least 1 row"),
        (np.empty((3, 0)), ValueError, "at least"),
        (np.ones(5), ValueError, "write x[:, None]"),
        ([["a"]], TypeError, "numbers"),
        (np.ones((2, 2), complex), TypeError, "complex128"),
        (None, TypeError, "X must be an array of numbers"),
    ],
)
def test_bad_rows(name, bad, error, says):
    with pytest.raises(error) as caught:
        ALL[name](bad)
    assert says in str(caught.value)


@every_kernel
def test_bad_pairs(name):
    kernel, rows = ALL[name], data(name, 4)
    with pytest.raises(ValueError, match="Z contains nan at row 2"):
        kernel(rows, with_bad(np.nan, rows))
    with pytest.raises(ValueError, match="X has . columns but Z has 5"):
        kernel(rows, np.ones((4, 5)))
    with pytest.raises(TypeError, match="convert one of them"):
        kernel(rows, torch.from_numpy(rows))
    with pytest.raises(
        ValueError, match=r"Z must have shape \(rows, columns\), got shape \(\)"
    ):
        kernel(rows, 0.5)
    frame = pd.DataFrame(X, columns=list("abc"))
    with pytest.raises(ValueError, match=r"write Z\[X.columns\]"):
        kernel(frame, frame[list("bac")])


@pytest.mark.parametrize("kernel", [kernels.rbf, kernels.laplacian, kernels.matern])
@pytest.mark.parametrize(
    "value, error, says",
    [
        (0, ValueError, "length_scale must be > 0 and finite, got 0.0"),
        (-1.0, ValueError, "length_scale must be > 0 and finite, got -1.0"),
        (np.nan, ValueError, "length_scale must be > 0 and finite, got nan"),
        (np.inf, ValueError, "length_scale must be > 0 and finite, got inf"),
        (torch.tensor(-1.0), ValueError, "length_scale must be > 0"),
        ("1", TypeError, "length_scale must be one real number"),
        (None, TypeError, "length_scale must be one real number"),
        (
            np.ones(3),
            TypeError,
            "length_scale must be one number, got an array of shape (3,)",
        ),
    ],
)
def test_bad_length_scales(kernel, value, error, says):
    for rows in (X, torch.from_numpy(X)):
        with pytest.raises(error) as caught:
            kernel(rows, length_scale=value)
        assert says in str(caught.value)


@pytest.mark.parametrize(
    "call, error, says",
    [
        (lambda: kernels.matern(X, nu=0), ValueError, "nu must be > 0 and finite, got 0.0"),
        (lambda: kernels.matern(X, nu=-1.5), ValueError, "nu must be > 0 and finite, got -1.5"),
        (lambda: kernels.matern(X, nu=np.nan), ValueError, "nu must be > 0"),
        (lambda: kernels.matern(X, nu="rough"), TypeError, "nu must be one real number"),
        (lambda: kernels.matern(X, nu=[1, 2]), TypeError, "nu must be one number"),
        (
            lambda: kernels.matern(X, nu=torch.tensor(1.0, requires_grad=True)),
            TypeError,
            "nu is not differentiated",
        ),
        (lambda: kernels.polynomial(X, degree=0), ValueError, "at least 1, got 0"),
        (lambda: kernels.polynomial(X, degree=2.5), ValueError, "whole number, at least 1, got 2.5"),
        (lambda: kernels.polynomial(X, degree="3"), ValueError, "whole number"),
        (lambda: kernels.polynomial(X, gamma=0), ValueError, "gamma must be > 0"),
        (lambda: kernels.polynomial(X, coef0=-1), ValueError, "coef0 must be >= 0"),
        (lambda: kernels.polynomial(1e100 * X, degree=4), ValueError, "polynomial overflows float64"),
        (lambda: kernels.exponential(X, scale=-1), ValueError, "scale must be > 0"),
        (lambda: kernels.exponential(100 * X), ValueError, "exponential overflows float64"),
        (lambda: kernels.exponential(torch.tensor(30 * X).float()), ValueError, "overflows torch.float32"),
        (lambda: kernels.linear(1e200 * X), ValueError, "linear overflows float64"),
        (lambda: kernels.sobolev([[0.5]], order=4), ValueError, "order must be 1, 2 or 3, got 4"),
        (lambda: kernels.sobolev([[0.5], [1.5]]), ValueError, "got 1.5 at row 1"),
        (lambda: kernels.sobolev([[0.5]], [[0.1], [-0.5]]), ValueError, "Z must lie in [0, 1], got -0.5 at row 1"),
        (lambda: kernels.sobolev(np.ones((3, 2))), ValueError, "X must have one column, got 2"),
        (lambda: kernels.spline([[2.0]]), ValueError, "X must lie in [0, 1], got 2 at row 0"),
        (lambda: kernels.spline(np.ones((3, 2))), ValueError, "one column"),
        (lambda: kernels.spline_null_space([[2.0]]), ValueError, "x must lie in [0, 1]"),
        (lambda: get_kernel("gaussian"), ValueError, "known are linear, polynomial, exponential, rbf"),
        (lambda: get_kernel(None), TypeError, "kernel must be a function or one of the names"),
    ],
)  # fmt: skip
def test_bad_parameters(call, error, says):
    with pytest.raises(error) as caught:
        call()
    assert says in str(caught.value)


def test_names():
    assert set(kernels.KERNELS) == {name.split()[0] for name in ALL}
    for name, kernel in kernels.KERNELS.items():
        assert get_kernel(name) is kernel and get_kernel(kernel) is kernel


def test_kernels_are_pickled_under_old_and_new_names():
    for name, kernel in kernels.KERNELS.items():
        assert pickle.loads(pickle.dumps(kernel)) is kernel
        # as written before each family had a module of its own
        assert pickle.loads(f"colsattention.kernels\n{name}\n.".encode()) is kernel
    offered = {*kernels.KERNELS, "KERNELS", "get_kernel", "spline_null_space"}
    assert offered <= set(kernels.__all__)
