"""Checks of constructor parameters that every estimator can use."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from surveysim.interfaces import RandomState

__all__ = ["as_generator", "check_flag", "check_number", "check_random_state"]


def check_random_state(random_state: object) -> None:
    """Refuse what `as_generator` cannot use, without drawing from it."""
    known = np.random.Generator | np.random.RandomState | numbers.Integral
    if random_state is not None and (not isinstance(random_state, known) or isinstance(random_state, bool)):
        raise ValueError(
            f"random_state must be None, a whole number, a RandomState or a Generator, got {random_state!r}"
        )
    if isinstance(random_state, numbers.Integral) and random_state < 0:
        raise ValueError(f"random_state must not be negative, got {random_state!r}")


def as_generator(random_state: RandomState) -> np.random.Generator:
    """A numpy Generator from what scikit-learn accepts as `random_state`, or from a Generator."""
    check_random_state(random_state)
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    return np.random.default_rng(None if random_state is None else int(random_state))


def check_flag(name: str, value: object) -> None:
    """Refuse a parameter that is neither True nor False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")


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
