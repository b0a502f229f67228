"""Examples for the tests of calibrators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from surveysim.calibration import Examples


def make_examples(
    P: object,
    Y: object = None,
    *,
    positions: object = None,
    question: object = None,
    weight: object = None,
    features: object = None,
    objective: str = "kl",
    elicited_by: str | None = None,
) -> Examples:
    """Examples with every part spelled out or plain."""
    P = np.array(P, dtype=float)
    n, K = P.shape
    if positions is None:
        positions = np.where(np.isnan(P), np.nan, np.arange(1.0, K + 1))
    return Examples(
        P=P,
        positions=np.array(positions, dtype=float),
        Y=None if Y is None else np.array(Y, dtype=float),
        weight=np.ones(n) if weight is None else np.array(weight, dtype=float),
        question=np.arange(n) if question is None else np.array(question),
        features=np.zeros((n, 0)) if features is None else np.array(features, dtype=float),
        objective=objective,
        elicited_by=elicited_by,
    )


@pytest.fixture
def examples() -> Callable[..., Examples]:
    return make_examples
