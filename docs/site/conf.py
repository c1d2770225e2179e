"""Settings of Sphinx for the documentation site, which `build.py` stages and builds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml import converter
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

sys.path.insert(0, str(Path(__file__).parents[2]))

import zncc_cli

project = "zncc-cli"
version = release = zncc_cli.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4  # as GitHub names them, so that links work in both places
suppress_warnings = ["myst.header"]  # a page may begin below its first level, as a result of a benchmark does

smartquotes = False  # it makes one dash of the two of an option

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
default_role = "code"  # docstrings write `names` as Markdown does
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "pydata_sphinx_theme"
html_title = "zncc-cli"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars: dict[str, list[str]] = {"index": [], "tutorial": [], "faq": []}
copybutton_exclude = ".linenos, .gp, .go"
copyright = "the authors of zncc-cli, MIT licence"  # noqa: A001 - the name that Sphinx reads


def _mathml(self: HTML5Translator, node: nodes.math | nodes.math_block, display: str) -> None:
    """Draw an equation as MathML, which browsers show without a script."""
    self.body.append(converter.convert(node.astext().strip(), display=display))
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register how equations are drawn."""
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(lambda self, node: _mathml(self, node, "inline"), None),
        block_renderers=(lambda self, node: _mathml(self, node, "block"), None),
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}


html_math_renderer = "mathml"
