"""Do intervals of equivalent respondents hold the worth? ``python -m benchmarks.equivalents_coverage``.

Surveys are simulated whose worth is known. *Questions*: a survey asks some of a long list of questions, on which a
model is off by very different amounts; its worth is that over the list. Truths are exact, or held-out respondents.
*Respondents*: the questions are given, and the truth is a sample; the worth is that against the exact truth.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from scipy.special import softmax

from surveysim.evaluation import NoisyTruthError, equivalent_respondents
from surveysim.evaluation.random_surveys import respondents_for, survey_divergence
from surveysim.evaluation.worth_intervals import over_units
from surveysim.metrics import js_divergence

__all__ = ["questions_covered", "respondents_covered"]

OUTPUT = Path(__file__).resolve().parent / "output"
N_GROUPS = 6
LIST = 1500
"""Questions in the long list."""

LEVEL = 0.9


def make_questions(
    n_questions: int, spread: float, generator: np.random.Generator, *, n_options: int = 4, size: float = 0.35
) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction (n_questions, N_GROUPS, K); the error's size is log-normal over questions."""
    margin = generator.standard_normal((n_questions, 1, n_options)) * 0.7
    truth = margin + 0.3 * generator.standard_normal((n_questions, N_GROUPS, n_options))
    sizes = size * np.exp(spread * generator.standard_normal((n_questions, 1, 1)))
    common, own = (generator.standard_normal((n_questions, m, n_options)) for m in (1, N_GROUPS))
    return softmax(truth, axis=2), softmax(truth + sizes * (0.7 * common + 0.7 * own), axis=2)


def divergences(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each question's prediction (n_questions, N_GROUPS), and of random surveys (n_questions, N_GROUPS, n_sizes)."""
    n_options = truth.shape[2]
    rest = (truth.sum(axis=1, keepdims=True) - truth) / (N_GROUPS - 1)  # groups are equally large
    Y, P, rest = (array.reshape(-1, n_options) for array in (truth, prediction, rest))
    expected = survey_divergence(Y, np.full(len(Y), 1 / N_GROUPS), rest=rest)
    shape = (len(truth), N_GROUPS)
    return js_divergence(Y, P, average=False).reshape(shape), expected.reshape(*shape, -1)


def worth_of(own: np.ndarray, surveys: np.ndarray) -> float:
    """Of a prediction with these divergences, exactly."""
    expected = surveys.reshape(-1, surveys.shape[-1]).mean(axis=0, keepdims=True)
    return float(respondents_for(np.array([own.mean()]), expected)[0])


def _table(n_questions: int) -> pd.DataFrame:
    names = np.repeat([f"Q{q}" for q in range(n_questions)], N_GROUPS)
    return pd.DataFrame({"question": names, "group": np.tile(np.arange(N_GROUPS), n_questions).astype(str)})


def _told(truth: np.ndarray, prediction: np.ndarray, n: float, seed: int, n_draws: int) -> tuple[float, float]:
    """The interval for a truth of n respondents in each group; NaN where it is refused."""
    X = _table(len(truth))
    Y, P = (array.reshape(len(X), -1) for array in (truth, prediction))
    try:
        worth = equivalent_respondents(
            Y, P, X=X, truth_respondents=n, population=np.ones(len(X)), n_draws=n_draws, random_state=seed
        )
    except NoisyTruthError:
        return np.nan, np.nan
    return worth.low, worth.high


def questions_covered(
    n_questions: int, spread: float, n: int | None = None, *, repetitions: int = 400, n_draws: int = 1000
) -> dict[str, float]:
    """Share of surveys of so many questions whose interval holds the worth over the whole list.

    Parameters
    ----------
    n_questions : int
    spread : float
        Standard deviation over questions of the logarithm of the error's size.
    n : int, optional
        Respondents of the truth in each group; None: it is exact.
    repetitions, n_draws : int

    Returns
    -------
    dict
        covered, and the shares that are too high ("optimistic") and too low; the median of high / low.
    """
    generator = np.random.default_rng([n_questions, int(100 * spread)])
    truth, prediction = make_questions(LIST, spread, generator)
    own, surveys = divergences(truth, prediction)
    names = _table(n_questions)["question"].to_numpy()
    ends = []
    for seed in range(repetitions):
        asked = generator.integers(LIST, size=n_questions)
        if n is None:  # the divergences need not be computed anew
            expected = surveys[asked].reshape(len(names), -1)
            ends.append(over_units(own[asked].ravel(), expected, names, LEVEL, n_draws, np.random.default_rng(seed)))
        else:
            ends.append(_told(generator.multinomial(n, truth[asked]) / n, prediction[asked], n, seed, n_draws))
    return _summary(np.array(ends), worth_of(own, surveys))


def respondents_covered(
    n_options: int, n: int, size: float = 0.35, *, repetitions: int = 400, n_draws: int = 400
) -> dict[str, float]:
    """Share of truths of n respondents a group, for one question, whose interval holds the worth.

    Parameters
    ----------
    n_options, n : int
    size : float
        Of the error, in logits.
    repetitions, n_draws : int

    Returns
    -------
    dict
        As `questions_covered`.
    """
    generator = np.random.default_rng([n_options, n, int(100 * size)])
    found = []
    for seed in range(repetitions):
        truth, prediction = make_questions(1, 0.0, generator, n_options=n_options, size=size)
        right = worth_of(*divergences(truth, prediction))
        ends = _told(generator.multinomial(n, truth) / n, prediction, n, seed, n_draws)
        found.append(np.array(ends) / right)
    return _summary(np.array(found), 1.0)


def _summary(ends: np.ndarray, right: float) -> dict[str, float]:
    ends = ends[~np.isnan(ends[:, 0])]
    low, high = ends.T
    return {
        "covered": float(np.mean((low <= right) & (right <= high))),
        "optimistic": float(np.mean(low > right)),
        "pessimistic": float(np.mean(high < right)),
        "high / low": float(np.median(high / np.maximum(low, 1e-9))),
        "told": len(ends),
    }


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="40 repetitions")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--output", type=Path, default=OUTPUT / "equivalents_coverage.json")
    options = parser.parse_args()
    repetitions = 40 if options.quick else options.repetitions
    asked = [(J, spread, n) for n in (None, 400) for spread in (0.0, 0.3, 0.6) for J in (5, 10, 20)]
    sampled = [(K, n, size) for K in (2, 4, 7) for n, size in ((100, 0.5), (400, 0.35), (400, 1.0))]
    rows = joblib.Parallel(options.jobs)(
        [joblib.delayed(questions_covered)(*setting, repetitions=repetitions) for setting in asked]
        + [joblib.delayed(respondents_covered)(*setting, repetitions=repetitions) for setting in sampled]
    )
    index = [f"{J} questions, spread {s}, truth {'exact' if n is None else n}" for J, s, n in asked]
    index += [f"respondents: {K} options, {n} a group, error {size}" for K, n, size in sampled]
    table = pd.DataFrame(rows, index=index)
    print(f"intervals of {LEVEL:.0%} that hold the worth\n{table.round(3).to_string()}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    table.reset_index(names="setting").to_json(options.output, orient="records")


if __name__ == "__main__":
    main()
