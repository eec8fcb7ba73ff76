"""The notebooks keep the rules of the book: statements are checked, and what is generated is up to date."""

import ast
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path

import book
import nbformat
import pytest
import readme
import stubs

NOTEBOOKS = {path.relative_to(book.NBS).as_posix(): path for path in book.book_notebooks()}


def read(name):
    return nbformat.read(NOTEBOOKS[name], as_version=4)


def notebook(*cells):
    """A notebook of code cells and, where the text starts with one of the marks of prose, Markdown cells."""
    new = nbformat.v4
    prose = ("#", "*", "$")
    return new.new_notebook(
        cells=[
            new.new_markdown_cell(c)
            if c.startswith(prose) and not c.startswith("#|")
            else new.new_code_cell(c)
            for c in cells
        ]
    )


# ---- every numbered statement is checked -------------------------------------------------------------------


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_numbered_statement_is_checked(name):
    unchecked = book.unchecked_statements(read(name))
    assert not unchecked, (
        f'nbs/{name} has no cell with check("...", ...) for: {", ".join(unchecked)}'
    )


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_statement_opens_its_cell(name):
    """Only there is it framed, and has an anchor that links can lead to."""
    opening = rf"^\*\*(?:{'|'.join(book.KINDS)}) \w+\.\d+"
    cells = [cell.source for cell in read(name).cells if cell.cell_type == "markdown"]
    inside = [re.search(opening, source, re.M) for source in cells]
    assert not [found[0] for found in inside if found and found.start()]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_numbers_are_consecutive_and_belong_to_the_chapter(name):
    chapter = re.match(r"0*(\d+(?:[a-z]\d?)?)_", Path(name).name)
    labels = [label for label, _ in book.numbered_statements(read(name))]
    equations = [label for label in labels if " " not in label]
    solved = [label.split()[1] for label in labels if label.startswith("Exercise")]
    named = [label.split() for label in labels if " " in label]
    theorems = [number for kind, number in named if kind != "Exercise"]
    if not chapter:
        assert not labels, (
            f"nbs/{name} is not a chapter, so its statements cannot be numbered: {labels}"
        )
        return
    # theorems, lemmas, definitions ... share one counter
    for numbers in (equations, theorems, solved):
        wanted = [f"{chapter[1]}.{i + 1}" for i in range(len(numbers))]
        assert numbers == wanted, f"nbs/{name}: numbers {numbers}, wanted {wanted}"


def test_numbers_are_unique_over_the_book():
    labels = Counter(
        label for name in NOTEBOOKS for label, _ in book.numbered_statements(read(name))
    )
    assert not [label for label, times in labels.items() if times > 1]


STATEMENTS = notebook(
    "# A chapter\n\n$$ a = b \\tag{1.1} $$",
    "**Theorem 1.1 (Title).** It is so, with $$ c = d. \\tag{1.2} $$",
    "**Definition 1.2.** A name asserts nothing.",
    "**Lemma 1.3.** It is so too.",
    'check("1.1", a, b, tol=1e-12)\ncheck("Theorem 1.1", True)',
    'for _ in range(3):\n    check("1.2", c, d, tol=1e-12)',
    '%time check("S5", 1, 1)\n!ls\nresult = [check("Lemma 1.3", True)]',
)


def test_the_statements_of_a_notebook_are_found():
    assert book.numbered_statements(STATEMENTS) == [
        ("1.1", "eq-1.1"),
        ("Theorem 1.1", "thm-1.1"),
        ("1.2", "eq-1.2"),
        ("Definition 1.2", "def-1.2"),
        ("Lemma 1.3", "lem-1.3"),
    ]
    assert book.unchecked_statements(STATEMENTS) == []


@pytest.mark.parametrize(
    "remove",
    [
        pytest.param(lambda call: f"# {call}", id="commented out"),
        pytest.param(lambda call: call.replace("check(", "print("), id="replaced"),
        pytest.param(lambda call: f"text = '''{call}'''", id="in a string"),
        pytest.param(lambda call: f"#| eval: false\n{call}", id="not executed"),
        pytest.param(lambda call: f"#| slow\n{call}", id="behind a flag"),
        pytest.param(lambda call: f"#| hide\n{call}", id="hidden from the reader"),
    ],
)
def test_a_removed_check_is_noticed(remove):
    call = 'check("1.1", 1.0, 1.0, tol=1e-12)'
    assert book.unchecked_statements(notebook("$$ a \\tag{1.1} $$", call)) == []
    assert book.unchecked_statements(notebook("$$ a \\tag{1.1} $$", remove(call))) == [
        "1.1"
    ]


@pytest.mark.parametrize(
    "name", [n for n in NOTEBOOKS if book.numbered_statements(read(n))]
)
def test_a_check_removed_from_a_chapter_is_noticed(name):
    for label in filter(book.needs_check, dict(book.numbered_statements(read(name)))):
        chapter = read(name)
        for cell in chapter.cells:
            call = rf'check\((\s*)"{re.escape(label)}"'
            cell.source = re.sub(call, rf'print(\1"{label}"', cell.source)
        assert book.unchecked_statements(chapter) == [label]


# ---- exercises ----------------------------------------------------------------------------------------------

CHAPTERS = [name for name in NOTEBOOKS if Path(name).name[0].isdigit()]


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_ends_with_three_exercises_and_their_solutions(name):
    """Each is solved by code that checks it; that it does is what the tests of numbered statements ask."""
    found = book.exercises(read(name))
    assert len(found) >= 3, f"nbs/{name} has {len(found)} exercises"
    for number, solution in found.items():
        kinds = [cell.cell_type for cell in solution]
        assert kinds[:1] == ["markdown"], f"Exercise {number} has no **Solution.**"
        code = "".join(c.source for c in solution if c.cell_type == "code")
        assert f'"Exercise {number}"' in code, f"nothing checks Exercise {number} below it"


def test_a_solution_ends_where_the_next_exercise_begins():
    chapter = notebook(
        "## Exercises",
        "**Exercise 1.1 (A line).** Show it.",
        "**Solution.** So.",
        'check("Exercise 1.1", True)',
        "**Exercise 1.2.** Show it.",
        "*A hint.*",
        "**Solution.**",
        'check("Exercise 1.2", True)',
        "## After",
        "x = 1",
    )
    solutions = book.exercises(chapter)
    assert [cell.source for cell in solutions["1.1"]] == [
        "**Solution.** So.",
        'check("Exercise 1.1", True)',
    ]
    assert len(solutions["1.2"]) == 2
    shown = [cell.source for cell in book.translate(chapter, "kernels/04_similarity").cells]
    opened = [i for i, text in enumerate(shown) if "<details" in text]
    closed = [i for i, text in enumerate(shown) if "</details>" in text]
    assert len(opened) == len(closed) == 2 and all(
        o < c for o, c in zip(opened, closed, strict=True)
    )
    assert shown.index("x = 1") > closed[-1]


# ---- case studies ------------------------------------------------------------------------------------------

CASES = [name for name in NOTEBOOKS if name.startswith("cases/")]


def test_case_studies_have_a_place_in_the_contents():
    assert CASES
    _, tree = book.contents().split(":caption: Case studies\n")
    assert tree.split("```")[0].split() == ["cases/*"]


@pytest.mark.parametrize("name", CASES)
def test_case_studies_export_nothing(name):
    assert book.default_module(read(name)) is None
    exporting = {"export", "exporti", "exports"}
    assert not [d for d, _ in book.code_cells(read(name)) if exporting & d.keys()]


LONG = 15  # lines of code that a reader sees at a glance


@pytest.mark.parametrize("name", CASES)
def test_a_case_study_shows_first(name):
    """A figure comes before the first long code that is shown, and long helpers are folded everywhere."""
    seen_figure = False
    for directives, code in book.code_cells(read(name)):
        hidden = {"hide", "export", "exporti"} & directives.keys()
        folded = directives.get("code-fold") == "true" or directives.get("echo") == "false"
        seen_figure |= directives.get("label", "").startswith("fig-")
        if len(code.splitlines()) > LONG and not (hidden or folded):
            assert seen_figure, (
                f"nbs/{name}: fold this, or show the figure first: {code[:80]}"
            )
            helpers = (ast.FunctionDef, ast.ClassDef)
            assert not any(isinstance(node, helpers) for node in ast.parse(code).body), (
                f"nbs/{name}: put `#| code-fold: true` on top of the cell: {code[:80]}"
            )
    assert seen_figure, f"nbs/{name} has no figure"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_figures_have_the_colours_of_the_book(name):
    """No palette of Matplotlib's own: its colours by name, or a style sheet."""
    foreign = re.compile(
        r"tab:\w+|plt\.style|color(?:=|map=)?[\"'](?:red|blue|green|orange)[\"']"
    )
    code = "\n".join(code for _, code in book.code_cells(read(name)))
    assert not foreign.findall(code), f"nbs/{name}: take the colours of olsattention.plots"


def linked(name):
    """The files that a notebook links to, and the data that it reads, as it writes them."""
    text = "\n".join(cell.source for cell in read(name).cells)
    links = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)(?:#[^)\s]*)?\)", text)
    return links + re.findall(r"""["']((?:\.\./)*data/[\w./-]+)["']""", text)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_files_are_named_as_seen_from_the_notebook(name):
    folder = NOTEBOOKS[name].parent
    missing = [path for path in linked(name) if not (folder / path).exists()]
    assert not missing, f"nbs/{name} names files that are not there: {missing}"


@pytest.mark.parametrize("name", [n for n in NOTEBOOKS if n != "index.ipynb"])
def test_the_index_leads_to_every_notebook(name):
    assert name in linked("index.ipynb"), f"nbs/index.ipynb has no link to {name}"


# ---- notebooks are committed clean -------------------------------------------------------------------------


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_is_clean(name):
    raw = nbformat.read(NOTEBOOKS[name], as_version=nbformat.NO_CONVERT)
    nbformat.validate(raw)
    assert (raw.nbformat, raw.nbformat_minor) >= (4, 5)
    assert raw.metadata.get("kernelspec", {}).get("name") == "python3"
    assert set(raw.metadata) <= {"kernelspec"}, (
        "run nbdev_clean: metadata beside the kernelspec"
    )
    ids = [cell.id for cell in raw.cells]
    assert len(set(ids)) == len(ids)
    for cell in raw.cells:
        assert not cell.metadata, f"run nbdev_clean: cell {cell.id} has metadata"
        assert cell.get("execution_count") is None, (
            f"run nbdev_clean: cell {cell.id} has an execution count"
        )
        assert not cell.get("outputs"), f"run nbdev_clean: cell {cell.id} has outputs"
        path = re.search(
            r"(?<![\w.])(?:/(?:home|root|Users|tmp|work|mnt)/\w|[A-Z]:\\\w)", cell.source
        )
        assert not path, (
            f"cell {cell.id} names a path of one machine: {path and cell.source[path.start() :][:40]}"
        )


# ---- a module stands on those below it ---------------------------------------------------------------------


def modules_in_order():
    """The modules of the chapters, in the order of the book, and the notebook of each."""
    found = {book.default_module(read(name)): name for name in NOTEBOOKS}
    return {module: name for module, name in found.items() if module}


def modules_imported(code):
    """Yield `(line, module)` for every import of the package's own modules, without the package's name."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        line = code.splitlines()[node.lineno - 1].strip()
        for name in names:
            package, _, module = name.partition(".")
            if package == "olsattention" or getattr(node, "level", 0):
                yield line, module


def imports_that_are_not_below(module, code, order):
    """List the lines of an exported cell that import what is not a module of a floor below; `plots` draws for all."""
    below = [*order[: order.index(module)], "checks", "plots"]
    return [line for line, imported in modules_imported(code) if imported not in below]


@pytest.mark.parametrize("module, name", modules_in_order().items())
def test_a_module_imports_from_floors_below(module, name):
    order = list(modules_in_order())
    for directives, code in book.code_cells(read(name)):
        if {"export", "exporti"} & directives.keys():
            wrong = imports_that_are_not_below(module, code, order)
            assert not wrong, f"nbs/{name} exports what is not below it: {wrong}"


@pytest.mark.parametrize(
    "line, allowed",
    [
        ("from olsattention.regression.svd import thin_svd", True),
        ("from olsattention.arrays import as_matrix", True),
        ("def f():\n    from olsattention.plots import plot_weights", True),
        ("import numpy as np", True),
        ("from olsattention.regression.smoother import SpectralSmoother", False),  # itself
        ("from olsattention.selection.gcv import select_lam", False),  # a part above
        ("def f():\n    from olsattention.attention.heads import resonance", False),
        ("import olsattention.kernels.rkhs", False),
        ("from olsattention import thin_svd", False),  # which floor would that be?
        ("from olsattention.regression import thin_svd", False),
        ("from .svd import thin_svd", False),
    ],
)
def test_an_import_from_above_is_noticed(line, allowed):
    order = list(modules_in_order())
    wrong = imports_that_are_not_below("regression.smoother", line, order)
    assert wrong == ([] if allowed else [line.splitlines()[-1].strip()])


def test_the_folders_of_the_book_and_of_the_package_are_the_same(root):
    for module, name in modules_in_order().items():
        folder, file = Path(name).parent.as_posix(), Path(name).stem.partition("_")[2]
        if name != "checks.ipynb" and not name.startswith("00_"):
            assert module == f"{folder}.{file}".removeprefix(".."), (
                f"nbs/{name} exports {module}"
            )
    for part in book.PARTS:
        for path in (
            root / "nbs" / part / "index.md",
            root / "olsattention" / part / "__init__.py",
        ):
            assert path.exists(), f"the part {part} lacks {path.relative_to(root)}"
        chapters = {path.name for path in book.chapters_of(part)}
        text = (root / "nbs" / part / "index.md").read_text()
        missing = [name for name in chapters if f"]({name})" not in text]
        assert not missing, f"nbs/{part}/index.md does not lead to {missing}"


# ---- a cell is one idea --------------------------------------------------------------------------------------

# TEMPORARY: chapters whose long cells are being taken apart. Empty this list when they are; an entry that is no longer needed fails.
STILL_LONG = """
""".split()


def exported_cells(name):
    return [
        cell.source
        for cell in read(name).cells
        if cell.cell_type == "code"
        and {"export", "exporti"} & book.split_directives(cell.source)[0].keys()
    ]


def lines_of_code(source):
    """Count the lines of a cell that do something: no directives, docstrings, comments or blank lines."""
    code = book.split_directives(source)[1]
    documented = (ast.FunctionDef, ast.ClassDef)
    prose = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, documented) and ast.get_docstring(node):
            prose |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(map(str.strip, code.splitlines()), 1)
    return sum(i not in prose and line != "" and line[0] != "#" for i, line in lines)


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if exported_cells(name)])
def test_no_exported_cell_is_longer_than_a_reader_holds(name):
    lengths = {
        cell.splitlines()[1]: len(cell.splitlines()) for cell in exported_cells(name)
    }
    long = {first: length for first, length in lengths.items() if length > 60}
    if Path(name).stem in STILL_LONG:
        assert long, f"{name} has no long cell any more: take it off STILL_LONG"
        return
    assert not long, f"nbs/{name} exports cells of more than 60 lines: {long}"


def docstring_lines(source):
    """Yield the lines of the docstrings of a cell, as they stand."""
    lines, documented = source.splitlines(), (ast.FunctionDef, ast.ClassDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node):
            yield from lines[node.body[0].lineno - 1 : node.body[0].end_lineno]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_docstrings_are_wrapped(name):
    """A terminal shows them as they stand, and so does `help`."""
    cells = [code for _, code in book.code_cells(read(name)) if "def " in code]
    plain = [code for code in cells if not re.search(r"(?m)^\s*[%!]", code)]
    long = [line for code in plain for line in docstring_lines(code) if len(line) > 88]
    assert not long, f"nbs/{name}: wrap at 88 characters: {long}"


def test_a_long_docstring_is_noticed():
    source = f'class A:\n    def f(self):\n        """One.\n\n        {"x" * 90}"""'
    assert max(map(len, docstring_lines(source))) > 88
    assert not list(docstring_lines(f"def f():\n    return {'x' * 90!r}"))


def test_the_median_exported_cell_has_5_to_15_lines_of_code():
    finished = [name for name in NOTEBOOKS if Path(name).stem not in STILL_LONG]
    counts = [
        lines_of_code(cell)
        for name in finished
        for cell in exported_cells(name)
        if re.search("^(@|def |class )", cell, re.M)  # not those that only import
    ]
    assert 5 <= statistics.median(counts) <= 15


def test_lines_of_code_are_counted_without_prose():
    source = (
        '#| export\n# a\n\ndef f(x):\n    """One.\n\n    Two."""\n    # b\n    return x'
    )
    assert lines_of_code(source) == 2


# ---- what is generated is in step --------------------------------------------------------------------------


def test_modules_are_in_step_with_the_notebooks(root, tmp_path):
    """Export into a copy that holds only what is written by hand, and compare the whole package."""
    shutil.copytree(
        root / "nbs", tmp_path / "nbs", ignore=shutil.ignore_patterns(".ipynb_checkpoints")
    )
    shutil.copy(root / "settings.ini", tmp_path)
    package = tmp_path / "olsattention"
    for part in ("", *book.PARTS):
        (package / part).mkdir()
        shutil.copy(root / "olsattention" / part / "__init__.py", package / part)
    shutil.copy(root / "olsattention" / "__init__.pyi", package)
    env = {
        key: value for key, value in os.environ.items() if key != "IN_TEST"
    }  # with it nbdev exports nothing
    for command in (
        [Path(sys.executable).with_name("nbdev_export")],
        [sys.executable, "nbs/_site/stubs.py"],
    ):
        subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True)

    def contents(folder):
        return {
            p.relative_to(folder).as_posix(): p.read_text()
            for p in folder.rglob("*.py*")
            if p.suffix != ".pyc"
        }

    exported, committed = contents(package), contents(root / "olsattention")
    assert set(exported) == set(committed), (
        "run make export, and delete modules that no notebook exports"
    )
    differing = [name for name in exported if exported[name] != committed[name]]
    assert not differing, f"not in step with the notebooks: {differing}; run make export"


def test_readme_is_in_step_with_the_index(root):
    text, images = readme.render()
    assert (root / "README.md").read_text() == text, "run make readme"
    for name in images:
        assert (readme.IMAGES / name).exists(), "run make readme"


# ---- the conventions are translated ------------------------------------------------------------------------


def test_directives_are_read_and_taken_off():
    directives, code = book.split_directives(
        "#| label: fig-x\n#| fig-cap: One line: and\n#|   another.\n#|echo: false\nplot()  #| not this"
    )
    assert directives == {
        "label": "fig-x",
        "fig-cap": "One line: and another.",
        "echo": "false",
    }
    assert code == "plot()  #| not this"
    assert book.split_directives("#| default_exp svd") == ({"default_exp": "svd"}, "")


@pytest.mark.parametrize(
    ("source", "tags"),
    [
        ("#| hide\nimport x", ["remove-cell"]),
        ("#| export\ndef _f(): pass", ["hide-input"]),
        ("#| exporti\ndef f(): pass", ["hide-input"]),
        ("#| echo: false\nplot()", ["remove-input"]),
        ("#| eval: false\nplot()", ["skip-execution"]),
        ("#| gpu\nplot()", ["skip-execution"]),
        ("plot()", []),
    ],
)
def test_directives_become_tags(source, tags):
    (cell,) = book.translate(notebook(source), "01_x").cells
    assert cell.metadata.tags == tags
    assert not cell.source.startswith("#|")


def test_an_exported_cell_is_preceded_by_its_api_entries():
    source = "#| export\ndef f(): pass\n\ndef _g(): pass\n\nclass A: pass\n\nx = 1"
    line, entries, cell = book.translate(
        notebook("# Title", "#| default_exp regression.svd", source), "01_x"
    ).cells
    assert ".. autofunction:: olsattention.regression.f" in entries.source
    assert ".. autoclass:: olsattention.regression.A\n   :members:" in entries.source
    assert "_g" not in entries.source
    assert "_modules/olsattention/regression/svd.html" in line.source


METHODS = """from __future__ import annotations
from fastcore.basics import patch
LIMIT = 3
KNOWN = {name for name in "ab"}
class A:
    "One idea."
    def first(self, x: int) -> int:
        return x
@patch
def second(self: A, y=1):
    "Twice."
    return 2 * y
@patch(as_prop=True)
def third(self: A):
    return 3
@patch(cls_method=True)
def made(cls: A, z):
    return cls()
def helper(x):
    return x
"""


def test_a_stub_shows_the_whole_class():
    text = stubs.stub_of_module(ast.parse(METHODS))
    names = {}
    exec(compile(text, "stub", "exec"), names)
    A = names["A"]
    assert [name for name in vars(A) if name[0] != "_"] == [
        "first",
        "second",
        "third",
        "made",
    ]
    assert isinstance(vars(A)["third"], property) and isinstance(
        vars(A)["made"], classmethod
    )
    assert A.second.__doc__ == "Twice." and names["LIMIT"] == 3
    assert "KNOWN: Any" in text and "def helper(x):\n    ..." in text
    assert "return" not in text and "patch\ndef" not in text
    assert "second" not in names  # it is a method, and no function beside its class


OVERLOADED = """from typing import Any, TypeVar, overload
Array = TypeVar("Array", int, float)
Kind: object = open
@overload
def f(x: Array) -> Array: ...
@overload
def f(x: str) -> bytes: ...
def f(x: Any) -> Any:
    "Once."
    return x
"""


def test_a_stub_carries_the_types():
    text = stubs.stub_of_module(ast.parse(OVERLOADED))
    assert "Array = TypeVar('Array', int, float)" in text and "Kind: object" in text
    assert "def f(x: Array) -> Array:" in text and "def f(x: str) -> bytes:" in text
    assert "def f(x: Any)" not in text


def test_an_overloaded_function_has_one_entry():
    line, entries, cell = book.translate(
        notebook("# Title", "#| default_exp x", f"#| export\n{OVERLOADED}"), "01_x"
    ).cells
    assert entries.source.count("autofunction:: ") == 1
    assert cell.metadata.mystnb.code_prompt_show == "Code of Array, Kind and f"


def test_a_method_has_its_entry_where_it_stands():
    cells = [f"#| export\n{ast.unparse(node)}" for node in ast.parse(METHODS).body[4:]]
    translated = book.translate(
        notebook("# Title", "#| default_exp regression.svd", *cells), "01_x"
    ).cells
    text = "\n".join(cell.source for cell in translated if cell.cell_type == "markdown")
    assert ".. autoclass:: olsattention.regression.A\n   :members: first\n" in text
    assert "   ~olsattention.regression.A.second\n" in text  # in the table of the class
    assert "{entry}\n.. automethod:: olsattention.regression.A.second\n" in text
    assert "{entry}\n.. autoproperty:: olsattention.regression.A.third\n" in text
    assert "{entry}\n.. automethod:: olsattention.regression.A.made\n" in text
    assert translated[4].metadata.mystnb.code_prompt_show == "Code of A.second"


def test_an_entry_has_the_name_that_a_reader_imports():
    assert book.dotted_name("regression.svd", "leverage") == "olsattention.leverage"
    assert (
        book.dotted_name("regression.svd", "ThinSVD") == "olsattention.regression.ThinSVD"
    )
    assert book.dotted_name("kernels.stationary", "rbf") == "olsattention.kernels.rbf"
    assert book.dotted_name("plots", "plot_weights") == "olsattention.plots.plot_weights"


@pytest.mark.parametrize(
    "code, label",
    [
        ("import os", "Imports of the module"),
        ("x = 1", "Code of x"),
        ("def f(): pass\nclass A: pass", "Code of f and A"),
        ("\n".join(f"def f{i}(): pass" for i in range(6)), "Code of f0, f1, f2 and 3 more"),
    ],
)
def test_a_folded_cell_says_what_it_hides(code, label):
    for directive in ("#| exporti", "#| code-fold: true"):
        (cell,) = book.translate(notebook(f"{directive}\n{code}"), "x").cells
        assert "hide-input" in cell.metadata.tags
        told = label if directive == "#| exporti" else label.removesuffix(" of the module")
        assert cell.metadata.mystnb.code_prompt_show == told


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("(1.1) error 2e-16 ≤ 1e-12\n(1.1) error 0 ≤ 1e-12", None),
        (
            "(1.1) error 2e-16 ≤ 1e-12\n(1.1) error 1e-13 ≤ 1e-12\n(1.1) error 0 ≤ 1e-12\nx",
            "(1.1) error at most 1e-13 ≤ 1e-12, 3 times\nx",
        ),
        ("a\n" + 4 * "Theorem 1.1 holds\n" + "b", "a\nTheorem 1.1 holds, 4 times\nb"),
        (3 * "(1.1) holds\n" + "(1.2) holds", "(1.1) holds, 3 times\n(1.2) holds"),
        ("(1.1) error 0 ≤ 1e-12\n(1.1) error 0 ≤ 1e-9\n(1.1) error 0 ≤ 1e-12", None),
        ("nothing\nnothing\nnothing", None),
        (
            3 * "(1.1) holds\n(1.2) error 0 ≤ 1e-9\n" + "x\n(1.1) holds",
            "(1.1) holds, 3 times\n(1.2) error at most 0 ≤ 1e-9, 3 times\nx\n(1.1) holds",
        ),
        ("(1.1) holds\n(1.2) holds\n(1.1) holds\n(1.2) holds", None),
    ],
)
def test_a_check_that_says_the_same_is_shown_once(printed, shown):
    assert book.in_one_line(printed) == (printed if shown is None else shown)


def test_comments_stand_above_lines_that_are_too_long():
    code = "with a:\n    b()    # why\nc = '#'"
    assert book.comments_above(code) == "with a:\n    # why\n    b()\nc = '#'"


def test_cells_that_speak_to_nbdev_alone_disappear():
    cells = book.translate(
        notebook("#| default_exp svd", "#| hide\nimport nbdev; nbdev.nbdev_export()"), "x"
    ).cells
    assert cells == []


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (
            "**Theorem 1.1 (A, or (B)).** Text.",
            "::::::{admonition} Theorem 1.1 (A, or (B))\n:class: theorem\n:name: thm-1.1\n\nText.",
        ),
        ("**Proof.** Text. ∎", "::::::{admonition} Proof\n:class: proof\n\nText. ∎"),
        ("**Theorem of the day.** Text.", "**Theorem of the day.** Text."),
        (
            "as [Golub et al. 1979](references.bib#golub1979) do",
            "as {cite:t}`golub1979` do",
        ),
        ("[Figure](03_x.ipynb#fig-y) shows", "{numref}`fig-y` shows"),
        ("[x](02_y.ipynb#eq-2.1)", "[x](02_y.ipynb#eq-2.1)"),
    ],
)
def test_markdown_is_translated(source, wanted):
    assert book.translate_markdown(source, "01_x").startswith(wanted)


def test_links_out_of_the_book_lead_to_the_code_host():
    assert "/blob/main/CONTRIBUTING.md)" in book.translate_markdown(
        "[c](../CONTRIBUTING.md)", "01_x"
    )
    assert book.translate_markdown("[c](../01_x.ipynb)", "cases/a") == "[c](../01_x.ipynb)"
    assert "/blob/main/LICENSE)" in book.translate_markdown("[c](../../LICENSE)", "cases/a")
    cited = (
        "[Stamey et al. 1989](../references.bib#stamey1989), [Figure](../03_x.ipynb#fig-y)"
    )
    assert (
        book.translate_markdown(cited, "cases/a") == "{cite:t}`stamey1989`, {numref}`fig-y`"
    )
    line = book.translate(notebook("# Title"), "cases/a").cells[0].source
    assert "<a.ipynb>`" in line  # beside the page, in its folder
    assert readme.relink(
        "[a](01_x.ipynb#eq-1.2) [b](../LICENSE) [c](https://x.org/a#b) [d](#e)"
    ) == ("[a](nbs/01_x.ipynb) [b](LICENSE) [c](https://x.org/a#b) [d](#e)")
