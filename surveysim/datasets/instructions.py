"""Instructions of AlignSurvey: a person, a question and its options, in English or Chinese."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from surveysim.datasets.no_answer import plain_text

__all__ = ["YEAR", "Asked", "find_option", "read_instruction"]

YEAR = "year"
"""The attribute that holds when a survey was made."""

_PERSON = re.compile(r"^\s*your\s+(?!personal background)([^:]+):\s*(.*?)\s*$", re.IGNORECASE)
_CHINESE_PERSON = re.compile(r"^\s*(.+?)\s*[:\uff1a]\s*(.*?)\s*$")
_YEAR = re.compile(r"\bthe survey is in (\d{4})\b", re.IGNORECASE)
_OPTION = re.compile(r"^\s*([A-Z])\s*[.\uff0e]\s*(.+?)\s*$")
_LETTER = re.compile(r"^\s*\(?([A-Z])\)?\s*[.\uff0e]?\s*$")
_STANCE = re.compile(r"(\u8bf7\u5224\u65ad.+?)[\uff0c\u3002]")
"""The request to judge a stance, up to the comma."""

_STANCES = re.compile("predict\u5b57\u6bb5\u4ece(.+?)\u4e2d\u9009\u62e9")
"""What the field "predict" may hold."""

_QUOTED = re.compile('["\u201c](.+?)["\u201d]')

PERSON_HEADS = ("\u4f60\u7684\u4e2a\u4eba\u80cc\u666f", "\u80cc\u666f\u4fe1\u606f")
QUESTION_HEADS = ("survey question", "\u95ee\u5377\u95ee\u9898")
OPTION_HEADS = ("\u9009\u9879", "options")
"""Lines above the person (of Chinese records), the question and its options."""


@dataclass(frozen=True)
class Asked:
    """Who was asked what.

    Attributes
    ----------
    person : dict of str to str
        Attributes, and the year of the survey where it is told.
    question : str
    options : list of str
    is_stance : bool
        Whether the answer is a stance, in JSON.
    """

    person: dict[str, str]
    question: str
    options: list[str]
    is_stance: bool = False


def read_instruction(text: str, where: str) -> Asked:
    """The person, the question and its options.

    Raises
    ------
    ValueError
        If the instruction has none.
    """
    person = {YEAR: match[1]} if (match := _YEAR.search(text)) else {}
    question: list[str] = []
    options: list[str] = []
    section = ""
    for line in text.splitlines():
        head = line.strip().rstrip(":\uff1a").strip().lower()
        if head in PERSON_HEADS or head in QUESTION_HEADS:
            section = "person" if head in PERSON_HEADS else "question"
        elif section == "question":
            match = _OPTION.match(line)
            if match and question and match[1] == chr(ord("A") + len(options)):
                options.append(match[2])
            elif not options and line.strip() and head not in OPTION_HEADS:
                question.append(line.strip())
        elif stated := _PERSON.match(line):
            person[stated[1].strip().lower()] = stated[2]
        elif section == "person" and (stated := _CHINESE_PERSON.match(line)):
            person[stated[1]] = stated[2]
    stance, choice = _STANCE.search(text), _STANCES.search(text)
    if not question and stance and choice:
        return Asked(person, stance[1], _QUOTED.findall(choice[1]), is_stance=True)
    if not question or len(options) < 2:
        raise ValueError(f"{where}: the instruction has no question with lettered options")
    return Asked(person, " ".join(question), options)


def find_option(output: str, asked: Asked, where: str) -> str:
    """The option that an output names: by its text, by its letter and text, or by its letter alone; or as a stance.

    Raises
    ------
    ValueError
        If it names none.
    """
    said = output
    if asked.is_stance:
        try:
            said = str(json.loads(output)["predict"])
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{where}: the output {output[:60]!r} holds no stance") from None
    plain = {plain_text(option): option for option in asked.options}
    lettered, letter = _OPTION.match(said), _LETTER.match(said)
    texts = [said.strip().rstrip("."), *([lettered[2]] if lettered else [])]
    found = next((plain[plain_text(text)] for text in texts if plain_text(text) in plain), None)
    if found is None and letter and ord(letter[1]) - ord("A") < len(asked.options):
        found = asked.options[ord(letter[1]) - ord("A")]
    if found is None:
        raise ValueError(f"{where}: the output {said[:60]!r} is none of the options {asked.options}")
    return found
