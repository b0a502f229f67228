"""Models behind a server: what is sent, what comes back, and what happens when it does not come back."""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import sys
import threading
from typing import Any

import numpy as np
import pytest

from surveysim.asking.asks import Answer, LabelProbabilitiesUnavailable
from surveysim.asking.remote import RemoteAnswerer, RemoteError
from surveysim.errors import SurveysimWarning
from tests.asking.asks import LABELS, SCHEMA, label_asks, text_asks
from tests.servers import BROKEN, BUSY, CUT, EMPTY, GARBAGE, HANG, Body, Canned, Fault, LoopbackServer, Nano


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def answerer(server: LoopbackServer, **parameters: Any) -> RemoteAnswerer:
    return RemoteAnswerer("m", base_url=server.base_url, **({"backoff": 1e-4, "timeout": 30} | parameters))


def age_of(body: Body) -> str:
    return body["messages"][-1]["content"].rpartition("age: ")[2]


# --- what is asked, and how ------------------------------------------------------------------------------------------


def test_label_probabilities_are_those_of_the_model_up_to_what_the_server_lists() -> None:
    brain = Nano()
    with LoopbackServer(brain) as server:
        asks = label_asks(2)
        answers = answerer(server).answer(asks)
        labels = brain.model.labels(5)
        for answer, body in zip(answers, server.requests, strict=True):
            logprobs = brain.distribution(body)
            exact = np.array([float(logprobs[list(ids)].logsumexp(0).exp()) for ids in labels.variants])
            listed = np.exp(answer.label_logprobs)
            assert 0 < answer.censored_mass < 0.01
            assert answer.censored_mass == pytest.approx(1 - logprobs.exp().topk(20).values.sum().item(), abs=1e-9)
            assert (listed <= exact + 1e-9).all()
            assert (exact - listed).sum() <= answer.censored_mass + 1e-9
        assert [(body["max_tokens"], body["top_logprobs"]) for body in server.requests] == [(1, 20)] * 2
    assert labels.letters == answerer(server).labels(5) == LABELS


class _Listed(Canned):
    def __init__(self, *top: tuple[str, float]) -> None:
        super().__init__()
        self._listed = [(token, math.log(p) if p else -9999.0) for token, p in top]

    def top(self, body: Body, n: int) -> list[tuple[str, float]]:
        return self._listed


def test_all_ways_to_write_a_label_are_added_up_and_the_rest_is_censored() -> None:
    brain = _Listed((" A", 0.3), ("A", 0.2), ("\u2581B", 0.1), ("a", 0.1), ("A.", 0.05), ("C\n", 0.04), ("D", 0.0))
    with LoopbackServer(brain) as server:
        (answer,) = answerer(server).answer(label_asks(1))
    assert answer.label_logprobs == pytest.approx((math.log(0.5), math.log(0.1), math.log(0.04), -math.inf, -math.inf))
    assert answer.censored_mass == pytest.approx(1 - 0.79)
    assert answer.text is None


def test_a_drawn_token_beside_the_list_counts_once() -> None:
    listed = [{"token": "A", "logprob": math.log(0.5), "bytes": None}]

    def body_of(drawn: dict[str, Any]) -> str:
        content = [{**drawn, "top_logprobs": listed}]
        message = {"role": "assistant", "content": drawn["token"]}
        return json.dumps({"choices": [{"index": 0, "message": message, "logprobs": {"content": content}}]})

    drawn = {"token": "C", "logprob": math.log(0.25)}
    faults = {0: Fault(body=body_of(drawn)), 1: Fault(body=body_of({"token": "A", "logprob": math.log(0.5)}))}
    with LoopbackServer(faults=faults) as server:
        beside, among = answerer(server).answer(label_asks(2))
    assert beside.label_logprobs == pytest.approx((math.log(0.5), -math.inf, math.log(0.25), -math.inf, -math.inf))
    assert beside.censored_mass == pytest.approx(0.25)
    assert among.censored_mass == pytest.approx(0.5)


def test_draws_of_one_prompt_go_in_one_request_and_answers_keep_their_places() -> None:
    asks = text_asks(3, draws=4)
    shuffled = [asks[i] for i in np.random.default_rng(0).permutation(len(asks))] + [asks[0]]
    with LoopbackServer(Canned(age_of)) as server:
        answers = answerer(server).answer(shuffled)
        assert sorted(body["n"] for body in server.requests) == [4, 4, 4]
        assert all("seed" not in body for body in server.requests)
    assert [answer.text for answer in answers] == [ask.prompt.user[-2:] for ask in shuffled]


def test_single_draws_carry_seeds_of_their_own_and_the_temperature() -> None:
    with LoopbackServer(ignores={"n"}) as server:
        answerer(server).answer(text_asks(1, draws=3, temperature=0.7, max_tokens=5))
        first, *rest = server.requests
        assert first["n"] == 3
        assert len({body["seed"] for body in rest}) == 2
        assert {(body["temperature"], body["max_tokens"]) for body in server.requests} == {(0.7, 5)}


def test_greedy_asks_are_not_grouped() -> None:
    with LoopbackServer() as server:
        answerer(server).answer(text_asks(2, draws=2, temperature=0.0))
        assert [body.get("n", 1) for body in server.requests] == [1] * 4


def test_concurrency_is_bounded_and_used() -> None:
    together = threading.Barrier(3)
    # The first goes alone; of the others three at a time, or the barrier breaks.
    say = Canned(lambda body: "A" if age_of(body) == "20" else str(together.wait(30)))
    with LoopbackServer(say) as server:
        answers = answerer(server, max_workers=3).answer(text_asks(10))
        assert server.most_at_once == 3
    assert all(answer.failure is None for answer in answers)


def test_a_json_schema_is_sent_where_there_is_one() -> None:
    with LoopbackServer(Canned(lambda body: '{"A": 100}')) as server:
        model = answerer(server)
        model.answer(text_asks(1, schema=SCHEMA))
        plan = server.requests[0]["response_format"]
    assert plan["type"] == "json_schema"
    assert plan["json_schema"]["schema"] == json.loads(SCHEMA)
    assert model.notices == ()


def test_no_asks_no_requests() -> None:
    assert RemoteAnswerer("m", base_url="http://127.0.0.1:9/v1").answer([]) == []


# --- servers that ignore or refuse -----------------------------------------------------------------------------------


def test_a_server_that_ignores_n_is_asked_for_the_rest_one_by_one_and_remembered() -> None:
    with LoopbackServer(Canned(age_of), ignores={"n"}) as server:
        model = answerer(server)
        answers = model.answer(text_asks(2, draws=3))
        assert [body.get("n", 1) for body in server.requests] == [3, 1, 1, 1, 1, 1]
        assert [answer.text for answer in answers] == ["20"] * 3 + ["21"] * 3
        model.answer(text_asks(1, draws=2))
        assert [body.get("n", 1) for body in server.requests[6:]] == [1, 1]
    assert model.notices == ("the server ignores `n`: draws are asked for one by one",)


def test_a_server_without_log_probabilities_is_noticed_after_one_request() -> None:
    with LoopbackServer(ignores={"logprobs"}) as server:
        with pytest.raises(LabelProbabilitiesUnavailable, match="no log-probabilities"):
            answerer(server).answer(label_asks(20))
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 403])
def test_a_server_that_refuses_log_probabilities_is_one_without_them(status: int) -> None:
    fault = Fault.error(status, "You are not allowed to request logprobs from this model")
    with LoopbackServer(faults=lambda number, body: fault) as server:
        with pytest.raises(LabelProbabilitiesUnavailable, match="not allowed"):
            answerer(server).answer(label_asks(20))
        assert [body["top_logprobs"] for body in server.requests] == [20, 10, 5]


def test_a_server_that_lists_fewer_tokens_is_asked_for_fewer() -> None:
    too_many = Fault.error(400, "top_logprobs must be at most 8", param="top_logprobs")
    with LoopbackServer(
        _Listed(("A", 0.5)), faults=lambda number, body: too_many if body["top_logprobs"] > 8 else None
    ) as server:
        model = answerer(server)
        model.answer(label_asks(3))
        assert [body["top_logprobs"] for body in server.requests] == [20, 10, 5, 5, 5]


def test_a_server_that_ignores_response_format_is_noticed_once() -> None:
    with LoopbackServer(Canned(lambda body: "about half of them")) as server:
        model = answerer(server)
        answers = model.answer(text_asks(3, schema=SCHEMA))
    assert [answer.text for answer in answers] == ["about half of them"] * 3
    assert model.notices == ("the server does not follow `response_format`: answers are read as they come",)


def test_a_server_that_refuses_json_schemas_is_asked_for_plain_json_then_for_text() -> None:
    words = "This response_format type is unavailable now"
    with LoopbackServer(refuses={"response_format": words}) as server:
        model = answerer(server)
        answers = model.answer(text_asks(3, schema=SCHEMA))
        kinds = [body.get("response_format", {}).get("type") for body in server.requests]
    assert kinds == ["json_schema", "json_object", None, None, None]
    assert all(answer.text == "A" for answer in answers)
    assert len(model.notices) == 2


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("seed", "Unexpected fields in the request: {'seed'}"),
        ("top_p", "top_p and temperature cannot both be given"),
        ("n", "only n=1 is supported: 'n' must be 1"),
        ("max_tokens", "Unsupported parameter: use 'max_completion_tokens' instead"),
    ],
)
def test_parameters_that_are_refused_are_left_out_from_then_on(parameter: str, words: str) -> None:
    with LoopbackServer(refuses={parameter: words}) as server:
        model = answerer(server, max_workers=1)
        answers = model.answer(text_asks(2, draws=1 + (parameter == "n")))
        assert [parameter in body for body in server.requests].count(True) == 1
        if parameter == "max_tokens":
            assert all("max_completion_tokens" in body for body in server.requests[1:])
    assert all(answer.text == "A" for answer in answers)


def test_a_model_without_a_system_role_gets_its_text_in_the_users_turn() -> None:
    def fault(number: int, body: Body) -> Fault | None:
        roles = [message["role"] for message in body["messages"]]
        return Fault.error(400, "System role not supported") if "system" in roles else None

    with LoopbackServer(Canned(age_of), faults=fault) as server:
        answers = answerer(server).answer(text_asks(2))
        assert len(server.requests) == 3
        assert server.requests[1]["messages"][0]["content"].startswith("Answer the survey question")
    assert [answer.text for answer in answers] == ["20", "21"]


# --- trouble ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [BUSY, BROKEN, CUT, GARBAGE, EMPTY], ids=["429", "500", "cut", "garbage", "empty"])
@pytest.mark.parametrize("kind", ["first", "later"])
def test_what_passes_is_tried_again(fault: Fault, kind: str) -> None:
    faults = {0: fault, 1: fault} if kind == "first" else {2: fault, 3: fault, 5: fault}
    with LoopbackServer(Canned(age_of), faults=faults) as server:
        answers = answerer(server).answer(text_asks(6))
        assert len(server.requests) == 6 + len(faults)
    assert [answer.text for answer in answers] == [str(20 + i) for i in range(6)]


def test_a_hanging_request_is_given_up_and_tried_again() -> None:
    with LoopbackServer(Canned(age_of), faults={1: HANG}) as server:
        answers = answerer(server, timeout=0.5).answer(text_asks(3))
        assert len(server.requests) >= 4
    assert [answer.text for answer in answers] == ["20", "21", "22"]


@pytest.mark.parametrize("fault", [BUSY, BROKEN, GARBAGE, EMPTY], ids=["429", "500", "garbage", "empty"])
def test_one_ask_that_never_works_is_one_failure(fault: Fault) -> None:
    with LoopbackServer(Canned(age_of), faults=lambda number, body: fault if age_of(body) == "21" else None) as server:
        seen: dict[int, Answer] = {}
        answers = answerer(server, max_retries=2).answer(text_asks(4), on_answer=seen.__setitem__)
        assert len(server.requests) == 3 + 3
    assert [answer.text for answer in answers] == ["20", None, "22", "23"]
    assert answers[1].failure is not None
    assert "tried 3 times" in answers[1].failure
    assert sorted(seen) == [0, 2, 3]


def test_a_prompt_that_the_server_will_not_read_is_one_failure_without_a_second_try() -> None:
    fault = Fault.error(400, "blocked", code="content_filter")
    with LoopbackServer(Canned(age_of), faults=lambda number, body: fault if age_of(body) == "21" else None) as server:
        answers = answerer(server).answer(text_asks(3))
        assert len(server.requests) == 3
    assert [answer.text for answer in answers] == ["20", None, "22"]
    assert answers[1].failure == "the server answered 400: blocked"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.error(401, "Incorrect API key"), "api_key_env"),
        (Fault.error(403, "Country not supported"), "Country not supported"),
        (Fault.error(404, "The model `m` does not exist"), "does not exist.*base_url"),
        (Fault.error(422, "temperature too high"), "temperature too high"),
        (Fault.error(429, "You exceeded your current quota", code="insufficient_quota"), "quota"),
        (Fault.error(429, "come back later", retry_after="7200"), "7200 seconds"),
        (Fault(400, '{"detail": "Server is pinned to \'x\'"}'), "Server is pinned to 'x'"),
    ],
)
def test_what_will_not_pass_stops_after_one_request(fault: Fault, words: str) -> None:
    with LoopbackServer(faults=lambda number, body: fault) as server:
        with pytest.raises(RemoteError, match=words):
            answerer(server).answer(text_asks(50))
        assert len(server.requests) == 1


def test_a_server_out_of_reach_raises() -> None:
    with LoopbackServer() as server:
        model = answerer(server, max_retries=2)
    with pytest.raises(RemoteError, match=r"cannot be reached.*tried 3 times"):
        model.answer(text_asks(50))


def test_a_server_that_only_fails_is_left_alone_after_three_asks() -> None:
    with LoopbackServer(faults=lambda number, body: BROKEN) as server:
        with pytest.raises(RemoteError, match=r"3 requests in a row were not answered.*500"):
            answerer(server, max_retries=1).answer(text_asks(50))
        assert len(server.requests) == 6


def test_a_server_that_breaks_down_in_the_middle_leaves_what_was_answered() -> None:
    def fault(number: int, body: Body) -> Fault | None:
        return Fault.error(401, "key revoked") if number >= 5 else None

    with LoopbackServer(Canned(age_of), faults=fault) as server:
        with pytest.warns(SurveysimWarning, match="key revoked.*asks were not tried"):
            answers = answerer(server, max_workers=1).answer(text_asks(9))
        assert len(server.requests) == 6
    assert [answer.text for answer in answers] == ["20", "21", "22", "23", "24"] + [None] * 4
    assert all("key revoked" in (answer.failure or "") for answer in answers[5:])


def test_all_wait_for_as_long_as_the_server_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    from surveysim.asking.remote import workers

    waited: list[float] = []
    monkeypatch.setattr(workers.Workers, "sleep", lambda self, seconds: waited.append(seconds))
    monkeypatch.setattr("surveysim.asking.remote.session.time.monotonic", lambda: 100.0 + sum(waited))
    with LoopbackServer(faults={1: Fault.error(429, "slow down", retry_after="17")}) as server:
        answerer(server, max_workers=1).answer(text_asks(3))
    assert [seconds for seconds in waited if seconds > 1] == [pytest.approx(17, abs=1e-3)]


def test_texts_in_parts_refusals_and_empty_replies() -> None:
    def body(message: dict[str, Any], finish: str = "stop") -> Fault:
        return Fault(body=json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish}]}))

    faults = {
        0: body({"content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]}),
        1: body({"content": None, "refusal": "I cannot help with that"}),
        2: body({"content": ""}),
        3: body({"content": None}, "length"),
        4: body({"content": "half \ud83d a character"}),
    }
    with LoopbackServer(faults=faults) as server:
        answers = answerer(server, max_workers=1).answer(text_asks(5))
    assert [answer.text for answer in answers] == ["AB", "I cannot help with that", "", None, "half ? a character"]
    assert "switch off the reasoning" in str(answers[3].failure)


# --- stopping --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_stops_without_waiting_and_what_comes_late_is_still_handed_over() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        _check_ctrl_c()
    finally:
        signal.signal(signal.SIGINT, before)


def _check_ctrl_c() -> None:
    reply, arrived, both = threading.Event(), threading.Event(), threading.Barrier(2)
    seen: dict[int, Answer] = {}

    def say(body: Body) -> str:
        if age_of(body) in ("23", "24"):
            if both.wait(60) == 0:
                os.kill(os.getpid(), signal.SIGINT)
            assert reply.wait(60)
        return age_of(body)

    def on_answer(place: int, answer: Answer) -> None:
        seen[place] = answer
        if {3, 4} <= set(seen):
            arrived.set()

    with LoopbackServer(Canned(say)) as server:
        model = answerer(server, max_workers=2, timeout=600)
        model.grace = 0.05
        with pytest.raises(KeyboardInterrupt):
            model.answer(text_asks(1000), on_answer=on_answer)
        assert {0, 1, 2} <= set(seen)
        assert not {3, 4} & set(seen)
        assert len(server.requests) == 5
        reply.set()
        assert arrived.wait(60)  # both were under way, and are paid for
    assert set(seen) == {int(age_of(body)) - 20 for body in server.requests}


def test_what_on_answer_raises_stops_the_run() -> None:
    def full(place: int, answer: Answer) -> None:
        raise OSError("no space left on device")

    with LoopbackServer() as server:
        with pytest.raises(OSError, match="no space left"):
            answerer(server).answer(text_asks(50), on_answer=full)
        assert len(server.requests) == 1


def test_the_progress_bar_shows_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with LoopbackServer() as server:
        answerer(server).answer(text_asks(3))
        assert capsys.readouterr().err == ""
        answerer(server).answer(text_asks(3), verbose=1)
        assert "3/3" in capsys.readouterr().err
        answerer(server, verbose=1).answer(text_asks(3, draws=2))
        assert "6/6" in capsys.readouterr().err


# --- the object ------------------------------------------------------------------------------------------------------


def test_identity_tells_models_and_servers_apart_and_nothing_else() -> None:
    one = RemoteAnswerer("m", base_url="HTTP://Example.org:80/v1/", max_workers=3, timeout=5)
    assert one.identity == RemoteAnswerer("m", base_url="http://example.org:80/v1").identity
    assert one.identity != RemoteAnswerer("m2", base_url="http://example.org:80/v1").identity
    assert one.identity != RemoteAnswerer("m", base_url="http://example.org:81/v1").identity
    assert all(isinstance(value, str) for value in one.identity.values())


def test_the_address_comes_from_the_environment_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RemoteAnswerer("m").identity["base_url"] == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1234/v1")
    assert RemoteAnswerer("m").identity["base_url"] == "http://localhost:1234/v1"


def test_what_was_noticed_survives_a_pickle() -> None:
    with LoopbackServer(ignores={"n"}) as server:
        model = answerer(server)
        model.answer(text_asks(1, draws=2))
        copy = pickle.loads(pickle.dumps(model))
        assert copy.notices == model.notices
        copy.answer(text_asks(1, draws=2))
        assert [body.get("n", 1) for body in server.requests] == [2, 1, 1, 1]


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"name": ""}, ValueError, "needs a name"),
        ({"name": None}, TypeError, "must be a string"),
        ({"base_url": "localhost:8000"}, ValueError, "http address"),
        ({"base_url": "ftp://x/v1"}, ValueError, "http address"),
        ({"base_url": 3}, TypeError, "must be a string"),
        ({"base_url": "http://x:port/v1"}, ValueError, "http address"),
        ({"max_workers": 0}, ValueError, "at least 1"),
        ({"max_workers": 1.5}, TypeError, "whole number"),
        ({"max_retries": -1}, ValueError, "at least 0"),
        ({"timeout": 0}, ValueError, "positive"),
        ({"timeout": math.nan}, ValueError, "positive"),
        ({"timeout": "1"}, TypeError, "seconds"),
        ({"backoff": -1}, ValueError, "positive"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        RemoteAnswerer(**{"name": "m", **parameters})


def test_without_the_client_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ImportError, match=r"pip install 'surveysim\[remote\]'"):
        RemoteAnswerer("m", base_url="http://127.0.0.1:9/v1").answer(text_asks(1))
