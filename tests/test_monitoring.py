"""The monitor: fair where its assumptions hold, exact over saving, and unimpressed by bad readings."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import binom, kstest

from olsattention import SpectrumMonitor, condition_number
from olsattention.models.monitoring import (
    DELTAS,
    average_threshold,
    conformal_p,
    log_martingale,
    log_shares,
)

LAWS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "t3": lambda rng, shape: rng.standard_t(3, shape),
    "lognormal": lambda rng, shape: rng.lognormal(size=shape),
    "ties": lambda rng, shape: rng.integers(4, size=shape).astype(float),
    "constant": lambda rng, shape: np.zeros(shape),
}


def ranks(scores, m, rng):
    """The ranks (n, T) of streams (n, m + T) behind their reference."""
    u = 1 - rng.random(scores.shape)
    steps = range(m, scores.shape[1])
    return np.array([conformal_p(scores[:, t], scores[:, :t], u[:, t]) for t in steps]).T


def make(rng, n=60, heads=3, d=5, **options):
    reference = rng.gamma(4.0, size=(n, heads, d))
    return SpectrumMonitor(reference, 1.0, rng, **options)


def spectra(rng, heads=3, d=5, scale=1.0):
    return scale * rng.gamma(4.0, size=(heads, d))


# ---- the bet -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS)
def test_false_alarms_stay_below_alpha_whatever_the_law(law):
    rng = np.random.default_rng(1)
    p = ranks(LAWS[law](rng, (600, 30 + 300)), 30, rng)
    assert kstest(p.ravel(), "uniform").pvalue > 1e-4
    top = np.exp(log_martingale(-ndtri(p))).max(1)
    for alpha in (0.2, 0.05, 0.01):
        assert np.sum(top >= 1 / alpha) <= binom.ppf(0.999, 600, alpha)


def test_ranks_are_independent_although_they_share_their_bag():
    rng = np.random.default_rng(2)
    p = ranks(rng.standard_cauchy((20_000, 2 + 6)), 2, rng)
    related = np.corrcoef(p.T) - np.eye(6)
    squares = np.corrcoef(((p - 0.5) ** 2).T) - np.eye(6)
    assert max(abs(related).max(), abs(squares).max()) < 5 / np.sqrt(20_000)


@given(
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=30), st.integers(0, 2**32 - 1)
)
def test_the_rank_depends_on_the_order_of_scores_only(values, seed):
    rng = np.random.default_rng(seed)
    scores, u = np.array(values), 1 - rng.random()
    order = np.searchsorted(np.unique(scores), scores).astype(float)
    p = conformal_p(scores[-1], scores[:-1], u)
    assert p == conformal_p(order[-1], order[:-1], u)
    assert p == conformal_p(scores[-1], rng.permutation(scores[:-1]), u)
    assert 0 < p <= 1


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=25))
def test_the_recursion_is_the_mixture(values):
    z, n = np.array(values), len(values)
    w = np.exp(log_shares(n))
    total = 1 - w.sum()
    for delta in DELTAS:
        f = np.exp(delta * z - delta**2 / 2)
        total += sum(w[k] * np.prod(f[k:]) for k in range(n)) / len(DELTAS)
    np.testing.assert_allclose(np.exp(log_martingale(z))[-1], total, rtol=1e-10)


def test_shares_add_up_to_less_than_one_for_ever():
    w = np.exp(log_shares(100_000))
    rest = 0.9 * np.log(10) / np.log(100_010)  # the integral of all that follow
    assert w.sum() + rest < 1
    assert np.array_equal(log_shares(5, 7), log_shares(12)[7:])


def test_extreme_scores_do_not_overflow():
    logs = log_martingale(np.r_[np.full(5000, 8.0), -np.inf, np.full(5000, -8.0)])
    assert np.isfinite(logs).all() and logs[4999] > 1e4
    assert np.exp(logs[-1]) < 1


def test_the_peer_agrees_on_what_is_odd():
    """online-cp's jumper bets otherwise on the same ranks: both keep still, and both ring."""
    from online_cp.martingale import CompositeJumper

    rng = np.random.default_rng(3)
    x = rng.standard_normal((12, 100 + 150))
    x[6:, 175:] += 2
    p = ranks(x, 100, rng)
    ours = log_martingale(-ndtri(p)).max(1) >= np.log(100)
    theirs = []
    for row in p:
        martingale, top = CompositeJumper(), 0.0
        for value in row:
            martingale.update(float(value))
            top = max(top, martingale.M)
        theirs.append(top >= 100)
    assert not ours[:6].any() and ours[6:].all()
    assert not any(theirs[:6]) and sum(theirs[6:]) >= 5


def test_a_kolmogorov_smirnov_test_that_is_repeated_cries_wolf():
    """The peer that everybody has: valid for one look, and not for a look after every reading."""
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(17)
    wolf = ours = found = 0
    for _ in range(40):
        x = rng.standard_normal(60 + 200)
        looks = range(80, 261, 10)
        wolf += min(ks_2samp(x[:60], x[t - 20 : t]).pvalue for t in looks) < 0.05
        ours += (log_martingale(-ndtri(ranks(x[None], 60, rng)[0])) >= np.log(20)).any()
        x[160:] += 1.5
        found += (log_martingale(-ndtri(ranks(x[None], 60, rng)[0])) >= np.log(20)).any()
    assert wolf > 12 and ours <= binom.ppf(0.999, 40, 0.05) and found == 40


# ---- the class ---------------------------------------------------------------------------------------------


def test_one_head_is_the_martingale_of_its_distances():
    rng = np.random.default_rng(4)
    monitor = make(rng, heads=1, d=4)
    for _ in range(80):
        monitor.update(spectra(rng, 1, 4))
    z = monitor._z[0, :80]
    np.testing.assert_allclose(
        np.log([r.capital for r in monitor.readings]),
        log_martingale(z),
        rtol=1e-12,
        atol=1e-12,
    )
    assert monitor.alarm == bool((log_martingale(z) >= np.log(100)).any())


@pytest.mark.parametrize("combine", ["largest", "score", "average"])
def test_few_false_alarms_and_a_change_is_found_and_located(combine):
    false, late, leaders, places = 0, [], [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        monitor = make(rng, n=100, alpha=0.05, combine=combine)
        for _ in range(60):
            monitor.update(spectra(rng))
        false += monitor.alarm
        while not monitor.alarm and monitor.t < 300:
            changed = spectra(rng)
            changed[1] *= 3
            monitor.update(changed)
        late.append(monitor.t - 60)
        leaders.append(next(iter(monitor.leading())))
        places.append(monitor.change_point())
    assert false <= binom.ppf(0.999, 60, 0.05)
    assert np.median(late) < 25 and abs(np.median(places) - 61) < 5
    assert leaders.count("head 1") > 50


@pytest.mark.parametrize("heads", [1, 2, 24, 72, 1000])
@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.01, 1e-6])
def test_the_threshold_of_an_average_solves_its_equation(alpha, heads):
    c = average_threshold(alpha, heads)
    bound = 1 / c if heads == 1 else (1 + np.log(c * heads)) / c
    assert bound == pytest.approx(alpha, rel=1e-9) and c * heads >= 1


def test_no_dependence_breaks_the_thresholds_of_many_heads():
    """Suprema with P(T >= x) = 1/x, the worst that Ville allows, coupled in ways that favour the average or the largest."""
    rng, n, H, alpha = np.random.default_rng(13), 40_000, 12, 0.05
    u = 1 - rng.random((n, 1))
    c = average_threshold(alpha, H)
    for coupling in (
        1 - rng.random((n, H)),  # independent
        np.repeat(u, H, 1),  # all alike
        (u + np.arange(H) / H) % 1 + 1e-12,  # never large together
        np.where(rng.random((n, 1)) < 0.5, u, 1 - rng.random((n, H))),
    ):
        T = 1 / coupling
        slack = 3 * np.sqrt(alpha / n)
        assert np.mean(T.mean(1) >= c) <= alpha + slack
        assert np.mean(T.max(1) / H >= 1 / alpha) <= alpha + slack


@pytest.mark.parametrize("combine", ["largest", "score", "average"])
def test_the_alarm_looks_at_what_it_says(combine):
    rng = np.random.default_rng(14)
    monitor = make(rng, n=40, heads=4, alpha=0.05, combine=combine)
    assert monitor.weights.sum() == pytest.approx(1.0)
    for _ in range(30):
        reading = monitor.update(spectra(rng, heads=4, scale=1.3))
        capitals = monitor.weights * np.exp(monitor.log_capitals)
        wanted = capitals.max() if combine == "largest" else capitals.sum()
        assert reading.capital == pytest.approx(wanted)
        passed = max(r.capital for r in monitor.readings) >= monitor.threshold
        assert reading.alarm == monitor.alarm == passed
    assert monitor.threshold == (average_threshold(0.05, 4) if combine == "average" else 20)


def test_one_head_of_many_is_found_and_named_and_nobody_else():
    wrong, late = 0, []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        monitor = make(rng, n=100, heads=40, alpha=0.05)
        for _ in range(40):
            monitor.update(spectra(rng, heads=40))
        while not monitor.alarm and monitor.t < 200:
            changed = spectra(rng, heads=40)
            changed[7] *= 2.5
            monitor.update(changed)
        late.append(monitor.t - 40)
        wrong += bool(set(monitor.named()) - {"head 7"})
        if monitor.named():
            assert "head 7" in monitor.report() and "alarm at reading" in monitor.report()
    assert np.median(late) < 40 and wrong <= binom.ppf(0.999, 20, 0.05)


def test_a_report_before_and_after():
    rng = np.random.default_rng(15)
    monitor = make(rng)
    assert monitor.report() == "no alarm in 0 readings; capital at most 1 of 100"
    monitor.update(spectra(rng))
    assert "no alarm in 1 readings" in monitor.report() and monitor.named() == []
    while not monitor.alarm:
        monitor.update(spectra(rng, scale=3.0))
    assert f"alarm at reading {monitor.alarm_at};" in monitor.report()


def test_the_split_keeps_the_score_away_from_what_it_ranks():
    """Sixteen numbers a head and 50 readings: a score fitted on all of them rings in every stream."""
    rang = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        monitor = make(rng, n=50, heads=1, d=16, alpha=0.05)
        for _ in range(150):
            monitor.update(spectra(rng, 1, 16))
        rang += monitor.alarm
    assert rang <= binom.ppf(0.999, 40, 0.05)


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox])
@pytest.mark.parametrize("before", [0, 1, 70])
def test_a_saved_monitor_goes_on_to_the_bit(kind, before, tmp_path):
    rng = np.random.Generator(kind(5))
    monitor = make(rng, names=["a", "b", "é"])
    for _ in range(before):
        monitor.update(spectra(rng))
    monitor.save(tmp_path / "m")
    again = SpectrumMonitor.load(tmp_path / "m")
    assert again.names == monitor.names
    for _ in range(70):
        batch = spectra(rng, scale=1.5)
        a, b = monitor.update(batch), again.update(batch)
        assert all(np.array_equal(x, y) for x, y in zip(a, b))
    assert again.alarm_at == monitor.alarm_at and again.to_jsonl() == monitor.to_jsonl()
    assert again.frame(heads=True).equals(monitor.frame(heads=True))


def test_reset_forgets_the_stream_and_keeps_the_reference():
    rng = np.random.default_rng(6)
    monitor = make(rng)
    while not monitor.alarm:
        monitor.update(spectra(rng, scale=3.0))
    monitor.reset()
    assert (monitor.t, monitor.alarm, monitor.change_point()) == (0, False, None)
    assert monitor.log_capital == pytest.approx(np.log(monitor.weights.max()))
    assert monitor.update(spectra(rng)).t == 1


def test_the_generator_of_the_caller_is_left_alone():
    rng = np.random.default_rng(7)
    reference = rng.gamma(4.0, size=(40, 2, 3))
    state = rng.bit_generator.state
    monitor = SpectrumMonitor(reference, 1.0, rng)
    monitor.update(reference[0])
    assert rng.bit_generator.state == state


def test_a_reference_of_dicts():
    rng = np.random.default_rng(16)
    array = rng.gamma(4.0, size=(30, 2, 3))
    batches = [{"b": x[0], "a": x[1]} for x in array]
    one = SpectrumMonitor(batches, 1.0, np.random.default_rng(0))
    two = SpectrumMonitor(array, 1.0, np.random.default_rng(0), names=["b", "a"])
    assert one.names == ["b", "a"]
    assert one.update({"a": array[3, 1], "b": array[3, 0]}).p == two.update(array[3]).p
    with pytest.raises(ValueError, match="missing or unknown"):
        SpectrumMonitor([*batches, {"a": [1.0]}], 1.0, rng)
    uneven = [{"a": [1.0, 2.0], "b": [1.0]}] * 30
    with pytest.raises(ValueError, match="equally long"):
        SpectrumMonitor(uneven, 1.0, rng)


@pytest.mark.parametrize("keep", ["all", "moments", 1])
def test_spectra_of_a_capture(keep):
    import torch

    from olsattention import capture_attention, captured_spectra

    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(12, 3, 16, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    x = torch.randn(2, 9, 12)
    padding = torch.arange(9) >= torch.tensor([[9], [5]])
    with capture_attention(model, keep=keep) as captured, torch.no_grad():
        model(x, src_key_padding_mask=padding)
        model(x)
    found = captured_spectra(captured)
    assert list(found) == [f"layer {i}, head {j}" for i in range(2) for j in range(3)]
    rows = torch.cat([x[0], x[1, :5], x[0], x[1]])
    first = model.layers[0].self_attn
    W, b = first.in_proj_weight.detach()[12:24], first.in_proj_bias.detach()[12:24]
    K = (rows @ W.T + b)[:, :4].double()
    wanted = torch.linalg.svdvals(K).numpy() ** 2
    np.testing.assert_allclose(found["layer 0, head 0"], wanted / len(rows), rtol=1e-5)
    whole = captured_spectra(captured, per_token=False)["layer 0, head 0"]
    np.testing.assert_allclose(whole, wanted, rtol=1e-5)


def test_records():
    rng = np.random.default_rng(8)
    monitor = make(rng, names=["a", "b", "c"])
    batch = dict(zip("cab", spectra(rng)))
    reading = monitor.update(batch)
    mu = np.stack([batch[name] for name in "abc"])
    np.testing.assert_allclose(reading.condition, condition_number(mu, 1.0))
    np.testing.assert_allclose(reading.df, (mu / (mu + 1)).sum(-1))
    share = mu / mu.sum(-1, keepdims=True)
    np.testing.assert_allclose(
        reading.effective_rank, np.exp(-(share * np.log(share)).sum(-1))
    )
    (line,) = monitor.to_jsonl().splitlines()
    assert json.loads(line)["distance"] == reading.distance.tolist()
    assert list(monitor.frame(heads=True)["head"]) == ["a", "b", "c"]


def test_spectra_that_vanish_or_never_vary():
    rng = np.random.default_rng(9)
    reference = np.ones((40, 2, 3))
    reference[:, 1] = 0.0
    monitor = SpectrumMonitor(reference, 1e-3, rng)
    reading = monitor.update(reference[0])
    assert np.isfinite(reading.capital) and reading.effective_rank[1] == pytest.approx(1.0)
    for _ in range(30):
        reading = monitor.update(2 * reference[0] + 1)
    assert monitor.alarm and np.isfinite(reading.distance).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x * np.nan, "got nan at"),
        (lambda x: -x, "finite eigenvalues >= 0"),
        (lambda x: x[:, :-1], "another model"),
        (lambda x: x[:2], "another model"),
        (lambda x: x[None], "another model"),
        (lambda x: {"head 0": x[0]}, "missing or unknown"),
        (lambda x: "spectra", "array of numbers"),
        (lambda x: x + 1j, "real numbers"),
    ],
)
def test_a_bad_reading_leaves_no_trace(change, message):
    rng = np.random.default_rng(10)
    monitor, twin = make(np.random.default_rng(11)), make(np.random.default_rng(11))
    good = spectra(rng)
    monitor.update(good), twin.update(good)
    with pytest.raises((TypeError, ValueError), match=message):
        monitor.update(change(good))
    a, b = monitor.update(good), twin.update(good)
    assert all(np.array_equal(x, y) for x, y in zip(a, b))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0}, "alpha must be in"),
        ({"combine": "any"}, "largest, average or score"),
        ({"names": ["a", "a", "b"]}, "3 different names"),
        ({"n": 19}, "n >= 20"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make(np.random.default_rng(0), **options)


@pytest.mark.parametrize("rng", [None, 0, np.random.RandomState(0)])
def test_a_generator_is_one_of_numpys(rng):
    reference = np.random.default_rng(0).gamma(2.0, size=(30, 3, 4))
    with pytest.raises(TypeError, match="rng must be a numpy.random.Generator"):
        SpectrumMonitor(reference, 0.1, rng)


def test_condition_numbers():
    assert condition_number([3.0, 1.0], 1.0) == 2.0
    assert condition_number([3.0, 1.0], 1.0, n=5) == 4.0
    assert condition_number([3.0, 0.0], 0.0) == np.inf
    assert condition_number(np.ones((2, 3)), 0.0).tolist() == [1.0, 1.0]
    for mu, lam, n, message in [
        ([-1.0], 1.0, None, "got -1.0 at"),
        ([1.0, 2.0], 1.0, 0, "n must be at least 1"),
        ([1.0], -1.0, None, "lam must be >= 0"),
        ([], 1.0, None, "r >= 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            condition_number(mu, lam, n)


# ---- files -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    rng = np.random.default_rng(12)
    monitor = make(rng, n=20)
    monitor.update(spectra(rng))
    path = tmp_path_factory.mktemp("saved") / "m"
    monitor.save(path)
    return path.read_bytes()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_raise_the_documented_error(saved, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged"
    position = data.draw(st.integers(0, len(saved) - 1))
    how = data.draw(st.sampled_from(["cut", "flip", "foreign"]))
    flipped = bytearray(saved)
    flipped[position] ^= data.draw(st.integers(1, 255))
    foreign = data.draw(st.binary(max_size=50))
    path.write_bytes(
        {"cut": saved[:position], "flip": bytes(flipped), "foreign": foreign}[how]
    )
    try:
        SpectrumMonitor.load(path)
    except ValueError:
        pass


def test_foreign_future_and_compressed_files(saved, tmp_path):
    def rewritten(**changes):
        parts = dict(np.load(io.BytesIO(saved)))
        plain = json.loads(parts["plain"].tobytes()) | changes
        parts["plain"] = np.frombuffer(json.dumps(plain).encode(), np.uint8)
        np.savez(tmp_path / "m.npz", **parts)
        return tmp_path / "m.npz"

    for changes, message in [
        ({"version": 2}, "of version 2; this reads version 1"),
        ({"format": "another"}, "'another'"),
        ({"names": ["a"]}, "do not fit together"),
        ({"t": 7}, "do not fit together"),
        ({"rng": {"bit_generator": "os"}}, "unknown generator"),
        ({"rng": 3}, "is damaged"),
    ]:
        with pytest.raises(ValueError, match=message):
            SpectrumMonitor.load(rewritten(**changes))
    np.savez_compressed(tmp_path / "c.npz", plain=np.zeros(10**6, np.uint8))
    with pytest.raises(ValueError, match="compressed"):
        SpectrumMonitor.load(tmp_path / "c.npz")
    with pytest.raises(OSError):
        SpectrumMonitor.load(tmp_path / "nothing")
    with pytest.raises(OSError):
        make(np.random.default_rng(0)).save(tmp_path / "no folder" / "m")
    assert sorted(x.name for x in tmp_path.iterdir()) == ["c.npz", "m.npz"]
