"""A process that answers asks with a journal, in a fork of its own for each line that it reads; made to be killed."""

from __future__ import annotations

import json
import os
import sys

import openai  # noqa: F401  (imported before the forks, which then begin at once)

from surveysim.asking.journaled import journaled
from surveysim.asking.remote import RemoteAnswerer, exchange
from tests.asking.asks import text_asks


def note_replies(file: int) -> None:
    """Append each prompt whose reply is in this process's memory to a file, which outlives the process."""
    request = exchange.Exchange.__call__

    def noted(self, parameters, call):
        found = request(self, parameters, call)
        os.write(file, (json.dumps([call[0].prompt.user, len(call)]) + "\n").encode())
        return found

    exchange.Exchange.__call__ = noted


def live(plan: dict[str, str], life: str) -> None:
    os.environ["LIFE"] = life
    note_replies(os.open(plan["received"], os.O_CREAT | os.O_WRONLY | os.O_APPEND))
    model = RemoteAnswerer(
        "m", base_url=plan["base_url"], api_key_env="LIFE", max_workers=int(plan["max_workers"]), backoff=1e-3
    )
    asks = text_asks(int(plan["prompts"]), draws=int(plan["draws"]))
    answers = journaled(model, plan["journal"]).answer(asks)
    assert all(answer.failure is None for answer in answers)


def main() -> None:
    plan = json.loads(sys.stdin.readline())
    for life in sys.stdin:
        child = os.fork()
        if child == 0:
            live(plan, life.strip())
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
