"""Codes apart from the others, as 8, 9, 88, 99 and -1 are when they stand for a missing answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["ages_apart", "amounts_apart", "codes_apart"]

# What surveys write for refused, don't know and no answer: https://ess.sikt.no, WVS, GSS and Pew codebooks.
_DIGITS = (7, 8, 9)
_SEVERAL_DIGITS = frozenset(
    code
    for length in (2, 3, 4, 5)
    for code in [*(int(str(d) * length) for d in (5, 6, 7, 8, 9)), *range(10**length - 6, 10**length)]
)


def codes_apart(numbers: Iterable[float], *, any_number: bool = False) -> list[float]:
    """Negative codes with a gap to the others, and codes such as 8, 9, 88 and 99 after a gap.

    Parameters
    ----------
    numbers : iterable of float
        The codes of one variable.
    any_number : bool, default=False
        Whether the last code counts, whatever it is, where it alone follows a gap after 0, 1, 2, ... or 1, 2, 3, ...

    Returns
    -------
    list of float
        Ascending. Empty where fewer than two codes would be left.

    Examples
    --------
    >>> (
    ...     codes_apart([1, 2, 3, 4, 8, 9]),
    ...     codes_apart([-9, 1, 2]),
    ...     codes_apart(range(11)),
    ...     codes_apart([-1, 0, 1]),
    ... )
    ([8, 9], [-9], [], [])
    """
    found = sorted(set(numbers))
    low = [number for number in found if number < 0]
    rest = [number for number in found if number >= 0]
    if low and rest and rest[0] - low[-1] <= 1 and (len(rest) < 3 or -low[0] >= rest[-1] / 2):
        rest, low = found, []  # -2 to 2 is a scale, and so are -1, 0, 1
    high = _after_gap(rest)
    if not high and any_number and len(rest) > 3 and rest[-1] - rest[-2] > 1 and _is_run(rest[:-1]):
        high = rest[-1:]
    if len(rest) - len(high) < 2:
        high = []
    return low + high if len(rest) - len(high) >= 2 else []


def _is_run(numbers: Sequence[float]) -> bool:
    return numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1


def _after_gap(numbers: Sequence[float]) -> list[float]:
    """The last codes, if they are 7, 8, 9 after at most 7, or 88, 97, 99 and their like after less."""
    taken = 0
    while taken < len(numbers) and numbers[-1 - taken] in _SEVERAL_DIGITS:
        taken += 1
        rest = numbers[: len(numbers) - taken]
        if rest and rest[-1] not in _SEVERAL_DIGITS and numbers[len(rest)] - rest[-1] > 2:
            # 8 and 9 beside 1 to 5 stay what they are where 88 and 99 exist
            return list(numbers[len(rest) :])
    for taken in (3, 2, 1):
        block, rest = numbers[len(numbers) - taken :], numbers[: len(numbers) - taken]
        if len(block) == taken and all(code in _DIGITS for code in block) and len(rest) > 1:
            if block[0] == 7 and taken == 1:
                return []  # of 1 to 7, nobody chose 6
            if block[0] - rest[-1] >= 2 and rest[-1] <= 7:
                return list(block)
    return []


def ages_apart(counts: Mapping[float, int]) -> list[float]:
    """Ages such as 98 and 99, 0 and 9, that nobody near has, or that more have than the years before.

    Parameters
    ----------
    counts : mapping of float to int
        Respondents of every age.
    """
    ages = sorted(counts)
    apart: list[float] = [age for age in (97.0, 98.0, 99.0) if age in counts]
    years_before = [counts.get(age, 0) for age in range(90, 97)]
    usual = max(3.0, 3.0 * sum(years_before) / len(years_before))
    older = [age for age in ages if age < 97]
    if apart and older and apart[0] - older[-1] <= 1 and all(counts[age] <= usual for age in apart):
        apart = []
    adults = [age for age in ages if age >= 10]
    young = [age for age in ages if age < 10]
    if adults and 0 < len(young) <= 3 and adults[0] - young[-1] > 5:
        apart = young + apart
    return apart if len(ages) - len(apart) >= 2 else []


def amounts_apart(numbers: Iterable[float]) -> list[float]:
    """Of amounts, those that look like codes: 77, 88, 99 well above the others, 9 after 1 and 2, -9 below 0.

    99 is a plain value where 90 and 95 occur; -2 and -1 are where 0 occurs, -9 is not.
    """
    found = sorted(set(numbers))
    ordinary = [value for value in found if value >= 0 and value not in _SEVERAL_DIGITS]
    digits = [value for value in ordinary if value in _DIGITS]
    below = [value for value in ordinary if value not in digits]
    if len(below) >= 2 and digits and min(digits) - max(below) >= 4:
        ordinary = below
    else:
        digits = []
    if len(ordinary) < 2:
        return []
    high = [value for value in found if value in _SEVERAL_DIGITS and value > max(ordinary) + 10]
    line = sorted([value for value in found if value < 0] + [min(ordinary)])
    gaps = [i for i, (low, above) in enumerate(itertools.pairwise(line)) if above - low > 1]
    return sorted(digits + high + line[: max(gaps, default=-1) + 1])
