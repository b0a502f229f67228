"""Tables of the same people: which of them say something that the others do not."""

from __future__ import annotations

import numpy as np

__all__ = ["distinct_tables"]

COVERED = 0.95
"""A finer table with this part of a coarser one's respondents says all that the coarser one does."""


def distinct_tables(question: np.ndarray, table: np.ndarray, is_total: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Rows without those that finer rows of the same people imply.

    A survey's total, its shares by age and those by age and sex are the same answers three times. Of a question's
    tables one is left out where another states all of its attributes and more, for nearly as many respondents, or the
    same attributes for more. Tables by age and by sex alone both stay: they say different things of the same people.

    Parameters
    ----------
    question, table : int array of shape (m,)
    is_total : bool array of shape (m, A)
        Whether a row is the total over an attribute.
    n : float64 array of shape (m,)
        Respondents.

    Returns
    -------
    int array
        Rows that are kept, in order.
    """
    kept = np.ones(len(question), dtype=bool)
    for q in np.unique(question):
        own = np.flatnonzero(question == q)
        rows: dict[tuple[int, bytes], list[int]] = {}
        for row in own:
            rows.setdefault((int(table[row]), is_total[row].tobytes()), []).append(int(row))
        tables = [(np.array(members), ~is_total[members[0]], float(n[members].sum())) for members in rows.values()]
        for i, (members, stated, size) in enumerate(tables):
            kept[members] = not any(
                _implies(other, other_size, stated, size, is_earlier=j < i)
                for j, (_, other, other_size) in enumerate(tables)
                if j != i
            )
    return np.flatnonzero(kept)


def _implies(other: np.ndarray, other_size: float, stated: np.ndarray, size: float, *, is_earlier: bool) -> bool:
    """Whether one table makes another superfluous."""
    if (other == stated).all():
        return other_size > size or (other_size == size and is_earlier)
    return bool((other >= stated).all()) and other_size >= COVERED * size
