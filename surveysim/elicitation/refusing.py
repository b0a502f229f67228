"""Declining to answer: texts of models that do, and options of questions that stand for it."""

from __future__ import annotations

import re

from surveysim.elicitation.texts import plain

__all__ = ["is_refusal", "is_refusal_option"]

_REFUSING = re.compile(
    r"\b(?:i\s?(?:'m|am)\s+(?:sorry|unable|not\s+able|not\s+allowed|an?\s+ai\b|just\s+an?\s+ai)"
    r"|i\s+(?:can\s?not|can't|won't|will\s+not|do\s+not\s+feel|don't\s+feel|must\s+decline|have\s+to\s+decline|decline|refuse)"
    r"|i\s?(?:'d|would)\s+(?:rather|prefer)\s+not|prefer\s+not\s+to\s+(?:say|answer)"
    r"|as\s+an?\s+(?:ai|artificial|large\s+language|language)\b"
    r"|i\s+(?:do\s+not|don't)\s+have\s+(?:personal\s+|any\s+)?(?:opinion|belief|feeling|preference|view)"
    r"|refused?\s+to\s+answer|no\s+comment)",
    re.IGNORECASE,
)

_REFUSAL_OPTION = re.compile(
    r"(?:\(vol(?:\.|unteered)?\)\s*)?"  # questionnaires mark what interviewers do not read out
    r"(?:\(?(?:i\s+)?(?:refused?|refusal|declined?|(?:refused?|declined?|cho?ose\s+not)\s+to\s+(?:answer|say|state)"
    r"|(?:(?:i\s+)?(?:would\s+)?(?:prefer|rather)|i'd\s+(?:prefer|rather))\s+not\s+(?:to\s+)?"
    r"(?:say|answer|state|tell|disclose)"
    r"|no\s+answer)\)?)(?:\s*/\s*(?:no\s+answer|refused|web\s+blank))?(?:\s*\(vol(?:\.|unteered)?\))?",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Whether a model declines to answer ("I'm sorry, but as an AI ...").

    Parameters
    ----------
    text : str

    Returns
    -------
    bool

    Examples
    --------
    >>> is_refusal("I'm sorry, but I can't answer for other people.")
    True
    >>> is_refusal("I am not sure.")
    False
    """
    return _REFUSING.search(plain(text)) is not None


def is_refusal_option(option: str) -> bool:
    """Whether an option of a question stands for refusing ("Refused", "Prefer not to say"). "Don't know" does not.

    Parameters
    ----------
    option : str

    Returns
    -------
    bool

    Examples
    --------
    >>> [is_refusal_option(option) for option in ("Refused", "Prefer not to say", "Don't know")]
    [True, True, False]
    """
    return _REFUSAL_OPTION.fullmatch(plain(option).strip()) is not None
