"""Numbers of heads: from streams and from stored calls alike, and tests that keep their level."""

import copy
import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from olsattention import (
    AttentionCall,
    HeadMoments,
    SpectralSmoother,
    capture_attention,
    circuit_importance,
    condition_number,
    cross_hat_matrix,
    head_report,
    head_spectrum,
    register_ridge_attention,
    structure_test,
)
from olsattention.models.spectrum import (
    smoother_distance,
    smoother_size,
    spectrum_df,
    spectrum_gcv,
)
from olsattention.models.structure import adjusted, shifted_products, shifted_spectra


def a_call(B=1, H=4, groups=2, T=40, d=6, dtype=torch.float32, seed=0, **fields):
    generator = torch.Generator().manual_seed(seed)

    def normal(h):
        return torch.randn(B, h, T, d, generator=generator, dtype=dtype)

    fresh = fields.pop("fresh", torch.ones(B, T, dtype=torch.bool))
    return AttentionCall(
        "",
        normal(H),
        normal(H // groups),
        normal(H // groups),
        fresh=fresh,
        scale=d**-0.5,
        **fields,
    )


@pytest.mark.parametrize(
    "T, d, groups", list(itertools.product((3, 6, 40), (1, 6), (1, 2, 4)))
)
def test_moments_know_the_regression_of_every_head(T, d, groups):
    call = a_call(T=T, d=d, groups=groups)
    moments = HeadMoments().add(call)
    spectrum, lams = head_spectrum(moments), np.full(4 // groups, 0.7)
    trace, norm = smoother_size(moments, spectrum, lams)
    distance, size = smoother_distance(call, lams, block=7)
    for h in range(4):
        Q, K, V = call.query[0, h], call.key[0, h // groups], call.value[0, h // groups]
        Q, K, V = Q.double(), K.double(), V.double()
        smoother = SpectralSmoother.from_design(K.numpy())
        H = cross_hat_matrix(Q, K, 0.7)
        assert np.isclose(spectrum_df(spectrum.mu, lams)[h // groups], smoother.df(0.7))
        assert np.isclose(spectrum.rank[h // groups], min(T, d))
        assert np.isclose(trace[h], H.trace()) and np.isclose(norm[h], H.norm())
        A = call.weights()[0, h].double()
        assert np.isclose(distance[h], (A - H).square().sum(), rtol=1e-5)
        assert np.isclose(size[h], A.square().sum(), rtol=1e-6)
        Ks = condition_number(spectrum.mu[h // groups], 0.7, n=T)
        assert np.isclose(Ks, np.linalg.cond(K.numpy() @ K.numpy().T + 0.7 * np.eye(T)))


def test_the_penalty_has_the_least_gcv():
    call = a_call(T=60, d=6)
    K, noise = call.key.double(), call.value.double()
    call = AttentionCall(
        "", call.query, call.key, (K[..., :3] + noise[..., :3]).float(), fresh=call.fresh
    )
    spectrum = head_spectrum(HeadMoments().add(call))
    chosen = spectrum_gcv(spectrum)
    for h in range(2):
        smoother = SpectralSmoother.from_design(K[0, h].numpy())
        V = call.value[0, h].double().numpy()
        grid = spectrum.mu[h, 0] * np.logspace(-8, 3, 1101)
        best = min(np.sum(smoother.gcv(V, lam)) for lam in grid)
        assert np.sum(smoother.gcv(V, chosen.lam[h])) <= best * (1 + 1e-6)


def test_rank_counts_what_the_model_could_tell_from_rounding():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        call = a_call(T=50, d=6, dtype=torch.float64)
        K = call.key.clone()
        K[..., 4:] = K[..., :2] + K[..., 2:4]
        call = AttentionCall(
            "", *(x.to(dtype) for x in (call.query, K, call.value)), fresh=call.fresh
        )
        assert (head_spectrum(HeadMoments().add(call)).rank == 4).all(), dtype


def test_importance_is_less_than_one_and_zero_for_nothing():
    mu = np.array([[4.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert np.allclose(circuit_importance(mu, 0.0), [[0.8, 0.2, 0], [0, 0, 0]])
    assert (circuit_importance(mu, [1.0, 1.0]).sum(-1) < 1).all()
    assert (
        condition_number([3.0, 0.0], 0.0) == np.inf
        and condition_number([3.0, 1.0], 1.0) == 2
    )


def test_bad_numbers_are_named():
    call = a_call()
    key = call.key.clone()
    key[0, 1, 3] = torch.nan
    moments = HeadMoments().add(call)
    moments.query_query[1, 0, 0] = torch.inf
    with pytest.raises(ValueError, match="query head 1: queries are NaN or infinite"):
        head_spectrum(moments)
    with pytest.raises(ValueError, match="key head 1: keys are NaN or infinite"):
        head_spectrum(
            HeadMoments().add(
                AttentionCall("", call.query, key, call.value, fresh=call.fresh)
            )
        )
    with pytest.raises(ValueError, match="no tokens"):
        head_spectrum(HeadMoments().add(a_call(fresh=torch.zeros(1, 40, dtype=torch.bool))))


# ---- the null model ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("T, d", [(2, 1), (5, 3), (64, 7), (500, 40)])
def test_shifted_products_are_products_of_shifted_columns(T, d, monkeypatch):
    rng = np.random.default_rng(0)
    Z = torch.from_numpy(rng.standard_normal((T, d)))
    offsets = torch.from_numpy(rng.integers(T, size=(5, d)))
    rolled = torch.stack(
        [torch.stack([z.roll(int(a)) for z, a in zip(Z.T, row)], 1) for row in offsets]
    )
    for block in (1, 2**22):
        monkeypatch.setattr("olsattention.models.structure.BLOCK", block)
        assert torch.allclose(shifted_products(Z, offsets), rolled.mT @ rolled)


def test_sequences_are_shifted_each_in_its_own_circle_and_padding_not_at_all():
    fresh = torch.ones(2, 40, dtype=torch.bool)
    fresh[0, 25:] = False
    call = a_call(B=2, fresh=fresh)
    key = call.key.clone()
    key[0, :, 25:] = 1e6
    padded = AttentionCall("", call.query, key, call.value, fresh=fresh)
    one, two = structure_test([call], 9), structure_test([padded], 9)
    assert np.array_equal(one.null, two.null) and np.array_equal(one.p, two.p)
    assert one.p.shape == (2,) and one.null.shape == (2, 9, 6)


def test_constant_and_repeated_columns():
    call = a_call()
    key = call.key.clone()
    key[:, 0, :, 0], key[:, 1] = 3.0, key[:, 1, :, :1]
    test = structure_test(
        [AttentionCall("", call.query, key, call.value, fresh=call.fresh)], 19
    )
    assert np.isclose(test.spectrum[0].sum(), 5) and test.p[1] == 0.05
    assert np.isclose(test.statistic[1], 6)
    key[:, 0] = 1.0
    test = structure_test(
        [AttentionCall("", call.query, key, call.value, fresh=call.fresh)], 19
    )
    assert test.p[0] == 1


def test_adjusted_p_values_leave_out_what_is_unknown():
    p = np.array([0.01, np.nan, 0.04, 0.03])
    assert np.allclose(adjusted(p)[[0, 2, 3]], [0.03, 0.04, 0.04]) and np.isnan(
        adjusted(p)[1]
    )
    assert np.isnan(adjusted([np.nan])).all()


# ---- the report --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=60,
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return transformers.LlamaModel(config).eval()


TEXTS = torch.randint(3, 60, (6, 2, 20), generator=torch.Generator().manual_seed(0))
PADDED = torch.ones(2, 20, dtype=torch.long)
PADDED[0, 14:] = 0


def read(model, keep="all", texts=TEXTS):
    with torch.no_grad(), capture_attention(model, keep) as captured:
        for text in texts:
            model(text, attention_mask=PADDED)
    return captured


def test_stored_and_streamed_reports_agree(llama):
    whole = head_report(read(llama), list(TEXTS), repeats=19)
    assert len(whole) == 8 and whole.notna().all(axis=None)
    assert (whole.tokens == 6 * 34).all() and whole.key_head.tolist() == [0, 0, 1, 1] * 2
    for keep in ("moments", 2):
        stream = head_report(read(llama, keep), repeats=19)
        known = [c for c in stream if stream[c].notna().all() and c != "name"]
        assert len(known) >= 15
        if keep == "moments":
            assert np.allclose(
                stream[known].astype(float), whole[known].astype(float), rtol=1e-6
            )
    shared = ["rank", "effective_rank", "lam", "df", "importance", "value_share", "p"]
    assert (whole[shared].iloc[::2].to_numpy() == whole[shared].iloc[1::2].to_numpy()).all()


def test_padding_changes_nothing(llama):
    alone = [TEXTS[0, :1, :14], TEXTS[0, 1:]]
    with torch.no_grad(), capture_attention(llama) as captured:
        for text in alone:
            llama(text)
    one = head_report(captured, alone, repeats=0).drop(columns="name")
    two = head_report(read(llama, texts=TEXTS[:1]), TEXTS[0], repeats=0).drop(
        columns="name"
    )
    assert np.allclose(one.astype(float), two.astype(float), rtol=1e-4, equal_nan=True)


def test_a_long_text_takes_constant_memory(llama):
    few, many = (read(llama, 2, TEXTS.repeat(n, 1, 1)) for n in (1, 8))
    assert len(many.calls) == len(few.calls) == 4
    assert many.moments_of(many.layers[0]).keys == 8 * few.moments_of(few.layers[0]).keys


LONG_TEXT = """
import resource, sys, torch, transformers
from olsattention import capture_attention
torch.manual_seed(0)
config = transformers.LlamaConfig(
    vocab_size=60, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
)
model = transformers.LlamaModel(config).eval()
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with torch.no_grad(), capture_attention(model, keep=4) as captured:
    for i in range(200):
        if i == 20:
            early = peak()
        model(torch.randint(60, (1, 512)))
moments = captured.moments_of(captured.layers[1])
print(moments.keys, len(captured.calls), peak() - early)
"""


@pytest.mark.slow
def test_a_hundred_thousand_tokens_take_the_memory_of_ten_thousand():
    """In a process of its own, for its peak is asked for; what would be kept of the text is 210 MB."""
    done = subprocess.run([sys.executable, "-c", LONG_TEXT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    keys, kept, grown = map(int, done.stdout.split())
    assert keys == 200 * 512 and kept == 8
    assert grown < 16 * 1024  # kilobytes


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_report_in_half_precision(llama, dtype):
    model = copy.deepcopy(llama).to(dtype)
    got, exact = (head_report(read(m), list(TEXTS), repeats=19) for m in (model, llama))
    assert (got[["previous", "first"]] - exact[["previous", "first"]]).abs().max(
        axis=None
    ) < 0.05
    assert np.allclose(got.df, exact.df, rtol=0.1)


def test_ridge_and_cross_attention_have_the_columns_that_apply(llama):
    transformers = pytest.importorskip("transformers")
    register_ridge_attention()
    ridge = copy.deepcopy(llama)
    ridge.set_attn_implementation("ridge")
    report = head_report(read(ridge), repeats=19)
    assert report[["distance", "previous"]].isna().all(axis=None) and report.p.notna().all()
    config = transformers.T5Config(
        vocab_size=60, d_model=32, d_kv=8, d_ff=40, num_layers=1, num_heads=4
    )
    t5 = transformers.T5Model(config).eval()
    with torch.no_grad(), capture_attention(t5) as captured:
        t5(input_ids=TEXTS[0], decoder_input_ids=TEXTS[0, :, :5])
    cross = head_report(captured, repeats=19).query("layer == 2")
    assert cross[["distance", "df"]].notna().all(axis=None)
    assert cross[["previous", "trace"]].isna().all(axis=None)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_level_of_the_null_test_in_a_thousand_repetitions(rho):
    rng, rejected = np.random.default_rng(1), 0
    for _ in range(1000):
        noise = rng.standard_normal((712, 32))
        X = torch.from_numpy(lfilter([1], [1, -rho], noise, axis=0)[200:].copy())
        own, null = shifted_spectra([X], 19, rng)
        rejected += (1 + (null[:, 0] >= own[0]).sum()) / 20 <= 0.05
    assert 30 <= rejected <= 70
