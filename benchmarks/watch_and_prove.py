"""A reading of the monitor against online-cp's martingales on the same ranks; commitments against the bare hashes."""

import hashlib

import numpy as np
from harness import Case
from online_cp.martingale import CompositeJumper, SimpleJumper
from scipy.special import ndtri

from olsattention import SpectrumMonitor, commit, open_, verify
from olsattention.models.commitments import encode_array
from olsattention.models.monitoring import conformal_p, log_martingale

HEADS, WIDTH, SPECTRA, STREAMS, READINGS = 72, 64, 10_000, 20, 300


def cases():
    yield reading()
    yield detection()
    yield commitment()


def reading():
    rng = np.random.default_rng(4)
    monitor = SpectrumMonitor(rng.gamma(4.0, size=(400, HEADS, WIDTH)), 1.0, rng)
    batch = rng.gamma(4.0, size=(HEADS, WIDTH))
    jumpers = [CompositeJumper() for _ in range(HEADS)]
    ranks = rng.random(HEADS)

    def peer():
        for jumper, p in zip(jumpers, ranks):
            jumper.update(float(p))

    return Case(
        f"one reading of {HEADS} heads with {WIDTH} eigenvalues",
        lambda: monitor.update(batch),
        {
            "floor: the logarithms": lambda: np.log(batch + 1.0),
            "online-cp CompositeJumper, its bets alone": peer,
        },
        {"readings ranked against": "200 and all earlier ones"},
        31,
    )


def detection():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((STREAMS, 200 + READINGS))
    x[:, 300:] += 1.0
    u = 1 - rng.random(x.shape)
    steps = range(200, x.shape[1])
    p = np.array([conformal_p(x[:, t], x[:, :t], u[:, t]) for t in steps]).T

    def jumps(kind):
        out = np.empty(p.shape)
        for row, values in zip(out, p):
            martingale = kind()
            for t, value in enumerate(values):
                martingale.update(float(value))
                row[t] = martingale.M
        return out

    def delay(capital):
        late = capital[~(capital[:, :100] >= 20).any(1), 100:] >= 20
        return float(np.median(np.where(late.any(1), late.argmax(1) + 1.0, np.inf)))

    def ours():
        return np.exp(log_martingale(-ndtri(p)))

    peers = {"online-cp SimpleJumper": lambda: jumps(SimpleJumper)}
    facts = {
        f"median delay at one sigma, {name}": delay(run()) for name, run in peers.items()
    }
    facts["median delay at one sigma, ours"] = delay(ours())
    return Case(f"{STREAMS} streams of {READINGS} ranks", ours, peers, facts, 3)


def commitment():
    rng = np.random.default_rng(6)
    arrays = {
        f"layer {i // 100}, head {i % 100}": rng.gamma(2.0, size=WIDTH)
        for i in range(SPECTRA)
    }
    codes = [encode_array(name, x) for name, x in arrays.items()]

    def ours():
        public, secret = commit(arrays)
        if not all(verify(public, open_(secret, name)) for name in arrays):
            raise RuntimeError("an opening does not hold")

    def bare():
        for code in codes:
            hashlib.sha256(code).digest()

    return Case(
        f"commit to, open and verify {SPECTRA} spectra",
        ours,
        {"floor: one hash of every encoding": bare},
        {"bytes": sum(map(len, codes))},
        5,
    )
