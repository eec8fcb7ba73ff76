"""Displayed formulas on screens of any width.

A display often holds several statements, side by side with `\\qquad` between them or in the columns of `aligned`.
On a wide screen that is how it is shown. On a narrow one each statement gets a display of its own, left aligned, which
MathJax breaks into lines where it must. The number stands outside the formula, so that nothing can push it off the page.

`book.py` writes both forms into the page, `static/book.js` picks one before MathJax looks.
"""

import html
import re

TAG = re.compile(r"\s*\\tag\{(?P<number>[^}]+)\}")
TOKEN = re.compile(
    r"\\begin\{[a-z*]+\}|\\end\{[a-z*]+\}|\\\\(?:\[[^\]]*\])?|\\[A-Za-z]+|\\.|[{}&]|[^\\{}&]+",
    re.S,
)
# what a row begins with that goes on with the statement above it
GOES_ON = re.compile(
    r"(\{\}\s*)*([=+\-<>]|\\(le|ge|approx|sim|propto|cdot|times|to|Vert|iff|in|pm)(?![A-Za-z]))"
)
HANGS = re.compile(r"([=+\-(]|\\(le|ge|approx|cdot|Vert|big\(|Big\()|=\s*\{\})\s*$")


def split(tex, *separators):
    """Split TeX at separators that stand outside of all braces and environments."""
    parts, depth = [""], 0
    for token in TOKEN.findall(tex):
        opens = token == "{" or token.startswith("\\begin") or token == "\\left"
        closes = token == "}" or token.startswith("\\end") or token == "\\right"
        depth += opens - closes
        if depth == 0 and not closes and token.split("[")[0] in separators:
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts]


def statements(tex):
    """List the statements of a display without its tag, in the order in which they are read."""
    whole = re.fullmatch(r"\s*\\begin\{(aligned|gathered)\}(.*)\\end\{\1\}(.*)", tex, re.S)
    inside = whole and not re.search(r"\\(begin|end)\{(aligned|gathered)\}", whole[2])
    rows = split(whole[2], "\\\\") if inside else [tex.strip()]
    found = []
    for row in rows:
        cells = split(row, "&") if inside else [row]
        pairs = [
            "".join(f" {cell}" for cell in cells[i : i + 2])
            for i in range(0, len(cells), 2)
        ]
        for i, pair in enumerate(filter(None, map(str.strip, pairs))):
            if i == 0 and found and (GOES_ON.match(pair) or HANGS.search(found[-1])):
                found[-1] += " " + pair
            else:
                found.append(pair)
    if inside and whole[3].strip() and found:
        found[-1] += " " + whole[3].strip()
    return [part for statement in found for part in split(statement, "\\qquad") if part]


def narrow(tex):
    """Give the displays of a narrow screen: one for each statement."""
    return " ".join(rf"\[{part}\]" for part in statements(TAG.sub("", tex)))


def opening(tex):
    """Open the box of a display, which knows what narrow screens show."""
    return f'<div class="display" data-narrow="{html.escape(narrow(tex))}">'


def closing(tex, anchors):
    """Close the box; its numbers are links to the display."""
    numbers = [tag["number"] for tag in TAG.finditer(tex)]
    links = (
        f'<a class="eqno" href="#{anchor}">({html.escape(number)})</a>'
        for number, anchor in zip(numbers, anchors)
    )
    return "".join(links) + "</div>"
