"""The pages of the documentation as tests see them: their code cells, which the build runs, and their words."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sklearn

DOCS = Path(__file__).resolve().parents[1] / "docs"

CELL = re.compile(r"^```\{code-cell\}\n((?::[^\n]*\n)*)(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def text_of(page: str) -> str:
    """The source of a page, which is named without its ending."""
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def cells_of(page: str) -> list[str]:
    """The code cells of a page in their order."""
    return [code for _, code in CELL.findall(text_of(page))]


def executed_pages() -> list[str]:
    """Every page with code cells."""
    pages = (
        path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md") if "_build" not in path.parts
    )
    return sorted(page for page in pages if cells_of(page))


def guide_pages() -> list[str]:
    """The pages of the user guide, from its table of contents."""
    contents = text_of("user_guide").split("```{toctree}")[1].split("```")[0]
    return [line for line in contents.splitlines() if line and not line.startswith(":")]


@contextlib.contextmanager
def drawing_nothing() -> Iterator[None]:
    """Pictures are made and closed, not shown."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    try:
        yield
    finally:
        plt.close("all")


def run(page: str, replaced: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run the code cells of a page one after the other in the working folder, and return the names that they define.

    Parameters
    ----------
    page : str
        Without its ending.
    replaced : mapping of str to str, optional
        Code of the page, and what stands in for it: fewer epochs, fewer samples.
    """
    code = "\n".join(cells_of(page))
    for old, new in (replaced or {}).items():
        assert old in code, f"{page}: {old!r} is not in its code"
        code = code.replace(old, new)
    names: dict[str, Any] = {"__name__": "__main__"}
    with drawing_nothing(), sklearn.config_context():
        exec(compile(code, f"{page}.md", "exec"), names)
    return names
