"""``--model`` of `benchmarks.fusion` and `benchmarks.calibration`: the groups of the recordings, asked of any model."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from benchmarks import asked_model, calibration, fusion
from benchmarks.asked_model import METHOD, ask
from benchmarks.elicited import Setting
from benchmarks.fusion import Recorded, recordings_of
from surveysim import Question

QUESTIONS = {"a": Question("Content?", ["no", "partly", "yes"]), "b": Question("Proud?", ["no", "yes"])}
X = pd.DataFrame(
    {"question": ["a", "a", "b"], "SEX": ["Female", None, None], "POLPARTY": [None, "Democrat", "Republican"]}
)
HUMAN = np.array([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2], [0.5, 0.5, np.nan]])
SAID = np.array([[0.1, 0.1, 0.8], [0.3, 0.3, 0.4], [0.9, 0.1, np.nan]])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Models that were asked; every one says `SAID`."""
    models: list[str] = []

    def said(model: str, X: pd.DataFrame, questions: dict[str, Question]) -> np.ndarray:
        models.append(model)
        return SAID[: len(X)]

    monkeypatch.setattr(fusion, "ask", said)
    monkeypatch.setattr(calibration, "ask", said)
    return models


def test_a_model_answers_every_row_with_the_options_of_its_question() -> None:
    P = ask("nano", X, QUESTIONS)
    np.testing.assert_array_equal(np.isnan(P), np.isnan(HUMAN))
    np.testing.assert_allclose(np.nansum(P, axis=1), 1)
    assert np.abs(P[0] - P[1]).max() > 1e-4  # the group is told


def test_attributes_are_asked_in_words_that_a_prompt_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elicitor:
        seen: ClassVar[list[pd.DataFrame]] = []

        def __init__(self, model: str, **parameters: Any) -> None:
            assert (model, parameters["method"]) == ("any", "logprob")

        def fit(self, X: pd.DataFrame) -> Elicitor:
            self.seen.append(X)
            return self

        def predict(self, X: pd.DataFrame) -> np.ndarray:
            return SAID

    monkeypatch.setattr(asked_model, "ZeroShotElicitor", Elicitor)
    np.testing.assert_array_equal(ask("any", X, QUESTIONS), SAID)
    assert list(Elicitor.seen[0].columns) == ["question", "gender", "political party"]


def test_a_fusion_has_the_people_of_the_recording_and_the_words_of_the_model(asked: list[str]) -> None:
    party = Recorded(X[["POLPARTY", "question"]], QUESTIONS, HUMAN, np.full_like(HUMAN, 1 / 3))
    everything = {
        ("express_distribution", "gpt-4", "POLPARTY"): party,
        ("express_distribution", "gpt-4", "INCOME"): party,  # the file has no number of respondents for these
        ("sequence", "gpt-4", "POLPARTY"): party,
    }
    found = recordings_of("any", everything)
    assert list(found) == [(METHOD, "any", "POLPARTY")]
    np.testing.assert_array_equal(found[METHOD, "any", "POLPARTY"].elicited, SAID)
    np.testing.assert_array_equal(found[METHOD, "any", "POLPARTY"].human, HUMAN)
    assert asked == ["any"]
    again = recordings_of("any", everything, asks=False)  # what is printed again was asked before
    assert np.isnan(again[METHOD, "any", "POLPARTY"].elicited).all()
    assert asked == ["any"]


def test_a_calibration_has_them_too(asked: list[str]) -> None:
    recorded = Setting(METHOD, "gpt-4", X, np.full_like(HUMAN, 1 / 3), HUMAN, np.full(3, 100.0), HUMAN, QUESTIONS)
    other = Setting("sequence", "gpt-4", X.iloc[:1], HUMAN[:1], HUMAN[:1], np.full(1, 100.0), HUMAN[:1], QUESTIONS)
    found = calibration.setting_of("any", [other, recorded])
    assert (found.name, found.elicited_by, found.tuning) == ("log-prob any", "logprob", False)
    np.testing.assert_array_equal(found.P, SAID)
    np.testing.assert_array_equal(found.Y, HUMAN)
