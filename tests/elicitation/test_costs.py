"""What many orders of options cost is said before anything is asked."""

from __future__ import annotations

import warnings

import pandas as pd
import pytest

from surveysim import Question, ZeroShotElicitor
from surveysim.errors import SurveysimWarning
from tests.scripted import Scripted, by_chance

BRANDS = Question("Which brand?", [f"brand {k}" for k in range(10)], ordinal=False)
TRUST = Question("Do you trust the press?", ["no", "a little", "yes"])


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    answerer = Scripted(by_chance)
    monkeypatch.setattr(ZeroShotElicitor, "_answerer", lambda self: answerer)
    return answerer


def people(n: int, question: str | None = None) -> pd.DataFrame:
    X = pd.DataFrame({"person": [f"number {i}" for i in range(n)]})
    return X if question is None else X.assign(question=question)


def elicit(X: pd.DataFrame, **parameters: object) -> None:
    parameters = {"method": "logprob", "question": BRANDS, "random_state": 0, **parameters}
    ZeroShotElicitor("nano", **parameters).fit(X).elicit(X)


def test_a_thousand_answers_in_ten_orders_are_warned_of_before_anything_is_asked(model: Scripted) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SurveysimWarning, match=r"10 orders: 1,000 answers for 100 cells.* 200, 'given' for 100"):
            elicit(people(100))
    assert model.asked == []


def test_the_warning_names_the_question(model: Scripted) -> None:
    X = pd.concat([people(100, "brand"), people(100, "trust")])
    with pytest.warns(SurveysimWarning, match="question 'brand' is nominal"):
        elicit(X, question={"brand": BRANDS, "trust": TRUST})
    assert len(model.asked) == 1000 + 200


@pytest.mark.parametrize("orders", ["cyclic", "forward-reverse", "given"])
def test_orders_that_somebody_chose_are_not_warned_of(model: Scripted, orders: str) -> None:
    elicit(people(100), option_orders=orders)
    assert len(model.asked) == {"cyclic": 1000, "forward-reverse": 200, "given": 100}[orders]


def test_draws_that_are_spread_over_the_orders_cost_no_more_and_are_not_warned_of(model: Scripted) -> None:
    """30 draws are 3 in each of ten orders or 15 in each of two."""
    elicit(people(40), method="sampled", n_samples=30)
    assert len(model.asked) == 40 * 30


def test_equal_prompts_are_counted_once(model: Scripted) -> None:
    elicit(people(100), backgrounds=False)
    assert len(model.asked) == 10


def test_less_is_told_to_those_who_asked_for_progress(model: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    elicit(people(20))
    assert capsys.readouterr().err == ""
    elicit(people(20), verbose=1)
    said = capsys.readouterr().err
    assert "10 orders: 200 answers for 20 cells. option_orders='forward-reverse' asks for 40, 'given' for 20." in said
    elicit(people(20), verbose=-1)
    assert capsys.readouterr().err == ""


def test_nothing_is_told_of_ordinal_questions(model: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    elicit(people(600), question=TRUST, verbose=1)
    assert "orders" not in capsys.readouterr().err
