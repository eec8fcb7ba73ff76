"""What is guaranteed: identities and bounds as properties, on inputs that nobody chose to be kind; bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olsattention import (
    SequenceModel,
    SpectralSmoother,
    attention_weights,
    bias_variance,
    descent_risk,
    effective_ranks,
    empirical_rate,
    in_context_risk,
    loss_bound,
    new_row_risk,
    online_forecasts,
    oracle_lam,
    prediction_risk,
    selection_loss,
    simulate_risk,
)
from olsattention.theory.finite import _choices
from olsattention.theory.incontext import in_context_prompts, limiting_risk
from olsattention.theory.risk import best_lam

SEEDS = st.integers(0, 2**31)


def design(seed, n=12, p=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)) * 10.0 ** rng.uniform(-1, 1, size=p), rng


# ---- risk --------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    seed=SEEDS,
    shape=st.tuples(st.integers(1, 15), st.integers(1, 15)),
    lam=st.sampled_from([0.0, 1e-3, 1.0, 1e4]),
    filter=st.sampled_from(["ridge", "flow", "pcr", "ols"]),
    intercept=st.booleans(),
)
@pytest.mark.filterwarnings("ignore::olsattention.RankDeficiencyWarning")
def test_the_risk_by_directions_is_that_of_the_weights(seed, shape, lam, filter, intercept):
    X, rng = design(seed, *shape)
    truth = rng.normal(size=len(X))
    smoother = SpectralSmoother.from_design(X, intercept=intercept)
    H = smoother.hat_matrix(lam, filter)
    by_weights = prediction_risk(H, truth, truth, 0.3)
    by_directions = bias_variance(smoother, truth, [lam], 0.3, filter)
    scale = np.mean(truth**2) + 0.09
    assert abs(by_directions.bias2[0] - np.mean(by_weights.bias2)) < 1e-10 * scale
    assert abs(by_directions.variance[0] - np.mean(by_weights.variance)) < 1e-10 * scale


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, sigma=st.sampled_from([1e-3, 0.1, 1.0, 30.0]))
def test_no_penalty_beats_the_oracle(seed, sigma):
    X, rng = design(seed)
    truth = X @ rng.normal(size=4) * 10.0 ** rng.uniform(-2, 2) + rng.normal(size=12)
    smoother = SpectralSmoother.from_design(X)
    oracle = oracle_lam(smoother, truth, sigma)
    grid = np.r_[0.0, np.geomspace(1e-8, 1e8, 400)]
    curve = bias_variance(smoother, truth, grid, sigma)
    assert oracle.risk <= curve.risk.min() * (1 + 1e-12)
    # some shrinkage always helps: the gain over least squares, by directions and without cancellation
    lam, mu, theta = oracle.lam, smoother.mu, smoother.U.T @ truth
    terms = lam * (sigma**2 * (2 * mu + lam) - lam * theta**2) / (mu + lam) ** 2
    gain = np.sum(terms) / len(X)
    assert gain > 0
    assert np.isclose(
        curve.risk[0] - oracle.risk, gain, rtol=1e-9, atol=1e-13 * curve.risk[0]
    )
    at = bias_variance(smoother, truth, [oracle.lam], sigma)
    assert np.isclose(oracle.risk, at.risk[0], rtol=1e-12)
    assert np.isclose(oracle.df, smoother.df(oracle.lam))


def test_the_oracle_finds_the_deepest_of_several_minima():
    mu, energy = np.array([1e6, 1e6, 1.0, 1.0]), np.array([1e2, 1e2, 0.05, 30.0])
    lam = best_lam(mu, energy, 1.0)

    def risk(lam):
        return np.sum((lam**2 * energy + mu**2) / (mu + lam) ** 2)

    assert risk(lam) <= min(map(risk, np.geomspace(1e-8, 1e12, 20_000))) * (1 + 1e-12)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_extremes_of_the_oracle(kind):
    as_kind = torch.from_numpy if kind == "torch" else np.asarray
    X, rng = design(0)
    smoother = SpectralSmoother.from_design(as_kind(X), intercept=True)
    truth = rng.normal(size=12)
    assert oracle_lam(smoother, as_kind(truth), 0.0)[0] == 0.0
    for nothing in (np.zeros(12), np.full(12, 7.0)):
        oracle = oracle_lam(smoother, as_kind(nothing), 2.0)
        assert oracle.lam == np.inf and oracle.boundary == "upper"
        assert np.isclose(oracle.risk, 4 / 12) and oracle.df == 1


def test_torch_and_numpy_agree_and_the_risk_has_gradients():
    X, rng = design(1)
    truth, lams = rng.normal(size=12), [0.1, 3.0]
    one = bias_variance(SpectralSmoother.from_design(X), truth, lams, 0.5)
    tensor = torch.from_numpy(truth).requires_grad_()
    other = bias_variance(
        SpectralSmoother.from_design(torch.from_numpy(X)), tensor, lams, 0.5
    )
    np.testing.assert_allclose(other.risk.detach(), one.risk, rtol=1e-12)
    other.bias2.sum().backward()
    H = [SpectralSmoother.from_design(X).hat_matrix(lam) for lam in lams]
    by_hand = sum(2 / 12 * (np.eye(12) - h) @ (np.eye(12) - h) @ truth for h in H)
    np.testing.assert_allclose(tensor.grad, by_hand, rtol=1e-9, atol=1e-12)


def test_simulation_agrees_with_the_identity():
    X, rng = design(2, 30, 5)
    truth, smoother = rng.normal(size=30), SpectralSmoother.from_design(X, intercept=True)
    lams = np.geomspace(1e-2, 1e3, 12)
    for filter in ("ridge", "pcr"):
        found = simulate_risk(smoother, truth, lams, 0.8, rng, 4000, filter)
        exact = bias_variance(smoother, truth, lams, 0.8, filter).risk
        assert np.abs((found.risk - exact) / found.error).max() < 3.5


# ---- rates -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("s", [0.75, 1.0, 1.5, 3.0])
def test_slopes_of_the_sequence_model(s):
    sizes = np.geomspace(1e3, 1e5, 9)
    model = SequenceModel(s)
    lam = [model.oracle_lam(n) for n in sizes]
    risk = [model.bias_variance(n, [x]).risk[0] for n, x in zip(sizes, lam)]
    usable = min(s, 2.0)
    assert abs(empirical_rate(sizes, lam).slope + 2 / (2 * usable + 1)) < 0.03
    assert abs(empirical_rate(sizes, risk).slope + 2 * usable / (2 * usable + 1)) < 0.03


@pytest.mark.parametrize("ends", [(1e3, 1e5), (1e6, 1e8)])
def test_at_twice_the_order_a_logarithm_is_in_the_way(ends):
    sizes = np.geomspace(*ends, 7)
    lam = [SequenceModel(2).oracle_lam(n) for n in sizes]
    assert empirical_rate(sizes, lam).slope < -0.42
    assert abs(empirical_rate(sizes * np.log(sizes), lam).slope + 0.4) < 0.01


def test_real_kernel_matrices_follow_the_rate(root):
    import json

    kept = json.loads((root / "nbs/data/kernel_rates.json").read_text())
    assert max(kept["sizes"]) == 4096
    for s in (0.75, 1.5):
        risk, lam = (
            empirical_rate(kept["sizes"], kept[str(s)][key]) for key in ("risk", "lam")
        )
        assert abs(risk.slope + 2 * s / (2 * s + 1)) < 0.03
        assert abs(lam.slope + 2 / (2 * s + 1)) < 0.03


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, slope=st.floats(-3, 3), unit=st.floats(1e-6, 1e6))
def test_a_slope_does_not_depend_on_the_unit(seed, slope, unit):
    rng, sizes = np.random.default_rng(seed), np.array([5.0, 20, 70, 300])
    values = sizes**slope * np.exp(0.1 * rng.normal(size=4))
    one, other = empirical_rate(sizes, values), empirical_rate(sizes, unit * values)
    np.testing.assert_allclose(one[:3], other[:3], atol=1e-9)
    assert one.low <= one.slope <= one.high
    assert np.isclose(one.slope, np.polyfit(np.log(sizes), np.log(values), 1)[0])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(smoothness=0), "smoothness must be > 0"),
        (dict(smoothness=-1), "smoothness must be > 0"),
        (dict(smoothness=np.inf), "smoothness must be > 0 and finite"),
        (dict(smoothness=np.nan), "smoothness must be > 0"),
        (dict(smoothness=1, dimension=0), "dimension must be a whole number"),
        (dict(smoothness=1, dimension=2), "order must exceed dimension / 2"),
        (dict(smoothness=1, order=0.5), "order must exceed dimension / 2"),
        (dict(smoothness=1, sigma=0), "without noise there is nothing to trade"),
    ],
)
def test_outside_the_theory_the_assumption_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SequenceModel(**arguments)


@pytest.mark.parametrize(
    "sizes, values, message",
    [
        ([10, 100], [1.0, 2.0], "three different"),
        ([10, 10, 100], [1.0, 1.0, 2.0], "three different"),
        ([10, 20, 30], [1.0, 2.0, 3.0], "over a decade"),
        ([0.1, 1, 10], [1.0, 2.0, 3.0], "three different numbers of rows"),
        ([1, 10, 100], [1.0, 0.0, 3.0], "to have a logarithm"),
        ([1, 10, 100], [1.0, 2.0], "values must have 3 rows"),
        ([1, 10, 100], [1.0, np.nan, 2.0], "values contains nan at row 1"),
    ],
)
def test_a_slope_needs_enough(sizes, values, message):
    with pytest.raises(ValueError, match=message):
        empirical_rate(sizes, values)


# ---- finite samples ----------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, lam=st.sampled_from([0.0, 0.1, 10.0]), sigma=st.sampled_from([0.1, 1.0]))
def test_losses_exceed_their_bound_no_more_often_than_promised(seed, lam, sigma):
    X, rng = design(seed)
    truth, smoother = rng.normal(size=12), SpectralSmoother.from_design(X, intercept=True)
    Y = truth[:, None] + sigma * rng.normal(size=(12, 2000))
    losses = np.mean((smoother.fit(Y, lam) - truth[:, None]) ** 2, axis=0)
    for probability in (0.3, 0.05):
        bound = loss_bound(smoother, truth, lam, sigma, probability)
        assert np.mean(losses > bound) <= probability
        assert bound > bias_variance(smoother, truth, [lam], sigma).risk[0]


def test_choices_by_gcv_are_those_of_the_curve():
    rng, n = np.random.default_rng(0), 40
    mu, theta = n / np.arange(1.0, n + 1) ** 2, 5 / np.arange(1.0, n + 1)
    g = mu / (mu + np.geomspace(1e-2, 1e2, 9)[:, None])
    losses, middle, chosen = _choices(g, theta, 1.0, np.random.default_rng(1), 5, "gcv")
    y = theta[:, None] + np.random.default_rng(1).normal(size=(n, 5))
    for i in range(5):
        gcv = [np.mean(((1 - a) * y[:, i]) ** 2) / np.mean(1 - a) ** 2 for a in g]
        assert chosen[i] == np.argmin(gcv)
        assert np.isclose(losses[i], np.sum((g[chosen[i]] * y[:, i] - theta) ** 2))
        assert np.isclose(middle[i], np.sum((g[4] * y[:, i] - theta) ** 2))
    assert selection_loss(mu, theta, 1.0, rng).ratio > 1


# ---- double descent ----------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    seed=SEEDS, n=st.integers(1, 9), p=st.integers(1, 9), lam=st.sampled_from([0.0, 0.5])
)
def test_the_risk_at_a_new_row(seed, n, p, lam):
    X, rng = design(seed, n, p)
    beta, root = rng.normal(size=p), rng.normal(size=(p, p))
    S = root @ root.T
    B = np.linalg.pinv(X) if lam == 0 else np.linalg.solve(X.T @ X + lam * np.eye(p), X.T)
    missed = (B @ X - np.eye(p)) @ beta
    found = new_row_risk(X, beta, lam, 0.6, S)
    size = np.linalg.norm(B) ** 2 * np.linalg.norm(S)
    assert abs(found.bias2 - missed @ S @ missed) < 1e-8 * (beta @ beta * np.linalg.norm(S))
    assert abs(found.variance - 0.36 * np.trace(S @ B @ B.T)) < 1e-8 * size


def test_more_features_hurt_once_and_then_help():
    risks = [descent_risk(30, p, 1.0, 0.2) for p in (5, 20, 28, 32, 60, 300)]
    assert risks[0] < risks[1] < risks[2] and risks[3] > risks[4] > 0
    assert descent_risk(30, 30, 1.0, 0.2) == descent_risk(30, 31, 1.0, 0.2) == np.inf
    assert descent_risk(30, 29, 1.0, 0.0) == 0 and descent_risk(30, 60, 1.0, 0.0) == 0.5


def test_effective_ranks_of_known_spectra():
    assert effective_ranks(np.r_[9.0, np.ones(50)], 1) == (50, 50)
    assert effective_ranks([1.0, 5.0], 0).r == 6 / 5
    for bad, k in (([1.0, -1.0], 0), ([1.0, 0.0], 1), ([1.0], 1)):
        with pytest.raises(ValueError):
            effective_ranks(bad, k)


# ---- regret ------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    seed=SEEDS,
    T=st.integers(1, 30),
    d=st.integers(1, 4),
    lam=st.sampled_from([1e-3, 1.0, 100.0]),
    decay=st.sampled_from([1.0, 0.97, 0.5]),
    spread=st.sampled_from([0, 3]),
)
def test_the_regret_is_bounded_on_every_prefix(seed, T, d, lam, decay, spread):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(T, d)) * 10.0 ** rng.uniform(-spread, spread, size=(T, 1))
    y = rng.standard_cauchy(size=T)
    f = online_forecasts(X, y, lam, decay)
    largest = np.maximum.accumulate(y**2)
    assert np.all(f.cautious_regret <= f.bound + 1e-9 * largest)
    if decay == 1:
        assert np.all(
            f.bound
            <= largest * np.linalg.slogdet(np.eye(d) + X.T @ X / lam)[1] * (1 + 1e-9)
        )


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, decay=st.sampled_from([1.0, 0.9]))
def test_hindsight_is_the_least_penalised_loss(seed, decay):
    rng, T, d, lam = np.random.default_rng(seed), 20, 3, 0.4
    X, y = rng.normal(size=(T, d)), rng.normal(size=T)
    f = online_forecasts(X, y, lam, decay)
    for t in (1, 7, T):
        w = decay ** np.arange(t - 1, -1, -1.0)
        A = (X[:t].T * w) @ X[:t] + decay**t * lam * np.eye(d)
        b = (X[:t].T * w) @ y[:t]
        assert np.isclose(
            f.hindsight[t - 1], w @ y[:t] ** 2 - b @ np.linalg.solve(A, b), rtol=1e-9
        )


def test_forecasts_do_not_look_ahead():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(15, 2)), rng.normal(size=15)
    whole, part = online_forecasts(X, y, 1.0), online_forecasts(X[:9], y[:9], 1.0)
    for one, other in zip(whole, part):
        np.testing.assert_allclose(one[:9], other, rtol=1e-12, atol=1e-14)


# ---- in context --------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 12))
def test_the_exact_head_is_the_best(seed, n):
    rng, d = np.random.default_rng(seed), 4
    K, Q, sigma, prior = rng.normal(size=(n, d)), rng.normal(size=(3, d)), 0.7, 1.3
    W = attention_weights(Q, K, sigma**2 / prior**2)
    best = in_context_risk(W, K, Q, sigma, prior).risk
    inverse = np.linalg.inv(K.T @ K + sigma**2 / prior**2 * np.eye(d))
    np.testing.assert_allclose(best, sigma**2 * np.sum(Q @ inverse * Q, axis=1), rtol=1e-9)
    assert np.all(
        in_context_risk(W + 0.01 * rng.normal(size=W.shape), K, Q, sigma, prior).risk
        >= best
    )


def test_prompts_are_reproducible_and_limits_are_limits():
    one, other = (
        in_context_prompts(3, 5, 2, 0.1, torch.Generator().manual_seed(4)) for _ in "ab"
    )
    assert all(torch.equal(a, b) for a, b in zip(one, other)) and one.key.shape == (3, 5, 2)
    assert np.isclose(limiting_risk(10**7, 4, 1.0), 4e-7, rtol=1e-5)
    assert np.isclose(
        limiting_risk(1, 10**7, 1.0, 0.5), 0.25 * 10**7, rtol=1e-5
    )  # nothing is learnt


# ---- bad input ---------------------------------------------------------------------------------------------

X, _ = design(5)
SMOOTHER = SpectralSmoother.from_design(X)
GOOD = np.arange(12.0)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda: bias_variance(SMOOTHER, GOOD[:5], [1.0], 1.0),
            ValueError,
            r"truth must have shape \(12,\)",
        ),
        (
            lambda: bias_variance(SMOOTHER, GOOD, 1.0, 1.0),
            TypeError,
            "lams must be a sequence",
        ),
        (
            lambda: bias_variance(SMOOTHER, GOOD, [], 1.0),
            TypeError,
            "lams must be a sequence",
        ),
        (
            lambda: bias_variance(SMOOTHER, GOOD, [-1.0], 1.0),
            ValueError,
            r"lams\[0\] must be >= 0",
        ),
        (
            lambda: bias_variance(SMOOTHER, GOOD, [1.0], -1.0),
            ValueError,
            "sigma must be >= 0",
        ),
        (
            lambda: bias_variance(SMOOTHER, GOOD, [1.0], 1.0, "none"),
            ValueError,
            "unknown filter",
        ),
        (
            lambda: oracle_lam(SMOOTHER, np.full(12, np.nan), 1.0),
            ValueError,
            "truth contains nan at row 0",
        ),
        (
            lambda: oracle_lam(SMOOTHER, GOOD, np.inf),
            ValueError,
            "sigma must be >= 0 and finite",
        ),
        (lambda: prediction_risk(X, GOOD[:4], GOOD, np.nan), ValueError, "sigma"),
        (
            lambda: prediction_risk(X, GOOD[:4], GOOD[:3], 1.0),
            ValueError,
            "target must have shape",
        ),
        (
            lambda: simulate_risk(SMOOTHER, GOOD, [1.0], 1.0, np.random.default_rng(0), 1),
            ValueError,
            "at least 2",
        ),
        (
            lambda: loss_bound(SMOOTHER, GOOD, 1.0, 1.0, 0.0),
            ValueError,
            "probability must be in",
        ),
        (
            lambda: selection_loss(GOOD, GOOD, 0.0, np.random.default_rng(0)),
            ValueError,
            "without noise",
        ),
        (
            lambda: selection_loss(GOOD, 0 * GOOD, 1.0, np.random.default_rng(0)),
            ValueError,
            "without a signal",
        ),
        (
            lambda: selection_loss(
                GOOD, GOOD, 1.0, np.random.default_rng(0), criterion="aic"
            ),
            ValueError,
            "criterion must be",
        ),
        (
            lambda: new_row_risk(X, GOOD, 1.0, 1.0),
            ValueError,
            r"coefficients must have shape \(4,\)",
        ),
        (lambda: new_row_risk(X, GOOD[:4], -1.0, 1.0), ValueError, "lam must be >= 0"),
        (lambda: descent_risk(5, 0, 1.0, 1.0), ValueError, "at least 1"),
        (lambda: descent_risk(5, 2, -1.0, 1.0), ValueError, "signal must be >= 0"),
        (lambda: online_forecasts(X, GOOD, 0.0), ValueError, "lam must be > 0"),
        (
            lambda: online_forecasts(X, GOOD, 1.0, 0.0),
            ValueError,
            r"decay must be in \(0, 1\]",
        ),
        (lambda: online_forecasts(X, GOOD[:3], 1.0), ValueError, "y must have shape"),
        (
            lambda: online_forecasts(X, np.ones((12, 2)), 1.0),
            ValueError,
            "one outcome a step",
        ),
        (lambda: in_context_risk(X, X, X, 1.0), ValueError, "weights must have shape"),
        (lambda: limiting_risk(0, 1, 1.0), ValueError, "at least 1"),
        (lambda: limiting_risk(5, 1, 0.0), ValueError, "must be > 0"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
