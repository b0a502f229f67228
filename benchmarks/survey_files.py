"""Files of the DSA paper's surveys, which each archive gives to those who register, as surveys of the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.surveys import Survey
from surveysim import datasets

__all__ = ["BACKGROUNDS", "KINDS", "read_file"]

KINDS = ("ess", "wvs", "cgss", "cfps")

BACKGROUNDS = ("age group", "gender", "education")
"""The readers' names of what describes respondents, where the file has it."""


def read_file(kind: str, edition: str, path: str | Path, countries: Sequence[str] | None = None) -> Survey:
    """One survey of `KINDS`.

    Parameters
    ----------
    kind : str
    edition : str
        The round, wave or year, as `surveysim.datasets` calls it.
    path : path
        SPSS or Stata.
    countries : sequence of str, optional
        Of ESS and WVS, by their codes; None: all.

    Returns
    -------
    Survey
        All questions of the reader's mapping; respondents unweighted, as in all benchmarks.

    Raises
    ------
    ValueError
        If the survey is not known here; else as the reader.
    """
    number: int | str = int(edition) if edition.isdigit() else edition
    if kind == "ess":
        read = datasets.read_ess(path, int(number), countries=countries)
    elif kind == "wvs":
        read = datasets.read_wvs(path, number, countries=countries)
    elif kind == "cgss":
        read = datasets.read_cgss(path, int(number))
    elif kind == "cfps":
        read = datasets.read_cfps(path, int(number))
    else:
        raise ValueError(f"survey must be one of {KINDS}, got {kind!r}")
    backgrounds = [name for name in BACKGROUNDS if name in read.backgrounds]
    name = "_".join([kind, edition, *(countries or ())])
    return Survey(name, read.data, backgrounds, dict(read.questions))
