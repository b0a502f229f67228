"""Models from the Hugging Face hub: what the cache holds, what a download would cost, and why it failed."""

from __future__ import annotations

import fnmatch
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm import tqdm

from surveysim.models.errors import ADVICE, ModelNotFoundError
from surveysim.models.folders import check_config, has_tokenizer, read_config, weight_files

__all__ = ["cached_folder", "download", "gigabytes", "say"]

_LOGGER = logging.getLogger("surveysim")

#: Seconds to wait for the hub before the model counts as out of reach.
TIMEOUT = 10.0

# What a model needs: no pickles, no Python, nothing in subfolders, no second copy of the weights in another layout.
_WANTED = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "model*.safetensors")
_UNWANTED = ("*/*", "consolidated*")
_PATTERNS: dict[str, Any] = {"allow_patterns": list(_WANTED), "ignore_patterns": list(_UNWANTED)}


def cached_folder(name: str, revision: str | None) -> Path | None:
    """The complete snapshot of a hub model in the local cache, or None. Never uses the network."""
    try:
        # Newer hub clients remember what a snapshot should hold, and refuse one that an interruption left incomplete.
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True, **_PATTERNS))
    except HFValidationError as error:
        raise ModelNotFoundError(
            f"model {name!r} is neither 'nano', nor an existing folder, nor a hub name ({error}). {ADVICE}"
        ) from None
    except (LocalEntryNotFoundError, OSError):
        return None
    if not (folder / "config.json").is_file():
        return None
    files = weight_files(folder)
    complete = bool(files) and all(path.is_file() for path in files)
    return folder if complete and has_tokenizer(folder) else None


def download(name: str, revision: str | None, *, local_files_only: bool = False) -> Path:
    """Download a hub model after saying how large it is; the folder of its snapshot.

    Raises
    ------
    ModelNotFoundError
        If the hub cannot be reached, has no such model or does not give it, or the disk is too small.
    ValueError
        If the model could not be used anyway: this is found out before its weights are downloaded.
    """
    wanted = f"model {name!r}" + (f" at revision {revision!r}" if revision else "")
    if local_files_only:
        raise ModelNotFoundError(
            f"{wanted} is not in {_cache()}, and local_files_only=True forbids a download. {ADVICE}"
        )
    files, commit = _list_files(name, revision, wanted)
    _check_files(name, files)
    try:
        # By the branch's name and not its commit: the cache then notes which commit the branch meant.
        config = hf_hub_download(name, "config.json", revision=revision, etag_timeout=TIMEOUT)
        check_config(read_config(Path(config).parent), name)
        _announce(name, files, commit)
        return Path(snapshot_download(name, revision=revision, etag_timeout=TIMEOUT, **_PATTERNS))
    except GatedRepoError as error:
        raise ModelNotFoundError(_gated(name)) from error
    except (ModelNotFoundError, ValueError):
        raise
    except Exception as error:  # the hub's client raises errors of whichever HTTP library it uses
        raise ModelNotFoundError(
            f"the download of {wanted} failed ({_reason(error)}). Complete files are kept in {_cache()}; the same "
            f"call resumes from there. {ADVICE}"
        ) from error


def _list_files(name: str, revision: str | None, wanted: str) -> tuple[dict[str, int | None] | None, str | None]:
    """Files of a hub model with their sizes in bytes, and its commit; None for both where the hub does not say."""
    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=TIMEOUT)
    except GatedRepoError as error:
        raise ModelNotFoundError(_gated(name)) from error
    except RepositoryNotFoundError as error:
        raise ModelNotFoundError(
            f"there is no {wanted} on the hub (or it is private), and no folder of that name. {ADVICE}"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFoundError(f"model {name!r} has no revision {revision!r} on the hub") from error
    except OfflineModeIsEnabled as error:
        raise ModelNotFoundError(
            f"{wanted} is not in {_cache()}, and HF_HUB_OFFLINE forbids a download. {ADVICE}"
        ) from error
    except HfHubHTTPError as error:
        # The hub answers but not this question (a mirror, a busy server): the download itself may still work.
        _LOGGER.info("size of %s unknown: %s", name, _reason(error))
        return None, revision
    except Exception as error:  # the hub's client raises errors of whichever HTTP library it uses
        raise ModelNotFoundError(
            f"{wanted} is not in {_cache()}, and the hub cannot be reached ({_reason(error)}). {ADVICE}"
        ) from error
    files = {sibling.rfilename: sibling.size for sibling in info.siblings or [] if _is_wanted(sibling.rfilename)}
    pickles = any(fnmatch.fnmatch(sibling.rfilename, "*.bin") for sibling in info.siblings or [])
    if pickles and not any(file.endswith(".safetensors") for file in files):
        raise ValueError(
            f"model {name!r} has its weights as pickle files only, which can run code when they are opened: "
            "choose a model with safetensors, or convert it in an environment that you trust and pass the folder"
        )
    return files, info.sha


def _check_files(name: str, files: dict[str, int | None] | None) -> None:
    if files is None:
        return
    if "config.json" not in files or not any(file.endswith(".safetensors") for file in files):
        missing = "config.json" if "config.json" not in files else "safetensors weights"
        raise ModelNotFoundError(
            f"model {name!r} has no {missing} on the hub, so it is not a transformers model. {ADVICE}"
        )


def _announce(name: str, files: dict[str, int | None] | None, commit: str | None) -> None:
    """Say how many GB are about to be downloaded; raise where the disk does not have them."""
    if files is None:
        say(f"downloading {name} (size unknown) to {_cache()}")
        return
    missing = [file for file in files if not isinstance(try_to_load_from_cache(name, file, revision=commit), str)]
    size = sum(files[file] or 0 for file in missing)
    place = Path(_cache())
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if size > free:
        raise ModelNotFoundError(
            f"model {name!r} needs {gigabytes(size)}, but {place} has {gigabytes(free)} left: free some space, or set "
            f"HF_HOME to a folder on a larger disk. {ADVICE}"
        )
    say(f"downloading {name}: {gigabytes(size)} to {_cache()}")


def _is_wanted(file: str) -> bool:
    return any(fnmatch.fnmatch(file, pattern) for pattern in _WANTED) and not any(
        fnmatch.fnmatch(file, pattern) for pattern in _UNWANTED
    )


def _gated(name: str) -> str:
    return (
        f"model {name!r} is gated: accept its terms at {constants.ENDPOINT}/{name} and log in with `hf auth login` "
        f"(or set HF_TOKEN). {ADVICE}"
    )


def say(message: str) -> None:
    """Announce what is about to take a while."""
    # To the log for programs, and to the terminal for people: a silent wait of minutes looks like a hang.
    _LOGGER.info(message)
    tqdm.write(f"surveysim: {message}", file=sys.stderr)


def _cache() -> str:
    return os.fspath(constants.HF_HUB_CACHE)


def gigabytes(size: int) -> str:
    """A size in words."""
    return f"{size / 1e9:.2f} GB" if size < 1e10 else f"{size / 1e9:.0f} GB"


def _reason(error: Any) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
