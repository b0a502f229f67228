"""Demographic attributes in many wordings: what a generated survey may know about its respondents."""

# Tables of words read better wide.
# ruff: noqa: E501

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["KINDS", "ORDERED_KINDS", "Attribute", "Level", "sample_attribute"]

# The value as a survey would hold it, where it lies on the attribute's latent scale, and what it means in any wording.
Level = tuple[object, float, str]


@dataclass(frozen=True)
class Attribute:
    """One column of a generated survey: its kind, its name there, and its levels with their latent positions."""

    kind: str
    name: str
    levels: tuple[Level, ...]
    ordered: bool


# --- ordered attributes: names, and fixed wordings from low to high --------------------------------------------------

ORDERED_NAMES: dict[str, list[str]] = {
    "age": ["age", "age group", "Age", "age4", "agegroup", "age_cat", "respondent age", "AGE", "age in years", "ppage"],
    "education": ["education", "educ", "Education", "education level", "highest degree", "schooling", "edu", "degree"],
    "income": ["income", "household income", "Income", "income_cat", "family income", "income group", "earnings"],
    "religiosity": ["religious", "religiosity", "how religious", "importance of religion", "relig", "faith"],
    "attendance": ["church attendance", "attendance", "religious services", "worship", "attends services"],
    "interest": ["political interest", "interest in politics", "polint", "interest", "follows politics"],
    "ideology": ["ideology", "left-right", "political views", "lrscale", "ideo", "political orientation"],
    "health": ["health", "self-rated health", "general health", "health status"],
    "urbanicity": ["urbanicity", "place of living", "area", "size of town", "community", "settlement", "environment"],
    "children": ["children", "number of children", "kids", "n_children", "children in household"],
    "years_married": ["years married", "yrs_married", "length of marriage", "years together"],
    "occupation": ["occupation", "occupational grade", "job level", "skill level", "occupation_husb"],
    "trust": ["social trust", "trust in others", "trust", "trusts people"],
    "news": ["news use", "newspaper reading", "news", "follows news", "tv news"],
    "internet": ["internet use", "internet", "online", "time online", "social media use"],
    "household": ["household size", "people in household", "hhsize", "household members"],
    "class": ["social class", "class", "subjective class", "social standing"],
    "satisfaction": ["life satisfaction", "satisfaction", "happiness", "satisfied with life"],
    "concern": ["AI concern", "concern", "worry", "concern about the future", "level of concern"],
    "knowledge": ["political knowledge", "knowledge", "science knowledge", "informed"],
    "tenure": ["years at address", "time in country", "years of residence", "tenure"],
}

_STEPS: dict[str, list[list[str]]] = {
    "age": [["young", "middle-aged", "old"], ["youngest", "younger", "older", "oldest"], ["teenager", "adult", "senior"]],
    "education": [
        ["High school or less", "Some college", "College"],
        ["High school or less", "Some college", "College graduate", "Postgraduate"],
        ["Less than high school", "High school", "Some college", "Bachelor's degree", "Postgraduate degree"],
        ["No HS", "High school graduate", "Some college", "2-year", "4-year", "Post-grad"],
        ["no formal education", "primary", "lower secondary", "upper secondary", "tertiary"],
        ["primary school", "secondary school", "university"],
        ["elementary", "middle school", "high school", "vocational", "bachelor", "master", "doctorate"],
        ["no college degree", "college degree"],
        ["Less than college", "College graduate", "Advanced degree"],
        ["no qualifications", "GCSE", "A levels", "degree or higher"],
        ["compulsory school", "apprenticeship", "higher education"],
        ["did not finish high school", "finished high school", "some university", "university degree"],
    ],
    "income": [
        ["poor", "lower middle", "middle", "upper middle", "rich"],
        ["lowest fifth", "second fifth", "middle fifth", "fourth fifth", "highest fifth"],
        ["bottom third", "middle third", "top third"],
        ["below average", "average", "above average"],
        ["1st quartile", "2nd quartile", "3rd quartile", "4th quartile"],
    ],
    "religiosity": [
        ["not at all religious", "not very religious", "somewhat religious", "very religious"],
        ["not", "mildly", "fairly", "strongly"],
        ["anti-religious", "not religious", "slightly religious", "religious", "strongly religious"],
        ["atheist", "doubting", "believer"],
        ["not important", "not too important", "somewhat important", "very important"],
    ],
    "attendance": [
        ["never", "once a year", "a few times a year", "once a month", "every week", "more than once a week"],
        ["never", "seldom", "monthly", "weekly"],
        ["rarely or never", "sometimes", "often"],
    ],
    "interest": [
        ["not at all interested", "hardly interested", "quite interested", "very interested"],
        ["hardly at all", "only now and then", "some of the time", "most of the time"],
        ["none", "little", "some", "a lot"],
    ],
    "ideology": [
        ["very liberal", "liberal", "moderate", "conservative", "very conservative"],
        ["left", "centre-left", "centre", "centre-right", "right"],
        ["far left", "left", "center", "right", "far right"],
        ["liberal", "moderate", "conservative"],
        ["extremely liberal", "liberal", "slightly liberal", "middle of the road", "slightly conservative", "conservative", "extremely conservative"],
    ],
    "health": [["very bad", "bad", "fair", "good", "very good"], ["poor", "fair", "good", "excellent"]],
    "urbanicity": [
        ["rural", "small town", "suburb", "city"],
        ["farm", "village", "town", "outskirts of a city", "big city"],
        ["rural", "suburban", "urban"],
        ["countryside", "town", "metropolitan area"],
    ],
    "children": [["none", "one", "two", "three or more"], ["no children", "1 child", "2 children", "3+ children"]],
    "years_married": [["newly married", "some years", "many years"], ["less than 1 year", "1-5 years", "6-15 years", "over 15 years"]],
    "occupation": [
        ["unskilled", "semi-skilled", "skilled", "professional"],
        ["student", "farming or unskilled", "white-collar", "teacher or nurse", "managerial", "professional with advanced degree"],
        ["manual", "clerical", "manager"],
    ],
    "trust": [["can't be too careful", "depends", "most people can be trusted"], ["no trust", "low trust", "medium trust", "high trust"]],
    "news": [["never", "less than weekly", "weekly", "several days a week", "daily"], ["no news", "some news", "much news"]],
    "internet": [["never", "rarely", "sometimes", "often", "constantly"], ["not at all", "a few times a week", "every day", "several times a day"]],
    "household": [["1 person", "2 people", "3 people", "4 people", "5 or more people"], ["alone", "couple", "small family", "large family"]],
    "class": [["lower class", "working class", "lower middle class", "upper middle class", "upper class"], ["working class", "middle class", "upper class"]],
    "satisfaction": [["very unhappy", "not very happy", "fairly happy", "very happy"], ["dissatisfied", "neither", "satisfied"]],
    "concern": [["not concerned", "equally concerned and excited", "more concerned than excited"], ["not at all", "slightly", "moderately", "very", "extremely"]],
    "knowledge": [["none", "basic", "good", "expert"], ["low", "medium", "high"]],
    "tenure": [["less than a year", "1 to 5 years", "6 to 10 years", "more than 10 years", "all my life"], ["recent", "long-standing"]],
}  # fmt: skip

# Ranges of plain numbers: lowest, highest, step.
_NUMBERS: dict[str, list[tuple[float, float, float]]] = {
    "age": [(18, 94, 1), (18, 94, 1), (16, 80, 1), (17.5, 42, 4.5), (20, 75, 5)],
    "education": [(0, 22, 1), (9, 20, 1), (1, 7, 1), (1, 5, 1)],
    "income": [(1, 24, 1), (1, 10, 1), (10000, 150000, 5000), (5, 120, 5), (1, 5, 1)],
    "ideology": [(0, 10, 1), (1, 7, 1), (1, 5, 1)],
    "children": [(0, 6, 1), (0, 5.5, 0.5), (0, 4, 1)],
    "years_married": [(0.5, 23, 2.5), (0, 50, 1), (1, 30, 1)],
    "household": [(1, 8, 1)],
    "tenure": [(0, 60, 1)],
    "news": [(0, 7, 1)],
    "internet": [(0, 7, 1), (0, 100, 5)],
}
_SCALES_1 = [(1.0, 4.0, 1.0), (1.0, 5.0, 1.0), (1.0, 3.0, 1.0), (0.0, 10.0, 1.0), (1.0, 7.0, 1.0), (1.0, 10.0, 1.0), (1.0, 6.0, 1.0)]  # fmt: skip
_GENERIC = [["low", "medium", "high"], ["low", "high"], ["very low", "low", "middle", "high", "very high"], ["Low", "Medium", "High"]]  # fmt: skip

# --- unordered attributes --------------------------------------------------------------------------------------------

NOMINAL: dict[str, tuple[list[str], list[list[str]]]] = {
    "gender": (
        ["gender", "sex", "Gender", "female", "respondent gender"],
        [["female", "male"], ["Female", "Male"], ["woman", "man"], ["Women", "Men"], ["female", "male", "other"], ["Woman", "Man", "Non-binary"]],
    ),
    "race": (
        ["race", "ethnicity", "race and ethnicity", "Race", "ethnic group"],
        [["White", "Black", "Hispanic", "Other"], ["White", "Black", "Hispanic", "Asian", "Mixed", "Native American"], ["White", "Black", "Hispanic", "Other/Mixed"],
         ["white", "non-white"], ["majority", "minority"]],
    ),
    "region": (
        ["region", "part of the country", "Region", "census region"],
        [["Northeast", "Midwest", "South", "West"], ["north", "south", "east", "west"], ["coast", "inland", "mountains"], ["London", "Scotland", "Wales", "North of England"]],
    ),
    "party": (
        ["party", "party identification", "pid", "Party", "votes for"],
        [["Democrat", "Independent", "Republican"], ["Democrat", "Republican", "Independent", "Other"], ["Labour", "Conservative", "Liberal", "Green"],
         ["Social Democrats", "Christian Democrats", "Greens", "Left", "Right"], ["Strong Democrat", "Lean Democrat", "Lean Republican", "Strong Republican"]],
    ),
    "religion": (
        ["religion", "denomination", "Religion", "religious group"],
        [["Protestant", "Catholic", "Jewish", "Muslim", "None"], ["Christian", "Muslim", "Hindu", "Buddhist", "Other", "None"], ["Protestant", "Roman Catholic", "Orthodox", "Atheist"]],
    ),
    "marital": (
        ["marital status", "married", "marital", "family status"],
        [["married", "single", "divorced", "widowed"], ["Married", "Never married", "Separated", "Widowed"], ["single", "living with a partner", "married"]],
    ),
    "country": (
        ["country", "nation", "Country", "country of residence"],
        [["Germany", "France", "Spain", "Italy", "Poland"], ["United States", "Brazil", "India", "China", "Kenya", "Japan"], ["Norway", "Sweden", "Britain", "Netherlands", "Greece"],
         ["Canada", "Mexico", "Nigeria", "Indonesia", "Turkey", "Egypt"]],
    ),
    "state": (
        ["state", "US state", "province"],
        [["Texas", "California", "Ohio", "Florida", "New York"], ["Georgia", "Michigan", "Nevada", "Oregon", "Utah", "Maine"], ["Bavaria", "Saxony", "Hesse"], ["Iowa", "Kansas", "Virginia", "Alaska"]],
    ),
    "work": (
        ["employment", "work status", "employment status", "work"],
        [["employed", "unemployed", "retired", "student"], ["full-time", "part-time", "not working"], ["self-employed", "employee", "homemaker", "retired"]],
    ),
    "sector": (["sector", "industry", "employer"], [["public", "private"], ["agriculture", "industry", "services", "government"], ["manufacturing", "education", "health care", "retail"]]),
    "language": (["language", "language at home", "interview language"], [["English", "Spanish", "other"], ["German", "French", "Italian"], ["Hindi", "Bengali", "Tamil"]]),
    "housing": (["housing", "home", "housing tenure"], [["owner", "renter"], ["own", "rent", "live with family"], ["house", "apartment"]]),
    "vote": (["past vote", "vote", "vote choice"], [["voted", "did not vote"], ["incumbent", "challenger", "did not vote"], ["Clinton", "Trump", "other"], ["remain", "leave"]]),
    "union": (["union member", "union", "in a union"], [["member", "not a member"], ["yes", "no"]]),
    "citizen": (["citizen", "born here", "immigrant", "nationality"], [["citizen", "not a citizen"], ["native", "immigrant"], ["born in the country", "born abroad"]]),
    "college": (["college", "collegeed", "college degree", "has a degree"], [["college", "no college"]]),
    "parent": (["parent", "has children", "caregiver"], [["parent", "not a parent"]]),
    "smoker": (["smoker", "smoking", "owns a car", "veteran", "gun owner"], [["yes", "no"], ["never", "former", "current"]]),
}  # fmt: skip

ORDERED_KINDS = tuple(ORDERED_NAMES)
KINDS = (*ORDERED_KINDS, *NOMINAL)

# Kinds that surveys ask most are drawn most.
_WEIGHTS = np.array([{"age": 9, "education": 8, "income": 6, "religiosity": 3, "ideology": 3, "children": 2, "gender": 8, "race": 6,
                      "region": 3, "party": 4, "religion": 3, "country": 2, "state": 2, "marital": 2}.get(kind, 1) for kind in KINDS], dtype=float)  # fmt: skip
_WEIGHTS /= _WEIGHTS.sum()

_SYNONYMS = {"woman": "female", "women": "female", "man": "male", "men": "male", "roman catholic": "catholic", "roman": "catholic",
             "never married": "single", "hispanic": "hispanic", "own": "owner", "rent": "renter", "greens": "green", "full-time": "employed"}  # fmt: skip


def meaning(level: str) -> str:
    """What a nominal level means, whatever its capitals and synonyms."""
    lowered = level.lower()
    return _SYNONYMS.get(lowered, lowered)


_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"


def invented_word(rng: np.random.Generator, syllables: int = 2) -> str:
    """A word that means nothing, such as "tavelo"."""
    return "".join(rng.choice(list(_CONSONANTS)) + rng.choice(list(_VOWELS)) for _ in range(syllables))


def sample_attribute(rng: np.random.Generator, kind: str | None = None) -> Attribute:
    """An attribute in one of its wordings; without `kind`, sometimes one that no survey has asked."""
    if kind is None:
        if rng.random() < 0.06:
            return _invented(rng)
        kind = str(rng.choice(KINDS, p=_WEIGHTS))
    if kind in ORDERED_NAMES:
        return _ordered(rng, kind)
    names, wordings = NOMINAL[kind]
    name = names[rng.integers(len(names))]
    if kind == "gender" and name == "female":
        return _boolean(rng, kind, name, "female", "male")
    if kind in ("college", "parent", "union", "citizen") and rng.random() < 0.5:
        return _boolean(rng, kind, name, wordings[0][0], wordings[0][1])
    levels = wordings[rng.integers(len(wordings))]
    return Attribute(
        kind if kind != "smoker" else name, name, tuple((level, 0.0, meaning(level)) for level in levels), False
    )


def _boolean(rng: np.random.Generator, kind: str, name: str, yes: str, no: str) -> Attribute:
    """The same two levels, written as yes and no."""
    pair: tuple[object, object] = (("yes", "no"), (True, False), (1, 0), ("Yes", "No"))[rng.integers(4)]
    if name in ("born here", "immigrant", "nationality") or kind == "citizen":
        name = "citizen"
    return Attribute(kind, name, ((pair[0], 0.0, yes), (pair[1], 0.0, no)), ordered=False)


def _spread(n: int) -> np.ndarray:
    """Equally spaced latent positions with variance one."""
    if n == 1:
        return np.zeros(1)
    positions = np.linspace(-1, 1, n)
    return positions / positions.std()


def _ordered(rng: np.random.Generator, kind: str) -> Attribute:
    names = ORDERED_NAMES[kind]
    name = names[rng.integers(len(names))]
    draw = rng.random()
    if kind == "age":
        return Attribute(kind, name, _age_bands(rng) if draw < 0.62 else _numbers(rng, kind) if draw < 0.92 else _steps(rng, kind), True)  # fmt: skip
    if kind == "income" and draw < 0.5:
        return Attribute(kind, name, _money_bands(rng), True)
    if draw < 0.72:
        return Attribute(kind, name, _steps(rng, kind), True)
    return Attribute(kind, name, _numbers(rng, kind), True)


def _steps(rng: np.random.Generator, kind: str) -> tuple[Level, ...]:
    wordings = _GENERIC if rng.random() < 0.12 else _STEPS[kind]
    levels = wordings[rng.integers(len(wordings))]
    capital = rng.random()
    change: Callable[[str], str] = (str if capital < 0.7 else str.lower if capital < 0.85 else lambda text: text[0].upper() + text[1:])  # fmt: skip
    return tuple((change(level), float(z), "") for level, z in zip(levels, _spread(len(levels)), strict=True))


def _numbers(rng: np.random.Generator, kind: str) -> tuple[Level, ...]:
    ranges = _NUMBERS.get(kind, _SCALES_1)
    low, high, step = ranges[rng.integers(len(ranges))]
    values = np.arange(low, high + step / 2, step)
    if kind == "age" and high > 60:
        z = (values - 48) / 18
    else:
        z = (values - values.mean()) / max(values.std(), 1e-9)
    return tuple((float(value), float(position), "") for value, position in zip(values, z, strict=True))


def _age_bands(rng: np.random.Generator) -> tuple[Level, ...]:
    cuts = _AGE_CUTS[rng.integers(len(_AGE_CUTS))] if rng.random() < 0.6 else None
    if cuts is None:
        start = int(rng.choice([15, 16, 18, 20]))
        cuts = [start, *sorted(rng.choice(np.arange(start + 5, 86), int(rng.integers(2, 6)), replace=False).tolist())]
    style = rng.integers(5)
    last = rng.integers(4)
    first = rng.random() < 0.25
    levels: list[Level] = []
    for i, low in enumerate(cuts):
        high = cuts[i + 1] - 1 if i + 1 < len(cuts) else None
        middle = (low + (high if high is not None else min(low + 18, 92))) / 2
        if high is None:
            text = (f"{low}+", f"{low} or older", f"{low} and over", f"over {low - 1}")[last]
        elif i == 0 and first:
            text = (f"under {high + 1}", f"up to {high}", f"younger than {high + 1}")[last % 3]
        else:
            text = (f"{low}-{high}", f"{low}-{high}", f"{low} to {high}", f"{low}–{high}", f"aged {low}-{high}")[style]
        levels.append((text, (middle - 48) / 18, ""))
    return tuple(levels)


_AGE_CUTS = [[18, 30, 45, 65], [18, 30, 50, 65], [18, 25, 35, 45, 55, 65], [18, 35, 55], [18, 30, 45, 60], [18, 26, 36, 46, 56, 66], [15, 25, 40, 60], [18, 40, 65]]  # fmt: skip


def _money_bands(rng: np.random.Generator) -> tuple[Level, ...]:
    n = int(rng.integers(3, 7))
    steps = np.array([10, 15, 20, 25, 30, 40, 50, 60, 75, 80, 90, 100, 125, 150, 200, 250])
    cuts = np.sort(rng.choice(steps, n - 1, replace=False)).tolist()
    style = int(rng.integers(5))

    def amount(value: int) -> str:
        return (f"${value}k", f"{value},000", f"${value},000", f"{value}k", f"€{value},000")[style]

    below, above = ("Less than {}", "under {}", "below {}")[rng.integers(3)], ("{} or more", "over {}", "{}+", "more than {}")[rng.integers(4)]  # fmt: skip
    texts = [below.format(amount(cuts[0]))]
    for low, high in itertools.pairwise(cuts):
        texts.append(f"${low}-{high}k" if style == 0 else f"{amount(low)} to {amount(high)}" if rng.random() < 0.5 else f"{amount(low)}-{amount(high)}")  # fmt: skip
    texts.append(above.format(amount(cuts[-1])))
    return tuple((text, float(z), "") for text, z in zip(texts, _spread(n), strict=True))


def _invented(rng: np.random.Generator) -> Attribute:
    """A column with a name or levels that mean nothing: x0, q17, made-up groups, bare codes."""
    name = (f"x{rng.integers(10)}", f"q{rng.integers(1, 60)}", f"V{rng.integers(1, 99)}", invented_word(rng))[
        rng.integers(4)
    ]
    n = int(rng.integers(2, 6))
    form = rng.integers(3)
    if form == 0:
        z = _spread(n)
        return Attribute(f"?{name}", name, tuple((i + 1, float(z[i]), "") for i in range(n)), ordered=True)
    if form == 1:
        words = [invented_word(rng, int(rng.integers(2, 4))) for _ in range(n)]
    else:
        words = [f"group {letter}" for letter in "ABCDEF"[:n]]
    return Attribute(f"?{name}", name, tuple((word, 0.0, word) for word in dict.fromkeys(words)), ordered=False)
