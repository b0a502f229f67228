"""`ZeroShotElicitor` over a server gives what it gives over the same model on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from surveysim import Question, ZeroShotElicitor
from surveysim.asking.remote import RemoteError
from surveysim.elicitation import Journal
from tests.servers import BUSY, CUT, GARBAGE, Body, Canned, Fault, LoopbackServer, Nano

X = pd.DataFrame({"age": ["18-29", "30-64", "65+"], "gender": ["woman", "man", "woman"]})
QUESTION = Question("Are you content with your town?", ["yes", "partly", "no"], context="Town survey")


@pytest.fixture(scope="module")
def nano() -> Nano:
    return Nano()


@pytest.fixture
def server(nano: Nano) -> Iterator[LoopbackServer]:
    with LoopbackServer(nano) as server:
        yield server


def elicitor(server: LoopbackServer, **parameters: Any) -> ZeroShotElicitor:
    given = {"base_url": server.base_url, "question": QUESTION, "random_state": 0, **parameters}
    return ZeroShotElicitor("openai:nano", **given).fit(X)


def test_label_probabilities_are_those_of_the_model_here_up_to_what_is_censored(server: LoopbackServer) -> None:
    here = ZeroShotElicitor("nano", method="logprob", question=QUESTION).fit(X).elicit(X)
    there = elicitor(server, method="logprob").elicit(X)
    censored = there.answers["censored_mass"].max()
    assert 0 < censored < 0.01
    np.testing.assert_allclose(there.P, here.P, atol=2 * censored)
    np.testing.assert_allclose(there.label_mass, here.label_mass, atol=2 * censored)
    assert len(server.requests) == 3 * 2  # both orders of the options


def test_greedy_percentages_are_those_of_the_model_here(server: LoopbackServer) -> None:
    same = {"method": "verbalized", "temperature": 0.0, "n_samples": 2}
    here = ZeroShotElicitor("nano", question=QUESTION, **same).fit(X).elicit(X)
    there = elicitor(server, **same).elicit(X)
    assert there.answers["text"].tolist() == here.answers["text"].tolist()
    np.testing.assert_array_equal(there.P, here.P)


@pytest.mark.parametrize("method", ["sampled", "paraphrased", "sequence"])
@pytest.mark.filterwarnings("ignore:answers list")
def test_other_methods_run(server: LoopbackServer, method: str) -> None:
    P = elicitor(server, method=method, n_samples=10).predict(X)
    np.testing.assert_allclose(P.sum(axis=1), 1)


def test_without_log_probabilities_percentages_are_asked_for_with_a_warning(nano: Nano) -> None:
    with LoopbackServer(nano, ignores={"logprobs"}) as server:
        with pytest.warns(UserWarning, match=r"no log-probabilities.*'verbalized' instead of 'logprob'"):
            found = elicitor(server, method="logprob").elicit(X)
        assert found.method == "verbalized"
        # One request found it out.
        assert [bool(body.get("logprobs")) for body in server.requests].count(True) == 1


def test_trouble_on_the_way_changes_nothing(tmp_path: Path) -> None:
    def say(body: Body) -> str:
        return '{"A": 20, "B": 30, "C": 50}' if "18-29" in str(body["messages"]) else '{"A": 50, "B": 30, "C": 20}'

    with LoopbackServer(Canned(say)) as server:
        P = elicitor(server).predict(X)
    troubles = {1: BUSY, 3: CUT, 5: GARBAGE}
    with LoopbackServer(Canned(say), faults=troubles, ignores={"n"}) as server:
        model = elicitor(server, journal=tmp_path / "answers.sqlite")
        np.testing.assert_array_equal(model.predict(X), P)
        n_requests = len(server.requests)
        np.testing.assert_array_equal(clone(model).fit(X).predict(X), P)
        assert len(server.requests) == n_requests
    with Journal(tmp_path / "answers.sqlite") as journal:
        assert len(journal) == n_requests - len(troubles) == 3 * 4  # three samples over two orders: two of each


def test_a_key_that_is_refused_raises_after_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWN_KEY", "sk-town-0123456789")
    with LoopbackServer(faults=lambda number, body: Fault.error(401, "bad key sk-town-0123456789")) as server:
        with pytest.raises(RemoteError, match=r"401: bad key \*\*\*"):
            elicitor(server, api_key_env="TOWN_KEY").predict(X)
        assert len(server.requests) == 1
