"""Which model an elicitor asks, and where: on this machine or behind a server, with or without a journal."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from surveysim.asking.asks import Answerer
from surveysim.bank.bank import QuestionBank

__all__ = ["REMOTE", "AskedModel"]

REMOTE = "openai:"
"""How the name of a model behind a server begins."""


@dataclass(frozen=True)
class AskedModel:
    """A model to be asked; nothing is loaded and nobody is asked before `answerer`.

    Attributes
    ----------
    name : str or path
        As in ``ZeroShotElicitor(model)``.
    base_url, api_key_env : str or None
        Of a server.
    max_workers : int
        Requests to a server at the same time.
    journal : path or None
        Where answers are kept.
    device, dtype : str
        Of a model on this machine.
    revision : str or None
    local_files_only : bool
    verbose : int
    bank : QuestionBank or None
        Whose weights answer in place of the model's own.
    """

    name: str | os.PathLike[str]
    base_url: str | None
    api_key_env: str | None
    max_workers: int
    journal: str | os.PathLike[str] | None
    device: str
    dtype: str
    revision: str | None
    local_files_only: bool
    verbose: int
    bank: QuestionBank | None = None

    @property
    def is_remote(self) -> bool:
        """Whether it is behind a server."""
        return isinstance(self.name, str) and self.name.startswith(REMOTE)

    def check(self) -> None:
        """Check everything that can be checked without loading or asking.

        Raises
        ------
        TypeError, ValueError
            With the parameter at fault.
        """
        if not isinstance(self.name, str | os.PathLike) or not str(self.name):
            raise TypeError(f"model must be a name or a folder, got {self.name!r}")
        if self.journal is not None and not isinstance(self.journal, str | os.PathLike):
            raise TypeError(f"journal must be a file or None, got {self.journal!r}")
        for name, value in (("base_url", self.base_url), ("api_key_env", self.api_key_env)):
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name} must be a string or None, got {type(value).__name__}")
            if value is not None and not self.is_remote:
                raise ValueError(
                    f"{name} is for models behind a server, but model={str(self.name)!r} is not one: their names "
                    f'begin with "{REMOTE}"'
                )
        if self.bank is not None:
            if self.is_remote:
                raise ValueError(
                    f"base has weights of its own, which a model behind a server ({self.name!r}) cannot use"
                )
            self.bank.check_name(self.name)
        if self.is_remote:
            self.server()  # checks name, address and the name of the key's variable
        else:
            from surveysim.models.devices import resolve_device, resolve_dtype

            resolve_dtype(self.dtype, resolve_device(self.device))

    def answerer(self) -> Answerer:
        """The model that answers, behind its journal; one on this machine is loaded."""
        answerer: Answerer = self.server() if self.is_remote else self._local()
        if self.journal is None:
            return answerer
        from surveysim.asking.journaled import journaled

        return journaled(answerer, self.journal)

    def _local(self) -> Any:
        from surveysim.asking.local import LocalAnswerer
        from surveysim.models import load_model
        from surveysim.models.processes import ModelAddress

        model = load_model(
            self.name,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            local_files_only=self.local_files_only,
        )
        address = ModelAddress.of(model, device=self.device, local_files_only=self.local_files_only)
        if self.bank is not None:
            from surveysim.bank.answerer import BankAnswerer

            return BankAnswerer(model, self.bank, address=address)
        return LocalAnswerer(model, address=address)

    def server(self) -> Any:
        """The answerer of a model behind a server, without its journal."""
        from surveysim.asking.remote import RemoteAnswerer

        return RemoteAnswerer(
            str(self.name).removeprefix(REMOTE),
            base_url=self.base_url,
            api_key_env=self.api_key_env,
            max_workers=self.max_workers,
            verbose=self.verbose,
        )
