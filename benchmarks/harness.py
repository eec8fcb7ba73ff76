"""Time ours and its peers in turn, in one process: a machine that drifts then drifts for both."""

import ctypes
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "nbs" / "data"))
from record import processor

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "numpy",
    "scipy",
    "torch",
    "scikit-learn",
    "macroforecast",
    "dask",
    "gpytorch",
    "online-cp",
    "mapie",
    "olsattention",
)


@dataclass
class Case:
    """One comparison: ours, the functions it is compared with by name, and facts to record.

    A name that begins with "floor" is the least work anyone could do (the bare products); the others are peers.
    """

    name: str
    ours: callable
    others: dict
    facts: dict = field(default_factory=dict)
    repeats: int = 7


def measure(case):
    """Run a case; returns a plain dictionary."""
    runs = {"ours": case.ours, **case.others}
    for run in runs.values():  # warm up: imports, thread pools, page faults
        run()
    seconds = {name: [] for name in runs}
    for _ in range(case.repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    result = {
        "name": case.name,
        "repeats": case.repeats,
        "ours": summary(seconds["ours"]),
        "peak_extra_mib": round(peak_extra_memory(case.ours) / 2**20, 1),
        "facts": case.facts,
        "others": {},
    }
    for name in case.others:
        ratios = [theirs / ours for theirs, ours in zip(seconds[name], seconds["ours"])]
        result["others"][name] = {
            "seconds": summary(seconds[name]),
            "times_ours": summary(ratios),
        }
    return result


def summary(values):
    """Median, minimum and maximum, to four significant digits."""
    return {
        key: float(f"{f(values):.4g}")
        for key, f in (("median", statistics.median), ("min", min), ("max", max))
    }


def peak_extra_memory(run):
    """Bytes by which the resident set grows at its peak while `run` runs (Linux; NaN elsewhere)."""
    try:
        ctypes.CDLL(None).malloc_trim(
            0
        )  # memory that was freed but kept would hide the growth
        Path("/proc/self/clear_refs").write_text("5")  # forget the high-water mark so far
    except (OSError, AttributeError):
        return float("nan")
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def _status(key):
    line = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith(key)
    )
    return int(line.split()[1]) * 1024


def machine():
    """What was measured on."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "date": str(date.today()),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def save(topic, results):
    """Write the results of one topic to ``results/<topic>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{topic}.json"
    path.write_text(
        json.dumps({"machine": machine(), "results": results}, indent=1) + "\n",
        encoding="utf-8",
    )
    return path


def print_table(results):
    """One line a comparison: their time over ours, so that more than 1 means we are faster."""
    print(
        f"{'case':44} {'against':34} {'their time / ours: median (min to max)':>40} {'ours':>9} {'peak extra':>11}"
    )
    for r in results:
        for name, other in r["others"].items():
            t = other["times_ours"]
            print(
                f"{r['name']:44} {name:34} {t['median']:>18.3g} ({t['min']:.3g} to {t['max']:.3g}){'':6} "
                f"{r['ours']['median']:>8.3g}s {r['peak_extra_mib']:>7.0f} MiB"
            )
        for key, value in r["facts"].items():
            print(f"{'':44} {key}: {value}")
