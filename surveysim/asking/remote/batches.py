"""Asks through a server's batch endpoint: files of requests that are answered within a day, at half the price."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from surveysim.asking.asks import Ask, LabelProbabilitiesUnavailable
from surveysim.asking.journal import Journal, ask_keys
from surveysim.asking.remote.answerer import RemoteAnswerer
from surveysim.asking.remote.exchange import Exchange, Reply
from surveysim.asking.remote.requests import build_request
from surveysim.asking.remote.troubles import Patience, RemoteError, judge_error
from surveysim.interfaces import JSON

if TYPE_CHECKING:
    from openai import OpenAI

__all__ = ["BatchFolder", "BatchStatus"]

MOST_REQUESTS = 50_000
"""In one file, as OpenAI takes them."""

MOST_BYTES = 100 * 2**20
"""Of one file; OpenAI takes twice as many."""

_ENDPOINT: Final = "/v1/chat/completions"
_DONE = frozenset({"completed", "failed", "expired", "cancelled"})
_LISTED = 100


@dataclass(frozen=True)
class BatchStatus:
    """Where a batch stands.

    Attributes
    ----------
    n_asks : int
        Different ones.
    n_answered : int
        Of them in the journal.
    n_waiting : int
        Of them with the server.
    n_failed : int
        Of them neither: the server failed, or expired; `BatchFolder.write` writes them anew.
    """

    n_asks: int
    n_answered: int
    n_waiting: int
    n_failed: int

    @property
    def done(self) -> bool:
        """Whether nothing is left to wait for."""
        return self.n_waiting == 0


class BatchFolder:
    """Files of requests, what became of them, and the journal that takes the answers.

    Each step may be repeated, in any process, and does what is left to do: what has been answered, written or submitted
    is not written or submitted again. Answers come under the keys of the journal, so that asking in the usual way finds
    them.

    Parameters
    ----------
    answerer : RemoteAnswerer
        The model and its server.
    journal : Journal
    folder : path
        Made where there is none. It holds the prompts, and no keys.
    """

    def __init__(self, answerer: RemoteAnswerer, journal: Journal, folder: str | os.PathLike[str]) -> None:
        self.answerer = answerer
        self.journal = journal
        self.folder = Path(folder)

    def write(self, asks: Sequence[Ask]) -> int:
        """Write files of requests for what is neither answered nor under way; how many requests they hold."""
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = self._by_key(asks)
        answered = self.journal.find(list(wanted))
        under_way = {key for name, job in self._jobs().items() if not job.get("collected") for key in self._keys(name)}
        left = [key for key in wanted if key not in answered and key not in under_way]
        lines = [self._line(key, wanted[key]) for key in left]
        number = len(list(self.folder.glob("requests-*.jsonl")))
        for part in _parts(lines):
            number += 1
            _write(self.folder / f"requests-{number:04d}.jsonl", "".join(part))
        return len(left)

    def submit(self) -> list[str]:
        """Hand in the files that are not with the server yet; the ids of all jobs.

        Raises
        ------
        RemoteError
            If the server does not take one; those before it are handed in.
        """
        with self.answerer.connected() as (client, _):
            for name in self._jobs():
                if self._jobs()[name].get("batch") is None:
                    self._save(name, batch=self._submit(client, self.folder / name))
        return [str(job["batch"]) for job in self._jobs().values()]

    def collect(self, asks: Sequence[Ask]) -> BatchStatus:
        """Put the answers that the server has into the journal.

        Parameters
        ----------
        asks : sequence of Ask
            All asks, as for `write`.

        Returns
        -------
        BatchStatus

        Raises
        ------
        RemoteError
            If the server cannot be asked; what has been collected before is in the journal.
        """
        wanted = self._by_key(asks)
        waiting: set[str] = set()
        with self.answerer.connected() as (client, exchange):
            for name, job in self._jobs().items():
                if job.get("collected"):
                    continue
                if job.get("batch") is None or not self._collect(client, exchange, name, str(job["batch"]), wanted):
                    waiting.update(self._keys(name))
        answered = self.journal.find(list(wanted))
        n_waiting = len((waiting & wanted.keys()) - answered.keys())
        return BatchStatus(len(wanted), len(answered), n_waiting, len(wanted) - len(answered) - n_waiting)

    # --- one file -----------------------------------------------------------------------------------------------------

    def _submit(self, client: OpenAI, file: Path) -> str:
        import openai

        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:32]
        ours = {job.get("batch") for job in self._jobs().values()}
        try:
            # A process that ended between the server's word and its own note would pay twice.
            for batch in client.batches.list(limit=_LISTED).data:
                if (batch.metadata or {}).get("surveysim") == digest and batch.id not in ours:
                    return str(batch.id)
            with file.open("rb") as requests:
                uploaded = client.files.create(file=(file.name, requests), purpose="batch")
            batch = client.batches.create(
                input_file_id=uploaded.id,
                endpoint=_ENDPOINT,
                completion_window="24h",
                metadata={"surveysim": digest},
            )
        except openai.OpenAIError as error:
            raise self._error(f"{file.name} was not accepted", error) from None
        return str(batch.id)

    def _collect(self, client: OpenAI, exchange: Exchange, name: str, batch_id: str, wanted: Mapping[str, Ask]) -> bool:
        """Whether the server is done with a file; its answers are in the journal then."""
        import openai

        try:
            batch = client.batches.retrieve(batch_id)
            if batch.status not in _DONE:
                return False
            text = client.files.content(batch.output_file_id).text if batch.output_file_id else ""
        except openai.OpenAIError as error:
            raise self._error(f"{name} cannot be collected", error) from None
        for line in text.splitlines():
            key, body = _result(line)
            if key not in wanted or body is None:
                continue
            try:
                found = exchange.read(body, {}, {}, (wanted[key],))
            except LabelProbabilitiesUnavailable:
                continue
            if isinstance(found, Reply) and found.answers[0].failure is None:
                self.journal.put(self.answerer.identity, wanted[key], found.answers[0], key=key, flush=False)
        self.journal.flush()
        self._save(name, collected=True)
        return True

    def _error(self, what: str, error: Exception) -> RemoteError:
        with self.answerer.connected() as (_, exchange):
            said = judge_error(error, exchange.key, Patience()).message
        return RemoteError(f"the batch file {what}: {said}")

    def _line(self, key: str, ask: Ask) -> str:
        body = build_request(self.answerer.name, (ask,), self.answerer.traits)
        return json.dumps({"custom_id": key, "method": "POST", "url": _ENDPOINT, "body": body}) + "\n"

    def _by_key(self, asks: Sequence[Ask]) -> dict[str, Ask]:
        return dict(zip(ask_keys(self.answerer.identity, asks), asks, strict=True))

    def _keys(self, name: str) -> list[str]:
        with (self.folder / name).open(encoding="utf-8") as lines:
            return [str(json.loads(line)["custom_id"]) for line in lines]

    # --- what became of the files -------------------------------------------------------------------------------------

    def _jobs(self) -> dict[str, dict[str, Any]]:
        """Each file of requests with its job, in their order."""
        state = self.folder / "jobs.json"
        known = json.loads(state.read_text(encoding="utf-8")) if state.exists() else {}
        return {file.name: known.get(file.name, {}) for file in sorted(self.folder.glob("requests-*.jsonl"))}

    def _save(self, name: str, **what: JSON) -> None:
        jobs = self._jobs()
        jobs[name] |= what
        _write(self.folder / "jobs.json", json.dumps(jobs, indent=1))


def _parts(lines: Sequence[str]) -> Iterator[list[str]]:
    """Lines in files that a server takes."""
    part: list[str] = []
    size = 0
    for line in lines:
        if part and (len(part) >= MOST_REQUESTS or size + len(line) > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line)
    if part:
        yield part


def _result(line: str) -> tuple[str, str | None]:
    """The key of one result and the body of its reply, None where it failed."""
    try:
        result = json.loads(line)
        response = result.get("response") or {}
        failed = bool(result.get("error")) or response.get("status_code", 200) != 200
        return str(result["custom_id"]), None if failed else json.dumps(response.get("body"))
    except (ValueError, KeyError, AttributeError, RecursionError):
        return "", None


def _write(file: Path, text: str) -> None:
    """A file that is whole or not there."""
    partial = file.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
