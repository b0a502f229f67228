"""`SimilarityElicitor`: answers in people's own words, from a model on a server or on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from surveysim import CalibratedElicitor, Question, SimilarityElicitor
from surveysim.elicitation import Journal, SimilarityRater
from tests.servers import BROKEN, Body, Canned, LoopbackServer

QUESTION = Question("Would you buy it?", ["no", "perhaps", "yes"], context="a shop")
X = pd.DataFrame({"age": ["18-29", "30-64", "65+"], "gender": ["woman", "man", "woman"]})
WORDS = {"18-29": "Yes, at once!", "30-64": "Perhaps, if it gets cheaper.", "65+": "No, I do not."}


def encoder(texts: list[str]) -> np.ndarray:
    """Counts the words that matter here."""
    return np.array([[text.lower().count(word) + 0.1 for word in ("no", "perhaps", "yes")] for text in texts])


RATER = SimilarityRater(encoder, anchors=["{option}"])


def say(body: Body) -> str:
    return next(words for age, words in WORDS.items() if age in body["messages"][-1]["content"])


def elicitor(server: LoopbackServer, **parameters: Any) -> SimilarityElicitor:
    given = {"rater": RATER, "question": QUESTION, "n_samples": 4, "random_state": 0, **parameters}
    return SimilarityElicitor("openai:m", base_url=server.base_url, **given)


def test_words_become_distributions() -> None:
    with LoopbackServer(Canned(say)) as server:
        model = elicitor(server).fit(X)
        found = model.elicit(X)
        np.testing.assert_allclose(found.P, RATER.rate(list(WORDS.values()), QUESTION))
        np.testing.assert_array_equal(model.predict(X), found.P)
        assert found.P.argmax(axis=1).tolist() == [2, 1, 0]
        assert found.method == "similarity"
        assert found.answers["text"].tolist() == [words for words in WORDS.values() for _ in range(4)]
        assert (found.failures == 0).all()
        prompt = server.requests[0]["messages"]
    assert "own words" in prompt[0]["content"]
    # Neither labels nor options are shown.
    assert prompt[1]["content"] == "Survey: a shop\nQuestion: Would you buy it?\nPerson: age: 18-29; gender: woman"


def test_a_cell_is_the_mean_of_its_answers_and_refusals_and_failures_are_left_out() -> None:
    texts = iter(["Yes.", "I cannot answer that, as an AI.", "No.", "  "])
    dropped = pytest.warns(UserWarning, match="1 of 4 answers were dropped: the text is empty")
    with LoopbackServer(Canned(lambda body: next(texts))) as server, dropped:
        found = elicitor(server, n_samples=4).fit(X[:1]).elicit(X[:1])
    np.testing.assert_allclose(found.P[0], RATER.rate(["Yes.", "No."], QUESTION).mean(axis=0))
    assert found.failures.tolist() == [1]
    assert found.refusals[0] == pytest.approx(1 / 3)


def test_questions_of_different_lengths_with_anchors_of_their_own() -> None:
    questions = {"buy": QUESTION, "again": Question("Would you buy it?", ["never", "ever"])}
    cells = pd.DataFrame({"question": ["buy", "again"], "age": ["18-29", "18-29"]})
    with LoopbackServer(Canned(say)) as server:
        model = elicitor(server, question=questions, anchors={"again": ["no, never", "yes"]}).fit(cells)
        P = model.predict(cells)
    np.testing.assert_allclose(P[0], RATER.rate(["Yes, at once!"], QUESTION)[0])
    again = RATER.rate(["Yes, at once!"], questions["again"], anchors=["no, never", "yes"])[0]
    np.testing.assert_allclose(P[1], [*again, np.nan])


def test_cells_without_an_answer() -> None:
    def fault(number: int, body: Body) -> Any:
        return BROKEN if "65+" in body["messages"][-1]["content"] else None

    with LoopbackServer(Canned(say), faults=fault) as server:
        model = elicitor(server).fit(X)
        answerer = model._answerer

        def quick() -> Any:
            found = answerer()
            found.backoff, found.max_retries = 1e-4, 1
            return found

        model._answerer = quick  # type: ignore[method-assign]
        with pytest.raises(ValueError, match="1 of 3 cells have no usable answer"):
            model.predict(X)
        with pytest.warns(UserWarning, match=r"no usable answer|were dropped"):
            P = model.set_params(on_failure="nan").fit(X).predict(X)
    assert np.isnan(P).all(axis=1).tolist() == [False, False, True]


def test_a_journal_keeps_the_words(tmp_path: Path) -> None:
    path = tmp_path / "words.sqlite"
    with LoopbackServer(Canned(say)) as server:
        P = elicitor(server, journal=path).fit(X).predict(X)
        n_requests = len(server.requests)
        # Another rater reads the same words: nothing is asked for again.
        sharper = SimilarityRater(encoder, anchors=["{option}"], temperature=0.5)
        Q = elicitor(server, journal=path, rater=sharper).fit(X).predict(X)
        assert len(server.requests) == n_requests
    np.testing.assert_allclose(Q, P**2 / (P**2).sum(axis=1, keepdims=True))
    with Journal(path) as journal:
        assert set(journal.to_frame()["text"]) == set(WORDS.values())


def test_it_can_be_calibrated_without_a_prior_of_another_method() -> None:
    labelled = np.array([[0.1, 0.3, 0.6], [0.2, 0.5, 0.3], [0.5, 0.3, 0.2]])
    with LoopbackServer(Canned(say)) as server:
        model = CalibratedElicitor(elicitor(server)).fit(X, labelled, np.full(3, 100.0))
        P = model.predict(X)
    assert model.elicited_by_ is None
    np.testing.assert_allclose(P.sum(axis=1), 1)


def test_it_runs_on_this_machine_and_repeats_itself() -> None:
    letters = SimilarityRater(lambda texts: [[1 + text.lower().count(letter) for letter in "abcnpy"] for text in texts])
    model = SimilarityElicitor("nano", rater=letters, question=QUESTION, n_samples=3, max_tokens=6, random_state=3)
    P = model.fit(X).predict(X)
    np.testing.assert_array_equal(clone(model).fit(X).predict(X), P)
    np.testing.assert_allclose(P.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"rater": 3}, TypeError, "rater must be a SimilarityRater"),
        ({"anchors": ["a", "b", "c"]}, TypeError, "mapping from question names"),
        ({"instruction": 3}, TypeError, "instruction"),
        ({"n_samples": None}, TypeError, "n_samples and temperature"),
        ({"n_samples": 0}, ValueError, "n_samples"),
        ({"max_tokens": 0}, ValueError, "max_tokens"),
        ({"template": ["default", "pollster"]}, TypeError, "one wording"),
        ({"on_failure": "guess"}, ValueError, "on_failure"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        SimilarityElicitor("nano", **{"rater": RATER, "question": QUESTION, **parameters}).fit(X)


def test_anchors_of_questions_that_are_not_there() -> None:
    model = SimilarityElicitor("nano", rater=RATER, question=QUESTION, anchors={"x": ["a", "b", "c"]}).fit(X)
    with pytest.raises(ValueError, match=r"anchors name the questions \['x'\]"):
        model.predict(X)
