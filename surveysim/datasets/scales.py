"""Whether labels lie on a scale, and where: numbers, ladders of words, poles and shades, in many languages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

from surveysim.datasets.languages import ENGLISH, Language, languages_of
from surveysim.datasets.no_answer import plain_text
from surveysim.datasets.wording import bare

__all__ = ["graded_labels", "is_graded", "is_neutral", "is_zero", "scale_scores"]


def scale_scores(labels: Sequence[str]) -> list[float] | None:
    """A place on one scale for each label, or None if no scale is recognised.

    Recognised are numbers and ranges of numbers ("0", "10-19", "65 or older"), ladders of words ("never" to "always"),
    two poles with shades ("strongly disagree", "disagree", "neither agree nor disagree", "agree"), and shades of one
    word ("very important" to "not at all important").

    Parameters
    ----------
    labels : sequence of str
        At least two.

    Returns
    -------
    list of float or None
        At most two of them equal; which end is higher has no meaning. Good for telling that labels lie on a scale;
        where neighbours are as near as "not very" and "not at all", the order of the codes knows better.

    Examples
    --------
    >>> scale_scores(
    ...     [
    ...         "Agree strongly",
    ...         "Agree",
    ...         "Neither agree nor disagree",
    ...         "Disagree",
    ...         "Disagree strongly",
    ...     ]
    ... )
    [3.0, 2.0, 0.0, -2.0, -3.0]
    >>> scale_scores(["Protestant", "Catholic", "Orthodox"]) is None
    True
    """
    found = _scale_scores(tuple(labels))
    return None if found is None else list(found)


@lru_cache(maxsize=16_384)
def _scale_scores(labels: tuple[str, ...]) -> list[float] | None:
    texts = [bare(label) for label in labels]
    scores = _numbers(texts) or _ladder(texts, ENGLISH)
    for attempt in (_two_poles, _more_than, _one_pole):
        scores = scores if _is_scale(scores) else attempt(texts, ENGLISH)
    if _is_scale(scores):
        return scores
    plain = [plain_text(text) for text in texts]
    for language in languages_of(plain):
        for attempt in (_two_poles, _ladder, _one_pole):  # "fully disagree" begins like "fully"
            scores = attempt(plain, language)
            if _is_scale(scores):
                return scores
    return None


def _is_scale(scores: Sequence[float] | None) -> bool:
    return scores is not None and len(set(scores)) >= max(2, len(scores) - 1)


def is_neutral(label: str) -> bool:
    """Whether a label names the middle of a scale: "Neither good nor bad", "Neutral", "Teils/teils"."""
    text = bare(label)
    if ENGLISH.neutral.match(text):
        return True
    plain = plain_text(text)
    return any(language.neutral.match(plain) for language in languages_of([plain]))


_ZERO = ENGLISH.zero
"""What is written for 0 among numbers."""


def is_zero(label: str) -> bool:
    """Whether a label is a word for 0: "None", "Keine", "没有"."""
    return bare(label) in _ZERO or plain_text(bare(label)) in _ZERO


def _numbers(texts: Sequence[str]) -> list[float] | None:
    found = []
    for i, text in enumerate(texts):
        numbers = [float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*\.?\d*", text)]
        if (
            numbers
            and not set(re.findall(r"[^\W\d_]+", text)) <= ENGLISH.around_numbers
            and i not in (0, len(texts) - 1)
        ):
            return None
        if not numbers and text in _ZERO:
            found.append(0.0)
            continue
        if not numbers:
            # Only the ends of a numbered scale may be words ("0: no trust at all").
            if i not in (0, len(texts) - 1) or len(texts) < 4:
                return None
            found.append(float("nan"))
            continue
        if re.match(r"(less than|under|below|up to|fewer than|<)", text):
            numbers = [numbers[0] - 0.5]
        elif re.match(r"(more than|over|above|>)", text):
            numbers = [numbers[0] + 0.5]
        found.append(sum(numbers[:2]) / len(numbers[:2]))
    inner = [value for value in found if value == value]
    if len(inner) < 2:
        return None
    step = 1.0 if inner[-1] >= inner[0] else -1.0
    if found[0] != found[0]:
        found[0] = inner[0] - step
    if found[-1] != found[-1]:
        found[-1] = inner[-1] + step
    return found


def _ladder(texts: Sequence[str], language: Language) -> list[float] | None:
    for ladder in language.ladders:
        places = [rung for text in texts if (rung := _rung(text, ladder, language)) is not None]
        if len(places) == len(texts) and _is_scale(places):
            return places
        if len(places) == len(texts) and language is ENGLISH:
            return places
    return None


def _rung(text: str, ladder: Mapping[str, float], language: Language) -> float | None:
    """The rung of the longest phrase that a label is, or begins with."""
    if text in ladder:
        return ladder[text]
    plain = re.sub(r"^(about|at least|only|just|approximately) ", "", text)
    if plain in ladder:
        return ladder[plain]
    if language.has_spaces:
        for end in range(len(plain) - 1, 0, -1):
            if plain[end] in " ," and plain[:end] in ladder:
                return ladder[plain[:end]]
    return None


def _two_poles(texts: Sequence[str], language: Language) -> list[float] | None:
    for low, high in language.poles:
        scores: list[float] = []
        found = set()
        for text in texts:
            at_low = low.search(text)
            at_high = high.search(low.sub(" ", text))
            is_middle = language is not ENGLISH and language.neutral.match(text) is not None
            if bool(at_low) != bool(at_high) and not is_middle:
                pole = low if at_low else high
                found.add(pole)
                rest = text if language is ENGLISH else pole.sub(" ", text)
                score = (-1.0 if at_low else 1.0) * language.strength(rest)
                if language.negative.search(rest) and "not very strong" not in text:
                    score = -score / (2.0 if language.hardly.search(rest) else 1.0)
                scores.append(score)
            elif (at_low and at_high) or language.neutral.match(text) or text.startswith("independent"):
                scores.append(0.0)
            else:
                break
        if len(scores) == len(texts) and len(found) == 2 and (language is ENGLISH or _is_scale(scores)):
            return scores
    return None


def _more_than(texts: Sequence[str], language: Language) -> list[float] | None:
    """ "More excited than concerned", "equally concerned and excited", "more concerned than excited"."""
    pairs = [re.match(r"(?:much |somewhat )?more (\w+) than (\w+)", text) for text in texts]
    first = next((pair.groups() for pair in pairs if pair), None)
    if first is None or not any(pair and pair.groups() == first[::-1] for pair in pairs):
        return None
    scores = []
    for text, pair in zip(texts, pairs, strict=True):
        if pair and pair.groups() in (first, first[::-1]):
            scores.append((1.0 if pair.groups() == first else -1.0) * (3.0 if text.startswith("much") else 2.0))
        elif all(word in text for word in first):
            scores.append(0.0)
        else:
            return None
    return scores


def _one_pole(texts: Sequence[str], language: Language) -> list[float] | None:
    """Shades of one word: "very important", "rather important", "not important at all"."""
    if not set.intersection(*(_content(text, language) for text in texts)):
        return None
    scores = []
    for text in texts:
        if language.never.search(text):
            scores.append(-1.0)
        elif language.hardly.search(text):
            scores.append(0.5)
        else:
            scores.append(0.0 if language.negative.search(text) else language.strength(text))
    return scores


def _content(text: str, language: Language) -> set[str]:
    """Words that labels may share; pairs of characters where words are not apart."""
    if not language.has_spaces:
        return {text[i : i + 2] for i in range(len(text) - 1)}
    return {word for word in re.findall(r"[^\W\d_]+", text) if len(word) > 3} - language.common


# that labels of parties, churches and places share, too
_NAMES = re.compile(
    r"part[iyzs]|partei|partai|union|church|kirche|iglesia|region|provinc|other|none|state|university|school|党|黨|당$|教"
)


def graded_labels(texts: Sequence[str], pinned: Sequence[str], *, coded: bool) -> str:
    """Why labels that are on no known scale look graded all the same; empty where they do not.

    Parameters
    ----------
    texts : sequence of str
        All options.
    pinned : sequence of str
        Those outside a scale.
    coded : bool
        Whether the file gives them an order.
    """
    line = [plain_text(bare(text)) for text in texts if text not in pinned]
    if not coded or not 4 <= len(line) <= 11:
        return ""
    for language in (ENGLISH, *languages_of(line)):
        for ladder in language.ladders:
            on = [text for text in line if _rung(text, ladder, language) is not None]
            if len(on) >= max(3, len(line) - 2) and len({_rung(text, ladder, language) for text in on}) >= 3:
                return f"{len(on)} of {len(line)} labels are on a scale"
    if all(_mirrored(line[i]) & _mirrored(line[-1 - i]) for i in range(2)) and line[0] != line[-1]:
        return f"{texts[0]!r} mirrors {texts[-1 - len(pinned)]!r}"
    pairs = Counter(part for text in line for part in _parts(text))
    shared = [part for part, n in pairs.items() if n >= len(line) - 1 and not _NAMES.search(part)]
    return f"{max(shared, key=len)!r} is in nearly all of them" if shared else ""


def _parts(text: str) -> set[str]:
    if " " not in text and re.search("[\u0e00-\u0e7f\u3040-\u9fff\uac00-\ud7af]", text):
        return {text[i : i + 2] for i in range(len(text) - 1)}
    return {word for word in re.findall(r"[^\W\d_]+", text) if len(word) > 3} - ENGLISH.common


def _mirrored(text: str) -> set[str]:
    """What the ends of a scale share: "far too much" and "far too little"."""
    if " " not in text and re.search("[\u0e00-\u0e7f\u3040-\u9fff\uac00-\ud7af]", text):
        return {text[:1]}
    return {word for word in re.findall(r"[^\W\d_]+", text) if len(word) > 2 and not _NAMES.search(word)} - {
        "the", "and", "for", "not", "with", "del", "der", "die", "das", "les", "los", "las", "que", "und",
    }  # fmt: skip


def is_graded(label: str) -> bool:
    """Whether a label is a rung of a known ladder, such as "Not at all"."""
    text = bare(label)
    plain = plain_text(text)
    return any(text in ladder for ladder in ENGLISH.ladders) or any(
        plain in ladder for language in languages_of([plain]) for ladder in language.ladders
    )
