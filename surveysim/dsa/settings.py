"""From the constructor parameters of `DSARegressor` to the settings of the rooms below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from surveysim.bank.bank import find_bank
from surveysim.dsa.fit import Training
from surveysim.dsa.inputs import RunOptions, TrainedPart
from surveysim.dsa.trainer import Settings
from surveysim.prompts import Template

__all__ = ["run_options_of", "training_of"]


def training_of(params: Mapping[str, Any], template: Template) -> Training:
    """What is trained, and how."""
    settings = Settings(
        init=params["init"],
        shift_reference=params["shift_reference"],
        shift_weight=params["shift_weight"],
        max_epochs=params["max_epochs"],
        learning_rate=params["learning_rate"],
        batch_size=params["batch_size"],
        n_members=params["n_members"] or 1,
        validation_fraction=params["validation_fraction"],
    )
    # rows of their own are learned for each question, and adapters leave rows as they are
    own_rows = params["init"] is not None and params["tuning"] == "last-block"
    part = TrainedPart(params["tuning"], params["n_blocks"], bool(params["question_rows"]) and own_rows)
    return Training(part, settings, run_options_of(params), template, find_bank(params["base"]))


def run_options_of(params: Mapping[str, Any]) -> RunOptions:
    """How cells are run."""
    return RunOptions(
        batch_size=params["batch_size"],
        trunk_cache=params["trunk_cache"],
        device=params["device"],
        local_files_only=params["local_files_only"],
        verbose=params["verbose"],
    )
