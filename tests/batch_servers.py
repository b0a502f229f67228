"""A loopback server with a batch endpoint: files of requests that are answered when the test says so."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.servers import Canned, LoopbackServer


class BatchServer(LoopbackServer):
    """Takes files and jobs, and answers them on `work`.

    Attributes
    ----------
    files : dict of str to str
        Contents by id.
    jobs : dict of str to dict
        By id, in the order of arrival.
    broken : set of int
        Numbers of requests, over all jobs, that fail.
    refuse_jobs : bool
        Whether further jobs are refused.
    """

    def __init__(self, brain: Canned) -> None:
        super().__init__(brain)
        self.files: dict[str, str] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.broken: set[int] = set()
        self.refuse_jobs = False
        self._n_done = 0

    def work(self) -> None:
        """Answer all jobs."""
        for job in self.jobs.values():
            if job["status"] != "completed":
                results = [self._answer(json.loads(line)) for line in self.files[job["input_file_id"]].splitlines()]
                job["output_file_id"] = f"file-out-{job['id']}"
                # In any order, as servers have it.
                self.files[job["output_file_id"]] = "".join(json.dumps(result) + "\n" for result in reversed(results))
                job["status"] = "completed"

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        number, self._n_done = self._n_done, self._n_done + 1
        if number in self.broken:
            return {"id": "r", "custom_id": request["custom_id"], "response": {"status_code": 500, "body": {}}}
        response = {"status_code": 200, "body": self.completion(request["body"])}
        return {"id": "r", "custom_id": request["custom_id"], "response": response, "error": None}

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        if path not in ("/v1/files", "/v1/batches"):
            super()._handle(handler)
            return
        raw = handler.rfile.read(int(handler.headers["Content-Length"]))
        if path == "/v1/files":
            content = re.search(rb'filename="[^"]*"\r\n.*?\r\n\r\n(.*?)\r\n--', raw, re.DOTALL)
            assert content is not None
            name = f"file-{len(self.files)}"
            self.files[name] = content[1].decode()
            _reply(handler, 200, {"id": name, "object": "file", "bytes": 1, "created_at": 1, "filename": "x",
                                  "purpose": "batch", "status": "processed"})  # fmt: skip
        elif self.refuse_jobs:
            _reply(handler, 400, {"error": {"message": "too many jobs", "code": "limit"}})
        else:
            body = json.loads(raw)
            assert (body["endpoint"], body["completion_window"]) == ("/v1/chat/completions", "24h")
            name = f"batch-{len(self.jobs)}"
            self.jobs[name] = {"id": name, "object": "batch", "created_at": 1, "status": "in_progress", **body}
            _reply(handler, 200, self.jobs[name])

    def _handle_get(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        if path == "/v1/batches":
            _reply(handler, 200, {"object": "list", "data": list(self.jobs.values()), "has_more": False})
        elif path.startswith("/v1/batches/"):
            _reply(handler, 200, self.jobs[path.rpartition("/")[2]])
        else:
            _reply(handler, 200, self.files[path.split("/")[3]])


def _reply(handler: BaseHTTPRequestHandler, status: int, body: Any) -> None:
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/octet-stream" if isinstance(body, str) else "application/json")
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
