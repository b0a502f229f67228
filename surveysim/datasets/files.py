"""Open a survey file of any common format, or say plainly what is wrong with it."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from surveysim.datasets.raw import ENCODINGS, FORMATS, RawSurvey, require
from surveysim.datasets.statistical_files import read_statistical
from surveysim.datasets.text_files import read_csv, read_excel

__all__ = ["FORMATS", "RawSurvey", "open_survey", "require"]


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
        hint = "; save the sheet as .xlsx or CSV" if ending in (".xls", ".ods", ".xlsb", ".xlsm") else ""
        hint = "; unpack it first" if ending in (".zip", ".gz", ".7z", ".rar") else hint
        raise ValueError(f"{path.name}: the format {ending or 'without ending'} is not one of {sorted(FORMATS)}{hint}")
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise ValueError(f"encoding={encoding!r} is unknown; try {ENCODINGS}") from None
    _refuse_other_content(path, ending)
    if FORMATS[ending] == "CSV":
        raw = read_csv(path, encoding)
    elif ending == ".xlsx":
        raw = read_excel(path)
    elif ending == ".parquet":
        raw = _read_parquet(path)
    else:
        raw = read_statistical(path, ending, encoding, catalog, columns, metadata_only)
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
    if ending != ".xlsx" and head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")):
        raise ValueError(f"{path.name} is a compressed archive: unpack it first")
    expected = {
        ".sav": (b"$FL2", b"$FL3"),
        ".zsav": (b"$FL2", b"$FL3"),
        ".parquet": (b"PAR1",),
        ".xpt": (b"HEADER RECORD",),
        ".xlsx": (b"PK\x03\x04",),
    }.get(ending)
    if expected and not head.startswith(expected):
        raise ValueError(
            f"{path.name} is not in {FORMATS[ending]} format, whatever its ending says: it begins {head[:8]!r}"
        )
    # Two formats whose readers accept a file cut short: Stata's ends with a tag, SAS transport comes in 80-byte cards.
    cut = (ending == ".dta" and head.startswith(b"<stata_dta>") and not tail.rstrip().endswith(b"</stata_dta>")) or (
        ending == ".xpt" and size % 80 != 0
    )
    if cut:
        raise ValueError(f"{path.name} is truncated: its end is missing ({size:,} bytes); download or copy it again")


def _read_parquet(path: Path) -> RawSurvey:
    try:
        data = pd.read_parquet(path)
    except ImportError:
        raise ImportError("Parquet files need pyarrow: pip install pyarrow") from None
    except Exception as error:  # pyarrow's errors have no common class that can be named without importing it
        raise ValueError(f"{path.name} is damaged or truncated: {str(error).splitlines()[0]}") from None
    return RawSurvey(path, data.reset_index(drop=True))
