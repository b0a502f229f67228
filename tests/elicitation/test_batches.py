"""Batch endpoints: written, submitted, collected, and gone on with wherever it was left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from surveysim import Question, SimilarityElicitor, ZeroShotElicitor
from surveysim.asking.remote import RemoteError, batches
from surveysim.elicitation import ElicitationBatch, SimilarityRater
from tests.batch_servers import BatchServer
from tests.servers import Body, Canned

X = pd.DataFrame({"age": ["18-29", "30-64", "65+"]})
QUESTION = Question("Are you content with your town?", ["yes", "partly", "no"])
SECRET = "sk-batch-0123456789abcdef"


def say(body: Body) -> str:
    return '{"A": 20, "B": 30, "C": 50}' if "18-29" in str(body["messages"]) else '{"A": 50, "B": 30, "C": 20}'


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("BATCH_KEY", SECRET)


def elicitor(server: BatchServer, path: Path, **parameters: Any) -> ZeroShotElicitor:
    given = {"journal": path / "answers.sqlite", "base_url": server.base_url, "api_key_env": "BATCH_KEY", **parameters}
    return ZeroShotElicitor("openai:m", question=QUESTION, **given).fit(X)


def test_a_batch_gives_what_asking_one_by_one_gives(tmp_path: Path) -> None:
    with BatchServer(Canned(say)) as server:
        model = elicitor(server, tmp_path)
        batch = ElicitationBatch(model, X, tmp_path / "batch")
        assert batch.write() == 3 * 4
        assert batch.submit() == ["batch-0"]
        status = batch.collect()
        assert (status.n_asks, status.n_answered, status.n_waiting, status.done) == (12, 0, 12, False)
        server.work()
        status = batch.collect()
        assert (status.n_answered, status.n_waiting, status.n_failed, status.done) == (12, 0, 0, True)
        P = model.predict(X)
        assert server.requests == []  # all of it was in the journal
        np.testing.assert_array_equal(P, elicitor(server, tmp_path, journal=None, random_state=0).predict(X))
        assert len(server.requests) > 0
        batch.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in stored


def test_every_step_may_be_repeated_by_any_process(tmp_path: Path) -> None:
    with BatchServer(Canned(say)) as server:
        model = elicitor(server, tmp_path)

        def another() -> ElicitationBatch:
            return ElicitationBatch(model, X, tmp_path / "batch")

        assert [another().write() for _ in range(3)] == [12, 0, 0]
        assert [another().submit() for _ in range(3)] == [["batch-0"]] * 3
        server.work()
        assert [another().collect().n_answered for _ in range(3)] == [12] * 3
        assert [another().write() for _ in range(2)] == [0, 0]
        assert len(server.jobs) == 1


def test_a_process_that_dies_after_the_servers_word_does_not_pay_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BatchServer(Canned(say)) as server:
        batch = ElicitationBatch(elicitor(server, tmp_path), X, tmp_path / "batch")
        batch.write()
        monkeypatch.setattr(batches.BatchFolder, "_save", lambda *args, **what: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            batch.submit()
        monkeypatch.undo()
        monkeypatch.setenv("BATCH_KEY", SECRET)
        assert batch.submit() == ["batch-0"]
        assert len(server.jobs) == 1


def test_what_failed_is_written_anew(tmp_path: Path) -> None:
    with BatchServer(Canned(say)) as server:
        server.broken = {1, 5}
        batch = ElicitationBatch(elicitor(server, tmp_path), X, tmp_path / "batch")
        batch.write()
        batch.submit()
        server.work()
        status = batch.collect()
        assert (status.n_answered, status.n_failed) == (10, 2)
        assert batch.write() == 2
        assert batch.submit() == ["batch-0", "batch-1"]
        server.work()
        assert batch.collect().n_answered == 12


def test_a_job_that_fails_as_a_whole_is_handed_in_again(tmp_path: Path) -> None:
    with BatchServer(Canned(say)) as server:
        batch = ElicitationBatch(elicitor(server, tmp_path), X, tmp_path / "batch")
        batch.write()
        batch.submit()
        server.jobs["batch-0"]["status"] = "expired"
        assert batch.collect().n_failed == 12
        assert batch.write() == 12
        assert batch.submit() == ["batch-0", "batch-1"]
        server.jobs["batch-0"]["status"] = "completed"
        server.work()
        assert batch.collect().n_answered == 12


def test_large_batches_are_cut_into_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_REQUESTS", 5)
    with BatchServer(Canned(say)) as server:
        batch = ElicitationBatch(elicitor(server, tmp_path), X, tmp_path / "batch")
        batch.write()
        files = sorted((tmp_path / "batch").glob("*.jsonl"))
        assert [len(file.read_text().splitlines()) for file in files] == [5, 5, 2]
        assert len(batch.submit()) == 3
        server.work()
        assert batch.collect().n_answered == 12
    requests = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert len({request["custom_id"] for request in requests}) == 12
    assert {request["body"]["model"] for request in requests} == {"m"}
    assert all("n" not in request["body"] for request in requests)


def test_a_job_that_is_refused_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_REQUESTS", 6)
    with BatchServer(Canned(say)) as server:
        batch = ElicitationBatch(elicitor(server, tmp_path), X, tmp_path / "batch")
        batch.write()
        server.refuse_jobs = True
        with pytest.raises(RemoteError, match=r"requests-0001.jsonl was not accepted.*too many jobs"):
            batch.submit()
        server.refuse_jobs = False
        assert batch.submit() == ["batch-0", "batch-1"]


def test_words_of_their_own_go_in_batches_too(tmp_path: Path) -> None:
    with BatchServer(Canned(lambda body: "I like it.")) as server:
        rater = SimilarityRater(lambda texts: np.array([[text.count(x) + 0.1 for x in "aeinst"] for text in texts]))
        model = SimilarityElicitor(
            "openai:m", base_url=server.base_url, question=QUESTION, rater=rater, n_samples=2, journal=tmp_path / "a.db"
        ).fit(X)
        batch = ElicitationBatch(model, X, tmp_path / "batch")
        assert batch.write() == 6
        batch.submit()
        server.work()
        assert batch.collect().done
        assert model.predict(X).shape == (3, 3)
        assert server.requests == []


def test_a_batch_needs_a_server_and_a_journal(tmp_path: Path) -> None:
    model = ZeroShotElicitor("nano", question=QUESTION, journal=tmp_path / "a.db").fit(X)
    with pytest.raises(ValueError, match=r"behind a server.*journal="):
        ElicitationBatch(model, X, tmp_path)
    model = ZeroShotElicitor("openai:m", question=QUESTION).fit(X)
    with pytest.raises(ValueError, match=r"with a journal="):
        ElicitationBatch(model, X, tmp_path)
