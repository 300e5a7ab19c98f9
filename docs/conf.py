"""How Sphinx makes the site: `just docs`."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS / "_extensions"))

project = "oxthreads"
author = "the oxthreads contributors"
project_copyright = author
version = release = tomllib.loads((DOCS.parent / "Cargo.toml").read_text())["package"]["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docstring_sections",
    "differences_table",
    "inline_pictures",
    "repository_pages",
    "standard_names",
]
exclude_patterns = ["_extensions", "_static"]
# Every reference has to have a target. `standard_names` knows those that are not ours.
nitpicky = True
highlight_language = "none"

# The anchors of headings are those that a repository gives them.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "groupwise"
autodoc_typehints = "none"
autodoc_default_options = {"members": True}
add_module_names = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Options that the standard library does not have: see `docstring_sections`.
napoleon_custom_sections = [("Options", "params_style")]

# Nothing is loaded from other hosts: the theme brings what it needs, with the fonts of the reader's system.
html_theme = "furo"
html_title = "oxthreads"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#9a3412", "color-brand-content": "#9a3412"},
    "dark_css_variables": {"color-brand-primary": "#fb923c", "color-brand-content": "#fb923c"},
}
