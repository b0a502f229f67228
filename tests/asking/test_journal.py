"""The journal: what is answered is on disk, is found again, and is not asked twice."""

from __future__ import annotations

import dataclasses
import errno
import math
import multiprocessing
import os
import pickle
import sqlite3
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from surveysim.asking import journal_claims as claims_module
from surveysim.asking.asks import Answer, Ask, LabelProbabilitiesUnavailable
from surveysim.asking.journal import Journal, JournalError, ask_keys
from surveysim.asking.journaled import journaled
from surveysim.errors import DiskFullError, SurveysimWarning
from surveysim.prompts import Prompt

IDENTITY = {"model": "m"}


def asks(n: int, **fields: Any) -> list[Ask]:
    return [Ask(Prompt("system", f"question {i}"), "text", ("A", "B"), **fields) for i in range(n)]


class Model:
    """A model that notes what it is asked."""

    def __init__(self, say: Callable[[Ask], Answer] = lambda ask: Answer(text=ask.prompt.user), **identity: str):
        self.identity = identity or IDENTITY
        self.asked: list[Ask] = []
        self.say = say

    def labels(self, n_options: int) -> tuple[str, ...]:
        return ("A", "B", "C")[:n_options]

    def answer(
        self, asks: Sequence[Ask], *, on_answer: Callable[[int, Answer], None] | None = None, verbose: int = 0
    ) -> list[Answer]:
        answers = []
        for i, ask in enumerate(asks):
            self.asked.append(ask)
            answers.append(self.say(ask))
            if on_answer is not None and answers[-1].failure is None:
                on_answer(i, answers[-1])
        return answers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.sqlite"


# --- keys ------------------------------------------------------------------------------------------------------------


def test_every_field_of_an_ask_and_of_its_prompt_is_in_the_key() -> None:
    ask = Ask(Prompt("s", "u", "c"), "text", ("A",), 0.5, 9, 1, 2, "{}")
    other: dict[str, Any] = {
        "kind": "label", "labels": ("B",), "temperature": 0.6, "max_tokens": 8, "sample": 3, "seed": 4, "schema": None,
    }  # fmt: skip
    changed = [dataclasses.replace(ask, **{name: value}) for name, value in other.items()]
    for field in dataclasses.fields(Prompt):
        changed.append(dataclasses.replace(ask, prompt=dataclasses.replace(ask.prompt, **{field.name: "x"})))
    assert {field.name for field in dataclasses.fields(Ask)} == {*other, "prompt"}, "a new field: test it here, too"
    keys = ask_keys(IDENTITY, [ask, *changed])
    assert len(set(keys)) == len(keys)
    assert not set(ask_keys({"model": "m2"}, [ask])) & set(keys)
    assert not set(ask_keys({**IDENTITY, "revision": "1"}, [ask])) & set(keys)


def test_texts_do_not_run_into_each_other() -> None:
    first = Ask(Prompt("a", "b"), "text", ("A", "B"))
    second = Ask(Prompt("ab", ""), "text", ("A,B",))
    assert len(set(ask_keys(IDENTITY, [first, second]))) == 2


def test_equal_asks_have_equal_keys_whatever_types_their_numbers_have() -> None:
    one = Ask(Prompt("s", "u"), "text", ("A",), temperature=1.0, sample=2, seed=7)
    two = Ask(Prompt("s", "u"), "text", ("A",), temperature=1, sample=np.int64(2), seed=np.int64(7))  # type: ignore[arg-type]
    assert one == two
    assert len(set(ask_keys(IDENTITY, [one, two]))) == 1


def test_the_key_of_version_1_stays_what_it_is() -> None:
    # Journals that people have paid for rest on it: whoever changes this changes the version.
    ask = Ask(Prompt("system", "user", "cue"), "label", ("A", "B"), 0.7, 5, 1, 2, "{}")
    assert ask_keys({"model": "m", "kind": "server"}, [ask]) == [
        "e0bb911d96153ba1ff70b0f23a934b9559c55eb46743af21bee28da9ecee033e"
    ]


# --- the file --------------------------------------------------------------------------------------------------------


def test_answers_come_back_as_they_were(path: Path) -> None:
    answers = [
        Answer(text="Größe, 50 % – \U0001f600\x00"),
        Answer(text=""),
        Answer(label_logprobs=(-0.1, -math.inf, -1 / 3), censored_mass=1e-17),
    ]
    with Journal(path) as journal:
        for ask, answer in zip(asks(3), answers, strict=True):
            journal.put(IDENTITY, ask, answer)
    with Journal(str(path)) as journal:
        assert journal.get(IDENTITY, asks(4)) == dict(zip(asks(3), answers, strict=True))
        assert journal.get({"model": "other"}, asks(4)) == {}
        assert len(journal) == 3


def test_an_answer_is_on_disk_when_put_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[tuple[str, bool]] = []
    flush = os.fsync

    def note(descriptor: int) -> None:
        other = sqlite3.connect(path)
        flushed.append((other.execute("SELECT text FROM answers").fetchall()[0][0], os.fstat(descriptor).st_size > 0))
        other.close()
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    journal = Journal(path)
    journal.put(IDENTITY, asks(1)[0], Answer(text="A"))
    assert flushed == [("A", True)]  # committed for all processes, then flushed to the disk
    journal.close()


def test_threads_that_wait_for_the_disk_share_a_flush(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, flushes = Journal(path), []

    def flush(path: str) -> None:
        flushes.append(journal._committed)
        while len(flushes) == 1 and journal._committed < 8:  # the disk takes its time
            threading.Event().wait(0.001)

    monkeypatch.setattr("surveysim.asking.journal.flush", flush)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda ask: journal.put(IDENTITY, ask, Answer(text="A")), asks(8)))
    assert len(flushes) == 2
    assert flushes[1] == 8
    journal.close()


def test_the_first_answer_stays(path: Path) -> None:
    with Journal(path) as journal:
        journal.put(IDENTITY, asks(1)[0], Answer(text="A"))
        journal.put(IDENTITY, asks(1)[0], Answer(text="B"))
        assert journal.get(IDENTITY, asks(1))[asks(1)[0]].text == "A"


def test_failures_are_not_kept(path: Path) -> None:
    with Journal(path) as journal, pytest.raises(ValueError, match="not failures: no answer"):
        journal.put(IDENTITY, asks(1)[0], Answer(failure="no answer"))


def test_users_can_read_it(path: Path) -> None:
    ask = Ask(Prompt("be brief", "Better?", "Answer:"), "label", ("A", "B"), sample=4, seed=5)
    with Journal(path) as journal:
        assert journal.to_frame().empty
        journal.put({"model": "m", "base_url": "http://x/v1"}, ask, Answer(label_logprobs=(-0.5, -math.inf)))
        journal.put(IDENTITY, dataclasses.replace(ask, kind="text", schema="{}"), Answer(text="B"))
        frame = journal.to_frame()
    table = str(Journal.__doc__).split("=====\n")[2]
    documented = {name.strip(",") for line in table.splitlines() for name in line.split()[:2]}
    assert documented >= set(frame.columns)
    first = frame.iloc[0]
    assert first["model"] == {"model": "m", "base_url": "http://x/v1"}
    assert first["labels"] == ("A", "B")
    assert first["label_logprobs"] == (-0.5, -math.inf)
    assert (first["system"], first["user"], first["cue"]) == ("be brief", "Better?", "Answer:")
    assert frame["text"].tolist()[1] == "B"
    assert isinstance(frame["created"].dtype, pd.DatetimeTZDtype)


@pytest.mark.parametrize("content", [b"", None])
def test_an_empty_file_becomes_a_journal(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    with Journal(path) as journal:
        assert len(journal) == 0


def test_other_files_are_left_alone(path: Path, tmp_path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (x)")
    other.close()
    with pytest.raises(ValueError, match="SQLite file, but not a journal"):
        Journal(path)
    text = tmp_path / "notes.txt"
    text.write_text("my notes " * 1000)
    with pytest.raises(ValueError, match="cannot be used as a journal"):
        Journal(text)
    assert text.read_text() == "my notes " * 1000
    with pytest.raises(ValueError, match="no folder"):
        Journal(tmp_path / "nowhere" / "answers.sqlite")
    with pytest.raises(ValueError, match="cannot be opened"):
        Journal(tmp_path)
    with pytest.raises(TypeError, match="file name"):
        Journal(3)  # type: ignore[arg-type]


def test_a_journal_of_a_later_version_is_left_alone(path: Path) -> None:
    Journal(path).close()
    later = sqlite3.connect(path)
    later.execute("PRAGMA user_version = 3")
    later.close()
    with pytest.raises(ValueError, match=r"version 3.*newer surveysim"):
        Journal(path)


def test_a_journal_can_be_pickled_and_closed_and_used_again(path: Path) -> None:
    journal = Journal(path)
    journal.put(IDENTITY, asks(1)[0], Answer(text="A"))
    copy = pickle.loads(pickle.dumps(journal))
    journal.close()
    assert len(copy) == len(journal) == 1
    copy.close()
    journal.close()


# --- a model with a journal ------------------------------------------------------------------------------------------


def test_what_is_there_is_not_asked_for(path: Path) -> None:
    model = Model()
    journaled(model, path).answer(asks(3))
    seen: dict[int, Answer] = {}
    answers = journaled(model, path).answer(asks(5), on_answer=seen.__setitem__)
    assert [answer.text for answer in answers] == [f"question {i}" for i in range(5)]
    assert model.asked == asks(5)
    assert seen == dict(enumerate(answers))


def test_equal_asks_are_asked_once(path: Path) -> None:
    model = Model()
    answers = journaled(model, path).answer(asks(2) * 3)
    assert [answer.text for answer in answers] == ["question 0", "question 1"] * 3
    assert model.asked == asks(2)


def test_an_answer_is_stored_before_anybody_sees_it(path: Path) -> None:
    model = journaled(Model(), path)

    def look(place: int, answer: Answer) -> None:
        assert model.journal.get(IDENTITY, asks(3))[asks(3)[place]] == answer

    model.answer(asks(3), on_answer=look)


def test_answers_are_flushed_to_the_disk_before_they_are_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    journal = Journal(path)
    monkeypatch.setattr("surveysim.asking.journal.flush", lambda path: flushed.append(len(journal)))
    now = 0.0
    monkeypatch.setattr("surveysim.asking.journaled.time.monotonic", lambda: now)

    def say(ask: Ask) -> Answer:
        nonlocal now
        now += 0.3
        return Answer(text="A")

    journaled(Model(say), journal).answer(asks(6))
    assert flushed == [4, 6]  # once a second, and before the answers are returned
    seen: list[int] = []
    journaled(Model(), journal).answer(asks(9), on_answer=lambda place, answer: seen.append(flushed[-1]))
    assert seen[-3:] == [7, 8, 9]  # before each of them is seen


def test_what_was_answered_before_an_error_is_flushed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    journal = Journal(path)
    monkeypatch.setattr("surveysim.asking.journal.flush", lambda path: flushed.append(len(journal)))

    def say(ask: Ask) -> Answer:
        if ask.prompt.user.endswith("2"):
            raise KeyboardInterrupt
        return Answer(text="A")

    with pytest.raises(KeyboardInterrupt):
        journaled(Model(say), journal).answer(asks(4))
    assert flushed == [2]


def test_failures_are_asked_again(path: Path) -> None:
    failing = Model(lambda ask: Answer(failure="busy") if ask.prompt.user.endswith("1") else Answer(text="A"))
    answers = journaled(failing, path).answer(asks(3))
    assert [answer.failure for answer in answers] == [None, "busy", None]
    model = Model()
    assert [answer.text for answer in journaled(model, path).answer(asks(3))] == ["A", "question 1", "A"]
    assert model.asked == asks(2)[1:]


def test_other_models_have_other_answers(path: Path) -> None:
    journaled(Model(lambda ask: Answer(text="1"), model="one"), path).answer(asks(1))
    (answer,) = journaled(Model(lambda ask: Answer(text="2"), model="two"), path).answer(asks(1))
    assert answer.text == "2"


def test_errors_pass_and_what_was_answered_before_stays(path: Path) -> None:
    def say(ask: Ask) -> Answer:
        if ask.prompt.user.endswith("2"):
            raise LabelProbabilitiesUnavailable("no probabilities")
        return Answer(text="A")

    with pytest.raises(LabelProbabilitiesUnavailable):
        journaled(Model(say), path).answer(asks(4))
    model = Model()
    journaled(model, path).answer(asks(4))
    assert model.asked == asks(4)[2:]


def test_identity_and_labels_are_the_models_own(path: Path) -> None:
    model = journaled(Model(model="x"), path)
    assert model.identity == {"model": "x"}
    assert model.labels(2) == ("A", "B")
    assert model.answer([]) == []


# --- several at once -------------------------------------------------------------------------------------------------


def test_threads_share_a_journal_and_ask_nothing_twice(path: Path) -> None:
    model, journal = Model(), Journal(path)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: journaled(model, journal).answer(asks(20 + i)), range(8)))
    assert [len(some) for some in answers] == list(range(20, 28))
    assert sorted(ask.prompt.user for ask in model.asked) == sorted(ask.prompt.user for ask in asks(27))


def test_a_second_run_waits_for_the_first_and_asks_for_the_rest(path: Path) -> None:
    asking, go_on = threading.Event(), threading.Event()

    def slowly(ask: Ask) -> Answer:
        asking.set()
        assert go_on.wait(60)
        return Answer(text="first") if ask.prompt.user != "question 1" else Answer(failure="busy")

    first, second = Model(slowly), Model(lambda ask: Answer(text="second"))
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(journaled(first, path).answer, asks(3))
        assert asking.wait(60)
        two = pool.submit(journaled(second, path).answer, asks(5))
        while len(second.asked) < 2:  # it does what it can meanwhile
            threading.Event().wait(0.01)
        go_on.set()
        assert [answer.text for answer in one.result()] == ["first", None, "first"]
        assert [answer.text for answer in two.result()] == ["first", "second", "first", "second", "second"]
    assert [ask.prompt.user for ask in second.asked] == ["question 3", "question 4", "question 1"]


def _answer_in_a_process(path: Path, notes: Path, n: int) -> None:
    def say(ask: Ask) -> Answer:
        with notes.open("a") as file:
            file.write(f"{ask.prompt.user}\n")
        return Answer(text="A")

    journaled(Model(say), path).answer(asks(n))


def test_processes_share_a_journal_and_ask_nothing_twice(path: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    notes = tmp_path / "notes"
    processes = [context.Process(target=_answer_in_a_process, args=(path, notes, 30 + i)) for i in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sorted(notes.read_text().splitlines()) == sorted(ask.prompt.user for ask in asks(32))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_opens_the_journal_for_itself(path: Path) -> None:
    journal = Journal(path)
    journal.put(IDENTITY, asks(1)[0], Answer(text="parent"))
    child = os.fork()
    if child == 0:
        journal.put(IDENTITY, asks(2)[1], Answer(text="child"))
        os._exit(len(journal))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert [answer.text for answer in journal.get(IDENTITY, asks(2)).values()] == ["parent", "child"]
    journal.close()


def _claim_and_die(path: Path) -> None:
    with Journal(path).claims() as claims:
        assert len(claims.take(["a", "b"])) == 2
        os._exit(7)


def test_claims_of_the_dead_are_free_at_once(path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_claim_and_die, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == 7
    with Journal(path) as journal, journal.claims() as claims:
        assert claims.take(["a", "b", "c"]) == {"a", "b", "c"}


def test_claims_of_other_machines_end_without_a_sign_of_life(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(claims_module.time, "time", lambda: now)
    with Journal(path) as journal:
        monkeypatch.setattr(claims_module, "_machine", lambda: "elsewhere")
        theirs = claims_module.Claims(journal._write, lasts=60)
        monkeypatch.setattr(theirs, "_give_signs", lambda: None)
        assert theirs.take(["a"]) == {"a"}
        monkeypatch.undo()
        monkeypatch.setattr(claims_module.time, "time", lambda: now)
        with journal.claims() as ours:
            assert ours.take(["a", "b"]) == {"b"}
            now = 1059.0
            assert ours.take(["a"]) == set()
            now = 1061.0
            assert ours.take(["a"]) == {"a"}


def test_claims_are_given_back(path: Path) -> None:
    with Journal(path) as journal:
        with journal.claims() as first, journal.claims() as second:
            assert first.take(["a"]) == {"a"}
            assert second.take(["a"]) == set()
        with journal.claims() as third:
            assert third.take(["a"]) == {"a"}
        with sqlite3.connect(path) as connection:
            assert connection.execute("SELECT COUNT(*) FROM owners").fetchone() == (0,)
        connection.close()


def test_signs_of_life_are_given_while_asking(path: Path) -> None:
    with Journal(path) as journal, journal.claims(lasts=0.03) as claims:
        claims.take(["a"])

        def expires() -> float:
            with journal._use() as connection:
                return float(connection.execute("SELECT expires FROM owners").fetchone()[0])

        first = expires()
        while expires() == first:
            threading.Event().wait(0.005)
        with journal.claims() as others:
            assert others.take(["a"]) == set() or expires() > first


# --- rows that cannot be believed, and disks that are full ------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "text = 'B'",
        "text = NULL",
        "label_logprobs = '[-0.1, -5]'",
        "censored_mass = 7",
        "ended = 'refusal'",
        "labels = '[]'",
        "checksum = 'x'",
        "checksum = NULL, text = NULL",
        "checksum = NULL, label_logprobs = '[', kind = 'label'",
        "checksum = NULL, label_logprobs = '[0.5, -1]', kind = 'label'",
        "checksum = NULL, label_logprobs = '[-0.1]', kind = 'label'",
        "checksum = NULL, label_logprobs = '[-0.1, -0.1]', kind = 'label'",
        "checksum = NULL, kind = 'picture'",
    ],
)
def test_a_damaged_row_is_asked_for_again_and_kept_aside(path: Path, change: str) -> None:
    model = Model()
    with Journal(path) as journal:
        journaled(model, journal).answer(asks(2))
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE answers SET {change} WHERE user = 'question 1'")
    connection.close()
    with Journal(path) as journal:
        with pytest.warns(SurveysimWarning, match="1 answers in the journal .* are damaged"):
            answers = journaled(model, journal).answer(asks(2))
        assert [answer.text for answer in answers] == ["question 0", "question 1"]
        assert [ask.prompt.user for ask in model.asked] == ["question 0", "question 1", "question 1"]
        assert journaled(model, journal).answer(asks(2)) == answers
        assert len(journal) == len(journal.to_frame()) == 2
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT COUNT(*) FROM answers WHERE key LIKE 'damaged %'").fetchone() == (1,)
    connection.close()


def test_flipped_bits_are_noticed_wherever_they_fall(path: Path) -> None:
    everything = [Answer(text=f"the answer {i} of a long list of them") for i in range(200)]
    with Journal(path) as journal:
        for ask, answer in zip(asks(200), everything, strict=True):
            journal.put(IDENTITY, ask, answer, flush=False)
    rng = np.random.default_rng(0)
    data = bytearray(path.read_bytes())
    for place in rng.integers(100, len(data), 60):  # the first 100 bytes are SQLite's header
        data[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    try:
        with warnings.catch_warnings(), Journal(path) as journal:
            warnings.simplefilter("ignore")
            found = journal.get(IDENTITY, asks(200))
    except (JournalError, ValueError):
        return  # refused as a whole
    expected = dict(zip(asks(200), everything, strict=True))
    assert found.items() <= expected.items()


def test_a_journal_of_the_first_version_is_read_and_brought_up_to_date(path: Path) -> None:
    with Journal(path) as journal:
        journal.put(IDENTITY, asks(1)[0], Answer(text="B"))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("ALTER TABLE answers DROP COLUMN ended")
    connection.execute("ALTER TABLE answers DROP COLUMN checksum")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with Journal(path) as journal:
        journal.put(IDENTITY, asks(2)[1], Answer(text="no", ended="refusal"))
        assert list(journal.get(IDENTITY, asks(2)).values()) == [Answer(text="B"), Answer(text="no", ended="refusal")]


def _full(path: Path, pages: int) -> Journal:
    """A journal that can grow by so many pages of 4 kB."""
    journal = Journal(path)
    with journal._use() as connection:
        n = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {n + pages}")
    return journal


def test_a_full_disk_is_a_clear_error_and_keeps_what_there_is(path: Path) -> None:
    model = Model(lambda ask: Answer(text="x" * 1000))
    with _full(path, 30) as journal:
        with pytest.raises(DiskFullError, match=r"disk is full.*the rest is asked for") as caught:
            journaled(model, journal).answer(asks(100))
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.filename == str(path)
        kept = len(journal)
    assert 0 < kept == len(model.asked) - 1
    with Journal(path) as journal:  # there is room again
        journaled(model, journal).answer(asks(100))
    assert len(model.asked) == 101
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.errno, copy.filename) == (str(caught.value), errno.ENOSPC, str(path))


def test_a_disk_that_is_full_when_the_log_is_flushed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(path) as journal:
        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(DiskFullError, match="disk is full"):
            journal.put(IDENTITY, asks(1)[0], Answer(text="A"))


def test_a_file_that_breaks_while_it_is_used_is_a_clear_error(path: Path) -> None:
    with Journal(path) as journal:
        journal.put(IDENTITY, asks(1)[0], Answer(text="A"))
        journal.close()
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 8192)
        with pytest.raises((JournalError, ValueError), match=r"can(not| no longer) be used"):
            journal.find(ask_keys(IDENTITY, asks(1)))
