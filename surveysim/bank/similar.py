"""`SimilarQuestionsRegressor`: what people answered to the questions that are most like a new one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from surveysim.bank.alike import FoundMargins, choose, turned_order
from surveysim.bank.means import question_margins
from surveysim.base import DistributionRegressor
from surveysim.cells import PredictCells
from surveysim.interfaces import Table
from surveysim.models.encoders import Encoder, load_encoder
from surveysim.questions import Question

__all__ = ["SimilarQuestionsRegressor"]


class SimilarQuestionsRegressor(DistributionRegressor):
    """Predict questions that nobody was asked from the most similar ones that were, by a sentence encoder.

    A new question gets a weighted mean of the training questions with as many options: the more alike two questions'
    texts, the larger the weight. Scales that run the other way ("agree" to "disagree", "never" to "always") are turned
    first: of a training question's options in their order and in reverse, those are taken that read more like the new
    question's. No language model is trained, and nothing is said about differences between groups.

    Parameters
    ----------
    question : mapping of str to Question
        All questions by name: those with training cells, and those to be predicted.
    question_column : str, default="question"
        The column of X that names each row's question.
    encoder : str, path or Encoder, default="sentence-transformers/all-MiniLM-L6-v2"
        A sentence encoder: a folder, a name on the Hugging Face hub, or an object with a method ``encode(texts)``.
    device : str, default="auto"
        Of the encoder, as in `DSARegressor`.
    local_files_only : bool, default=False
        Never download.

    Attributes
    ----------
    distributions_ : float64 array of shape (n_questions, K)
        What is predicted for each question of `questions_`: for those with training cells from the others.
        NaN past the last option; equal shares where no training question has as many options.
    sharpness_ : float
        Weights are ``exp(sharpness_ * cosine)``.
    share_ : float
        Of this weighted mean in the prediction; the rest is the plain mean of the same questions.
    turns_ : bool
        Whether scales are turned. All three were chosen by predicting each training question from those with another
        wording. False, with a share of 0, is the plain mean of the questions as they are: it is kept with fewer than
        20 training questions, and unless another choice is better by more than two standard errors over questions.
    questions_, n_options_, backgrounds_, n_dropped_, n_features_in_, feature_names_in_
        As in every estimator of the library.

    See Also
    --------
    surveysim.train_bank : Fine-tunes a language model on many questions.

    Notes
    -----
    All training questions count alike, however many cells they have. Pinned options ("Don't know") stay where they are
    when a scale is turned.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from surveysim import Question, SimilarQuestionsRegressor
    >>> class Topics:  # in place of a sentence encoder: whether a text speaks of something
    ...     def encode(self, texts):
    ...         words = ["mayor", "rain", "no", "yes"]
    ...         return (
    ...             np.array([[word in text.lower() for word in words] for text in texts])
    ...             + 0.01
    ...         )
    >>> shares = {"mayor": 0.8, "rain": 0.1}
    >>> questions = {
    ...     f"{topic} {i}": Question(f"Item {i}: the {topic}?", ["no", "yes"])
    ...     for topic in shares
    ...     for i in range(10)
    ... }
    >>> X = pd.DataFrame({"question": list(questions)})
    >>> Y = [[1 - shares[name.split()[0]], shares[name.split()[0]]] for name in questions]
    >>> questions["new"] = Question("Is the mayor honest?", ["yes", "no"])
    >>> model = SimilarQuestionsRegressor(question=questions, encoder=Topics()).fit(X, Y)
    >>> model.predict(pd.DataFrame({"question": ["new"]})).round(2)
    array([[0.8, 0.2]])
    """

    _live_parameters: ClassVar[frozenset[str]] = frozenset({"device", "local_files_only"})

    def __init__(
        self,
        *,
        question: Mapping[str, Question] | None = None,
        question_column: str = "question",
        encoder: str | os.PathLike[str] | Encoder = "sentence-transformers/all-MiniLM-L6-v2",
        device: str = "auto",
        local_files_only: bool = False,
    ) -> None:
        self.question = question
        self.question_column = question_column
        self.encoder = encoder
        self.device = device
        self.local_files_only = local_files_only

    def fit(self, X: Table, Y: ArrayLike, sample_weight: ArrayLike | None = None) -> SimilarQuestionsRegressor:
        """Pool the training cells of each question, and read all questions.

        Parameters
        ----------
        X : DataFrame of shape (n, n_columns)
            The question column, and backgrounds if there are any.
        Y : array of shape (n, K)
            Observed distributions, NaN past the last option of a shorter question.
        sample_weight : array of shape (n,), optional
            Respondents per row; default one each.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            As in every estimator of the library; if `question` is not a mapping, or the encoder cannot be had or gives
            no vector for a text.
        """
        with self._atomic_fit():
            if not isinstance(self.question, Mapping):
                raise TypeError(
                    "question must be a mapping of names to Question: those that were asked, and those to be "
                    f"predicted; got {type(self.question).__name__}"
                )
            cells = self._validate_fit(X, Y, sample_weight)
            margins = question_margins(cells, cells.Y, cells.n)
            found = self._find(list(cells.questions.values()), margins)
            choice = choose(found, list(cells.questions.values()))
            self.sharpness_, self.share_, self.turns_ = choice
            self.distributions_ = np.full((len(cells.questions), self.n_options_), np.nan)
            for number, question in enumerate(cells.questions.values()):
                self.distributions_[number, : question.n_options] = found.predict(number, choice)
        return self

    def _find(self, questions: Sequence[Question], margins: Mapping[int, np.ndarray]) -> FoundMargins:
        """Every training question's margin as each question would read it, and how alike their texts are."""
        encoder = self.encoder
        if isinstance(encoder, str | os.PathLike):
            encoder = load_encoder(encoder, device=self.device, local_files_only=self.local_files_only)
        elif not hasattr(encoder, "encode"):
            raise TypeError(
                f"encoder must be a folder, a name on the hub, or have a method encode, got {type(encoder).__name__}"
            )
        texts = _vectors(encoder, [f"{question.text} {'; '.join(question.options)}" for question in questions])
        options = list(dict.fromkeys(option for question in questions for option in question.options))
        place = {option: row for row, option in enumerate(options)}
        vectors = _vectors(encoder, options)
        own = [vectors[[place[option] for option in question.options]] for question in questions]
        return FoundMargins(texts @ texts.T, own, [turned_order(question) for question in questions], dict(margins))

    def _predict(self, cells: PredictCells) -> np.ndarray:
        return self.distributions_[cells.question_index]


def _vectors(encoder: Encoder, texts: list[str]) -> np.ndarray:
    """A vector of length 1 for each text."""
    vectors = np.asarray(encoder.encode(texts), dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True) if vectors.ndim == 2 else np.zeros(1)
    if vectors.ndim != 2 or len(vectors) != len(texts) or not (lengths > 0).all() or not np.isfinite(lengths).all():
        raise ValueError(
            f"encoder must return a finite vector other than 0 for each of {len(texts)} texts, got an array of shape "
            f"{vectors.shape}"
        )
    return np.asarray(vectors / lengths)
