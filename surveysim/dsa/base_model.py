"""The model under a fit: loaded for it, and found again for predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from surveysim import models
from surveysim.bank.bank import QuestionBank, find_bank
from surveysim.models.loaded import LoadedModel

__all__ = ["BaseModel", "load_base_model"]


@dataclass(frozen=True)
class BaseModel:
    """Which model a fit was trained on.

    Attributes
    ----------
    name : str
    revision : str or None
        The commit.
    fingerprint : str
        Of its weights.
    """

    name: str
    revision: str | None
    fingerprint: str


def load_base_model(params: Mapping[str, Any], fitted: BaseModel | None) -> LoadedModel:
    """The model that the parameters name.

    Parameters
    ----------
    params : mapping
        Constructor parameters of `DSARegressor`.
    fitted : BaseModel, optional
        The one that was trained on: no other is accepted, and of its name the same commit is taken.

    Raises
    ------
    ValueError
        If other weights are found, or other ones than those that `base` was trained on.
    """
    bank = None if fitted is not None else find_bank(params["base"])
    if bank is not None:
        _check_part(params, bank)
        bank.check_name(params["model"])
    name, revision = params["model"], params["revision"]
    if fitted is not None and revision is None and str(name) == fitted.name:
        revision = fitted.revision  # the commit at fit, though the hub may have a newer one by now
    model = models.load_model(
        name,
        revision=revision,
        device=params["device"],
        dtype=params["dtype"],
        local_files_only=params["local_files_only"],
    )
    if fitted is not None and model.fingerprint != fitted.fingerprint:
        raise ValueError(
            f"the base model {name!r} is not the one this estimator was fitted with: its fingerprint is "
            f"{model.fingerprint[:12]}, at fit it was {fitted.fingerprint[:12]}. Point `model` to the same "
            "weights (set_params(model=...), revision=...), or fit again."
        )
    if bank is not None:
        bank.check_model(model)
    return model


def _check_part(params: Mapping[str, Any], bank: QuestionBank) -> None:
    """What a bank has trained of a model is what is trained on from it: the other blocks stay those of the model."""
    for name in ("tuning", "n_blocks"):
        if params[name] != getattr(bank, name):
            raise ValueError(
                f"base was trained with tuning={bank.tuning!r} and n_blocks={bank.n_blocks}, and training can start "
                f"from it only with the same; got {name}={params[name]!r}"
            )
