"""A server on the loopback that speaks OpenAI's chat protocol over nano or canned texts, and misbehaves as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from openai.types.chat import ChatCompletion

from surveysim.models import load_model
from surveysim.prompts import Prompt

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """What a server does instead of answering."""

    status: int = 200
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False  # half of the body, then the connection breaks
    hang: bool = False  # nothing, until the server is closed
    drip: float = 0.0  # seconds between two bytes of the body
    drip_headers: bool = False  # the header drips as well
    size: int = 0  # so many spaces in front of the body

    @staticmethod
    def reply(choice: Mapping[str, Any], **other: Any) -> Fault:
        """A completion with one choice, exactly as given."""
        return Fault(body=json.dumps({"id": "x", "choices": [{"index": 0, **choice}], **other}))

    @staticmethod
    def error(status: int, message: str = "", *, code: str | None = None, param: str | None = None, **headers: str):
        said = {"error": {"message": message, "type": "test", "code": code, "param": param}}
        return Fault(status, json.dumps(said), {name.replace("_", "-"): value for name, value in headers.items()})


BUSY = Fault.error(429, "too many requests", retry_after="0.01")
BROKEN = Fault.error(500, "internal error")
HANG = Fault(hang=True)
CUT = Fault(cut=True)
GARBAGE = Fault(body="<html>not a completion</html>")
EMPTY = Fault(body=json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []}))


class Canned:
    """Answers with what a function says, one text for each draw."""

    def __init__(self, say: Callable[[Body], str] = lambda body: "A") -> None:
        self._say = say

    def texts(self, body: Body, n: int) -> list[str]:
        return [self._say(body) for _ in range(n)]

    def top(self, body: Body, n: int) -> list[tuple[str, float]]:
        raise AssertionError("canned servers know no probabilities: make them ignore logprobs")


class Nano:
    """Answers with the embedded model."""

    def __init__(self) -> None:
        self.model = load_model("nano")
        self._draws = 0

    def _ids(self, body: Body) -> torch.Tensor:
        turns = {message["role"]: message["content"] for message in body["messages"]}
        prompt = Prompt(turns.get("system", ""), turns["user"])
        return torch.tensor(self.model.encode([self.model.to_text(prompt)]))

    def distribution(self, body: Body) -> torch.Tensor:
        """Log-probabilities of the first token over the whole vocabulary."""
        with self.model.lock, torch.no_grad():
            return self.model.network(self._ids(body)).logits[0, -1].double().log_softmax(-1)

    def top(self, body: Body, n: int) -> list[tuple[str, float]]:
        found = self.distribution(body).topk(n)
        tokens = [self.model.tokenizer.decode([i]) for i in found.indices.tolist()]
        return list(zip(tokens, found.values.tolist(), strict=True))

    def texts(self, body: Body, n: int) -> list[str]:
        return [self._text(body) for _ in range(n)]

    def _text(self, body: Body) -> str:
        self._draws += 1
        generator = torch.Generator().manual_seed(body.get("seed", self._draws))
        temperature = body.get("temperature", 1.0)
        # Read whole for every token: slow, and the same with every version of transformers.
        ids, written = self._ids(body), []
        with self.model.lock, torch.no_grad():
            for _ in range(body.get("max_tokens") or body["max_completion_tokens"]):
                logits = self.model.network(ids).logits[0, -1]
                if temperature == 0:
                    token = int(logits.argmax())
                else:
                    token = int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator))
                if token == self.model.tokenizer.eos_token_id:
                    break
                written.append(token)
                ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
        return self.model.tokenizer.decode(written)


class LoopbackServer:
    """A server in threads of this process; a context manager.

    Parameters
    ----------
    brain : Nano or Canned
    faults : mapping from a request's number (from 0, in order of arrival) to Fault, or callable
        A callable gets the number and the body, and returns a Fault or None.
    ignores : collection of str
        Parameters that have no effect: "n", "logprobs", "response_format".
    refuses : mapping of str to str
        Parameters that are answered with status 400, and the words of it.
    on_reply : callable, optional
        Called with the body of each request after its reply has been written.

    Attributes
    ----------
    base_url : str
    requests : list of dict
        Bodies of all requests, in order of arrival.
    headers : list of dict
        Their headers, names in small letters.
    most_at_once : int
        How many requests were under way together, at most.
    """

    def __init__(
        self,
        brain: Nano | Canned | None = None,
        *,
        faults: Mapping[int, Fault] | Callable[[int, Body], Fault | None] | None = None,
        ignores: Collection[str] = (),
        refuses: Mapping[str, str] | None = None,
        on_reply: Callable[[Body], None] | None = None,
    ) -> None:
        self.brain = brain or Canned()
        self.fault = faults if callable(faults) else lambda number, body: (faults or {}).get(number)
        self.ignores = set(ignores)
        self.refuses = dict(refuses or {})
        self.on_reply = on_reply
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._handle(self)

            def do_GET(self) -> None:
                outer._handle_get(self)

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients that leave early are part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> LoopbackServer:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            number = len(self.requests)
            self.requests.append(body)
            self.headers.append({name.lower(): value for name, value in handler.headers.items()})
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            fault = self.fault(number, body) or self._refusal(body)
            if fault is not None and fault.hang:
                self._closing.wait()
                handler.close_connection = True
                return
            status = 200 if fault is None else fault.status
            text = fault.body if fault is not None and fault.body is not None else json.dumps(self.completion(body))
            data = b" " * (fault.size if fault else 0) + text.encode()
        finally:
            with self._lock:
                self._at_once -= 1
        if fault is not None and fault.drip_headers:
            self._drip(handler, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000, fault.drip)
            return
        handler.send_response(status)
        for name, value in (fault.headers if fault else {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if fault is not None and fault.cut:
            handler.wfile.write(data[: len(data) // 2])
            handler.close_connection = True
            return
        if fault is not None and fault.drip:
            self._drip(handler, data, fault.drip)
            return
        handler.wfile.write(data)
        if self.on_reply is not None:
            self.on_reply(body)

    def _handle_get(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_error(404)

    def _drip(self, handler: BaseHTTPRequestHandler, data: bytes, seconds: float) -> None:
        handler.close_connection = True
        for byte in data:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            if self._closing.wait(seconds):
                return

    def _refusal(self, body: Body) -> Fault | None:
        for name, words in self.refuses.items():
            if name in body:
                return Fault.error(400, words, code="unsupported_parameter")
        return None

    def completion(self, body: Body) -> dict[str, Any]:
        """The body of a reply, as the `openai` client's own types describe it."""
        choices: list[dict[str, Any]] = []
        if body.get("logprobs") and "logprobs" not in self.ignores:
            assert body["top_logprobs"] <= 20
            assert body["max_tokens"] == 1
            top = self.brain.top(body, body["top_logprobs"])
            choices.append(_choice(0, top[0][0], top))
        else:
            n = 1 if "n" in self.ignores else body.get("n", 1)
            choices += [_choice(i, text, None) for i, text in enumerate(self.brain.texts(body, n))]
        found = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"]}
        completion = {**found, "choices": choices}
        ChatCompletion.model_validate(completion, strict=True)
        return completion


def _choice(index: int, text: str, top: Sequence[tuple[str, float]] | None) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    logprobs = None
    if top is not None:
        listed = [{"token": token, "logprob": value, "bytes": list(token.encode())} for token, value in top]
        logprobs = {"content": [{**listed[0], "top_logprobs": listed}], "refusal": None}
    return {"index": index, "message": message, "finish_reason": "stop", "logprobs": logprobs}
