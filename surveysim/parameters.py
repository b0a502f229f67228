"""Checks of constructor parameters that every estimator can use."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

__all__ = ["as_generator", "check_number"]


def as_generator(random_state: Any) -> np.random.Generator:
    """A numpy Generator from what scikit-learn accepts as `random_state`, or from a Generator."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    if random_state is None:
        return np.random.default_rng()
    if isinstance(random_state, numbers.Integral):
        return np.random.default_rng(int(random_state))
    raise ValueError(f"random_state must be None, a whole number, a RandomState or a Generator, got {random_state!r}")


def check_number(
    name: str,
    value: Any,
    *,
    integer: bool = False,
    low: float,
    high: float | None = None,
    auto: bool = False,
    open_low: bool = False,
) -> None:
    """Refuse a parameter that is not a finite number within bounds.

    Parameters
    ----------
    name, value
        The parameter.
    integer : bool
        Whether it must be whole.
    low, high : float
        Smallest (with `open_low`: excluded) and largest value.
    auto : bool
        Whether the message also offers "auto".

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is out of bounds.
    """
    kind = numbers.Integral if integer else numbers.Real
    right_type = isinstance(value, kind) and not isinstance(value, bool)
    if not right_type or not np.isfinite(value) or value < low or (open_low and value <= low):
        fits = False
    else:
        fits = high is None or value <= high
    if not fits:
        what = "a whole number" if integer else "a number"
        bounds = f"{'above' if open_low else 'of at least'} {low:g}" + (f" and at most {high:g}" if high else "")
        message = f"{name} must be {what} {bounds}{' or auto' if auto else ''}, got {value!r}"
        raise (ValueError if right_type or isinstance(value, str) else TypeError)(message)
