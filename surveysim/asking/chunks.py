"""Asks cut into chunks that worker processes answer: prompts that share a beginning stay together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from surveysim.asking.asks import Ask
from surveysim.models.prefixes import group_by_prefix

__all__ = ["make_chunks"]

TOKENS_PER_CHUNK = 4096
"""Tokens that a worker reads at a time, as the jobs of a fit: what is lost if it dies."""

TOKENS_PER_TEXT = 16
"""What a text counts, whatever its length: so a chunk has up to 256 of them, as many as are written at once. Fewer rows
would not be faster, because each step of writing reads all weights."""

CHUNKS_PER_PROCESS = 3
"""So many chunks at least for each process, if there is work enough, so that all end at about the same time."""

SMALLEST_CHUNK = 1024
"""But none of fewer tokens for that reason: each reads what its prompts share again."""


def make_chunks(
    asks: Sequence[Ask], tokens: Sequence[tuple[int, ...]], n_processes: int, *, overhead: int
) -> list[list[int]]:
    """Cut asks into chunks of about equal work.

    Parameters
    ----------
    asks : sequence of Ask
    tokens : sequence of tuples of int
        The token ids of each ask's prompt.
    n_processes : int
        How many processes will share the work.
    overhead : int
        What one more pass through the model costs, in tokens.

    Returns
    -------
    list of lists of int
        Positions of asks, each in exactly one chunk. A chunk has asks of one kind.

    Examples
    --------
    >>> from surveysim.prompts import Prompt
    >>> asks = [Ask(Prompt("", "?"), "text", ("A", "B"), sample=i) for i in range(600)]
    >>> [len(chunk) for chunk in make_chunks(asks, [(1, 2, 3)] * 600, 2, overhead=128)]
    [99, 99, 99, 99, 99, 99, 6]
    """
    chunks = []
    for kind in ("label", "text"):
        wanted: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for position, ask in enumerate(asks):
            if ask.kind == kind:
                wanted[tokens[position]].append(position)
        chunks += _cut(wanted, TOKENS_PER_TEXT if kind == "text" else 0, n_processes, overhead)
    return chunks


def _cut(wanted: dict[tuple[int, ...], list[int]], per_ask: int, n_processes: int, overhead: int) -> list[list[int]]:
    """Chunks of prompts with the asks of each; neighbours in a chunk share the longest beginnings."""
    prompts = list(wanted)
    groups = group_by_prefix(prompts, overhead=overhead)
    work = sum(len(prompts[row]) - group.n_prefix for group in groups for row in group.rows)
    work += per_ask * sum(map(len, wanted.values()))
    size = min(TOKENS_PER_CHUNK, max(SMALLEST_CHUNK, work // (CHUNKS_PER_PROCESS * n_processes)))
    chunks: list[list[int]] = []
    room = 0
    for group in groups:
        has_prefix = False  # whether the last chunk reads the group's beginning already
        for row in sorted(group.rows, key=prompts.__getitem__):
            positions, own = wanted[prompts[row]], len(prompts[row]) - group.n_prefix
            # The draws of one prompt may be more than a chunk holds.
            at_once = max(1, (size - own) // per_ask) if per_ask else len(positions)
            for start in range(0, len(positions), at_once):
                some = positions[start : start + at_once]
                cost = own + per_ask * len(some)
                if room < cost + (0 if has_prefix else group.n_prefix):
                    chunks.append([])
                    room, has_prefix = size, False
                room -= cost + (0 if has_prefix else group.n_prefix)
                has_prefix = True
                chunks[-1].extend(some)
    return chunks
