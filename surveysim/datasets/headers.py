"""Lines of names below the first, as SurveyMonkey and Qualtrics write them: wording and choices, not respondents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from surveysim.datasets.no_answer import plain_text

__all__ = ["HeaderLines", "read_header_lines"]


@dataclass
class HeaderLines:
    """The names of the columns, and what further lines say about them.

    Attributes
    ----------
    names : list of str
        Empty where a column has none.
    n_lines : int
        Rows of the table that are not respondents.
    wording : dict of str to str
        By name.
    findings : list of (variable, what, respondents, detail)
    """

    names: list[str]
    n_lines: int = 0
    wording: dict[str, str] = field(default_factory=dict)
    findings: list[tuple[str, str, int, str]] = field(default_factory=list)


# What Qualtrics calls its own columns, in the second line of its files.
_QUALTRICS = {
    "start date", "end date", "response id", "responseid", "recorded date", "ip address", "response type", "progress",
    "duration (in seconds)", "finished", "status", "distribution channel", "user language", "responseset",
}  # fmt: skip

# What SurveyMonkey writes below a question with one answer, in the languages of its interface.
_RESPONSE = {
    "response", "open-ended response", "respuesta", "respuesta abierta", "reponse", "reponse ouverte", "antwort",
    "offene antwort", "resposta", "resposta aberta", "risposta", "risposta aperta", "antwoord", "open antwoord",
    "回答", "回复", "开放式回答", "응답", "ответ", "свободныи ответ", "yanit", "svar", "vastaus", "odpowiedz",
}  # fmt: skip


def read_header_lines(data: pd.DataFrame, names: Sequence[str]) -> HeaderLines:
    """Tell lines of names from respondents.

    Parameters
    ----------
    data : DataFrame
        What follows the first line.
    names : sequence of str
        The first line; fewer than the columns where lines end in separators.

    Returns
    -------
    HeaderLines
    """
    names = [*(name.strip() for name in names), *[""] * data.shape[1]][: data.shape[1]]
    if len(data) < 2:
        return HeaderLines(names)
    second = ["" if pd.isna(value) else str(value).strip() for value in data.iloc[0]]
    third = [value for value in data.iloc[1].dropna() if str(value).strip()]
    if third and all(isinstance(value, str) and value.startswith('{"ImportId"') for value in third):
        return _wording(names, second, 2)
    if sum(plain_text(text) in _QUALTRICS for text in second) >= 2 or _is_wording(data, second):
        return _wording(names, second, 1)
    if _are_choices(data, names, second):
        return _choices(names, second)
    return HeaderLines(names)


def _wording(names: list[str], second: list[str], n_lines: int) -> HeaderLines:
    wording = {name: text for name, text in zip(names, second, strict=True) if name and text}
    what = "lines of names below the first, taken as wording"
    return HeaderLines(names, n_lines, wording, [("", what, 0, f"{n_lines} of them")])


def _is_wording(data: pd.DataFrame, second: list[str]) -> bool:
    """Whether a line of text stands above columns of numbers, most of them, and none of its text comes again."""
    said = [i for i, text in enumerate(second) if text]
    if len(said) < max(2, len(second) // 2) or any(_is_number(second[i]) for i in said):
        return False
    below = [data.iloc[1:, i].dropna() for i in said]
    if any((column.astype(str).str.strip() == second[i]).any() for i, column in zip(said, below, strict=True)):
        return False
    numeric = [len(column) > 0 and pd.to_numeric(column, errors="coerce").notna().all() for column in below]
    return bool(sum(numeric) > len(said) / 2)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _are_choices(data: pd.DataFrame, names: list[str], second: list[str]) -> bool:
    """Whether the second line has the choices of the questions in the first: names lack, and choices come again."""
    said = [i for i, text in enumerate(second) if text]
    responses = [i for i in said if plain_text(second[i]) in _RESPONSE]
    choices = [i for i in said if not names[i]]
    if not responses and not choices:
        return False
    for i in responses:
        if (data.iloc[1:, i].astype(str).str.strip() == second[i]).any():
            return False
    for i in choices:
        held = {str(value).strip() for value in data.iloc[1:, i].dropna()}
        if len(held) > 1 and not responses:
            return False
    return not (len(said) == len(second) and not responses)


def _choices(names: list[str], second: list[str]) -> HeaderLines:
    found: list[str] = []
    wording: dict[str, str] = {}
    question = ""
    for name, text in zip(names, second, strict=True):
        question = name or question
        is_response = not text or plain_text(text) in _RESPONSE
        called = question if is_response else f"{question} - {text}"
        if called in found:
            called = f"{called} ({len(found) + 1})"
        found.append(called)
        if called:
            wording[called] = called
    what = "a second line of names, taken as the choices of the questions above"
    return HeaderLines(found, 1, wording, [("", what, 0, "")])
