"""The survey weight of a file: recognised by its label, or by its name and values; what is guessed is said."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from surveysim.datasets.no_answer import plain_text
from surveysim.datasets.survey import Report

__all__ = ["called_weight", "check_weight", "choose_weight", "fill_weight", "looks_like_weight"]

# Names of ESS, WVS, GSS, Pew, CIS, INE, EPH, IBGE, INSEE, SOEP, ALLBUS, LISS and everyday files.
_NAMES = re.compile(
    r"w|wts?|wts?_?\d+|wts?_\w+|wtss\w*|wtper\w*|wtfin\w*|w_\w+|w(ei)?gh?ts?(_?\w*)?|[a-z]*_?weights?_?\d*|\w*_?wgh?ts?\d*|\w+_weight\w*|"
    r"anweight|pspwght|pspwei\w*|rswt_\w+|final_?w\w*|raking\w*|gewicht\w*|\w*gewicht|ponder\w*|ponde|pond|peso(_?\w*)?|poids\w*|vikt|vekt|waga|"
    r"weeg\w*|weegfactor|paino|wagi"
)
# whatever their label says
_SURE_NAMES = re.compile(
    r"(survey_?|final_?|sample_?|sampling_?)?weights?(_w?\d+)?|pspwght|anweight|dweight|wtss\w+|ponderador|pondera"
)
_EXPANSION_NAMES = re.compile(
    r"fex\w*|fexp\w*|factor\w{0,3}_?exp\w*|fac_?exp\w*|facexp\w*|factor_?(de_)?expansi\w+|expan\w*|ponder\w*|ponde|pondih|"
    r"hochrechnung\w*|hrf\w*|factor"
)
_LABELS = re.compile(
    r"\b(weights?|weighting|post-?stratification|gewicht\w*|\w*gewicht|\w+gewicht\w*|hochrechnungsfaktor\w*|ponderacion\w*|ponderador\w*|"
    r"ponderation\w*|ponderacao|factor de (expansion|ponderacion|elevacion)|fator de (expansao|ponderacao)|"
    r"coeficiente de ponderacion|peso (muestral|amostral|campionario|estadistico)|coefficient de ponderation|"
    r"poids (de sondage|individuel|final|de redressement)|weegfactor\w*|waga|wagi|vikt\w*|vekt\w*|agirlik\w*)\b|"
    r"加权|權數|加權|权重|권중치|가중치|ウェイト|весов|вага\b|вес\b"
)
_EXPANSION_LABELS = re.compile(r"expan|elevac|hochrechnung|population weight")
_BODY = re.compile(
    r"\b(kg|kgs|kilo\w*|pounds|lbs|body|height|birth|koerper\w*|korper\w*|corporal|how much do you weigh|lose|loss)\b|"
    r"(body|birth|over|under|korper|hand)_?(weight|gewicht)"
)


def called_weight(name: str, label: str | None, column: pd.Series) -> bool:
    """Whether a numeric variable is called a weight, whatever its values."""
    if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return False
    folded, said = plain_text(name), plain_text(label or "")
    if said and said != folded:
        is_called = _LABELS.search(said) is not None or _SURE_NAMES.fullmatch(folded) is not None
    else:
        is_called = _NAMES.fullmatch(folded) is not None or _EXPANSION_NAMES.fullmatch(folded) is not None
    return is_called and not _BODY.search(folded) and not _BODY.search(said) and bool(column.notna().any())


def looks_like_weight(name: str, label: str | None, column: pd.Series) -> bool:
    """Whether a variable is a survey weight: called one, and with values that a weight can have."""
    if not called_weight(name, label, column):
        return False
    values = _finite(column)
    if len(values) == 0 or _like_kilograms(values):
        return False
    if (values % 1 != 0).any():
        return True
    # people for whom a respondent stands are counted in whole numbers
    expands = _EXPANSION_NAMES.fullmatch(plain_text(name)) or (label and _EXPANSION_LABELS.search(plain_text(label)))
    return bool(expands) and len(np.unique(values)) > min(10, len(values) // 2) and bool(values.mean() > 2)


def _says_weight(label: str) -> bool:
    return _LABELS.search(plain_text(label)) is not None


def _finite(column: pd.Series) -> np.ndarray:
    values = column.dropna().to_numpy(dtype=np.float64)
    return values[np.isfinite(values)]


def _like_kilograms(values: np.ndarray) -> bool:
    """Bodies of adults, in kilograms or pounds, differ by less than weights do."""
    return bool(values.min() >= 30 and values.max() <= 350 and 45 <= values.mean() <= 200
                and values.std() < 0.35 * values.mean())  # fmt: skip


def choose_weight(
    data: pd.DataFrame, wanted: str | None, labels: Mapping[str, str], coded: Collection[str], taken: Collection[str],
    report: Report,
) -> tuple[str | None, list[str]]:  # fmt: skip
    """The weight, and the variables that look like weights.

    Parameters
    ----------
    data : DataFrame
    wanted : str or None
        A variable, None for no weight, or "auto".
    labels : mapping of str to str
        Labels of variables.
    coded : collection of str
        Variables with value labels.
    taken : collection of str
        Variables that the user names as questions or backgrounds.
    report : Report
    """
    candidates = [
        str(name)
        for name, column in data.items()
        if name not in taken and looks_like_weight(str(name), labels.get(str(name)), column)
    ]
    if wanted is None:
        return None, candidates
    if wanted != "auto":
        check_weight(data[wanted])
        return wanted, candidates
    if not candidates:
        _mention_others(data, labels, {*coded, *taken}, report)
        return None, candidates
    if len(candidates) > 1:
        report.warn("", f"several variables look like weights, so none was taken: name one in weight=, of {candidates}")
        return None, candidates
    name = candidates[0]
    values = data[name].dropna().to_numpy(dtype=np.float64)
    wrong = (values < 0) | np.isinf(values)
    if wrong.any():
        report.warn(name, "looks like a weight, but is negative or infinite: no weight taken", int(wrong.sum()))
        return None, candidates
    if not _says_weight(labels.get(name, "")) and not (0.5 <= values.mean() <= 2 and values.min() < 1):
        what = "a weight guessed from its name alone: is it one?"
        shown = f"{values.min():g} to {values.max():g}, mean {values.mean():.4g}"
        report.doubt(name, what, 0, shown, f"weight={name!r} or weight=None")
    return name, candidates


def _mention_others(data: pd.DataFrame, labels: Mapping[str, str], skipped: Collection[str], report: Report) -> None:
    """Whole numbers may be how many people a respondent stands for, or codes: the user knows."""
    for name in data.columns:
        if name in skipped or not called_weight(name, labels.get(name), data[name]):
            continue
        column = data[name]
        if _like_kilograms(_finite(column)):
            report.warn(name, "called a weight, but with values like body weights: not taken unless weight= names it")
        elif column.nunique() > 1 or column.max() <= 0:
            report.warn(name, "called a weight, but all values are whole numbers: not taken unless weight= names it")


def check_weight(column: pd.Series) -> None:
    """Refuse a weight that the user names and that cannot be one.

    Raises
    ------
    ValueError
        If it is not a number, negative, infinite, or zero for everybody.
    """
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise ValueError(f"weight {column.name!r} is not a number: it is of type {column.dtype}")
    values = column.to_numpy(dtype=float, na_value=np.nan)
    wrong = np.flatnonzero((values < 0) | np.isinf(values))
    if len(wrong):
        rows = ", ".join(str(column.index[i]) for i in wrong[:5])
        raise ValueError(
            f"weight {column.name!r} is negative or infinite for {len(wrong):,} respondents (rows {rows}): correct "
            "it, or pass weight=None"
        )
    if not (column > 0).any():
        raise ValueError(f"weight {column.name!r} is zero or missing for everybody")


def fill_weight(name: str, column: pd.Series, report: Report) -> pd.Series:
    """The weight with 0 where it is missing, which is also reported."""
    absent, zero = int(column.isna().sum()), int((column == 0).sum())
    if absent:
        report.warn(name, "weights missing, taken as 0: these respondents do not count", absent)
    if zero:
        report.warn(name, "weights of 0: these respondents do not count", zero)
    return column.fillna(0.0)
