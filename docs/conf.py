"""How Sphinx makes the site of these pages: ``make site``.

The pages are Markdown that reads well without Sphinx, too. What would go out of date by hand is
made from its source at build time, each by one extension in ``extensions/``.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE / "extensions"))

project = "lockcfg"
author = "The lockcfg maintainers"
copyright = author

extensions = [
    "myst_parser",
    "sphinx_external_toc",
    "sphinx.ext.autodoc",
    "sphinx.ext.graphviz",
    "architecture",
    "manual_pages",
    "events",
    "procedures",
    "schema_tables",
]
exclude_patterns = ["man", "extensions", "static"]
external_toc_exclude_missing = False

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
# A link to a file of the repository that is not a page of the site, as from a guide to a schema.
suppress_warnings = ["myst.header"]

autodoc_typehints = "description"
autodoc_member_order = "alphabetical"

nitpicky = False
graphviz_output_format = "svg"

html_theme = "furo"
html_title = "lockcfg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
