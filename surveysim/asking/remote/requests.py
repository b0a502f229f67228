"""Asks as requests in OpenAI's chat protocol, in the form that a server has been seen to take."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from surveysim.asking.asks import Ask
from surveysim.asking.remote.troubles import Trouble

__all__ = ["TOP_LOGPROBS", "ServerTraits", "build_request"]

_LOGGER = logging.getLogger("surveysim")

#: How many of the likeliest tokens to ask for: hosted models list 20 at most, some fewer.
TOP_LOGPROBS = (20, 10, 5)

# Ways to ask for JSON, from the strictest to none.
_FORMATS = ("json_schema", "json_object", "none")

_WORDS = {
    "response_format": re.compile(r"response_format|json_schema|json_object|structured output|guided", re.IGNORECASE),
    "logprobs": re.compile(r"logprobs", re.IGNORECASE),
    "n": re.compile(r"""['"`]n['"`]|\bn must\b|\bn\s*[<>=]|multiple (choices|completions)""", re.IGNORECASE),
    "seed": re.compile(r"\bseed\b", re.IGNORECASE),
    "top_p": re.compile(r"\btop_p\b"),
    "temperature": re.compile(
        r"(?:support|accept|allow|unknown|unexpected|deprecated|without|remove|only)\b.{0,60}\btemperature\b"
        r"|\btemperature\b.{0,60}(?:support|accept|allow|deprecated|must be 1\b|only 1\b)",
        re.IGNORECASE,
    ),
    "max_tokens": re.compile(r"max_completion_tokens|max_tokens"),
    "messages": re.compile(r"system.{0,20}role|role.{0,20}system|roles? must alternate", re.IGNORECASE),
}


class ServerTraits:
    """What a server has been seen to take and to ignore: found out once, by asking. Nothing in it is secret.

    Attributes
    ----------
    honours_n : bool
        Whether one request can bring several draws.
    format : {"json_schema", "json_object", "none"}
        How JSON is asked for.
    top : int
        How many of the likeliest tokens are asked for; 0: the server has none to tell.
    answered : set of str
        Kinds of asks that it has answered.
    temperature : bool
        Whether it takes a temperature.
    notices : list of str
        What was noticed, in words.
    """

    def __init__(self) -> None:
        self.honours_n = True
        self.format = _FORMATS[0]
        self.keeps_format = True
        self.top = TOP_LOGPROBS[0]
        self.seed = True
        self.top_p = True
        self.temperature = True
        self.system_role = True
        self.length = "max_tokens"
        self.answered: set[str] = set()
        self.notices: list[str] = []
        self._lock = threading.Lock()

    def notice(self, what: str) -> None:
        """Write something down, and into the log, once."""
        with self._lock:
            if what in self.notices:
                return
            self.notices.append(what)
        _LOGGER.warning("%s", what)

    def ignores_n(self) -> None:
        self.honours_n = False
        self.notice("the server ignores `n`: draws are asked for one by one")

    def ignores_format(self) -> None:
        self.keeps_format = False
        self.notice("the server does not follow `response_format`: answers are read as they come")

    def adapt(self, sent: Mapping[str, Any], trouble: Trouble) -> bool:
        """Take a refusal in: True where the request is worth another try in another form.

        Parameters
        ----------
        sent : mapping
            The request that was refused.
        trouble : Trouble
            What the server said.
        """
        blamed = _blamed(sent, trouble)
        if blamed == "temperature" and sent["temperature"] != 1.0:
            return False  # another temperature is another question: see `advice`
        with self._lock:
            said = self._adapt(blamed, sent)
        if said:
            self.notice(said)
        return blamed is not None and not (blamed == "logprobs" and self.top == 0)

    def advice(self, sent: Mapping[str, Any], trouble: Trouble) -> str:
        """What the user can do about a refusal that cannot be worked around; maybe nothing."""
        if _blamed(sent, trouble) != "temperature":
            return ""
        return (
            f". This model does not accept a temperature of {sent['temperature']:g}: pass temperature=1, which is "
            "then left out"
        )

    def _adapt(self, blamed: str | None, sent: Mapping[str, Any]) -> str:
        # Several workers may be refused at once: only a request in the form that is current changes anything.
        if blamed == "response_format" and sent["response_format"]["type"] == self.format:
            self.format = _FORMATS[_FORMATS.index(self.format) + 1]
            return f"the server refuses `response_format`: asking with {self.format!r} instead"
        if blamed == "logprobs" and sent["top_logprobs"] == self.top:
            self.top = max((top for top in TOP_LOGPROBS if top < self.top), default=0)
            return f"the server refuses `top_logprobs={sent['top_logprobs']}`" + (
                f": asking for {self.top}" if self.top else ""
            )
        if blamed == "n" and self.honours_n:
            self.honours_n = False
            return "the server refuses `n`: draws are asked for one by one"
        if blamed == "max_tokens" and self.length == "max_tokens" and "max_tokens" in sent:
            self.length = "max_completion_tokens"
        elif blamed == "messages":
            self.system_role = False
        elif blamed in ("seed", "top_p", "temperature"):
            setattr(self, blamed, False)
        return ""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        vars(self).update(state, _lock=threading.Lock())


def build_request(model: str, asks: Sequence[Ask], traits: ServerTraits) -> dict[str, Any]:
    """The parameters of one chat completion for asks that differ in their draw alone."""
    ask = asks[0]
    request: dict[str, Any] = {"model": model, "messages": ask.prompt.messages(system_role=traits.system_role)}
    if ask.kind == "label":
        # At temperature 1, because some servers list the probabilities after it has been applied.
        request |= _temperature(1.0, traits)
        request |= {traits.length: 1, "logprobs": True, "top_logprobs": traits.top}
        return request
    request |= _temperature(float(ask.temperature), traits)
    request[traits.length] = ask.max_tokens
    if traits.top_p and ask.temperature > 0:
        request["top_p"] = 1.0  # else a server's own default would cut rare answers off
    if len(asks) > 1:
        # No seed here: some servers give all draws of a request the same one, and the same answer with it.
        request["n"] = len(asks)
    elif traits.seed:
        request["seed"] = _seed(ask)
    if ask.schema is not None and traits.format == "json_schema":
        plan = {"name": "answer", "schema": json.loads(ask.schema), "strict": True}
        request["response_format"] = {"type": "json_schema", "json_schema": plan}
    elif ask.schema is not None and traits.format == "json_object":
        request["response_format"] = {"type": "json_object"}
    return request


def _temperature(value: float, traits: ServerTraits) -> dict[str, float]:
    """Left out where a server does not take it and it is 1 anyway."""
    return {} if value == 1.0 and not traits.temperature else {"temperature": value}


def _seed(ask: Ask) -> int:
    """A seed of its own for each draw; below 2^31, which every server can hold."""
    digest = hashlib.sha256(f"{ask.seed} {ask.sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _blamed(sent: Mapping[str, Any], trouble: Trouble) -> str | None:
    """The parameter of a request that a refusal is about, by the server's own account or by its words."""
    parameter = (trouble.parameter or "").split(".")[0].split("[")[0]
    if parameter == "top_logprobs":
        parameter = "logprobs"
    if parameter == "max_completion_tokens":
        parameter = "max_tokens"
    has_system = any(message["role"] == "system" for message in sent["messages"])
    present = [name for name in _WORDS if (has_system if name == "messages" else name in sent)]
    # The other name of the same limit cannot be tried twice.
    if parameter in present and parameter != "messages":
        return parameter
    for name in present:
        if _WORDS[name].search(trouble.message):
            return name
    return None
