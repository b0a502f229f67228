"""Fitted estimators as folders of safetensors and JSON: no pickle, and only classes of a fixed list are opened."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.errors import warn
from surveysim.questions import Question

__all__ = ["load", "save"]

FORMAT = 1
STATE_FILE = "surveysim.json"
TENSOR_FILE = "tensors.safetensors"

# Fitted attributes that are JSON-ready as they are.
_PLAIN = (
    "backgrounds_",
    "n_options_",
    "n_dropped_",
    "n_features_in_",
    "_columns",
    "model_fingerprint_",
    "_model_name",
    "_model_revision",
    "shift_weight_",
    "shift_reference_",
    "stack_weight_",
    "gap_inflation_",
    "n_pairs_",
    "label_mass_",
)


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator; see `DSARegressor.save`.

    Raises
    ------
    FileExistsError
        If `path` exists.
    """
    from safetensors.torch import save_file

    target = Path(path)
    if target.exists():
        raise FileExistsError(f"{target} exists; save to a new folder, or remove it first")
    state, tensors = _state(estimator)
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


def load(path: str | os.PathLike[str]) -> Any:
    """Open an estimator that was written by its ``save`` method.

    The base model is not opened until something is predicted; it is then looked for under the name it had when the
    estimator was fitted, and its fingerprint is checked. The device is chosen anew for this machine.

    Parameters
    ----------
    path : path
        The folder.

    Returns
    -------
    estimator
        As it was when it was saved, with ``device="auto"``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no estimator in it.
    ValueError
        If the folder is damaged, was written by a newer version, or names a class that is not of this library.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import pandas as pd
    >>> import surveysim
    >>> X = pd.DataFrame({"age": ["18-29", "65+"]})
    >>> model = surveysim.DSARegressor("nano", max_epochs=1, random_state=0)
    >>> model = model.fit(X, [[0.7, 0.3], [0.4, 0.6]], sample_weight=[40, 30])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(Path(folder) / "content")
    ...     again = surveysim.load(Path(folder) / "content")
    >>> bool(np.array_equal(again.predict(X), model.predict(X)))
    True
    """
    from safetensors.torch import load_file

    import surveysim
    from surveysim.models.own_torch import own_torch

    folder = Path(path)
    if not (folder / STATE_FILE).is_file() or not (folder / TENSOR_FILE).is_file():
        raise FileNotFoundError(f"{folder} holds no saved estimator: {STATE_FILE} and {TENSOR_FILE} are expected in it")
    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{folder / STATE_FILE} is damaged: {error}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else None
        raise ValueError(f"{folder} has format {found!r}; this version of surveysim reads format {FORMAT}")
    if state.get("class") not in _classes():
        raise ValueError(f"{folder} names the class {state.get('class')!r}; only {sorted(_classes())} are opened")
    if state.pop("state_sha256", None) != _digest(state):
        raise ValueError(f"{folder / STATE_FILE} is damaged: its checksum is not the one that was saved")
    if state.get("tensors_sha256") != _sha256(folder / TENSOR_FILE):
        raise ValueError(f"{folder / TENSOR_FILE} is damaged: its checksum is not the one that was saved")
    if state["surveysim"] != surveysim.__version__:
        warn(
            f"{folder} was saved by surveysim {state['surveysim']}, this is {surveysim.__version__}: predictions may "
            "differ slightly"
        )
    with own_torch():
        tensors = load_file(folder / TENSOR_FILE)
    return _restore(_classes()[state["class"]], state, tensors)


def _classes() -> dict[str, type]:
    from surveysim.dsa.estimator import DSARegressor

    return {"DSARegressor": DSARegressor}


# --- DSARegressor -----------------------------------------------------------------------------------------------------


def _state(estimator: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    import torch

    import surveysim

    training = estimator._training
    tensors = {
        "training/question_index": torch.from_numpy(np.asarray(training.question_index, dtype=np.int64)),
        "training/counts": torch.from_numpy(np.asarray(training.counts, dtype=np.float64)),
    }
    if training.folds is not None:
        tensors["training/folds"] = torch.from_numpy(np.asarray(training.folds, dtype=np.float64))
    heads = {"member": estimator._members, "replicate": estimator._replicates or []}
    for kind, members in heads.items():
        for i, member in enumerate(members):
            tensors.update({f"{kind}/{i}/{name}": value for name, value in member["state"].items()})
    state = {
        "format": FORMAT,
        "class": type(estimator).__name__,
        "surveysim": surveysim.__version__,
        "parameters": {name: _parameter(value) for name, value in estimator.get_params(deep=False).items()},
        "fitted": {name: getattr(estimator, name) for name in _PLAIN},
        "feature_names_in_": None if not hasattr(estimator, "feature_names_in_") else list(estimator.feature_names_in_),
        "questions_": {name: question.to_dict() for name, question in estimator.questions_.items()},
        "seen_questions": sorted(estimator._seen_questions),
        "template": asdict(estimator._template),
        "n_iter_": list(estimator.n_iter_),
        "history_": [_without_nan(row) for row in estimator.history_.to_dict("records")],
        "stack_weights": {kind: [member["stack_weight"] for member in members] for kind, members in heads.items()},
        "training": {
            "backgrounds": [_column_state(training.backgrounds[name]) for name in training.backgrounds.columns],
            "plan": asdict(training.plan),
            "seed": training.seed,
        },
        "has_baseline": estimator.baseline_ is not None,
    }
    return state, tensors


def _restore(cls: type, state: dict[str, Any], tensors: dict[str, Any]) -> Any:
    from surveysim.dsa.fit import TrainingCells
    from surveysim.dsa.intervals import counts_without_each_group
    from surveysim.dsa.shifts import baseline_logits
    from surveysim.dsa.trainer import Candidate, Plan
    from surveysim.prompts import Template

    parameters = {name: _parameter_back(value) for name, value in state["parameters"].items()}
    # a folder was named relative to where the fit ran
    estimator: Any = cls(**{**parameters, "device": "auto", "model": state["fitted"]["_model_name"]})
    estimator._remember_parameters()
    for name in _PLAIN:
        setattr(estimator, name, state["fitted"][name])
    if state["feature_names_in_"] is not None:
        estimator.feature_names_in_ = np.array(state["feature_names_in_"], dtype=object)
    estimator.questions_ = {name: Question.from_dict(value) for name, value in state["questions_"].items()}
    estimator._seen_questions = set(state["seen_questions"])
    estimator._template = Template(**state["template"])
    estimator.n_iter_ = tuple(state["n_iter_"])
    estimator.history_ = pd.DataFrame(state["history_"])
    folds = tensors.get("training/folds")
    plan = state["training"]["plan"]
    estimator._training = TrainingCells(
        backgrounds=pd.DataFrame(
            {column["name"]: _column_back(column) for column in state["training"]["backgrounds"]},
            index=range(len(tensors["training/counts"])),
        ),
        question_index=tensors["training/question_index"].numpy(),
        counts=tensors["training/counts"].numpy(),
        folds=None if folds is None else folds.numpy(),
        plan=Plan(Candidate(**plan["candidate"]), tuple(plan["n_epochs"]), plan["stack_weight"]),
        seed=state["training"]["seed"],
    )
    training = estimator._training

    def baseline(counts: np.ndarray) -> Any:
        """A convex problem: refitting it gives the same coefficients, and nothing of it has to be stored."""
        if not state["has_baseline"]:
            return None
        return baseline_logits(counts, training.backgrounds, training.question_index, estimator.questions_)[1]

    estimator.baseline_ = baseline(training.counts)
    estimator._members = _heads("member", state, tensors)
    for member in estimator._members:
        member["baseline"] = estimator.baseline_
    estimator._replicates = _heads("replicate", state, tensors) or None
    estimator._calibration = None  # follows from the refits
    for member, counts in zip(estimator._replicates or [], counts_without_each_group(training), strict=False):
        member["baseline"] = baseline(counts)
    return estimator


def _heads(kind: str, state: dict[str, Any], tensors: dict[str, Any]) -> list[dict[str, Any]]:
    heads: list[dict[str, Any]] = []
    for i, weight in enumerate(state["stack_weights"][kind]):
        prefix = f"{kind}/{i}/"
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        heads.append({"state": own, "stack_weight": weight})
    return heads


# --- values that JSON does not have -----------------------------------------------------------------------------------


def _parameter(value: Any) -> Any:
    from surveysim.prompts import Template

    if isinstance(value, Question):
        return {"question": value.to_dict()}
    if isinstance(value, Mapping):
        return {"questions": {name: question.to_dict() for name, question in value.items()}}
    if isinstance(value, Template):
        return {"template": asdict(value)}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return value.item()
    if type(value).__module__ == "torch":  # a dtype or a device, given as an object
        return str(value).removeprefix("torch.")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return None  # a random generator's position is no parameter worth keeping


def _parameter_back(value: Any) -> Any:
    from surveysim.prompts import Template

    if not isinstance(value, dict):
        return value
    if "question" in value:
        return Question.from_dict(value["question"])
    if "questions" in value:
        return {name: Question.from_dict(question) for name, question in value["questions"].items()}
    return Template(**value["template"])


def _column_state(column: pd.Series) -> dict[str, Any]:
    categories = column.cat if isinstance(column.dtype, pd.CategoricalDtype) else None
    return {
        "name": column.name,
        "dtype": "category" if categories is not None else str(column.dtype),
        "categories": None if categories is None else [_scalar(value) for value in categories.categories],
        "ordered": None if categories is None else bool(categories.ordered),
        "values": [_scalar(value) for value in column.astype(object)],
    }


def _column_back(state: dict[str, Any]) -> pd.Series:
    values = pd.Series(state["values"], dtype=object, name=state["name"])
    if state["dtype"] == "category":
        dtype = pd.CategoricalDtype(state["categories"], ordered=state["ordered"])
        return values.astype(dtype)
    return values.astype(state["dtype"])


def _scalar(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _without_nan(row: Mapping[Any, Any]) -> dict[str, Any]:
    values = {str(name): _scalar(value) for name, value in row.items()}
    return {name: value for name, value in values.items() if not (isinstance(value, float) and math.isnan(value))}


def _digest(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
