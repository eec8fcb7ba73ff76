"""States of streams: any blocks, any order, bad blocks, files, interruptions, the command."""

import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olsattention import (
    ArrayBlocks,
    AttentionRegressor,
    LeastSquaresState,
    ParquetBlocks,
    RankDeficiencyWarning,
    SpectralSmoother,
    fit_blocks,
    leverage,
    select_lam,
)
from olsattention.arrays import qr_triangle
from olsattention.models import command


def made(seed, n=400, p=4, k=None, offset=3.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + offset
    Y = X @ rng.normal(size=(p, k or 1)) + rng.normal(size=(n, k or 1))
    return X, Y if k else Y[:, 0]


def streamed(X, y, size, weights=None):
    state = LeastSquaresState()
    for a in range(0, len(X), size):
        rows = slice(a, a + size)
        state.update(X[rows], y[rows], None if weights is None else weights[rows])
    return state


# ---- any blocks, any order ---------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6),
    st.integers(1, 60),
    st.integers(1, 7),
    st.sampled_from([None, 1, 3]),
    st.lists(st.integers(0, 60), max_size=5),
    st.sampled_from([0.0, 10.0, 1e6]),
)
def test_any_cut_gives_the_triangle_of_the_rows(seed, n, p, k, cuts, offset):
    X, y = made(seed, n, p, k, offset)
    state, edges = LeastSquaresState(), [0, *sorted(min(c, n) for c in cuts), n]
    for a, b in itertools.pairwise(edges):
        state.update(X[a:b], y[a:b])
    whole = np.column_stack([np.ones(n), X, y])
    G = whole.T @ whole
    scale = np.sqrt(np.outer(G.diagonal(), G.diagonal()))
    assert np.max(np.abs(state.R.T @ state.R - G) / scale) < 1e-13
    assert np.array_equal(state.R, np.triu(state.R)) and (state.R.diagonal() >= 0).all()
    assert state.count == n


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.permutations(range(6)), st.integers(1, 5))
def test_merging_is_associative_and_commutative(seed, order, cut):
    X, y = made(seed, 120)
    parts = [LeastSquaresState().update(X[i::6], y[i::6]) for i in range(6)]
    R = qr_triangle(np.column_stack([np.ones(120), X, y]))

    def merged(states):
        first, *others = states
        for other in others:
            first = first.merge(other)
        return first

    shuffled = [parts[i] for i in order]
    found = merged(shuffled[:cut]).merge(merged(shuffled[cut:]))
    assert np.max(np.abs(found.R - R)) < 1e-12 * np.max(np.abs(R))
    assert found.count == 120 and all(part.count == 20 for part in parts)


def test_weights_are_copies_and_zero_is_none():
    X, y = made(0, 50)
    w = np.random.default_rng(0).integers(0, 4, 50)
    ours = streamed(X, y, 7, w.astype(float))
    copies = streamed(np.repeat(X, w, axis=0), np.repeat(y, w), 7)
    assert np.allclose(ours.R, copies.R, rtol=1e-11, atol=1e-11)
    assert ours.count == np.count_nonzero(w) and copies.count == w.sum()
    assert np.isclose(ours.sigma2(weight_type="frequency"), copies.sigma2())


def test_precision_weights_are_those_of_wls():
    X, y = made(1, 80)
    w = np.random.default_rng(1).uniform(0.2, 3, 80)
    state, theirs = streamed(X, y, 30, w), sm.WLS(y, sm.add_constant(X), w).fit()
    b, b0 = state.coefficients()
    se, se0 = state.standard_errors()
    assert np.allclose(np.r_[b0, b], theirs.params, rtol=1e-10)
    assert np.allclose(np.r_[se0, se], theirs.bse, rtol=1e-10)
    scaled = np.sqrt(w)[:, None] * sm.add_constant(X)
    assert np.allclose(state.leverage(X, weights=w), leverage(scaled), rtol=1e-9)
    omega = state.attention_weights(X[:4], X, weights=w)
    assert np.allclose(omega @ y, state.predict(X[:4]), rtol=1e-10)


def test_forgetting_is_weighting():
    X, y = made(2, 90)
    state = LeastSquaresState()
    for a in range(0, 90, 30):
        state.forget(0.8).update(X[a : a + 30], y[a : a + 30])
    w = np.repeat([0.64, 0.8, 1.0], 30)
    theirs = sm.WLS(y, sm.add_constant(X), w).fit()
    assert np.allclose(state.coefficients()[0], theirs.params[1:], rtol=1e-10)
    assert np.isclose(state.count, w.sum())
    with pytest.raises(ValueError, match=r"factor must be in \[0, 1\], got 1.5"):
        state.forget(1.5)
    nothing = state.copy().forget(0.0).update(X[:30], y[:30])
    assert np.allclose(nothing.R, LeastSquaresState().update(X[:30], y[:30]).R)


# ---- what is computed from it ------------------------------------------------------------------------------


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n, k", [(300, None), (300, 2), (5, None), (3, None), (3, 2)])
def test_it_answers_as_the_smoother_of_all_rows(n, k, intercept):
    X, y = made(3, n, 4, k)
    state, smoother = streamed(X, y, 40), SpectralSmoother.from_design(X, intercept)
    for lam in (0.0, 0.3, 50.0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RankDeficiencyWarning)
            b, b0 = smoother.coefficients(y, lam)
            ours, ours0 = state.coefficients(lam, intercept)
            near = smoother.predict(X[:3] + 1, y, lam)
            assert np.allclose(state.predict(X[:3] + 1, lam, intercept), near, rtol=1e-8)
            omega = state.attention_weights(X[:3] + 1, X, lam, intercept)
            assert np.allclose(omega, smoother.weights(X[:3] + 1, lam), atol=1e-8)
            ours_h = state.leverage(X, lam, intercept)
            assert np.allclose(ours_h, smoother.leverage(lam))
        assert np.allclose(ours, b, rtol=1e-7, atol=1e-9)
        assert np.allclose(ours0, b0, rtol=1e-7, atol=1e-9)
        assert np.isclose(state.df(lam, intercept), smoother.df(lam))
        gcv = smoother.gcv(y, lam)
        assert np.allclose(state.gcv(lam, intercept), gcv, rtol=1e-7)
        residuals = smoother.residuals(y, lam)
        rss = np.sum(residuals**2, axis=0)
        assert np.allclose(state.rss(lam, intercept), rss, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("criterion", ["gcv", "gml", "rgcv"])
def test_it_chooses_the_penalty_that_the_rows_choose(criterion):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(500, 6))
    y = X @ [1, 0.3, 0, 0, 0, 0.1] + 3 * rng.normal(size=500)
    state = streamed(X, y, 77)
    theirs = select_lam(SpectralSmoother.from_design(X, intercept=True), y, criterion)
    ours = state.select_penalty(criterion)
    assert np.isclose(ours.lam, theirs.lam, rtol=1e-6) and np.isclose(ours.df, theirs.df)
    if criterion == "gcv":
        regressor = AttentionRegressor("linear").fit(X, y)
        assert np.isclose(regressor.alpha_, ours.lam, rtol=1e-6)
    with pytest.raises(ValueError, match="loo"):
        state.select_penalty("loo")


def test_dependent_columns_are_found_after_many_blocks():
    rng, state = np.random.default_rng(5), LeastSquaresState()
    for _ in range(200):
        X = rng.normal(size=(100, 3)) + 100
        X = np.column_stack([X, X[:, 0] + X[:, 1], np.full(100, 5.0)])
        state.update(X, X @ [1, 0, -1, 0, 0] + rng.normal(size=100))
    with pytest.warns(RankDeficiencyWarning, match="rank 3 of 5"):
        state.coefficients()
    assert state.df() == 4
    with pytest.warns(RankDeficiencyWarning):
        se, _ = state.standard_errors()
    assert np.array_equal(np.isnan(se), [True, True, False, True, True])
    with pytest.warns(RankDeficiencyWarning):
        X = rng.normal(size=(5, 3)) + 100
        X = np.column_stack([X, X[:, 0] + X[:, 1], np.full(5, 5.0)])
        assert np.allclose(state.predict(X), X[:, 0] - X[:, 2], atol=0.3)


def test_a_column_that_wakes_up_late():
    X, y = made(6, 3000, 4)
    X[:2500, 3] = 0
    X[2500:, 3] *= 1e8
    state, theirs = streamed(X, y, 100), sm.OLS(y, sm.add_constant(X)).fit()
    assert np.allclose(state.coefficients()[0], theirs.params[1:], rtol=1e-8)


@pytest.mark.parametrize("scale", [1e-140, 1e140])
def test_units_do_not_matter(scale):
    X, y = made(7, 500)
    b = streamed(X, y, 100).coefficients()[0]
    assert np.allclose(streamed(X * scale, y, 100).coefficients()[0] * scale, b, rtol=1e-9)


def test_labels_tensors_and_dtypes():
    X, y = made(8, 60)
    frame, series = pd.DataFrame(X, columns=list("abcd")), pd.Series(y, name="target")
    state = LeastSquaresState().update(frame, series)
    assert list(state.coefficients()[0].index) == list("abcd")
    assert state.outcomes == ["target"]
    assert list(state.predict(frame).index) == list(frame.index)
    assert list(state.ridge_path([1.0, 2.0]).to_frame().columns[-4:]) == list("abcd")
    mixed = LeastSquaresState().update(torch.from_numpy(X[:30]), torch.from_numpy(y[:30]))
    mixed.update(X[30:].astype(np.float32), y[30:])
    rounded = np.r_[X[:30], X[30:].astype(np.float32)]  # taken as the numbers that they are
    exact = LeastSquaresState().update(rounded, y)
    assert np.allclose(mixed.R, exact.R, rtol=0, atol=1e-14 * np.abs(exact.R).max())
    assert not np.allclose(mixed.R, state.R, rtol=0, atol=1e-9 * np.abs(exact.R).max())
    whole = LeastSquaresState().update(np.arange(12).reshape(6, 2) ** 2, np.arange(6))
    assert whole.R.dtype == np.float64
    many = LeastSquaresState().update(frame, pd.DataFrame({"u": y, "v": -y}))
    assert list(many.coefficients()[0].columns) == ["u", "v"]


# ---- bad blocks --------------------------------------------------------------------------------------------


def good_state():
    X, y = made(9, 60)
    frame = pd.DataFrame(X, columns=list("abcd"))
    return LeastSquaresState().update(frame, pd.Series(y, name="y")), frame, y


def bad_blocks():
    _, frame, y = good_state()
    hole = frame.copy()
    hole.loc[17, "c"] = np.inf
    yield hole, y, None, "block 1: X contains inf at row 17, column 'c'"
    yield frame.rename(columns={"a": "z"}), y, None, r"missing \['a'\], unexpected \['z'\]"
    yield frame[list("bacd")], y, None, "in another order"
    yield frame.to_numpy()[:, :3], y, None, "4 columns but X has 3"
    yield frame.astype(str), y, None, "block 1: X must be an array of numbers"
    yield frame.to_numpy() + 1j, y, None, "complex"
    yield frame, y[:-1], None, r"y must have shape \(60,\)"
    yield frame, np.column_stack([y, y]), None, r"y must have shape \(b,\) as before"
    yield frame, pd.Series(y, name="other"), None, r"y is \['other'\]"
    yield frame, y, -y, "weights must be finite and >= 0"
    yield frame, y, y[:4] ** 2, r"weights must have shape \(60,\)"


@pytest.mark.parametrize("X, y, w, message", list(bad_blocks()))
def test_a_bad_block_leaves_the_state_as_it_was(X, y, w, message):
    state, frame, good = good_state()
    R = state.R.copy()
    with pytest.raises((TypeError, ValueError), match=message):
        state.update(X, y, w)
    assert np.array_equal(state.R, R) and (state.blocks, state.count) == (1, 60)
    assert state.update(frame, good).blocks == 2


def test_block_731_is_named():
    X, y = made(10, 800 * 5)
    X[731 * 5 + 3, 2] = np.nan
    source = ((X[a : a + 5], y[a : a + 5]) for a in range(0, 4000, 5))
    state = LeastSquaresState()
    with pytest.raises(ValueError, match="block 731: X contains nan at row 3, column 2"):
        fit_blocks(source, state)
    assert np.array_equal(state.R, streamed(X[: 731 * 5], y[: 731 * 5], 5).R)


def test_empty_states_and_foreign_states():
    state, frame, _ = good_state()
    empty = LeastSquaresState()
    for ask in (empty.coefficients, empty.df, empty.select_penalty):
        with pytest.raises(ValueError, match="the state is empty"):
            ask()
    with pytest.raises(ValueError, match="the source is empty"):
        fit_blocks([])
    assert empty.merge(state).count == state.merge(empty).count == 60
    renamed = LeastSquaresState().update(frame.rename(columns={"a": "z"}), frame["a"])
    with pytest.raises(ValueError, match="different columns"):
        state.merge(renamed)
    with pytest.raises(ValueError, match="outcomes"):
        state.merge(LeastSquaresState().update(frame, frame["a"]))
    with pytest.raises(TypeError, match="LeastSquaresState"):
        state.merge(3)
    with pytest.raises(ValueError, match="at least one penalty"):
        state.ridge_path([])
    with pytest.raises(ValueError, match="weight_type"):
        state.sigma2(weight_type="other")
    assert state.update(frame[:0], []).count == 60


# ---- files -------------------------------------------------------------------------------------------------


def test_every_truncation_of_a_file_is_noticed(tmp_path):
    state, _, _ = good_state()
    path = tmp_path / "x.state"
    state.save(path, {"a": [1, 2]})
    content = path.read_bytes()
    assert np.array_equal(LeastSquaresState.load(path).R, state.R)
    for size in [0, 1, 20, 40, 100, 200, len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match="truncated|not a saved state"):
            LeastSquaresState.load(path)
    path.write_bytes(content[:-3] + b"\0" + content[-2:])
    with pytest.raises(ValueError, match="damaged"):
        LeastSquaresState.load(path)


FULL = """
import resource, sys
import numpy as np
from olsattention import LeastSquaresState
rng = np.random.default_rng(0)
state = LeastSquaresState().update(rng.normal(size=(300, 60)), rng.normal(size=300))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # no file may grow beyond
try:
    state.save(sys.argv[1])
except OSError as error:
    print("could not be saved" in str(error), type(error).__name__)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no file size limits")
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    state, _, _ = good_state()
    path = tmp_path / "x.state"
    state.save(path)
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "OSError"]
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x.state"]


@pytest.fixture
def parquet(tmp_path):
    X, y = made(11, 9000)
    table = pa.table({f"x{j}": X[:, j] for j in range(4)} | {"y": y, "w": np.abs(y)})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=2500)
    return tmp_path / "rows.parquet", X, y


def test_arrays_memory_maps_and_parquet_agree(parquet, tmp_path):
    path, X, y = parquet
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    blocks = ParquetBlocks(path, "y", weights="w", rows=700)
    w = np.abs(y)
    states = [
        fit_blocks(blocks),
        fit_blocks(ArrayBlocks(mapped, y, w, rows=700)),
        fit_blocks(zip(np.split(X, 3), np.split(y, 3), np.split(w, 3))),
        LeastSquaresState().update(X, y, w),
    ]
    for state in states:
        assert np.allclose(state.R, states[0].R, rtol=0, atol=1e-11 * states[0].R.max())
    assert states[0].columns == ["x0", "x1", "x2", "x3"] and len(blocks) == 3 * 4 + 3


@pytest.mark.parametrize("first", [0, 1, 3, 4, 5, 9, 14])
def test_a_source_begins_anywhere(parquet, first):
    blocks = ParquetBlocks(parquet[0], "y", rows=700)
    whole = [len(y) for _, y, _ in blocks.since(0)]
    assert [len(y) for _, y, _ in blocks.since(first)] == whole[first:]
    assert len(whole) == len(blocks) and sum(whole) == 9000


SLOWLY = """
import sys, time
from olsattention import ParquetBlocks, fit_blocks
class Slow(ParquetBlocks):
    def since(self, first):
        for block in super().since(first):
            time.sleep(0.02)
            yield block
fit_blocks(Slow(sys.argv[1], "y", rows=200), checkpoint=sys.argv[2], every=0)
"""


def test_killed_with_signal_9_it_goes_on_to_the_same_bits(parquet, tmp_path):
    path, saved = parquet[0], tmp_path / "killed.state"
    seen = []
    for wanted in (3, 9):  # killed twice
        run = subprocess.Popen([sys.executable, "-c", SLOWLY, path, saved])
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and run.poll() is None:
            if saved.exists() and LeastSquaresState.load(saved).blocks >= wanted:
                break
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        seen.append(LeastSquaresState.load(saved).blocks)
    blocks = ParquetBlocks(path, "y", rows=200)
    assert 3 <= seen[0] < seen[1] < len(blocks)
    resumed, whole = fit_blocks(blocks, checkpoint=saved), fit_blocks(blocks)
    assert np.array_equal(resumed.R, whole.R) and resumed.count == whole.count
    again = fit_blocks(blocks, checkpoint=saved)  # nothing is left to do
    assert np.array_equal(again.R, whole.R) and again.blocks == len(blocks)


def test_a_checkpoint_of_another_file_is_refused(parquet, tmp_path):
    path, X, y = parquet
    saved = tmp_path / "c.state"
    fit_blocks(ParquetBlocks(path, "y"), checkpoint=saved)
    pq.write_table(pq.read_table(path).slice(0, 8000), path)
    for other in (ParquetBlocks(path, "y"), ArrayBlocks(X, y), [(X, y)]):
        with pytest.raises(ValueError, match="another source"):
            fit_blocks(other, checkpoint=saved)
    with pytest.raises(TypeError, match="not both"):
        fit_blocks([(X, y)], LeastSquaresState(), checkpoint=saved)


def test_files_that_cannot_be_used(parquet, tmp_path):
    path, *_ = parquet
    with pytest.raises(ValueError, match=r"no column \['z'\]"):
        ParquetBlocks(path, "z")
    text = tmp_path / "text.parquet"
    pq.write_table(pa.table({"a": ["u", "v"], "y": [1.0, None]}), text)
    with pytest.raises(ValueError, match="not numbers: {'a': 'string'}"):
        ParquetBlocks(text, "y")
    with pytest.raises(ValueError, match="no column beside"):
        ParquetBlocks(text, "y", columns=["y"])
    holes = tmp_path / "holes.parquet"
    pq.write_table(pa.table({"a": [1.0, 2.0], "y": [1.0, None]}), holes)
    with pytest.raises(ValueError, match="block 0: y contains nan at row 1"):
        fit_blocks(ParquetBlocks(holes, "y"))
    holes.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="truncated"):
        ParquetBlocks(holes, "y")


# ---- the command -------------------------------------------------------------------------------------------


def test_the_command_prints_json_and_a_table(parquet, capsys):
    path, X, y = parquet
    arguments = ["fit", str(path), "--target", "y", "--columns", "x0,x1,x2,x3"]
    assert command.main([*arguments, "--alpha", "gcv", "--json", "--progress"]) == 0
    printed = capsys.readouterr()
    report, state = json.loads(printed.out), LeastSquaresState().update(X, y)
    lam = state.select_penalty().lam
    # the minimum of a function is known to the root of its digits
    assert np.isclose(report["alpha"], lam, rtol=1e-4) and report["rows"] == 9000
    lam = report["alpha"]
    assert np.isclose(report["df"], state.df(lam)) and np.isclose(
        report["gcv"], state.gcv(lam)
    )
    found = [one["coefficient"] for one in report["coefficients"].values()]
    assert np.allclose(found, state.coefficients(lam)[0])
    assert set(report["seconds"]) == {"reading", "solving"} and "block" in printed.err
    assert command.main([*arguments, "--alpha", "2.5"]) == 0
    assert "std. error" in capsys.readouterr().out


@pytest.mark.parametrize(
    "extra, message",
    [
        (["--target", "nobody"], "no column"),
        (["--target", "y", "--alpha", "-1"], "must be >= 0"),
        (["--target", "y", "--alpha", "loo"], "loo"),
        (["--target", "y", "--alpha", "wrong"], "unknown criterion"),
        (["--target", "y", "--checkpoint", "no/such/folder/x"], "No such file"),
    ],
)
def test_the_command_says_what_is_wrong(parquet, capsys, extra, message):
    assert command.main(["fit", str(parquet[0]), *extra]) == 2
    assert message in capsys.readouterr().err
    assert command.main(["fit", "nobody.parquet", "--target", "y"]) == 2
