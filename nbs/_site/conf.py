"""Sphinx configuration of the book; the package's metadata stand in settings.ini alone."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from pybtex.richtext import Tag, Text
from pybtex.style.template import node, optional_field
from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing import BaseReferenceStyle, PersonStyle
from sphinxcontrib.bibtex.style.template import join, reference

sys.path.insert(0, str(Path(__file__).parent))  # book.py, execute.py
from book import ROOT, settings  # noqa: E402
from execute import ENVIRONMENT, TIMEOUT, cache_folder  # noqa: E402
from order import write_scorer  # noqa: E402

project = settings["title"]
author = settings["author"]
project_copyright = settings["copyright"]
release = version = settings["version"]
language = "en"

extensions = [
    "myst_nb",  # notebooks: executed, cached, rendered
    "sphinx.ext.autodoc",  # API entries from docstrings ...
    "sphinx.ext.autosummary",  # ... their index ...
    "sphinx.ext.viewcode",  # ... and links to the source
    "numpydoc",  # the docstrings' Parameters and Returns
    "sphinx.ext.mathjax",
    "sphinxcontrib.bibtex",  # citations
    "sphinx_copybutton",
    "book",  # what the notebooks mean: see book.py
]
exclude_patterns = ["data", "_site", "**/.ipynb_checkpoints"]
templates_path = ["templates"]
suppress_warnings = [
    "mystnb.exec",  # a failing cell is reported by book.py, with the notebook, the cell and the error
]


# Notebooks. The reader and all other meaning of the conventions are in book.py; execute.py has executed them before.
nb_execution_mode = "cache"
nb_execution_cache_path = str(cache_folder())
nb_execution_timeout = TIMEOUT
os.environ.update(ENVIRONMENT)
nb_merge_streams = True
nb_render_markdown_format = "myst"
nb_ipywidgets_js = {}

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist", "attrs_block"]
myst_dmath_double_inline = True
myst_heading_anchors = 3
numfig = True
numfig_format = {"figure": "Figure %s"}

# API entries.
default_role = (
    "py:obj"  # `name` in a docstring links where it can, and is code where it cannot
)
autosummary_generate = False  # the entries are in the chapters
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
# what scikit-learn adds to every estimator, documented there
autodoc_default_options = {"exclude-members": "set_fit_request, set_score_request"}
numpydoc_show_class_members = False
maximum_signature_line_length = 88
add_module_names = False
copybutton_exclude = ".linenos, .gp, .go"
copybutton_selector = (
    ":is(.cell_input, .highlight-bash, .highlight-python) .highlight pre"  # not outputs
)


@node
def et_al(children, context):
    """Say "et al." where a list of one author ends in "and others"."""
    (names,) = (child.format_data(context) for child in children)
    return Text(" ", Tag("em", "et al.")).join(names.split(" and others"))


@dataclass
class AsAuthored(BaseReferenceStyle):
    """Citations that read as they stand in the notebooks, "Golub et al. 1979", all of it a link."""

    person: PersonStyle = field(default_factory=PersonStyle)

    def role_names(self):
        return ["t"]

    def outer(self, role_name, children):
        return join(sep=", ")[children]

    def inner(self, role_name):
        return reference[
            join(sep=" ")[
                et_al[self.person.author_or_editor_or_title(full=False)],
                optional_field("year"),
            ]
        ]


register_plugin("sphinxcontrib.bibtex.style.referencing", "as_authored", AsAuthored)
bibtex_bibfiles = ["../references.bib"]
bibtex_default_style = "plain"  # sorted by author; its numbers are hidden in book.css
bibtex_reference_style = "as_authored"

# The page.
html_theme = "furo"
html_title = project
html_static_path = ["static"]
# MathJax 4, which breaks long formulas into lines, from its npm package: the site reads without a network.
# No part of it that speaks or explores is loaded; screen readers get MathML.
mathjax_path = "mathjax/startup.js"
mathjax4_config = {
    "loader": {
        "load": ["input/tex", "output/chtml", "a11y/assistive-mml"],
        "paths": {"fonts": "[mathjax]/fonts"},
    },
    "output": {
        "fontPath": "[fonts]/%%FONT%%-font",
        "scale": 0.95,
        "displayOverflow": "linebreak",
        "linebreaks": {"inline": True, "width": "100%", "lineleading": 0.25},
    },
}
html_js_files = [("book.js", {"defer": "defer", "priority": 100})]
html_search_scorer = write_scorer(ROOT / "_build" / "scorer.js")
html_css_files = ["book.css"]
html_favicon = "static/favicon.svg"
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_permalinks_icon = "#"
pygments_style, pygments_dark_style = "friendly", "github-dark"
SERIF = "Charter, 'Bitstream Charter', 'Source Serif 4', Cambria, 'Liberation Serif', Georgia, serif"
SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MONO = "ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, Consolas, 'Liberation Mono', monospace"
html_theme_options = {
    "top_of_page_buttons": [],
    "light_css_variables": {
        "font-stack": SERIF,
        "font-stack--headings": SANS,
        "font-stack--interface": SANS,
        "font-stack--monospace": MONO,
        "color-brand-primary": "#1f4e79",
        "color-brand-content": "#1f5f99",
    },
    "dark_css_variables": {
        "color-brand-primary": "#9cc4ea",
        "color-brand-content": "#8ab9e6",
    },
}
