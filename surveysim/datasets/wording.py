"""What labels mean: reasons for a missing answer, options outside a scale, and whether options lie on a scale."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from importlib import resources

from surveysim.tables.matching import fold_text

__all__ = ["MISSING_TEXTS", "is_neutral", "outside_scale", "scale_scores"]

MISSING_TEXTS = {
    "don't know": "Don't know",
    "refused": "Refused",
    "skipped": "No answer",
    "not asked": "Not applicable",
}
"""How each kind of missing answer is written into the data, so that `tabulate` recognises it."""

_LISTS = tomllib.loads(
    resources.files("surveysim.datasets").joinpath("surveys", "wording.toml").read_text(encoding="utf-8")
)


def _bare(label: str) -> str:
    """The label without its number, brackets and closing punctuation: "9. (Refused)" is "refused"."""
    text = fold_text(re.sub(r"[´`]", "'", label))
    text = re.sub(r"^\.[a-z]: *", "", text)  # GSS: ".d: do not know"
    text = re.sub(r"[\[(](vol|volunteered|do not read|don't read|dnr)\b[^\])]*[\])]", " ", text)  # Pew
    text = " ".join(text.split())
    text = re.sub(r"^\(?-?\d+\s*[.):=\-]+\s*(?=\D)", "", text)
    text = re.sub(r"(?<=\w)\([a-z]\)$", "", text)  # GSS: "NA(n)", "DK(d)"
    text = re.sub(r"^[\[(<{*\s.:-]+|[\])>}*\s.:;,!-]+$", "", text)
    return re.sub(r"\s*/\s*", "/", text)


_OUTSIDE = re.compile(
    r"(all |any |some )?others?\b.*|none of (these|the above|them)|something else|it depends|depends|"
    r"not possible to harmoni[sz]e.*|sonstige[rs]?\b.*|andere[rs]?\b.*|autres?\b.*|otr[oa]s?\b.*|其他.*|"
    r"(no|not eligible to) vote|did not vote|another party"
)


def outside_scale(label: str) -> bool:
    """Whether a label names an option beside the others: "Other", "None of these", "It depends"."""
    return _OUTSIDE.fullmatch(_bare(label)) is not None


_LADDERS: list[list[list[str]]] = [ladder["rungs"] for ladder in _LISTS["ladders"]]
_SHADES = [
    (float(shade["strength"]), re.compile(r"\b(" + "|".join(map(re.escape, shade["phrases"])) + r")\b"))
    for shade in _LISTS["shades"]
]
_NEGATIVE = re.compile(r"\b(not|no|none|hardly)\b")
_WEAKLY_NEGATIVE = re.compile(r"\b(not (very|too|that|so|particularly)|hardly)\b")
_NEUTRAL = re.compile(r"neither\b.*|neutral.*|in between|undecided|no difference|both( equally)?|mixed.*|equally\b.*")
_POLES = [tuple(pair) for pair in _LISTS["poles"]["pairs"]]
_COMMON_WORDS = set(_LISTS["words"]["common"])
_AROUND_NUMBERS = set(_LISTS["words"]["around_numbers"])


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
    >>> scale_scores(["Agree strongly", "Agree", "Neither agree nor disagree", "Disagree", "Disagree strongly"])
    [3.0, 2.0, 0.0, -2.0, -3.0]
    >>> scale_scores(["Protestant", "Catholic", "Orthodox"]) is None
    True
    """
    texts = [_bare(label) for label in labels]
    for scores in (_numbers(texts), _ladder(texts), _two_poles(texts), _more_than(texts), _one_pole(texts)):
        if scores is not None and len(set(scores)) >= max(2, len(scores) - 1):
            return scores
    return None


def is_neutral(label: str) -> bool:
    """Whether a label names the middle of a scale: "Neither good nor bad", "Neutral"."""
    return _NEUTRAL.fullmatch(_bare(label)) is not None


def _numbers(texts: Sequence[str]) -> list[float] | None:
    found = []
    for i, text in enumerate(texts):
        numbers = [float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*\.?\d*", text)]
        if numbers and not set(re.findall(r"[^\W\d_]+", text)) <= _AROUND_NUMBERS and i not in (0, len(texts) - 1):
            return None
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


def _ladder(texts: Sequence[str]) -> list[float] | None:
    plain = [re.sub(r"^(about|at least|only|just|approximately) ", "", text) for text in texts]
    for rungs in _LADDERS:
        places: list[float] = []
        for text, bare in zip(texts, plain, strict=True):
            fits = [
                (len(phrase), float(i))
                for i, rung in enumerate(rungs)
                for phrase in rung
                if phrase in (text, bare) or bare.startswith((phrase + " ", phrase + ","))
            ]
            if not fits:
                break
            places.append(max(fits)[1])
        if len(places) == len(texts):
            return places
    return None


def _two_poles(texts: Sequence[str]) -> list[float] | None:
    for low, high in _POLES:
        scores: list[float] = []
        found = set()
        for text in texts:
            at_low, at_high = _has(text, low), _has(text, high)
            if at_low != at_high:
                found.add(low if at_low else high)
                scores.append((-1.0 if at_low else 1.0) * _strength(text))
                if _NEGATIVE.search(text) and "not very strong" not in text:
                    scores[-1] = -scores[-1] / (2.0 if _WEAKLY_NEGATIVE.search(text) else 1.0)
            elif (at_low and at_high) or _NEUTRAL.fullmatch(text) or text.startswith("independent"):
                scores.append(0.0)
            else:
                break
        if len(scores) == len(texts) and len(found) == 2:
            return scores
    return None


def _more_than(texts: Sequence[str]) -> list[float] | None:
    """ "More excited than concerned", "equally concerned and excited", "more concerned than excited"."""
    pairs = [re.match(r"(?:much |somewhat )?more (\w+) than (\w+)", text) for text in texts]
    first = next((pair.groups() for pair in pairs if pair), None)
    if first is None or not any(pair and pair.groups() == first[::-1] for pair in pairs):
        return None
    scores = []
    for text, pair in zip(texts, pairs, strict=True):
        if pair and pair.groups() in (first, first[::-1]):
            scores.append((1.0 if pair.groups() == first else -1.0) * (3.0 if text.startswith("much") else 2.0))
        elif all(_has(text, word) for word in first):
            scores.append(0.0)
        else:
            return None
    return scores


def _one_pole(texts: Sequence[str]) -> list[float] | None:
    """Shades of one word: "very important", "rather important", "not important at all"."""
    words = [{w for w in re.findall(r"[^\W\d_]+", text) if len(w) > 3} - _COMMON_WORDS for text in texts]
    if not set.intersection(*words):
        return None
    scores = []
    for text in texts:
        if "at all" in text:
            scores.append(-1.0)
        elif _WEAKLY_NEGATIVE.search(text):
            scores.append(0.5)
        else:
            scores.append(0.0 if _NEGATIVE.search(text) else _strength(text))
    return scores


def _has(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}", text) is not None


def _strength(text: str) -> float:
    fits = [(len(found[0]), value) for value, pattern in _SHADES for found in pattern.finditer(text)]
    return max(fits)[1] if fits else 2.0
