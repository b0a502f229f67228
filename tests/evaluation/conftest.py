"""A small simulated survey, one row a respondent, and figures that close themselves."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import numpy as np
import pandas as pd
import pytest

from surveysim import Question

AGES = ["18-29", "30-64", "65+"]
QUESTIONS = {
    "happy": Question("How happy are you?", ["not", "somewhat", "very"], codes=[1, 2, 3]),
    "party": Question("Which party?", ["Reds", "Greens", "Blues"], codes=[1, 2, 3], ordinal=False),
    "vote": Question("Will you vote?", ["no", "yes"], codes=[0, 1]),
}


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    import matplotlib.pyplot as plt

    matplotlib.use("Agg")
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def respondents() -> pd.DataFrame:
    """600 respondents with an age and a sex, who answer three questions."""
    rng = np.random.default_rng(0)
    n = 600
    age = rng.choice(3, n, p=[0.3, 0.4, 0.3])
    sex = rng.choice(2, n)
    score = 0.8 * (age - 1) + 0.5 * sex
    return pd.DataFrame(
        {
            "age": pd.Categorical.from_codes(age, AGES, ordered=True),
            "sex": np.array(["f", "m"])[sex],
            "happy": 1 + (score + rng.logistic(size=n) > -0.5) + (score + rng.logistic(size=n) > 0.8),
            "party": rng.choice([1, 2, 3], n, p=[0.5, 0.3, 0.2]),
            "vote": (score + rng.logistic(size=n) > 0).astype(int),
        }
    )


@pytest.fixture(scope="session")
def questions() -> dict[str, Question]:
    """The questions of `respondents`, one of them nominal."""
    return QUESTIONS
