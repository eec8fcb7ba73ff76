"""The order of reading, computed: what a chapter needs, what it leads to, how long it takes, where a theorem is used,
and which chapter a word that one searches for belongs to.

Nothing here is typed in. A chapter needs those whose modules its own imports, and those that its text links to before
its first code; a theorem is used where it, or an equation within it, is linked to.
"""

import json
import re
from functools import cache
from pathlib import Path

import bookmap
import nbformat
from book import (
    BLOCK,
    KINDS,
    NBS,
    TAG,
    book_notebooks,
    class_of,
    code_cells,
    exercises,
    exported_names,
)
from nbformat import NotebookNode

WORDS_A_MINUTE, LINES_A_MINUTE, SECONDS_A_DISPLAY = 180, 12, 20
LINK = re.compile(
    r"\]\((?P<path>[\w./-]*?)#(?P<anchor>(?:eq|thm|prop|lem|cor|def|ex)-[\w.]+)\)"
)
TERM = re.compile(r"(?<!\*)\*\*([A-Za-z][\w' +-]{2,40}?)\*\*(?!\*)")


@cache
def read(path):
    """Read a notebook of the book; `path` is relative to nbs/."""
    return nbformat.read(NBS / path, as_version=4)


@cache
def neighbours():
    """Map each chapter's path to those that it needs and those that it leads to, as dicts of bookmap."""
    found = bookmap.chapters()
    by_path = {chapter["path"]: chapter for chapter in found}
    needs = bookmap.rests_on(found)
    for path in by_path:
        if not needs[path]:
            needs[path] = earlier_links(path, list(by_path))
    order = list(by_path)
    return {
        path: (
            [by_path[other] for other in sorted(needs[path], key=order.index)],
            [by_path[other] for other in order if path in needs[other]],
        )
        for path in order
    }


def earlier_links(path, order):
    """List the chapters before this one that its text links to."""
    text = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
    linked = re.findall(r"\]\(([\w./]+\.ipynb)", text)
    linked = {relative_to_book(path, link) for link in linked}
    return [other for other in order[: order.index(path)] if other in linked]


def relative_to_book(path, link):
    """Give the path below nbs/ of what a page at `path` links to."""
    target = ((NBS / path).parent / link).resolve() if link else NBS / path
    return target.relative_to(NBS).as_posix() if target.is_relative_to(NBS) else ""


def minutes(notebook):
    """Estimate the reading time: words, displays, and the lines of code that are not folded; in minutes, by fives.

    Solutions of exercises do not count.
    """
    solved = {id(cell) for cells in exercises(notebook).values() for cell in cells}
    counted = [cell for cell in notebook.cells if id(cell) not in solved]
    text = [cell.source for cell in counted if cell.cell_type == "markdown"]
    words = sum(len(re.sub(r"\$\$.*?\$\$", " ", t, flags=re.S).split()) for t in text)
    displays = sum(t.count("$$") // 2 for t in text)
    lines = sum(
        len(code.splitlines())
        for directives, code in code_cells(NotebookNode(cells=counted))
        if not {"export", "exporti", "hide"} & directives.keys()
        and directives.get("echo") != "false"
    )
    total = (
        words / WORDS_A_MINUTE + lines / LINES_A_MINUTE + displays * SECONDS_A_DISPLAY / 60
    )
    return max(5, 5 * round(total / 5))


def way_line(docname, notebook, most=5):
    """Write the line below a chapter's title: its time, what it needs, what it leads to."""
    path = f"{docname}.ipynb"
    if path not in neighbours():
        return ""
    up = "../" * docname.count("/")

    def links(chapters):
        shown = [
            f"[{chapter['number']} {chapter['title']}]({up}{chapter['path']})"
            for chapter in chapters[:most]
        ]
        more = len(chapters) - most
        return ", ".join(shown) + (f" and {more} more" if more > 0 else "")

    needs, leads = neighbours()[path]
    parts = [f"About {minutes(notebook)} minutes"]
    parts += [f"you need {links(needs)}"] if needs else []
    parts += [f"leads to {links(leads)}"] if leads else []
    return "{.way}\n" + " · ".join(parts)


@cache
def uses():
    """Map `(page, anchor)` to the pages of the book that link there, in order; pages are paths below nbs/."""
    found = {}
    for notebook in book_notebooks():
        path = notebook.relative_to(NBS).as_posix()
        for cell in read(path).cells:
            if cell.cell_type == "markdown":
                for link in LINK.finditer(cell.source):
                    target = relative_to_book(path, link["path"]), link["anchor"]
                    if target[0] != path:
                        found.setdefault(target, dict.fromkeys([]))[path] = None
    return {target: list(pages) for target, pages in found.items()}


def used_in(source, docname):
    """Write the line at the foot of a theorem: which other pages refer to it, or to an equation in it."""
    block, path = BLOCK.match(source), f"{docname}.ipynb"
    anchors = [f"{KINDS[block['kind']]}-{block['number']}"]
    anchors += [f"eq-{tag['number']}" for tag in TAG.finditer(source)]
    pages = dict.fromkeys(
        page for anchor in anchors for page in uses().get((path, anchor), ())
    )
    if not pages:
        return ""
    up = "../" * docname.count("/")
    links = (f"[{name_of(page)}]({up}{page})" for page in pages)
    return "{.used-in}\nUsed in " + ", ".join(links)


def name_of(page):
    """Name a page briefly: the number of a chapter, the title of another page up to its first colon."""
    title = read(page).cells[0].source.splitlines()[0].removeprefix("# ")
    number, dot, _ = title.partition(". ")
    return number if dot and Path(page).name[0].isdigit() else title.partition(":")[0]


def fingerprint():
    """Give a text that changes when a page's way or a theorem's uses do."""
    ways = {
        path: [[c["path"] for c in side] for side in sides]
        for path, sides in neighbours().items()
    }
    return json.dumps([ways, sorted(map(str, uses().items()))])


@cache
def terms():
    """Map what one may search for to the page where it belongs: public names, words of chapters' file names, terms set bold."""
    found = {}

    def claim(words, page):
        key = " ".join(re.findall(r"[a-z0-9]+", words.lower()))
        if len(key) > 2:
            found.setdefault(key, page)

    chapters = [
        p.relative_to(NBS).as_posix() for p in book_notebooks() if p.name[0].isdigit()
    ]
    chapters = [path for path in chapters if not path.startswith("14_")]
    for path in chapters:
        claim(re.sub(r"^\w+?_", "", Path(path).stem).replace("_", " "), path)
    for path in chapters:
        for _, definition in exported_names(read(path)):
            if not class_of(definition):
                spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", definition.name)
                claim(spaced.replace("_", " "), path)
    for path in chapters:
        solved = {id(c) for cells in exercises(read(path)).values() for c in cells}
        for cell in read(path).cells[1:]:
            if id(cell) in solved:
                continue
            if cell.cell_type == "markdown" and not BLOCK.match(cell.source):
                for term in TERM.findall(cell.source):
                    claim(term, path)
    return found


def write_scorer(path):
    """Write the script that makes the search put a word's own chapter first."""
    pages = {term: page.removesuffix(".ipynb") for term, page in terms().items()}
    script = (Path(__file__).parent / "scorer.js").read_text(encoding="utf-8")
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"const TERMS = {json.dumps(pages)};\n{script}", encoding="utf-8")
    return str(path)
