"""The result of an elicitation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.errors import SurveysimError

__all__ = ["Elicitation", "ElicitationError", "attach"]


class ElicitationError(SurveysimError, ValueError):
    """Some cells have no usable answer.

    Attributes
    ----------
    elicitation : Elicitation
        Everything that was answered, as ``elicit`` returns it with ``on_failure="nan"``: rows of NaN where no answer
        was usable.
    """

    elicitation: Elicitation | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Elicitation:
    """Elicited distributions and everything that their reader should know, one entry per row of X.

    Attributes
    ----------
    P : float64 array of shape (n, K)
        Distributions, NaN past the last option of a shorter question; a row of NaN where no answer was usable.
    label_mass : float64 array of shape (n,)
        Probability, 0 to 1, that the model begins its answer with a label at all, where it says its probabilities
        (method ``"logprob"``); NaN otherwise. Below about 0.5 it does not follow the prompt.
    failures : int64 array of shape (n,)
        Answers that were dropped because they could not be read or did not arrive.
    refusals : float64 array of shape (n,)
        Share, 0 to 1, of the answers (or of the probability) that refused: texts in which the model declines, and
        options such as "Refused". NaN where no answer was usable.
    answers : DataFrame
        The raw answers, one row per answer and row of X: ``row`` (position in X), ``question`` (its name), ``ask``
        (rows with an equal number share one answer, which was asked for once), ``method``, ``template``, ``order``
        (tuple: the option shown at each place), ``sample``, ``text``, ``label_logprobs`` (tuple by place, natural
        logarithms), ``shares`` (tuple: what was read from it, in the question's order of options, refusal options
        included), ``draws`` (how many draws it stands for), ``label_mass``, ``censored_mass`` (probability that a
        hosted model does not account for), ``refused`` and ``failure`` (why it was dropped). None where nothing
        applies.
    method : str
        The method that was used, which is not the one asked for if a model does not give probabilities.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question, ZeroShotElicitor
    >>> X = pd.DataFrame({"age": ["18-29", "65+"]})
    >>> question = Question("Content?", ["yes", "no"])
    >>> elicitor = ZeroShotElicitor("nano", method="logprob", question=question, random_state=0)
    >>> elicitation = elicitor.fit(X).elicit(X)
    >>> elicitation.P.shape, elicitation.failures.tolist()
    ((2, 2), [0, 0])
    """

    P: np.ndarray
    label_mass: np.ndarray
    failures: np.ndarray
    refusals: np.ndarray
    answers: pd.DataFrame
    method: str = ""

    def __len__(self) -> int:
        return len(self.P)

    def __repr__(self) -> str:
        lines = [
            f"Elicitation({len(self.P):,} cells by {self.method or 'an unnamed method'}",
            f"  answers {self.answers['ask'].nunique():,}, of which dropped "
            f"{int(self.answers.drop_duplicates('ask')['failure'].notna().sum()):,}",
        ]
        empty = int(np.isnan(self.P).all(axis=1).sum())
        if empty:
            lines.append(f"  cells without a usable answer: {empty:,}")
        if np.isfinite(self.label_mass).any():
            lines.append(
                f"  label mass: mean {np.nanmean(self.label_mass):.3f}, least {np.nanmin(self.label_mass):.3f}"
            )
        if np.isfinite(self.refusals).any() and np.nanmax(self.refusals) > 0:
            lines.append(f"  refusals: mean {np.nanmean(self.refusals):.3f}, most {np.nanmax(self.refusals):.3f}")
        return "\n".join(lines) + ")"


def attach(error: BaseException, elicitation: Elicitation) -> None:
    """Attach what was answered to an exception that ends an elicitation: it is paid for.

    Any exception may end one, Ctrl-C as well; its attribute `elicitation` has what there is, and a note says so.
    """
    answered = elicitation.answers.drop_duplicates("ask")
    came = answered["text"].notna() | answered["label_logprobs"].notna()
    error.elicitation = elicitation  # type: ignore[attr-defined]
    error.add_note(
        f"{int(came.sum())} of {len(answered)} answers had arrived: they are in this exception's `elicitation`."
    )
