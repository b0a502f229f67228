"""Elicitation in worker processes: the answers of a single process, whatever dies on the way, each on disk at once."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest

from surveysim import CalibratedElicitor, Question, SimilarityElicitor, ZeroShotElicitor
from surveysim.asking import chunks, local
from surveysim.asking.asks import LabelProbabilitiesUnavailable
from surveysim.asking.local import LocalAnswerer, answer_chunk
from surveysim.elicitation import METHODS, Journal, SimilarityRater
from surveysim.models import load_model
from surveysim.models.processes import ModelAddress
from tests.asking.asks import label_asks, text_asks
from tests.clusters import begin, starts

QUESTIONS = {
    "trust": Question("Do you trust the press?", ["no", "a little", "yes"]),
    "party": Question("Which party do you like best?", ["Reds", "Blues", "Other"], ordinal=False, pinned=["Other"]),
}
X = pd.DataFrame(
    [(name, age, sex) for name in QUESTIONS for age in ("18-29", "30-64", "65+") for sex in ("man", "woman")],
    columns=["question", "age", "sex"],
)

ROUNDING = 2e-5  # of natural logarithms of label probabilities in float32; of probabilities it is less


def nano(method, **parameters):
    settings = {"question": QUESTIONS, "random_state": 0, "n_samples": 4 if method == "sampled" else None}
    return ZeroShotElicitor("nano", method=method, **{**settings, **parameters}).fit(X)


def assert_same(found, expected):
    """The same texts, and label probabilities up to rounding."""
    np.testing.assert_allclose(found.P, expected.P, atol=ROUNDING)
    for name in ("row", "ask", "template", "order", "sample", "text", "refused", "failure"):
        assert found.answers[name].tolist() == expected.answers[name].tolist()
    for one, other in zip(found.answers["label_logprobs"], expected.answers["label_logprobs"], strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, atol=ROUNDING)


def noted_chunk(model, asks):
    """`answer_chunk` by a worker that notes its start, and may be killed then."""
    begin(asks)
    return answer_chunk(model, asks)


def label_shy_chunk(model, asks):
    if any(ask.kind == "label" for ask in asks):
        raise LabelProbabilitiesUnavailable("this model keeps its probabilities to itself")
    return answer_chunk(model, asks)


def forbidden(*args):
    raise AssertionError("answered in the process that asked")


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "TOKENS_PER_CHUNK", 180)


@pytest.fixture
def elsewhere(monkeypatch, small_chunks):
    """Nobody answers here any more: call after the single process has."""

    def use(function=answer_chunk):
        monkeypatch.setattr(local, "answer_chunk", function)
        monkeypatch.setattr(LocalAnswerer, "_answer_here", forbidden)

    return use


# --- worker processes -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:answers list")  # nano does not count
@pytest.mark.parametrize("method", METHODS)
def test_two_processes_say_what_one_says(method, elsewhere):
    elicitor = nano(method)
    expected = elicitor.elicit(X)
    elsewhere()
    with joblib.parallel_config(backend="loky", n_jobs=2):
        assert_same(elicitor.elicit(X), expected)


@pytest.mark.slow
def test_every_elicitor_that_asks_a_local_model_spreads_its_asks(elsewhere):
    def encoder(texts):
        return np.array([[text.count(letter) + 0.1 for letter in "aeinst"] for text in texts])

    Y = np.full((len(X), 3), 1 / 3)
    words = SimilarityElicitor(
        "nano", rater=SimilarityRater(encoder), question=QUESTIONS, n_samples=3, max_tokens=6, random_state=0
    ).fit(X)
    calibrated = CalibratedElicitor(nano("logprob")).fit(X, Y)
    expected = words.elicit(X), calibrated.predict(X)
    elsewhere()
    with joblib.parallel_config(backend="loky", n_jobs=2):
        assert_same(words.elicit(X), expected[0])
        np.testing.assert_allclose(calibrated.predict(X), expected[1], atol=ROUNDING)


@pytest.mark.slow
def test_a_model_that_tells_no_probabilities_is_asked_for_percentages(elsewhere):
    expected = nano("verbalized").predict(X)
    elsewhere(label_shy_chunk)
    with (
        joblib.parallel_config(backend="loky", n_jobs=2),
        pytest.warns(
            UserWarning, match=r"keeps its probabilities to itself. Distributions are elicited by method='verb"
        ),
    ):
        np.testing.assert_allclose(nano("logprob").predict(X), expected, atol=ROUNDING)


@pytest.mark.slow
def test_a_killed_worker_costs_only_its_chunk_and_the_journal_has_everything(cluster, notes, elsewhere, tmp_path):
    elicitor = nano("sampled", journal=tmp_path / "answers.sqlite")
    expected = nano("sampled").elicit(X)
    elsewhere(noted_chunk)
    (notes / "deadly").touch()
    with joblib.parallel_config(backend="dask"):
        assert_same(elicitor.elicit(X), expected)
    assert (notes / "taken").exists()
    rows = starts(notes)
    pieces = [piece for _, _, piece in rows]
    assert len(set(pieces)) >= 6
    assert len(pieces) == len(set(pieces)) + 1  # one chunk was begun twice
    assert os.getpid() not in {pid for pid, _, _ in rows}
    by_worker = {pid: {loads for other, loads, _ in rows if other == pid} for pid, _, _ in rows}
    assert len(by_worker) >= 2
    assert all(loads == {1} for loads in by_worker.values())  # no chunk loaded the model again
    with Journal(tmp_path / "answers.sqlite") as journal:
        assert len(journal.to_frame()) == expected.answers["ask"].nunique()
    assert_same(elicitor.elicit(X), expected)  # all of it from the journal: nobody answers here


# --- how answers arrive -----------------------------------------------------------------------------------------------


@pytest.fixture
def fake(monkeypatch, small_chunks):
    """Two "processes" that answer in this one, the last chunk first; what they were given."""
    given = []

    def spread(function, items, address, *args):
        model = address.load()
        with ThreadPoolExecutor(1) as worker:  # the model's lock is free while workers are at it
            assert worker.submit(model.lock.acquire, timeout=5).result()
            worker.submit(model.lock.release).result()
        for index in reversed(range(len(items))):
            given.append(items[index])
            yield index, function(model, items[index], *args)

    monkeypatch.setattr(local, "n_processes", lambda device: 2)
    monkeypatch.setattr(local, "spread", spread)
    return given


@pytest.fixture
def answerer():
    model = load_model("nano")
    return LocalAnswerer(model, address=ModelAddress.of(model))


def test_answers_come_in_the_order_of_asks_and_are_reported_as_chunks_arrive(fake, answerer, capsys):
    asks = [*label_asks(30), *text_asks(10, draws=3, max_tokens=3)]
    reported = {}
    threads = set()

    def on_answer(position, answer):
        reported[position] = answer
        threads.add(threading.get_ident())

    answers = answerer.answer(asks, on_answer=on_answer, verbose=1)
    assert "answers" in capsys.readouterr().err
    assert [reported[position] for position in range(len(asks))] == answers
    assert threads == {threading.get_ident()}
    assert list(reported) != sorted(reported)
    assert sum(map(len, fake)) == len(asks)
    assert len(fake) > 4
    alone = LocalAnswerer(answerer.model).answer(asks)
    assert len(fake) == len(set(fake))  # without an address nothing is spread
    assert [answer.text for answer in answers] == [answer.text for answer in alone]
    for one, other in zip(answers[:30], alone, strict=False):
        np.testing.assert_allclose(one.label_logprobs, other.label_logprobs, atol=ROUNDING)


def test_what_is_one_chunk_is_answered_where_it_is_asked(fake, answerer):
    answerer.answer(label_asks(2))
    assert not fake
    assert answerer.answer([]) == []


def test_ctrl_c_waits_until_what_has_arrived_is_reported_and_a_second_one_does_not(fake, answerer):
    asks = text_asks(20, draws=2, max_tokens=2)
    for times in (1, 2):
        reported, interrupts = [], []

        def on_answer(position, answer, times=times, reported=reported, interrupts=interrupts):
            if position not in reported:
                reported.append(position)
            if len(interrupts) < times and len(reported) > 25:
                interrupts.append(position)
                raise KeyboardInterrupt

        fake.clear()
        with pytest.raises(KeyboardInterrupt):
            answerer.answer(asks, on_answer=on_answer)
        assert len(interrupts) == times
        arrived = sum(map(len, fake))
        assert 25 < arrived < len(asks)
        assert (len(reported) == arrived) is (times == 1)


def test_a_run_that_is_interrupted_resumes_with_what_has_arrived(fake, tmp_path, monkeypatch):
    elicitor = nano("sampled", journal=tmp_path / "answers.sqlite")
    expected = nano("sampled").elicit(X)
    whole = [ask for chunk in fake for ask in chunk]
    fake.clear()
    put, calls = Journal.put, []

    def interrupted(self, *args, **kwargs):
        put(self, *args, **kwargs)
        calls.append(1)
        if len(calls) == 18:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            elicitor.elicit(X)
    arrived = [ask for chunk in fake for ask in chunk]
    assert 18 < len(arrived) < len(whole)
    with Journal(tmp_path / "answers.sqlite") as journal:
        assert len(journal) == len(arrived)
    fake.clear()
    assert_same(elicitor.elicit(X), expected)
    again = [ask for chunk in fake for ask in chunk]
    assert len(again) + len(arrived) == len(whole)
    assert not set(again) & set(arrived)


def test_what_on_answer_raises_is_raised_and_nothing_more_is_asked(fake, answerer):
    def full(position, answer):
        raise OSError("no space left on the device")

    with pytest.raises(OSError, match="no space left"):
        answerer.answer(label_asks(60), on_answer=full)
    assert len(fake) == 1


def test_what_is_wrong_with_asks_is_said_before_anybody_works(fake, answerer):
    asks = label_asks(30)
    with pytest.raises(ValueError, match=r"the labels of 5 options are"):
        answerer.answer([*asks, type(asks[0])(asks[0].prompt, "label", tuple("vwxyz"))])
    with pytest.raises(ValueError, match=r"a prompt has \d+ tokens"):
        answerer.answer([*asks, type(asks[0])(type(asks[0].prompt)("", "yes " * 9000), "label", asks[0].labels)])
    assert not fake


@pytest.mark.parametrize("settings", [{"backend": "threading", "n_jobs": 2}, {"backend": "loky", "n_jobs": 1}])
def test_threads_and_a_single_process_answer_here(settings, answerer, monkeypatch):
    monkeypatch.setattr(local, "spread", forbidden)
    with joblib.parallel_config(**settings):
        assert len(answerer.answer(label_asks(60))) == 60


def test_percentages_are_whole_answers_of_one_worker(fake, answerer):
    """What one ask is answered with never depends on its chunk: a schema, a length and a temperature go with it."""
    elicitation = nano("verbalized", n_samples=2).elicit(X)
    assert len(fake) > 2
    read = [json.loads(text) for text in elicitation.answers["text"]]
    assert all(set(shares) == {"A", "B", "C"} for shares in read)
