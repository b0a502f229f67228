"""Where the answer of a base model ends: at a line break, since such a model continues with another question."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["until_line_break"]

_SEPARATORS = r"[\s,;:|/\"'`*_.()\[\]\d-]*+"


def until_line_break(text: str, labels: Sequence[str], *, done: bool = False) -> str | None:
    """The answer at the beginning of a text; None while it may go on.

    It ends with its first line, but for what goes on there: JSON that is not closed, an announcement that ends with a
    colon, and lists with some labels in each line.

    Parameters
    ----------
    text : str
        What the model has written so far.
    labels : sequence of str
        The labels that the prompt shows.
    done : bool, default=False
        Whether nothing more is written, so that the last line counts as well.

    Examples
    --------
    >>> until_line_break("B. partly\\nQuestion:", "AB")
    'B. partly'
    >>> until_line_break("A B\\nB A\\n\\nQuestion:", "AB")
    'A B\\nB A'
    >>> until_line_break('{"A": 20,\\n', "AB") is None
    True
    """
    letters = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True)) or r"(?!)"
    listing = re.compile(rf"{_SEPARATORS}(?:(?<!\w)(?:{letters})(?!\w){_SEPARATORS})+")
    lines = text.split("\n")
    listed = False
    for i, line in enumerate(lines if done else lines[:-1]):
        so_far = "\n".join(lines[: i + 1])
        if not line.strip() and not so_far.strip():
            continue
        if any(so_far.count(opening) > so_far.count(closing) for opening, closing in ("{}", "[]")):
            continue
        if line.strip() and listing.fullmatch(line):
            listed = True
            continue
        if listed:  # a list ends before the line that goes on with something else
            return "\n".join(lines[:i]).rstrip()
        if line.rstrip().endswith(":"):
            continue
        return so_far.rstrip() if line.strip() else "\n".join(lines[:i]).rstrip()
    return text if done else None
