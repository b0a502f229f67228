"""Readers of named surveys: which variables are questions, backgrounds and weights is known, what they say is not."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack

from surveysim.datasets.named_files import read_named
from surveysim.datasets.survey import Survey
from surveysim.tables.missing import MissingCodes

__all__ = [
    "read_cfps",
    "read_cgss",
    "read_ess",
    "read_gss",
    "read_pew_atp",
    "read_wellcome_monitor",
    "read_wvs",
]

F = TypeVar("F", bound=Callable[..., Survey])


class ReadingParameters(TypedDict, total=False):
    """What all readers take; see their documentation."""

    questions: Sequence[str] | None
    backgrounds: Sequence[str] | None
    weight: str | None
    missing: MissingCodes | None
    age_bands: Sequence[float]
    variable_labels: Mapping[str, str] | None
    value_labels: Mapping[str, Mapping[Hashable, str]] | None
    encoding: str | None


_PARAMETERS = """
    questions : list of str, optional
        Variables to read as questions; default: those of the mapping, all of which the file must have. Variables that
        the mapping does not know are read as by `read_survey`.
    backgrounds : list of str, optional
        Variables to read as backgrounds, by the survey's name (``"agea"``) or the reader's (``"age group"``); default:
        those of the mapping.
    weight : str or None, default="auto"
        A weight other than the mapping's, or None (strata and clusters are then left out, too).
    missing : mapping, optional
        Further codes that mean no answer, as for `read_survey`.
    age_bands : sequence of int, default=(30, 45, 65)
        Where age groups begin, the first apart.
    variable_labels, value_labels : mapping, optional
        Wording and labels, on top of the file's.
    encoding : str, optional
        Encoding of the file's text."""

_RETURNS = """
    Returns
    -------
    Survey
        Its `variables` say which names are checked against which file, and which are unchecked.

    Raises
    ------
    ValueError
        If the file lacks a variable of the mapping, or is another round (the message names it); otherwise as in
        `read_survey`.

    See Also
    --------
    list_readers : The mapping: every variable, its role, checked or unchecked.
    read_survey : Any file of any survey."""


def _document(function: F) -> F:
    """Parameters that all readers share, written once."""
    text = inspect.cleandoc(function.__doc__ or "")  # as Python 3.13 does by itself
    for name, shared in (("%parameters%", _PARAMETERS), ("%returns%", _RETURNS)):
        text = text.replace(name, inspect.cleandoc(shared))
    function.__doc__ = text
    return function


@_document
def read_ess(
    path: str | Path,
    round: int,
    *,
    countries: Sequence[str] | None = None,
    verify: bool = True,
    **parameters: Unpack[ReadingParameters],
) -> Survey:
    """Read the European Social Survey, rounds 9, 10 and 11.

    Parameters
    ----------
    path : str or Path
        The integrated file of the round, SPSS or Stata. To get it: register free of charge at https://ess.sikt.no.
        Terms: CC BY-NC-SA 4.0.
    round : {9, 10, 11}
    countries : list of str, optional
        Two-letter codes, ``["GB", "NO"]``; default: all.
    verify : bool, default=True
        Whether the file must say its round (`essround`); an extract without it needs ``verify=False``.
    %parameters%

    %returns%

    Notes
    -----
    The weight is `anweight`, strata and clusters are `stratum` and `psu` where the file has them. "Other" and "not
    possible to harmonise" education (`eisced` 55 and 0) have no place in the order and become "not stated".

    Examples
    --------
    >>> from surveysim.datasets import read_ess
    >>> survey = read_ess("ESS9e03_2.sav", round=9, countries=["GB"])  # doctest: +SKIP
    >>> cells = survey.tabulate(
    ...     ["age group", "gender", "education"], ["trstplt", "stflife"]
    ... )  # doctest: +SKIP
    """
    return read_named("ess", path, round, countries=countries, verify=verify, **parameters)


@_document
def read_wvs(
    path: str | Path,
    wave: int | str = 7,
    *,
    countries: Sequence[str] | None = None,
    verify: bool = True,
    **parameters: Unpack[ReadingParameters],
) -> Survey:
    """Read the World Values Survey, wave 7, or one of two extracts that come with R packages.

    Parameters
    ----------
    path : str or Path
        The cross-national file, SPSS or Stata, from https://www.worldvaluessurvey.org (a form asks for your purpose).
        Terms: free for non-profit use, no redistribution.
    wave : {7, "usa_abortion", "carData"}, default=7
        The latter two are the data sets wvs_usa_abortion of stevedata and WVS of carData.
    countries : list of str, optional
        Three-letter codes, ``["USA", "JPN"]``; default: all.
    verify : bool, default=True
        Whether the file must say its wave (``A_WAVE``).
    %parameters%

    %returns%

    Examples
    --------
    >>> from surveysim.datasets import read_wvs
    >>> survey = read_wvs("WVS_Cross-National_Wave_7.sav", countries=["USA"])  # doctest: +SKIP
    """
    return read_named("wvs", path, wave, countries=countries, verify=verify, **parameters)


@_document
def read_gss(path: str | Path, year: int, *, verify: bool = True, **parameters: Unpack[ReadingParameters]) -> Survey:
    """Read the General Social Survey of the United States: 2018, 2021, 2022 or 2024.

    Parameters
    ----------
    path : str or Path
        The cumulative file, of which the year's respondents are taken (the others are counted in the report), or the
        file of one year. Stata or SPSS, from https://gss.norc.org without registration. Terms: cite NORC; do not try to
        identify respondents.
    year : int
    verify : bool, default=True
        Whether the file must have the variable `year`.
    %parameters%

    %returns%

    Notes
    -----
    Questions change from year to year: those that the file does not have, or that nobody was asked, are listed in the
    report. Weights: wtssps or wtssall in 2018, wtssnrps or wtssps since.

    Examples
    --------
    >>> from surveysim.datasets import read_gss
    >>> survey = read_gss("gss7224_r1.dta", year=2022)  # doctest: +SKIP
    """
    return read_named("gss", path, year, verify=verify, **parameters)


@_document
def read_cgss(path: str | Path, year: int = 2017, **parameters: Unpack[ReadingParameters]) -> Survey:
    """Read the Chinese General Social Survey, 2017.

    Parameters
    ----------
    path : str or Path
        Stata or SPSS, from the Chinese National Survey Data Archive, http://www.cnsda.org, after registration. Terms:
        academic use. Wording and labels are Chinese; ``encoding="gb18030"`` if the file does not say so itself.
    year : {2017}
        The file does not say its year: another one shows by the variables that it lacks.
    %parameters%

    %returns%

    Notes
    -----
    Age is the year of the survey minus the year of birth (`a31`).

    Examples
    --------
    >>> from surveysim.datasets import read_cgss
    >>> survey = read_cgss("CGSS2017.dta")  # doctest: +SKIP
    """
    return read_named("cgss", path, year, **parameters)


@_document
def read_cfps(path: str | Path, wave: int, **parameters: Unpack[ReadingParameters]) -> Survey:
    """Read the China Family Panel Studies, person files of 2018 and 2020.

    Parameters
    ----------
    path : str or Path
        The person file, Stata, from https://opendata.pku.edu.cn after registration. Terms: academic use, no
        redistribution.
    wave : {2018, 2020}
        The waves differ in the names of weights and education, which carry the year.
    %parameters%

    %returns%

    Examples
    --------
    >>> from surveysim.datasets import read_cfps
    >>> survey = read_cfps("cfps2020person_202306.dta", wave=2020)  # doctest: +SKIP
    """
    return read_named("cfps", path, wave, **parameters)


@_document
def read_wellcome_monitor(
    path: str | Path,
    year: int = 2018,
    *,
    countries: Sequence[str] | None = None,
    **parameters: Unpack[ReadingParameters],
) -> Survey:
    """Read the Wellcome Global Monitor, 2018.

    Parameters
    ----------
    path : str or Path
        The data sheet of the workbook saved as CSV, from https://wellcome.org/reports/wellcome-global-monitor/2018.
        Copyright Wellcome.
    year : {2018}
    countries : list of str, optional
        As the file spells them; default: all.
    %parameters%

    %returns%

    Notes
    -----
    The file has codes only. Without ``value_labels`` and ``variable_labels``, to be taken from the data dictionary in
    the workbook, options are the codes and the wording is the variable's name. Codes 98 (don't know), 99 (refused) and
    97 (not asked) are missing answers.

    Examples
    --------
    >>> from surveysim.datasets import read_wellcome_monitor
    >>> labels = {"Q1": {1: "A lot", 2: "Some", 3: "Not much", 4: "Nothing at all"}}
    >>> survey = read_wellcome_monitor("wgm2018.csv", value_labels=labels)  # doctest: +SKIP
    """
    return read_named("wellcome", path, year, countries=countries, **parameters)


@_document
def read_pew_atp(path: str | Path, wave: int, **parameters: Unpack[ReadingParameters]) -> Survey:
    """Read Pew Research Center's American Trends Panel, any wave.

    Parameters
    ----------
    path : str or Path
        The wave's SPSS file, from https://www.pewresearch.org/american-trends-panel-datasets/ (free account). Terms: no
        redistribution.
    wave : int
        Questions are the variables that end in ``_W<wave>`` and have value labels; the weight is ``WEIGHT_W<wave>``. A
        file of another wave has neither, which is an error.
    %parameters%

    %returns%

    Notes
    -----
    `read_opinionqa` reads fifteen waves in the form that the authors of OpinionQA gave them.

    Examples
    --------
    >>> from surveysim.datasets import read_pew_atp
    >>> survey = read_pew_atp("ATP W92.sav", wave=92)  # doctest: +SKIP
    """
    return read_named("pew_atp", path, wave, **parameters)
