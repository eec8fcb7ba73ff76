"""Small attention-only models, trained on three tasks at once, and what tells which of their heads matter.

``python importance.py`` trains eight of them and writes ``../data/importance.json``; chapter 9g trains one of them again.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from olsattention import capture_attention, head_report
from olsattention.models.gates import ablation_effects, head_gates, set_means
from olsattention.models.importance import SCORES, head_scores

sys.path.append(str(Path(__file__).resolve().parents[1] / "data"))
from record import digits, machine

RESULTS = Path(__file__).resolve().parents[1] / "data" / "importance.json"
SYMBOLS, LENGTH, MODELS, STEPS = 24, 40, 8, 500

# ---- the model: two layers of four heads, and nothing else -------------------------------------------------


class Attention(nn.Module):
    """Causal heads that know places by their queries and keys only, and add their answers to the stream."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query_key = nn.Linear(width, 2 * width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x, places):
        q, k = (
            self.query_key(x + places)
            .unflatten(-1, (2 * self.heads, -1))
            .transpose(1, 2)
            .chunk(2, 1)
        )
        v = self.value(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        z = scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + self.out(z.transpose(1, 2).flatten(2))


class Model(nn.Module):
    """Tokens (B, T) to logits (B, T, SYMBOLS)."""

    def __init__(self, width=64, heads=4):
        super().__init__()
        self.tokens = nn.Embedding(SYMBOLS, width)
        self.places = nn.Parameter(torch.randn(LENGTH, width) / 2)
        self.layers = nn.ModuleList([Attention(width, heads) for _ in range(2)])
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, SYMBOLS, bias=False)

    def forward(self, tokens):
        x = self.tokens(tokens)
        for layer in self.layers:
            x = layer(x, self.places[: tokens.shape[1]])
        return self.read(self.norm(x))


# ---- three tasks -------------------------------------------------------------------------------------------


def repeats(n, generator):
    """A random block, again and again, and its length."""
    period = int(torch.randint(LENGTH // 4, LENGTH // 2 + 1, (), generator=generator))
    block = torch.randint(SYMBOLS, (n, period), generator=generator)
    return block.repeat(1, LENGTH // period + 1)[:, :LENGTH], period


def chains(n, generator, back):
    """Each symbol is the one `back` places before, if that is one by a table, or the next one up, by a coin."""
    table = torch.arange(SYMBOLS)
    if back == 1:
        table = torch.randperm(SYMBOLS, generator=torch.Generator().manual_seed(9))
    coins = torch.randint(2, (LENGTH, n), generator=generator)
    rows = list(torch.randint(SYMBOLS, (back, n), generator=generator))
    for t in range(back, LENGTH):
        rows.append((table[rows[t - back]] + coins[t]) % SYMBOLS)
    return torch.stack(rows, 1)


def train(seed, steps=STEPS, batch=16, rate=1e-2):
    """A model trained on repeats and on chains of one and of three places back, in equal parts."""
    torch.manual_seed(seed)
    model, generator = Model(), torch.Generator().manual_seed(1000 + seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98))
    for step in range(steps):
        pace = min(1, (step + 1) / 50) * (1 + math.cos(math.pi * step / steps)) / 2
        optimiser.param_groups[0]["lr"] = rate * pace
        again, period = repeats(batch, generator)
        chain = torch.cat([chains(batch, generator, 1), chains(batch, generator, 3)])
        logits = model(torch.cat([again, chain]))
        loss = continued(logits[:batch], again, period) + continued(
            logits[batch:], chain, 3
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def continued(logits, tokens, start):
    """Cross-entropy of every symbol after the first `start` + 1."""
    return cross_entropy(
        logits[:, start:-1].flatten(0, 1), tokens[:, start + 1 :].flatten()
    )


# ---- what its heads are worth on repeats ---------------------------------------------------------------------


def said_twice(seed, n=64):
    """Random symbols (n, LENGTH), the second half the first again."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(SYMBOLS, (n, LENGTH // 2), generator=generator).repeat(1, 2)


def loss_on(model, tokens):
    """Of the second half."""
    return continued(model(tokens), tokens, LENGTH // 2)


def measured(model, seed=0):
    """Scores, patterns and effects of the heads; means, scores and effects each from sequences of their own."""
    others, scored, test = (said_twice(100 * seed + i) for i in range(3))
    gates = head_gates(model, lambda: model(others))
    set_means(gates, lambda: model(others))
    table = head_scores(gates, lambda: loss_on(model, scored))
    table["effect"] = ablation_effects(gates, lambda: loss_on(model, test))
    with torch.no_grad(), capture_attention(model) as captured:
        model(test)
    report = head_report(captured, test, repeats=0)
    return table.join(report[["previous", "induction"]])


# ---- the full run ------------------------------------------------------------------------------------------


def full_run():
    start, models = time.process_time(), []
    for seed in range(MODELS):
        model = train(seed)
        table = measured(model)
        found = {name: digits(table[name].tolist()) for name in (*SCORES, "effect")}
        found |= {name: digits(table[name].tolist()) for name in ("previous", "induction")}
        loss = float(loss_on(model, said_twice(2)).detach())
        models.append({"seed": seed, "loss": digits(loss), **found})
        print(seed, models[-1]["loss"], np.round(found["effect"], 2), flush=True)
    seconds = round(time.process_time() - start)
    found = {"machine": machine("torch") | {"processor seconds": seconds}, "models": models}
    found["guess"] = math.log(SYMBOLS)
    RESULTS.write_text(json.dumps(found) + "\n", "utf-8")
    print(f"{seconds} s of processor time; written to {RESULTS}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    full_run()
