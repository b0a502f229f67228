"""Results on disk, one file per run, under a key that is made of everything that determines them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import math
import os
import types
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.errors import warn

__all__ = ["Store", "describe", "describe_data"]

PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "torch", "transformers")
"""Their versions are part of the key."""


class Store:
    """A folder of tables, each found by what it depends on.

    A file is written under another name and then renamed, so that an interrupted run leaves no half file. A file that
    cannot be read, or describes something else, counts as missing.

    Parameters
    ----------
    folder : path
        Made if it does not exist.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def get(self, description: Mapping[str, object]) -> pd.DataFrame | None:
        """The table that was kept under this description, or None."""
        path = self._path(description)
        if not path.is_file():
            return None
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["description"] != _plain(description):
                raise ValueError("it describes another run")
            table = pd.DataFrame(kept["columns"])
            return table.astype({name: float for name in table if table[name].isna().all()})
        except (ValueError, KeyError, TypeError) as error:
            warn(f"{path} cannot be used ({error}); the run is repeated")
            return None

    def put(self, description: Mapping[str, object], table: pd.DataFrame) -> None:
        """Keep a table of numbers and text."""
        columns = {
            name: [None if isinstance(value, float) and math.isnan(value) else value for value in column.tolist()]
            for name, column in table.items()
        }
        text = json.dumps({"description": _plain(description), "columns": columns}, ensure_ascii=False)
        path = self._path(description)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            partial.write_text(text, encoding="utf-8")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    def _path(self, description: Mapping[str, object]) -> Path:
        text = json.dumps(_plain(description), sort_keys=True, ensure_ascii=False)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


@functools.cache
def environment() -> dict[str, Any]:
    """Versions and source code that results depend on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = ""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return {"versions": versions, "source": digest.hexdigest()[:16]}


def describe_data(data: pd.DataFrame) -> dict[str, Any]:
    """A table by its content: names, types, order of categories, and a digest of the values in their order."""
    columns = {}
    for name in data.columns:
        values = data[name]
        dtype = values.dtype
        kind: Any = str(dtype)
        if isinstance(dtype, pd.CategoricalDtype):
            kind = ["categorical", bool(dtype.ordered), [str(level) for level in dtype.categories]]
        hashed = pd.util.hash_pandas_object(values, index=False).to_numpy()
        columns[str(name)] = [kind, hashlib.sha256(hashed.tobytes()).hexdigest()[:32]]
    return {"rows": len(data), "columns": columns}


def describe(value: object) -> Any:
    """What a parameter is, in JSON's types, so that equal descriptions mean equal results.

    Raises
    ------
    TypeError
        If it cannot be told, as with random generators, whose state moves on, and lambdas.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        folder = Path(text)
        if text and len(text) < 4096 and folder.is_dir():  # a model: its files decide, not its name alone
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            return [text, [[str(f.relative_to(folder)), f.stat().st_size, f.stat().st_mtime_ns] for f in files]]
        return text
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        if array.dtype == object:
            return ["array", [describe(item) for item in array.ravel()], list(array.shape)]
        return ["array", str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
    if isinstance(value, pd.DataFrame | pd.Series):
        return describe_data(value.to_frame() if isinstance(value, pd.Series) else value)
    if isinstance(value, Mapping):
        return {"mapping": [[describe(key), describe(item)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((describe(item) for item in value), key=str)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: describe(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return [_class_name(type(value)), fields]
    if hasattr(value, "get_params") and not isinstance(value, type):
        parameters = {name: describe(item) for name, item in sorted(value.get_params(deep=False).items())}
        return [_class_name(type(value)), parameters]
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType) and "<" not in value.__qualname__:
        return f"{value.__module__}.{value.__qualname__}"
    raise TypeError(
        f"a stored result must say what it depends on, which {value!r} does not: pass whole numbers as random_state, "
        "functions that have a name, and plain parameters; or leave out store="
    )


def _class_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _plain(description: Mapping[str, object]) -> Any:
    """As it comes back from JSON."""
    return json.loads(json.dumps(description, ensure_ascii=False))
