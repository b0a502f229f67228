"""Orders in which a question's options are shown, so that a model's preference for early letters averages out."""

from __future__ import annotations

from typing import Literal, get_args

from surveysim.questions import Question

__all__ = ["KINDS", "OrderKind", "option_orders"]

OrderKind = Literal["auto", "given", "reverse", "forward-reverse", "cyclic"]

KINDS: tuple[OrderKind, ...] = get_args(OrderKind)


def option_orders(question: Question, kind: OrderKind = "auto") -> list[tuple[int, ...]]:
    """List permutations of a question's options; pinned options stay last in all of them.

    Parameters
    ----------
    question : Question
    kind : {"auto", "given", "reverse", "forward-reverse", "cyclic"}, default="auto"
        ``"given"``: the questionnaire's order alone. ``"reverse"``: back to front. ``"forward-reverse"``: these two.
        ``"cyclic"``: every rotation, so that each option stands once at each place. ``"auto"``: forward and reverse
        for ordinal questions, whose options would be nonsense in another order, and cyclic for nominal ones.

    Returns
    -------
    list of tuple of int
        Each tuple names, place by place, the index of the option shown there. The first is the given order, except
        for ``"reverse"``.

    Raises
    ------
    ValueError
        If `kind` is none of these.

    Examples
    --------
    >>> from surveysim import Question
    >>> option_orders(
    ...     Question("Better?", ["yes", "same", "no", "don't know"], pinned=["don't know"])
    ... )
    [(0, 1, 2, 3), (2, 1, 0, 3)]
    """
    if kind not in KINDS:
        raise ValueError(f"option orders must be one of {list(KINDS)}, got {kind!r}")
    if kind == "auto":
        kind = "forward-reverse" if question.ordinal else "cyclic"
    pinned = question.pinned_mask
    free = [i for i in range(question.n_options) if not pinned[i]]
    last = [i for i in range(question.n_options) if pinned[i]]
    if kind == "given":
        # Even here pinned options go last: that is what pinned means.
        shown = [free]
    elif kind == "reverse":
        shown = [free[::-1]]
    elif kind == "forward-reverse":
        shown = [free, free[::-1]]
    else:
        shown = [free[start:] + free[:start] for start in range(len(free))]
    return [tuple(order + last) for order in shown]
