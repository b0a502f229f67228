"""Semantic similarity rating: free-text answers as distributions over a question's options."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from surveysim.questions import Question

__all__ = ["DEFAULT_ANCHORS", "Anchors", "SimilarityRater", "TextEncoder"]

Anchors: TypeAlias = Sequence[str] | Sequence[Sequence[str]]
"""Statements that stand for the options, or patterns that make them; or several sets of statements."""


class TextEncoder(Protocol):
    """What makes vectors of texts."""

    def encode(self, texts: list[str], /) -> ArrayLike:
        """One vector per text, (n, d)."""


#: Each makes one set of anchor statements from the options. With the question before them the options are compared with
#: answers on their own ground: on 40 answers written by hand to four questions (tests/elicitation/answers.py) the mean
#: Wasserstein distance to the option meant was .25, with the options alone .28, with "I would say: {option}" .29.
DEFAULT_ANCHORS = ("{question} {option}",)

# Differences of similarities below this are rounding.
_ROUNDING = 1e-9


class SimilarityRater(BaseEstimator):
    """Turn free-text answers into distributions over a question's options, by semantic similarity rating (SSR).

    Language models that are asked for a number avoid the ends of a scale. Asked for an answer in their own words, they
    do not, and their words can be compared with statements that stand for the options (anchors): a sentence encoder
    turns answer and anchors into vectors, and the more similar two vectors are, the more probability the option gets
    [1]_. It works for any number of options, including nominal ones.

    Parameters
    ----------
    encoder : str, path, or object, default="sentence-transformers/all-MiniLM-L6-v2"
        A sentence encoder: a folder; a name on the Hugging Face hub (loaded by transformers, never with its own code);
        or anything that turns texts into vectors: an object with a method ``encode(texts)``, such as a
        ``sentence_transformers.SentenceTransformer``, or a function, for instance one that asks an embedding server.
    anchors : sequence, optional
        What stands for the options. Patterns with ``{option}``, and ``{question}`` if wanted, each of which makes one
        set of anchors from the options' texts; or, for one question, your own statements: one per option, or several
        such sets. The distributions of several sets are averaged. Default: ``"{question} {option}"``. Statements that a
        respondent could have said, in several wordings, do better [1]_.
    temperature : float, default=1.0
        Raises the averaged probabilities to the power of 1 / temperature. Below 1 sharpens: the rule itself gives
        broad distributions. 0 gives everything to the most similar option.
    epsilon : float, default=0.0
        Added to the least similar option, which otherwise gets nothing from a set of anchors (options that tie share
        it); the scale is that of similarities from 0 to 1.
    batch_size : int, default=64
        Texts that the encoder reads together.
    device, revision, local_files_only
        Of an encoder that is loaded here, as in `DSARegressor`.

    See Also
    --------
    surveysim.ZeroShotElicitor : Asks for labels and percentages instead.

    Notes
    -----
    With c_k the cosine between an answer and the anchor of option k, and g_k = (1 + c_k) / 2, one set of anchors gives

    .. math:: p_k \\propto g_k - \\min_j g_j + \\epsilon [k = \\arg\\min_j g_j]

    as in equation 8 of [1]_ and the authors' code; sets are averaged, then the temperature is applied. One answer's
    distribution says how it may be meant; a group's is the mean over the answers of its respondents. Similarities say
    nothing about how often people hold an opinion: correct the result with a few known cells (`surveysim.calibration`),
    as with any elicitation.

    An anchor should differ from the others in what it says, not in how: encoders place "agree" and "disagree" close
    together, because they appear in the same texts. Look at a few answers before you rate thousands.

    References
    ----------
    .. [1] B. F. Maier et al. (2025), "LLMs Reproduce Human Purchase Intent via Semantic Similarity Elicitation of
       Likert Ratings", arXiv 2510.08338.

    Examples
    --------
    Any function from texts to vectors will do; here one that counts a few words:

    >>> import numpy as np
    >>> from surveysim import Question
    >>> def encoder(texts):
    ...     return np.array(
    ...         [
    ...             [text.lower().count(word) + 0.1 for word in ("never", "maybe", "sure")]
    ...             for text in texts
    ...         ]
    ...     )
    >>> question = Question("Would you buy it?", ["no", "perhaps", "yes"])
    >>> rater = SimilarityRater(
    ...     encoder, anchors=["Never.", "Maybe, maybe not.", "Sure, I would."]
    ... )
    >>> rater.rate(["Sure, why not?", "Well, maybe. But never on a Sunday!"], question).round(2)
    array([[0.05, 0.  , 0.95],
           [0.51, 0.49, 0.  ]])
    """

    def __init__(
        self,
        encoder: str
        | os.PathLike[str]
        | Callable[[list[str]], ArrayLike]
        | TextEncoder = "sentence-transformers/all-MiniLM-L6-v2",
        *,
        anchors: Anchors | None = None,
        temperature: float = 1.0,
        epsilon: float = 0.0,
        batch_size: int = 64,
        device: str = "auto",
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> None:
        self.encoder = encoder
        self.anchors = anchors
        self.temperature = temperature
        self.epsilon = epsilon
        self.batch_size = batch_size
        self.device = device
        self.revision = revision
        self.local_files_only = local_files_only

    def rate(
        self,
        texts: Sequence[str | None],
        question: Question,
        *,
        anchors: Anchors | None = None,
    ) -> np.ndarray:
        """The distribution over a question's options that each answer expresses.

        Parameters
        ----------
        texts : sequence of str
            Answers in free text. Missing and empty ones get a row of NaN, which ``np.nanmean(P, axis=0)`` leaves out.
        question : Question
        anchors : sequence, optional
            For this question, in place of those of the constructor.

        Returns
        -------
        float64 array of shape (n, K)
            In the order of the question's options; rows sum to 1 or are NaN. Also NaN: an answer that is equally
            similar to all anchors of a set, which says nothing (with epsilon above 0 the uniform distribution).

        Raises
        ------
        ValueError
            If anchors do not fit the question, two options have the same anchor, a parameter is out of range, or the
            encoder cannot be loaded or does not return one vector per text.
        TypeError
            If texts, question or a parameter has the wrong type.
        """
        temperature = _number(self.temperature, "temperature")
        epsilon = _number(self.epsilon, "epsilon")
        similarities = self.similarities(texts, question, anchors=anchors)
        return _sharpen(np.mean([_distribute(some, epsilon) for some in similarities], axis=0), temperature)

    def similarities(
        self,
        texts: Sequence[str | None],
        question: Question,
        *,
        anchors: Anchors | None = None,
    ) -> np.ndarray:
        """How similar answers and anchors are, from 0 (opposite) to 1 (the same): (1 + cosine) / 2.

        Parameters
        ----------
        texts, question, anchors
            As in `rate`.

        Returns
        -------
        float64 array of shape (n_sets, n, K)
            Rows of missing and empty texts are NaN.
        """
        if not isinstance(question, Question):
            raise TypeError(f"question must be a Question, got {type(question).__name__}")
        sets = _anchor_sets(self.anchors if anchors is None else anchors, question)
        if isinstance(texts, str):
            raise TypeError("texts must be a sequence of strings, got one string")
        texts = list(texts)
        answered = {i: str(text) for i, text in enumerate(texts) if _is_given(text, i)}
        distinct = list(dict.fromkeys([*answered.values(), *(anchor for some in sets for anchor in some)]))
        vectors = dict(zip(distinct, self._encode(distinct), strict=True))
        found = np.full((len(sets), len(texts), question.n_options), np.nan)
        if answered:
            answers = np.array([vectors[text] for text in answered.values()])
            for number, some in enumerate(sets):
                cosines = answers @ np.array([vectors[anchor] for anchor in some]).T
                found[number, list(answered)] = (1 + cosines.clip(-1, 1)) / 2
        return found

    def _encode(self, texts: list[str]) -> np.ndarray:
        """Vectors of length 1."""
        encoder: Any = self.encoder
        if isinstance(encoder, str | os.PathLike):
            from surveysim.models.encoders import load_encoder

            if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, numbers.Integral):
                raise TypeError(f"batch_size must be a whole number, got {self.batch_size!r}")
            if self.batch_size < 1:
                raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
            loaded = load_encoder(
                encoder, device=self.device, revision=self.revision, local_files_only=self.local_files_only
            )
            vectors: Any = loaded.encode(texts, batch_size=int(self.batch_size))
        elif callable(getattr(encoder, "encode", None)):
            vectors = encoder.encode(texts)
        elif callable(encoder):
            vectors = encoder(texts)
        else:
            raise TypeError(
                "encoder must be a folder, a name on the hub, an object with a method encode(texts), or a function, "
                f"got {type(encoder).__name__}"
            )
        vectors = np.asarray(vectors, dtype=np.float64)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise ValueError(
                f"the encoder must return one vector per text, an array of shape ({len(texts)}, d); got {vectors.shape}"
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        useless = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
        if len(useless):
            raise ValueError(
                f"the encoder returns a vector without direction (zeros or NaN) for the text {texts[useless[0]]!r}"
            )
        return vectors / lengths


def _anchor_sets(anchors: Anchors | None, question: Question) -> list[list[str]]:
    """Sets of one statement per option."""
    if anchors is None:
        anchors = DEFAULT_ANCHORS
    if isinstance(anchors, str):
        anchors = (anchors,)
    anchors = list(anchors)
    if not anchors:
        raise ValueError("anchors must not be empty")
    statements = [anchor for anchor in anchors if isinstance(anchor, str)]
    if len(statements) == len(anchors):
        patterns = ["{option}" in anchor for anchor in statements]
        if all(patterns):
            sets = [[_fill(pattern, question, option) for option in question.options] for pattern in statements]
        elif any(patterns):
            raise ValueError(f"anchors must be all patterns with {{option}} or all statements, got {anchors}")
        else:
            sets = [statements]
    else:
        sets = [list(some) if not isinstance(some, str) else [some] for some in anchors]
    for number, some in enumerate(sets):
        if len(some) != question.n_options or not all(isinstance(anchor, str) and anchor.strip() for anchor in some):
            raise ValueError(
                f"anchors need {question.n_options} statements, one per option of {question.text!r}; set {number} is "
                f"{some}"
            )
        if len(set(some)) < len(some):
            repeated = next(anchor for anchor in some if some.count(anchor) > 1)
            raise ValueError(
                f"two options have the same anchor {repeated!r} in set {number}, so they could not be told apart"
            )
    return sets


def _fill(pattern: str, question: Question, option: str) -> str:
    # Not str.format: a statement may have other braces.
    return pattern.replace("{question}", question.text).replace("{option}", option)


def _is_given(text: object, row: int) -> bool:
    if isinstance(text, str):
        return bool(text.strip())
    if text is None or (isinstance(text, float) and math.isnan(text)):
        return False
    raise TypeError(f"texts must be strings, None or NaN; text {row} is {text!r}")


def _distribute(similarities: np.ndarray, epsilon: float) -> np.ndarray:
    """Equation 8 of the paper: what each option has above the least similar one."""
    above = similarities - similarities.min(axis=1, keepdims=True)
    least = above < _ROUNDING
    above[least] = 0.0
    if epsilon:
        # Options that are equally far off share it: which of them is the minimum would be decided by rounding.
        above += epsilon * least / np.maximum(least.sum(axis=1, keepdims=True), 1)
    total = above.sum(axis=1, keepdims=True)
    return np.divide(above, total, out=np.full_like(above, np.nan), where=total > 0)


def _sharpen(P: np.ndarray, temperature: float) -> np.ndarray:
    if temperature == 1:
        return P
    # Against the largest: high powers of small numbers would all be 0.
    relative = P / P.max(axis=1, keepdims=True)
    powers = (relative >= 1 - _ROUNDING).astype(float) if temperature == 0 else relative ** (1 / temperature)
    powers[np.isnan(P)] = np.nan
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    number = float(value)
    if not (number >= 0 and math.isfinite(number)):
        raise ValueError(f"{name} must be a finite number of at least 0, got {value}")
    return number
