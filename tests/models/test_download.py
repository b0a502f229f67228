"""Downloads, from a hub that runs on this machine: what is said before, what is fetched, and why it fails."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from huggingface_hub import constants

from surveysim.models import ModelNotFoundError, download, load_model
from surveysim.models.sources import find_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """As much of the Hugging Face hub as one model needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.refuse: tuple[int, str] | None = None  # status and X-Error-Code of every answer
        self.broken: str | None = None  # a file that the server fails on
        self.silent = False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, body: bool) -> None:
                path = self.path.split("?")[0]
                hub.requests.append(f"{self.command} {path}")
                if hub.silent:
                    time.sleep(1.5)
                    return
                status, headers, content = hub.reply(path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if body:
                    self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def reply(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if self.refuse:
            return self.refuse[0], {"X-Error-Code": self.refuse[1]}, b"{}"
        files = sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())
        if path.startswith("/api/models/owner/model/tree/"):
            listed = [
                {"type": "file", "path": f, "size": (self.folder / f).stat().st_size, "oid": self.etag(f)}
                for f in files
            ]
            return 200, {"Content-Type": "application/json"}, json.dumps(listed).encode()
        if path in ("/api/models/owner/model", "/api/models/owner/model/revision/main"):
            siblings = [{"rfilename": f, "size": (self.folder / f).stat().st_size} for f in files]
            answer = {"id": "owner/model", "sha": COMMIT, "siblings": siblings}
            return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()
        if path.startswith("/api/models/owner/model/revision/"):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        path = path.replace("/owner/model/resolve/main/", f"/owner/model/resolve/{COMMIT}/")
        prefix = f"/owner/model/resolve/{COMMIT}/"
        file = path.removeprefix(prefix)
        if path.startswith(prefix) and file in files and file != self.broken:
            headers = {"ETag": f'"{self.etag(file)}"', "X-Repo-Commit": COMMIT}
            return 200, headers, (self.folder / file).read_bytes()
        return 404, {"X-Error-Code": "EntryNotFound" if path.startswith(prefix) else "RepoNotFound"}, b"{}"

    def etag(self, file: str) -> str:
        return hashlib.sha1((self.folder / file).read_bytes()).hexdigest()


@pytest.fixture
def hub(tiny, tmp_path, monkeypatch) -> Iterator[Hub]:
    hub = Hub(Path(shutil.copytree(tiny(), tmp_path / "served")))
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def test_says_how_much_then_downloads_then_stays_local(hub, capsys):
    (hub.folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (hub.folder / "modeling.py").write_text("raise SystemExit")
    (hub.folder / "original").mkdir()
    (hub.folder / "original" / "model.safetensors").write_bytes(b"a second copy")
    (hub.folder / "consolidated.safetensors").write_bytes(b"a third")
    model = load_model("owner/model")
    said = capsys.readouterr().err
    assert "surveysim: downloading owner/model: 0.00 GB to " in said
    assert (model.name, model.revision) == ("owner/model", COMMIT)
    fetched = {request.rpartition("/")[2] for request in hub.requests if request.startswith("GET /owner")}
    assert fetched == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "chat_template.jinja",
    }  # fmt: skip
    assert "original" not in " ".join(hub.requests)

    hub.requests.clear()
    assert load_model("owner/model") is model
    assert load_model("owner/model", revision=COMMIT, local_files_only=True) is model
    assert hub.requests == []
    assert "downloading" not in capsys.readouterr().err


def test_gigabytes_are_of_what_is_missing(hub, capsys, monkeypatch):
    asked = download.HfApi.model_info

    def large(*args: Any, **kwargs: Any) -> Any:
        info: Any = asked(*args, **kwargs)
        for sibling in info.siblings:
            sibling.size = 4_000_000_000 if sibling.rfilename.endswith(".safetensors") else 50_000_000
        return info

    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(download.HfApi, "model_info", large)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda place: Usage(10**12))
    find_model("owner/model")
    assert "downloading owner/model: 4.20 GB to" in capsys.readouterr().err  # weights and four files beside config.json

    shutil.rmtree(constants.HF_HUB_CACHE)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda place: Usage(3_500_000_000))
    with pytest.raises(
        ModelNotFoundError, match=r"needs 4\.20 GB, but .* has 3\.50 GB left: free some space, or set HF_HOME"
    ):
        find_model("owner/model")


def test_nothing_large_is_fetched_of_a_model_that_cannot_be_used(hub):
    (hub.folder / "config.json").write_text('{"model_type": "bert", "architectures": ["BertForMaskedLM"]}')
    with pytest.raises(ValueError, match="not a causal language model"):
        find_model("owner/model")
    assert not any("safetensors" in request for request in hub.requests)


def test_a_repository_of_pickles(hub):
    (hub.folder / "model.safetensors").rename(hub.folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="pickle files only"):
        find_model("owner/model")
    assert not any("pytorch_model" in request for request in hub.requests)


def test_a_repository_without_weights(hub):
    (hub.folder / "model.safetensors").unlink()
    with pytest.raises(ModelNotFoundError, match="has no safetensors weights on the hub"):
        find_model("owner/model")


def test_no_such_repository(hub):
    with pytest.raises(ModelNotFoundError, match=r"there is no model 'owner/typo' on the hub .*model=\"nano\""):
        find_model("owner/typo")


def test_no_such_revision(hub):
    with pytest.raises(ModelNotFoundError, match="model 'owner/model' has no revision 'v9'"):
        find_model("owner/model", revision="v9")


def test_a_gated_repository(hub):
    hub.refuse = (403, "GatedRepo")
    with pytest.raises(ModelNotFoundError, match=r"is gated: accept its terms at .*hf auth login"):
        find_model("owner/model")


def test_an_interrupted_download_goes_on(hub, capsys):
    hub.broken = "tokenizer.json"
    with pytest.raises(ModelNotFoundError, match=r"download of model 'owner/model' failed .*resumes from there"):
        find_model("owner/model")
    with pytest.raises(ModelNotFoundError, match=r"is not in .*local_files_only=True"):
        find_model("owner/model", local_files_only=True)
    hub.broken = None
    assert load_model("owner/model").labels(3).letters == ("A", "B", "C")


def test_a_hub_that_never_answers(hub, monkeypatch):
    hub.silent = True
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    started = time.perf_counter()
    with pytest.raises(ModelNotFoundError, match=r"hub cannot be reached .*Timeout"):
        find_model("owner/model")
    assert time.perf_counter() - started < 1.4


def test_an_unknown_size_is_no_reason_to_fail(hub, monkeypatch, capsys):
    asked = download.HfApi.model_info

    def busy(*args: Any, **kwargs: Any) -> Any:
        if not kwargs.get("files_metadata"):
            return asked(*args, **kwargs)
        hub.refuse = (503, "")
        try:
            return asked(*args, **kwargs)
        finally:
            hub.refuse = None

    monkeypatch.setattr(download.HfApi, "model_info", busy)
    assert find_model("owner/model", revision="main").revision == COMMIT
    assert "downloading owner/model (size unknown)" in capsys.readouterr().err


@pytest.mark.slow
def test_offline_mode_fails_quickly(tmp_path):
    code = (
        "import time\nfrom surveysim.models import load_model\nstart = time.perf_counter()\n"
        "try:\n    load_model('owner/model')\nexcept ValueError as error:\n"
        "    print(time.perf_counter() - start < 5, error)\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True model 'owner/model' is not in")
    assert "HF_HUB_OFFLINE forbids a download" in done.stdout
    assert 'model="nano"' in done.stdout
