"""The pages beside the chapters: errata, glossary, related work, and the map of the book."""

import ast
import inspect
import re
from pathlib import Path
from xml.etree import ElementTree

import book
import bookmap
import nbformat
import pytest

import olsattention

ROWS = [f"S{i}" for i in range(1, 8)] + [f"F{i}" for i in range(1, 21)]


def read(name):
    return nbformat.read(book.NBS / name, as_version=4)


def rows_of(notebook):
    """Map each row of the errata page to its text and to the labels that the cells below it check."""
    found, row = {}, None
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            row = re.search(r"### ([SF]\d+)\. ", cell.source)
            if row:
                found[row[1]] = [cell.source, set()]
        elif row:
            one = nbformat.v4.new_notebook(cells=[cell])
            found[row[1]][1].update(book.checked_labels(one))
    return found


def test_every_row_of_the_errata_is_there_in_order():
    assert list(rows_of(read("errata.ipynb"))) == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_a_row_quotes_corrects_and_demonstrates(row):
    text, checked = rows_of(read("errata.ipynb"))[row]
    _, _, body = text.partition(f"### {row}. ")[2].partition("\n\n*")
    assert body, f"{row} does not say in which section of the source it stands"
    assert row in checked, f'no cell below {row} calls check("{row}", ...)'
    assert re.search(r"\]\([\w/]+\.ipynb", text), f"{row} does not lead to a chapter"


def test_a_missing_row_is_noticed():
    errata = read("errata.ipynb")
    for cell in errata.cells:
        cell.source = re.sub(r'check\((\s*)"F9"', r'print(\1"F9"', cell.source)
    assert "F9" not in rows_of(errata)["F9"][1]


def links():
    """Yield `(page, path, anchor)` for every link of these pages into the book."""
    for name in ("errata.ipynb", "glossary.ipynb", "related.ipynb"):
        for cell in read(name).cells:
            if cell.cell_type == "markdown":
                for path, anchor in re.findall(
                    r"\]\(([\w/]+\.(?:ipynb|md|bib))(?:#([\w.:-]+))?\)", cell.source
                ):
                    yield name, path, anchor


def test_links_of_the_pages_lead_to_statements_and_works():
    works = re.findall(
        r"@\w+\{([\w:-]+),", (book.NBS / "references.bib").read_text(encoding="utf-8")
    )
    for name, path, anchor in links():
        assert (book.NBS / path).exists(), f"nbs/{name}: no file {path}"
        if path.endswith(".bib"):
            assert anchor in works, (
                f"nbs/{name} cites {anchor}, which references.bib does not have"
            )
        elif anchor:
            there = [place for _, place in book.numbered_statements(read(path))]
            assert anchor in there, f"nbs/{name}: {path} has no {anchor}"


def test_the_glossary_has_both_vocabularies_and_a_derivation_in_every_row():
    rows = [
        line
        for cell in read("glossary.ipynb").cells
        for line in cell.source.splitlines()
        if line.startswith("| ") and "regression | attention" not in line
    ]
    assert len(rows) > 35
    for row in rows:
        left, right, where = (part.strip() for part in row.strip("|").split(" | "))
        assert left and right and "](" in where, row


def calls_of(code):
    """Yield the calls in a piece of code, `with f(x) as y:` among them."""
    tree = ast.parse(code + " pass" * code.endswith(":"))
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_what_the_chooser_says_to_write_can_be_written():
    """Every name is public, and every call has the parameters of its function."""
    text = (book.NBS / "choose.md").read_text(encoding="utf-8")
    pieces = re.findall(r"`([^`]+)`", text)
    assert len(pieces) > 30
    foreign = {"scaled_dot_product_attention", "merge"}  # of PyTorch; a method
    names = {re.match(r"(?:s = |with )?(\w+)", code)[1] for code in pieces}
    missing = {name for name in names if not hasattr(olsattention, name)}
    assert missing - foreign == {"olsattention"}  # the command
    for code in pieces:
        for call in () if code.startswith("olsattention ") else calls_of(code):
            if isinstance(call.func, ast.Name):
                function = getattr(olsattention, call.func.id)
                keywords = {keyword.arg: None for keyword in call.keywords}
                inspect.signature(function).bind(*call.args, **keywords)


# ---- the references ----------------------------------------------------------------------------------------


def test_every_work_of_the_references_is_cited():
    text = (book.NBS / "references.bib").read_text(encoding="utf-8")
    works = set(re.findall(r"@\w+\{([\w:-]+),", text))
    cited = {
        key
        for path in book.book_notebooks()
        for cell in nbformat.read(path, as_version=4).cells
        for key in re.findall(r"references\.bib#([\w:-]+)", cell.source)
    }
    assert works == cited


# ---- the map -----------------------------------------------------------------------------------------------


def test_the_map_has_every_chapter_and_every_link_leads_there():
    drawing = bookmap.svg()
    ElementTree.fromstring(drawing)  # it is well-formed
    linked = re.findall(r'href="([^"]+)"', drawing)
    chapters = [
        path.relative_to(book.NBS).as_posix()
        for part in book.PARTS
        for path in book.chapters_of(part)
    ]
    assert {"00_notation.ipynb", *chapters} <= set(linked)
    assert all((book.NBS / path).exists() for path in linked)


def test_the_map_follows_the_imports():
    found = bookmap.chapters()
    edges = bookmap.rests_on(found)
    assert (
        "regression/01_svd.ipynb" in edges["regression/01b_rfactor.ipynb"]
        or "regression/01b_rfactor.ipynb" in edges
    )
    assert "theory/08_risk.ipynb" in edges["theory/08b_rates.ipynb"]
    order = [chapter["path"] for chapter in found]
    for upper, others in edges.items():
        for lower in others:
            assert order.index(lower) < order.index(upper)
    # what follows from others is left out
    assert "00_notation.ipynb" not in edges["selection/05b_tridiagonal.ipynb"]


def test_boxes_of_the_map_do_not_overlap_and_lie_within():
    corners, _, (width, height) = bookmap.places(bookmap.chapters())
    boxes = list(corners.values())
    assert len(set(boxes)) == len(boxes)
    for i, (x, y) in enumerate(boxes):
        assert 0 <= x <= width - bookmap.WIDTH and 0 <= y <= height - bookmap.HEIGHT
        for u, v in boxes[:i]:
            assert abs(x - u) >= bookmap.WIDTH or abs(y - v) >= bookmap.HEIGHT


def test_the_map_has_four_readers_and_stands_below_its_heading():
    assert len(bookmap.readers()) == 4
    text = "\n".join(
        cell.source for cell in book.translate(read("index.ipynb"), "index").cells
    )
    assert text.count("{book-map}") == 1
    assert "## The map\n\n```{book-map}\n```\n" in text


def test_a_reader_is_read_off_the_table():
    for who, names in bookmap.readers().items():
        assert who.startswith("a") and names, who
        assert all(Path(book.NBS / name).exists() for name in names)
    researcher = bookmap.readers()["an ML researcher"]
    assert "attention/06c2_cuts.ipynb" in researcher, "between 6 and 6h"
    assert "selection/05_gcv.ipynb" not in researcher
