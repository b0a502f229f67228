"""Sphinx configuration. Nothing is downloaded: the documentation builds offline."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))  # gallery_look, page_head

from sphinx.util.nodes import make_refnode

import surveysim

HERE = Path(__file__).parent
# The code of the guide runs in kernels: they find the package, and draw as the gallery does.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")])
)
os.environ["MATPLOTLIBRC"] = str(HERE / "matplotlibrc")

project = "surveysim"
author = "the surveysim developers"
copyright = "2026, the surveysim developers"
version = release = surveysim.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx-mathjax-offline",
    "sphinx_design",
    "myst_nb",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "page_head",
]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
templates_path = ["_templates"]
exclude_patterns = [
    "_build",
    "inventories",
    "**/*.ipynb",
]  # the gallery leaves its notebooks beside its pages
nitpicky = True  # a link that leads nowhere is an error
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", "inventories/python.inv"),
    "pandas": ("https://pandas.pydata.org/docs", "inventories/pandas.inv"),
    "sklearn": ("https://scikit-learn.org/stable", "inventories/sklearn.inv"),
    "scipy": ("https://docs.scipy.org/doc/scipy", "inventories/scipy.inv"),
}
default_role = "py:obj"  # `name` in a docstring links to what it names

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections say it in words
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
python_use_unqualified_type_names = True

# Every code cell of the guide is run when its page is built; one that fails fails the build. `-D nb_execution_mode=off`
# runs none. Warnings are errors where the tests run the same cells, so that standard error holds progress bars alone.
nb_execution_mode = "auto"
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_output_stderr = "remove"
nb_merge_streams = True
nb_number_source_lines = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

# Every example is run when the documentation is built; one that fails fails the build. `-D plot_gallery=0` runs none.
sphinx_gallery_conf = {
    "examples_dirs": ["../examples/tutorial", "../examples/gallery"],
    "gallery_dirs": ["tutorial", "gallery"],
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "reset_modules": ("matplotlib", "gallery_look.reset"),
    "image_srcset": ["2x"],
    "thumbnail_size": (480, 300),
    "doc_module": ("surveysim",),
    "backreferences_dir": "api/backreferences",
    "inspect_global_variables": False,
    "remove_config_comments": True,
    "write_computation_times": False,
    "min_reported_time": 10_000,  # what it took on this machine, while it did other things, tells a reader nothing
    "show_memory": False,
    "show_signature": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"surveysim {version}"
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": False,
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": {
        "gallery/*": [],
        "tutorial/*": [],
        "api/**": ["page-toc"],
        "*": ["page-toc"],
    },
    "footer_start": ["copyright"],
    "footer_end": [],
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
}
# Pages without others below them would have an empty sidebar.
_SINGLE = (
    "index",
    "installation",
    "quickstart",
    "methods",
    "measured",
    "origins",
    "limits",
    "glossary",
)
_SINGLE += ("architecture", "changelog", "search", "genindex")
html_sidebars = {**{page: [] for page in _SINGLE}, "**": ["sidebar-nav-bs"]}
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["page.css"]
html_js_files = ["page.js"]
html_show_sourcelink = False
html_copy_source = False


def _escape_underscores(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Types such as "array of shape (n, n_features_in_)": a trailing underscore would be taken for a link."""
    for i, line in enumerate(lines):
        found = re.match(r"(\s*[*\w, ]+ : )(.*)$", line)
        if found and "`" not in found[2]:
            lines[i] = found[1] + re.sub(r"(?<=\w)_(?!\w)", r"\\_", found[2])


def _resolve_short_name(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """What docstrings put in single backticks: a public name without its module, or a parameter.

    A name that the reference documents is linked. A lower-case word without dots is a parameter or attribute of what is
    being described and stays text. All else (a class that does not exist, a path that has moved) remains an error.
    """
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or node.get("reftype") != "obj":
        return None
    found = sorted(
        name for name in env.domains["py"].objects if name.endswith("." + target)
    )
    if (
        "." not in target
    ):  # a parameter, even if some class has an attribute of that name
        found = [
            name
            for name in found
            if env.domains["py"].objects[name].objtype
            in ("class", "exception", "function")
        ]
    if found:
        place = env.domains["py"].objects[min(found, key=len)]
        return make_refnode(
            app.builder, node["refdoc"], place.docname, place.node_id, contnode, target
        )
    if any(
        name.startswith(target + ".") for name in env.domains["py"].objects
    ):  # a module
        return make_refnode(
            app.builder, node["refdoc"], "api/index", "", contnode, target
        )
    return (
        contnode
        if re.fullmatch(r"[a-z_]\w*(=.+|\(.*\))?|MISSING_KINDS", target)
        else None
    )


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _escape_underscores, priority=100)
    app.connect("missing-reference", _resolve_short_name)
