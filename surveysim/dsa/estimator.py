"""`DSARegressor`: a language model's last block fine-tuned to distributions, then to shifts between backgrounds."""

from __future__ import annotations

import numbers
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from surveysim.base import DistributionRegressor
from surveysim.cells import FitCells, PredictCells
from surveysim.errors import warn
from surveysim.parameters import as_generator, check_number, check_random_state
from surveysim.prompts import Template, get_template
from surveysim.questions import Question
from surveysim.validation import check_folds

if TYPE_CHECKING:
    from surveysim.dsa.intervals import Calibration
    from surveysim.models import LoadedModel

__all__ = ["DSARegressor"]

ASSUMED_RESPONDENTS = 100.0
"""Respondents per cell where `sample_weight` is not given: what a cell of a mid-sized survey has."""

TUNINGS = ("last-block", "lora")

INITS = ("marginal", "baseline", None)


class DSARegressor(DistributionRegressor):
    """Predict how groups of people answer survey questions, by distribution shift alignment of a language model.

    The last block and the option rows of the output layer of a causal language model are fine-tuned in two stages:
    first to the observed distributions (Kullback-Leibler divergence, weighted by respondents), then to the *shifts*
    between backgrounds, which are pulled towards reference shifts so that small cells borrow strength. All other
    blocks, the trunk, are frozen: their output is computed once for each distinct prompt.

    The idea and the two stages are from [1]_. Its exact shift loss is not public: the loss, the references, the
    choice of their weight on held-out respondents and ``init="baseline"`` are this library's.

    Parameters
    ----------
    model : str, default="Qwen/Qwen3-4B"
        A causal language model: a name on the Hugging Face hub (downloaded on first use), a local folder, or
        ``"nano"``, the model of 2 million parameters that comes with the package. ``"nano"`` knows the language of
        surveys and nothing about people; it makes everything runnable on a laptop.
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
        losses, stages and selection. Nothing of it can be computed once, so that it takes many times as long.
    n_blocks : int, default=1
        How many of the last blocks are trained; 1 with ``tuning="lora"``, which tunes all of them.
    n_members : int, optional
        Average the predictions of this many heads, trained with different batch orders. None: one.
    init : {"marginal", "baseline"} or None, default="marginal"
        Where training starts. ``"marginal"``: each question's pooled training distribution (this is DSA as
        published, as far as its description is public). ``"baseline"``: the model's logits are added to those of
        `LogitRegressor`, with a weight between 0 and 1 chosen on held-out respondents (0 unless they are predicted
        better by more than two standard errors), so that the result keeps the statistical model where the language
        model adds nothing. None: nothing is learned for each question, for models that are to answer questions they
        were not trained on.
    shift_reference : {"auto", "zero", "baseline", "zero-shot", "observed"}, default="auto"
        The reference shifts of stage 2. ``"zero"``: groups are alike until the data say otherwise. ``"baseline"``:
        the shifts of `LogitRegressor` fitted to the same cells. ``"zero-shot"``: the untuned model's shifts, scaled
        by a slope per attribute that the data choose. ``"observed"``: the data's own (no denoising). ``"auto"``:
        chosen on held-out respondents among the first three.
    shift_weight : float or "auto", default="auto"
        Weight of stage 2 in respondents per cell: how many more respondents a cell would need to outweigh what its
        neighbours say of it. ``"auto"``: 1.5, unless held-out respondents are better predicted with 0, 0.375, 6 or
        24 by more than one standard error. 0: stage 1 alone.
    max_epochs : int, default=12
        Passes over the cells in stage 2, and at most so many in stage 1, where held-out respondents decide when to
        stop. An epoch has at least 8 steps; small surveys are gone through several times.
    learning_rate : float or "auto", default="auto"
        Of Adam. ``"auto"``: 0.4 over the model's width; with ``tuning="lora"`` 0.8 over it.
    batch_size : int or "auto", default="auto"
        Cells per step. A question's cells always stay together (up to 1,024 of them), so that pairs meet; several
        questions share a step while they fit. ``"auto"``: 128, and 64 for models wider than 1,024; 32 with
        ``tuning="lora"``.
    validation_fraction : float, default=0.2
        Share of the respondents held out to choose epochs, reference and weights; afterwards the model is trained on
        all. 0: nothing is chosen; `max_epochs` is used up.
    trunk_cache : path, optional
        A folder where trunk states are kept between processes; None with ``tuning="lora"``, which has none.
    device : str, default="auto"
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``; auto: the accelerator if there is one.
    dtype : str, default="auto"
        Number type of the trunk; the head is always trained in float32.
    revision : str, optional
        A commit, tag or branch of the model on the hub.
    local_files_only : bool, default=False
        Never download.
    verbose : int, default=0
        1: progress bars.
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
        For each attribute how much of the untuned model's differences between groups the data bear out: 1 all of
        it, 0.2 a fifth (the model exaggerates fivefold), 0 nothing. None if ``"zero-shot"`` was not looked at.
    n_pairs_ : dict of str to int
        For each attribute the number of pairs of cells that stage 2 compared.
    label_mass_ : float
        Mean share of the untuned model's next-token probability that falls on option labels. Below about 0.5 the
        model does not follow the prompt.
    baseline_ : LogitRegressor or None
        The fitted baseline if ``init="baseline"``.
    n_dropped_ : int
        Training rows left out because their ``sample_weight`` is 0.

    See Also
    --------
    surveysim.baselines.LogitRegressor : The statistical model that a language model has to beat.
    surveysim.tabulate : From respondents to cells.

    Notes
    -----
    After a fit ``set_params`` has no effect before the next one, but for what says where and how to compute: `device`,
    `dtype`, `batch_size`, `trunk_cache`, `local_files_only`, `verbose`, and `model` and `revision` as other places of
    the same weights.

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
    >>> X = pd.DataFrame({"age": ["18-29", "30-64", "65+"] * 2, "gender": ["woman"] * 3 + ["man"] * 3})
    >>> Y = [[0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.3, 0.3, 0.4], [0.4, 0.4, 0.2], [0.3, 0.4, 0.3], [0.2, 0.4, 0.4]]
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
        tuning: str = "last-block",
        n_blocks: int = 1,
        n_members: int | None = None,
        init: str | None = "marginal",
        shift_reference: str = "auto",
        shift_weight: float | str = "auto",
        max_epochs: int = 12,
        learning_rate: float | str = "auto",
        batch_size: int | str = "auto",
        validation_fraction: float = 0.2,
        trunk_cache: str | os.PathLike[str] | None = None,
        device: str = "auto",
        dtype: str = "auto",
        revision: str | None = None,
        local_files_only: bool = False,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.question = question
        self.question_column = question_column
        self.template = template
        self.tuning = tuning
        self.n_blocks = n_blocks
        self.n_members = n_members
        self.init = init
        self.shift_reference = shift_reference
        self.shift_weight = shift_weight
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.trunk_cache = trunk_cache
        self.device = device
        self.dtype = dtype
        self.revision = revision
        self.local_files_only = local_files_only
        self.verbose = verbose
        self.random_state = random_state

    def fit(
        self, X: Any, Y: ArrayLike, sample_weight: ArrayLike | None = None, folds: ArrayLike | None = None
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
            self._check_parameters()
            template = get_template(self.template)
            cells = self._validate_fit(X, Y, sample_weight)
            checked_folds = check_folds(folds, cells, n_rows=len(np.asarray(Y)))
            n = cells.n if sample_weight is not None else np.full(len(cells.n), ASSUMED_RESPONDENTS)
            self._fit(cells, n, checked_folds, template, by_cell=sample_weight is None and checked_folds is None)
        return self

    def _fit(
        self, cells: FitCells, n: np.ndarray, folds: np.ndarray | None, template: Template, *, by_cell: bool
    ) -> None:
        from surveysim.dsa.fit import fit_members

        model = self._load()
        rng = as_generator(self.random_state)
        result = fit_members(model, self, cells, n, folds, template, rng, by_cell=by_cell)
        plan = result.training.plan
        self.model_fingerprint_ = model.fingerprint
        self._model_name, self._model_revision = model.name, model.revision
        self._template = template
        self._members = result.members
        self._seen_questions = result.seen_questions
        self._training = result.training
        self._replicates: list[dict[str, Any]] | None = None
        self._calibration: Calibration | None = None
        self.history_ = result.history
        self.n_iter_ = plan.n_epochs
        second = plan.n_epochs[1] > 0
        self.shift_weight_ = plan.candidate.weight if second else 0.0
        self.shift_reference_ = plan.candidate.reference if second and plan.candidate.weight else None
        self.stack_weight_ = plan.stack_weight
        self.gap_inflation_ = result.gap_inflation
        self.n_pairs_ = result.n_pairs
        self.label_mass_ = result.label_mass
        self.baseline_ = result.baseline

    def _predict(self, cells: PredictCells) -> np.ndarray:
        from surveysim.dsa.predict import predict_members

        self._warn_unseen_questions(cells)
        return predict_members(self._load(check=True), self, cells, self._members)

    def predict_interval(self, X: Any, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Intervals for the predicted shares of groups, symmetric in their log-odds.

        The wider of two:

        - How much the prediction depends on who was sampled. The first call refits the head without each respondent
          fold in turn (the folds passed to `fit`, else five random groups), with the epochs, reference and weight of
          the fit; the refits' spread gives a delete-a-group jackknife standard error [1]_.
        - How far it may be off at all. Refits share what shrinkage gets wrong, and that cells are no sums of effects.
          `LogitRegressor` has a posterior for both: expected is its variance, plus the squared distance of the
          prediction from it. Where the respondents left out by the refits deviate by clearly more than that, these
          variances are multiplied, by as much as is clear.

        So an interval is hardly ever narrower than the logit's: what a language model knows shows in the prediction,
        not in its interval. For a question without training cells, how far its level may be off is not covered.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            Backgrounds, as in `predict`.
        level : float, default=0.9
            Nominal coverage, between 0 and 1.

        Returns
        -------
        lower, upper : float64 arrays of shape (n, K)
            NaN past the last option of a shorter question.

        References
        ----------
        .. [1] Kott, P. S. (2001). "The delete-a-group jackknife." Journal of Official Statistics 17(4), 521-526.
        """
        from surveysim.dsa.intervals import (
            calibrate,
            combined_interval,
            expected_variance,
            refit_without_each_group,
        )
        from surveysim.dsa.predict import predict_each

        cells = self._validate_predict(X)
        if not isinstance(level, numbers.Real) or not 0 < level < 1:
            raise ValueError(f"level must be a number between 0 and 1, got {level!r}")
        if self._replicates is None:
            self._replicates = refit_without_each_group(self._load(check=True), self)
        if self._calibration is None:
            self._calibration = calibrate(self._load(check=True), self)
        center = self._predict(cells)
        refits = predict_each(self._load(check=True), self, cells, self._replicates)
        variance = expected_variance(self._calibration.logit, cells, center)
        variance = np.where(np.isnan(variance), self._calibration.typical, variance)
        return combined_interval(center, refits, self._calibration.factor * variance, level)

    def sample(self, X: Any, n: int = 1, random_state: Any = None) -> pd.DataFrame:
        """Draw answers of simulated respondents.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features_in_)
            One row per simulated respondent (or per respondent and question).
        n : int, default=1
            Draws per row.
        random_state : int, RandomState, Generator or None, default=None
            Of the draws.

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
            raise ValueError('X has a column "answer", which is the name of the column of draws: rename it')
        generator = as_generator(random_state)
        P = self._predict(cells)
        thresholds = np.nan_to_num(P, nan=0.0).cumsum(axis=1).repeat(n, axis=0)
        thresholds /= thresholds[:, -1:]
        choice = (generator.random((len(thresholds), 1)) >= thresholds).sum(axis=1)
        questions = list(self.questions_.values())
        drawn = frame.iloc[np.repeat(np.arange(len(frame)), n)].reset_index(drop=True)
        question_index = np.repeat(cells.question_index, n)
        drawn["answer"] = [questions[q].options[k] for q, k in zip(question_index, choice, strict=True)]
        return drawn

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator as a folder of safetensors and JSON, to be read by `surveysim.load`.

        The base model is not in it, only how to find it. The folder appears when it is complete: an interrupted save
        leaves nothing that loads.

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
        from surveysim.dsa.saved import save

        check_is_fitted(self)
        save(self, path)

    # --- the base model -----------------------------------------------------------------------------------------------

    def _load(self, *, check: bool = False) -> LoadedModel:
        from surveysim.models import load_model

        revision = self.revision
        if check and revision is None and str(self.model) == self._model_name:
            revision = self._model_revision  # the commit at fit, though the hub may have a newer one by now
        model = load_model(
            self.model,
            revision=revision,
            device=self.device,
            dtype=self.dtype,
            local_files_only=self.local_files_only,
        )
        if check and model.fingerprint != self.model_fingerprint_:
            raise ValueError(
                f"the base model {self.model!r} is not the one this estimator was fitted with: its fingerprint is "
                f"{model.fingerprint[:12]}, at fit it was {self.model_fingerprint_[:12]}. Point `model` to the same "
                "weights (set_params(model=...), revision=...), or fit again."
            )
        return model

    # --- checks -------------------------------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        """Everything about the parameters that can be wrong without looking at data."""
        from surveysim.dsa.shifts import REFERENCES
        from surveysim.models.devices import resolve_device, resolve_dtype

        if self.tuning not in TUNINGS:
            raise ValueError(f"tuning must be 'last-block' or 'lora', got {self.tuning!r}")
        if self.init not in INITS:
            raise ValueError(f"init must be 'marginal', 'baseline' or None, got {self.init!r}")
        if self.shift_reference not in ("auto", *REFERENCES):
            raise ValueError(f"shift_reference must be one of {('auto', *REFERENCES)}, got {self.shift_reference!r}")
        check_number("n_blocks", self.n_blocks, integer=True, low=1)
        check_number("max_epochs", self.max_epochs, integer=True, low=1)
        if self.n_members is not None:
            check_number("n_members", self.n_members, integer=True, low=1)
        if self.batch_size != "auto":
            check_number("batch_size", self.batch_size, integer=True, low=1, auto=True)
        if self.learning_rate != "auto":
            check_number("learning_rate", self.learning_rate, low=0.0, auto=True, open_low=True)
        if self.shift_weight != "auto":
            check_number("shift_weight", self.shift_weight, low=0.0, auto=True)
        check_number("validation_fraction", self.validation_fraction, low=0.0, high=0.5)
        if self.trunk_cache is not None and not isinstance(self.trunk_cache, str | os.PathLike):
            raise TypeError(f"trunk_cache must be a folder or None, got {self.trunk_cache!r}")
        check_random_state(self.random_state)
        if self.tuning == "lora":
            self._check_lora()
        resolve_dtype(self.dtype, resolve_device(self.device))

    def _check_lora(self) -> None:
        """What says nothing where adapters are trained in all blocks."""
        if self.n_blocks != 1:
            raise ValueError(
                f"n_blocks={self.n_blocks} with tuning='lora': adapters tune all blocks. Leave n_blocks=1, or choose "
                "tuning='last-block'"
            )
        if self.trunk_cache is not None:
            raise ValueError(
                f"trunk_cache={os.fspath(self.trunk_cache)!r} with tuning='lora': adapters change every block, so that "
                "there are no trunk states to keep. Leave trunk_cache=None, or choose tuning='last-block'"
            )

    def _warn_unseen_questions(self, cells: PredictCells) -> None:
        if self.init is None:
            return
        names = [name for _, name, _, _ in cells.by_question() if name not in self._seen_questions]
        if names:
            warn(
                f"no training cells for {names}: with init={self.init!r} levels are learned for each question, so "
                "these get the language model's logits alone. For unseen questions fit with init=None."
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        return tags
