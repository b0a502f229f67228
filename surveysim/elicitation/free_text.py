"""`SimilarityElicitor`: people are asked in their own words, and semantic similarity maps the words to the options."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from surveysim.asking.asks import Answer, Answerer, Ask
from surveysim.cells import PredictCells
from surveysim.elicitation.ask_plans import Asked, AskPlan, background_records
from surveysim.elicitation.averaging import Averaging, Reading, average_readings
from surveysim.elicitation.methods import Method, OnFailure
from surveysim.elicitation.rater import Anchors, SimilarityRater
from surveysim.elicitation.refusing import is_refusal
from surveysim.elicitation.result import Elicitation, attach
from surveysim.elicitation.texts import without_thoughts
from surveysim.elicitation.zero_shot import ZeroShotElicitor
from surveysim.interfaces import RandomState, Table
from surveysim.parameters import check_number
from surveysim.prompts import Prompt, Template, describe_background
from surveysim.prompts.render import describe_question
from surveysim.questions import Question

__all__ = ["INSTRUCTION", "SimilarityElicitor"]

#: Takes the place of the template's request for a label.
INSTRUCTION = (
    "Answer the survey question as this person would, in one or two sentences and in the person's own words. Give the "
    "answer itself, no explanation of the task."
)

_METHOD = Method("similarity", "text", 10, 1.0, False)


class SimilarityElicitor(ZeroShotElicitor):
    """Ask a language model for answers in people's own words, and map them to options by semantic similarity.

    The options are not shown. Each answer gives a distribution over them (`surveysim.elicitation.SimilarityRater`),
    and a cell's is the mean over its answers. It is meant for ordinal questions, where models asked for a number choose
    the middle, and for anyone who wants to read what the simulated respondents say: ``elicit(X).answers["text"]``.

    Parameters
    ----------
    model : str, default="Qwen/Qwen3-4B"
        As in `ZeroShotElicitor`; ``"openai:NAME"`` is a model behind a server. ``"nano"`` has learned to write labels
        and percentages, not sentences: it runs, but says nothing.
    rater : SimilarityRater, optional
        Default: ``SimilarityRater()``, which downloads a small sentence encoder (91 MB) on first use.
    anchors : mapping of question name to anchors, optional
        What stands for the options, as in `SimilarityRater.rate`, in place of the rater's own.
    question, question_column, backgrounds, template
        As in `ZeroShotElicitor`. The template's words for labels and options are not used.
    instruction : str, optional
        What the model is asked to do; default: ``surveysim.elicitation.free_text.INSTRUCTION``.
    n_samples : int, default=10
        Answers per cell.
    temperature : float, default=1.0
        Sampling temperature.
    max_tokens : int, default=80
        The longest that an answer may be.
    on_failure, base_url, api_key_env, max_workers, journal, device, dtype, revision, local_files_only, verbose, \
random_state
        As in `ZeroShotElicitor`.

    Attributes
    ----------
    questions_, backgrounds_, n_options_
        As in `ZeroShotElicitor`.

    See Also
    --------
    surveysim.ZeroShotElicitor : Asks for labels, percentages or probabilities.
    surveysim.elicitation.SimilarityRater : Rates existing texts.

    Notes
    -----
    The method is that of [1]_. The distributions are broader than those of people's answers, because every option but
    the least similar one gets something from each answer: lower the rater's temperature, or calibrate.

    References
    ----------
    .. [1] B. F. Maier et al. (2025), "LLMs Reproduce Human Purchase Intent via Semantic Similarity Elicitation of
       Likert Ratings", arXiv 2510.08338.

    Examples
    --------
    With a function in place of a sentence encoder, so that nothing is downloaded:

    >>> import numpy as np, pandas as pd
    >>> from surveysim import Question, SimilarityElicitor
    >>> from surveysim.elicitation import SimilarityRater
    >>> def encoder(texts):
    ...     counts = [[text.count(letter) + 0.1 for letter in "aeinst"] for text in texts]
    ...     return np.array(counts)
    ...
    >>> X = pd.DataFrame({"age": ["18-29", "65 or older"]})
    >>> question = Question("How do you like your town?", ["not much", "somewhat", "a lot"])
    >>> elicitor = SimilarityElicitor(
    ...     "nano",
    ...     rater=SimilarityRater(encoder),
    ...     question=question,
    ...     n_samples=3,
    ...     max_tokens=8,
    ...     random_state=0,
    ... ).fit(X)
    >>> elicitor.predict(X).sum(axis=1)
    array([1., 1.])
    """

    # What the methods inherited need and users have no use for here.
    method = "similarity"  # type: ignore[assignment]
    option_orders = "given"
    refusals = "drop"
    smoothing = 0.0
    examples = None

    def __init__(
        self,
        model: str | os.PathLike[str] = "Qwen/Qwen3-4B",
        *,
        rater: SimilarityRater | None = None,
        anchors: Mapping[str, Anchors] | None = None,
        question: Question | Mapping[str, Question] | None = None,
        question_column: str = "question",
        backgrounds: bool = True,
        template: str | Template = "default",
        instruction: str | None = None,
        n_samples: int = 10,
        temperature: float = 1.0,
        max_tokens: int = 80,
        on_failure: OnFailure = "raise",
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
        self.rater = rater
        self.anchors = anchors
        self.question = question
        self.question_column = question_column
        self.backgrounds = backgrounds
        self.template = template
        self.instruction = instruction
        self.n_samples = n_samples
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.on_failure = on_failure
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

    def _method(self) -> Method:
        return _METHOD

    def _default_part(self, name: str, value: object) -> SimilarityRater | None:
        return SimilarityRater() if name == "rater" and value is None else None

    def _elicit(self, cells: PredictCells) -> Elicitation:
        from surveysim.elicitation.run import answer_or_keep, check_elicitation

        self._check_parameters()
        plan = self._plan(_METHOD, self._seed())
        asked, names = self._ask_freely(cells, plan)
        averaging = Averaging(_METHOD, temperature=1.0, smoothing=0.0, keep_refusals=False)

        def average(answers: Sequence[Answer], readings: Sequence[Reading]) -> Elicitation:
            return average_readings(cells, asked, answers, readings, averaging, self.n_options_)

        def read(answers: Sequence[Answer]) -> Elicitation:
            try:
                return average(answers, self._read(names, answers))
            except Exception as error:  # the texts are paid for, whatever becomes of the encoder
                unread = [Reading(failure=answer.failure or "the text was not rated") for answer in answers]
                attach(error, average(answers, unread))
                raise

        answers = answer_or_keep(self._answerer(), asked.asks, read, verbose=self.verbose)
        result = read(answers)
        check_elicitation(result, cells, answers, plan, self.on_failure)
        return result

    def _asks_of(self, X: Table, answerer: Answerer) -> list[Ask]:
        self._check_parameters()
        return self._ask_freely(self._validate_predict(X), self._plan(_METHOD, self._seed()))[0].asks

    def _ask_freely(self, cells: PredictCells, plan: AskPlan) -> tuple[Asked, list[str]]:
        """Each distinct question and background, `n_samples` times; and the name of each ask's question.

        Two questions that differ in their options alone are asked in the same words, and are read apart.
        """
        names: list[str] = []
        asked = Asked(cells=[[] for _ in range(len(cells))])
        (template,) = plan.templates
        number: dict[tuple[str, Ask], int] = {}
        for _, name, question, rows in cells.by_question():
            backgrounds = background_records(cells.backgrounds.iloc[rows])
            for row, background in zip(rows.tolist(), backgrounds, strict=True):
                prompt = self._prompt(template, question, background if plan.backgrounds else None)
                for sample in range(plan.n_samples):
                    ask = Ask(
                        prompt, "text", (), temperature=plan.temperature, max_tokens=int(self.max_tokens),
                        sample=sample, seed=plan.seed,
                    )  # fmt: skip
                    if (name, ask) not in number:
                        number[name, ask] = len(asked.asks)
                        names.append(name)
                        asked.asks.append(ask)
                        asked.questions.append(question)
                        asked.orders.append(tuple(range(question.n_options)))
                        asked.templates.append(template.name)
                    asked.cells[row].append(number[name, ask])
        return asked, names

    def _prompt(self, template: Template, question: Question, background: Mapping[str, object] | None) -> Prompt:
        described = describe_background(template, background)
        lines = describe_question(template, question)
        lines.append(template.background.format(background=described) if described else template.no_background)
        return Prompt(self.instruction or INSTRUCTION, template.line_break.join(lines), template.cue)

    def _read(self, names: Sequence[str], answers: Sequence[Answer]) -> list[Reading]:
        """What each answer says; one question's texts go through the encoder together."""
        rater = SimilarityRater() if self.rater is None else self.rater
        plain = [_without_similarity(answer) for answer in answers]
        readings = [reading or Reading(failure="the text is equally similar to all options") for reading in plain]
        for name, question in self.questions_.items():
            own = [i for i, other in enumerate(names) if other == name and plain[i] is None]
            P = rater.rate(
                [without_thoughts(answers[i].text or "") for i in own], question, anchors=(self.anchors or {}).get(name)
            )
            for i, shares in zip(own, P, strict=True):
                if not np.isnan(shares).any():
                    readings[i] = Reading(shares=shares, draws=1)
        return readings

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.rater is not None and not callable(getattr(self.rater, "rate", None)):
            raise TypeError(f"rater must be a SimilarityRater or None, got {type(self.rater).__name__}")
        if self.anchors is not None and not isinstance(self.anchors, Mapping):
            raise TypeError(f"anchors must be a mapping from question names, got {type(self.anchors).__name__}")
        if self.anchors is not None and hasattr(self, "questions_"):
            unknown = sorted(set(self.anchors) - set(self.questions_))
            if unknown:
                raise ValueError(
                    f"anchors name the questions {unknown}, but the questions are {sorted(self.questions_)}"
                )
        if self.instruction is not None and not isinstance(self.instruction, str):
            raise TypeError(f"instruction must be a string or None, got {type(self.instruction).__name__}")
        if self.n_samples is None or self.temperature is None:
            raise TypeError("n_samples and temperature must be numbers, got None")
        check_number("max_tokens", self.max_tokens, integer=True, low=1)


def _without_similarity(answer: Answer) -> Reading | None:
    """What is clear without looking at the meaning of the words."""
    if answer.failure is not None:
        return Reading(failure=answer.failure)
    if answer.ended == "refusal":
        return Reading(refused=True, draws=1)
    text = without_thoughts(answer.text or "")
    if text is None:
        return Reading(failure="the text ended before the model stopped reasoning")
    if not text.strip():
        return Reading(failure="the text is empty")
    return Reading(refused=True, draws=1) if is_refusal(text) else None
