"""Matching levels of an attribute: equal names, as the user says, or a finer cut of numbers within a coarser one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

from surveysim.level_order import range_of
from surveysim.sources.names import find_name, listed, plain_name
from surveysim.tables.matching import as_number

__all__ = ["LevelMatch", "TargetLevels", "match_levels"]

_INFINITY = float("inf")

Range = tuple[float, float]

TOTALS = {
    "total", "totals", "all", "overall", "both", "everybody", "everyone", "net", "all adults", "all respondents",
    "total sample", "all ages", "all groups", "all genders", "both sexes",
}  # fmt: skip
"""What the row of everybody is called in printed tables."""


@dataclass(frozen=True)
class TargetLevels:
    """The levels of one attribute of the target.

    Attributes
    ----------
    values : list
        Levels that are known: categories of a categorical, or the values of the training cells.
    is_closed : bool
        Whether there can be no others.
    is_number : bool
        Whether they are numbers, of which any may occur.
    """

    values: list[Hashable]
    is_closed: bool
    is_number: bool


@dataclass
class LevelMatch:
    """Which of their levels are which of ours.

    Attributes
    ----------
    ours : dict
        Their level to ours.
    left_out : list
        Their levels that the user left out.
    unmatched : dict
        Their other levels, and why.
    notes : dict
        Levels that are kept but want a look, and why.
    """

    ours: dict[Hashable, Hashable] = field(default_factory=dict)
    left_out: list[Hashable] = field(default_factory=list)
    unmatched: dict[Hashable, str] = field(default_factory=dict)
    notes: dict[Hashable, str] = field(default_factory=dict)


def match_levels(
    theirs: Sequence[Hashable], target: TargetLevels, mapping: Mapping[Hashable, Hashable] | None, attribute: str
) -> LevelMatch:
    """Match the levels of one attribute; several of theirs may be one of ours.

    Parameters
    ----------
    theirs : sequence
        Levels in the source.
    target : TargetLevels
    mapping : mapping, optional
        Their level to ours; None leaves theirs out. It goes before equal names.
    attribute : str
        The target's name for it, for messages.

    Raises
    ------
    TypeError, ValueError
        If the mapping is none, or has levels that do not exist.
    """
    match = LevelMatch()
    _apply_mapping(match, theirs, target, mapping, attribute)
    _equal_names(match, theirs, target)
    _totals(match, theirs)
    _refuse_overlap(match, attribute)
    settled = {*match.ours, *match.left_out, *match.unmatched}
    rest = [level for level in theirs if level not in settled]
    if target.is_number:
        _other_numbers(match, rest, target)
        return match
    _nested(match, rest, theirs, target)
    _unseen_in_training(match, theirs, target)
    for level in theirs:
        if level not in match.ours and level not in match.left_out:
            match.unmatched.setdefault(level, f"none of the target's levels {listed(target.values)}")
    return match


def _apply_mapping(
    match: LevelMatch,
    theirs: Sequence[Hashable],
    target: TargetLevels,
    mapping: Mapping[Hashable, Hashable] | None,
    attribute: str,
) -> None:
    if mapping is None:
        return
    if not isinstance(mapping, Mapping):
        raise TypeError(f"levels[{attribute!r}] must be a mapping of the source's levels to the target's: {mapping!r}")
    for named, our in mapping.items():
        their = find_name(named, theirs)
        if their is None:
            raise ValueError(
                f"levels[{attribute!r}] names {named!r}, which the source does not have: it has {listed(theirs)}"
            )
        if our is None:
            match.left_out.append(their)
            continue
        known = find_name(our, target.values)
        if known is None and target.is_closed:
            raise ValueError(
                f"levels[{attribute!r}] maps {named!r} to {our!r}, which the target does not have: it has "
                f"{listed(target.values)}"
            )
        if known is None and not target.is_number:
            match.notes[their] = f"mapped to {our!r}, which no training cell has"
        match.ours[their] = our if known is None else known


def _equal_names(match: LevelMatch, theirs: Sequence[Hashable], target: TargetLevels) -> None:
    for level in theirs:
        if level in match.ours or level in match.left_out:
            continue
        our = find_name(level, target.values)
        if our is not None:
            match.ours[level] = our


def _totals(match: LevelMatch, theirs: Sequence[Hashable]) -> None:
    """Rows of everybody are no level."""
    for level in theirs:
        if level not in match.ours and level not in match.left_out and plain_name(level) in TOTALS:
            match.unmatched[level] = (
                "reads like the total over the attribute, and is left out: write a missing value where a row is the "
                "total"
            )


def _refuse_overlap(match: LevelMatch, attribute: str) -> None:
    """The people of a range must not be counted again with a part of it.

    Raises
    ------
    ValueError
        If two levels that the mapping puts together overlap.
    """
    for our in dict.fromkeys(match.ours.values()):
        parts = {level: r for level, other in match.ours.items() if other == our and (r := _range(level)) is not None}
        for one, other in combinations(parts, 2):
            is_range = any(low < high for low, high in (parts[one], parts[other]))
            if is_range and _overlap([parts[one], parts[other]]):
                raise ValueError(
                    f"levels[{attribute!r}]: {one!r} and {other!r} overlap and are both {our!r}: the same people would "
                    f"count twice. Leave one of them out: {{{other!r}: None}}."
                )


def _other_numbers(match: LevelMatch, rest: Sequence[Hashable], target: TargetLevels) -> None:
    """Levels where the target's values are numbers, of which a small sample does not have all."""
    known = [number for value in target.values if (number := as_number(value)) is not None]
    width = max(known, default=0.0) - min(known, default=0.0)
    for level in rest:
        number = as_number(level)
        if number is None:
            match.unmatched[level] = "no number, as the target's values are"
            continue
        match.ours[level] = int(number) if number.is_integer() else number
        if known and not min(known) - width <= number <= max(known) + width:
            match.notes[level] = f"far from the target's values, {min(known):g} to {max(known):g}: is it a code?"


def _nested(match: LevelMatch, rest: Sequence[Hashable], theirs: Sequence[Hashable], target: TargetLevels) -> None:
    """Ranges of numbers, or numbers, that lie within one of our ranges and together fill it."""
    our_ranges = {level: r for level in target.values if (r := _range(level)) is not None and r[0] < r[1]}
    their_ranges = {level: r for level in rest if (r := _range(level)) is not None}
    if not our_ranges or not their_ranges:
        return
    everything = [r for level in theirs if (r := _range(level)) is not None]
    if _overlap(everything):
        for level, own in their_ranges.items():
            twice = [other for other in theirs if other != level and (r := _range(other)) and _overlap([own, r])]
            if twice:
                match.unmatched[level] = f"overlaps {listed(twice)} of the source, which are the same people in part"
        return
    lowest, highest = min(low for low, _ in everything), max(high for _, high in everything)
    for our, whole in our_ranges.items():
        parts = [level for level, r in their_ranges.items() if whole[0] <= r[0] and r[1] <= whole[1]]
        if not parts:
            continue
        taken = [level for level, other in match.ours.items() if other == our]
        inside = sorted(their_ranges[level] for level in parts)
        is_short = whole[0] == -_INFINITY < inside[0][0] or inside[-1][1] < whole[1] == _INFINITY
        if taken:
            why = f"within {our!r}, which {listed(taken)} is already"
        elif all(low == high for low, high in inside):  # single numbers: nobody need be of each
            why, is_short = "", False
        else:
            why = _gap(inside, whole, lowest, highest, our)
        for level in parts:
            if why:
                match.unmatched[level] = why
                continue
            match.ours[level] = our
            if is_short:
                match.notes[level] = f"taken for {our!r}, though it ends earlier: the source has nobody beyond"


def _gap(inside: Sequence[Range], whole: Range, lowest: float, highest: float, our: object) -> str:
    """Why ranges do not fill a whole one; empty where they do. The outermost ones may leave an open end to nobody."""
    begins = inside[0][0] == whole[0] or (whole[0] == -_INFINITY and inside[0][0] == lowest)
    ends = inside[-1][1] == whole[1] or (whole[1] == _INFINITY and inside[-1][1] == highest)
    joined = all(upper[0] - lower[1] <= 1 for lower, upper in pairwise(inside))
    if begins and ends and joined:
        return ""
    return f"within {our!r}, of which the source's levels are only a part"


def _overlap(ranges: Sequence[Range]) -> bool:
    ordered = sorted(ranges)
    # neighbours may share an end ("20-30", "30-40")
    return any(lower[1] > upper[0] or lower == upper for lower, upper in pairwise(ordered))


def _range(level: object) -> Range | None:
    number = as_number(level)
    if number is not None:
        return number, number
    return range_of(level) if isinstance(level, str) else None


def _unseen_in_training(match: LevelMatch, theirs: Sequence[Hashable], target: TargetLevels) -> None:
    """Levels beyond those of a small sample: kept where all of the sample's levels are theirs by the same name."""
    if target.is_closed or not target.values:
        return
    if any(find_name(level, theirs) is None for level in target.values):
        return
    for level in theirs:
        if level not in match.ours and level not in match.left_out and level not in match.unmatched:
            match.ours[level] = level
            match.notes[level] = "no training cell has it; kept under its own name"
