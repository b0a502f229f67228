"""`QuestionBank`: the trained part of a model, what it was trained on, and how well it did on what was held out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from surveysim.prompts import Template
from surveysim.saving import read_folder, without_nan, write_folder

if TYPE_CHECKING:
    from torch import Tensor

    from surveysim.models.loaded import LoadedModel

__all__ = ["BANK_CLASS", "QuestionBank", "find_bank"]

BANK_CLASS = "QuestionBank"


@dataclass(frozen=True, eq=False, repr=False)
class QuestionBank:
    """What a language model has learned from many questions; made by `surveysim.train_bank`, read by `surveysim.load`.

    Pass it, or the folder in which it was saved, as ``base=`` to `DSARegressor` and `ZeroShotElicitor`. It holds
    weights and measurements, and no answers: only the margins' means by number of options.

    A bank predicts ``log(mean) + weight * logits``: the mean of the training questions with as many options, and what
    the tuned model says beyond it. The weight was chosen on held-out questions; 0 means that the model added nothing to
    the mean.

    Attributes
    ----------
    model_name, revision, fingerprint : str, str or None, str
        The language model, which is not in the bank.
    tuning : {"last-block", "lora"}
    n_blocks : int
        What of it was trained.
    template : Template
        The wording that it was trained with.
    letters : dict of int to tuple of str
        The labels of each number of options.
    row_ids : tuple of int
        The vocabulary entries of the trained output rows.
    tensors : dict of str to Tensor
        The trained weights.
    means : dict of int to tuple of float
        The mean margin of all questions but those of held-out surveys, by number of options.
    weight : float
        Of the model beside the mean, from 0 to 1.
    report : DataFrame
        One row for each set of questions that was held out ("held-out questions", and each survey of
        `held_out_surveys`) and each of "bank", "untuned model", "mean of the training questions" and "equal shares":
        ``n_questions``, ``n_cells``, ``cross_entropy`` (nats, the mean over questions), ``js`` and ``js_debiased``
        (means over questions of the mean Jensen-Shannon divergence of their cells, base 2). The weights were chosen on
        the held-out questions, which makes their figures a little too good; those of held-out surveys are not. The
        mean beside which held-out questions are measured is that of the training questions alone; afterwards it takes
        in the held-out ones as well, and so it is in the rows of held-out surveys.
    history : DataFrame
        One row per epoch.
    about : dict
        Numbers of surveys, questions and cells, and which questions were held out.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import pandas as pd
    >>> import surveysim
    >>> from surveysim.datasets import QuestionSet
    >>> things = ["tea", "rain", "snow", "bread", "music", "boats"]
    >>> cells = QuestionSet(
    ...     X=pd.DataFrame({"question": things, "age": "18-29"}),
    ...     Y=np.tile([0.7, 0.3], (6, 1)),
    ...     n=np.full(6, 150.0),
    ...     questions={
    ...         thing: surveysim.Question(f"Do you like {thing}?", ["yes", "no"])
    ...         for thing in things
    ...     },
    ... )
    >>> bank = surveysim.train_bank(
    ...     cells, "nano", held_out_share=0.4, max_epochs=1, random_state=0
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bank.save(Path(folder) / "bank")
    ...     again = surveysim.load(Path(folder) / "bank")
    >>> np.round(again.means[2], 3).tolist(), again.digest == bank.digest
    ([0.7, 0.3], True)
    """

    model_name: str
    revision: str | None
    fingerprint: str
    tuning: Literal["last-block", "lora"]
    n_blocks: int
    template: Template
    letters: dict[int, tuple[str, ...]]
    row_ids: tuple[int, ...]
    tensors: dict[str, Tensor]
    means: dict[int, tuple[float, ...]]
    weight: float
    report: pd.DataFrame = field(default_factory=pd.DataFrame)
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    about: dict[str, Any] = field(default_factory=dict)

    # --- keeping ------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bank as a folder of safetensors and JSON, to be read by `surveysim.load`, or named as ``base=``.

        Parameters
        ----------
        path : path
            A folder that does not exist yet; it appears when it is complete.

        Raises
        ------
        FileExistsError
            If it exists.
        """
        from surveysim.version import __version__

        state, tensors = self.state()
        write_folder(Path(path), {"class": BANK_CLASS, **state}, tensors, __version__)

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Everything as what JSON can hold, and tensors; the inverse of `from_state`."""
        state: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("model_name", "revision", "fingerprint", "tuning", "n_blocks", "weight", "about")
        }
        state["template"] = asdict(self.template)
        state["row_ids"] = list(self.row_ids)
        state["letters"] = {str(K): list(letters) for K, letters in self.letters.items()}
        state["means"] = {str(K): list(mean) for K, mean in self.means.items()}
        for name in ("report", "history"):
            state[name] = [without_nan(row) for row in getattr(self, name).to_dict("records")]
        return state, dict(self.tensors)

    @classmethod
    def from_state(cls, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> QuestionBank:
        """The bank that `state` described.

        Parameters
        ----------
        state : mapping
            As `state` gave it: plain values for JSON.
        tensors : mapping of str to Tensor
            The trained tensors by name.

        Returns
        -------
        QuestionBank
        """
        names = ("model_name", "revision", "fingerprint", "tuning", "n_blocks", "weight", "about")
        return cls(
            **{name: state[name] for name in names},
            template=Template(**state["template"]),
            row_ids=tuple(state["row_ids"]),
            letters={int(K): tuple(letters) for K, letters in state["letters"].items()},
            means={int(K): tuple(mean) for K, mean in state["means"].items()},
            report=pd.DataFrame(state["report"]),
            history=pd.DataFrame(state["history"]),
            tensors=dict(tensors),
        )

    @cached_property
    def digest(self) -> str:
        """Identifies the trained weights and what is added to them: part of a journal's keys."""
        digest = hashlib.sha256(repr((self.fingerprint, self.means, self.weight, self.row_ids)).encode())
        for name, tensor in sorted(self.tensors.items()):
            digest.update(name.encode() + np.asarray(tensor.float().cpu().numpy()).tobytes())
        return digest.hexdigest()

    def __deepcopy__(self, memo: object) -> QuestionBank:
        return self  # never changed, and megabytes: scikit-learn's clone may copy parameters as often as it likes

    # --- what it fits -------------------------------------------------------------------------------------------------

    def check_name(self, name: object) -> None:
        """Refuse another model by its name, before it is downloaded; a folder may hold the same weights.

        Parameters
        ----------
        name : str or path
            A model's name, or its folder or file.

        Raises
        ------
        ValueError
            If `name` is not the bank's model and no folder or file on this machine.
        """
        if str(name) != self.model_name and not Path(str(name)).expanduser().exists():
            raise ValueError(
                f"base was trained on the model {self.model_name!r}, but model={str(name)!r} is another one: pass "
                f"model={self.model_name!r}, or a folder with the same weights"
            )

    def check_model(self, model: LoadedModel) -> None:
        """Refuse other weights, and labels that stand for other tokens.

        Parameters
        ----------
        model : LoadedModel
            The model that is to answer.

        Raises
        ------
        ValueError
            If it is not the model that the bank was trained on.
        """
        if model.fingerprint != self.fingerprint:
            raise ValueError(
                f"base was trained on the model {self.model_name!r} with the fingerprint {self.fingerprint[:12]}; "
                f"{model.name!r} has other weights, {model.fingerprint[:12]}. Pass the same model, or train a bank on "
                "this one"
            )
        for K, letters in self.letters.items():
            own = model.labels(K)
            ids = {token for variants in own.variants for token in variants}
            if own.letters != letters or not ids <= set(self.row_ids):
                raise ValueError(
                    f"base was trained with the labels {letters} for {K} options, but {model.name!r} has "
                    f"{own.letters}, or writes them with other tokens: its tokenizer or chat template has changed. "
                    "Train the bank again"
                )

    def __repr__(self) -> str:
        questions, surveys = self.about.get("n_questions", "?"), self.about.get("n_surveys", "?")
        what = "adapters" if self.tuning == "lora" else f"{self.n_blocks} block{'s' if self.n_blocks > 1 else ''}"
        lines = [f"QuestionBank({self.model_name!r}, {what}, {questions} questions of {surveys} surveys"]
        lines.append(f"  weight of the model beside the mean of the training questions: {self.weight:g}")
        if len(self.report):
            for held_out, rows in self.report.groupby("held_out", sort=False):
                figures = ", ".join(f"{row['predicted_by']} {row['js']:.4f}" for _, row in rows.iterrows())
                lines.append(f"  {held_out}, divergence: {figures}")
        return "\n".join(lines) + ")"


def find_bank(base: object) -> QuestionBank | None:
    """The bank that ``base=`` stands for: None, a bank, or the folder in which one was saved.

    Parameters
    ----------
    base : QuestionBank, path or None

    Returns
    -------
    QuestionBank or None

    Raises
    ------
    TypeError
        If it is something else.
    FileNotFoundError, ValueError
        If the folder does not exist, is damaged, or holds no bank.
    """
    if base is None or isinstance(base, QuestionBank):
        return base
    if not isinstance(base, str | os.PathLike):
        raise TypeError(
            f"base must be a QuestionBank, the folder of a saved one, or None, got {type(base).__name__}. "
            "surveysim.train_bank makes banks"
        )
    return _read(Path(base).expanduser())


_read_banks: dict[Path, tuple[tuple[int, int], QuestionBank]] = {}


def _read(folder: Path) -> QuestionBank:
    """A saved bank; one that was read before and has not changed is not read again, as each prediction asks for it."""
    from surveysim.saving import STATE_FILE
    from surveysim.version import __version__

    file = folder.resolve() / STATE_FILE
    stamp = (file.stat().st_mtime_ns, file.stat().st_size) if file.is_file() else None
    if stamp is not None and file in _read_banks and _read_banks[file][0] == stamp:
        return _read_banks[file][1]
    state, tensors = read_folder(folder, {BANK_CLASS}, __version__)
    bank = QuestionBank.from_state(state, tensors)
    if stamp is not None:
        _read_banks.clear()  # one is enough for what the estimators of a script share
        _read_banks[file] = (stamp, bank)
    return bank
