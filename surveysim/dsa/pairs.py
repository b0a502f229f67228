"""Which cells are compared in the shift loss: those that differ in exactly one attribute."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from surveysim.dsa.losses import Lines

__all__ = ["background_codes", "lines_of", "pair_counts"]


def background_codes(backgrounds: pd.DataFrame) -> np.ndarray:
    """Integer codes of the backgrounds, (n, n_attributes); -1 where an attribute is not stated."""
    codes = np.empty(backgrounds.shape, dtype=int)
    for a, column in enumerate(backgrounds.columns):
        codes[:, a] = pd.factorize(backgrounds[column].astype(object), use_na_sentinel=True)[0]
    return codes


def _line_ids(codes: np.ndarray, question: np.ndarray, attribute: int) -> np.ndarray:
    """Cells of one question with the same other attributes get the same id; -1 where `attribute` is not stated.

    "Not stated" means the total over an attribute, so it is compared only with itself: a row for women and a row for
    the over-65s state different attributes and are no pair.
    """
    others = np.column_stack([question, np.delete(codes, attribute, axis=1)])
    ids = np.unique(others, axis=0, return_inverse=True)[1].reshape(-1)
    return np.where(codes[:, attribute] >= 0, ids, -1)


def lines_of(codes: np.ndarray, question: np.ndarray, device: torch.device | None = None) -> list[Lines]:
    """The lines of a batch: for each attribute the sets of cells that differ in it alone.

    A background that comes in several rows is compared once, by its first row.

    Parameters
    ----------
    codes : int array of shape (B, n_attributes)
        As `background_codes`.
    question : int array of shape (B,)
        Each cell's question.
    device : torch.device, optional
        Where the tensors go.

    Returns
    -------
    list of Lines
        One entry for each attribute that has pairs.
    """
    found = []
    first = np.sort(np.unique(np.column_stack([question, codes]), axis=0, return_index=True)[1])
    for attribute in range(codes.shape[1]):
        ids = _line_ids(codes[first], question[first], attribute)
        stated = np.flatnonzero(ids >= 0)
        _, line, size = np.unique(ids[stated], return_inverse=True, return_counts=True)
        keep = size[line] > 1
        if not keep.any():
            continue
        kept, line = np.unique(line[keep], return_inverse=True)
        found.append(
            Lines(
                rows=torch.as_tensor(first[stated[keep]], device=device),
                line=torch.as_tensor(line, device=device),
                size=torch.as_tensor(size[kept], dtype=torch.float32, device=device),
                attribute=attribute,
            )
        )
    return found


def pair_counts(batches: list[list[Lines]], n_attributes: int) -> torch.Tensor:
    """Pairs per attribute over all batches, (n_attributes,)."""
    counts = torch.zeros(n_attributes)
    for lines in batches:
        for line in lines:
            counts[line.attribute] += line.n_pairs
    return counts
