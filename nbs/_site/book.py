"""The Sphinx extension of this book: what its notebooks mean on the site, and which cells check what.

The chapters are nbdev notebooks that read well raw, in JupyterLab and on a code host. MyST-NB executes,
caches and renders them; this file only tells it what the conventions of the book mean:

1. **Reading** (`translate`). As Sphinx reads a notebook, nbdev's `#|` directives become MyST-NB's cell tags,
   an exported cell gets the API entries of its definitions, a theorem cell becomes an admonition, and so on.
   The files are not touched: what is translated is the text on its way from the file to MyST-NB.
2. **Formulas** (`Formulas`). `\\tag{1.2}` makes the anchor `eq-1.2`.
3. **Coverage** (`Checks`). Which numbered statement is checked by which executed cell, and how well. A
   failing cell and a statement without a check are warnings, and `make docs` turns warnings into errors.

CONTRIBUTING.md describes the conventions. `tests/test_book.py` reads the notebooks with the functions of the
first two sections, which know nothing of Sphinx.
"""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
import shutil
import textwrap
import unicodedata
import zlib
from collections import defaultdict
from configparser import ConfigParser
from functools import cache
from importlib import import_module
from itertools import groupby
from pathlib import Path

import formulas
import nbformat
from docutils import nodes
from docutils.utils import new_document
from jupyter_cache import get_cache
from myst_parser.mocking import MockRSTParser
from sphinx.environment.collectors import EnvironmentCollector
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

HERE = Path(__file__).resolve().parent
NBS = HERE.parent
ROOT = NBS.parent

settings = ConfigParser(delimiters=["="])
settings.read(ROOT / "settings.ini", encoding="utf-8")
settings = settings["DEFAULT"]
LIB = settings["lib_name"]
SKIP_FLAGS = set(settings["tst_flags"].split())

# ------------------------------------------------------------------------------------------------------------
# What a notebook says
# ------------------------------------------------------------------------------------------------------------

KINDS = {
    "Theorem": "thm",
    "Proposition": "prop",
    "Lemma": "lem",
    "Corollary": "cor",
    "Definition": "def",
    "Exercise": "ex",
}

BLOCK = (
    re.compile(  # a Markdown cell that opens with **Theorem 1.1 (Title).** or **Proof.**
        rf"\*\*(?P<heading>(?P<kind>{'|'.join(KINDS)}) (?P<number>\w+\.\d+)(?: \(.+?\))?"
        r"|Proof(?: of [^*]+?)?)\.\*\*\s*"
    )
)
SOLUTION = "**Solution.**"  # opens the cell below which an exercise is solved
TAG = re.compile(r"\\tag\{(?P<number>[^}]+)\}")
CITATION = re.compile(r"\[[^\]]*\]\([\w./]*references\.bib#(?P<key>[\w:-]+)\)")
FIGURE = re.compile(r"\[Figure\]\([\w./]*#(?P<name>fig-[\w-]+)\)")
PRINTED = re.compile(
    r"(?P<label>.+?) (?:holds|error (?P<error>\S+) ≤ (?P<tol>\S+))"
)  # see olsattention.checks
ERRATA_HEADING = re.compile(r"(?m)^### (?P<row>[SF]\d+)\. ")
ERRATA_ROW = re.compile(r"(?<![\w.-])(S[1-7]|F1\d|F20|F[1-9])(?![\w])")
NOT_PROSE = re.compile(
    r"(```.*?```|\$\$.*?\$\$|\$[^$\n]*(?:\n[^$\n]+)*?\$|`[^`\n]*`|\[[^\]]*\]\([^)]*\)|\]\([^)]*\)|<[^>]*>)",
    re.S,
)
ERRATUM = re.compile(r"(?P<source>[A-Z])(?P<row>\d+)")


def book_notebooks():
    """List the notebooks of the book, chapters first."""
    paths = (path.relative_to(NBS) for path in NBS.rglob("*.ipynb"))
    paths = (
        path
        for path in paths
        if not any(part.startswith(("_", ".")) for part in path.parts)
    )
    return [NBS / path for path in sorted(paths, key=place_in_book)]


def place_in_book(path):
    """Give the key that sorts pages: chapters by their numbers, whatever their folder, then all others."""
    name = Path(path).name
    # "06c" stands before "06c2", though "06c_" does not
    return (
        (False, *name.split("_", 1)) if name[0].isdigit() else (True, Path(path).as_posix())
    )


def chapters_of(part):
    """List the notebooks of a part, in order."""
    return [path for path in book_notebooks() if path.parent == NBS / part]


PARTS = list(  # the folders that hold chapters, in the order of the book
    dict.fromkeys(
        path.parent.name
        for path in book_notebooks()
        if path.name[0].isdigit() and path.parent != NBS
    )
)


def split_directives(source):
    """Split a code cell into its leading `#| name: value` lines, as a dict, and the code below them.

    `#| export`, `#| default_exp ridge` and `#| fig-cap: text` are all understood. A line with two or more
    blanks after `#|` continues the value of the line above: a long caption need not be one long line.
    """
    directives, lines, name = {}, source.splitlines(), None
    while lines and (match := re.match(r"#\s*\|(\s*)(.*)", lines[0])):
        blanks, text = match.groups()
        if len(blanks) > 1 and name:
            directives[name] = f"{directives[name]} {text.strip()}".strip()
        else:
            name, _, value = text.strip().partition(" ")
            name = name.rstrip(":")
            directives[name] = value.strip()
        lines.pop(0)
    return directives, "\n".join(lines).strip("\n")


def code_cells(notebook):
    """Yield `(directives, code)` of every code cell."""
    return (
        split_directives(cell.source) for cell in notebook.cells if cell.cell_type == "code"
    )


def is_skipped(directives):
    """Tell whether a cell with these directives is not executed (`eval: false`, or a flag such as `slow`)."""
    return directives.get("eval", "").lower() == "false" or bool(
        SKIP_FLAGS & directives.keys()
    )


def default_module(notebook):
    """Name the module that a notebook exports, or None."""
    return next(
        (d["default_exp"] for d, _ in code_cells(notebook) if "default_exp" in d), None
    )


def exported_names(notebook):
    """Yield `(module, definition)` for every public function and class that a notebook exports."""
    default = default_module(notebook)
    for directives, code in code_cells(notebook):
        yield from exported_from(directives, code, default)


def exported_from(directives, code, default):
    """Yield `(module, definition)` for every public function, class and method of one cell: a name, a syntax tree."""
    if "export" in directives:
        for definition in ast.parse(code).body:
            public = isinstance(definition, ast.FunctionDef | ast.ClassDef)
            if (
                public
                and not definition.name.startswith("_")
                and not is_overload(definition)
            ):
                yield directives["export"] or default, definition


def is_overload(node):
    """Tell whether a statement only says one of the types of a function: `@overload` stands before it."""
    return isinstance(node, ast.FunctionDef) and any(
        getattr(decorator, "id", None) == "overload" for decorator in node.decorator_list
    )


def class_of(definition):
    """Name the class that a definition is a method of: that of its first argument, if `@patch` stands before it."""
    decorators = (
        d.func if isinstance(d, ast.Call) else d for d in definition.decorator_list
    )
    if any(getattr(decorator, "id", None) == "patch" for decorator in decorators):
        return definition.args.args[0].annotation.id
    return None


def full_name(definition):
    """Give a definition's name, that of a method with its class."""
    owner = class_of(definition)
    return f"{owner}.{definition.name}" if owner else definition.name


def dotted_name(module, name):
    """Give the name a reader imports: `package.name` where the package offers it, else with its part, or module."""
    if name in import_module(LIB).__all__:
        return f"{LIB}.{name}"
    part = module.rpartition(".")[0]
    return f"{LIB}.{part or module}.{name}"


def numbered_statements(notebook):
    """List the numbered equations and theorems of a notebook, in order, as `(label, anchor)`.

    An equation's label is its number alone, `"1.2"`; a theorem's is `"Theorem 1.1"`.
    """
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if (block := BLOCK.match(cell.source)) and block["kind"]:
                kind, number = block["kind"], block["number"]
                found.append((f"{kind} {number}", f"{KINDS[kind]}-{number}"))
            found += [
                (tag["number"], f"eq-{tag['number']}") for tag in TAG.finditer(cell.source)
            ]
    return found


def needs_check(label):
    """Tell whether a numbered statement must have a check: all but definitions, which assert nothing."""
    return not label.startswith("Definition")


def exercises(notebook):
    """Map the number of each exercise to the cells of its solution.

    A solution begins with `**Solution.**` and ends where the next exercise, a heading or the notebook does.
    """
    found, number, solving = {}, None, False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            block = BLOCK.match(cell.source)
            if block and block["kind"] == "Exercise":
                number, solving = block["number"], False
                found[number] = []
            elif cell.source.startswith("#"):
                number, solving = None, False
            elif number and cell.source.startswith(SOLUTION):
                solving = True
        if solving and "nbdev_export(" not in cell.source:
            found[number].append(cell)
    return found


def checked_labels(notebook):
    """Give the set of labels of all `check("label", ...)` calls in cells that are executed and shown."""
    labels = set()
    for directives, code in code_cells(notebook):
        if "check(" in code and "hide" not in directives and not is_skipped(directives):
            python = re.sub(
                r"(?m)^(\s*)([%!].*)$", r"\1pass", code
            )  # magics are not Python
            calls = (
                node for node in ast.walk(ast.parse(python)) if isinstance(node, ast.Call)
            )
            calls = (
                call
                for call in calls
                if getattr(call.func, "id", None) == "check" and call.args
            )
            labels |= {
                call.args[0].value
                for call in calls
                if isinstance(call.args[0], ast.Constant)
            }
    return labels


def unchecked_statements(notebook):
    """List the labels of the numbered statements that no executed cell of the notebook checks."""
    checked = checked_labels(notebook)
    labels = [label for label, _ in numbered_statements(notebook)]
    return [label for label in labels if needs_check(label) and label not in checked]


# ------------------------------------------------------------------------------------------------------------
# Reading: from the conventions of nbdev and of this book to those of MyST-NB
# ------------------------------------------------------------------------------------------------------------

CONTENTS = {
    "The book": ["choose", "00*", *(f"{part}/index" for part in PARTS), "1*"],
    "Case studies": ["cases/*"],
    "Reference": [
        "glossary",
        "errata",
        "related",
        "api",
        "checks",
        "benchmarks",
        "references",
        "cite",
    ],
}
COVERAGE = """
## Every numbered statement

```{coverage} statements
```

## Every erratum

```{coverage} errata
```
"""
MAP = (
    "## The map\n"  # the heading of the front page below which the map of the book is drawn
)


def translate(notebook, docname):
    """Translate a notebook; `docname` is its path below nbs/ without the suffix."""
    import order  # it needs the first section of this file

    module, cells = default_module(notebook), []
    line, methods = notebook_line(notebook, docname), methods_of(notebook)
    folds = {id(cell) for solved in exercises(notebook).values() for cell in solved}
    folded = False
    for cell in notebook.cells:
        if folded != (id(cell) in folds):
            folded = not folded
            cells.append(fold_edge(folded))
        if cell.cell_type == "markdown":
            cell.source = translate_markdown(cell.source, docname)
            if docname == "index":
                cell.source = cell.source.replace(MAP, f"{MAP}\n```{{book-map}}\n```\n")
        elif cell.cell_type == "code":
            directives, code = split_directives(cell.source)
            if not code or "nbdev_export(" in code:  # a cell that only speaks to nbdev
                continue
            entries = [
                api_entry(*names, methods)
                for names in exported_from(directives, code, module)
            ]
            if entries:
                cells.append(nbformat.v4.new_markdown_cell("\n".join(entries)))
            translate_code(cell, directives, code)
        cells.append(cell)
    if folded:
        cells.append(fold_edge(False))
    if cells and cells[0].cell_type == "markdown":
        title, _, text = cells[0].source.partition("\n")
        way = order.way_line(docname, notebook)
        cells[0].source = f"{title}\n\n{line}\n\n{way}\n\n{text}"
    added = {"index": contents(), "checks": COVERAGE}  # what only the site can show
    if docname in added:
        cells.append(nbformat.v4.new_markdown_cell(added[docname]))
    notebook.cells = cells
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    return notebook


def fold_edge(opens):
    """Write the edge of a solution, which the site shows folded."""
    html = "<details class=solution><summary>Solution</summary>" if opens else "</details>"
    return nbformat.v4.new_markdown_cell(f"```{{raw}} html\n{html}\n```")


def translate_code(cell, directives, code):
    """Turn the directives of a code cell into the tags and options of MyST-NB; drop stored outputs."""
    tags = {
        "remove-cell": "hide" in directives,
        "hide-input": bool({"export", "exporti"} & directives.keys())
        or directives.get("code-fold") == "true",
        "remove-input": directives.get("echo") == "false",
        "skip-execution": is_skipped(directives),
    }
    cell.source, cell.outputs, cell.execution_count = code, [], None
    cell.metadata["tags"] = [tag for tag, is_set in tags.items() if is_set]
    caption = directives.get("fig-cap", "").strip("\"'")
    alt = directives.get("fig-alt", caption).strip("\"'")
    options = {"image": {"alt": alt}} if alt else {}
    if "label" in directives:
        options["figure"] = {"name": directives["label"], "caption": caption}
    if tags["hide-input"]:
        exported = bool({"export", "exporti"} & directives.keys())
        label = fold_label(code) if exported else fold_label(code, imports="Imports")
        options["code_prompt_show"] = options["code_prompt_hide"] = label
    if options:
        cell.metadata["mystnb"] = options


def fold_label(code, most=4, imports="Imports of the module"):
    """Say in a line what a folded cell holds: the names that it defines, or its imports."""
    names = []
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if not is_overload(node):
                names.append(full_name(node))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    if not names:
        return imports if only_imports(code) else "Code"
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return "Code of " + " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def only_imports(code):
    """Tell whether a cell does nothing but import."""
    return all(isinstance(n, ast.Import | ast.ImportFrom) for n in ast.parse(code).body)


def translate_markdown(source, docname):
    """Turn citations into roles, `[Figure](#fig-x)` into a numbered reference, theorems into admonitions.

    A link to a file of the repository that is not part of the book leads to the code host.
    """
    outside = "../" * (docname.count("/") + 1)
    source = source.replace(
        f"]({outside}", f"]({settings['git_url']}/blob/{settings['branch']}/"
    )
    source = CITATION.sub(r"{cite:t}`\g<key>`", source)
    source = FIGURE.sub(r"{numref}`\g<name>`", source)
    source = anchor_rows(source) if docname == "errata" else link_rows(source, docname)
    if block := BLOCK.match(source):
        kind, number, body = block["kind"], block["number"], source[block.end() :]
        if kind:
            import order  # it needs the first section of this file

            body = f"{body.rstrip()}\n\n{order.used_in(source, docname)}"
        look = "exercise" if kind == "Exercise" else "theorem"
        options = (
            f":class: {look}\n:name: {KINDS[kind]}-{number}\n"
            if kind
            else ":class: proof\n"
        )
        # Six colons, so that the text may itself contain a fenced block.
        source = f"::::::{{admonition}} {block['heading']}\n{options}\n{body}\n::::::"
    return source.removeprefix(SOLUTION).lstrip() or "Checked below."


def anchor_rows(source):
    """Give each row of the errata an anchor: `row-f9`."""
    return ERRATA_HEADING.sub(
        lambda found: f"(row-{found['row'].lower()})=\n{found[0]}", source
    )


def link_rows(source, docname):
    """Link every mention of a row of the errata to it, outside of code, formulas and links."""
    up = "../" * docname.count("/")
    pieces = NOT_PROSE.split(source)
    for i in range(0, len(pieces), 2):  # what stands between the matches
        pieces[i] = ERRATA_ROW.sub(
            lambda row: f"[{row[0]}]({up}errata.ipynb#row-{row[0].lower()})", pieces[i]
        )
    return "".join(pieces)


def methods_of(notebook):
    """Map the classes of a notebook to the public methods that join them in later cells, by `@patch`."""
    found = defaultdict(list)
    for _, definition in exported_names(notebook):
        if owner := class_of(definition):
            found[owner].append(definition)
    return found


def api_entry(module, definition, methods):
    """Write the autodoc entry of an exported function, class or method.

    A class whose methods stand in cells of their own has a table of them, which leads to their entries.
    """
    owner = class_of(definition)
    name = dotted_name(module, owner or definition.name)
    if owner:
        kind = "autoproperty" if is_property(definition) else "automethod"
        return eval_rst(f".. {kind}:: {name}.{definition.name}")
    if not isinstance(definition, ast.ClassDef):
        return eval_rst(f".. autofunction:: {name}")
    if not methods[definition.name]:
        return eval_rst(f".. autoclass:: {name}\n   :members:")
    own = [f.name for f in definition.body if isinstance(f, ast.FunctionDef)]
    own = ", ".join(method for method in own if not method.startswith("_"))
    members = f"\n   :members: {own}" if own else ""
    table = "\n".join(f"   ~{name}.{method.name}" for method in methods[definition.name])
    return eval_rst(
        f".. autoclass:: {name}{members}\n\n.. rubric:: Methods\n\n.. autosummary::\n   :nosignatures:\n\n{table}"
    )


def is_property(definition):
    """Tell whether a method joins its class as a property."""
    calls = (d for d in definition.decorator_list if isinstance(d, ast.Call))
    return any(k.arg == "as_prop" for call in calls for k in call.keywords)


def eval_rst(text):
    """Put reStructuredText into Markdown; see `Entry`."""
    return f"```{{entry}}\n{text}\n```"


def notebook_line(notebook, docname):
    """Write the small line below a page's title: where to get the notebook, and the source of its module."""
    line = f"{{.notebook-line}}\n{{download}}`Download this notebook <{docname.rpartition('/')[2]}.ipynb>`"
    module = next(exported_names(notebook), (None,))[0]
    if module:
        up = "../" * docname.count("/")
        path = f"{up}_modules/{LIB}/{module.replace('.', '/')}.html"
        line += f' · exports <a href="{path}"><code>{LIB}.{module}</code></a>'
    return line


def contents():
    """Write the table of contents, with those pages of it that exist."""
    found = {
        caption: [pattern for pattern in patterns if any(NBS.glob(pattern + ".*"))]
        for caption, patterns in CONTENTS.items()
    }
    return "".join(toctree(pages, caption) for caption, pages in found.items() if pages)


def toctree(pages, caption=""):
    """Write a table of contents that only the sidebar shows."""
    caption = f":caption: {caption}\n" if caption else ""
    return "\n".join(["```{toctree}\n:hidden:\n:glob:", caption, *pages, "```\n"])


# ------------------------------------------------------------------------------------------------------------
# In Sphinx: reading, and formulas
# ------------------------------------------------------------------------------------------------------------

logger = logging.getLogger(__name__)


def prepare_execution(app):
    """Keep what MyST-NB extracts in `_build/`, and make its cache before several processes race to do so."""
    shutil.rmtree(
        Path(app.outdir, "reports"), ignore_errors=True
    )  # of cells that failed in an earlier build
    app.env.mystnb_config = app.env.mystnb_config.copy(
        output_folder=str(ROOT / "_build" / "executed")
    )
    get_cache(app.env.mystnb_config.execution_cache_path).list_cache_records()


def import_all(app, env, added, changed, removed):
    """Import the package before Sphinx forks readers, which would each import it again; if there is something to read."""
    if added or changed:
        library = import_module(LIB)
        for module in pkgutil.walk_packages(library.__path__, f"{LIB}."):
            import_module(module.name)
    return []


def reread_changed_ways(app, env, added, changed, removed):
    """Read all chapters anew when the order of reading changed: each names what it needs and leads to."""
    import order  # it needs the first section of this file

    before, env.book_ways = getattr(env, "book_ways", None), order.fingerprint()
    return (
        [] if before == env.book_ways else [d for d in env.found_docs if d not in removed]
    )


def remove_old_pages(app, env, added, changed, removed):
    """Remove the pages of notebooks that are no more, which Sphinx would leave on the site."""
    for docname in removed:
        Path(app.outdir, f"{docname}.html").unlink(missing_ok=True)
    return []


def read_source(app, docname, content):
    """Translate a notebook as Sphinx reads it."""
    if app.env.doc2path(docname).suffix == ".ipynb":
        print(f"  nbs/{docname}.ipynb", flush=True)  # progress, even when Sphinx is quiet
        notebook = translate(nbformat.reads(content[0], as_version=4), docname)
        content[0] = nbformat.writes(notebook)
    elif docname in (f"{part}/index" for part in PARTS):
        part = docname.partition("/")[0]
        # each by its name: sorted by Sphinx, 6c2 would stand before 6c
        content[0] += "\n" + toctree([path.stem for path in chapters_of(part)])
    elif docname == "cite":
        known = {
            "version": settings["version"],
            "year": settings["copyright"][:4],
            "url": settings["git_url"],
            "branch": settings["branch"],
        }
        content[0] = re.sub(r"@(\w+)@", lambda name: known[name[1]], content[0])


class Formulas(SphinxTransform):
    """Show every display formula exactly as JupyterLab does, and make `\\tag{1.2}` the anchor `eq-1.2`.

    Left to itself, Sphinx wraps a formula that contains a line break in `split`, where a tag is not allowed.
    """

    default_priority = 400

    def apply(self, **kwargs):
        for formula in list(self.document.findall(nodes.math_block)):
            text = formula.astext()
            formula["names"] += [f"eq-{tag['number']}" for tag in TAG.finditer(text)]
            if formula["names"]:
                self.document.note_explicit_target(formula, formula)
            formula["nowrap"] = formula["no-wrap"] = True
            formula[:] = [nodes.Text(rf"\[{formulas.TAG.sub('', text)}\]")]
            box = formulas.opening(text), formulas.closing(text, formula["ids"])
            around = [nodes.raw("", html, format="html") for html in box]
            at = formula.parent.index(formula)
            formula.parent[at : at + 1] = [around[0], formula, around[1]]


class Listings(SphinxTransform):
    """Wrap the docstrings of the code that is shown, and put the comments behind lines that are shown to be typed above them.

    Only what is shown changes: the notebook keeps its lines, and what is executed are those.
    """

    default_priority = 900

    def apply(self, **kwargs):
        for block in self.document.findall(nodes.literal_block):
            language, text = block.get("language", ""), block.astext()
            executed = isinstance(block.parent, nodes.container)
            if executed and "cell_input" in block.parent["classes"]:
                shown_text = wrap_prose(text)
            elif language in ("bash", "console", "sh", "shell") or (
                language == "python" and max(map(len, text.splitlines())) > WIDTH
            ):
                shown_text = comments_above(text)
            else:
                continue
            if shown_text != text:
                block.rawsource, block[:] = shown_text, [nodes.Text(shown_text)]


WIDTH = 88  # characters of a line of code or of a docstring


def comments_above(text):
    """Move the comments that stand behind commands to lines of their own above them, indented as these."""
    lines = []
    for line in text.splitlines():
        command, blanks, comment = re.match(r"(.*?\S)(\s{2,})(#.*)$|", line).groups()
        indent = line[: len(line) - len(line.lstrip())]
        lines += [indent + comment, command] if comment else [line]
    return "\n".join(lines)


def wrap_prose(text, width=WIDTH):
    """Wrap the long lines of docstrings and comments in Python code."""
    lines, inside = [], False
    for line in text.splitlines():
        quotes = line.count('"""')
        prose = inside or quotes or line.lstrip().startswith("#")
        inside ^= quotes % 2 == 1
        indent = line[: len(line) - len(line.lstrip())]
        mark = "# " if line.lstrip().startswith("# ") and not inside else ""
        if prose and len(line) > width:
            options = {"break_long_words": False, "break_on_hyphens": False}
            lines += textwrap.wrap(
                line,
                width,
                subsequent_indent=indent + mark,
                drop_whitespace=True,
                **options,
            )
        else:
            lines.append(line)
    return "\n".join(lines)


class Repeated(SphinxPostTransform):
    """Show what one check says again and again, as in a loop, in one line: how often, and the largest error.

    The notebook keeps every line, and the account of the checks has read them before.
    """

    default_priority = 5

    def run(self, **kwargs):
        for cell in self.document.findall(is_code_cell):
            for block in list(cell.findall(nodes.literal_block)):
                text = block.astext()
                shown_text = in_one_line(text)
                if shown_text != text:
                    block.rawsource, block[:] = shown_text, [nodes.Text(shown_text)]


def in_one_line(text, most=2):
    """Join what one check says in neighbouring lines, or in turn with others, if these are more than `most`."""
    lines = []
    for is_check, run in groupby(text.splitlines(), key=lambda line: any(said_of(line))):
        run = list(run)
        lines += gathered(run, most) if is_check else run
    return "\n".join(lines)


def gathered(run, most):
    """Give the lines of a run of checks by label and tolerance, in the order in which these come first."""
    groups = {}
    for line in run:
        groups.setdefault(said_of(line), []).append(line)
    if all(len(group) <= most for group in groups.values()):
        return run
    lines = []
    for (label, tol), group in groups.items():
        if len(group) > most:
            errors = [PRINTED.fullmatch(line)["error"] for line in group]
            worst = f"error at most {max(errors, key=float)} ≤ {tol}" if tol else "holds"
            group = [f"{label} {worst}, {len(group)} times"]
        lines += group
    return lines


def said_of(line):
    """Give the label and the tolerance of a line that a check printed; of another line two Nones."""
    line = PRINTED.fullmatch(line)
    return (line["label"], line["tol"]) if line else (None, None)


# ------------------------------------------------------------------------------------------------------------
# In Sphinx: which cell checks what
# ------------------------------------------------------------------------------------------------------------


class Checks(EnvironmentCollector):
    """Collect from the executed notebooks which numbered statement is checked where, and how well.

    `book_statements` and `book_checks` map a page to its rows. Sphinx's collector protocol keeps them right
    when a page changes, disappears, or was read by another process.
    """

    def process_doc(self, app, doctree):
        env, docname = app.env, app.env.docname
        if env.doc2path(docname).suffix != ".ipynb":
            return
        notebook = nbformat.read(env.doc2path(docname), as_version=4)
        if traceback := env.nb_metadata[docname].get("exec_data", {}).get("traceback"):
            report_failure(notebook, traceback, docname)
            return
        rows(env, "book_statements")[docname] = numbered_statements(notebook)
        rows(env, "book_checks")[docname] = [
            {"label": label, "error": error, "tol": tol, **place_of(cell)}
            for cell in doctree.findall(is_code_cell)
            for label, error, tol in printed_checks(cell)
        ]

    def clear_doc(self, app, env, docname):
        for name in ("book_statements", "book_checks"):
            rows(env, name).pop(docname, None)

    def merge_other(self, app, env, docnames, other):
        for name in ("book_statements", "book_checks"):
            rows(env, name).update(
                {
                    doc: rows(other, name)[doc]
                    for doc in docnames
                    if doc in rows(other, name)
                }
            )


def rows(env, name):
    """Give the dict `env.name`, made when missing."""
    return vars(env).setdefault(name, {})


def is_code_cell(node):
    """Tell whether a node is the container in which MyST-NB puts a code cell."""
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def printed_checks(cell):
    """List what the `check` calls of a cell printed, as `(label, error, tol)`; a plain truth has no error."""
    if not cell.children:  # it shows neither code nor output
        return []
    lines = "\n".join(
        node.astext() for node in cell[-1].findall(nodes.literal_block)
    ).splitlines()
    found = filter(None, map(PRINTED.fullmatch, lines))
    return [(line["label"].strip("()"), line["error"], line["tol"]) for line in found]


def place_of(cell):
    """Give a cell an anchor, and name the section it stands in."""
    if not cell["ids"]:
        cell["ids"].append(f"cell-{cell['cell_index']}")
    section = cell.parent
    while not isinstance(section, nodes.section):
        section = section.parent
    return {"anchor": cell["ids"][0], "section": plain(section[0])}


def plain(title):
    """Give a title as plain text, a Greek letter for its name in TeX."""

    def letter(name):
        try:
            return unicodedata.lookup(f"GREEK SMALL LETTER {name[1].upper()}")
        except KeyError:
            return name[1]

    text = title.deepcopy()
    for formula in list(text.findall(nodes.math)):
        formula.replace_self(nodes.Text(re.sub(r"\\([a-z]+)", letter, formula.astext())))
    return text.astext()


def report_failure(notebook, traceback, docname):
    """Report a failing cell to Sphinx."""
    logger.error("%s", failure(notebook, traceback, docname), type="book", subtype="cell")


def failure(notebook, traceback, docname):
    """Say which cell fails in a few lines to act on: the notebook, the cell, and the end of the error."""
    traceback = re.sub(r"\x1b\[[\d;]*m", "", traceback)  # colours
    sources = [split_directives(cell.source)[1] for cell in notebook.cells]
    failing = [
        i
        for i, source in enumerate(sources)
        if source and f"---\n{source}\n---" in traceback
    ]
    where, source = (
        (f": cell {failing[0] + 1} of {len(sources)}", sources[failing[0]])
        if failing
        else ("", "")
    )
    cell, end = source.splitlines()[:25], traceback.rstrip().splitlines()[-10:]
    return f"a cell of nbs/{docname}.ipynb fails{where}\n\n{quoted(cell)}\n\n  with\n\n{quoted(end)}\n"


def quoted(lines):
    """Set lines off from the message around them."""
    return "\n".join(f"    | {line}" for line in lines)


def warn_about_coverage(app, env):
    """Warn about every numbered statement that no executed cell checks."""
    for docname, statements in rows(env, "book_statements").items():
        checked = {check["label"] for check in rows(env, "book_checks")[docname]}
        for label, _ in statements:
            if needs_check(label) and label not in checked:
                message = "%s has no executed check(%r, ...)"
                logger.warning(
                    message,
                    shown(label),
                    label,
                    location=docname,
                    type="book",
                    subtype="coverage",
                )


def shown(label):
    """Show an equation's label as `(1.2)`, any other as it is."""
    return label if " " in label or ERRATUM.fullmatch(label) else f"({label})"


class coverage(nodes.General, nodes.Element):
    """Stands where a coverage table will be, until every page has been read."""


class Coverage(SphinxDirective):
    """`{coverage} statements` or `{coverage} errata`: a table of these and of their checks."""

    required_arguments = 1

    def run(self):
        return [coverage(what=self.arguments[0])]


def pages_to_rewrite(app, env):
    """Write the page with the coverage tables anew whenever anything changed."""
    return ["checks"] if "checks" in env.found_docs else []


def resolve_coverage(app, doctree, docname):
    """Put the tables in the place of their stand-ins."""
    for stand_in in list(doctree.findall(coverage)):
        what = stand_in["what"]
        table = list(
            coverage_of_statements(app.env)
            if what == "statements"
            else coverage_of_errata(app.env)
        )
        count = sum(len(checks) for *_, checks in table)
        summary = f"{len(table)} {what}, {count} checks, as executed for this site."
        stand_in.replace_self(
            [nodes.paragraph(text=summary), coverage_table(app, docname, table)]
        )


def coverage_of_statements(env):
    """Yield `(label, page, anchor, checks)` for every numbered statement, in the order of the book."""
    found = rows(env, "book_statements")
    for docname, statements in (
        (page, found[page]) for page in sorted(found, key=place_in_book)
    ):
        for label, anchor in statements:
            if needs_check(label):
                checks = [
                    check
                    for check in rows(env, "book_checks")[docname]
                    if check["label"] == label
                ]
                yield label, docname, nodes.make_id(anchor), checks


def coverage_of_errata(env):
    """Yield `(label, page, anchor, checks)` for every row of the errata and every page that checks it."""
    found = defaultdict(list)
    for docname, checks in rows(env, "book_checks").items():
        for check in checks:
            if row := ERRATUM.fullmatch(check["label"]):
                # in the order of the page: the note first, its rows by number, chapters before the page itself
                place = row["source"] != "S", int(row["row"]), place_in_book(docname)
                found[*place, docname].append(check)
    for (*_, docname), checks in sorted(found.items(), key=lambda item: item[0]):
        yield checks[0]["label"], docname, checks[0]["anchor"], checks


def coverage_table(app, here, table):
    """Draw the table: statement, chapter, the cells that check it, the largest error and its tolerance."""

    def link(page, anchor, text):
        return make_refnode(app.builder, here, page, anchor, nodes.Text(text))

    def row(*cells):
        return nodes.row(
            "", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells)
        )

    body = nodes.tbody()
    for label, page, anchor, checks in table:
        where, sections = [], {}
        for check in checks:
            sections.setdefault(check["section"], check["anchor"])
        for section, anchor_of_cell in sections.items():
            where += [nodes.Text(", ")] * bool(where) + [
                link(page, anchor_of_cell, section)
            ]
        measured = [check for check in checks if check["error"]]
        worst = max(measured, key=lambda check: float(check["error"]), default=None)
        seen = (
            f"{worst['error']} ≤ {float(worst['tol']):.2g}"
            if worst
            else "holds"
            if checks
            else "not checked"
        )
        chapter = app.env.titles[page].astext()
        chapter = chapter.partition("." if chapter[0].isdigit() else ":")[0]
        body += row(
            [link(page, anchor, shown(label))],
            [link(page, "", chapter)],
            where,
            [nodes.Text(seen)],
        )
    heads = ("Statement", "Chapter", "Checked in", "Largest error seen")
    head = nodes.thead("", row(*([nodes.Text(text)] for text in heads)))
    columns = [nodes.colspec(colwidth=1) for _ in heads]
    return nodes.table(
        "", nodes.tgroup("", *columns, head, body, cols=len(heads)), classes=["coverage"]
    )


# ------------------------------------------------------------------------------------------------------------
# In Sphinx: the API
# ------------------------------------------------------------------------------------------------------------


class Entry(SphinxDirective):
    """`{entry}`: reStructuredText within Markdown, as autodoc speaks it.

    MyST's own `{eval-rst}` first reads a blank line for every line above it, to tell line numbers; as MyST-NB counts ten
    thousand lines a cell, that takes longer than all the rest of the site.
    """

    has_content = True

    def run(self):
        document = new_document(self.state.document["source"], self.state.document.settings)
        document.reporter = self.state.document.reporter
        MockRSTParser().parse("\n".join(self.content), document)
        for node in document:
            if node["names"]:
                self.state.document.note_explicit_target(node, node)
        return document.children


class ApiIndex(SphinxDirective):
    """`{api-index}`: every public name, by part and module and in the order of the book, with its one-line summary.

    Names are given as one writes them after `olsattention.`: what the package itself offers needs no more.
    """

    def run(self):
        text, listed = [eval_rst(f".. currentmodule:: {LIB}"), ""], set()
        for part, paths in notebooks_by_part().items():
            text += [f"## {title_of_part(part)}", ""]
            for path in paths:
                for module, names in names_by_module(path).items():
                    text += module_table(module, names, path)
                    listed |= {module, *names}
        library = import_module(LIB)
        public = [n for n in library.__all__ if not inspect.ismodule(getattr(library, n))]
        missing = {f"{LIB}.{name}" for name in public} - listed
        if missing:
            logger.warning(
                "public names without an entry in a chapter: %s",
                sorted(missing),
                type="book",
            )
        return self.parse_text_to_nodes("\n".join(text), allow_section_headings=True)


def notebooks_by_part():
    """Map each part to its notebooks; the ground comes first, the chapters that stand behind all parts last."""
    found = {part: [] for part in ("ground", *PARTS, "figures")}
    for path in book_notebooks():
        part = path.parent.name
        if path.parent == NBS:
            part = "figures" if path.name.startswith("1") else "ground"
        if part in found:
            found[part].append(path)
    return found


def title_of_part(part):
    """Give the title of a part as a link to its page, if it has one."""
    if part not in PARTS:
        return {"ground": "The ground", "figures": "Figures"}[part]
    title = (NBS / part / "index.md").read_text(encoding="utf-8").splitlines()[0]
    return f"[{title.lstrip('# ')}](/{part}/index.md)"


def names_by_module(path):
    """Map the modules that a notebook exports to the names of their functions and classes."""
    modules = defaultdict(list)
    for module, definition in exported_names(nbformat.read(path, as_version=4)):
        if not class_of(definition):
            name = dotted_name(module, definition.name)
            modules[f"{LIB}.{module}"].append(name)
    return modules


def module_table(module, names, path):
    """Write a line that leads to a chapter, and the table of the names that it exports."""
    short = [name.removeprefix(f"{LIB}.") for name in names]
    return [
        "{.module}",
        f"`{module}` · [](/{path.relative_to(NBS).as_posix()})",
        "",
        eval_rst("\n   ".join([".. autosummary::", ":nosignatures:", "", *short])),
        "",
    ]


class BookMap(SphinxDirective):
    """`{book-map}`: the map of the book, drawn from what the chapters import; see bookmap.py."""

    def run(self):
        import bookmap  # it needs the first section of this file

        for path in book_notebooks():
            self.env.note_dependency(str(path))

        def address(path):
            return self.env.app.builder.get_relative_uri(
                self.env.docname, path.rpartition(".")[0]
            )

        return [nodes.raw("", bookmap.figure(address), format="html")]


def skip_tuple_fields(app, what, name, member, skip, options):
    """Leave the fields of a named tuple to the table in its docstring."""
    return True if type(member).__name__ == "_tuplegetter" else None


def find_source(app, modname):
    """Tell viewcode where the methods stand that join their class by `@patch`."""
    return source_of(modname) if modname.startswith(f"{LIB}.") else None


@cache
def source_of(modname):
    """Give the code of a module and where its names stand, methods with their class, as viewcode wants them."""
    try:
        analyzer = ModuleAnalyzer.for_module(modname)
        analyzer.find_tags()
    except PycodeError:
        return None
    tags = dict(analyzer.tags)
    for definition in ast.parse(analyzer.code).body:
        if isinstance(definition, ast.FunctionDef) and class_of(definition):
            tags[full_name(definition)] = tags[definition.name]
    return analyzer.code, tags


def mend_back_links(app, pagename, templatename, context, doctree):
    """Lead `[docs]` on a source page to the entry: viewcode takes one prefix for all the entries of a module,
    but some have that of the package, some that of the part or module."""
    module = pagename.removeprefix("_modules/").replace("/", ".")
    if module.startswith(f"{LIB}."):
        objects = app.env.domains.python_domain.objects
        part = module.rpartition(".")[0]
        prefixes = [module, part, LIB]  # the shortest last, as the others begin with it

        def entry(link):
            names = (f"{prefix}.{link[1]}" for prefix in reversed(prefixes))
            return next(name for name in names if name in objects)

        context["body"] = re.sub(
            rf'(?<=#)(?:{"|".join(prefixes)})\.([\w.]+)(?=">\[docs\])',
            entry,
            context["body"],
        )


def mend_markup(app, pagename, templatename, context, doctree):
    """Say in the markup of a page what its look says, where Sphinx, pandas and the theme do not."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )
    if "body" in context:
        context["body"] = mended(context["body"])


def load_sliders(app, pagename, templatename, context, doctree):
    """Give a page with a figure that has a slider the scripts that draw it; no other page loads them."""
    if 'class="sliding"' in context.get("body", ""):
        for name in ("plot/d3.min.js", "plot/plot.umd.min.js", "live.js"):
            app.add_js_file(name, defer="defer")


def mended(body):
    """Mend a page: signatures are lines and no list, an empty corner of a table is no heading."""

    def lines(signature):
        for tag, name in (("dl", "sig-lines"), ("dd", "sig-line")):
            signature = signature.replace(f"<{tag}>", f'<span class="{name}">')
            signature = signature.replace(f"</{tag}>", "</span>")
        return signature

    body = re.sub(
        r'<dt class="sig .*?</dt>', lambda found: lines(found[0]), body, flags=re.S
    )
    body = body.replace('role="doc-biblioentry"', 'role="listitem"')  # deprecated
    return re.sub(r"<th[^>]*>\s*(<p>\s*</p>)?\s*</th>", "<td></td>", body)


def setup(app):
    """Register all this with Sphinx."""
    app.connect("builder-inited", prepare_execution, priority=900)  # after MyST-NB's own
    app.connect("env-get-outdated", remove_old_pages)
    app.connect("env-get-outdated", reread_changed_ways)
    app.connect("env-get-outdated", import_all)
    app.connect("source-read", read_source)
    app.add_transform(Formulas)
    app.add_transform(Listings)
    app.add_post_transform(Repeated)
    app.add_env_collector(Checks)
    app.connect("env-check-consistency", warn_about_coverage)
    app.connect("env-updated", pages_to_rewrite)
    app.add_node(coverage)
    app.add_directive("coverage", Coverage)
    app.connect("doctree-resolved", resolve_coverage)
    app.add_directive("entry", Entry)
    app.add_directive("api-index", ApiIndex)
    app.add_directive("book-map", BookMap)
    app.connect("autodoc-skip-member", skip_tuple_fields)
    app.connect("viewcode-find-source", find_source)
    app.connect("html-page-context", load_sliders)
    app.connect("html-page-context", mend_back_links)
    app.connect("html-page-context", mend_markup, priority=900)  # after the theme's own
    # Sphinx reads every page anew when one of these files changes
    version = zlib.crc32(b"".join(p.read_bytes() for p in sorted(HERE.glob("*.py"))))
    return {
        "version": "1",
        "env_version": version,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
