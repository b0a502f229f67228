"""Makes the notebooks of `examples/` from scripts of the gallery, and runs them: `python -m tools.notebooks`."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]

NOTEBOOKS = {
    "quickstart.ipynb": "gallery/plot_01_quickstart.py",
    "decision.ipynb": "tutorial/plot_2_decision.py",
}
"""Each notebook in `examples/` and the script that it is made from."""


def make_notebook(script: Path) -> dict[str, Any]:
    """A gallery script as a notebook without outputs.

    Parameters
    ----------
    script : Path

    Returns
    -------
    dict
        The notebook's JSON.
    """
    from sphinx_gallery.gen_gallery import DEFAULT_GALLERY_CONF
    from sphinx_gallery.notebook import jupyter_notebook
    from sphinx_gallery.py_source_parser import split_code_and_text_blocks

    _, blocks = split_code_and_text_blocks(str(script))
    notebook = jupyter_notebook(blocks, {**DEFAULT_GALLERY_CONF}, str(script.parent))
    cells: list[dict[str, Any]] = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip("\n")
        if cell["cell_type"] == "markdown":
            source = _without_roles(source)
        cells.append({**cell, "source": source.splitlines(keepends=True), "id": f"cell-{len(cells)}"})
        if cell["cell_type"] == "code":
            cells[-1]["metadata"] = {}
    # The converter writes the version of Python that runs it: left out, so that every machine makes the same file.
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def with_outputs(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook after its cells have run: tables and pictures, without what differs from one run to the next.

    Parameters
    ----------
    notebook : dict
        As `make_notebook` gives it.

    Returns
    -------
    dict
        The same with outputs.
    """
    import nbclient
    import nbformat

    node = nbformat.reads(json.dumps(notebook), as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        nbclient.NotebookClient(node, timeout=600, resources={"metadata": {"path": folder}}).execute()
    for cell in node.cells:
        if cell.cell_type == "code":
            cell.metadata = {}
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    node.metadata = notebook["metadata"]
    return json.loads(nbformat.writes(node))


def without_outputs(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook as it was before its cells ran."""
    empty: dict[str, Any] = {"outputs": [], "execution_count": None}
    cells = [cell | empty if cell["cell_type"] == "code" else cell for cell in notebook["cells"]]
    return notebook | {"cells": cells}


def write_notebook(notebook: dict[str, Any]) -> str:
    """A notebook as text."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _without_roles(text: str) -> str:
    """Sphinx's links as plain text, which is all that a notebook has."""
    text = re.sub(r"(?::ref:)?`sphx_glr_([a-z]+)_(plot_\w+)\.py`", r"`examples/\1/\2.py`", text)
    text = re.sub(r":doc:`/?([\w/]+)`", r"`docs/\1.md`", text)
    text = re.sub(r":\w+:`~(?:\w+\.)*(\w+)`", r"`\1`", text)
    return re.sub(r":(?:\w+:)?\w+:`([^`]+)`", r"`\1`", text)


def main() -> None:
    """Write the notebooks."""
    for name, script in NOTEBOOKS.items():
        path = PROJECT / "examples" / name
        notebook = with_outputs(make_notebook(PROJECT / "examples" / script))
        path.write_text(write_notebook(notebook), encoding="utf-8")
        print(path.relative_to(PROJECT))


if __name__ == "__main__":
    main()
