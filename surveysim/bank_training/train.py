"""`train_bank`: fine-tune a language model once on many surveys' questions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from surveysim.bank import QuestionBank
from surveysim.bank.means import mean_logits, question_margins, question_means, start_logits
from surveysim.bank.prompts import encode_by_survey
from surveysim.bank_training.checkpoints import Checkpoints, digest_of
from surveysim.bank_training.holding_out import HeldOut, hold_out
from surveysim.bank_training.judging import BANK, UNTUNED, judge
from surveysim.bank_training.run import BankRun, HeldOutCells
from surveysim.bank_training.tables import BankCells
from surveysim.cells import FitCells
from surveysim.dsa import DSARegressor
from surveysim.dsa.base_model import load_base_model
from surveysim.dsa.batches import Batches
from surveysim.dsa.fit import Training, make_trainer
from surveysim.dsa.inputs import choose_batch_size, inputs_of, recipe_of
from surveysim.dsa.loop import option_logits
from surveysim.dsa.parameters import check_parameters
from surveysim.dsa.progress import EpochBar
from surveysim.dsa.settings import training_of
from surveysim.dsa.trainer import Candidate, Trainer
from surveysim.interfaces import RandomState
from surveysim.models.own_torch import own_torch
from surveysim.parameters import as_generator, check_number
from surveysim.prompts import Template, get_template
from surveysim.tables.joining import survey_of

if TYPE_CHECKING:
    from surveysim.datasets import QuestionSet
    from surveysim.dsa.inputs import Tuning
    from surveysim.models import LoadedModel
    from surveysim.tables import Cells

__all__ = ["train_bank"]

HELD_OUT = "held-out questions"


def train_bank(
    cells: Cells | QuestionSet,
    model: str | os.PathLike[str] = "Qwen/Qwen3-4B",
    *,
    folder: str | os.PathLike[str] | None = None,
    held_out_surveys: Sequence[str] = (),
    held_out_share: float = 0.2,
    choose_by_surveys: Sequence[str] = (),
    template: str | Template = "default",
    tuning: Tuning = "last-block",
    n_blocks: int = 1,
    shift_weight: float = 0.0,
    shift_reference: Literal["zero", "baseline"] = "baseline",
    max_epochs: int = 12,
    patience: int = 3,
    learning_rate: float | Literal["auto"] = "auto",
    batch_size: int | Literal["auto"] = "auto",
    trunk_cache: str | os.PathLike[str] | None = None,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    local_files_only: bool = False,
    verbose: int = 0,
    random_state: RandomState = None,
) -> QuestionBank:
    """Fine-tune a language model on many surveys' questions, to ask it about questions that nobody was asked.

    Nothing is learned for any one question. The model's logits are added to the log of the mean of the training
    questions with as many options, and held-out questions decide when to stop and how much the model's part counts.
    The training is that of `DSARegressor`: the last blocks and the options' output rows, or adapters; distributions
    first, then, if asked for, the shifts between backgrounds.

    Parameters
    ----------
    cells : Cells or QuestionSet
        Many questions; `surveysim.join_cells` makes one table of several surveys. A question's survey is what stands
        before the ``"/"`` in its name. Prompts name the attributes that the question's own survey has.
    model : str, default="Qwen/Qwen3-4B"
        As for `DSARegressor`.
    folder : path, optional
        Where a checkpoint is kept after each epoch. A training that was interrupted is called again in the same way
        and goes on after its last whole epoch, to the same numbers. `random_state` None then stands for 0.
    held_out_surveys : sequence of str, default=()
        Surveys that are not trained on, and only measured in the end. Questions of other surveys with a wording that
        is asked there are left out.
    held_out_share : float, default=0.2
        Share of each other survey's questions by which epochs and the weight are chosen. They are not trained on
        either: the report describes the bank as it is.
    choose_by_surveys : sequence of str, default=()
        Surveys by whose questions epochs and the weight are chosen, in place of `held_out_share`; they are not trained
        on. Questions of one survey resemble each other, so that a share of each says how far to trust the bank on
        further questions of the *same* surveys. Where it is meant for other surveys, let a survey choose.
    template : str or Template, default="default"
        The wording of the prompts.
    tuning : {"last-block", "lora"}, default="last-block"
    n_blocks : int, default=1
        As for `DSARegressor`.
    shift_weight : float, default=0.0
        Weight, in respondents per cell, of a second stage that aligns shifts between backgrounds. 0: one stage.
    shift_reference : {"zero", "baseline"}, default="baseline"
        What shifts are pulled to in it: none, or those of a `LogitRegressor` fitted to the training cells.
    max_epochs : int, default=12
        Passes over the cells in each stage, at most.
    patience : int, default=3
        Epochs without a better prediction of the held-out questions after which a stage ends.
    learning_rate, batch_size, trunk_cache, device, dtype, revision, local_files_only, verbose
        As for `DSARegressor`.
    random_state : int, RandomState, Generator or None, default=None
        Which questions are held out, and the order of batches.

    Returns
    -------
    QuestionBank
        To be passed as ``base=`` to `ZeroShotElicitor` and `DSARegressor`, and saved.

    Raises
    ------
    TypeError, ValueError
        With the row, column or parameter at fault, before the model is loaded; or if `folder` has checkpoints of
        another training.

    Notes
    -----
    A cell of n respondents counts as ``n * 100 / (n + 100)``, and all questions count alike.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from surveysim import Question, ZeroShotElicitor, join_cells, train_bank
    >>> from surveysim.datasets import QuestionSet
    >>> def survey(topics):
    ...     questions = {
    ...         topic: Question(f"Do you trust the {topic}?", ["yes", "partly", "no"])
    ...         for topic in topics
    ...     }
    ...     X = pd.DataFrame(
    ...         {"question": np.repeat(topics, 2), "age": ["18-29", "65+"] * len(topics)}
    ...     )
    ...     Y = np.tile([[0.6, 0.3, 0.1], [0.4, 0.3, 0.3]], (len(topics), 1))
    ...     return QuestionSet(X=X, Y=Y, n=np.full(len(X), 200.0), questions=questions)
    >>> cells = join_cells(
    ...     {
    ...         "town": survey(["mayor", "police", "press", "courts", "parties"]),
    ...         "club": survey(["chair", "board", "cook", "coach", "bank"]),
    ...     }
    ... )
    >>> bank = train_bank(cells, "nano", held_out_share=0.4, max_epochs=2, random_state=0)
    >>> bank.about["n_questions"], bank.report["predicted_by"].tolist()[:2]
    (6, ['bank', 'untuned model'])
    >>> new = Question("Do you trust the weather forecast?", ["yes", "partly", "no"])
    >>> X = pd.DataFrame({"age": ["18-29", "65+"]})
    >>> ZeroShotElicitor("nano", base=bank, method="logprob", question=new).fit(X).predict(
    ...     X
    ... ).shape
    (2, 3)
    """
    given: dict[str, Any] = dict(locals())
    del given["cells"], given["folder"], given["held_out_surveys"], given["held_out_share"], given["patience"]
    del given["choose_by_surveys"]
    if folder is not None and random_state is None:
        given["random_state"] = 0
    estimator = DSARegressor(init=None, question=dict(cells.questions), **given)
    _check(estimator, held_out_surveys, choose_by_surveys, held_out_share, patience)
    wording = get_template(template)
    checked = estimator._validate_fit(cells.X, cells.Y, cells.n)
    generator = as_generator(given["random_state"])
    names = {name: checked.questions[name] for name in dict.fromkeys(checked.question_names)}
    parts = hold_out(names, list(held_out_surveys), held_out_share, generator, list(choose_by_surveys))
    parameters = estimator.get_params(deep=False)
    loaded = load_base_model(parameters, None)
    job = _Job(
        loaded,
        training_of(parameters, wording),
        checked,
        parts,
        int(generator.integers(2**31)),
        patience,
        None if folder is None else Path(folder).expanduser(),
    )
    return job.run()


def _check(
    estimator: DSARegressor, surveys: Sequence[str], choosing: Sequence[str], share: float, patience: int
) -> None:
    check_parameters(estimator.get_params(deep=False))
    if estimator.shift_weight == "auto" or estimator.shift_reference not in ("zero", "baseline"):
        raise ValueError(
            "shift_weight must be a number and shift_reference 'zero' or 'baseline' for a bank, got "
            f"{estimator.shift_weight!r} and {estimator.shift_reference!r}"
        )
    for name, value in (("held_out_surveys", surveys), ("choose_by_surveys", choosing)):
        if isinstance(value, str):
            raise TypeError(f"{name} must be a list of names, got the string {value!r}")
    check_number("held_out_share", share, low=0.0, high=0.9, open_low=True)
    check_number("patience", patience, integer=True, low=1)


@dataclass(frozen=True)
class _Job:
    """One training, from checked cells to a bank."""

    model: LoadedModel
    training: Training
    cells: FitCells
    parts: HeldOut
    seed: int
    patience: int
    folder: Path | None

    @own_torch()
    def run(self) -> QuestionBank:
        train, held_out = (BankCells.of(self.cells, names) for names in (self.parts.training, self.parts.questions))
        margins = question_margins(train.cells, train.Y, train.n)
        means = question_means(margins)
        # once all is chosen, the mean takes in the questions that chose
        final = question_means(margins | question_margins(held_out.cells, held_out.Y, held_out.n))
        with EpochBar(self.training.options.verbose) as bar:
            trainer = self._trainer(train, bar)
            choosing = self._batches(trainer, held_out)
            offset = start_logits(margins, len(self.cells.questions), train.Y.shape[1])[train.cells.question_index]
            run = BankRun(
                trainer,
                self._objectives(trainer, train, offset),
                HeldOutCells(choosing, held_out.counts, self._means(means, held_out)),
                self.training.settings.max_epochs,
                self.patience,
                self._checkpoints(),
                bar.epoch,
            )
            head, weight, history = run.train()
            rounded = {
                name: (value.bfloat16() if name.startswith("blocks.") else value).cpu()
                for name, value in head.items()
                if name != "bias"
            }
            surveys = {survey: BankCells.of(self.cells, names) for survey, names in self.parts.surveys.items()}
            judged = {HELD_OUT: (held_out, means), **{name: (found, final) for name, found in surveys.items()}}
            report = self._report(trainer, rounded, weight, judged)
        return self._bank(rounded, weight, final, report, history, train)

    def _trainer(self, train: BankCells, bar: EpochBar) -> Trainer:
        training = self.training
        recipe = recipe_of(self.model, training.part)
        prompts = encode_by_survey(self.model, training.template, train.cells)
        inputs = inputs_of(self.model, training.part, training.options, prompts)
        return make_trainer(self.model, training, recipe, inputs, train.cells, self.seed, bar=bar)

    def _batches(self, trainer: Trainer, cells: BankCells) -> Batches:
        """Cells to judge by, ready for the trainer's head."""
        training = self.training
        prompts = encode_by_survey(self.model, training.template, cells.cells)
        return Batches(
            inputs_of(self.model, training.part, training.options, prompts),
            cells.cells.backgrounds,
            cells.cells.question_index,
            list(cells.cells.questions.values()),
            trainer.batches.n_options,
            choose_batch_size(training.settings.batch_size, recipe_of(self.model, training.part)),
            np.random.default_rng(self.seed),
            trainer.batches.device,
        )

    def _objectives(self, trainer: Trainer, train: BankCells, offset: np.ndarray) -> list[Any]:
        settings = self.training.settings
        start = trainer.start(train.counts)
        shift = Candidate(settings.shift_reference, float(settings.shift_weight))
        stages = [None, shift] if settings.shift_weight and trainer.has_pairs else [None]
        tensor = trainer.batches.tensor(offset)
        return [replace(trainer.objective(start, train.counts, stage), offset=tensor) for stage in stages]

    def _means(self, means: dict[int, tuple[float, ...]], cells: BankCells) -> np.ndarray:
        return mean_logits(means, cells.cells.n_options.tolist(), cells.Y.shape[1])

    def _checkpoints(self) -> Checkpoints | None:
        if self.folder is None:
            return None
        settings = asdict(self.training.settings)
        del settings["max_epochs"]  # a training may be called again to go on for longer
        about = {
            "fingerprint": self.model.fingerprint,
            "dtype": str(self.model.dtype),
            "part": asdict(self.training.part),
            "template": asdict(self.training.template),
            "settings": settings,
            "patience": self.patience,
            "seed": self.seed,
            "parts": asdict(self.parts),
            "questions": {name: question.to_dict() for name, question in self.cells.questions.items()},
            "backgrounds": [
                [None if pd.isna(value) else str(value) for value in self.cells.backgrounds[column]]
                for column in self.cells.backgrounds
            ],
        }
        return Checkpoints(self.folder, digest_of(about, np.nan_to_num(self.cells.Y, nan=-1.0), self.cells.n))

    def _report(
        self,
        trainer: Trainer,
        head: dict[str, Tensor],
        weight: float,
        judged: dict[str, tuple[BankCells, dict[int, tuple[float, ...]]]],
    ) -> pd.DataFrame:
        """What was held out, by name, each with the means that go with it."""
        rows: list[dict[str, Any]] = []
        for name, (cells, means) in judged.items():
            batches = self._batches(trainer, cells)
            trainer.head.reset()
            logits = {UNTUNED: option_logits(trainer.head, batches)}
            trainer.head.restore({**head, "bias": torch.zeros_like(trainer.head.bias)})
            logits[BANK] = option_logits(trainer.head, batches)
            rows += judge(name, cells, self._means(means, cells), logits, weight)
        return pd.DataFrame(rows)

    def _bank(
        self,
        head: dict[str, Tensor],
        weight: float,
        means: dict[int, tuple[float, ...]],
        report: pd.DataFrame,
        history: Sequence[Mapping[str, float]],
        train: BankCells,
    ) -> QuestionBank:
        lengths = sorted({question.n_options for question in self.cells.questions.values()})
        labels = {K: self.model.labels(K) for K in lengths}
        ids = {token for found in labels.values() for variants in found.variants for token in variants}
        part = self.training.part
        return QuestionBank(
            model_name=self.model.name,
            revision=self.model.revision,
            fingerprint=self.model.fingerprint,
            tuning=part.tuning,
            n_blocks=part.n_blocks,
            template=self.training.template,
            letters={K: found.letters for K, found in labels.items()},
            row_ids=tuple(sorted(ids)),
            tensors=head,
            means=means,
            weight=weight,
            report=report,
            history=pd.DataFrame(history),
            about={
                "n_surveys": len({survey_of(name) for name in self.parts.training}),
                "n_questions": len(self.parts.training),
                "n_cells": len(train),
                "held_out_questions": self.parts.questions,
                "held_out_surveys": list(self.parts.surveys),
                "repeated_questions": self.parts.repeated,
                "seed": self.seed,
            },
        )
