"""CSV files and Excel sheets: separators, encodings, blanks, numbers with commas, and several lines of names."""

from __future__ import annotations

import csv
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from surveysim.datasets.headers import HeaderLines, read_header_lines
from surveysim.datasets.raw import ENCODINGS, RawSurvey, require

if TYPE_CHECKING:
    from pandas._typing import DtypeObj

__all__ = ["BLANKS", "read_csv", "read_excel"]

# What a blank is written as. Not pandas' own list: "None" and "n/a" are answers in surveys.
BLANKS = ("", "NA", "NaN", "nan", "<NA>", "NULL", "null", "#N/A", "#NULL!")


def read_csv(path: Path, encoding: str | None) -> RawSurvey:
    """Read a text file with a separator, codes as they are.

    Parameters
    ----------
    path : Path
    encoding : str or None
        Default: UTF-16 where the file begins like it, else UTF-8.

    Raises
    ------
    ValueError
        If it is not text in this encoding, or its lines are not those of a table.
    """
    chosen = encoding or _encoding(path)
    try:
        with path.open(encoding=chosen, newline="") as file:
            first = file.readline()
            told = re.fullmatch(r'"?sep=(.)"?\s*', first)  # Excel's first line
            separator = told[1] if told else _separator(first)
            if not told:
                file.seek(0)
            names = next(csv.reader(file, delimiter=separator, skipinitialspace=True), [])
        options: dict[str, Any] = {
            "sep": separator,
            "encoding": chosen,
            "skiprows": 1 if told else 0,
            "index_col": False,  # else a field too many per row would shift all names by one, in silence
            "skipinitialspace": True,
            "keep_default_na": False,
            "low_memory": False,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            data = pd.read_csv(path, na_values=list(BLANKS), **options)
            _keep_namibia(path, data, options)
    except pd.errors.ParserWarning:
        raise ValueError(
            f"{path.name}: its rows have more fields than its first line has names ({len(names)}); give every column "
            "a name (R's write.table omits that of the row names)"
        ) from None
    except (UnicodeDecodeError, UnicodeError) as error:
        where = f" (byte {error.start:,})" if isinstance(error, UnicodeDecodeError) else ""
        raise ValueError(f"{path.name} is not {encoding or 'UTF-8'} text{where}: give {ENCODINGS}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise ValueError(f"{path.name} is not a readable CSV file: {error}") from None
    return _as_survey(path, data, names, separator)


def read_excel(path: Path) -> RawSurvey:
    """Read the first sheet of a workbook that holds a table.

    Raises
    ------
    ImportError
        If openpyxl is not installed.
    ValueError
        If the workbook is damaged, encrypted or empty.
    """
    require("openpyxl", extra="excel")
    try:
        sheets = pd.read_excel(path, sheet_name=None, header=None, dtype=object, keep_default_na=False,
                               na_values=list(BLANKS), engine="openpyxl")  # fmt: skip
    except Exception as error:  # zip, XML and openpyxl's own errors have no common class
        raise ValueError(f"{path.name} is not a readable Excel workbook: {str(error).splitlines()[0]}") from None
    filled = {name: sheet for name, sheet in sheets.items() if len(sheet) > 1 and sheet.shape[1] > 0}
    if not filled:
        raise ValueError(f"{path.name} has no sheet with a line of names and respondents")
    sheet_name, sheet = next(iter(filled.items()))
    sheet = sheet.dropna(how="all").dropna(how="all", axis=1)
    names = ["" if pd.isna(name) else str(name).strip() for name in sheet.iloc[0]]
    data = sheet.iloc[1:].reset_index(drop=True).infer_objects()
    data.columns = [name or f"Unnamed: {i}" for i, name in enumerate(names)]
    raw = _as_survey(path, data, names, ";")  # numbers are numbers in a workbook; text may write them with a comma
    if len(filled) > 1:
        raw.findings.append(("", f"several sheets, of which {sheet_name!r} was read", 0, ", ".join(map(str, filled))))
    return raw


def _as_survey(path: Path, data: pd.DataFrame, names: list[str], separator: str) -> RawSurvey:
    header = read_header_lines(data, names)
    twice = sorted({name for name in header.names if name.strip() and header.names.count(name) > 1})
    if twice:  # pandas would call the second "age.1"
        raise ValueError(f"{path.name} has several variables called {twice}: rename them")
    data = _renamed(data, header)
    # A column such as "1", "2", " " is numbers with blanks, not text; so is "1,5".
    for column in data.columns[[_may_hold_text(dtype) for dtype in data.dtypes]]:
        numbers = _as_numbers(data[column], separator)
        if numbers is not None:
            data[column] = numbers
    return RawSurvey(path, data, header.wording, findings=header.findings)


def _renamed(data: pd.DataFrame, header: HeaderLines) -> pd.DataFrame:
    if header.n_lines:
        data = data.iloc[header.n_lines :].reset_index(drop=True)
    data.columns = [name or str(column) for name, column in zip(header.names, data.columns, strict=True)]
    return data


def _may_hold_text(dtype: DtypeObj) -> bool:
    return pd.api.types.is_string_dtype(dtype) or pd.api.types.is_object_dtype(dtype)


_MARKS = frozenset({":", "-", "--", "–", "—", ".", "..", "...", "*"})
"""What statistical offices write among numbers for a blank."""

_DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")


def _as_numbers(column: pd.Series, separator: str) -> pd.Series | None:
    """Text that writes numbers, with a point or a comma; None for other text."""
    values = column.map(lambda value: value.strip() if isinstance(value, str) else value)
    values = values.mask(values == "")
    written = values.dropna()
    is_mark = written.map(lambda value: isinstance(value, str) and value in _MARKS)
    written = written[~is_mark.to_numpy(dtype=bool)]
    if len(written) == 0:
        return None
    numbers = pd.to_numeric(written, errors="coerce")
    if numbers.isna().any():
        texts = written.astype(str)
        if not texts.map(lambda text: _DECIMAL_COMMA.fullmatch(text) is not None).all():
            return None
        with_comma = texts[texts.str.contains(",", regex=False)]
        if separator != ";" and not _are_decimals(with_comma, len(texts)):
            return None
        numbers = pd.to_numeric(texts.str.replace(",", ".", regex=False), errors="coerce")
    return numbers.reindex(column.index).astype(float) if len(numbers) < len(column) else numbers


def _are_decimals(with_comma: pd.Series, n: int) -> bool:
    """Whether commas are decimal, where they could also separate thousands, or the codes of several answers."""
    parts = with_comma.str.partition(",")
    falls = parts[0].astype(float).abs() >= parts[2].astype(float)  # codes of several answers are listed upwards
    if with_comma.map(lambda text: _THOUSANDS.fullmatch(text) is not None).all():
        return False
    return bool(len(with_comma) > 0.5 * n or falls.any() or (parts[2].str.len() >= 3).any())


_COUNTRY_CODE = re.compile(r"[A-Z]{2}")


def _keep_namibia(path: Path, data: pd.DataFrame, options: dict[str, Any]) -> None:
    """Among codes of countries, NA is Namibia."""
    for i, dtype in enumerate(data.dtypes):
        if not _may_hold_text(dtype):
            continue
        held = data.iloc[:, i]
        codes = held.dropna().unique()
        if not 2 <= len(codes) <= 300 or not held.isna().any():
            continue
        if all(isinstance(code, str) and _COUNTRY_CODE.fullmatch(code) for code in codes):
            blanks = [blank for blank in BLANKS if blank != "NA"]
            again = pd.read_csv(path, na_values=blanks, usecols=[i], **{**options, "index_col": None})
            data.isetitem(i, again.iloc[:, 0])


def _encoding(path: Path) -> str:
    """UTF-16 by its mark, or by the zeros between its letters; else UTF-8."""
    with path.open("rb") as file:
        head = file.read(400)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if len(head) > 3 and head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    if len(head) > 3 and head[::2].count(0) > len(head) // 4:
        return "utf-16-be"
    return "utf-8-sig"


def _separator(header: str) -> str:
    """The separator that occurs most often in the names of the columns, quoted text apart."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max((",", ";", "\t", "|"), key=bare.count)
