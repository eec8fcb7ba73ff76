"""The fingerprint of chapter 11c on a trained model: honest recomputations, and models that were changed.

``python nbs/models/fingerprint.py`` judges all of them, compiled code included, and CUDA where there is one, and writes
``nbs/data/fingerprint.json``; the chapter does the rest of them again.
"""

import argparse
import copy
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from olsattention import capture_attention, compare_spectra
from olsattention.models.fingerprint import key_maps
from olsattention.models.monitoring import captured_spectra

sys.path.append(str(Path(__file__).resolve().parents[1] / "data"))
from record import encoder, machine

DATA = Path(__file__).resolve().parents[1] / "data"


def load():
    """A sentence encoder of 6 layers with 12 heads each, and two texts for it: four windows of 40 tokens each."""
    model, tokens = encoder()
    text = (DATA / "austen.txt").read_text(encoding="utf-8")
    tokens = torch.tensor(tokens(text, verbose=False)["input_ids"])
    return model, tokens[:160].reshape(4, 40), tokens[400:560].reshape(4, 40)


@torch.no_grad()
def spectra(model, text):
    """The spectra of all heads while a model reads."""
    with capture_attention(model) as captured:
        model(text)
    return captured_spectra(captured, per_token=False)


def of_keys(K):
    """The spectrum of keys (T, d), by another way than the Gram matrix."""
    return np.linalg.svd(K.detach().double().cpu().numpy(), compute_uv=False) ** 2


class Judge:
    """What was opened of a model in double precision, and what it takes to judge others by it."""

    def __init__(self, model, text):
        exact = copy.deepcopy(model).double()
        self.opened, self.maps = spectra(exact, text), key_maps(exact, text)

    def __call__(self, again, dtype):
        return compare_spectra(self.opened, again, *self.maps, dtype=dtype)

    def layer_by_layer(self, dtype):
        """Spectra of keys that are computed in an arithmetic from the inputs of each layer as they were opened."""
        inputs, weights = (
            {name: torch.tensor(A).to(dtype) for name, A in maps.items()}
            for maps in self.maps
        )
        return {name: of_keys(inputs[name] @ weights[name]) for name in weights}


# ---- honest ------------------------------------------------------------------------------------------------------


def with_threads(count, model, text):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        return spectra(model, text)
    finally:
        torch.set_num_threads(before)


def honest(judge, model, text):
    """Name, the arithmetic that is allowed, and the spectra of one honest recomputation after the other."""
    yield "double precision", "float64", spectra(copy.deepcopy(model).double(), text)
    yield "single precision, one thread", "float32", with_threads(1, model, text)
    yield "single precision, two threads", "float32", with_threads(2, model, text)
    yield "windows in another order", "float32", spectra(model, text[[2, 0, 3, 1]])
    yield "bfloat16, layer by layer", "bfloat16", judge.layer_by_layer(torch.bfloat16)
    yield "float16, layer by layer", "float16", judge.layer_by_layer(torch.float16)


@torch.no_grad()
def compiled(model, text):
    """Spectra of keys that compiled code computes, which no capture can read; it hands them out itself."""

    def keys(text):
        states = model(text, output_hidden_states=True).hidden_states
        return [
            block.attention.self.key(x) for block, x in zip(model.encoder.layer, states)
        ]

    heads = (K.flatten(0, 1).split(32, 1) for K in torch.compile(keys)(text))
    return {
        f"layer {i}, head {j}": of_keys(K)
        for i, layer in enumerate(heads)
        for j, K in enumerate(layer)
    }


# ---- changed -----------------------------------------------------------------------------------------------------


def parts(model, layer):
    """The maps of one layer's heads (H, d, ...): queries, keys and values by their rows, outputs by their columns."""
    block = model.encoder.layer[layer].attention
    maps = [block.self.query, block.self.key, block.self.value]
    inward = [x for m in maps for x in (m.weight, m.bias)]
    return [x.view(12, 32, *x.shape[1:]) for x in inward], block.output.dense.weight


@torch.no_grad()
def exchange(model, layer=3, first=1, second=2):
    """Two heads of one layer change places, with all that belongs to them: the model answers as before."""
    inward, outward = parts(model, layer)
    order = list(range(12))
    order[first], order[second] = second, first
    for x in inward:
        x.copy_(x[order].clone())
    outward.copy_(outward.view(-1, 12, 32)[:, order].flatten(1).clone())
    return model


@torch.no_grad()
def transplant(model, layer=3, head=1, source=4):
    """One head gets the keys of a head of another layer."""
    for to, other in zip(parts(model, layer)[0][2:4], parts(model, source)[0][2:4]):
        to[head] = other[head]
    return model


@torch.no_grad()
def eight_bits(model):
    """Weights of eight bits, with one scale a matrix."""
    for m in model.modules():
        if isinstance(m, torch.nn.Linear):
            scale = m.weight.abs().max() / 127
            m.weight.copy_((m.weight / scale).round() * scale)
    return model


def step(model, text, share):
    """A step of gradient descent on how alike the windows are, of a share of the norm of all weights."""
    means = torch.nn.functional.normalize(model(text).last_hidden_state.mean(1))
    (means @ means.T).sum().backward()
    own = [p for p in model.parameters() if p.grad is not None]
    weights = sum(p.detach().square().sum() for p in own).sqrt()
    slope = sum(p.grad.square().sum() for p in own).sqrt()
    rate = share * weights / slope
    with torch.no_grad():
        for p in own:
            p -= rate * p.grad
            p.grad = None
    return model


@torch.no_grad()
def turn(model, layer, head=0):
    """The keys of one head turned by an orthogonal matrix, its queries left as they are."""
    generator = torch.Generator().manual_seed(0)
    turning = torch.linalg.qr(
        torch.randn(32, 32, dtype=torch.float64, generator=generator)
    )[0]
    for x in parts(model, layer)[0][2:4]:
        x[head] = (turning.T @ x[head].double()).to(x.dtype)
    return model


def changed(model, text, other_text):
    """Name and spectra of one changed model after the other."""
    yield "weights of eight bits", spectra(eight_bits(copy.deepcopy(model)), text)
    yield (
        "keys of one head from another layer",
        spectra(transplant(copy.deepcopy(model)), text),
    )
    yield "two heads exchanged", spectra(exchange(copy.deepcopy(model)), text)
    yield (
        "a step of 1e-3 of the weights",
        spectra(step(copy.deepcopy(model), text, 1e-3), text),
    )
    yield "another text", spectra(model, other_text)


def row(name, got, dtype, wanted):
    found = {"name": name, "allowed": dtype, "statistic": got.statistic, "limit": got.limit}
    return found | {"accepted": got.agrees, "wanted": wanted, "worst head": got.worst}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DATA / "fingerprint.json")
    given, start = parser.parse_args(), time.process_time()
    model, text, other_text = load()
    judge = Judge(model, text)
    rows = [row(n, judge(s, d), d, True) for n, d, s in honest(judge, model, text)]
    rows.append(row("compiled", judge(compiled(model, text), "float32"), "float32", True))
    if torch.cuda.is_available():
        there = spectra(copy.deepcopy(model).cuda(), text.cuda())
        rows.append(row("CUDA, single precision", judge(there, "float32"), "float32", True))
    for name, again in changed(model, text, other_text):
        rows.append(row(name, judge(again, "bfloat16"), "bfloat16", False))
    made = machine("numpy", "torch", "transformers")
    made |= {"cuda": torch.cuda.is_available()}
    made["processor seconds"] = round(time.process_time() - start)
    given.out.write_text(json.dumps({"rows": rows, "machine": made}, indent=1) + "\n")


if __name__ == "__main__":
    main()
