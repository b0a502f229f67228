"""Opens a survey file of any common format; says plainly what is wrong with one that cannot be opened."""

from __future__ import annotations

import codecs
import csv
import re
import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["FORMATS", "RawSurvey", "open_survey", "require"]

FORMATS = {
    ".sav": "SPSS",
    ".zsav": "SPSS",
    ".por": "SPSS portable",
    ".dta": "Stata",
    ".sas7bdat": "SAS",
    ".xpt": "SAS transport",
    ".csv": "CSV",
    ".tsv": "CSV",
    ".parquet": "Parquet",
}
"""Formats by ending."""

_ENCODINGS = "encoding='cp1252' (Western Europe), 'cp1250' (Central Europe), 'cp1251' (Cyrillic) or 'gb18030' (Chinese)"


@dataclass
class RawSurvey:
    """A file as it is: codes, and what it says about them.

    Attributes
    ----------
    data : DataFrame
        One row a respondent; codes, not labels.
    variable_labels : dict of str to str
        Wording or description of each variable that has one.
    value_labels : dict of str to dict
        Code to label.
    missing_codes : dict of str to list
        Codes that the file declares missing: single codes, and (low, high) ranges.
    roles : dict of str to str
        Variables that are neither questions nor backgrounds, and why.
    findings : list of (variable, what, respondents, detail)
        What was odd and had to be changed on reading.
    """

    path: Path
    data: pd.DataFrame
    variable_labels: dict[str, str] = field(default_factory=dict)
    value_labels: dict[str, dict[Hashable, str]] = field(default_factory=dict)
    missing_codes: dict[str, list[Any]] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    findings: list[tuple[str, str, int, str]] = field(default_factory=list)


def require(package: str) -> Any:
    """Import an optional dependency, or say how to install it."""
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError:
        raise ImportError(f"this needs {package}: pip install 'surveysim[survey]'") from None


def open_survey(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    encoding: str | None = None,
    catalog: str | Path | None = None,
    metadata_only: bool = False,
) -> RawSurvey:
    """Read a survey file with its labels, codes as they are.

    With `metadata_only`, formats that have metadata are opened without their respondents: some files have thousands of
    variables, of which a reader needs fifty.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the format is unknown, the file is empty, truncated, encrypted, compressed or something else than its ending
        says, its text has another encoding, or columns do not exist.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no survey file {str(path)!r}")
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder: give the survey file in it")
    ending = path.suffix.lower()
    if ending not in FORMATS:
        hint = "; save the sheet as CSV" if ending in (".xlsx", ".xls", ".ods") else ""
        hint = "; unpack it first" if ending in (".zip", ".gz", ".7z", ".rar") else hint
        raise ValueError(f"{path.name}: the format {ending or 'without ending'} is not one of {sorted(FORMATS)}{hint}")
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise ValueError(f"encoding={encoding!r} is unknown; try {_ENCODINGS}") from None
    _refuse_other_content(path, ending)
    if ending in (".csv", ".tsv"):
        raw = _read_csv(path, encoding)
    elif ending == ".parquet":
        raw = _read_parquet(path)
    else:
        raw = _read_statistical(path, ending, encoding, catalog, columns, metadata_only)
    raw.data.columns = [str(column) for column in raw.data.columns]
    twice = raw.data.columns[raw.data.columns.duplicated()].unique().tolist()
    if twice:
        raise ValueError(f"{path.name} has several variables called {twice}: rename them")
    if columns is not None:
        absent = [column for column in columns if column not in raw.data.columns]
        if absent:
            raise ValueError(f"{path.name} has no variables {absent}; it has {_few(list(raw.data.columns))}")
        raw.data = raw.data[list(columns)]
    if len(raw.data) == 0 and not metadata_only:
        raise ValueError(f"{path.name} has no respondents: {raw.data.shape[1]} variables, no rows")
    return raw


def _few(names: list[str], limit: int = 20) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit:,} more" if len(names) > limit else "")


# Signatures of what is found in place of a survey file: https://en.wikipedia.org/wiki/List_of_file_signatures; the
# encrypted SPSS file from the PSPP manual, "Encrypted File Wrappers".
def _refuse_other_content(path: Path, ending: str) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(512)
        file.seek(max(0, size - 64))
        tail = file.read()
    if not head.strip():
        raise ValueError(f"{path.name} is empty ({size:,} bytes): download or export it again")
    if b"ENCRYPTEDSAV" in head[:32] or b"ENCRYPTEDPOR" in head[:32]:
        raise ValueError(
            f"{path.name} is an encrypted SPSS file: open it in SPSS with its password and save it without one"
        )
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html")):
        raise ValueError(
            f"{path.name} is a web page, not a survey file: the download asked for a login or for terms to be "
            "accepted; download it in a browser"
        )
    if text.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path.name} is a Git LFS pointer, not the file: run git lfs pull")
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")):
        raise ValueError(f"{path.name} is a compressed archive: unpack it first")
    expected = {
        ".sav": (b"$FL2", b"$FL3"),
        ".zsav": (b"$FL2", b"$FL3"),
        ".parquet": (b"PAR1",),
        ".xpt": (b"HEADER RECORD",),
    }.get(ending)
    if expected and not head.startswith(expected):
        raise ValueError(f"{path.name} is no {FORMATS[ending]} file, whatever its ending says: it begins {head[:8]!r}")
    # Two formats whose readers accept a file cut short: Stata's ends with a tag, SAS transport comes in 80-byte cards.
    cut = (ending == ".dta" and head.startswith(b"<stata_dta>") and not tail.rstrip().endswith(b"</stata_dta>")) or (
        ending == ".xpt" and size % 80 != 0
    )
    if cut:
        raise ValueError(f"{path.name} is truncated: its end is missing ({size:,} bytes); download or copy it again")


# What a blank is written as. Not pandas' own list: "None" and "n/a" are answers in surveys.
BLANKS = ("", "NA", "NaN", "nan", "<NA>", "NULL", "null", "#N/A", "#NULL!")


def _read_csv(path: Path, encoding: str | None) -> RawSurvey:
    chosen = encoding or "utf-8-sig"
    try:
        with path.open(encoding=chosen, newline="") as file:
            separator = _separator(file.readline())
            file.seek(0)
            names = next(csv.reader(file, delimiter=separator, skipinitialspace=True), [])
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            data = pd.read_csv(
                path,
                sep=separator,
                encoding=chosen,
                index_col=False,  # else a field too many per row would shift all names by one, in silence
                skipinitialspace=True,
                keep_default_na=False,
                na_values=list(BLANKS),
                low_memory=False,
            )
    except pd.errors.ParserWarning:
        raise ValueError(
            f"{path.name}: its rows have more fields than its first line has names ({len(names)}); give every column a "
            "name (R's write.table leaves out that of the row names)"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path.name} is not {encoding or 'UTF-8'} text (byte {error.start:,}): give {_ENCODINGS}"
        ) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise ValueError(f"{path.name} is no readable CSV file: {error}") from None
    twice = sorted({name for name in names if name.strip() and names.count(name) > 1})
    if twice:  # pandas would call the second "age.1"
        raise ValueError(f"{path.name} has several variables called {twice}: rename them")
    data, wording = _without_qualtrics_lines(data)
    # A column such as "1", "2", " " is numbers with blanks, not text; so is "1,5" where semicolons separate.
    for column in data.columns[data.dtypes.map(pd.api.types.is_string_dtype)]:
        values = data[column].astype(object).str.strip()
        written = values.mask(values == "")
        points = written.str.replace(",", ".", regex=False) if separator == ";" else written
        numbers = pd.to_numeric(points, errors="coerce")
        if written.notna().any() and numbers.notna().sum() == written.notna().sum():
            data[column] = numbers
    return RawSurvey(path, data, wording)


def _without_qualtrics_lines(data: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Qualtrics writes three lines of names: short ones, the wording, and identifiers as ``{"ImportId": ...}``."""
    third = data.iloc[1].dropna().tolist() if len(data) > 1 else []
    if len(third) == 0 or not all(isinstance(text, str) and text.startswith('{"ImportId"') for text in third):
        return data, {}
    wording = {str(name): str(text).strip() for name, text in data.iloc[0].dropna().items()}
    return data.iloc[2:].reset_index(drop=True), wording


def _separator(header: str) -> str:
    """The separator that occurs most often in the names of the columns, quoted text apart."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max((",", ";", "\t", "|"), key=bare.count)


def _read_parquet(path: Path) -> RawSurvey:
    try:
        data = pd.read_parquet(path)
    except ImportError:
        raise ImportError("Parquet files need pyarrow: pip install pyarrow") from None
    except Exception as error:  # pyarrow's errors have no common class that can be named without importing it
        raise ValueError(f"{path.name} is damaged or truncated: {str(error).splitlines()[0]}") from None
    return RawSurvey(path, data.reset_index(drop=True))


def _read_statistical(
    path: Path, ending: str, encoding: str | None, catalog: str | Path | None, columns: Sequence[str] | None,
    metadata_only: bool,
) -> RawSurvey:  # fmt: skip
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
    if catalog is not None:
        if ending != ".sas7bdat":
            raise ValueError(f"catalog is for .sas7bdat files, got {path.name}")
        if not Path(catalog).exists():
            raise FileNotFoundError(f"no SAS catalog {str(catalog)!r}")
        options["catalog_file"] = str(catalog)
    try:
        data, meta = read(str(path), **options)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name}: {_explain(str(error), ending, encoding)}") from None
    if columns is not None and data.shape[1] == 0:  # pyreadstat is silent about columns that do not exist
        data, meta = read(str(path), **{**options, "usecols": None})
    missing: dict[str, list[Any]] = {name: list(codes) for name, codes in meta.missing_user_values.items()}
    for name, ranges in meta.missing_ranges.items():
        missing.setdefault(name, []).extend(
            span["lo"] if span["lo"] == span["hi"] else (span["lo"], span["hi"]) for span in ranges
        )
    return RawSurvey(
        path,
        data,
        {name: label.strip() for name, label in meta.column_names_to_labels.items() if label and label.strip()},
        {name: dict(labels) for name, labels in meta.variable_value_labels.items() if labels},
        missing,
    )


def _explain(message: str, ending: str, encoding: str | None) -> str:
    lowered = message.lower()
    if "encoding" in lowered or "character set" in lowered or "codec" in lowered:
        said = f"it is not {encoding}" if encoding else "its text is not in the encoding that it names"
        return f"{said}: give {_ENCODINGS}. ({message})"
    if "expected number of rows" in lowered or "read from file" in lowered or "truncat" in lowered:
        return f"the file is truncated or damaged: download or copy it again. ({message})"
    return f"no readable {FORMATS[ending]} file: damaged, or of a version that pyreadstat does not know. ({message})"
