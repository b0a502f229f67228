"""Checks of the constructor parameters of `DSARegressor`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from surveysim.parameters import check_flag, check_number, check_random_state

__all__ = ["check_parameters"]

TUNINGS = ("last-block", "lora")

INITS = ("marginal", "baseline", None)


def check_parameters(params: Mapping[str, Any]) -> None:
    """Everything about the parameters of `DSARegressor`, by name, that can be wrong without looking at data."""
    from surveysim.bank.bank import find_bank
    from surveysim.dsa.shifts import REFERENCES
    from surveysim.models.devices import resolve_device, resolve_dtype

    if params["tuning"] not in TUNINGS:
        raise ValueError(f"tuning must be 'last-block' or 'lora', got {params['tuning']!r}")
    check_flag("question_rows", params["question_rows"])
    if params["init"] not in INITS:
        raise ValueError(f"init must be 'marginal', 'baseline' or None, got {params['init']!r}")
    if params["shift_reference"] not in ("auto", *REFERENCES):
        raise ValueError(f"shift_reference must be one of {('auto', *REFERENCES)}, got {params['shift_reference']!r}")
    check_number("n_blocks", params["n_blocks"], integer=True, low=1)
    check_number("max_epochs", params["max_epochs"], integer=True, low=1)
    if params["n_members"] is not None:
        check_number("n_members", params["n_members"], integer=True, low=1)
    if params["batch_size"] != "auto":
        check_number("batch_size", params["batch_size"], integer=True, low=1, auto=True)
    if params["learning_rate"] != "auto":
        check_number("learning_rate", params["learning_rate"], low=0.0, auto=True, open_low=True)
    if params["shift_weight"] != "auto":
        check_number("shift_weight", params["shift_weight"], low=0.0, auto=True)
    check_number("validation_fraction", params["validation_fraction"], low=0.0, high=0.5)
    if params["trunk_cache"] is not None and not isinstance(params["trunk_cache"], str | os.PathLike):
        raise TypeError(f"trunk_cache must be a folder or None, got {params['trunk_cache']!r}")
    check_random_state(params["random_state"])
    find_bank(params["base"])
    if params["tuning"] == "lora":
        _check_lora(params)
    resolve_dtype(params["dtype"], resolve_device(params["device"]))


def _check_lora(params: Mapping[str, Any]) -> None:
    """Refuse parameters that mean nothing if adapters are trained in all blocks."""
    if params["n_blocks"] != 1:
        raise ValueError(
            f"n_blocks={params['n_blocks']} with tuning='lora': adapters tune all blocks. Leave n_blocks=1, or choose "
            "tuning='last-block'"
        )
    if params["trunk_cache"] is not None:
        raise ValueError(
            f"trunk_cache={os.fspath(params['trunk_cache'])!r} with tuning='lora': adapters change every block, so "
            "there are no trunk states to keep. Leave trunk_cache=None, or choose tuning='last-block'"
        )
