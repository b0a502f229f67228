"""Matching the options of a question: equal names, merged, split with stated shares, or left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from surveysim.datasets.no_answer import missing_kind
from surveysim.questions import Question
from surveysim.sources.names import find_name, listed

__all__ = ["OptionMapping", "OptionMatch", "match_options"]

SHARE_TOLERANCE = 0.01
"""How far the stated shares of a split may be from 1 in sum: they are rounded, and are then scaled to 1."""

OptionMapping: TypeAlias = Mapping[str, str | Mapping[str, float] | None]
"""Their options to ours, to shares of several of ours, or to None."""


@dataclass(frozen=True)
class OptionMatch:
    """How the options of one question of the source become those of the target.

    Attributes
    ----------
    shares : float array of shape (K_theirs, K_ours)
        Which part of each of their options is which of ours; a row of 0 is left out.
    left_out : list of (str, str)
        Their options that are left out without the user's saying so, and why.
    failure : str
        Why the question cannot be matched; "" where it is.
    """

    shares: np.ndarray
    left_out: list[tuple[str, str]]
    failure: str = ""

    def apply(self, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distributions over our options (n, K_ours), NaN where nobody is left, and the part (n,) that was kept."""
        moved = np.nan_to_num(Y[:, : len(self.shares)]) @ self.shares
        kept = moved.sum(axis=1)
        return np.divide(moved, kept[:, None], out=np.full_like(moved, np.nan), where=kept[:, None] > 0), kept


def match_options(theirs: Sequence[str], question: Question, mapping: OptionMapping | None, name: str) -> OptionMatch:
    """Match the options of one question.

    Parameters
    ----------
    theirs : sequence of str
        The source's options.
    question : Question
        The target's.
    mapping : mapping, optional
        Their option to ours (several to one are summed), to None (left out, the others rescaled), or to a mapping of
        ours to shares that sum to 1 (split).
    name : str
        The question, for messages.

    Raises
    ------
    TypeError, ValueError
        If the mapping is none, has options that do not exist or shares that do not sum to 1; if no option matches.
    """
    places = {option: k for k, option in enumerate(question.options)}
    shares = np.zeros((len(theirs), question.n_options))
    settled = _apply_mapping(shares, theirs, places, mapping, name)
    left_out, strange = [], []
    for j, option in enumerate(theirs):
        if j in settled:
            continue
        our = find_name(option, question.options)
        if our is not None:
            shares[j, places[our]] = 1.0
        elif missing_kind(option) is not None:
            left_out.append((option, f"question {name!r}: no answer, left out and the others rescaled"))
        else:
            strange.append(option)
    empty = [option for option, k in places.items() if not shares[:, k].any()]
    if len(empty) == question.n_options:
        raise ValueError(
            f"question {name!r}: the source's options {listed(theirs)} are none of the target's "
            f"{listed(question.options)}. Say which is which, options={{{name!r}: {{theirs: ours}}}}, or leave the "
            f"question out, questions={{theirs: None}}."
        )
    failure = ""
    if strange:
        failure = f"the source's options {listed(strange)} are none of the target's {listed(question.options)}"
    elif empty:
        failure = f"the target's options {listed(empty)} are none of the source's {listed(theirs)}"
        if all(missing_kind(option) is not None for option in empty):
            what = f"; if it has them in other words, say so, options={{{name!r}: {{theirs: {empty[0]!r}}}}}"
            failure += f"{what}, or tabulate your survey without {'them' if len(empty) > 1 else 'it'}"
    return OptionMatch(shares, left_out, failure)


def _apply_mapping(
    shares: np.ndarray, theirs: Sequence[str], places: Mapping[str, int], mapping: OptionMapping | None, name: str
) -> set[int]:
    """Fill the rows that the user settles; their numbers."""
    if mapping is None:
        return set()
    if not isinstance(mapping, Mapping):
        raise TypeError(f"options[{name!r}] must be a mapping of the source's options to the target's, got {mapping!r}")
    settled = set()
    for named, ours in mapping.items():
        their = find_name(named, theirs)
        if their is None:
            raise ValueError(
                f"options[{name!r}] names {named!r}, which the source does not have: it has {listed(theirs)}"
            )
        row = list(theirs).index(their)
        settled.add(row)
        for option, share in _as_split(ours, named, name).items():
            known = find_name(option, list(places))
            if known is None:
                raise ValueError(
                    f"options[{name!r}] maps {named!r} to {option!r}, which the target does not have: it has "
                    f"{listed(list(places))}"
                )
            shares[row, places[known]] += share
    return settled


def _as_split(ours: str | Mapping[str, float] | None, named: str, name: str) -> dict[str, float]:
    if ours is None:
        return {}
    if not isinstance(ours, Mapping):
        return {ours: 1.0}
    values = np.array(list(ours.values()), dtype=float)
    if not np.isfinite(values).all() or (values < 0).any() or abs(values.sum() - 1.0) > SHARE_TOLERANCE:
        raise ValueError(
            f"options[{name!r}] splits {named!r} into shares {dict(ours)}: they must be at least 0 and sum to 1"
        )
    return dict(zip(ours, (values / values.sum()).tolist(), strict=True))
