"""SPSS, Stata and SAS files by pyreadstat, with what it gets wrong put right: missing values, dates, catalogs."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.stata import StataMissingValue  # type: ignore[attr-defined]

from surveysim.datasets.raw import ENCODINGS, FORMATS, RawSurvey, require

__all__ = ["read_statistical"]


def read_statistical(
    path: Path, ending: str, encoding: str | None, catalog: str | Path | None, columns: Sequence[str] | None,
    metadata_only: bool,
) -> RawSurvey:  # fmt: skip
    """Read a file of a statistical package, codes as they are.

    Parameters
    ----------
    path : Path
    ending : str
        The path's, in lower case.
    encoding : str or None
        Of the text, where the file does not say.
    catalog : str, Path or None
        The .sas7bcat file with the labels of a .sas7bdat file.
    columns : list of str or None
        Variables to read.
    metadata_only : bool
        Whether to leave the respondents in the file.
    """
    pyreadstat = require("pyreadstat")
    read = {
        ".sav": pyreadstat.read_sav,
        ".zsav": pyreadstat.read_sav,
        ".por": pyreadstat.read_por,
        ".dta": pyreadstat.read_dta,
        ".sas7bdat": pyreadstat.read_sas7bdat,
        ".xpt": pyreadstat.read_xport,
    }[ending]
    options: dict[str, Any] = {} if encoding is None else {"encoding": encoding}
    if columns is not None:
        options["usecols"] = list(columns)
    if ending not in (".xpt", ".por"):  # pyreadstat reads these two without codes for missing answers
        options["user_missing"] = True
    if metadata_only:
        options["metadataonly"] = True
    findings: list[tuple[str, str, int, str]] = []
    try:
        data, meta = _read_with_dates(read, path, options, findings)
        if columns is not None and data.shape[1] == 0:  # pyreadstat is silent about columns that do not exist
            data, meta = _read_with_dates(read, path, {**options, "usecols": None}, findings)
        labels = {name: dict(found) for name, found in meta.variable_value_labels.items() if found}
        if catalog is not None:
            labels |= _catalog_labels(path, ending, catalog, meta, encoding)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name}: {_explain(str(error), ending, encoding)}") from None
    if ending == ".dta" and not metadata_only:
        _mend_stata(path, data, meta.missing_user_values, findings)
    missing: dict[str, list[Any]] = {name: list(codes) for name, codes in meta.missing_user_values.items()}
    for name, ranges in meta.missing_ranges.items():
        missing.setdefault(name, []).extend(
            span["lo"] if span["lo"] == span["hi"] else (span["lo"], span["hi"]) for span in ranges
        )
    wording = {name: label.strip() for name, label in meta.column_names_to_labels.items() if label and label.strip()}
    return RawSurvey(path, data, wording, labels, missing, findings=findings)


def _read_with_dates(
    read: Callable[..., Any], path: Path, options: Mapping[str, object], findings: list[tuple[str, str, int, str]]
) -> tuple[pd.DataFrame, Any]:
    """The file; where it holds a date that no calendar has, that date is left out and the rest read."""
    try:
        data, meta = read(str(path), **options)
    except (OverflowError, ValueError) as error:
        if not isinstance(error, OverflowError) and "date" not in str(error).lower():
            raise
        data, meta = read(str(path), **options, disable_datetime_conversion=True)
        for name in data.columns:
            moment = _moments(data[name], str(meta.original_variable_types.get(name)), path.suffix.lower())
            if moment is not None:
                impossible = int((moment.isna() & data[name].notna()).sum())
                data[name] = moment
                if impossible:
                    findings.append((name, "impossible dates, taken as missing", impossible, ""))
    return data, meta


_DATE_FORMATS = ("DATE", "ADATE", "EDATE", "JDATE", "SDATE", "YMDHMS", "MMDDYY", "DDMMYY", "YYMMDD", "%TD", "%TC", "%D")


def _moments(column: pd.Series, kind: str, ending: str) -> pd.Series | None:
    """Dates counted from the package's first day; None for a variable that is not a date."""
    if not kind.upper().startswith(_DATE_FORMATS) or not pd.api.types.is_numeric_dtype(column.dtype):
        return None
    in_days = ending in (".sas7bdat", ".xpt") and not kind.upper().startswith("DATETIME")
    if ending == ".dta":
        unit, start = ("D" if kind.upper().startswith(("%TD", "%D")) else "ms"), datetime.datetime(1960, 1, 1)
    elif ending in (".sas7bdat", ".xpt"):
        unit, start = ("D" if in_days else "s"), datetime.datetime(1960, 1, 1)
    else:
        unit, start = "s", datetime.datetime(1582, 10, 14)  # of SPSS: the Gregorian calendar's
    per_day = {"D": 1.0, "s": 86_400.0, "ms": 86_400_000.0}[unit]
    days = column.to_numpy(dtype=np.float64) / per_day
    last = (datetime.datetime.max - start).days
    possible = np.isfinite(days) & (days >= 0) & (days < last)
    found = [
        start + datetime.timedelta(days=float(day)) if ok else None for day, ok in zip(days, possible, strict=True)
    ]
    return pd.Series(found, index=column.index, dtype=object)


def _catalog_labels(
    path: Path, ending: str, catalog: str | Path, meta: Any, encoding: str | None
) -> dict[str, dict[Any, str]]:
    """Labels of a SAS catalog by variable. Read apart: read together, pyreadstat puts labels in place of codes."""
    if ending != ".sas7bdat":
        raise ValueError(f"catalog is for .sas7bdat files, got {path.name}")
    if not Path(catalog).exists():
        raise FileNotFoundError(f"no SAS catalog {str(catalog)!r}")
    pyreadstat = require("pyreadstat")
    options = {} if encoding is None else {"encoding": encoding}
    _, formats = pyreadstat.read_sas7bcat(str(catalog), **options)
    by_format = {name.upper(): labels for name, labels in formats.value_labels.items()}
    return {
        name: dict(labels)
        for name, given in meta.variable_to_label.items()
        if given and (labels := by_format.get(str(given).upper()))
    }


def _mend_stata(
    path: Path, data: pd.DataFrame, missing: Mapping[str, Sequence[object]], findings: list[tuple[str, str, int, str]]
) -> None:
    """Read integers with letters for missing values again, by pandas.

    pyreadstat (1.3.7) fills "." with uninitialised memory in integer variables that also hold ".a" to ".z".
    """
    columns = [name for name in missing if name in data.columns]
    if not columns:
        return
    try:
        again = pd.read_stata(
            path, columns=columns, convert_categoricals=False, convert_missing=True, convert_dates=False
        )
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        listed = ", ".join(columns[:10])
        findings.append(("", "variables with missing values of several kinds that pandas cannot check", 0,
                         f"{listed}: {str(error).splitlines()[0]}"))  # fmt: skip
        return
    for name in columns:
        values = again[name].astype(object)
        is_missing = values.map(lambda value: isinstance(value, StataMissingValue))
        letters = values[is_missing].map(lambda value: str(value).lstrip("."))
        values[is_missing] = letters.where(letters != "", None)
        data[name] = values.to_numpy()


def _explain(message: str, ending: str, encoding: str | None) -> str:
    lowered = message.lower()
    if "encoding" in lowered or "character set" in lowered or "codec" in lowered:
        said = f"it is not {encoding}" if encoding else "its text is not in the encoding that it names"
        return f"{said}: give {ENCODINGS}. ({message})"
    if "expected number of rows" in lowered or "read from file" in lowered or "truncat" in lowered:
        return f"the file is truncated or damaged: download or copy it again. ({message})"
    return (
        f"not readable as {FORMATS[ending]}: it is damaged, or of a version that pyreadstat does not know. ({message})"
    )
