"""Small models that differ in their mixer alone, on three tasks of learning in context; all seeds and learning rates at once.

``python recall.py`` makes the full run and writes ``../data/recall.json``, ``python recall.py --only TASK`` the part of one
task; the notebook beside it draws that file and repeats a small part.
"""

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy, pad, scaled_dot_product_attention

from olsattention import ridge_attention

sys.path.append(str(Path(__file__).resolve().parents[1] / "data"))
from record import digits, machine

RESULTS = Path(__file__).resolve().parents[1] / "data" / "recall.json"

# ---- mixers: queries and keys (..., T, d), values (..., T, d_v), gates (..., T, 1), one number a model, and ----
# ---- what is left of the past at each token (..., T, 1) ----


def softmax(q, k, v, gate, number, left=None):
    return scaled_dot_product_attention(q, k, v, is_causal=True)


def linear(q, k, v, gate, number, left=None):
    """The mean of the pairs so far, asked by the query: one step of gradient descent from zero."""
    count = torch.arange(1, k.shape[-2] + 1, dtype=k.dtype)[:, None]
    return (q @ k.mT).tril() @ (gate * v) * number.exp() / count


def delta_rule(q, k, v, gate, number, left=None):
    """A step of gradient descent at every token, S <- S + (gate / |k|^2) (v - S k) k', all steps by one triangular solve."""
    rate = gate / (k.square().sum(-1, keepdim=True) + 1e-3)
    eye = torch.eye(k.shape[-2], dtype=k.dtype)
    system = eye + (rate * (k @ k.mT)).tril(-1)
    steps = torch.linalg.solve_triangular(system, rate * v, upper=False, unitriangular=True)
    return (q @ k.mT).tril() @ steps


def ridge(q, k, v, gate, number, left=None):
    """All pairs so far, fitted anew at every token; a gate is the weight of its pair, the number the logarithm of lam."""
    root = gate.sqrt()
    lam = number.exp()[..., 0, 0]
    return ridge_attention(q, root * k, root * v, lam, is_causal=True, chunk=16)


def fading_ridge(q, k, v, gate, number, left):
    """As ridge, but the pairs so far fade before each token."""
    root = gate.sqrt()
    lam = number.exp()[..., 0, 0]
    return ridge_attention(q, root * k, root * v, lam, is_causal=True, decay=left[..., 0])


MIXERS = {"softmax": softmax, "linear": linear, "delta rule": delta_rule, "ridge": ridge}
FADING = {"fading ridge": fading_ridge}

# ---- three tasks -------------------------------------------------------------------------------------------


@dataclass
class Recall:
    """Multi-query associative recall: pairs of a key and a value token, then the same keys in another order."""

    keys: int = 64
    values: int = 32
    sizes: tuple = (4, 8, 16, 24, 32, 48, 64)
    active: int = 1  # how many of what goes in are not zero

    @property
    def widths(self):
        """Of what goes in, and of what comes out."""
        return self.keys + self.values, self.values

    def draw(self, generator, batch, pairs):
        """Token numbers (batch, 3 pairs), and the value (batch, pairs) that belongs to each of the last ones."""
        rand = torch.rand(batch, self.keys, generator=generator)
        keys = rand.argsort(-1)[:, :pairs]
        values = torch.randint(self.values, (batch, pairs), generator=generator)
        order = torch.rand(batch, pairs, generator=generator).argsort(-1)
        told = torch.stack([keys, self.keys + values], -1).flatten(1)
        return torch.cat([told, keys.gather(1, order)], 1), values.gather(1, order)

    def embed(self, tokens, table):
        """Rows of the tables (models, widths, D) for tokens (models, batch, T)."""
        rows = tokens.flatten(1)[..., None].expand(-1, -1, table.shape[-1])
        return table.gather(1, rows).unflatten(1, tokens.shape[1:])

    def loss(self, out, wanted):
        """Cross-entropy of each model, and its accuracy."""
        out = out[:, :, -wanted.shape[-1] :]
        each = cross_entropy(out.flatten(0, 2), wanted.flatten(), reduction="none")
        right = (out.argmax(-1) == wanted).float()
        return each.unflatten(0, wanted.shape).mean((1, 2)), right.mean((1, 2))


@dataclass
class Overwritten(Recall):
    """Recall of keys that are written more than once: the last value counts. Every key is written once, then any of them."""

    keys: int = 8
    values: int = 16
    sizes: tuple = (8, 16, 24, 40)

    def draw(self, generator, batch, pairs):
        """Token numbers (batch, 2 pairs + keys), and the last value (batch, keys) of each key that is asked."""
        first = torch.rand(batch, self.keys, generator=generator).argsort(-1)
        again = torch.randint(self.keys, (batch, pairs - self.keys), generator=generator)
        keys = torch.cat([first, again], 1)
        values = torch.randint(self.values, (batch, pairs), generator=generator)
        last = torch.zeros(batch, self.keys, dtype=torch.long)
        for t in range(pairs):
            last.scatter_(1, keys[:, t : t + 1], values[:, t : t + 1])
        order = torch.rand(batch, self.keys, generator=generator).argsort(-1)
        told = torch.stack([keys, self.keys + values], -1).flatten(1)
        return torch.cat([told, order], 1), last.gather(1, order)


@dataclass
class Regression:
    """In-context linear regression: inputs and outcomes in turn; the outcome is wanted when its input has been read."""

    inputs: int = 8
    noise: float = 0.5
    sizes: tuple = (24,)
    active: int = 8

    @property
    def widths(self):
        return self.inputs + 2, 1

    def draw(self, generator, batch, pairs):
        """Tokens (batch, 2 pairs, inputs + 2), an input or an outcome and a flag for which; outcomes (batch, pairs)."""
        x = torch.randn(batch, pairs, self.inputs, generator=generator)
        slopes = torch.randn(batch, self.inputs, 1, generator=generator)
        y = x @ slopes + self.noise * torch.randn(batch, pairs, 1, generator=generator)
        told = [
            pad(x, (0, 2)),
            pad(torch.cat([y, torch.ones_like(y)], -1), (self.inputs, 0)),
        ]
        return torch.stack(told, 2).flatten(1, 2), y[..., 0]

    def embed(self, tokens, table):
        return tokens @ table[:, None]

    def loss(self, out, wanted):
        """Mean squared error of each model, and that of each position (models, pairs)."""
        each = (out[:, :, ::2, 0] - wanted) ** 2
        return each.mean((1, 2)), each.mean(1)


TASKS = {"recall": Recall(), "regression": Regression(), "overwritten": Overwritten()}

# ---- many models at once: every parameter has a leading dimension for them -------------------------------------


def parameters(task, seeds, rates, layers, D, d):
    """Starting values for every seed, the same for every learning rate."""
    before, after = task.widths
    shapes = {"table": (before, D), "out": (D, after)}
    for i in range(layers):
        shapes |= {f"{name}{i}": (D, d) for name in "qkv"} | {f"o{i}": (d, D)}
        shapes |= {f"{name}taps{i}": (2, d) for name in "qkv"} | {f"gate{i}": (D, 1)}
        shapes |= {f"number{i}": (1, 1)}
    for i in range(layers):
        shapes |= {f"fade{i}": (D, 1), f"memory{i}": (1, 1)}
    drawn = []
    for seed in seeds:
        g = torch.Generator().manual_seed(seed)
        new = {
            name: torch.randn(*s, generator=g) / s[0] ** 0.5 for name, s in shapes.items()
        }
        new["table"] *= (before / task.active) ** 0.5
        for i in range(layers):
            new[f"gate{i}"] *= 0
            new[f"number{i}"] *= 0
            new[f"fade{i}"] *= 0
            new[f"memory{i}"] = torch.full((1, 1), 3.0)  # gates of .95
        drawn.append(new)
    return {
        name: torch.stack([new[name] for new in drawn for _ in rates]).requires_grad_()
        for name in shapes
    }


def forward(task, mixer, p, tokens, layers):
    """Outputs (models, batch, T, after)."""
    x = task.embed(tokens, p["table"])
    for i in range(layers):
        q, k, v = (seen(x @ p[f"{n}{i}"][:, None], p[f"{n}taps{i}"]) for n in "qkv")
        gate = torch.sigmoid(x @ p[f"gate{i}"][:, None])
        left = torch.sigmoid(x @ p[f"fade{i}"][:, None] + p[f"memory{i}"][:, None])
        found = (MIXERS | FADING)[mixer](q, k, v, gate, p[f"number{i}"][:, None], left)
        x = x + found @ p[f"o{i}"][:, None]
    return x @ p["out"][:, None]


def seen(x, taps):
    """A token and the one before it, each with its weights (models, 2, d)."""
    return x * taps[:, None, :1] + pad(x, (0, 0, 1, 0))[..., :-1, :] * taps[:, None, 1:]


def broadcast(numbers, x):
    """One number a model, in the shape of a parameter."""
    return numbers.reshape(-1, *[1] * (x.ndim - 1))


def train(task, mixer, *, seeds, rates, steps, batch=16, layers=1, D=64, d=16):
    """Adam with warm-up, clipping and a cosine; returns the parameters of len(seeds) * len(rates) models."""
    p = parameters(task, seeds, rates, layers, D, d)
    rate = torch.tensor(rates).repeat(len(seeds))
    generators = [torch.Generator().manual_seed(1000 + seed) for seed in seeds]
    first, second = ({n: torch.zeros_like(x) for n, x in p.items()} for _ in range(2))
    order = torch.Generator().manual_seed(0)
    for step in range(1, steps + 1):
        pairs = task.sizes[int(torch.randint(len(task.sizes), (), generator=order))]
        drawn = [task.draw(g, batch, pairs) for g in generators]
        tokens, wanted = (
            torch.stack(x).repeat_interleave(len(rates), 0) for x in zip(*drawn)
        )
        loss, _ = task.loss(forward(task, mixer, p, tokens, layers), wanted)
        grads = dict(
            zip(
                p, torch.autograd.grad(loss.sum(), list(p.values()), materialize_grads=True)
            )
        )
        norm = sum(g.flatten(1).square().sum(1) for g in grads.values()).sqrt()
        shrink = (1 / norm).clamp(max=1.0)
        pace = min(1, step / (0.1 * steps)) * (1 + math.cos(math.pi * step / steps)) / 2
        with torch.no_grad():
            for name, x in p.items():
                g = grads[name] * broadcast(shrink, x)
                first[name].lerp_(g, 0.1)
                second[name].lerp_(g * g, 0.01)
                move = first[name] / (1 - 0.9**step)
                move = move / ((second[name] / (1 - 0.99**step)).sqrt() + 1e-8)
                x -= broadcast(pace * rate, x) * move
    return {name: x.detach() for name, x in p.items()}


@torch.no_grad()
def score(task, mixer, p, *, pairs, batch, seed, layers=1):
    """Loss (models,) and score of each model, on the same sequences for all."""
    tokens, wanted = task.draw(torch.Generator().manual_seed(seed), batch, pairs)
    models = len(p["table"])
    tokens, wanted = (x.expand(models, *x.shape) for x in (tokens, wanted))
    return task.loss(forward(task, mixer, p, tokens, layers), wanted)


# ---- the full run ------------------------------------------------------------------------------------------

FULL = {
    "recall": {"rates": [0.003, 0.01, 0.03, 0.1], "steps": 800},
    "regression": {"rates": [0.001, 0.003, 0.01, 0.03], "steps": 600},
    "overwritten": {"rates": [0.003, 0.01, 0.03, 0.1], "steps": 800},
}
SHARED = {"seeds": [0, 1, 2], "D": 64, "d": 16, "batch": 16}
TESTED = {"recall": [2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 56, 64], "regression": [24]}
TESTED["overwritten"] = [8, 12, 16, 24, 32, 40, 64]
VALIDATION, TEST = 10_001, 10_002  # seeds of sequences that nobody trained on
SEQUENCES = {"recall": 512, "regression": 4096, "overwritten": 512}


def experiment(name, mixer, layers=1, **changes):
    """Train at every rate and seed, choose the rate on validation sequences, and report the test scores of its seeds."""
    task, setting = TASKS[name], SHARED | FULL[name] | changes
    p = train(task, mixer, layers=layers, **setting)
    by_size = [
        score(task, mixer, p, pairs=n, batch=128, seed=VALIDATION, layers=layers)[0]
        for n in task.sizes
    ]
    losses = torch.stack(by_size).mean(0).reshape(len(setting["seeds"]), -1)
    best = int(losses.mean(0).nan_to_num(math.inf).argmin())
    p = {key: x[best :: len(setting["rates"])] for key, x in p.items()}
    scores = [
        score(task, mixer, p, pairs=n, batch=SEQUENCES[name], seed=TEST, layers=layers)[1]
        for n in TESTED[name]
    ]
    scores = scores[0] if name == "regression" else torch.stack(scores, 1)
    return {
        "task": name,
        "mixer": mixer,
        "layers": layers,
        **setting,
        "chosen rate": setting["rates"][best],
        "validation loss by rate": digits(losses.mean(0).tolist()),
        "scores by seed": digits(scores.tolist()),
        "lam": digits(p["number0"].exp().flatten().tolist()) if "ridge" in mixer else None,
    }


def plan():
    found = [("recall", mixer, {}) for mixer in MIXERS]
    found += [("recall", "ridge", {"d": d, "rates": [0.03]}) for d in (8, 32)]
    found += [("regression", m, {"layers": n}) for n in (1, 2) for m in MIXERS]
    return found + [("overwritten", mixer, {}) for mixer in MIXERS | FADING]


def full_run(only=None):
    """All tasks, or one, which then replaces what the file has of it."""
    results, start = [], time.process_time()
    for name, mixer, changes in plan():
        if only not in (None, name):
            continue
        before = time.process_time()
        results.append(experiment(name, mixer, **changes))
        results[-1]["seconds"] = round(time.process_time() - before, 1)
        print(name, mixer, changes, results[-1]["scores by seed"][0][-1], flush=True)
    seconds = round(time.process_time() - start)
    made = machine("torch") | {"processor seconds": seconds}
    if only is None:
        found = {"machine": made}
    else:
        found = json.loads(RESULTS.read_text("utf-8"))
        found[f"machine of {only}"] = made
        results = [r for r in found.pop("results") if r["task"] != only] + results
    found |= {"tested": TESTED, "test seed": TEST, "results": results}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(f"{seconds} s of processor time; written to {RESULTS}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(TASKS))
    torch.set_num_threads(1)
    full_run(parser.parse_args().only)
