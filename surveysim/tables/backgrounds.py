"""Backgrounds of respondents: labels for codes, the order of levels, and a number for each combination."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd

from surveysim.tables.matching import CodeBook, list_values

__all__ = ["apply_labels", "blank_to_missing", "combine", "level_codes"]


def apply_labels(column: pd.Series, labels: Mapping[Hashable, object]) -> pd.Series:
    """Replace the codes of a background by labels, as a categorical in the order given.

    The result is ordered, unless the column is an unordered categorical, which stays so. Several codes may share a
    label; a label of None or NaN makes the code missing ("not stated").

    Raises
    ------
    ValueError
        If the column holds codes without a label; the message lists them with counts.
    """
    name = column.name
    if not isinstance(labels, Mapping) or not labels:
        raise TypeError(f"labels[{name!r}] must be a mapping from codes to labels, got {labels!r}")
    categories: list[str] = []
    position: list[int] = []  # per code of the codebook
    for code, label in labels.items():
        if label is None or (isinstance(label, float) and np.isnan(label)):
            position.append(-1)
            continue
        if not isinstance(label, str) or not label.strip():
            raise TypeError(f"labels[{name!r}][{code!r}] must be a text, or None for missing, got {label!r}")
        if label not in categories:
            categories.append(label)
        position.append(categories.index(label))
    seen, uniques = pd.factorize(column)
    values = list(uniques)
    codebook = CodeBook(labels)
    found = [codebook.find(value) for value in values]
    unknown = [i for i, where in enumerate(found) if where is None]
    if unknown:
        counts = np.bincount(seen[seen >= 0], minlength=len(values))[unknown].tolist()
        raise ValueError(
            f"background {name!r} holds codes without a label: {list_values([values[i] for i in unknown], counts)}; "
            f"labels has {list(labels)}. Label them, or give codes that mean missing the label None."
        )
    target = np.array([*[position[where] for where in found if where is not None], -1], dtype=np.int64)
    ordered = not (isinstance(column.dtype, pd.CategoricalDtype) and not column.dtype.ordered)
    labelled = pd.Categorical.from_codes(target[seen], dtype=pd.CategoricalDtype(categories, ordered=ordered))
    return pd.Series(labelled, index=column.index, name=name)


def blank_to_missing(column: pd.Series) -> pd.Series:
    """Empty text becomes missing; everything else stays as it is.

    Raises
    ------
    ValueError
        If a number is infinite.
    """
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if np.isinf(numbers).any():
            row = column.index[int(np.flatnonzero(np.isinf(numbers))[0])]
            raise ValueError(f"background {column.name!r} is infinite in row {row!r}: a finite number is expected")
        return column
    blank = [value for value in column.dropna().unique() if isinstance(value, str) and not value.strip()]
    return column.mask(column.isin(blank)) if blank else column


def level_codes(column: pd.Series) -> tuple[np.ndarray, int]:
    """Number the levels of a background in their order, missing last.

    Categories keep their order, numbers go by value, text by alphabet.

    Returns
    -------
    codes : int64 array of shape (n_respondents,)
    n_levels : int
        Including one for missing.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, n_levels = column.cat.codes.to_numpy(dtype=np.int64), len(column.cat.categories)
    else:
        try:
            codes, uniques = pd.factorize(column, sort=True)
        except TypeError:  # values of types that cannot be compared: still a fixed order, by type and text
            codes, uniques = pd.factorize(column)
            order = sorted(range(len(uniques)), key=lambda i: (type(uniques[i]).__name__, str(uniques[i])))
            rank = np.empty(len(uniques) + 1, dtype=np.int64)
            rank[order] = np.arange(len(uniques))
            rank[-1] = -1
            codes = rank[codes]
        codes, n_levels = codes.astype(np.int64), len(uniques)
    return np.where(codes < 0, n_levels, codes), n_levels + 1


def combine(columns: Sequence[tuple[np.ndarray, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Number the combinations of levels that occur, in lexicographic order.

    Parameters
    ----------
    columns : sequence of (codes, n_levels)

    Returns
    -------
    codes : int64 array of shape (n_respondents,)
    first : int array
        A respondent (row position) of each combination.
    """
    codes = np.zeros(len(columns[0][0]), dtype=np.int64)
    first = np.zeros(0, dtype=np.int64)
    for more, n_levels in columns:
        # compressed at each step, so that the product of many columns' levels cannot overflow
        _, first, codes = np.unique(codes * n_levels + more, return_index=True, return_inverse=True)
    return codes, first
