"""The real `transformers serve` over nano: it ignores n, logprobs and response_format without a word."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim.models
from surveysim import Question, ZeroShotElicitor
from surveysim.asking import RemoteAnswerer, RemoteError
from surveysim.asking.asks import Ask, LabelProbabilitiesUnavailable
from surveysim.asking.local import LocalAnswerer
from surveysim.elicitation import Journal
from surveysim.models import load_model
from surveysim.prompts import get_template, render
from tests.asking.asks import LABELS, MARRIAGE, SCHEMA, label_asks, text_asks
from tests.transformers_serve import transformers_serve

NANO = Path(surveysim.models.__file__).with_name("nano")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("uvicorn") is None, reason="transformers[serving] is not installed: no server"
    ),
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with transformers_serve(NANO) as address:
        yield address


def verbalized_asks(n: int, **fields: float) -> list[Ask]:
    template = get_template("default")
    prompts = [render(template, MARRIAGE, {"age": 20 + 10 * i}, labels=LABELS, verbalized=True) for i in range(n)]
    return [Ask(prompt, "text", LABELS, max_tokens=80, schema=SCHEMA, **fields) for prompt in prompts]  # type: ignore[arg-type]


def test_it_answers_as_the_model_itself(address: str) -> None:
    asks = verbalized_asks(3, temperature=0.0)
    remote = RemoteAnswerer(str(NANO), base_url=address)
    texts = [answer.text for answer in remote.answer(asks)]
    assert texts == [answer.text for answer in LocalAnswerer(load_model("nano")).answer(asks)]
    assert all(text is not None and text.startswith("{") for text in texts)
    assert remote.notices == ()  # nano keeps to JSON by itself


def test_draws_are_asked_for_one_by_one_and_differ(address: str) -> None:
    remote = RemoteAnswerer(str(NANO), base_url=address)
    answers = remote.answer(text_asks(1, draws=25, max_tokens=4))
    assert {answer.text for answer in answers} >= {"A", "B", "C"}
    assert all(answer.failure is None for answer in answers)
    assert remote.notices == ("the server ignores `n`: draws are asked for one by one",)


def test_a_format_that_is_ignored_is_noticed(address: str) -> None:
    remote = RemoteAnswerer(str(NANO), base_url=address)
    answers = remote.answer(text_asks(3, schema=SCHEMA, temperature=0.0))
    assert {answer.text for answer in answers} <= set(LABELS)
    assert remote.notices == ("the server does not follow `response_format`: answers are read as they come",)


def test_it_has_no_label_probabilities(address: str) -> None:
    with pytest.raises(LabelProbabilitiesUnavailable, match="no log-probabilities"):
        RemoteAnswerer(str(NANO), base_url=address).answer(label_asks(3))


def test_another_model_than_it_serves_is_an_error(address: str) -> None:
    with pytest.raises(RemoteError, match="pinned"):
        RemoteAnswerer("somebody/else", base_url=address).answer(label_asks(3))


@pytest.mark.filterwarnings("ignore:.*answers were dropped")  # seeds are ignored, and nano is not always readable
@pytest.mark.parametrize("method", ["verbalized", "sampled", "logprob"])
def test_distributions_come_back(address: str, method: str, tmp_path: Path) -> None:
    X = pd.DataFrame({"age": ["18-29", "65 or older"], "gender": ["female", "male"]})
    question = Question("Is the country on the right track?", ["right track", "wrong track"])
    elicitor = ZeroShotElicitor(
        f"openai:{NANO}", base_url=address, method=method, question=question, n_samples=6, random_state=0,
        journal=tmp_path / "answers.sqlite",
    ).fit(X)  # fmt: skip
    if method == "logprob":
        with pytest.warns(UserWarning, match="no log-probabilities.*'verbalized' instead of 'logprob'"):
            P = elicitor.predict(X)
    else:
        P = elicitor.predict(X)
    np.testing.assert_allclose(P.sum(axis=1), 1)
    assert P.shape == (2, 2)
    with Journal(tmp_path / "answers.sqlite") as journal:
        n_answers = len(journal)
        assert n_answers >= 12
    # Another elicitor with the same journal gets the same without a server.
    if method != "logprob":
        again = ZeroShotElicitor(**{**elicitor.get_params(), "max_workers": 1}).fit(X)
        np.testing.assert_array_equal(again.predict(X), P)
        with Journal(tmp_path / "answers.sqlite") as journal:
            assert len(journal) == n_answers
