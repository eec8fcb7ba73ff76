"""The fingerprint: honest recomputations pass, changed models do not, and what passes below rounding is known."""

import numpy as np
import pytest
import torch

from olsattention.models.fingerprint import cell_variance, compare_spectra, product_variance

UNITS = {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11, torch.float32: 2.0**-24}


def head(seed, T=120, p=48, d=12):
    rng = np.random.default_rng(seed)
    X, W = rng.normal(size=(T, p)), rng.normal(size=(p, d)) / np.sqrt(p)
    return X, W


def spectrum(K):
    K = np.asarray(K.double() if isinstance(K, torch.Tensor) else K)
    return np.linalg.eigvalsh(K.T @ K)


def judge(X, W, K, dtype="bfloat16", **options):
    opened, again = {"a": spectrum(X @ W)}, {"a": spectrum(K)}
    return compare_spectra(opened, again, X, {"a": W}, dtype=dtype, **options)


@pytest.mark.parametrize("dtype", UNITS)
def test_the_cells_are_those_of_the_arithmetic(dtype):
    x = torch.tensor(np.random.default_rng(0).normal(size=100_000) * 3)
    x = (
        x if dtype == torch.float32 else x.float().double()
    )  # torch rounds by way of float32
    cut = (x - x.to(dtype).double()).numpy()
    variance = cell_variance(x.numpy(), UNITS[dtype])
    assert np.all(abs(cut) <= np.sqrt(12 * variance) / 2 * (1 + 1e-12))
    assert np.mean(cut**2 / variance) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("dtype", UNITS)
def test_the_variance_is_that_of_many_computations(dtype):
    """Independent path: random heads in true low precision, each deviation in units of its predicted spread."""
    ratios = []
    for seed in range(60):
        X, W = head(seed)
        K = (torch.tensor(X).to(dtype) @ torch.tensor(W).to(dtype)).double().numpy()
        s, variance = product_variance(X, W, UNITS[dtype])
        ratios.append((np.linalg.svd(K, compute_uv=False) - s) ** 2 / variance)
    mean = np.mean(ratios)
    assert 0.01 < mean < 1.3  # sums of single precision are bounded, not predicted
    if dtype != torch.float32:
        assert mean > 0.7


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_honest_recomputations_pass(dtype, scale):
    for seed in range(20):
        X, W = head(seed)
        X = X * scale
        rough = [torch.tensor(A).to(getattr(torch, dtype)) for A in (X, W)]
        assert judge(X, W, rough[0] @ rough[1], dtype).agrees


def test_orders_and_signs_pass():
    X, W = head(1)
    rng = np.random.default_rng(0)
    for K in (X[rng.permutation(len(X))] @ W, -X @ W, (X @ W)[:, ::-1]):
        assert judge(X, W, K, "float64").agrees


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_a_change_well_above_rounding_is_seen(dtype):
    size = {"bfloat16": 0.1, "float16": 0.02, "float32": 1e-4, "float64": 1e-5}[dtype]
    for seed in range(10):
        X, W = head(seed)
        change = np.random.default_rng(seed + 100).normal(size=W.shape) * np.std(W)
        assert not judge(X, W, X @ (W + size * change), dtype).agrees


def test_a_rank_deficient_head_is_judged():
    X, W = head(2)
    W[:, -1] = W[:, 0]
    K = torch.tensor(X).bfloat16() @ torch.tensor(W).bfloat16()
    assert np.isfinite(judge(X, W, K).statistic)
    assert judge(X, W, X @ W).agrees


def test_the_worst_head_is_named():
    X, W = head(3)
    weights = {"a": W, "b": W * 2, "c": W * 3}
    opened = {k: spectrum(X @ w) for k, w in weights.items()}
    again = opened | {"b": opened["b"] * 1.2}
    got = compare_spectra(opened, again, X, weights)
    assert not got.agrees and got.worst == "b"


@pytest.mark.slow
def test_a_compiled_model_passes():
    X, W = head(4)
    x, w = torch.tensor(X).float(), torch.tensor(W).float()
    compiled = torch.compile(
        lambda x: torch.relu(x @ w) - torch.relu(-(x @ w)), fullgraph=True
    )
    assert judge(X, W, compiled(x), "float32").agrees


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_another_device_passes(dtype):
    X, W = head(5)
    rough = [torch.tensor(A).to("cuda", getattr(torch, dtype)) for A in (X, W)]
    assert judge(X, W, (rough[0] @ rough[1]).cpu(), dtype).agrees


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(dtype="int8"), "dtype must be one of"),
        (dict(alpha=1.0), "alpha must be in"),
        (dict(opened={}), "same heads"),
        (dict(recomputed={"b": np.ones(12)}), "same heads"),
        (dict(recomputed={"a": np.ones(11)}), "12 finite numbers"),
        (dict(recomputed={"a": np.full(12, np.nan)}), "12 finite numbers"),
        (dict(inputs=np.ones((5, 48))), "T < d"),
        (dict(inputs=np.ones((50, 3))), "do not fit"),
        (dict(inputs=np.full((50, 48), np.inf)), "inputs contains inf"),
    ],
)
def test_bad_input(change, message):
    X, W = head(6)
    good = {"opened": {"a": spectrum(X @ W)}, "recomputed": {"a": spectrum(X @ W)}}
    good |= {"inputs": X, "weights": {"a": W}}
    with pytest.raises(ValueError, match=message):
        compare_spectra(**good | change)
