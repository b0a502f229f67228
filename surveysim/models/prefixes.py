"""Groups of prompts by longest common token prefix: which of them share a beginning worth reading once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["PrefixGroup", "group_by_prefix", "n_common"]


@dataclass(frozen=True)
class PrefixGroup:
    """Prompts that are read after one shared beginning.

    Attributes
    ----------
    n_prefix : int
        Tokens that all of them begin with; each has at least one token more. 0: nothing is shared.
    rows : list of int
        Positions of the prompts.
    """

    n_prefix: int
    rows: list[int] = field(default_factory=list)


def group_by_prefix(prompts: Sequence[Sequence[int]], *, overhead: int) -> list[PrefixGroup]:
    """Group prompts so that as few tokens as possible have to be read.

    Sorted prompts form a tree of common beginnings. From the root down, a branch becomes a group of its own where
    reading its longer beginning once, instead of once a prompt, saves more tokens than the beginning itself and one
    more pass cost.

    Parameters
    ----------
    prompts : sequence of sequences of int
        Token ids, at least one each.
    overhead : int
        What one more pass through the model costs, in tokens.

    Returns
    -------
    list of PrefixGroup
        Every prompt is in exactly one group; within a group prompts are sorted by length, then by their tokens.

    Examples
    --------
    >>> asked = [[1, 2, 3, 4, n] for n in range(5)] + [[1, 9]]
    >>> [(group.n_prefix, group.rows) for group in group_by_prefix(asked, overhead=2)]
    [(0, [5]), (4, [0, 1, 2, 3, 4])]
    """
    if not prompts:
        return []
    order = sorted(range(len(prompts)), key=lambda row: tuple(prompts[row]))
    ordered = [prompts[row] for row in order]
    common = [0] + [n_common(a, b) for a, b in pairwise(ordered)]
    root = PrefixGroup(0)
    groups = [root]
    branches = [(0, len(order), root)]
    while branches:
        start, end, group = branches.pop()
        n = end - start
        longest = max(len(ids) for ids in ordered[start:end])
        if n == 1 or n * (longest - group.n_prefix) <= longest + overhead:  # nothing below could pay
            group.rows.extend(order[start:end])
            continue
        shared = min(common[start + 1 : end])
        # Every prompt keeps a token of its own: the one at which its answer is read.
        usable = min(shared, min(len(ids) for ids in ordered[start:end]) - 1)
        if n * (usable - group.n_prefix) > usable + overhead:
            group = PrefixGroup(usable)
            groups.append(group)
        cuts = [start, *(i for i in range(start + 1, end) if common[i] == shared), end]
        if len(cuts) == 2:  # all the same
            group.rows.extend(order[start:end])
            continue
        branches.extend((a, b, group) for a, b in pairwise(cuts))
    kept: list[PrefixGroup] = []
    for group in groups[1:]:
        # What the branches left behind may be too little to pay for the beginning.
        if len(group.rows) * group.n_prefix > group.n_prefix + overhead:
            kept.append(group)
        else:
            root.rows.extend(group.rows)
    if root.rows:
        kept.insert(0, root)
    for group in kept:
        group.rows.sort(key=lambda row: (len(prompts[row]), tuple(prompts[row])))
    return kept


def n_common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two prompts have in common at their beginning."""
    for i, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return i
    return min(len(first), len(second))
