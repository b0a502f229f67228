"""State without tables and odd keys, for formats that hold only plain values and arrays, such as skops'."""

from __future__ import annotations

import copyreg
import importlib
from collections.abc import Mapping
from typing import Any, SupportsIndex

import numpy as np
import pandas as pd

__all__ = ["PlainState"]

_TABLE, _PAIRS, _TENSOR, _PART = "__table__", "__pairs__", "__tensor__", "__part__"
_MARKS = frozenset({_TABLE, _PAIRS, _TENSOR, _PART})


class PlainState:
    """Mixin: ``__getstate__`` gives plain values and arrays, which skops can write; pickles hold everything.

    Parts of an estimator, objects of this package that are no estimators, are written by the name of their class and
    their attributes. They are read without calling anything of them, and from this package alone.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {name: _plain(value) for name, value in super().__getstate__().items()}  # type: ignore[attr-defined]

    def __setstate__(self, state: Mapping[str, object]) -> None:
        super().__setstate__({name: _restored(value) for name, value in state.items()})  # type: ignore[misc]

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self),), super().__getstate__()  # type: ignore[attr-defined]


def _plain(value: Any) -> Any:
    kind = type(value)
    if isinstance(value, pd.DataFrame):
        return {_TABLE: _plain_table(value)}
    if kind is dict:
        if all(type(key) is str for key in value) and not value.keys() & _MARKS:
            return {key: _plain(item) for key, item in value.items()}
        return {_PAIRS: [[_plain(key), _plain(item)] for key, item in value.items()]}
    if kind in (list, tuple):
        return kind(_plain(item) for item in value)
    if kind.__module__ == "torch" and kind.__name__ == "Tensor":
        bits = value.view(dtype=_torch().int16) if value.dtype == _torch().bfloat16 else value
        return {_TENSOR: bits.detach().cpu().numpy(), "dtype": str(value.dtype).removeprefix("torch.")}
    if not kind.__module__.startswith("surveysim.") or isinstance(value, PlainState | type):
        return value
    if isinstance(value, dict):
        return {_PART: _name(kind), "items": _plain(dict(value))}
    if isinstance(value, tuple):
        return {_PART: _name(kind), "fields": [_plain(item) for item in value]}
    attributes = getattr(value, "__dict__", None)
    return value if attributes is None else {_PART: _name(kind), "attributes": _plain(dict(attributes))}


def _restored(value: Any) -> Any:
    if type(value) in (list, tuple):
        return type(value)(_restored(item) for item in value)
    if type(value) is not dict:
        return value
    if _TABLE in value:
        return _table(value[_TABLE])
    if _PAIRS in value:
        return {_restored(key): _restored(item) for key, item in value[_PAIRS]}
    if _TENSOR in value:
        tensor = _torch().from_numpy(np.array(value[_TENSOR]))
        dtype = getattr(_torch(), value["dtype"])
        return tensor.view(dtype) if tensor.element_size() == 2 else tensor.to(dtype)
    if _PART in value:
        return _part(value)
    return {key: _restored(item) for key, item in value.items()}


def _part(state: Mapping[str, Any]) -> Any:
    """An object of this package, made without calling anything of its class but ``__new__``."""
    module, _, name = state[_PART].partition(":")
    kind = getattr(importlib.import_module(module), name, None) if module.startswith("surveysim.") else None
    if not isinstance(kind, type) or kind.__module__ != module:
        raise ValueError(
            f"{state[_PART]!r} is not a class of surveysim, so the object that it is part of is not restored"
        )
    if "items" in state:
        return kind(_restored(state["items"]))
    if "fields" in state:
        return tuple.__new__(kind, [_restored(item) for item in state["fields"]])
    found: Any = object.__new__(kind)
    found.__dict__.update(_restored(state["attributes"]))
    return found


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__name__}"


def _torch() -> Any:
    import torch

    return torch


def _plain_table(frame: pd.DataFrame) -> dict[str, Any]:
    unnumbered = isinstance(frame.index, pd.RangeIndex) and frame.index.equals(pd.RangeIndex(len(frame)))
    return {
        "names": list(frame.columns),
        "columns": [_plain_column(frame.iloc[:, place]) for place in range(frame.shape[1])],
        "n_rows": len(frame),
        "index": None if unnumbered else _plain_table(frame.index.to_frame(index=False)),
        "index_names": list(frame.index.names),
    }


def _plain_column(column: pd.Series) -> dict[str, Any]:
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return {
            "codes": column.cat.codes.to_numpy(),
            "categories": _plain_column(dtype.categories.to_series()),
            "ordered": bool(dtype.ordered),
        }
    if isinstance(dtype, np.dtype) and dtype.kind != "O":
        return {"values": column.to_numpy()}
    values = [None if pd.isna(value) else value for value in column.astype(object)]
    return {
        "values": [value.item() if isinstance(value, np.generic) else value for value in values],
        "dtype": str(dtype),
    }


def _table(state: Mapping[str, Any]) -> pd.DataFrame:
    index: pd.Index = pd.RangeIndex(state["n_rows"])
    if state["index"] is not None:
        levels = _table(state["index"])
        index = pd.MultiIndex.from_frame(levels) if levels.shape[1] > 1 else pd.Index(levels.iloc[:, 0])
    columns = [_column(column, index) for column in state["columns"]]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=index)
    frame.columns = pd.Index(state["names"])
    frame.index.names = state["index_names"]
    return frame


def _column(state: Mapping[str, Any], index: pd.Index | None) -> pd.Series:
    if "codes" in state:
        categories = pd.Index(_column(state["categories"], None))
        return pd.Series(pd.Categorical.from_codes(state["codes"], categories, ordered=state["ordered"]), index=index)
    return pd.Series(state["values"], index=index, dtype=state.get("dtype"))
