"""A sentence encoder is damaged in five ways while it serves: when do three detectors notice, at one false-alarm rate?

``python drift.py`` makes the full run, some minutes of one core, and writes ``../data/drift.json``; the notebook beside it
draws that file and repeats a small part.
"""

import argparse
import copy
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from olsattention import SpectrumMonitor, capture_attention
from olsattention.models.monitoring import captured_spectra

sys.path.append(str(Path(__file__).resolve().parents[1] / "data"))
from record import encoder, machine

DATA = Path(__file__).resolve().parents[1] / "data"
SEED, ALPHA, LAM = 20261126, 0.05, 0.1
WINDOWS, LENGTH = 2, 64  # a batch: windows of tokens from anywhere in the text

# ---- a model that serves -----------------------------------------------------------------------------------


def load():
    """The encoder, a trained model of 6 layers with 12 heads each, and the tokens of the text."""
    model, tokens = encoder()
    text = (DATA / "austen.txt").read_text(encoding="utf-8")
    return model, torch.tensor(tokens(text, verbose=False)["input_ids"])


def batch_of(tokens, rng):
    """Windows from random places: batches are independent and alike, as the monitor assumes."""
    starts = rng.integers(len(tokens) - LENGTH, size=WINDOWS)
    return torch.stack([tokens[i : i + LENGTH] for i in starts])


@torch.no_grad()
def serve(model, batch):
    """Answer a batch; what its heads looked like, as a dict of spectra."""
    with capture_attention(model, keep="moments") as captured:
        model(batch)
    return captured_spectra(captured)


# ---- five ways to damage it ----------------------------------------------------------------------------------


def matrices(model):
    """The weights of the model's linear maps."""
    return [m.weight for m in model.modules() if isinstance(m, torch.nn.Linear)]


@torch.no_grad()
def noisy(model, share, seed=SEED):
    """Normal noise on every weight, of a share of the spread of its matrix."""
    generator = torch.Generator().manual_seed(seed)
    for W in matrices(model):
        W += share * W.std() * torch.randn(W.shape, generator=generator)
    return model


@torch.no_grad()
def rounded(model, bits):
    """Weights of a few bits, with one scale a matrix."""
    for W in matrices(model):
        scale = W.abs().max() / (2 ** (bits - 1) - 1)
        W.copy_((W / scale).round() * scale)
    return model


def exchanged(model, first=2, second=3):
    """Two layers that have changed places."""
    layers = model.encoder.layer
    layers[first], layers[second] = layers[second], layers[first]
    return model


def tuned(model, tokens, steps, rate=2e-5):
    """Steps of AdamW that teach neighbouring windows to resemble each other more than strangers."""
    rng = np.random.default_rng(SEED)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    for _ in range(steps):
        starts = rng.integers(len(tokens) - 2 * LENGTH, size=8)
        sides = [
            torch.stack([tokens[i + s : i + s + LENGTH] for i in starts])
            for s in (0, LENGTH)
        ]
        one, two = (
            torch.nn.functional.normalize(model(x).last_hidden_state.mean(1)) for x in sides
        )
        loss = torch.nn.functional.cross_entropy(20 * one @ two.T, torch.arange(8))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def damages(model, tokens):
    """Name and damaged copy, one after the other."""
    for share in (0.05, 0.1, 0.2):
        yield f"noise of {share:.0%}", noisy(copy.deepcopy(model), share)
    for bits in (8, 6):
        yield f"weights of {bits} bits", rounded(copy.deepcopy(model), bits)
    yield "two layers exchanged", exchanged(copy.deepcopy(model))
    for steps in (1, 10):
        yield (
            f"{steps} steps of fine-tuning".replace("1 steps", "1 step"),
            tuned(copy.deepcopy(model), tokens, steps),
        )


# ---- three detectors -------------------------------------------------------------------------------------------


def charts(monitor, scores):
    """CUSUM of the batch's score, the largest CUSUM of any head, and Kolmogorov-Smirnov of the batch's last 20 scores.

    The first two wait for distances to grow, the third for any change of their law. `scores` (T, 1 + heads); all in units of the reference that the monitor ranks against.
    """
    own = monitor._reference
    x = (scores - own.mean(0)) / own.std(0)
    level, out = np.zeros(x.shape[1]), np.empty((3, len(x)))
    before, last = np.sort(own[:, 0]), 20
    below = np.arange(1, last + 1) / last
    for t in range(len(x)):
        level = np.maximum(0, level + x[t] - 0.5)
        out[:2, t] = level[0], level.max()
        window = np.sort(scores[max(0, t - last + 1) : t + 1, 0])
        share = np.searchsorted(before, window, side="right") / len(before)
        gap = np.max(below - share) if len(window) == last else 0.0
        out[2, t] = (
            max(gap, np.max(share - below + 1 / last)) if len(window) == last else 0.0
        )
    return out


NAMES = ("CUSUM of the batch", "largest CUSUM of any head", "Kolmogorov-Smirnov")


def stream(clean, later, rng, T, after, reference=200, ordered=False):
    """A monitor that has watched a stream of T readings, `later` after the first `after`; its capitals, and the charts."""
    order = rng.permutation(len(clean))[: reference + after]
    readings = [clean[i] for i in order[reference:]]
    readings += [*later] if ordered else [later[i] for i in rng.permutation(len(later))]
    names = [f"layer {i}, head {j}" for i in range(6) for j in range(12)]
    monitor = SpectrumMonitor(clean[order[:reference]], LAM, rng, alpha=ALPHA, names=names)
    for x in readings:
        monitor.update(x)
    scores = monitor._bag[:, len(monitor._reference) : len(monitor._reference) + T].T
    return monitor, np.array([r.capital for r in monitor.readings]), charts(monitor, scores)


def delay(crossed, after):
    """Median delay over the streams that were silent before the change; None if more than half never ring."""
    late = crossed[~crossed[:, :after].any(1), after:]
    found = float(np.median(np.where(late.any(1), late.argmax(1) + 1.0, np.inf)))
    return found if np.isfinite(found) else None


def run(batches, streams, T=300, after=100):
    model, tokens = load()
    rng, start = np.random.default_rng(SEED), time.process_time()

    def spectra(model, n):
        found = (serve(model, batch_of(tokens, rng)) for _ in range(n))
        return np.array([[*x.values()] for x in found])

    clean = spectra(model, batches)
    print(f"{batches} clean batches, {time.process_time() - start:.0f} s", flush=True)
    quiet = [
        stream(clean[: batches // 2], clean[: batches // 2][:0], rng, T, T)
        for _ in range(streams)
    ]
    levels = [np.quantile([q[2][i].max() for q in quiet], 1 - ALPHA) for i in range(3)]
    fresh = [stream(clean[batches // 2 :], clean[:0], rng, T, T) for _ in range(streams)]
    out = {"false_alarms": {"ours": float(np.mean([m.alarm for m, *_ in quiet + fresh]))}}
    out["false_alarms"] |= {
        name: float(np.mean([f[2][i].max() > levels[i] for f in fresh]))
        for i, name in enumerate(NAMES)
    }
    out["delay"], out["named"] = {}, {}
    shares = np.linspace(0, 0.3, T - after)
    growing = (noisy(copy.deepcopy(model), share) for share in shares)
    growing = np.concatenate([spectra(damaged, 1) for damaged in growing])
    found = (
        (name, spectra(damaged, T - after)) for name, damaged in damages(model, tokens)
    )
    for name, later in [("noise that grows to 30%", growing), *found]:
        ordered = later is growing
        runs = [
            stream(clean, later, rng, T, after, ordered=ordered)
            for _ in range(streams // 2)
        ]
        found = {"ours": delay(np.array([r[1] >= 1 / ALPHA for r in runs]), after)}
        for i, chart in enumerate(NAMES):
            found[chart] = delay(np.array([r[2][i] > levels[i] for r in runs]), after)
        out["delay"][name] = found
        first = runs[0][0]
        out["named"][name] = {"named": len(first.named()), "leading": [*first.leading(3)]}
        print(
            name,
            found,
            out["named"][name],
            f"{time.process_time() - start:.0f} s",
            flush=True,
        )
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=120)
    parser.add_argument("--out", type=Path, default=DATA / "drift.json")
    given, start = parser.parse_args(), time.process_time()
    torch.set_num_threads(1)
    out = {
        "alpha": ALPHA,
        "readings": 300,
        "change_after": 100,
        "reference": 200,
        "seed": SEED,
    }
    out |= run(given.batches, given.streams)
    made = machine("numpy", "torch", "transformers")
    made["processor seconds"] = round(time.process_time() - start)
    given.out.write_text(json.dumps(out | {"machine": made}, indent=1) + "\n")


if __name__ == "__main__":
    main()
