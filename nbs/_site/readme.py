"""Write README.md from nbs/index.ipynb: its text and code, and its outputs and figures as now executed.

`make readme` calls this; `tests/test_book.py` checks that README.md is what this would write.
"""

import base64
import re

import nbformat
from book import NBS, ROOT, is_skipped, split_directives
from nbclient import NotebookClient

IMAGES = NBS / "images"
NOTICE = "<!-- Written by `make readme` from nbs/index.ipynb: edit that, not this. -->"


def main():
    """Write README.md and its images."""
    text, images = render()
    (ROOT / "README.md").write_text(text, encoding="utf-8")
    IMAGES.mkdir(exist_ok=True)
    for name, content in images.items():
        (IMAGES / name).write_bytes(content)
    print(
        f"README.md: {len(text.splitlines())} lines; nbs/images: {', '.join(images) or 'nothing new'}"
    )


def render():
    """Execute the index notebook; give it as Markdown, and its images as a dict from file name to content."""
    notebook = nbformat.read(NBS / "index.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code" and is_skipped(split_directives(cell.source)[0]):
            cell.metadata["tags"] = ["skip-execution"]
    NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(NBS)}}
    ).execute()
    parts, images = [NOTICE], {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(relink(cell.source))
        elif cell.cell_type == "code":
            parts += code_cell(cell, images)
    return "\n\n".join(parts).rstrip() + "\n", images


def relink(text):
    """Make links relative to the README (without anchors: code hosts know none in notebooks)."""

    def moved(link):
        path = link["path"]
        return f"]({path.removeprefix('../') if path.startswith('../') else 'nbs/' + path})"

    return re.sub(r"\]\((?!\w+:|#)(?P<path>[^)#\s]+)(#[^)\s]*)?\)", moved, text)


def together(outputs):
    """The outputs of a cell without what was written to the error stream, and with printed lines in one piece."""
    joined = []
    for output in outputs:
        if output.get("name") == "stderr":
            continue
        if joined and output.output_type == joined[-1].output_type == "stream":
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def code_cell(cell, images):
    """Give the parts of a code cell: its code, its printed lines and its figures; nothing of a hidden one."""
    directives, code = split_directives(cell.source)
    if not code or "hide" in directives or "nbdev_export(" in code:
        return []
    parts = [] if directives.get("echo") == "false" else [f"```python\n{code}\n```"]
    for output in together(cell.outputs):
        data = output.get("data", {})
        if "image/svg+xml" in data or "image/png" in data:
            kind = "svg" if "image/svg+xml" in data else "png"
            name = f"{directives.get('label', f'readme-{len(images) + 1}')}.{kind}"
            images[name] = (
                data["image/svg+xml"].encode()
                if kind == "svg"
                else base64.b64decode(data["image/png"])
            )
            parts.append(
                f"![{directives.get('fig-alt', directives.get('fig-cap', 'figure'))}](nbs/images/{name})"
            )
            if "fig-cap" in directives:
                parts.append(f"*{directives['fig-cap']}*")
        else:
            printed = output.get("text") or data.get("text/plain", "")
            parts.append(f"```text\n{printed.rstrip()}\n```")
    return parts


if __name__ == "__main__":
    main()
