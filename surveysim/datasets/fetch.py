"""Downloaded data: cached, checked against a checksum, and with a way for machines without a network."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.datasets.backgrounds import check_bands
from surveysim.datasets.files import open_survey
from surveysim.datasets.proposal import AGE_BANDS, Choices, build_survey
from surveysim.datasets.raw import RawSurvey, require
from surveysim.datasets.survey import Report, Survey
from surveysim.questions import Question
from surveysim.tables.missing import as_missing

__all__ = ["data_home", "fetch_file", "fetch_nonvoters"]


def data_home(folder: str | Path | None = None) -> Path:
    """Where downloads are kept: `folder`, else the environment variable SURVEYSIM_CACHE, else the user's cache."""
    if folder is not None:
        return Path(folder).expanduser()
    if os.environ.get("SURVEYSIM_CACHE"):
        return Path(os.environ["SURVEYSIM_CACHE"]).expanduser()
    return Path(require("pooch").os_cache("surveysim"))


def fetch_file(name: str, url: str, sha256: str, folder: Path, *, download: bool = True) -> Path:
    """A file from the cache, else from the network.

    Raises
    ------
    OSError
        If it is not there and cannot be downloaded; the message says what to place where.
    ValueError
        If what is there, or what came, is another file.
    """
    place = folder / name
    if place.exists():
        found = hashlib.sha256(place.read_bytes()).hexdigest()
        if found != sha256:
            raise ValueError(
                f"{place} is not the expected file (sha256 {found[:12]}..., expected {sha256[:12]}...): delete it, so "
                f"that it is downloaded again from {url}"
            )
        return place
    by_hand = f"Place {url} at {place} (sha256 {sha256}), or name its folder in data_home=."
    if not download:
        raise OSError(f"{name} is not in {folder} and download=False. {by_hand}")
    pooch = require("pooch")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return Path(pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=name, path=folder, progressbar=False))
    except ValueError as error:  # the checksum; pooch has removed what came
        raise ValueError(f"{url} is no longer the file that this version of surveysim knows. {by_hand}") from error
    except Exception as error:  # requests has no common class that can be named without importing it
        raise OSError(f"{name} could not be downloaded ({type(error).__name__}). {by_hand}") from error


def fetch_nonvoters(
    *, data_home: str | Path | None = None, download: bool = True, age_bands: Sequence[float] = AGE_BANDS
) -> Survey:
    """Fetch the FiveThirtyEight/Ipsos survey of voters and non-voters: 5,836 US citizens, September 2020, 61 questions.

    Parameters
    ----------
    data_home : str or Path, optional
        Folder of the download (1.8 MB, once). Default: the environment variable ``SURVEYSIM_CACHE``, else the user's
        cache.
    download : bool, default=True
        If False, a file that is not there yet is an error.
    age_bands : sequence of int, default=(30, 45, 65)
        Where age groups begin, the first apart.

    Returns
    -------
    Survey
        Backgrounds: age group, education (3 levels), race (4), gender (2), household income (4); `weight`; 61 questions
        with the wording of the published questionnaire, 45 of them ordinal.

    Raises
    ------
    OSError
        If it cannot be downloaded; the message says which file to put where.
    ValueError
        If the file has another checksum.

    Notes
    -----
    Terms: CC BY 4.0, FiveThirtyEight and Ipsos. -1 is a skipped question, a blank one that was not asked.

    Examples
    --------
    >>> from surveysim.datasets import fetch_nonvoters
    >>> survey = fetch_nonvoters()  # doctest: +SKIP
    >>> cells = survey.tabulate(["age group", "education"], ["Q2_1", "Q6"])  # doctest: +SKIP
    """
    text = resources.files("surveysim.datasets").joinpath("surveys", "nonvoters.toml").read_text(encoding="utf-8")
    about = tomllib.loads(text)
    folder = _home(data_home)
    raw = open_survey(fetch_file("nonvoters_data.csv", about["url"], about["sha256"], folder, download=download))
    return nonvoters_from(raw, about, age_bands)


_home = data_home


def nonvoters_from(raw: RawSurvey, about: dict[str, Any], age_bands: Sequence[float]) -> Survey:
    """The survey of an opened file."""
    for column, levels in about["levels"].items():
        raw.data[column] = pd.Categorical(raw.data[column], categories=levels, ordered=True)
    questions: dict[str, Question | None] = {}
    for group in about["questions"]:
        items = group.get("items", [""])
        for name, item in zip(group["names"], items, strict=True):
            questions[name] = Question(
                group["text"].format(item=item).strip(),
                group["options"],
                codes=list(np.arange(1, len(group["options"]) + 1)),
                ordinal=group.get("ordinal", True),
                pinned=group.get("pinned", ()),
                context=about["context"],
            )
    plan = Choices(
        questions=questions,
        backgrounds={
            "ppage": "age group", "educ": "education", "race": "race", "gender": "gender",
            "income_cat": "household income",
        },
        weight="weight",
        missing=as_missing({-1: "skipped"}),
        age_bands=check_bands(age_bands),
    )  # fmt: skip
    report = Report()
    survey = build_survey(raw, plan, report)
    survey.DESCR = f"{about['title']}. {about['description']} {about['page']}"
    survey.terms = about["terms"]
    survey.source = raw.path.name
    return survey
