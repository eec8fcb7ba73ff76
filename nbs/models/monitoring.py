"""False alarms and delays of the martingale of chapter 10, where its assumptions hold and where they do not.

``python nbs/models/monitoring.py`` makes the full run, some minutes of one core, and writes ``nbs/data/monitoring.json``.
"""

import argparse
import json
import platform
import time
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy.special import ndtri
from scipy.stats import beta

from olsattention.models.monitoring import (
    average_threshold,
    conformal_p,
    log_martingale,
)

RESULTS = Path(__file__).resolve().parents[1] / "data" / "monitoring.json"
SEED = 20261126
LAWS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "t3": lambda rng, shape: rng.standard_t(3, shape) / np.sqrt(3),
    "lognormal": lambda rng, shape: rng.lognormal(size=shape),
}
SHIFTS = (0.5, 1.0, 2.0)
CHANGE = 200  # readings before the shift


def capitals(scores, m, rng, fixed=False):
    """Logarithms of M for streams (n, m + T) whose first m readings are the reference; `fixed`: it does not grow."""
    steps = range(m, scores.shape[1])
    u = 1 - rng.random((len(scores), len(steps)))
    ranks = [
        conformal_p(scores[:, t], scores[:, : m if fixed else t], u[:, t - m])
        for t in steps
    ]
    return log_martingale(-ndtri(np.array(ranks).T))


def ever(make, m, streams, rng, chunk=200, fixed=False):
    """The largest M of each of many streams; ``make(n)`` gives n of them."""
    tops = [capitals(make(chunk), m, rng, fixed).max(1) for _ in range(streams // chunk)]
    return np.exp(np.concatenate(tops))


def with_interval(hits):
    """A rate and its Clopper-Pearson interval of 95%."""
    k, n = int(hits.sum()), len(hits)
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    return [
        round(float(x), 5)
        for x in (k / n, low, beta.ppf(0.975, k + 1, n - k) if k < n else 1.0)
    ]


def delays(crossed):
    """The median delay after the change at which rows (n, T) are true, over those that were false until then; None: never."""
    late = crossed[~crossed[:, :CHANGE].any(1), CHANGE:]
    delay = float(np.median(np.where(late.any(1), late.argmax(1) + 1.0, np.inf)))
    return delay if np.isfinite(delay) else None


def cusum(scores, m):
    """One-sided CUSUM, reference value one half, of readings in units of their own reference."""
    x = (scores[:, m:] - scores[:, :m].mean(1, keepdims=True)) / scores[:, :m].std(
        1, keepdims=True
    )
    out, level = np.empty_like(x), np.zeros(len(x))
    for t in range(x.shape[1]):
        level = np.maximum(0, level + x[:, t] - 0.5)
        out[:, t] = level
    return out


def autoregression(rng, n, T, rho, step=1):
    """Stationary normal AR(1) streams (n, T / step), of which every `step`-th reading is kept."""
    x = rng.standard_normal((n, T))
    for t in range(1, T):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * x[:, t]
    return x[:, ::step]


def mahalanobis(rng, n, m, T, fitted, width=16):
    """Scores of `width` normal numbers by a distance fitted on their reference itself, or on `fitted` readings before it."""
    x = rng.standard_normal((n, fitted + m + T, width))
    own = x[:, : fitted or m]
    mean = own.mean(1, keepdims=True)
    inverse = np.linalg.inv((own - mean).mT @ (own - mean) / own.shape[1])
    centred = x[:, fitted:] - mean
    return np.sum((centred @ inverse) * centred, -1)


def heads_together(rng, streams, heads, m, T, changed=0, shift=1.0, chunk=20):
    """Log-capitals (streams, 1 + heads, T) of heads that share half of their variance, that of their mean before them.

    The readings of the first `changed` heads shift after `CHANGE` readings.
    """
    for _ in range(streams // chunk):
        shared = rng.standard_normal((chunk, 1, m + T))
        x = np.sqrt(0.5) * (shared + rng.standard_normal((chunk, heads, m + T)))
        x[:, :changed, m + CHANGE :] += shift
        x = np.concatenate([x.mean(1, keepdims=True), x], 1)
        yield capitals(x.reshape(-1, m + T), m, rng).reshape(chunk, heads + 1, T)


def alarms(logs, alpha=0.05):
    """Whether each way to combine heads rings, at each time (streams, T), by (10.5), (10.6) and less than that."""
    heads = logs.shape[1] - 1
    largest, average = logs[:, 1:].max(1), np.exp(logs[:, 1:]).mean(1)
    both = np.maximum(logs[:, 0], largest - np.log(heads)) - np.log(2)
    return {
        "largest, half of the weight on the batch": both >= -np.log(alpha),
        "average at the threshold of (10.6)": average >= average_threshold(alpha, heads),
        "score of the batch alone": logs[:, 0] >= -np.log(alpha),
        "average at 1/alpha": average >= 1 / alpha,
        "any head at heads/alpha": largest >= np.log(heads / alpha),
        "any head at 1/alpha": largest >= -np.log(alpha),
    }


def many_heads(streams, T, m, heads=24):
    """False alarms of the ways to combine heads, and median delays when some of the heads shift by one sigma."""
    rng, rang = np.random.default_rng(SEED + 1), {}
    for logs in heads_together(rng, streams, heads, m, T):
        for name, x in alarms(logs).items():
            rang.setdefault(name, []).extend(x.any(1))
    out = {"false_alarms": {name: float(np.mean(x)) for name, x in rang.items()}}
    out["delay"] = {}
    for changed in (1, heads // 4, heads):
        crossed = {}
        for logs in heads_together(rng, streams // 2, heads, m, T, changed):
            for name, x in alarms(logs).items():
                crossed.setdefault(name, []).append(x)
        proved = {k: delays(np.concatenate(x)) for k, x in list(crossed.items())[:3]}
        out["delay"][str(changed)] = proved
    return out


def run(streams, few, T, m=200):
    rng = np.random.default_rng(SEED)
    out = {
        "streams": streams,
        "readings": T,
        "reference": m,
        "seed": SEED,
        "change_after": CHANGE,
        "false_alarms": {},
    }
    for name, law in LAWS.items():
        top = ever(lambda n, law=law: law(rng, (n, m + T)), m, streams, rng)
        out["false_alarms"][name] = {
            str(a): with_interval(top >= 1 / a) for a in (0.05, 0.01)
        }
        print(name, out["false_alarms"][name], flush=True)

    def shifted(n, shift):
        x = rng.standard_normal((n, m + T))
        x[:, m + CHANGE :] += shift
        return x

    ours = {
        s: np.concatenate([capitals(shifted(200, s), m, rng) for _ in range(few // 200)])
        for s in SHIFTS
    }
    out["delay"] = {str(s): delays(x >= np.log(20)) for s, x in ours.items()}
    level = np.quantile(cusum(rng.standard_normal((4 * few, m + T)), m).max(1), 0.95)
    charts = {name: cusum(law(rng, (few, m + T)), m).max(1) for name, law in LAWS.items()}
    out["cusum"] = {
        "false_alarms": {name: float(np.mean(x >= level)) for name, x in charts.items()},
        "delay": {str(s): delays(cusum(shifted(few, s), m) >= level) for s in SHIFTS},
    }

    def rate(make, m, fixed=False):
        return float(np.mean(ever(make, m, few, rng, 200, fixed) >= 20))

    found = out["violations"] = {}
    for rho in (0.2, 0.5):
        related = partial(autoregression, rng, rho=rho)
        found[f"AR(1) of {rho}"] = rate(partial(related, T=m + T), m)
        tenth = partial(related, T=10 * (m + T), step=10)
        found[f"AR(1) of {rho}, every tenth reading"] = rate(tenth, m)
    for size in (50, 100, 200):
        own = partial(mahalanobis, rng, m=size, T=T, fitted=0)
        split = partial(mahalanobis, rng, m=size // 2, T=T, fitted=size // 2)
        found[f"score of 16 numbers fitted on its own reference of {size}"] = rate(
            own, size
        )
        found[f"the same, {size} split into halves"] = rate(split, size // 2)
    found["a fixed reference of 50"] = rate(
        lambda n: rng.standard_normal((n, 50 + T)), 50, True
    )
    print(found, flush=True)

    out["heads"] = many_heads(few // 4, T, m)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=2000, help="streams of everything else")
    parser.add_argument("--readings", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--heads", action="store_true", help="renew the part on many heads")
    given, start = parser.parse_args(), time.perf_counter()
    if given.heads:
        out = json.loads(given.out.read_text())
        out["heads"] = many_heads(given.few // 4, given.readings, out["reference"])
        given.out.write_text(json.dumps(out, indent=1) + "\n")
        return
    out = run(given.streams, given.few, given.readings)
    out |= {
        "seconds": round(time.perf_counter() - start),
        "date": str(date.today()),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("numpy", "scipy")},
    }
    given.out.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
