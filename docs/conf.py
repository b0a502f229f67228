"""Sphinx configuration. Nothing is downloaded: the documentation builds offline."""

from __future__ import annotations

import os
import re
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import surveysim

project = "surveysim"
author = "the surveysim developers"
copyright = "2026, the surveysim developers"
version = release = surveysim.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "myst_parser",
    "numpydoc",
]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "py:obj"  # `name` in a docstring links to what it names

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections say it in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
python_use_unqualified_type_names = True

html_theme = "pydata_sphinx_theme"
html_title = f"surveysim {version}"
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "navbar_end": ["theme-switcher"],
}
html_sidebars = {"index": [], "changelog": []}
html_show_sourcelink = False
html_copy_source = False


def _escape_underscores(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Types such as "array of shape (n, n_features_in_)": a trailing underscore would be taken for a link."""
    for i, line in enumerate(lines):
        found = re.match(r"(\s*[*\w, ]+ : )(.*)$", line)
        if found and "`" not in found[2]:
            lines[i] = found[1] + re.sub(r"(?<=\w)_(?!\w)", r"\\_", found[2])


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _escape_underscores, priority=100)
