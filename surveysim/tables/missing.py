"""Why an answer is missing: the four kinds, and how a survey file's codes for them are declared."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from surveysim.tables.matching import fold_text

__all__ = ["MISSING_KINDS", "MISSING_OPTIONS", "Missing", "MissingCodes", "as_missing", "kind_of_text"]

MISSING_KINDS = ("don't know", "refused", "skipped", "not asked")
"""The kinds of missing answers that are told apart, in the order of the columns of `Cells.missing`."""

MISSING_OPTIONS = {"don't know": "Don't know", "refused": "Refused"}
"""The kinds that are opinions about the question, and the option that stands for each under the policy "option"."""

POLICIES = ("drop", "option", "error")

MissingCodes: TypeAlias = Mapping[Any, str | Mapping[Any, str | None] | None]
"""The kind of missing answer by code, None where a code is an answer; a question's own codes by its column."""

# Text in a data file that says by itself why there is no answer (labels of ESS, Pew and GSS files). Only text:
# a number such as 9 or 99 says nothing until the user declares it.
_TEXTS = {
    "don't know": "don't know",
    "dont know": "don't know",
    "do not know": "don't know",
    "refused": "refused",
    "refusal": "refused",
    "skipped": "skipped",
    "no answer": "skipped",
    "not asked": "not asked",
    "not applicable": "not asked",
}


def kind_of_text(text: str) -> str | None:
    """The kind of missing answer that a text names ("Refusal" -> "refused"), or None."""
    return _TEXTS.get(fold_text(text))


@dataclass(frozen=True)
class Missing:
    """How missing answers are coded in the data, and what happens to them.

    Parameters
    ----------
    policy : {"drop", "option", "error"}, default="drop"
        ``"drop"``: a missing answer is left out of the cell's distribution and counted by its kind.
        ``"option"``: "don't know" and "refused" become pinned options of the question ("Don't know", "Refused"), so
        that they are answers like the others; "skipped" and "not asked" are left out and counted.
        ``"error"``: any missing answer is an error that lists the kinds and counts.
    codes : mapping, optional
        What the file holds where there is no answer: ``{-1: "skipped", 98: "don't know", 99: "refused"}``. A value
        that is itself a mapping declares the codes of one question alone, by its column, in place of the general
        ones: ``{9: "refused", "trust": {99: "refused"}}``. None declares an answer, ``{"trust": {9: None}}``: readers
        of files then leave its label alone. Numbers are never guessed to be missing codes.
    blank : {"not asked", "skipped", "don't know", "refused"}, default="not asked"
        What a blank (NaN, None, empty text) means in this file.

    Raises
    ------
    ValueError
        If the policy or a kind is unknown, or a code is blank (say `blank`).
    TypeError
        If `codes` is not a mapping.

    Examples
    --------
    >>> from surveysim.tables import Missing
    >>> missing = Missing(
    ...     "option", {-1: "skipped", 8: "don't know", "age_left_school": {88: "don't know"}}
    ... )
    >>> missing.codes_of("trust")
    {-1: 'skipped', 8: "don't know"}
    >>> missing.codes_of("age_left_school")
    {88: "don't know"}
    """

    policy: str = "drop"
    codes: MissingCodes = field(default_factory=dict)
    blank: str = "not asked"

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"missing must be one of {list(POLICIES)}, a mapping of codes or Missing: {self.policy!r}")
        if not isinstance(self.codes, Mapping):
            raise TypeError(f"Missing codes must be a mapping from codes to kinds, got {self.codes!r}")
        given = [self.codes, *(value for value in self.codes.values() if isinstance(value, Mapping))]
        if any(code is None or code != code for mapping in given for code in mapping):
            raise ValueError("blanks (NaN, None) are declared by blank=, for example Missing(blank='skipped')")
        codes = {
            key: {code: _kind_or_answer(kind, f"missing[{key!r}][{code!r}]") for code, kind in value.items()}
            if isinstance(value, Mapping)
            else _kind_or_answer(value, f"missing[{key!r}]")
            for key, value in self.codes.items()
        }
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "blank", _check_kind(self.blank, "blank"))

    def codes_of(self, column: str) -> dict[Hashable, str]:
        """The missing codes that hold for one question: its own if it has any, else the general ones.

        Parameters
        ----------
        column : str
            The question's column.

        Returns
        -------
        dict
            The kind of missing answer by code.
        """
        return {code: kind for code, kind in self._of(column).items() if kind is not None}

    def answers_of(self, column: str) -> frozenset[Hashable]:
        """The codes of one question that are declared to be answers.

        Parameters
        ----------
        column : str
            The question's column.

        Returns
        -------
        frozenset
        """
        return frozenset(code for code, kind in self._of(column).items() if kind is None)

    def _of(self, column: str) -> dict[Hashable, str | None]:
        own = self.codes.get(column)
        if isinstance(own, Mapping):
            return dict(own)
        return {code: kind for code, kind in self.codes.items() if not isinstance(kind, Mapping)}

    def question_columns(self) -> list[str]:
        """The columns that have a declaration of their own."""
        return [key for key, value in self.codes.items() if isinstance(value, Mapping)]


def as_missing(missing: str | MissingCodes | Missing) -> Missing:
    """The `missing=` parameter of `tabulate` as a `Missing`: a policy, a mapping of codes (then dropped), or both."""
    if isinstance(missing, Missing):
        return missing
    if isinstance(missing, Mapping):
        return Missing(codes=missing)
    if not isinstance(missing, str):
        raise TypeError(f"missing must be one of {list(POLICIES)}, a mapping of codes or Missing, got {missing!r}")
    return Missing(missing)


def _kind_or_answer(kind: object, where: str) -> str | None:
    return None if kind is None else _check_kind(kind, where)


def _check_kind(kind: object, where: str) -> str:
    known = kind_of_text(kind) if isinstance(kind, str) else None
    if known is None:
        raise ValueError(f"{where} must be one of the kinds {list(MISSING_KINDS)}, got {kind!r}")
    return known
