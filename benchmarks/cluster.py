"""Dask: the tree of triangles against Dask's own Gram product and tsqr, two workers against one."""

import dask.array as da
from dask.distributed import Client, LocalCluster
from harness import Case, summary

from olsattention import dask_state

ROWS, COLUMNS, CHUNK = 4_000_000, 50, 50_000


def cases():
    seconds = {}
    for workers in (1, 2):
        with (
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
            ) as cluster,
            Client(cluster) as client,
        ):
            rows = da.random.default_rng(0).normal(
                size=(ROWS, COLUMNS + 1), chunks=(CHUNK, -1)
            )
            rows = client.persist(rows)
            rows[:1].compute()
            X, y = rows[:, :COLUMNS], rows[:, COLUMNS]
            case = Case(
                f"{ROWS:,} x {COLUMNS}, {workers} worker(s)",
                lambda X=X, y=y: dask_state(X, y),
                {
                    "floor: Dask's X'X": lambda X=X: (X.T @ X).compute(),
                    "dask tsqr": lambda X=X: da.linalg.tsqr(X)[1].compute(),
                },
                {},
                5,
            )
            seconds[workers] = timed(case.ours)
            if workers == 2:
                case.facts["one worker's time over two workers', median"] = round(
                    seconds[1]["median"] / seconds[2]["median"], 2
                )
            yield case


def timed(run, repeats=5):
    import time

    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return summary(times[1:])
