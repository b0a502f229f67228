"""The README as the package index shows it; all else stands in pyproject.toml.

Links and pictures of README.md are paths in the repository, which lead nowhere on an index. Where pyproject.toml names
the repository, they are made absolute; where it does not, a link is shown as its text, and a picture is left out.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent


def index_readme(text: str, repository: str | None) -> str:
    """README.md with no path in it that an index cannot follow."""

    def picture(found: re.Match[str]) -> str:
        return f"![{found[1]}]({repository}/raw/main/{found[2]})" if repository else ""

    def link(found: re.Match[str]) -> str:
        return f"[{found[1]}]({repository}/blob/main/{found[2]})" if repository else found[1]

    text = re.sub(r"!\[([^\]]*)\]\((?!https?:|#)([^)]+)\)\n?", picture, text)
    return re.sub(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)", link, text)


if __name__ == "__main__":
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {})
    setup(
        long_description=index_readme((ROOT / "README.md").read_text(encoding="utf-8"), urls.get("Repository")),
        long_description_content_type="text/markdown",
    )
