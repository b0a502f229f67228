"""Servers as they are: only answers count, label probabilities are right, and what can be adapted to is adapted to."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from surveysim.asking.asks import LabelProbabilitiesUnavailable
from surveysim.asking.journaled import journaled
from surveysim.asking.remote import RemoteAnswerer, RemoteError, exchange, workers
from surveysim.asking.remote.replies import read_labels
from surveysim.asking.remote.server_words import read_words
from surveysim.asking.remote.waits import until_reset, wait_in_words
from tests.asking.asks import label_asks, text_asks
from tests.servers import Body, Canned, Fault, LoopbackServer

SECRET = "sk-Zq8vR2mW5xT7yL4kP9"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def answerer(server: LoopbackServer, **parameters: Any) -> RemoteAnswerer:
    given = {"backoff": 1e-4, "timeout": 30, "max_workers": 1, **parameters}
    return RemoteAnswerer("m", base_url=server.base_url, **given)


def always(fault: Fault) -> Callable[[int, Body], Fault]:
    return lambda number, body: fault


def message(text: str | None, finish: str | None = "stop", **fields: Any) -> Fault:
    return Fault.reply({"message": {"role": "assistant", "content": text, **fields}, "finish_reason": finish})


# --- label probabilities ----------------------------------------------------------------------------------------------


def listing(drawn: tuple[str, float] | None, *top: tuple[str, float | None]) -> dict[str, Any]:
    entries = [{"token": token, "logprob": value} for token, value in top]
    first = {} if drawn is None else {"token": drawn[0], "logprob": drawn[1]}
    return {"logprobs": {"content": [{**first, "top_logprobs": entries}]}}


A, B, C = ("A", math.log(0.35)), ("B", math.log(0.25)), ("C", math.log(0.1))
SHARES = [0.35, 0.25, 0.1]


@pytest.mark.parametrize(
    "reply",
    [
        listing(B, A, B, C),
        listing(("B", -1.386), A, ("B", -1.386294), C),  # rounded to three places
        listing(("B", -1.39), A, B, C),  # to two
        listing(("B", -1.4), A, B, C),  # to one
        listing(("C", -2.31), A, B, C),  # the last of the list, rounded down
        listing(B, A, B, B, C),  # twice in the list
        listing(B, A, B, ("B", -1.3865), C),
        listing((" B", B[1]), A, B, C),  # the list leaves the space out
        listing(B, A, C),  # beside the list
        listing(None, A, B, C),
        listing(("B", None), A, B, C),  # type: ignore[arg-type]
        listing(B, A, B, C, ("D", None)),
        listing(B, A, B, C, ("D", math.nan), ("E", -math.inf)),
    ],
)
def test_each_token_counts_once(reply: dict[str, Any]) -> None:
    answer = read_labels(reply, "ABC")
    np.testing.assert_allclose(np.exp(answer.label_logprobs), SHARES, atol=1e-3)
    assert answer.censored_mass == pytest.approx(0.3, abs=2e-3)


def test_tokens_that_a_server_writes_alike_are_added_up() -> None:
    # vLLM decodes Llama's " A" and "A" alike; their probabilities tell that they are two.
    answer = read_labels(listing(("A", math.log(0.3)), ("A", math.log(0.3)), ("A", math.log(0.2)), B), "AB")
    np.testing.assert_allclose(np.exp(answer.label_logprobs), [0.5, 0.25])


def test_the_older_form_of_a_mapping_is_read() -> None:
    answer = read_labels({"logprobs": {"tokens": ["B"], "top_logprobs": [dict([A, B, C])]}}, "ABC")
    np.testing.assert_allclose(np.exp(answer.label_logprobs), SHARES)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (listing(A, ("A", math.log(0.8)), ("B", math.log(0.7))), "sum to 1.500"),
        (listing(("A", 0.7), ("A", 0.7)), "more than 1"),
        (listing(A, ("A", None), ("B", None)), "no log-probabilities"),
        ({"logprobs": None}, "no log-probabilities"),
    ],
)
def test_what_cannot_be_probabilities_is_noticed_after_one_paid_request(reply: dict[str, Any], words: str) -> None:
    with LoopbackServer(faults=always(Fault.reply({"message": {"content": "A"}, **reply}))) as server:
        with pytest.raises(LabelProbabilitiesUnavailable, match=words):
            answerer(server).answer(label_asks(20))
        assert len(server.requests) == 1


# --- only answers count -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("finish", ["error", "abort", "cancelled", "network_error", "insufficient_system_resource"])
@pytest.mark.parametrize("asks", [text_asks(2), label_asks(2)], ids=["text", "label"])
def test_a_reply_that_broke_off_is_asked_for_again(finish: str, asks: list[Any]) -> None:
    good = listing(A, A, B, C)
    broken = Fault.reply({"message": {"content": "C"}, "finish_reason": finish, **good})
    whole = Fault.reply({"message": {"content": "A"}, "finish_reason": "stop", **good})
    with LoopbackServer(faults=lambda number, body: broken if number < 2 else whole) as server:
        answers = answerer(server).answer(asks)
        assert len(server.requests) == 4
    assert [answer.failure for answer in answers] == [None, None]
    assert [answer.text for answer in answers] == (["A", "A"] if asks[0].kind == "text" else [None, None])


@pytest.mark.parametrize("finish", ["content_filter", "SAFETY", "content_filter: PROHIBITED_CONTENT", "tool_calls"])
def test_a_reply_that_did_not_end_as_answers_do_is_a_failure(finish: str) -> None:
    with LoopbackServer(faults=always(message("C", finish))) as server:
        (answer,) = answerer(server).answer(text_asks(1))
        assert len(server.requests) == 1
    assert answer.text is None
    assert repr(finish) in str(answer.failure)


def test_among_draws_of_one_request_only_those_that_broke_off_are_asked_for_again() -> None:
    choices = [
        {"index": 0, "message": {"content": "A"}, "finish_reason": "stop"},
        {"index": 1, "message": {"content": "B"}, "finish_reason": "error"},
        {"index": 2, "message": {"content": "C"}, "finish_reason": "content_filter"},
    ]
    with LoopbackServer(Canned(lambda body: "E"), faults={0: Fault(body=json.dumps({"choices": choices}))}) as server:
        model = answerer(server)
        answers = model.answer(text_asks(1, draws=3))
        assert [body.get("n", 1) for body in server.requests] == [3, 1]
        assert model.notices == ()
    assert [answer.text for answer in answers] == ["A", None, "E"]


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "B", "refusal": "I would rather not."},
        {"text": None, "refusal": "I would rather not."},
        {"text": [{"type": "refusal", "refusal": "I would rather not."}]},
        {"text": "I would rather not.", "finish": "refusal"},
    ],
)
def test_a_refusal_is_one_whatever_its_words(fields: dict[str, Any]) -> None:
    with LoopbackServer(faults=always(message(**fields))) as server:
        (answer,) = answerer(server).answer(text_asks(1))
    assert (answer.text, answer.ended, answer.failure) == ("I would rather not.", "refusal", None)


def test_thoughts_are_no_answers() -> None:
    thought = "They may choose. Option A."
    replies = {
        0: message(thought, "length", reasoning_content=thought),
        1: message(None, "length", reasoning=thought),
        2: message([{"type": "thinking", "text": thought}], "stop"),  # type: ignore[arg-type]
        3: message([{"type": "thinking", "text": thought}, {"type": "text", "text": "B"}]),  # type: ignore[arg-type]
        4: message(thought, "length"),
    }
    with LoopbackServer(faults=replies) as server:
        answers = answerer(server).answer(text_asks(5))
    assert [answer.text for answer in answers] == [None, None, None, "B", thought]
    assert "switch off the reasoning" in str(answers[0].failure)
    assert answers[4].ended == "length"  # read with that in mind: only what it begins with counts


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"code": 401, "message": "No auth credentials found"}}, "No auth credentials"),
        ({"error": {"code": "invalid_api_key", "message": "wrong"}, "choices": []}, "wrong"),
        ([{"error": {"code": 404, "message": "model m is not there", "status": "NOT_FOUND"}}], "not there"),
        ({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, "login fail"),
        ({"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]}, "Authentication error"),
        ({"detail": "Unauthorized"}, "Unauthorized"),
        ({"choices": [{"index": 0, "error": {"code": 401, "message": "no such user"}}]}, "no such user"),
        ({"error": {"code": 429, "message": "Provider returned error", "metadata": {
            "raw": '{"error": {"message": "out of credits", "code": "insufficient_quota"}}'}}}, "out of credits"),
    ],
)  # fmt: skip
def test_errors_within_a_200_stop_at_once_with_the_servers_words(body: Any, words: str) -> None:
    with LoopbackServer(faults=always(Fault(body=json.dumps(body)))) as server:
        with pytest.raises(RemoteError, match=words):
            answerer(server).answer(text_asks(20))
        assert len(server.requests) == 1


def test_errors_within_a_200_that_pass_are_tried_again() -> None:
    body = {"choices": [{"index": 0, "finish_reason": "error", "error": {"code": 502, "message": "bad gateway"},
                         "message": {"content": "C"}}]}  # fmt: skip
    with LoopbackServer(Canned(lambda body: "A"), faults={0: Fault(body=json.dumps(body))}) as server:
        (answer,) = answerer(server).answer(text_asks(1))
        assert len(server.requests) == 2
    assert answer.text == "A"


# --- what servers refuse and how they say so --------------------------------------------------------------------------


def refusing(name: str, fault: Fault) -> Callable[[int, Body], Fault | None]:
    return lambda number, body: fault if name in body else None


UNSUPPORTED = (
    "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) is supported."
)


@pytest.mark.parametrize("kind", ["text", "label"])
def test_a_temperature_of_1_is_left_out_where_a_model_takes_none(kind: str) -> None:
    class Likely(Canned):
        def top(self, body: Body, n: int) -> list[tuple[str, float]]:
            return [A, B, C]

    fault = Fault.error(400, UNSUPPORTED, code="unsupported_value", param="temperature")
    with LoopbackServer(Likely(), faults=refusing("temperature", fault)) as server:
        answers = answerer(server).answer(text_asks(2) if kind == "text" else label_asks(2))
        assert ["temperature" in body for body in server.requests] == [True, False, False]
    assert all(answer.failure is None for answer in answers)


def test_another_temperature_is_not_left_out_and_the_error_says_what_to_do() -> None:
    fault = Fault.error(400, UNSUPPORTED, code="unsupported_value", param="temperature")
    with LoopbackServer(faults=refusing("temperature", fault)) as server:
        with pytest.raises(RemoteError, match=r"Only the default.*pass temperature=1"):
            answerer(server).answer(text_asks(20, temperature=0.7))
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault.error(500, "Unsupported parameter: seed"),
        Fault(400, json.dumps([{"error": {"code": 400, "message": "Unknown name 'seed': Cannot find field."}}])),
        Fault(400, json.dumps({"error": {"code": 400, "message": "Provider returned error", "metadata": {
            "raw": '{"detail": "seed is not supported"}', "provider_name": "x"}}})),
        Fault(422, json.dumps({"detail": [{"loc": ["body", "seed"], "msg": "extra fields not permitted"}]})),
        Fault(200, json.dumps({"error": {"message": "unsupported parameter: seed"}})),
    ],
    ids=["500", "list", "raw", "loc", "200"],
)  # fmt: skip
def test_a_seed_that_is_refused_in_any_form_is_left_out(fault: Fault) -> None:
    with LoopbackServer(faults=refusing("seed", fault)) as server:
        answers = answerer(server).answer(text_asks(3))
        assert ["seed" in body for body in server.requests] == [True, False, False, False]
    assert [answer.text for answer in answers] == ["A"] * 3


def test_the_words_of_an_error_are_found_in_every_shape() -> None:
    assert read_words([{"error": {"code": 400, "message": "no"}}]).words == "no"
    assert read_words({"error": "plain"}).words == "plain"
    assert read_words({"message": '{"error": {"message": "inner", "param": "n"}}'}).parameter == "n"
    assert read_words("<html>502 Bad Gateway</html>").words == "<html>502 Bad Gateway</html>"
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "41s"}]
    assert read_words([{"error": {"code": 429, "message": "quota", "details": details}}]).wait == 41
    deep: Any = "the end"
    for _ in range(1000):
        deep = {"error": deep}
    assert len(read_words(deep).words) <= 400


def test_a_stream_that_nobody_asked_for_is_read() -> None:
    chunks = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": "very "}}]},
        {"choices": [{"index": 0, "delta": {"content": "good"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"total_tokens": 9}},
    ]
    lines = [": keep-alive", *(f"data: {json.dumps(chunk)}" for chunk in chunks), "data: [DONE]", ""]
    cut = "\n\n".join(lines[:3])
    failed = 'data: {"error": {"code": 401, "message": "key revoked"}}\n\n'
    faults = {0: Fault(body="\n\n".join(lines)), 1: Fault(body=cut), 3: Fault(body=failed)}
    with LoopbackServer(Canned(lambda body: "B"), faults=faults) as server:
        with pytest.warns(UserWarning, match="key revoked"):
            answers = answerer(server).answer(text_asks(3))
        assert len(server.requests) == 4
    assert [answer.text for answer in answers] == ["very good", "B", None]


# --- waiting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (Fault.error(429, "Requests have exceeded the rate limit. Please retry after 55 seconds."), 55),
        (Fault.error(429, "Rate limit reached. Please try again in 1m12.5s. Visit the page."), 72.5),
        (Fault.error(429, "slow down", x_ratelimit_reset_tokens="48s"), 48),
        (Fault.error(429, "slow", x_ratelimit_reset_tokens="1m", x_ratelimit_reset_requests="9s",
                     x_ratelimit_remaining_requests="0", x_ratelimit_remaining_tokens="100"), 9),
        (Fault.error(429, "slow", retry_after_ms="41000"), 41),
        (Fault.error(429, "exceeded your current quota, check your plan and billing. Please retry in 41.2s."), 41.2),
        (Fault(200, json.dumps({"error": {"code": 429, "message": "retry after 37 seconds"}})), 37),
    ],
)  # fmt: skip
def test_as_long_as_a_server_asks_for_in_any_way(fault: Fault, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(workers.Workers, "sleep", lambda self, seconds: waited.append(seconds))
    monkeypatch.setattr("surveysim.asking.remote.session.time.monotonic", lambda: 100.0 + sum(waited))
    with LoopbackServer(faults={1: fault}) as server:
        answers = answerer(server).answer(text_asks(3))
    assert [wait for wait in waited if wait > 1] == [pytest.approx(seconds, abs=1e-2)]
    assert all(answer.failure is None for answer in answers)


def test_a_limit_that_begins_anew_tomorrow_is_waited_for_two_minutes_at_a_time() -> None:
    assert until_reset({"x-ratelimit-reset-requests": "24h"}) == 86400
    assert until_reset({"x-ratelimit-reset": "1700000060000"}, now=1.7e9) == 60
    assert until_reset({"anthropic-ratelimit-tokens-reset": "2023-11-14T22:14:20Z"}, now=1.7e9) == 60
    assert until_reset({"retry-after": "3"}) is None


@pytest.mark.parametrize("text", ["busy", "retry after the weekend", "try again, 3 of 5 failed", "", "9" * 5000])
def test_words_without_a_time_ask_for_none(text: str) -> None:
    assert wait_in_words(text) is None


@pytest.mark.parametrize("fault", [Fault(drip=0.02), Fault(drip=0.02, drip_headers=True)], ids=["body", "headers"])
def test_a_reply_that_drips_ends_at_the_deadline(fault: Fault) -> None:
    with LoopbackServer(Canned(lambda body: "A" * 2000), faults={0: fault}) as server:
        start = time.monotonic()
        (answer,) = answerer(server, timeout=5, deadline=0.5).answer(text_asks(1))
        # Forty seconds and more, if it was waited for.
        assert time.monotonic() - start < 10
        assert len(server.requests) == 2
    assert answer.text == "A" * 2000


def test_the_deadline_follows_the_time_out_where_none_is_given() -> None:
    match = r"not finished after 1 seconds"
    with LoopbackServer(faults=always(Fault(drip=0.05))) as server, pytest.raises(RemoteError, match=match):
        answerer(server, timeout=0.2, max_retries=0).answer(text_asks(1))
    with pytest.raises(ValueError, match="deadline must be a positive"):
        RemoteAnswerer("m", deadline=0)


def test_a_reply_without_end_is_not_read_to_its_end() -> None:
    with LoopbackServer(faults={1: Fault(size=exchange.MOST_BYTES)}) as server:
        answers = answerer(server).answer(text_asks(3))
        assert len(server.requests) == 3
    assert [answer.text for answer in answers] == ["A", None, "A"]
    assert "longer than 8 MiB" in str(answers[1].failure)


def test_threads_that_wait_for_a_dripping_server_end_with_the_call() -> None:
    with LoopbackServer(faults=always(Fault(drip=0.02))) as server:
        with pytest.raises(RemoteError):
            answerer(server, deadline=0.1, max_retries=2).answer(text_asks(1))
        end = time.monotonic() + 20
        while time.monotonic() < end and any(t.name == "surveysim-request" for t in threading.enumerate()):
            time.sleep(0.02)
        assert not [thread for thread in threading.enumerate() if thread.name == "surveysim-request"]


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_that_an_answer_repeats_is_scrubbed_before_it_is_stored(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    with LoopbackServer(Canned(lambda body: f"B, says {SECRET} and {SECRET[:9]}...")) as server:
        model = journaled(answerer(server, api_key_env="MY_KEY"), tmp_path / "answers.sqlite")
        (answer,) = model.answer(text_asks(1))
        model.journal.close()
    assert answer.text == "B, says *** and ***..."
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert SECRET[:6].encode() not in stored


def test_a_stand_in_for_a_key_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "A")
    with LoopbackServer() as server:
        (answer,) = answerer(server, api_key_env="MY_KEY").answer(text_asks(1))
    assert answer.text == "A"
