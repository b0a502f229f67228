"""The key of a server goes to that server and nowhere else."""

from __future__ import annotations

import gc
import logging
import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest

from surveysim.asking.journaled import journaled
from surveysim.asking.remote import RemoteAnswerer, RemoteError
from surveysim.asking.remote.keys import Key, scrub
from tests.asking.asks import label_asks, text_asks
from tests.servers import Fault, LoopbackServer

SECRET = "sk-Zq8vR2mW5xT7yL4kP9"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai-itself")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def answerer(server: LoopbackServer, **parameters: Any) -> RemoteAnswerer:
    return RemoteAnswerer("m", base_url=server.base_url, backoff=1e-4, **{"api_key_env": "MY_KEY", **parameters})


def leaks(text: str) -> bool:
    return any(SECRET[i : i + 6] in text for i in range(len(SECRET) - 5))


def test_the_key_is_sent_to_the_server() -> None:
    with LoopbackServer() as server:
        answerer(server).answer(text_asks(2))
        assert {headers["authorization"] for headers in server.headers} == {f"Bearer {SECRET}"}


def test_a_server_of_ones_own_gets_no_key_of_openai() -> None:
    with LoopbackServer() as server:
        answerer(server, api_key_env=None).answer(text_asks(1))
        (headers,) = server.headers
    assert "sk-of-openai" not in str(headers)
    assert "org-1" not in str(headers)


def test_openai_and_its_stand_in_get_openais_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        RemoteAnswerer("m").answer(text_asks(1))
        assert server.headers[0]["authorization"] == "Bearer sk-of-openai-itself"


def test_the_key_is_read_when_asks_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer() as server:
        model = answerer(server)
        monkeypatch.setenv("MY_KEY", "another-key")
        model.answer(text_asks(1))
        assert server.headers[0]["authorization"] == "Bearer another-key"


def test_the_key_is_nowhere_afterwards(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with LoopbackServer(ignores={"n"}, faults={1: Fault.error(500, f"broken {SECRET}")}) as server:
        model = answerer(server)
        journal = journaled(model, tmp_path / "answers.sqlite")
        journal.answer(text_asks(3, draws=2))
        journal.journal.close()
    for text in (repr(model), str(vars(model)), str(dict(model.identity)), caplog.text, str(model.notices)):
        assert not leaks(text)
    assert not leaks(pickle.dumps(model).decode("latin-1"))
    assert not any(leaks(path.read_bytes().decode("latin-1")) for path in tmp_path.iterdir())


def test_no_key_stays_in_memory() -> None:
    with LoopbackServer(faults={1: Fault.error(500)}) as server:
        model = answerer(server)
        model.answer(text_asks(3, draws=2))
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Key]
    assert model.notices == ()


@pytest.mark.parametrize("status", [401, 403, 400, 404, 500])
def test_errors_that_quote_the_key_are_scrubbed(status: int) -> None:
    fault = Fault.error(status, f"Incorrect key {SECRET[:9]}****{SECRET[-4:]}, that is {SECRET}")
    with LoopbackServer(faults=lambda number, body: fault) as server, pytest.raises(RemoteError) as caught:
        answerer(server, max_retries=0).answer(label_asks(5))
    error: BaseException | None = caught.value
    assert "Incorrect key ***" in str(error)
    assert not leaks("".join(traceback.format_exception(caught.value)))
    # No request, with the key in its headers, hangs on the error either: it may travel between processes.
    assert not leaks(pickle.dumps(error).decode("latin-1"))
    while error is not None:
        assert type(error).__module__.partition(".")[0] not in ("openai", "httpx", "httpx2")
        assert error.__cause__ is None
        error = error.__context__


def test_failures_that_quote_the_key_are_scrubbed() -> None:
    faults = {1: Fault.error(400, f"blocked {SECRET}", code="content_filter")}
    with LoopbackServer(faults=faults) as server:
        answers = answerer(server, max_workers=1).answer(text_asks(2))
    assert answers[1].failure == "the server answered 400: blocked ***"


@pytest.mark.parametrize("name", [SECRET, "sk-or-v1-123", "not a name", ""])
def test_the_key_itself_in_place_of_its_name_is_refused_and_not_quoted(name: str) -> None:
    with pytest.raises(ValueError, match="name") as caught:
        RemoteAnswerer("m", api_key_env=name)
    assert not name or name not in str(caught.value)


def test_a_variable_that_is_not_set_is_named_if_it_is_surely_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer() as server:
        with pytest.raises(ValueError, match="'OTHER_KEY' is not set"):
            answerer(server, api_key_env="OTHER_KEY").answer(text_asks(1))
        with pytest.raises(ValueError, match="named by api_key_env is not set") as caught:
            answerer(server, api_key_env="gsk_4f5g6h7j8k").answer(text_asks(1))
        assert "gsk" not in str(caught.value)
        monkeypatch.setenv("MY_KEY", "with\ttab")
        with pytest.raises(ValueError, match="copy it again"):
            answerer(server).answer(text_asks(1))
        assert server.requests == []


def test_other_types_than_strings_are_refused() -> None:
    with pytest.raises(TypeError, match="name of an environment variable"):
        RemoteAnswerer("m", api_key_env=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["http://me:word@host/v1", "http://host/v1?key=abc", "http://host/v1#abc"])
def test_addresses_with_secrets_are_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="api_key_env") as caught:
        RemoteAnswerer("m", base_url=url)
    assert "word" not in str(caught.value).replace("password", "")
    assert "abc" not in str(caught.value)


def test_keys_can_be_neither_printed_nor_pickled() -> None:
    key = Key(SECRET)
    assert not leaks(repr(key) + str([key]))
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no key here", "no key here"),
        (f"a {SECRET} b", "a *** b"),
        (f"a {SECRET}{SECRET} b", "a *** b"),
        (f"{SECRET[3:11]}...", "***..."),
        (SECRET[:5], SECRET[:5]),
    ],
)
def test_scrubbing(text: str, expected: str) -> None:
    assert scrub(text, Key(SECRET)) == expected
    assert scrub(text, None) == text
