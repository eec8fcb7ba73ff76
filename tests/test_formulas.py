"""Displays on narrow screens: every statement is kept, and gets a line of its own."""

import re

import book
import formulas
import nbformat
import pytest

DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.S)


def displays():
    """Yield every displayed formula of the book with its page."""
    for path in book.book_notebooks():
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                for found in DISPLAY.finditer(cell.source):
                    yield path.name, found[1]


def signs(tex):
    """What a formula consists of, without all that only arranges it."""
    tex = re.sub(r"\\(begin|end)\{(aligned|gathered)\}", " ", formulas.TAG.sub("", tex))
    return re.sub(r"\\qquad|\\\\(\[[^\]]*\])?|&|\\\[|\\\]|\s", "", tex)


def test_nothing_is_lost_or_moved():
    for page, tex in displays():
        assert signs(formulas.narrow(tex)) == signs(tex), f"{page}: {tex}"


def test_braces_and_environments_stay_whole():
    for page, tex in displays():
        for part in formulas.statements(formulas.TAG.sub("", tex)):
            assert part.count("{") - part.count(r"\{") == part.count("}") - part.count(
                r"\}"
            ), page
            assert part.count(r"\begin") == part.count(r"\end"), f"{page}: {part}"
            assert part.count(r"\left") - part.count(r"\leftarrow") == part.count(
                r"\right"
            ) - part.count(r"\rightarrow"), page


@pytest.mark.parametrize(
    "tex, wanted",
    [
        (r"a = b, \qquad c = d \tag{1.1}", ["a = b,", "c = d"]),
        (r"\begin{aligned} a &= b \\ &= c \end{aligned}", ["a = b = c"]),
        (
            r"\begin{aligned} a &= b, & c &= d \\ e &= f \end{aligned} .",
            ["a = b,", "c = d", "e = f ."],
        ),
        (
            r"x = \begin{cases} 1 & y \qquad z \\ 2 & w \end{cases}",
            [r"x = \begin{cases} 1 & y \qquad z \\ 2 & w \end{cases}"],
        ),
        (r"\begin{aligned} a = {} & b \\ & + c \end{aligned}", ["a = {} b + c"]),
    ],
)
def test_statements(tex, wanted):
    found = formulas.statements(formulas.TAG.sub("", tex))
    assert [" ".join(part.split()) for part in found] == wanted


def test_comments_of_shell_lines_stand_above_them():
    assert (
        book.comments_above("pip install .    # enough\nmake")
        == "# enough\npip install .\nmake"
    )


def test_long_docstrings_are_wrapped_and_code_is_not():
    long = "words " * 20
    code = f'def f():\n    """{long.strip()}"""\n    return "{long}"'
    shown = book.wrap_prose(code).splitlines()
    assert max(map(len, shown[:-1])) <= 88 and shown[-1] == code.splitlines()[-1]
    assert " ".join("".join(shown).split()) == " ".join(code.replace("\n", "").split())
