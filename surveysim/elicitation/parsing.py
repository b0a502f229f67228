"""Read a model's answer: one label, or many. Nothing is ever evaluated, and nothing is made up."""

from __future__ import annotations

import re
from collections.abc import Sequence

from surveysim.elicitation.mentions import ARTICLE, any_label, beside_another, denies, options_in
from surveysim.elicitation.percentages import parse_percentages
from surveysim.elicitation.refusing import is_refusal, is_refusal_option
from surveysim.elicitation.texts import Names, is_opening, plain

__all__ = ["is_refusal", "is_refusal_option", "parse_label", "parse_labels", "parse_percentages"]

# Words that a choice is announced with, those between them and the label, and those before them.
_CHOOSING = r"(?:answers?|choose|chooses|choice|select|selects|pick|picks|option|label|go with|say|says)"
_LINKS = r"(?:\s++(?:is|be|would be|was|with|option|answer|label)\b){0,4}[\s:\"'`*_(\[]*+"
_OPENING = (
    r"[\s\"'`*_(\[]*+(?:(?:the|my|i|i'd|i'll|would|will|best|final|correct|most|likely|this|he|she|they|person|person's)"
    r"\s++){0,5}"
)

# After "A" and "I", a word that goes on with the sentence of which they are the subject or the article.
_GOES_ON = r"(?!\s+(?!(?:because|since|as|for|or|and|but|with|if|given|due|when|so|to)\b)[a-z])"


def parse_label(text: str, labels: Sequence[str], options: Sequence[str], *, cut: bool = False) -> int | None:
    """The position of the one option that a text chooses, or None if it chooses none or several.

    Tried in this order: the label alone or at the beginning; an option's text, alone or at the beginning; phrases such
    as "the answer is B"; a single label in the text; a single option's text in the text. A label beside the words of
    another option is not a choice.

    Parameters
    ----------
    text : str
        What the model wrote.
    labels : sequence of K str
        Labels by place.
    options : sequence of K str
        The options' texts by place.
    cut : bool, default=False
        Whether the text was cut off: then only its opening counts, since the rest may be thoughts.

    Examples
    --------
    >>> options = ["agree", "disagree"]
    >>> [
    ...     parse_label(text, "AB", options)
    ...     for text in ("B", "(b) disagree", "I would choose A.", "Disagree.", "A or B")
    ... ]
    [1, 1, 0, 1, None]
    """
    text = plain(text).strip()
    names = Names(labels, options)
    if not text or names.contradicts(text):
        return None
    place = names.find(text)
    if place is not None:
        return place
    place = _opening_choice(text, labels, options)
    if place is None and not cut:
        place = _choice_within(text, labels, options)
    return None if place is None or beside_another(text, labels, options) else place


def _opening_choice(text: str, labels: Sequence[str], options: Sequence[str]) -> int | None:
    """What a text begins with: a label, an option, or a phrase that announces a label."""
    alternatives = any_label(labels)
    place_of = {label: place for place, label in enumerate(labels)}
    leading = re.match(rf"[\s\"'`*_(\[]*({alternatives})(?:[\"'`*_.):\],;]+|\s*\n|\s+-+\s|$)", text)
    if leading:
        place = place_of[leading[1]]
        rest = options_in(text[leading.end() :], options)
        mentions_other = re.search(rf"(?:\bor\b|/|,|;)\s*(?:{alternatives})\b", text)
        if (rest and place not in rest) or mentions_other:
            return None  # "A. disagree" where A is "agree"; "A, maybe B"
        return place
    starts = [
        place for place, option in enumerate(options) if re.match(re.escape(option) + r"\b(?!\s+or\b)", text, re.I)
    ]
    if starts:
        longest = max(starts, key=lambda place: len(options[place]))
        if options_in(text, options) == {longest}:
            return longest
    if denies(text, labels, options):
        return None
    said = re.match(rf"{_OPENING}{_CHOOSING}\b{_LINKS}({alternatives})(?![\w'])", text, re.IGNORECASE)
    if said is None or said[1] not in place_of or len(_said(text, labels)) != 1:
        return None
    return place_of[said[1]]


def _choice_within(text: str, labels: Sequence[str], options: Sequence[str]) -> int | None:
    """The one label or option that a text that has ended speaks for, wherever it does."""
    if denies(text, labels, options):
        return None  # "Not yes" is not "yes", and not "no" either where there is a third option
    said = _said(text, labels)
    if said:
        return said.pop() if len(said) == 1 else None
    if is_refusal(text):
        return None
    # "A" and "I" are words, too: within a sentence they count only where something closes them.
    alternatives = any_label(labels)
    place_of = {label: place for place, label in enumerate(labels)}
    closed = rf"(?<![\w'])({alternatives})(?![\w'])(?=\s*+[.):\]\"'`*,;/]|\s+(?:or|and)\b|\s*+$)"
    alone = {place_of[label] for label in re.findall(closed, text)}
    alone |= {place_of[x] for x in re.findall(rf"(?<![\w'])({alternatives})(?![\w'])", text) if x not in ARTICLE}
    if alone:
        return alone.pop() if len(alone) == 1 else None
    mentioned = options_in(text, options)
    return mentioned.pop() if len(mentioned) == 1 else None


def _said(text: str, labels: Sequence[str]) -> set[int]:
    """Places of the labels that a text announces: "the answer is B"."""
    found = re.findall(rf"(?i:\b{_CHOOSING}\b{_LINKS})({any_label(labels)})(?![\w'])({_GOES_ON})", text)
    place_of = {label: place for place, label in enumerate(labels)}
    return {place_of[label] for label, _ in found}


def parse_labels(text: str, labels: Sequence[str], options: Sequence[str] = (), *, cut: bool = False) -> list[int]:
    """The places of the labels that a text lists, in their order; empty where it lists none.

    The longest run of labels with nothing but separators and numbering between them, or a text of labels without any
    separator ("ABBAC"). A single label is a list only if the text has nothing else, and labels that begin a sentence do
    not count: "A great way to start", "I can give you a list", "A, B and C are the labels".

    Parameters
    ----------
    text : str
        What the model wrote.
    labels : sequence of K str
        Labels by place.
    options : sequence of K str, default=()
        The options' texts by place: a list with a label beside the words of another option does not count.
    cut : bool, default=False
        Whether the text was cut off: then only a list at its beginning counts.

    Examples
    --------
    >>> parse_labels("Here they are: A, B, B\\nA C", "ABC")
    [0, 1, 1, 0, 2]
    >>> parse_labels("1. A 2. C 3. C", "ABC")
    [0, 2, 2]
    >>> parse_labels("ABBA", "ABC")
    [0, 1, 1, 0]
    >>> parse_labels("A great way to start, people!", "ABC")
    []
    """
    text = plain(text).strip()
    place_of = {label: place for place, label in enumerate(labels)}
    if text and all(len(label) == 1 for label in labels) and all(letter in place_of for letter in text):
        return [place_of[letter] for letter in text]
    if options and beside_another(text, labels, options):
        return []
    numbered = "" if any(label.isdigit() for label in labels) else r"\d"
    words = r"(?i:\b(?:and|person|respondent|answer|response)\b)"
    between = rf"(?:[\s,;:|/\"'`*_.()\[\]{numbered}-]|{words})*+"
    label = rf"(?<!\w)(?:{any_label(labels)})(?!\w)"
    if alone := re.fullmatch(rf"{between}({label}){between}", text):
        return [place_of[alone[1]]]
    best: list[str] = []
    for run in re.finditer(rf"{label}(?:{between}{label})*", text):
        found = _list_of(run, label)
        if len(found) > len(best) and not (cut and not is_opening(text, run.start())):
            best = found
    return [place_of[one] for one in best]


def _list_of(run: re.Match[str], label: str) -> list[str]:
    """The labels of a run that are a list; none where they are words of a sentence."""
    text = run.string
    found = re.findall(label, run[0])
    # "A" has its noun on the same line, "I" its verb maybe on the next.
    space = {"A": r"[ \t]", "I": r"\s"}.get(found[-1].upper())
    if space and re.match(rf"{space}++\w|'\w", text[run.end() : run.end() + 200]):
        found.pop()
        return found if len(found) > 1 else []
    line = text[max(0, run.start() - 200) : run.start()].rpartition("\n")[2]
    goes_on = re.match(r"[ \t]++[a-zA-Z]", text[run.end() : run.end() + 200]) is not None
    begins = re.search(r"[a-zA-Z][ \t]*\Z", line) is not None
    if len(found) < 2 or ((goes_on or begins) and len(found) == len(set(found))):
        return []  # "A, B and C are the labels" tells what there is
    return found
