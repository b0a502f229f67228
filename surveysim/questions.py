"""The survey question: its wording, its options and what their order means."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Question", "as_questions"]

_COUNTED = re.compile(r"(-?\d{1,4})\D*")
"""A whole number, and words behind it."""


@dataclass(frozen=True, repr=False)
class Question:
    """One survey question with the options that respondents choose from.

    Parameters
    ----------
    text : str
        The wording that respondents read.
    options : sequence of str
        The answers, in the order of the questionnaire; at least two, all different.
    codes : sequence, optional
        What the data file holds for each option, for example ``[1, 2, 3, 8]``. Without codes, `tabulate` matches
        the option texts and then the integers 1..K.
    ordinal : bool, default=True
        Whether the options (those in `pinned` apart) lie on a scale. Ordinal metrics and the smoothing along the
        scale need it; say ``False`` for options like parties or religions.
    values : sequence of float, optional
        Positions of the options on their scale, strictly increasing or strictly decreasing. Entries of pinned options
        are ignored and may be None. By default options that are numbers and count up by one, such as "0" to "10" or
        "0 not at all" to "10 completely", stand at these numbers, all others at 1..K.
    pinned : sequence of str, default=()
        Options that stay last when options are reordered and are outside the order, such as "Don't know".
    context : str, optional
        Survey, country and year, for the prompt.

    Raises
    ------
    TypeError
        If `text`, `context` or an option is not a string.
    ValueError
        If options are empty, fewer than two or repeated; if codes, values or pinned do not fit the options.

    Examples
    --------
    >>> from surveysim import Question
    >>> rating = Question(
    ...     "How do you rate your marriage?",
    ...     ["poor", "fair", "good", "don't know"],
    ...     codes=[1, 2, 3, 9],
    ...     pinned=["don't know"],
    ... )
    >>> rating.n_options
    4
    >>> rating.positions
    array([ 1.,  2.,  3., nan])
    """

    text: str
    options: Sequence[str]
    codes: Sequence[Hashable] | None = field(default=None, kw_only=True)
    ordinal: bool = field(default=True, kw_only=True)
    values: Sequence[float | None] | None = field(default=None, kw_only=True)
    pinned: Sequence[str] = field(default=(), kw_only=True)
    context: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        text = _check_string(self.text, "text")
        if isinstance(self.options, str) or not isinstance(self.options, Sequence | np.ndarray):
            raise TypeError(f"options must be a list of strings, got {self.options!r}")
        options = tuple(_check_string(option, f"options[{i}]") for i, option in enumerate(self.options))
        if len(options) < 2:
            raise ValueError(f"a question needs at least two options, got {len(options)}: {list(options)}")
        _refuse_repeated(options, "options")
        set_ = object.__setattr__
        set_(self, "text", text)
        set_(self, "options", options)
        set_(self, "ordinal", bool(self.ordinal))
        if self.context is not None:
            set_(self, "context", _check_string(self.context, "context"))
        set_(self, "pinned", self._check_pinned(options))
        if self.codes is not None:
            codes = tuple(code.item() if isinstance(code, np.generic) else code for code in self.codes)
            if len(codes) != len(options):
                raise ValueError(f"codes must name one code per option: {len(options)} options, {len(codes)} codes")
            _refuse_repeated(codes, "codes")
            set_(self, "codes", codes)
        if self.values is not None:
            set_(self, "values", self._check_values(options))

    def _check_pinned(self, options: tuple[str, ...]) -> tuple[str, ...]:
        if isinstance(self.pinned, str):
            raise TypeError(f"pinned must be a list of options, got the string {self.pinned!r}")
        pinned = tuple(option.strip() if isinstance(option, str) else option for option in self.pinned)
        unknown = [option for option in pinned if option not in options]
        if unknown:
            raise ValueError(f"pinned names {unknown}, which are not among the options {list(options)}")
        if len(options) - len(set(pinned)) < 2:
            raise ValueError(f"at least two options must stay unpinned, pinned={list(pinned)} of {list(options)}")
        return tuple(option for option in options if option in pinned)

    def _check_values(self, options: tuple[str, ...]) -> tuple[float | None, ...]:
        assert self.values is not None
        if not self.ordinal:
            raise ValueError("values are positions on a scale: they need ordinal=True")
        if len(self.values) != len(options):
            raise ValueError(f"values must hold one position per option: {len(options)} options, {len(self.values)}")
        values = tuple(
            None if option in self.pinned else float(value)  # type: ignore[arg-type]
            for option, value in zip(options, self.values, strict=True)
        )
        scale = np.array([value for value in values if value is not None])
        steps = np.diff(scale)
        if not np.isfinite(scale).all() or not ((steps > 0).all() or (steps < 0).all()):
            raise ValueError(f"values must be finite and strictly monotone in the order of the options, got {scale}")
        return values

    @property
    def n_options(self) -> int:
        """Number of options, K."""
        return len(self.options)

    @property
    def pinned_mask(self) -> np.ndarray:
        """Boolean array (K,), True for options outside the order."""
        return np.array([option in self.pinned for option in self.options])

    @property
    def positions(self) -> np.ndarray:
        """Positions (K,) on the scale: `values`, or the options' own numbers, or 1..K.

        NaN for pinned options, all NaN for a nominal question.
        """
        if not self.ordinal:
            return np.full(self.n_options, np.nan)
        if self.values is not None:
            return np.array([math.nan if value is None else value for value in self.values])
        positions = np.full(self.n_options, np.nan)
        ordered = ~self.pinned_mask
        first = _first_number([option for option in self.options if option not in self.pinned])
        positions[ordered] = np.arange(first, first + ordered.sum())
        return positions

    def to_dict(self) -> dict[str, Any]:
        """Everything that defines the question, as JSON-ready types."""
        return {
            "text": self.text,
            "options": list(self.options),
            "codes": None if self.codes is None else list(self.codes),
            "ordinal": self.ordinal,
            "values": None if self.values is None else list(self.values),
            "pinned": list(self.pinned),
            "context": self.context,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Question:
        """Make a question from what `to_dict` returned.

        Parameters
        ----------
        state : mapping
            What `to_dict` returned.

        Returns
        -------
        Question
        """
        state = dict(state)
        return cls(state.pop("text"), state.pop("options"), **state)

    def __repr__(self) -> str:
        parts = [repr(self.text), repr(list(self.options))]
        if self.codes is not None:
            parts.append(f"codes={list(self.codes)!r}")
        if not self.ordinal:
            parts.append("ordinal=False")
        if self.values is not None:
            parts.append(f"values={list(self.values)!r}")
        if self.pinned:
            parts.append(f"pinned={list(self.pinned)!r}")
        if self.context is not None:
            parts.append(f"context={self.context!r}")
        return f"Question({', '.join(parts)})"


def as_questions(question: Question | Mapping[str, Question] | None) -> dict[str, Question] | None:
    """The `question=` parameter as a mapping from names to questions, in its order.

    Parameters
    ----------
    question : Question, mapping of str to Question, or None
        A single question gets the name ``""``; None stays None (options "1".."K" are then taken from Y).

    Returns
    -------
    dict or None

    Raises
    ------
    TypeError
        If it is neither, or a value of the mapping is not a Question.
    ValueError
        If the mapping is empty.
    """
    if question is None:
        return None
    if isinstance(question, Question):
        return {"": question}
    if not isinstance(question, Mapping):
        raise TypeError(f"question must be a Question or a mapping of names to Question, got {question!r}")
    if not question:
        raise ValueError("question is an empty mapping: it must name at least one Question")
    for name, value in question.items():
        if not isinstance(value, Question):
            raise TypeError(f"question[{name!r}] must be a Question, got {value!r}")
    return dict(question)


def _check_string(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {value!r}")
    if not value.strip():
        raise ValueError(f"{name} is empty")
    return value.strip()


def _refuse_repeated(items: Sequence[Hashable], name: str) -> None:
    seen: set[Hashable] = set()
    for item in items:
        if item in seen:
            raise ValueError(f"{name} must all be different, {item!r} is repeated")
        seen.add(item)


def _first_number(options: Sequence[str]) -> int:
    """Where options begin to count: at the number of the first if all are numbers that go up by one, else at 1.

    A number may have words behind it, but no further digit: "18-29" is a range.
    """
    numbers = [_COUNTED.fullmatch(option.strip()) for option in options]
    counted = [int(found[1]) for found in numbers if found is not None]
    if counted and counted == list(range(counted[0], counted[0] + len(options))):
        return counted[0]
    return 1
