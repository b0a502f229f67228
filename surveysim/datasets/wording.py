"""What labels mean: reasons for a missing answer, options outside a scale, and whether options lie on a scale."""

from __future__ import annotations

import re
from collections.abc import Sequence

from surveysim.tables.matching import fold_text

__all__ = ["MISSING_TEXTS", "is_neutral", "missing_kind", "outside_scale", "scale_scores"]

MISSING_TEXTS = {
    "don't know": "Don't know",
    "refused": "Refused",
    "skipped": "No answer",
    "not asked": "Not applicable",
}
"""How each kind of missing answer is written into the data, so that `tabulate` recognises it."""

# Phrases of official files in English and, modestly, in the languages of large surveys. Whole labels only, brackets
# and punctuation apart: "refused to pay" is an answer, "Refused" and "(Refused)" are none.
_PHRASES = {
    "don't know": """
        don't know|dont know|do not know|dk|d\\.k\\.|dk/?na|don't know/?no answer|don't know/?not sure|can't choose
        cannot choose|can't say|cannot say|not sure|unsure|no opinion|don't know/?refused|dk/?refused|dk/?ref
        do not know/?cannot choose|don't know/?can't choose|can't choose/?don't know|don't remember|hard to say
        weiß nicht|weiss nicht|kann ich nicht sagen|ne sait pas|nsp|je ne sais pas|no sabe|ns|ns/?nc|no sabe/?no contesta
        non so|não sabe|weet niet|vet ej|vet inte|vet ikke|ved ikke|en osaa sanoa|nie wiem|trudno powiedzieć|nevím
        затрудняюсь ответить|не знаю|bilmiyor|bilmiyorum|不知道|不清楚|无法选择|說不清|说不清|难以判断|わからない|모름""",
    "refused": """
        refused|refusal|refuse|ref|refused to answer|refuse to answer|refusal to answer|prefer not to say
        prefer not to answer|prefer not to disclose|i prefer not to say|rather not say|decline to answer
        declined to answer|declined|no answer/?refused|refused/?no answer|refused/?web blank|refused/?blank
        dk/?refused/?no answer|verweigert|angabe verweigert|antwort verweigert|refus|refuse de répondre|rifiuta|rechusa
        rehúsa|rehusa|recusa|recusou|weigert|weigering|vill ej svara|odmowa|отказ|отказ от ответа|отказываюсь отвечать
        cevap vermek istemiyor|拒绝回答|拒絕回答|拒答|不愿回答|無回答拒否|응답거절""",
    "skipped": """
        no answer|not answered|no response|nonresponse|non-response|skipped|skipped on web|web skip|missing
        missing data|missing value|missing; unknown|missing, unknown|not available|unknown|not stated|not ascertained
        web blank|invalid|invalid answer|invalid response|uncodeable|uncodable|uncoded|error|system missing|left blank|blank|na|n/?a
        multiple answers|no answer given|not known|keine angabe|k\\.? ?a\\.?|sans réponse|pas de réponse|non réponse
        no contesta|nc|n\\.c\\.|sin respuesta|não respondeu|geen antwoord|ej svar|uppgift saknas|brak odpowiedzi|brak danych
        нет ответа|cevap yok|未回答|无回答|無回答|不回答|缺失|缺失值|其他缺失|무응답""",
    "not asked": """
        not applicable|inapplicable|iap|inap|not asked|not asked in survey|not asked in this country|not asked in country
        not in survey|not in split|not in sample|not included|filtered|filter|filtered out|question not asked|no filter
        trifft nicht zu|entfällt|nicht gefragt|non concerné|non posée|sans objet|no aplica|no procede|no preguntada
        não se aplica|niet van toepassing|ej tillämpligt|ikke aktuelt|nie dotyczy|не применимо|не задавался
        not available in this year|not available in this release|not applicable/?not asked|不适用|不適用|非該当|비해당""",
}
_KINDS = {
    kind: re.compile("|".join(p.strip() for line in phrases.strip().splitlines() for p in line.split("|")))
    for kind, phrases in _PHRASES.items()
}


def _bare(label: str) -> str:
    """The label without its number, brackets and closing punctuation: "9. (Refused)" is "refused"."""
    text = fold_text(label)
    text = re.sub(r"^\(?-?\d+\s*[.):=\-]+\s*(?=\D)", "", text)
    text = re.sub(r"(?<=\w)\([a-z]\)$", "", text)  # GSS: "NA(n)", "DK(d)"
    text = re.sub(r"^[\[(<{*\s.:-]+|[\])>}*\s.:;,!-]+$", "", text)
    return re.sub(r"\s*/\s*", "/", text)


def missing_kind(label: str) -> str | None:
    """The kind of missing answer that a value label names (see `surveysim.tables.MISSING_KINDS`), or None.

    Examples
    --------
    >>> missing_kind("98. (Don't know)"), missing_kind("Refusal"), missing_kind("Agree")
    ("don't know", 'refused', None)
    """
    text = re.sub(r"^\d+ (?=\D)", "", _bare(label))
    for kind, pattern in _KINDS.items():
        if pattern.fullmatch(text):
            return kind
    # WVS and EVS: "Missing; Not available", "Not asked in this country", "Don't know/ no opinion; ..."
    if re.match(r"(missing|not available)\b", text):
        return "skipped"
    if re.match(r"not (asked|applicable)\b|inapplicable\b", text):
        return "not asked"
    if re.match(r"(don't|do not) know\b", text) and len(text) < 40:
        return "don't know"
    return None


_OUTSIDE = re.compile(
    r"(all |any |some )?others?\b.*|none of (these|the above|them)|something else|it depends|depends|"
    r"not possible to harmoni[sz]e.*|sonstige[rs]?\b.*|andere[rs]?\b.*|autres?\b.*|otr[oa]s?\b.*|其他.*|"
    r"(no|not eligible to) vote|did not vote|another party"
)


def outside_scale(label: str) -> bool:
    """Whether a label names an option beside the others: "Other", "None of these", "It depends"."""
    return _OUTSIDE.fullmatch(_bare(label)) is not None


# Words that lie on a line, from one end to the other; a label gets the place of the longest phrase that it holds.
_LADDERS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (  # how often
        ("never",),
        ("hardly ever", "almost never", "rarely", "seldom", "less often", "less than once a year", "very rarely",
         "less than once a month"),
        ("once in a while", "occasionally", "now and then", "once a year", "yearly", "only on special holy days"),
        ("sometimes", "several times a year", "a few times a year", "some of the time"),
        ("once a month", "monthly", "at least once a month", "about half the time"),
        ("several times a month", "two or three times a month", "2-3 times a month", "fairly often"),
        ("once a week", "weekly", "often", "frequently", "most of the time", "usually"),
        ("several times a week", "a few times a week", "more than once a week", "very often", "almost always"),
        ("every day", "daily", "almost every day", "nearly every day", "always", "all of the time", "all the time"),
        ("several times a day", "many times a day", "more than once a day"),
    ),
    (  # how much
        ("none", "none at all", "not at all", "nothing", "nothing at all", "no", "not any", "no impact at all"),
        ("hardly any", "very little", "almost none", "only a few"),
        ("a little", "not much", "not very much", "not too much", "just a little", "a few", "little", "slightly",
         "not very"),
        ("some", "somewhat", "a moderate amount", "moderately", "to some extent", "only some"),
        ("quite a lot", "a fair amount", "quite a bit", "a good amount", "fairly", "quite"),
        ("a lot", "a great deal", "very much", "great deal", "completely", "very", "extremely", "all", "most"),
    ),
    (  # how good
        ("very bad", "very poor", "terrible"), ("bad", "poor", "fairly bad", "rather bad"),
        ("fair", "average", "only fair", "neither good nor bad", "so-so"),
        ("good", "fairly good", "rather good"), ("very good", "excellent"),
    ),
    (("too little", "too few", "not enough"), ("about right", "the right amount", "about the right amount"),
     ("too much", "too many")),
    (("much worse",), ("worse", "somewhat worse", "a little worse"), ("the same", "about the same", "same"),
     ("better", "somewhat better", "a little better"), ("much better",)),
    (("decrease a lot", "decreased a lot", "much less"), ("decrease", "decreased", "decrease a little", "less"),
     ("stay the same", "remain the same", "stayed about the same", "about as much"),
     ("increase", "increased", "increase a little", "more"), ("increase a lot", "increased a lot", "much more")),
    (("no",), ("maybe", "perhaps"), ("yes",)),
    (("false",), ("true",)), (("never justifiable",), ("always justifiable",)), (("not selected",), ("selected",)),
    (("extremely liberal", "very liberal", "far left", "very left"), ("liberal", "left"),
     ("slightly liberal", "slightly left"), ("moderate", "moderate, middle of the road", "center", "centre", "middle"),
     ("slightly conservative", "slightly right"), ("conservative", "right"),
     ("extremely conservative", "very conservative", "far right", "very right")),
    (("low", "lower"), ("middle", "medium"), ("high", "higher", "upper")),
)  # fmt: skip

_STRENGTH = {  # of a shade; the longest phrase that fits decides, and none is 2
    0.5: "close to|leaning|leans?",
    1.0: "slightly|slight|a little|somewhat|rather|tends? to|partly|fairly|probably|moderately|mostly|not very strong|minor|"
         "small|generally|quite|some|a few|few|just a",
    3.0: "very|strongly|completely|definitely|totally|fully|strong|absolutely|entirely|highly|major|top|significant|"
         "a lot|a great deal|great",
    4.0: "extremely",
}  # fmt: skip
_NEGATIVE = re.compile(r"\b(not|no|none|hardly)\b")
_WEAKLY_NEGATIVE = re.compile(r"\b(not (very|too|that|so|particularly)|hardly)\b")
_NEUTRAL = re.compile(r"neither\b.*|neutral.*|in between|undecided|no difference|both( equally)?|mixed.*|equally\b.*")
_POLES = (
    ("disagree", "agree"), ("dissatisfied", "satisfied"), ("unsatisfied", "satisfied"), ("oppose", "support"),
    ("oppose", "favor"), ("oppose", "favour"), ("against", "favor"), ("against", "favour"), ("against", "for"),
    ("disapprove", "approve"), ("unfavorable", "favorable"), ("unfavourable", "favourable"), ("unlikely", "likely"),
    ("difficult", "easy"), ("bad", "good"), ("negative", "positive"), ("unimportant", "important"),
    ("unhappy", "happy"), ("unfair", "fair"), ("unsafe", "safe"), ("uninterested", "interested"), ("left", "right"),
    ("liberal", "conservative"), ("decrease", "increase"), ("worse", "better"), ("wrong", "right"), ("harm", "benefit"),
    ("distrust", "trust"), ("unacceptable", "acceptable"), ("untrue", "true"), ("unhealthy", "healthy"),
    ("weak", "strong"), ("pessimistic", "optimistic"), ("dislike", "like"), ("less", "more"),
    ("democrat", "republican"), ("unjustifiable", "justifiable"), ("unwilling", "willing"),
)  # fmt: skip
# Words that two labels may share without being shades of one thing.
_COMMON_WORDS = set("very rather quite somewhat with that this than from have would should about most some party".split())


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


# What may stand beside the numbers of a scale: "Party 1" and "Region 2" are names, "2 to 3 hours" is an amount.
_AROUND_NUMBERS = set(
    "a about above age aged and at below between by day days eur euro euros fewer from h hour hours k least less m min "
    "minutes month months more most of older on or over per percent point points than the thousand time times to under "
    "until up usd week weeks year years young younger yuan bis unter über und mehr jahre de à moins plus ans".split()
)


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
    fits = [
        (len(found[0]), value)
        for value, phrases in _STRENGTH.items()
        for found in re.finditer(rf"\b({phrases})\b", text)
    ]
    return max(fits)[1] if fits else 2.0
