"""A regression from a file larger than memory: against the bare blockwise product, and NumPy's QR of the same blocks.

The file (20 million rows of 50 columns, 8 GB) is generated in a temporary folder and deleted; OLSATTENTION_ROWS makes it smaller.
"""

import json
import os
import tempfile
import time
from functools import reduce
from pathlib import Path

import numpy as np
from harness import Case, peak_extra_memory

from olsattention import ArrayBlocks, LeastSquaresState, fit_blocks

ROWS, COLUMNS, BLOCK = int(os.environ.get("OLSATTENTION_ROWS", 20_000_000)), 50, 65_536
FOLDER = tempfile.TemporaryDirectory(prefix="olsattention-")  # deleted as the process ends


def cases():
    X, y = generated()

    def ours():
        return fit_blocks(ArrayBlocks(X, y, rows=BLOCK))

    def bare():
        total = 0
        for a in range(0, len(X), 8192):  # which suits it best
            B = X[a : a + 8192]
            total = total + B.T @ B
        return total

    state = ours()
    wanted = np.arange(COLUMNS - 1) / COLUMNS
    yield Case(
        f"a pass over {len(X):,} x {COLUMNS}",
        ours,
        {"floor: the bare product, same file": bare},
        {
            "error of the coefficients, in standard errors": f"{np.max(np.abs(state.coefficients()[0] - wanted) / state.standard_errors()[0]):.1f}",
            "extra memory at the peak, MiB, mapped pages of the file included": round(
                peak_extra_memory(ours) / 2**20
            ),
            "correct digits, Longley x 5000": f"{longley_digits():.1f}",
            "seconds to merge 1000 states, p = 100": f"{merging():.2f}",
        },
        3,
    )


def generated():
    """Memory maps of the rows without the last column, and of that, the outcome."""
    rng, path = np.random.default_rng(13), Path(FOLDER.name) / "rows.bin"
    slopes = np.arange(COLUMNS - 1) / COLUMNS
    with open(path, "wb") as file:
        for a in range(0, ROWS, 100_000):
            rows = rng.normal(size=(min(100_000, ROWS - a), COLUMNS)) + 1
            rows[:, -1] += rows[:, :-1] @ slopes
            rows.tofile(file)
    data = np.memmap(path, dtype=float, mode="r").reshape(-1, COLUMNS)
    return data[:, :-1], data[:, -1]


def longley_digits():
    source = Path(__file__).parents[1] / "nbs" / "data" / "nist_strd.json"
    data = json.loads(source.read_text())["Longley"]
    x, y, certified = (np.array(data[name]) for name in ("x", "y", "certified"))
    order = np.random.default_rng(0).permutation(np.tile(np.arange(16), 5000))
    b, b0 = fit_blocks(ArrayBlocks(x[order], y[order], rows=1000)).coefficients()
    return -np.log10(np.max(np.abs(np.r_[b0, b] / certified - 1)))


def merging():
    rng = np.random.default_rng(0)
    states = [
        LeastSquaresState().update(rng.normal(size=(150, 100)), rng.normal(size=150))
        for _ in range(1000)
    ]
    start = time.perf_counter()
    reduce(LeastSquaresState.merge, states)
    return time.perf_counter() - start
