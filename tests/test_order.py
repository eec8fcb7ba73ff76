"""The order of reading, the uses of theorems, the rows of the errata and the homes of words: all computed from the notebooks."""

import ast

import book
import bookmap
import nbformat
import order
import pytest


def test_a_chapter_needs_what_it_imports_and_leads_back():
    needs, _ = order.neighbours()["regression/01b_rfactor.ipynb"]
    assert needs, "1b needs nothing"
    for path, (needs, leads) in order.neighbours().items():
        for chapter in needs:
            back = [c["path"] for c in order.neighbours()[chapter["path"]][1]]
            assert path in back, f"{chapter['path']} does not lead to {path}"
        for chapter in leads:
            assert path in [c["path"] for c in order.neighbours()[chapter["path"]][0]]


def test_what_is_needed_comes_before():
    places = [chapter["path"] for chapter in bookmap.chapters()]
    for path, (needs, _) in order.neighbours().items():
        assert all(places.index(c["path"]) < places.index(path) for c in needs), path


def test_reading_takes_time():
    for path in order.neighbours():
        assert 5 <= order.minutes(order.read(path)) <= 120, path
    assert order.minutes(nbformat.v4.new_notebook()) == 5


def test_a_theorem_says_where_it_is_used():
    cells = order.read("regression/01b_rfactor.ipynb").cells
    (theorem,) = [c.source for c in cells if c.source.startswith("**Theorem 1b.1")]
    line = order.used_in(theorem, "regression/01b_rfactor")
    assert "Used in [13](../practice/13_stream.ipynb)" in line


def test_a_theorem_nobody_uses_says_nothing():
    assert order.used_in("**Theorem 99.1 (None).** No.", "regression/01_svd") == ""


@pytest.mark.parametrize(
    "text, linked",
    [
        ("**F10.** Two", "**[F10](../errata.ipynb#row-f10).** Two"),
        ("(F9), (S7)", "([F9](../errata.ipynb#row-f9)), ([S7](../errata.ipynb#row-s7))"),
        ("$F1$ and `S2`, F21, S8", "$F1$ and `S2`, F21, S8"),
        ("$$ F1 \\\\ F2 $$", "$$ F1 \\\\ F2 $$"),
        ("[F17](08f.ipynb)", "[F17](08f.ipynb)"),
        ("```python\ncheck('F1')\n```", "```python\ncheck('F1')\n```"),
    ],
)
def test_rows_are_linked_outside_of_code_formulas_and_links(text, linked):
    assert book.link_rows(text, "regression/01_svd") == linked


def test_every_row_has_an_anchor():
    cells = nbformat.read(book.NBS / "errata.ipynb", as_version=4).cells
    text = "\n".join(book.anchor_rows(c.source) for c in cells if c.cell_type == "markdown")
    for row in [f"s{i}" for i in range(1, 8)] + [f"f{i}" for i in range(1, 21)]:
        assert text.count(f"(row-{row})=\n### {row.upper()}. ") == 1


def test_signatures_are_lines_and_empty_corners_no_headings():
    signature = '<dt class="sig x">f(<dl>\n<dd><em>a</em>,</dd>\n</dl>)</dt><dl><dt>t</dt><dd>d</dd></dl>'
    mended = book.mended(signature + "<th></th><th>a</th>")
    assert mended.count("<dl>") == 1 and mended.count("sig-line") == 2
    assert mended.endswith("<td></td><th>a</th>")


def test_figures_of_all_chapters_have_the_style_of_chapter_14():
    from olsattention.plots import COLOURS, STYLE, WIDTH

    text = (book.HERE / "matplotlibrc").read_text(encoding="utf-8")
    found = dict(line.split(": ", 1) for line in text.splitlines())
    cycle = found.pop("axes.prop_cycle").removeprefix("cycler(").removesuffix(")")
    assert ast.literal_eval(f"({cycle})") == ("color", [c[1:] for c in COLOURS])
    assert found.pop("figure.figsize").startswith(f"{WIDTH}, ")
    assert found == {k: str(v) for k, v in STYLE.items() if k != "axes.prop_cycle"}
