"""`make_next_wave`: the population of a simulated survey asked again, after opinions have moved."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np

from surveysim.datasets.simulated import check_count
from surveysim.datasets.simulated_draws import draw_survey
from surveysim.datasets.simulated_truth import SurveyTruth, moved_logits
from surveysim.datasets.survey import Survey

__all__ = ["make_next_wave"]


def make_next_wave(
    survey: Survey,
    n_respondents: int = 1000,
    *,
    drift: float = 0.2,
    shift_drift: float = 0.1,
    years: float = 1.0,
    missing: float = 0.0,
    weighted: bool = False,
    random_state: int | np.random.Generator | None = None,
) -> Survey:
    """Simulate the next wave of a simulated survey: other respondents, the same questions, changed opinions.

    Parameters
    ----------
    survey : Survey
        Made by `make_survey` or by this function, so that its truth is known.
    n_respondents : int, default=1000
    drift : float, default=0.2
        Standard deviation, for one year, of the move of a question that all groups share, in logits per standard
        deviation of the options' positions. The effect of a group in `make_survey` has 0.4.
    shift_drift : float, default=0.1
        The same for the additional moves of each group.
    years : float, default=1.0
        How much later. Opinions follow a random walk: variances grow with time.
    missing : float, default=0.0
        Share of answers that are "Don't know", at random.
    weighted : bool, default=False
        Whether groups were sampled at different rates; as in `make_survey`.
    random_state : int, numpy Generator or None, default=None

    Returns
    -------
    Survey
        As `make_survey` returns it, with a truth of its own.

    Raises
    ------
    TypeError
        If `survey` has no truth.
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> from surveysim.datasets import make_next_wave, make_survey
    >>> last_year = make_survey(2000, n_backgrounds=2, n_questions=3, random_state=0)
    >>> this_year = make_next_wave(last_year, 200, drift=0.3, random_state=1)
    >>> len(this_year.data), list(this_year.questions) == list(last_year.questions)
    (200, True)
    >>> still = make_next_wave(last_year, 200, drift=0, shift_drift=0, random_state=1)
    >>> bool((still.truth_P == last_year.truth_P).all())
    True
    """
    truth = survey.get("truth") if isinstance(survey, Survey) else None
    if not isinstance(truth, SurveyTruth):
        raise TypeError("survey must come from make_survey or make_next_wave: the truth of others is not known")
    check_count("n_respondents", n_respondents, 1)
    for name, value, most in (("drift", drift, math.inf), ("shift_drift", shift_drift, math.inf),
                              ("years", years, math.inf), ("missing", missing, 1.0)):  # fmt: skip
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < most:
            raise ValueError(f"{name} must be at least 0 and below {most:g}, got {value!r}")
    rng = np.random.default_rng(random_state)
    pace = math.sqrt(years)
    orders = [bool(dtype.ordered) for dtype in truth.dtypes.values()]
    logits = {
        name: moved_logits(rng, truth.logits[name], orders, question, pace * drift, pace * shift_drift)
        for name, question in truth.questions.items()
    }
    moved = SurveyTruth(truth.questions, truth.dtypes, logits, truth.noise)
    shares = [survey.margins[name].to_numpy() for name in truth.dtypes]
    return draw_survey(
        rng, moved, shares, n_respondents, missing=missing, weighted=weighted, unseen=0, source="make_next_wave"
    )
