"""`py.typed` keeps its promise: a strict checker knows the type of every public name, as a user's program meets it.

The checker is basedpyright (Pyright, with its runtime in a wheel): nothing is fetched when it runs.
"""

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

import olsattention

ROOT = Path(__file__).resolve().parents[1]
CHECKER = Path(sys.executable).with_name("basedpyright")
PROGRAM = Path(__file__).with_name("typed_program.py")

# of a library without types
OUTSIDE = {"Type of base class unknown", "Type of metaclass unknown"}


def checker(*arguments, cwd):
    """What the checker says of this checkout, as JSON."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [CHECKER, "--pythonpath", sys.executable, "--outputjson", *arguments]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@cache
def said():
    """What the checker says of three programs, in one run: a dict from the program's name to its remarks."""
    programs = {
        "typed": "# pyright: strict, reportMissingTypeStubs=false\n"
        + PROGRAM.read_text(encoding="utf-8")
    }
    programs |= {"doors": DOORS, "wrong": "\n".join([*RIGHT, *WRONG])}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in programs.items():
            Path(folder, f"{name}.py").write_text(text, encoding="utf-8")
        config = {"typeCheckingMode": "basic", "reportMissingTypeStubs": False}
        Path(folder, "pyrightconfig.json").write_text(json.dumps(config))
        found = {name: [] for name in programs}
        for remark in checker("-p", folder, cwd=folder)["generalDiagnostics"]:
            found[Path(remark["file"]).stem].append(remark)
    return found


@cache
def symbols():
    """What the checker knows of each name of the package: a dict from full name to its entry."""
    report = checker("--verifytypes", "olsattention", "--ignoreexternal", cwd=ROOT.parent)
    assert Path(report["typeCompleteness"]["packageRootDirectory"]) == ROOT / "olsattention"
    return {entry["name"]: entry for entry in report["typeCompleteness"]["symbols"]}


def public_names():
    """Map each module of the package to its public names: those that its chapter exports, and the doors of chapter 0."""
    found = {}
    for path in sorted((ROOT / "olsattention").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT / "olsattention").with_suffix("").parts)
        if path.name[0] != "_":
            namespace = {}
            text = path.read_text(encoding="utf-8")
            line = text[text.find("\n__all__ = [") :]
            exec(line[: line.find("]") + 1], namespace)
            found[module] = namespace.get("__all__", [])
    found["arrays"] += ["Table", "as_matrix", "as_regression", "as_queries", "as_lam"]
    return found


def unknown(module, names):
    """List the public names of a module, and the members of its classes, whose types the checker does not know."""
    prefix = f"olsattention.{module}."
    shown = [
        (name.removeprefix(prefix), entry)
        for name, entry in symbols().items()
        if name.startswith(prefix)
    ]
    return sorted(
        name
        for name, entry in shown
        if name.partition(".")[0] in names
        and not any(part[0] == "_" != part[:2] for part in name.split("."))
        and not entry["isTypeKnown"]
        and not {d["message"] for d in entry.get("diagnostics", [{"message": ""}])}
        <= OUTSIDE
    )


@pytest.mark.parametrize("module, names", public_names().items())
def test_every_public_name_has_a_type(module, names):
    missing = unknown(module, names)
    assert not missing, f"olsattention.{module} leaves unknown: {missing}"


# Of each public name the checker knows the module where it stands, by `__init__.pyi` and the parts' stubs.
DOORS = "import olsattention\n" + "".join(
    f"reveal_type(olsattention.{name})\n" for name in olsattention.__all__
)


def test_public_names_reach_the_checker_through_the_stubs():
    errors = [d for d in said()["doors"] if d["severity"] == "error"]
    assert not errors, errors[:3]
    assert len(said()["doors"]) == len(olsattention.__all__)
    lost = [d["message"] for d in said()["doors"] if 'is "Unknown"' in d["message"]]
    assert not lost


def test_a_strict_program_is_without_fault():
    found = said()["typed"]
    assert not found, [(d["range"]["start"]["line"], d["message"]) for d in found][:5]


RIGHT = """
import numpy as np, torch
from typing import assert_type
from olsattention import CoulombeEmbedding, attention_weights, leverage, plots, thin_svd
X = np.ones((3, 2))
""".strip().splitlines()
WRONG = """
attention_weights("rows", X)
attention_weights(X, torch.ones(2, 2))  # one library throughout
attention_weights(X, X, intercept=0.5)  # a penalty that slipped
thin_svd(X).u
CoulombeEmbedding().fit(X).weights(X)
plots.plot_weights(X, axes=None)
assert_type(leverage(X), torch.Tensor)
""".strip().splitlines()


def test_what_is_wrong_is_seen():
    errors = [d for d in said()["wrong"] if d["severity"] == "error"]
    lines = {d["range"]["start"]["line"] - len(RIGHT) for d in errors}
    assert lines == set(range(len(WRONG)))


def test_the_program_runs(tmp_path):
    env = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, PROGRAM], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "(0.3)" in done.stdout
