"""Regressions of Dask collections, on a cluster of real processes."""

import os
import signal
import time

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.distributed import Client, LocalCluster

from olsattention import LeastSquaresState, dask_predict, dask_state, dask_weights
from olsattention.practice.dask import tree_reduce


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        with Client(cluster):
            yield cluster


def made(n=5000, k=None):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4)) + 2
    Y = X @ rng.normal(size=(4, k or 1)) + rng.normal(size=(n, k or 1))
    return X, Y if k else Y[:, 0]


@pytest.mark.parametrize("fan_in", [2, 3, 8, 100])
@pytest.mark.parametrize("k", [None, 2])
def test_a_tree_gives_the_triangle_of_all_rows(cluster, fan_in, k):
    X, y = made(k=k)
    lazy = da.from_array(X, (331, 3)), da.from_array(y, (700, *([1] if k else [])))
    w = np.linspace(0, 2, 5000)
    state = dask_state(*lazy, da.from_array(w, 999), fan_in=fan_in)
    alone = LeastSquaresState().update(X, y, w)
    assert np.allclose(state.R, alone.R, rtol=0, atol=1e-11 * alone.R.max())
    assert (state.count, state.blocks) == (4999, 16)
    ours = dask_predict(state, lazy[0], 0.5).compute()
    assert np.allclose(ours, alone.predict(X, 0.5))


def test_dataframes_keep_their_names(cluster):
    X, y = made()
    table = pd.DataFrame(X, columns=list("abcd")).assign(y=y)
    frame = dd.from_pandas(table, npartitions=5)
    state = dask_state(frame, "y")
    assert state.columns == list("abcd") and state.outcomes == ["y"]
    predicted = dask_predict(state, frame[list("abcd")]).compute()
    assert predicted.index.equals(table.index)
    assert np.allclose(predicted, state.predict(table[list("abcd")]))
    with pytest.raises(ValueError, match="different columns"):
        dask_predict(state, frame[list("abc")]).compute()


def test_weights_are_lazy(cluster):
    X, y = made()
    state = LeastSquaresState().update(X, y)
    lazy = dask_weights(state, X[:3], da.from_array(X, (400, 2)), lam=2.0)
    assert isinstance(lazy, da.Array) and lazy.shape == (3, 5000)
    assert np.allclose(lazy.compute() @ y, state.predict(X[:3], 2.0))


def test_nan_names_block_and_row(cluster):
    X, y = made()
    X[1234, 2] = np.nan  # dask's own tsqr returns NaN in silence
    with pytest.raises(ValueError, match="block 12: X contains nan at row 34, column 2"):
        dask_state(da.from_array(X, (100, 4)), da.from_array(y, 100))


def test_what_does_not_fit(cluster):
    X, y = made()
    lazy = da.from_array(X, (100, 4))
    with pytest.raises(TypeError, match="LeastSquaresState"):
        dask_state(lazy, y)
    with pytest.raises(ValueError, match="5000 rows"):
        dask_state(lazy, da.from_array(y[:-1], 100))
    frame = dd.from_pandas(pd.DataFrame(X), npartitions=5)
    outcome = dd.from_pandas(pd.Series(y), npartitions=4)
    with pytest.raises(ValueError, match="same blocks of rows"):
        dask_state(frame, outcome)
    with pytest.raises(ValueError, match="fan_in must be at least 2, got 1"):
        dask_state(lazy, da.from_array(y, 100), fan_in=1)
    with pytest.raises(ValueError, match="nothing to merge"):
        tree_reduce([], sum)


def slow_rows(block):
    time.sleep(0.1)
    return np.random.default_rng(int(block[0])).normal(size=(500, 5))


def test_a_worker_killed_in_the_middle_changes_nothing(cluster):
    # by value, for the workers do not have this file
    numbers = da.arange(24, chunks=1)
    data = numbers.map_blocks(
        slow_rows, new_axis=1, chunks=((500,) * 24, (5,)), dtype=float
    )
    lazy = dask_state(data[:, :4], data[:, 4], compute=False, fan_in=3)
    pending = dask.distributed.get_client().compute(lazy)
    time.sleep(0.5)
    before = {worker.pid for worker in cluster.workers.values()}
    os.kill(min(before), signal.SIGKILL)
    state = pending.result(timeout=120)
    rows = np.concatenate(
        [np.random.default_rng(i).normal(size=(500, 5)) for i in range(24)]
    )
    alone = LeastSquaresState().update(rows[:, :4], rows[:, 4])
    assert np.allclose(state.R, alone.R, rtol=0, atol=1e-12 * alone.R.max())
    assert state.count == 12_000
    assert {worker.pid for worker in cluster.workers.values()} != before
