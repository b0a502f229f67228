"""What a variable is for, guessed from its name, its label and its values: background or identifier."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

import pandas as pd

__all__ = [
    "BACKGROUND_KINDS",
    "ORDERED_KINDS",
    "Guess",
    "background_kind",
    "is_date",
    "looks_like_id",
]


@dataclass(frozen=True)
class _Kind:
    """Names (whole) and labels (parts) by which a background is recognised."""

    names: str
    labels: str


# The first kind that fits decides. Names are those of large surveys and of everyday files.
_KINDS = {
    "age": _Kind(
        r"age|agea|age_?r|respondent_?age|alter|edad|edat|leeftijd|ppage|idade|年龄",
        r"(respondent[’\']?s? )?age( of (the )?respondent| in years| \(in years\))?( ?[,(:].*)?|年龄",
    ),
    "age group": _Kind(
        r"age_?(cat|group|grp|bands?|class|range|rec|recode)s?\w*|f_agecat\w*|agecategories|agegroup\w*|agecat\w*",
        r"age (group|categor|band|bracket|recoded)\w*.*",
    ),
    "gender": _Kind(
        r"gender|gndr|sex|f_gender|f_sex\w*|geschlecht|sexo|sexe|genero|género|kjonn|female|male|性别",
        r"(respondent[’']?s?,? )?(sex|gender)( of (the )?respondent)?( ?[,(:].*)?|性别",
    ),
    "education": _Kind(
        r"edu|educ|education|eisced|edulvlb?|isced\w*|degree|f_educcat\w*|educcat\w*|bildung|schooling|cfps\d+edu",
        r".*\b(level of education|education(al)? (level|attainment)|highest (degree|level of (school|education))\w*|"
        r"highest educational level)\b.*|.*(受教育程度|学历).*",
    ),
    "income": _Kind(
        r"income\w*|inc|hinctnta|inc_?cat|income_?cat|f_inc\w*|household_?income|einkommen|hhincome\w*|faminc\w*",
        r"([a-z]+,? )*(household|family|personal|respondent)[’']?s?( [a-z]+){0,3} income( ?[,(:].*)?|"
        r"(scale of )?incomes?( group| level| quintile| decile)?s?( ?[,(:].*)?",
    ),
    "urban": _Kind(
        r"urban\w*|rural|domicil|urban_?rural|h_urbrural|townsize|settlement|f_metro",
        r"(urban|rural)([ /-]+(or )?(rural|urban))?( (area|residence|status|location|classification))?( ?[,(:].*)?|"
        r"domicile( ?[,(:].*)?",
    ),
    "country": _Kind(
        r"country\w*|cntry|b_country_alpha|nation|pais|countrynew",
        r"country( code| of (interview|residence))?( ?[,(:].*)?",
    ),
    "region": _Kind(
        r"region\w*|state|province|prov\w*cd\w*|f_cregion|cregion|bundesland|division|stateabb",
        r"(region|state|province)( (code|name|of (the )?(residence|interview|country|respondent)))?( ?[,(:].*)?|省份.*",
    ),
    "race": _Kind(
        r"race\d?|racef|race_?(eth|cen|acs)\w*|ethnic\w*|f_racethn\w*|ethnicity|hispanic",
        r"(respondent[’']?s? )?(race|ethnicity|ethnic group)( (and|or) ethnicity)?( of (the )?respondent)?( ?[,(:].*)?",
    ),
    "religion": _Kind(
        r"relig|religion|f_relig|rlgdnm|denom",
        r"(religious denomination|religion)( (code|of (the )?respondent|or denomination.*))?( ?[,(:].*)?",
    ),
    "marital status": _Kind(
        r"marital\w*|marstat\w*|maritalb|f_marital|marit\w*|civil_?status",
        r".*\b(marital|legal marital|civil) status\b.*|婚姻状况",
    ),
    "employment": _Kind(
        r"employment\w*|empstat\w*|mnactic|wrkstat|emp_2010|labou?r_?force\w*|uempla",
        r".*\b(employment status|labou?r force status|main activity)\b.*",
    ),
    "children": _Kind(
        r"children|childs|numch\w*|nkids",
        r"(number of|how many) children( (in (the |your )?household|living .*|ever .*|(have|do) you .*))?( ?[,(:?].*)?",
    ),
    "class": _Kind(
        r"social_?class|class_?self|subjective_?class",
        r"(subjective )?social class( of (the )?respondent| self.*)?( ?[,(:].*)?",
    ),
}

BACKGROUND_KINDS = tuple(_KINDS)
"""The kinds of backgrounds that are recognised."""

ORDERED_KINDS = frozenset({"age", "age group", "education", "income", "class", "children"})
"""Kinds whose levels have an order, which is that of the codes where the labels do not tell another."""

# Labels that are about somebody else, or about what is thought of the thing.
_ABOUT_OTHERS = re.compile(
    r"\b(partner|spouse|husband|wife|father|mother|parents?|child[’']s|interviewer|feelings?|satisf\w+|discriminat\w+|"
    r"equality|should|education in|sources? of|nowadays|ideal)\b"
)
# A name or a label with one of these is of what is thought of the thing, or of a part of it.
_OPINION = re.compile(
    r"satisf|feel|should|discrim|equal|fair|trust|import|source|enough|support|redistrib|better|worse|nowadays"
)
_ID_NAMES = re.compile(
    r"(\w*_)?(id|idno|response_?id|participant_?id|user_?id|session_?id|ip_?address|caseid|respid|respondent_?id|qkey|serial|rownames|uid|pid|fid|record|case)\d*(_\w+)?"
)


@dataclass(frozen=True)
class Guess:
    """A guess and the reason for it."""

    kind: str
    reason: str


def background_kind(name: str, label: str | None) -> Guess | None:
    """The kind of background that a variable is, or None."""
    lowered = name.casefold().strip()
    about = (label or "").casefold()
    for kind, pattern in _KINDS.items():
        if _OPINION.search(lowered.replace(kind, "")) or (_OPINION.search(about) and "all source" not in about):
            break
        if re.fullmatch(pattern.names, lowered):
            return Guess(kind, f"its name is that of a background ({kind})")
    if label and len(label) < 60 and "?" not in label and not _ABOUT_OTHERS.search(about):
        text = " ".join(about.split())
        for kind, pattern in _KINDS.items():
            if re.fullmatch(pattern.labels, text):
                return Guess(kind, f"its label is that of a background ({kind})")
    return None


def looks_like_id(name: str, column: pd.Series) -> bool:
    """Whether a variable numbers the respondents or interviews."""
    if _ID_NAMES.fullmatch(name.casefold()):
        return True
    if pd.api.types.is_float_dtype(column.dtype):
        values = column.dropna()
        if len(values) == 0 or (values % 1 != 0).any():
            return False
    try:
        return len(column) > 100 and column.nunique(dropna=False) == len(column)
    except TypeError:  # lists, as Parquet can hold
        return False


_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{2,4})"
    r"([T ]+\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?( ?(Z|UTC|[+-]\d{2}:?\d{2}))?)?"
)


def is_date(column: pd.Series) -> bool:
    """Whether a variable holds dates, or text that writes them: "2023-05-01", "1/5/2023 14:30"."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return True
    if not pd.api.types.is_string_dtype(column.dtype) and column.dtype != object:
        return False
    written = column.dropna().head(200)
    texts = [value.strip() for value in written if isinstance(value, str) and value.strip()]
    if texts:
        return all(_DATE.fullmatch(text) for text in texts)
    return len(written) > 0 and all(isinstance(value, datetime.date) for value in written)
