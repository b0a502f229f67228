"""`Wave`: an earlier wave, another survey or published toplines, as a source for a new sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Literal

import pandas as pd

from surveysim.cells import FitCells
from surveysim.errors import warn
from surveysim.interfaces import Predictor
from surveysim.questions import Question, as_questions
from surveysim.sources.answers import Answers, Given, predicted, read_answers
from surveysim.sources.evidence import Evidence
from surveysim.sources.matching import Mappings, match_answers
from surveysim.sources.options import OptionMapping
from surveysim.sources.pooling import population_weights
from surveysim.sources.same_people import same_respondents
from surveysim.sources.times import read_time

__all__ = ["Wave"]

SHOWN = 6
"""How many sentences a warning has."""


class Wave:
    """What people answered elsewhere: an earlier wave, another survey or country, or published toplines.

    A source of kind ``"people"`` for `FusedRegressor`. It is not fitted and learns nothing: it holds distributions with
    the respondents behind them, and says them in the words of whoever asks. Questions, attributes, levels and options
    are matched by their names, whatever their case, spacing and punctuation, questions also by their wording, and a
    finer cut of ages ("18-24", "25-29") within a coarser one ("18-29"). Anything else is for you to say; what remains
    is listed in ``evidence(...).unmatched`` and left out.

    Parameters
    ----------
    cells : Cells, DataFrame, question-level set, or a list of these
        What `tabulate` returns, crossed or by single attributes; or published toplines:

        - *long*: columns ``option``, ``share`` and ``n``, one row an option (``cells.to_frame()`` writes this);
        - *wide*: one column an option, and ``n``;

        in both ``question`` names the question, unless there is one, and any other column is an attribute, missing for
        the total over it. Anything with X, Y, n and questions does, such as what the readers of `surveysim.datasets`
        return. Several tables of the same survey are given as a list; those that others imply are left out.
    estimator : estimator, optional
        Fitted: its predictions of the cells take the place of their shares, which are noisy where groups are small. The
        respondents stay those of the cells.
    questions : mapping of str to (str or None), optional
        The source's names to the target's (``""`` where it has a single question). None leaves a question out.
    attributes : mapping of str to (str or None), optional
        The source's attributes to the target's; None sums one out.
    levels : mapping of str to mapping, optional
        For the target's attributes, the source's levels to the target's. Several to one are merged; None leaves the
        people of a level out.
    options : mapping of str to mapping, optional
        For questions, the source's options to the target's. Several to one are summed. One to several is a split with
        the shares that you state, ``{"satisfied": {"very satisfied": 0.4, "fairly satisfied": 0.6}}``; None leaves an
        option out and rescales the others.
    time : number, date or str, optional
        When people were asked: a year, any other number, or a date ("2024-03-01"). It puts several waves in order.
    population : DataFrame, optional
        Shares ("share" or "n") of groups of the source's population, by some of its attributes: where levels are merged
        or attributes summed out, groups count by them instead of by their weight in the sample.
    name : str, optional
        What messages call it.

    Attributes
    ----------
    kind : "people"
    time : float, date or None

    Raises
    ------
    TypeError, ValueError
        If `cells` holds no distributions, n is negative or missing, `population` lacks groups, or `time` is no time.

    See Also
    --------
    FusedRegressor : Joins sources with a sample of respondents.
    order_waves : Several waves in the order of their times.

    Notes
    -----
    Rows that are put together are worth (sum w)^2 / sum(w^2 / n) respondents, w being the sums of the survey's weights,
    which is what `tabulate` would have given on the merged groups.

    A reason for no answer ("Don't know") that the target does not have as an option is left out, the others are
    rescaled, and n falls accordingly. A question of which another option, or one of the target's, has no counterpart is
    not used: who was offered a middle option answers differently.

    In a tabulated survey a missing value means respondents who did not say, in published tables the total.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import Question
    >>> from surveysim.sources import Wave
    >>> toplines = pd.DataFrame(
    ...     {
    ...         "Age": ["18-24", "25-29", "30+"],
    ...         "yes": [60, 50, 30],
    ...         "no": [40, 50, 70],
    ...         "n": [100, 300, 600],
    ...     }
    ... )
    >>> wave = Wave(toplines, time=2024)
    >>> training = pd.DataFrame({"age": ["18-29", "30+"]})
    >>> evidence = wave.evidence(
    ...     Question("Should shops open on Sundays?", ["no", "yes"]), training
    ... )
    >>> evidence.backgrounds["age"].tolist(), evidence.n.tolist()
    (['18-29', '30+'], [400.0, 600.0])
    >>> evidence.Y.round(3)
    array([[0.475, 0.525],
           [0.7  , 0.3  ]])
    """

    kind: Literal["people"] = "people"

    def __init__(
        self,
        cells: Given,
        *,
        estimator: Predictor | None = None,
        questions: Mapping[str, str | None] | None = None,
        attributes: Mapping[str, str | None] | None = None,
        levels: Mapping[str, Mapping[Any, Any]] | None = None,
        options: Mapping[str, OptionMapping] | None = None,
        time: float | str | date | None = None,
        population: pd.DataFrame | None = None,
        name: str | None = None,
    ) -> None:
        self.cells = cells
        self.estimator = estimator
        self.questions = questions
        self.attributes = attributes
        self.levels = levels
        self.options = options
        known = None if time is None else read_time(time)
        # formats of plain values hold texts, not dates
        self._time = known.isoformat() if isinstance(known, date) else known
        self.population = population
        self.name = name
        self._answers = read_answers(cells)
        self._weight = self._answers.weight if population is None else population_weights(self._answers, population)

    @property
    def time(self) -> float | date | None:
        """When people were asked: a number, or a date."""
        return None if self._time is None else read_time(self._time)

    def evidence(self, questions: Mapping[str, Question] | Question, backgrounds: pd.DataFrame) -> Evidence:
        """The answers in a target's words.

        Parameters
        ----------
        questions : Question or mapping of str to Question
            The target's.
        backgrounds : DataFrame
            The target's training backgrounds, a column an attribute: they say which levels there are. A categorical
            has the levels of its categories and no others.

        Returns
        -------
        Evidence

        Raises
        ------
        TypeError, ValueError
            If no question or no cell is in common, the options of a question have nothing in common, or a mapping names
            what does not exist.

        Warns
        -----
        SurveysimWarning
            Once, if something of the target has no counterpart, or levels of the source have none.
        """
        answers = self._answers
        if self.estimator is not None:
            answers = replace(answers, Y=predicted(answers, self.cells, self.estimator))
        return self._match(answers, questions, backgrounds, quiet=False)

    def has_respondents_of(self, cells: FitCells) -> bool:
        """Whether this source was tabulated from the respondents of some training cells, or from some of them.

        Parameters
        ----------
        cells : FitCells

        Returns
        -------
        bool
            See `same_respondents`. What an estimator smooths is compared as it was before.
        """
        return same_respondents(self.as_answered(cells.questions, cells.backgrounds), cells)

    def as_answered(self, questions: Mapping[str, Question] | Question, backgrounds: pd.DataFrame) -> Evidence:
        """As `evidence`, without warnings, and as people answered even where an estimator smooths what they said.

        Parameters
        ----------
        questions : Question or mapping of str to Question
        backgrounds : DataFrame
            As in `evidence`.

        Returns
        -------
        Evidence
        """
        return self._match(self._answers, questions, backgrounds, quiet=True)

    def _match(
        self, answers: Answers, questions: Mapping[str, Question] | Question, backgrounds: pd.DataFrame, *, quiet: bool
    ) -> Evidence:
        targets = as_questions(questions)
        if targets is None:
            raise TypeError("questions is None: a people source needs to know the target's options")
        if not isinstance(backgrounds, pd.DataFrame) and hasattr(backgrounds, "to_pandas"):
            backgrounds = backgrounds.to_pandas()
        if not isinstance(backgrounds, pd.DataFrame):
            raise TypeError(f"backgrounds must be a DataFrame, got {type(backgrounds).__name__}")
        mappings = Mappings(self.questions, self.attributes, self.levels, self.options)
        try:
            matching = match_answers(answers, self._weight, targets, backgrounds, mappings)
        except ValueError as error:
            raise ValueError(f"{self._called()}: {error}") from None
        if matching.doubts and not quiet:
            # a question that was not asked changes nothing; an attribute that is summed out may change all
            doubts = sorted(matching.doubts, key=lambda doubt: doubt.startswith("question "))
            more = len(doubts) - SHOWN
            shown = "; ".join(doubts[:SHOWN]) + (f"; and {more} more, in .unmatched" if more > 0 else "")
            warn(f"{self._called()} does not match everywhere: {shown}")
        assert matching.evidence is not None
        return matching.evidence

    def _called(self) -> str:
        return "Wave" if self.name is None else f"Wave {self.name!r}"

    def __sklearn_clone__(self) -> Wave:
        """Nothing is learned: `sklearn.base.clone` may hand out the same wave, and an estimator in it stays fitted."""
        return self

    def __repr__(self) -> str:
        answers = self._answers
        by_question = pd.Series(answers.n).groupby(answers.question_names).sum()
        parts = [
            f"{len(answers):,} cells",
            f"{len(answers.options):,} question{'' if len(answers.options) == 1 else 's'}",
            f"by {', '.join(map(str, answers.attributes))}" if answers.attributes else "totals",
            f"up to {by_question.max():,.0f} respondents",
        ]
        if self.time is not None:
            parts.append(f"time {self.time}")
        if self.estimator is not None:
            parts.append(f"as {type(self.estimator).__name__} predicts them")
        return f"{self._called()}({'; '.join(parts)})"
