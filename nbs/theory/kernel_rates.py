"""Oracle risk of kernel ridge regression on random rows, up to 4096 of them: `nbs/data/kernel_rates.json` of chapter 8b.

Run it from anywhere: `python nbs/theory/kernel_rates.py`. It takes some minutes of one core.
"""

import json
from pathlib import Path

import nbformat

FOLDER = Path(__file__).resolve().parent
SIZES, SMOOTHNESS, SEEDS = [256, 512, 1024, 2048, 4096], (0.75, 1.5), 4


def of_the_chapter(name):
    """The function of the chapter, so that both compute the same."""
    notebook = nbformat.read(FOLDER / "08b_rates.ipynb", as_version=4)
    source = next(c.source for c in notebook.cells if f"def {name}(" in c.source)
    names = {}
    exec(
        "import numpy as np\nfrom olsattention import SpectralSmoother, kernels, theory",
        names,
    )
    exec(source.partition("\n\n\nwith open")[0], names)
    return names[name]


def main():
    """Fill the file."""
    one_matrix = of_the_chapter("one_matrix")
    kept = {"sizes": SIZES, **{str(s): {"risk": [], "lam": []} for s in SMOOTHNESS}}
    for n in SIZES:
        found = [one_matrix(n, seed, SMOOTHNESS) for seed in range(SEEDS)]
        for s, runs in zip(SMOOTHNESS, zip(*found)):
            for name, values in zip(("risk", "lam"), zip(*runs)):
                kept[str(s)][name].append(values)
        print(n, flush=True)
    path = FOLDER.parent / "data" / "kernel_rates.json"
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
