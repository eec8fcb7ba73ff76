"""The map of the book: which chapter rests on which, as a drawing whose boxes are links.

Nothing in it is drawn by hand. A chapter rests on another if its module imports the other's; the arrows that follow
from others are left out. The chapters of a reader are those of the table on the front page. `book.py` puts the map on
the site with the directive `{book-map}`; `python nbs/_site/bookmap.py` writes it as a page of its own, `_build/map.html`.
"""

import ast
import html
import re
from textwrap import wrap

import nbformat
from book import (
    LIB,
    NBS,
    PARTS,
    ROOT,
    book_notebooks,
    chapters_of,
    code_cells,
    default_module,
)

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]  # of the readers, as in the figures
WIDTH, HEIGHT, ACROSS, GAP, LABEL = (
    136,
    50,
    5,
    14,
    26,
)  # a box, boxes in a row, and what is between them
PROMISE = "What a chapter rests on is below it. Follow the colours as one of four readers; point at a box or a reader to see less."


def chapters():
    """List the chapters as dicts: number, title, path below nbs/, part and module, in the order of the book."""
    ground = [NBS / "00_notation.ipynb"]
    paths = [("", path) for path in ground] + [
        (part, path) for part in PARTS for path in chapters_of(part)
    ]
    found = []
    for part, path in paths:
        notebook = nbformat.read(path, as_version=4)
        number, _, title = (
            notebook.cells[0].source.splitlines()[0].removeprefix("# ").partition(". ")
        )
        name = path.relative_to(NBS).as_posix()
        found.append(
            {
                "number": number,
                "title": short(title),
                "path": name,
                "part": part,
                "notebook": notebook,
                "module": default_module(notebook),
            }
        )
    return found


def short(title):
    """Shorten a title to what fits into a box: up to its first colon, comma or question mark."""
    return re.split(r"[:,?]", title.replace("*", ""))[0].strip()


def rests_on(found):
    """Map each chapter's path to the paths of the chapters whose modules its own imports, without what follows from others."""
    by_module = {chapter["module"]: chapter["path"] for chapter in found}
    direct = {
        c["path"]: {by_module[m] for m in imports(c["notebook"]) if m in by_module}
        - {c["path"]}
        for c in found
    }
    below = {}
    for chapter in found:  # in the order of the book, so that all below are known
        path = chapter["path"]
        below[path] = set().union(
            direct[path], *(below.get(other, set()) for other in direct[path])
        )
    return {
        path: sorted(
            o for o in others if not any(o in below.get(via, ()) for via in others - {o})
        )
        for path, others in direct.items()
    }


def imports(notebook):
    """Yield the modules of the package, without its name, that the exported cells of a notebook import."""
    for directives, code in code_cells(notebook):
        if {"export", "exporti"} & directives.keys():
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                    f"{LIB}."
                ):
                    yield node.module.removeprefix(f"{LIB}.")


def readers():
    """Map each reader of the front page's table to the chapters named there, and to those between two with "to"."""
    found, order = {}, [path.relative_to(NBS).as_posix() for path in book_notebooks()]
    link = r"\]\(([\w/]+\.ipynb)[^)]*\)"
    for cell in nbformat.read(NBS / "index.ipynb", as_version=4).cells:
        for line in cell.source.splitlines():
            spans = re.findall(rf"{link}(?: to \[[^]]*{link})?", line)
            links = [
                path
                for first, last in spans
                for path in order[order.index(first) : order.index(last or first) + 1]
            ]
            who = re.match(r"\|\s*(an? [^|]+?)\s*\|", line)
            if who and links:
                found[who[1]] = links
    return found


def places(found):
    """Map each chapter's path to the left upper corner of its box; the ground is at the bottom. Also the labels and the size."""
    rows, labels, corners, y = [], [], {}, LABEL
    for part in reversed(["", *PARTS]):
        own = [c["path"] for c in found if c["part"] == part]
        rows = [own[i : i + ACROSS] for i in range(0, len(own), ACROSS)]
        labels.append((part, y))
        for row in reversed(rows):
            left = (
                (ACROSS - len(row)) * (WIDTH + GAP) / 2
            )  # rows are centred, so that fewer lines coincide
            for i, path in enumerate(row):
                corners[path] = (left + i * (WIDTH + GAP), y)
            y += HEIGHT + 2 * GAP
        y += LABEL
    return corners, labels, (ACROSS * (WIDTH + GAP) - GAP, y - LABEL)


def heading(part):
    """Give the title of a part and its page, or those of the ground."""
    if not part:
        return "The ground", None
    page = NBS / part / "index.md"
    return page.read_text(encoding="utf-8").splitlines()[0].removeprefix(
        "# "
    ), f"{part}/index.md"


def svg(link=lambda path: path):
    """Draw the map. `link` turns the path of a page below nbs/ into the address of the page."""
    found, of_reader = chapters(), readers()
    corners, labels, (width, height) = places(found)
    names = {chapter["path"]: f"c{i}" for i, chapter in enumerate(found)}
    lines = [
        line(corners[upper], corners[lower], names[upper], names[lower])
        for upper, others in rests_on(found).items()
        for lower in others
    ]
    boxes = [box(c, corners[c["path"]], names[c["path"]], of_reader, link) for c in found]
    heads = []
    for part, y in labels:
        title, page = heading(part)
        text = f'<text class="part" x="0" y="{y - 8}">{html.escape(title)}</text>'
        heads.append(f'<a href="{link(page)}">{text}</a>' if page else text)
    top = len(of_reader) * 18 + 12
    return "\n".join(
        [
            f'<svg class="book-map" viewBox="-4 {-top} {width + 8} {height + top}" xmlns="http://www.w3.org/2000/svg" role="group" '
            'aria-label="Map of the book: chapters as boxes, each with lines to those that it rests on">',
            f"<style>{style(names.values(), len(of_reader))}</style>",
            *legend(of_reader, top),
            *lines,
            *heads,
            *boxes,
            "</svg>",
        ]
    )


def line(upper, lower, upper_name, lower_name):
    """Draw what a chapter rests on: a curve from its box to the other's."""
    (x, y), (u, v) = upper, lower
    if y == v:  # in one row: along its foot, deeper the further they are apart
        a, b, foot = x + WIDTH / 2, u + WIDTH / 2, y + HEIGHT
        deep = foot + min(10 + 4 * abs(x - u) / WIDTH, 2 * GAP)
        path = f"M{a:g} {foot} C{a:g} {deep:g} {b:g} {deep:g} {b:g} {foot}"
    else:
        a, top, b, bottom = x + WIDTH / 2, y + HEIGHT, u + WIDTH / 2, v
        bend = (bottom - top) / 2
        path = f"M{a:g} {top} C{a:g} {top + bend:g} {b:g} {bottom - bend:g} {b:g} {bottom}"
    return f'<path class="line {upper_name} {lower_name}" d="{path}"/>'


def box(chapter, corner, name, of_reader, link):
    """Draw a chapter: its box, number, title, and a dot for every reader who passes."""
    x, y = corner
    passing = [i for i, links in enumerate(of_reader.values()) if chapter["path"] in links]
    dots = "".join(
        f'<circle cx="{x + WIDTH - 9 - 9 * i}" cy="{y + 10}" r="3.4" fill="{COLOURS[who % len(COLOURS)]}"/>'
        for i, who in enumerate(reversed(passing))
    )
    text = wrap(chapter["title"], 18, max_lines=2, placeholder="…")
    rows = "".join(
        f'<tspan x="{x + 9}" y="{y + 29 + 13 * i}">{html.escape(part)}</tspan>'
        for i, part in enumerate(text)
    )
    classes = " ".join(["chapter", name, *(f"r{i}" for i in passing)])
    return (
        f'<a class="{classes}" href="{link(chapter["path"])}"><rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
        f'<text class="number" x="{x + 9}" y="{y + 15}">{chapter["number"]}</text><text>{rows}</text>{dots}</a>'
    )


def legend(of_reader, top):
    """Yield a line for each kind of reader."""
    for i, who in enumerate(of_reader):
        y = 18 * i + 12 - top
        yield (
            f'<g class="reader" id="reader{i}"><rect class="catch" x="0" y="{y - 12}" width="300" height="18"/>'
            f'<circle cx="5" cy="{y - 4}" r="4.4" fill="{COLOURS[i % len(COLOURS)]}"/><text x="16" y="{y}">{html.escape(who)}</text></g>'
        )


def style(names, count):
    """Give the style: it inherits the colours of the page, dark or light, and hides what is not pointed at."""
    rules = [
        ".book-map{width:100%;min-width:36rem;height:auto;font:12px var(--font-stack--interface,sans-serif);fill:currentColor}",
        ".book-map a{text-decoration:none;color:inherit}",
        ".book-map .chapter rect{fill:var(--color-background-secondary,#f6f6f6);stroke:var(--color-background-border,#bbb)}",
        ".book-map .chapter:is(:hover,:focus) rect{stroke:var(--color-brand-primary,#0072B2);stroke-width:1.6}",
        ".book-map .number{font-weight:650}.book-map .part{font-weight:650;font-size:12.5px}",
        ".book-map .line{fill:none;stroke:currentColor;stroke-opacity:.3;stroke-width:1.1}",
        ".book-map .catch{fill:transparent}.book-map .reader{cursor:default}",
        ".book-map :is(.chapter,.line){transition:opacity .15s}",
    ]
    rules += [
        f".book-map:has(.chapter.{n}:is(:hover,:focus)) .line:not(.{n}){{opacity:.15}}"
        for n in names
    ]
    rules += [
        f".book-map:has(#reader{i}:hover) .chapter:not(.r{i}){{opacity:.25}}"
        for i in range(count)
    ]
    return "".join(rules)


def figure(link):
    """The map with its caption, as HTML."""
    return f'<figure class="align-default" id="fig-map"><div class="map" style="overflow-x:auto">{svg(link)}</div><figcaption><p>{PROMISE}</p></figcaption></figure>'


def main():
    """Write the map as a page that shows nothing else."""
    path = ROOT / "_build" / "map.html"
    path.parent.mkdir(exist_ok=True)
    page = f'<!doctype html><meta charset="utf-8"><title>Map of the book</title>{figure(lambda p: f"../nbs/{p}")}'
    path.write_text(page, encoding="utf-8")
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
