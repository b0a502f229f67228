"""Whatever ends an elicitation, what was answered until then is on the exception."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from surveysim import CalibratedElicitor, FusedRegressor, Question, SimilarityElicitor, ZeroShotElicitor
from surveysim.asking.asks import Answer, Ask
from surveysim.asking.journal import Journal
from surveysim.asking.remote import RemoteError
from surveysim.elicitation import Elicitation, ElicitationError, SimilarityRater
from surveysim.errors import DiskFullError, SurveysimWarning
from tests.scripted import Scripted
from tests.servers import Body, Canned, Fault, LoopbackServer

X = pd.DataFrame({"age": [str(20 + i) for i in range(12)]})
Y = np.tile([0.5, 0.3, 0.2], (12, 1))
QUESTION = Question("Are you content with your town?", ["yes", "partly", "no"])
SHARES = '{"A": 20, "B": 30, "C": 50}'


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def elicitor(server: LoopbackServer, **parameters: Any) -> ZeroShotElicitor:
    given = {"option_orders": "given", "n_samples": 1, "max_workers": 1, "random_state": 0, **parameters}
    return ZeroShotElicitor("openai:m", base_url=server.base_url, question=QUESTION, **given).fit(X)


def revoked(number: int, body: Body) -> Fault | None:
    return Fault.error(401, "key revoked") if number >= 10 else None


def check(elicitation: Elicitation | None, n: int) -> None:
    assert elicitation is not None
    np.testing.assert_allclose(elicitation.P[:n], np.tile([0.2, 0.3, 0.5], (n, 1)))
    assert np.isnan(elicitation.P[n:]).all()
    assert elicitation.answers["text"].tolist() == [SHARES] * n + [None] * (12 - n)
    assert elicitation.failures.tolist() == [0] * n + [1] * (12 - n)


@pytest.mark.parametrize("how", ["elicit", "predict", "calibrated", "fused"])
@pytest.mark.filterwarnings("ignore:.*asks were not tried")
def test_a_key_that_is_revoked_leaves_what_was_answered_on_the_exception(how: str) -> None:
    with LoopbackServer(Canned(lambda body: SHARES), faults=revoked) as server:
        model = elicitor(server)
        run: dict[str, Callable[[], Any]] = {
            "elicit": lambda: model.elicit(X),
            "predict": lambda: model.predict(X),
            "calibrated": lambda: CalibratedElicitor(model).fit(X, Y),
            "fused": lambda: FusedRegressor(model, question=QUESTION).fit(X, Y, np.full(12, 20)),
        }
        with pytest.raises(ElicitationError, match=r"2 of 12 cells.*key revoked") as caught:
            run[how]()
    check(caught.value.elicitation, 10)
    assert isinstance(caught.value, ValueError)
    assert "10 of 12 answers had arrived" in caught.value.__notes__[0]
    check(pickle.loads(pickle.dumps(caught.value)).elicitation, 10)


def test_a_warning_that_is_an_error_does_not_lose_anything_either() -> None:
    with LoopbackServer(Canned(lambda body: SHARES), faults=revoked) as server, warnings.catch_warnings():
        warnings.simplefilter("error", SurveysimWarning)
        with pytest.raises(SurveysimWarning, match="key revoked") as caught:
            elicitor(server, on_failure="nan").elicit(X)
    check(caught.value.elicitation, 10)  # type: ignore[attr-defined]


def breaking(error: BaseException, after: int) -> Callable[[Ask], Answer | str]:
    seen: list[Ask] = []

    def script(ask: Ask) -> str:
        seen.append(ask)
        if len(seen) > after:
            raise error
        return SHARES

    return script


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), RemoteError("the model cannot be asked"), OSError("broken"), MemoryError()]
)
def test_whatever_is_raised_carries_what_was_answered(error: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ZeroShotElicitor, "_answerer", lambda self: Scripted(breaking(error, 7)))
    model = ZeroShotElicitor("nano", question=QUESTION, option_orders="given", n_samples=1, random_state=0).fit(X)
    with pytest.raises(type(error)) as caught:
        model.predict(X)
    assert caught.value is error
    check(error.elicitation, 7)
    assert set(error.elicitation.answers["failure"].dropna()) == {
        f"not answered: {type(error).__name__} ended the call"
    }


def test_where_nothing_was_answered_there_is_nothing_on_the_exception() -> None:
    fault = Fault.error(401, "no")
    with LoopbackServer(faults=lambda number, body: fault) as server, pytest.raises(RemoteError) as caught:
        elicitor(server).predict(X)
    assert caught.value.elicitation is None


def test_an_answer_that_the_journal_could_not_store_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = Journal.put
    stored: list[Ask] = []

    def full(self: Journal, identity: Any, ask: Ask, answer: Answer, **options: Any) -> None:
        if len(stored) == 5:
            raise DiskFullError("the disk is full", self.path)
        stored.append(ask)
        put(self, identity, ask, answer, **options)

    monkeypatch.setattr(Journal, "put", full)
    with LoopbackServer(Canned(lambda body: SHARES)) as server:
        with pytest.raises(DiskFullError, match="disk is full") as caught:
            elicitor(server, journal=tmp_path / "answers.sqlite").elicit(X)
        assert len(server.requests) == 6
    check(caught.value.elicitation, 6)  # type: ignore[attr-defined]


def test_texts_are_kept_when_the_encoder_fails() -> None:
    def encoder(texts: Any) -> Any:
        raise RuntimeError("no space for the encoder")

    with LoopbackServer(Canned(lambda body: "I like it.")) as server:
        model = SimilarityElicitor(
            "openai:m", base_url=server.base_url, question=QUESTION, rater=SimilarityRater(encoder), n_samples=2
        ).fit(X)
        with pytest.raises(RuntimeError, match="no space for the encoder") as caught:
            model.predict(X)
    found = caught.value.elicitation  # type: ignore[attr-defined]
    assert found.answers["text"].tolist() == ["I like it."] * 24
    assert set(found.answers["failure"]) == {"the text was not rated"}
