"""Folders of safetensors and JSON that hold fitted estimators: complete or absent, checked when read."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import uuid
from collections.abc import Collection, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from surveysim.errors import warn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "FORMAT",
    "STATE_FILE",
    "TENSOR_FILE",
    "column_back",
    "column_state",
    "read_folder",
    "without_nan",
    "write_folder",
]

FORMAT = 2
STATE_FILE = "surveysim.json"
TENSOR_FILE = "tensors.safetensors"


def write_folder(target: Path, state: Mapping[str, object], tensors: Mapping[str, Tensor], version: str) -> None:
    """Write a state and its tensors; the folder appears when it is complete.

    Parameters
    ----------
    target : Path
        A folder that does not exist.
    state : dict
        What JSON can hold, with "class".
    tensors : mapping of str to Tensor
    version : str
        Of surveysim.

    Raises
    ------
    FileExistsError
        If `target` exists.
    """
    from safetensors.torch import save_file

    if target.exists():
        raise FileExistsError(f"{target} exists; save to a new folder, or remove it first")
    state = {"format": FORMAT, "surveysim": version, **state}
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f".{target.name}.{uuid.uuid4().hex}.partial"
    partial.mkdir()
    try:
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial / TENSOR_FILE)
        state["tensors_sha256"] = _sha256(partial / TENSOR_FILE)
        state["state_sha256"] = _digest(state)
        (partial / STATE_FILE).write_text(json.dumps(state, indent=1, allow_nan=False), encoding="utf-8")
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def read_folder(folder: Path, classes: Collection[str], version: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read what `write_folder` wrote.

    Parameters
    ----------
    folder : Path
    classes : collection of str
        The classes that may be opened.
    version : str
        Of surveysim; another one warns.

    Returns
    -------
    state : dict
    tensors : dict of str to Tensor

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or nothing saved in it.
    ValueError
        If the folder is damaged, was written by a newer version, or names another class.
    """
    from safetensors.torch import load_file

    if not (folder / STATE_FILE).is_file() or not (folder / TENSOR_FILE).is_file():
        raise FileNotFoundError(
            f"{folder} does not hold a saved estimator: {STATE_FILE} and {TENSOR_FILE} are expected in it"
        )
    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{folder / STATE_FILE} is damaged: {error}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else None
        raise ValueError(f"{folder} has the format {found!r}; this version of surveysim reads format {FORMAT}")
    if state.get("class") not in classes:
        raise ValueError(f"{folder} names the class {state.get('class')!r}; only {sorted(classes)} are opened")
    if state.pop("state_sha256", None) != _digest(state):
        raise ValueError(f"{folder / STATE_FILE} is damaged: its checksum is not the one that was saved")
    if state.get("tensors_sha256") != _sha256(folder / TENSOR_FILE):
        raise ValueError(f"{folder / TENSOR_FILE} is damaged: its checksum is not the one that was saved")
    if state["surveysim"] != version:
        warn(
            f"{folder} was saved by surveysim {state['surveysim']}, this is {version}: predictions may differ slightly"
        )
    return state, load_file(folder / TENSOR_FILE)


# --- values that JSON does not have -----------------------------------------------------------------------------------


def column_state(column: pd.Series) -> dict[str, Any]:
    categories = column.cat if isinstance(column.dtype, pd.CategoricalDtype) else None
    return {
        "name": column.name,
        "dtype": "category" if categories is not None else str(column.dtype),
        "categories": None if categories is None else [_scalar(value) for value in categories.categories],
        "ordered": None if categories is None else bool(categories.ordered),
        "values": [_scalar(value) for value in column.astype(object)],
    }


def column_back(state: dict[str, Any]) -> pd.Series:
    values = pd.Series(state["values"], dtype=object, name=state["name"])
    if state["dtype"] == "category":
        dtype = pd.CategoricalDtype(state["categories"], ordered=state["ordered"])
        return values.astype(dtype)
    return values.astype(state["dtype"])


def _scalar(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def without_nan(row: Mapping[Hashable, object]) -> dict[str, Any]:
    values = {str(name): _scalar(value) for name, value in row.items()}
    return {
        name: value
        for name, value in values.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }


def _digest(state: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
