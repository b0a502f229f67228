"""The labels that stand for a question's options in a prompt."""

from __future__ import annotations

import string

__all__ = ["LABEL_ALPHABETS", "candidate_labels"]

#: Alphabets in the order in which they are tried; numbers come after them and never run out.
LABEL_ALPHABETS: tuple[tuple[str, ...], ...] = (
    tuple(string.ascii_uppercase),
    tuple(string.ascii_lowercase),
    tuple(string.ascii_uppercase + string.ascii_lowercase),
)


def candidate_labels(n_options: int) -> tuple[tuple[str, ...], ...]:
    """List the sets of labels that could stand for K options, the preferred one first.

    Capital letters come first, then small letters, then both together, then the numbers 1..K. Which of them are
    single tokens depends on a model's tokenizer: the caller takes the first set whose labels all are.

    Parameters
    ----------
    n_options : int
        Number of options K, at least 1.

    Returns
    -------
    tuple of tuple of str
        Each inner tuple holds K different labels.

    Examples
    --------
    >>> candidate_labels(3)[0]
    ('A', 'B', 'C')
    >>> candidate_labels(60)[0][-1]
    '60'
    """
    if n_options < 1:
        raise ValueError(f"n_options must be at least 1, got {n_options}")
    letters = tuple(alphabet[:n_options] for alphabet in LABEL_ALPHABETS if len(alphabet) >= n_options)
    numbers = tuple(str(i) for i in range(1, n_options + 1))
    return (*dict.fromkeys(letters), numbers)
