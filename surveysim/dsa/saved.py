"""A fitted `DSARegressor` as JSON and tensors, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from surveysim.bank.bank import QuestionBank
from surveysim.cells import PredictCells
from surveysim.dsa.fitted import FittedDSA, Member, TrainingCells
from surveysim.dsa.inputs import TrainedPart
from surveysim.dsa.intervals import counts_without_each_group
from surveysim.dsa.trainer import Candidate, Plan, Settings
from surveysim.interfaces import JSON
from surveysim.prompts import Template
from surveysim.questions import Question
from surveysim.saving import column_back, column_state, without_nan

if TYPE_CHECKING:
    from surveysim.baselines.logit import LogitRegressor

__all__ = ["restore", "state_of"]

Estimator = TypeVar("Estimator")

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
    "trunk_",
)


def state_of(
    attributes: Mapping[str, Any],
    parameters: Mapping[str, object],
    fitted: FittedDSA,
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What is written of an estimator.

    Parameters
    ----------
    attributes : mapping
        Its attributes.
    parameters : mapping
        Its constructor parameters.
    fitted : FittedDSA
        What it learned.

    Returns
    -------
    state : dict
        For JSON.
    tensors : dict of str to Tensor
    """
    training = fitted.training
    tensors = {
        "training/question_index": torch.from_numpy(np.asarray(training.cells.question_index, dtype=np.int64)),
        "training/counts": torch.from_numpy(np.asarray(training.counts, dtype=np.float64)),
    }
    if training.folds is not None:
        tensors["training/folds"] = torch.from_numpy(np.asarray(training.folds, dtype=np.float64))
    heads = {"member": fitted.members, "refit": fitted.refits}
    for kind, members in heads.items():
        for i, member in enumerate(members):
            tensors.update({f"{kind}/{i}/{name}": value for name, value in member.tensors.items()})
    bank, bank_tensors = (None, {}) if fitted.bank is None else fitted.bank.state()
    tensors.update({f"bank/{name}": value for name, value in bank_tensors.items()})
    backgrounds = training.cells.backgrounds
    state = {
        "class": "DSARegressor",
        "parameters": {name: _parameter(value) for name, value in parameters.items()},
        "fitted": {name: attributes[name] for name in _PLAIN},
        "feature_names_in_": list(attributes["feature_names_in_"]) if "feature_names_in_" in attributes else None,
        "questions_": {name: question.to_dict() for name, question in fitted.questions.items()},
        "part": asdict(fitted.part),
        "settings": asdict(fitted.settings),
        "template": asdict(fitted.template),
        "n_iter_": list(attributes["n_iter_"]),
        "history_": [without_nan(row) for row in attributes["history_"].to_dict("records")],
        "stack_weights": {kind: [member.stack_weight for member in members] for kind, members in heads.items()},
        "training": {
            "backgrounds": [column_state(backgrounds[name]) for name in backgrounds.columns],
            "plan": asdict(training.plan),
            "seed": training.seed,
        },
        "has_baseline": attributes["baseline_"] is not None,
        "bank": bank,
    }
    return state, tensors


def restore(cls: type[Estimator], state: dict[str, Any], tensors: dict[str, Tensor]) -> Estimator:
    """The estimator that `state_of` described.

    Parameters
    ----------
    cls : type
        `DSARegressor`.
    state, tensors
        As they were saved.
    """
    parameters = {name: _parameter_back(value) for name, value in state["parameters"].items()}
    # folders of earlier versions have none
    bank = QuestionBank.from_state(state["bank"], _tensors_of("bank/", tensors)) if state.get("bank") else None
    # a folder was named relative to where the fit ran, and a bank's folder may be gone
    estimator: Any = cls(**{**parameters, "device": "auto", "model": state["fitted"]["_model_name"], "base": bank})
    estimator._remember_parameters()
    for name in _PLAIN:
        setattr(estimator, name, state["fitted"][name])
    if state["feature_names_in_"] is not None:
        estimator.feature_names_in_ = np.array(state["feature_names_in_"], dtype=object)
    estimator.questions_ = {name: Question.from_dict(value) for name, value in state["questions_"].items()}
    estimator.n_iter_ = tuple(state["n_iter_"])
    estimator.history_ = pd.DataFrame(state["history_"])
    training = _training_back(state["training"], tensors, estimator.questions_)

    def baseline(counts: np.ndarray) -> LogitRegressor | None:
        return training.baseline(counts) if state["has_baseline"] else None

    estimator.baseline_ = baseline(training.counts)
    weights = state["stack_weights"]
    members = [
        Member(_tensors_of(f"member/{i}/", tensors), weight, estimator.baseline_)
        for i, weight in enumerate(weights["member"])
    ]
    counts = counts_without_each_group(training) if weights["refit"] else []
    refits = [
        Member(_tensors_of(f"refit/{i}/", tensors), weight, baseline(left))
        for i, (weight, left) in enumerate(zip(weights["refit"], counts, strict=True))
    ]
    estimator._uncertainty = None  # follows from the refits
    estimator._fitted = FittedDSA(
        members=tuple(members),
        part=TrainedPart(**state["part"]),
        template=Template(**state["template"]),
        settings=Settings(**state["settings"]),
        training=training,
        n_options=estimator.n_options_,
        refits=tuple(refits),
        bank=bank,
    )
    return estimator  # type: ignore[no-any-return]


def _training_back(
    state: Mapping[str, Any], tensors: Mapping[str, Tensor], questions: dict[str, Question]
) -> TrainingCells:
    counts, folds, plan = tensors["training/counts"].numpy(), tensors.get("training/folds"), state["plan"]
    columns = {column["name"]: column_back(column) for column in state["backgrounds"]}
    return TrainingCells(
        cells=PredictCells(
            backgrounds=pd.DataFrame(columns, index=range(len(counts))),
            question_index=tensors["training/question_index"].numpy(),
            questions=questions,
        ),
        counts=counts,
        folds=None if folds is None else folds.numpy(),
        plan=Plan(Candidate(**plan["candidate"]), tuple(plan["n_epochs"]), plan["stack_weight"]),
        seed=state["seed"],
    )


def _tensors_of(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _parameter(value: object) -> JSON:
    """A constructor parameter as JSON can hold it."""
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


def _parameter_back(value: JSON) -> Any:
    if not isinstance(value, dict):
        return value
    if "question" in value:
        return Question.from_dict(value["question"])
    if "questions" in value:
        return {name: Question.from_dict(question) for name, question in value["questions"].items()}
    return Template(**value["template"])
