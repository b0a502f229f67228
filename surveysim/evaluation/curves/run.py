"""Respondent curves: how near models come to the truth, by the number of respondents they learn from."""

from __future__ import annotations

import numbers
import os
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.errors import warn
from surveysim.evaluation.comparison import MIN_RESPONDENTS
from surveysim.evaluation.curves.protocol import (
    FLOOR,
    SAMPLE,
    SURVEY_COLUMNS,
    Protocol,
    RespondentSplit,
    asked,
    evaluate,
    evaluate_floor,
    evaluate_sample,
    fit_predict,
)
from surveysim.evaluation.curves.result_store import Store, describe, describe_data, environment
from surveysim.evaluation.report_levels import LEVELS
from surveysim.interfaces import Estimator
from surveysim.parameters import check_number
from surveysim.progress import progress
from surveysim.questions import Question
from surveysim.tables import Missing

__all__ = ["BASELINE", "BASELINES", "MARGINAL", "respondent_curve"]

Measured: TypeAlias = Estimator | Callable[[Mapping[str, Question]], Estimator]
"""What a curve measures: an unfitted estimator, or what makes one of the questions."""

MARGINAL = "pooled marginal"
BASELINE = "order-aware logit"
BASELINES: dict[str, Estimator] = {
    MARGINAL: MarginalRegressor(unseen="uniform"),
    "plain logit": LogitRegressor(ordered=False, unseen="uniform"),
    BASELINE: LogitRegressor(unseen="uniform"),
}
"""What every model is printed beside."""

COLUMNS = ("model", "n", "split", "level", "question", "n_groups", "js", "js_debiased", "skill", "cross_entropy")


def respondent_curve(
    estimators: Mapping[str, Measured] | None,
    data: pd.DataFrame,
    questions: Mapping[str, Question] | Question,
    backgrounds: Sequence[str],
    sizes: Sequence[int] = (200, 500, 1000, 2000),
    n_splits: int = 5,
    *,
    baselines: bool = True,
    weights: str | None = None,
    labels: Mapping[str, Mapping[Hashable, str | None]] | None = None,
    missing: str | Mapping[Hashable, str] | Missing = "drop",
    folds: int | None = 5,
    min_respondents: float = MIN_RESPONDENTS,
    store: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    random_state: int = 0,
    report: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Train on samples of a survey's respondents, and compare with all others, as the DSA paper does.

    Splitting *respondents* measures what a small sample is worth; splitting *cells*, as `cross_val_score` does,
    measures how well unseen backgrounds are predicted. In each split the respondents are shuffled, the first n are
    tabulated for training, and the rest are the truth.

    Parameters
    ----------
    estimators : mapping of str to estimator, or None
        Unfitted estimators by name. Where their parameter ``question`` is None it is set to the survey's questions. An
        entry may also be a function from the questions (a mapping) to an estimator. None: the baselines alone.
    data : DataFrame of shape (n_respondents, n_columns)
        One row per respondent.
    questions : mapping of str to Question
        The column of each question, as `answers` of `surveysim.tabulate`.
    backgrounds : list of str
        Columns that describe the respondents.
    sizes : sequence of int, default=(200, 500, 1000, 2000)
        Respondents to train on.
    n_splits : int, default=5
        Samples of each size.
    baselines : bool, default=True
        Add the pooled marginal, the plain logit and the order-aware logit, unless these names are taken.
    weights, labels, missing
        As in `surveysim.tabulate`. With weights the truth is weighted, and n is Kish's effective number.
    folds : int or None, default=5
        Folds of respondents, passed to estimators whose ``fit`` takes `folds`.
    min_respondents : float, default=50
        Groups with at least this many held-out respondents are compared, each with the same weight.
    store : path, optional
        A folder for results, one file per fit, written when it is done. Results found there are not computed again, so
        that an interrupted run resumes. The key is made of data, questions, split, estimator with all its parameters,
        the library's source code and the versions of the packages. For an estimator without a seed, one run is kept.
    n_jobs : int, optional
        Processes, as in joblib; each sample (size and split) is one job. A language model is loaded once in each.
    verbose : int, default=0
        0: a progress bar in a terminal or notebook, if it takes over two seconds; 1: always; -1: never.
    random_state : int, default=0
        RespondentSplit i is shuffled with seed ``random_state + i``, the same for all sizes and estimators.
    report : callable, optional
        Called with a line after each fit, such as ``print`` (with ``n_jobs=1`` only).

    Returns
    -------
    DataFrame
        One row per model, n, split, level ("cell", "attribute", "population") and question:

        - ``n_groups``: groups that were compared; ``js``, ``js_debiased``: their mean Jensen-Shannon divergence in
          bits, raw and without the truth's sampling noise;
        - ``skill``: 1 - D(model) / D(marginal) over all questions of that run and level, debiased: the same in all its
          rows; NaN without the pooled marginal;
        - ``cross_entropy``: bits per answer over *all* cells, weighted by ``respondents`` (level "cell" only), with
          0.1% of equal shares mixed in;
        - ``seconds``: for fit and prediction.

        Among the models are "the training set itself" and "floor", what a perfect prediction would show. The floor's
        rows have in ``survey_16`` to ``survey_65536`` the expected divergence of random surveys of so many
        respondents, which `respondents_saved` needs. With fewer than 5 questions, ``without_0`` to ``without_19`` hold
        ``js_debiased`` without each of 20 groups of the truth's respondents, on which intervals then rest.

    Raises
    ------
    ValueError
        If a size is not below the survey's respondents, names are taken twice, or too few respondents are left for a
        truth; and as `surveysim.tabulate`.
    RuntimeError
        If an estimator fails, with its name, size and split.

    Warns
    -----
    UserWarning
        If no group of a level has enough held-out respondents: that level is then missing.

    See Also
    --------
    summarise_curve : Means over questions and splits. compare_models : Differences with intervals.
    respondents_saved : How many respondents a model saves. RespondentCurveDisplay : The picture.

    Examples
    --------
    >>> import statsmodels.api as sm
    >>> from surveysim import Question
    >>> from surveysim.evaluation import respondent_curve, summarise_curve
    >>> fair = sm.datasets.fair.load_pandas().data
    >>> rating = Question(
    ...     "How do you rate your marriage?",
    ...     ["very poor", "poor", "fair", "good", "very good"],
    ...     codes=[1, 2, 3, 4, 5],
    ... )
    >>> curve = respondent_curve(
    ...     None, fair, {"rate_marriage": rating}, ["age", "religious"], [200, 800], n_splits=2
    ... )
    >>> summarise_curve(curve, "js_debiased").round(4)  # doctest: +NORMALIZE_WHITESPACE
    n                           200     800
    model
    the training set itself  0.1296  0.0295
    pooled marginal          0.0092  0.0093
    plain logit              0.0079  0.0051
    order-aware logit        0.0040  0.0020
    floor                    0.0000  0.0000
    """
    protocol = Protocol(
        data, _as_mapping(questions), list(backgrounds), weights, labels, missing, folds, min_respondents
    )
    sizes = _check_sizes(sizes, data, min_respondents)
    check_number("n_splits", n_splits, integer=True, low=1)
    if not isinstance(random_state, numbers.Integral) or isinstance(random_state, bool) or random_state < 0:
        raise ValueError(f"random_state must be a whole number of at least 0, got {random_state!r}")
    models = _check_estimators(estimators, baselines)
    described = None
    if store is not None:
        described = _describe_protocol(protocol)
    jobs = [_Job(protocol, n, int(random_state), split, models, described) for n in sizes for split in range(n_splits)]
    folder = None if store is None else Store(store)
    results = []
    with progress(verbose, total=len(jobs) * len(models), desc="respondent curve", unit=" fits") as bar:

        def told(line: str) -> None:
            bar.update()
            if report is not None:
                report(line)

        if n_jobs in (None, 1):
            results = [job.run(folder, told) for job in jobs]
        else:
            parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
            for result in parallel(delayed(job.run)(folder) for job in jobs):
                results.append(result)
                bar.update(len(models))
    results.sort(key=lambda result: (sizes.index(int(result["n"].iloc[0])), int(result["split"].iloc[0])))
    curve = pd.concat(results, ignore_index=True)
    _warn_missing_levels(curve, min_respondents)
    rest = [column for column in curve.columns if column not in COLUMNS]
    return curve[[*COLUMNS, *rest]]


@dataclass(frozen=True)
class _Job:
    """One sample of respondents and all models on it."""

    protocol: Protocol
    n: int
    seed: int
    split: int
    models: Mapping[str, Measured]
    described: Mapping[str, Any] | None

    def run(self, store: Store | None, told: Callable[[str], None] | None = None) -> pd.DataFrame:
        """The rows of every model; what the store has is not computed again."""
        split = None
        tables: dict[str, pd.DataFrame] = {}
        for name in (SAMPLE, FLOOR, *self.models):
            given = self.models.get(name, name)
            description = None
            if store is not None and self.described is not None:
                model = describe(_made(given, self.protocol.questions))
                description = {**self.described, "n": self.n, "seed": self.seed + self.split, "model": model}
                table = store.get(description)
            else:
                table = None
            if table is None:
                if split is None:
                    split = self.protocol.split(self.n, self.seed + self.split)
                # the questions that `tabulate` returns may have options added
                table = self._measure(name, _made(given, split.train.questions), split)
                if store is not None and description is not None:
                    store.put(description, table)
            tables[name] = table
            if told is not None and name in self.models:
                cells = table[table["level"] == table["level"].iloc[0]]
                mean = np.average(cells["js"], weights=cells["n_groups"])
                told(f"n={self.n} split={self.split} {name}: {mean:.4f} ({table['seconds'].iloc[0]:.1f} s)")
        reference = tables.get(MARGINAL)
        parts = [
            table.assign(model=name, n=self.n, split=self.split, skill=_skill(table, reference))
            for name, table in tables.items()
        ]
        return pd.concat([parts[0], *parts[2:], parts[1]], ignore_index=True)

    def _measure(self, name: str, model: Estimator, split: RespondentSplit) -> pd.DataFrame:
        if name == SAMPLE:
            return evaluate_sample(split)
        if name == FLOOR:
            return evaluate_floor(split)
        start = time.perf_counter()
        try:
            P = fit_predict(asked(model, split.train.questions), split)
            seconds = time.perf_counter() - start
            return evaluate(split, P).assign(seconds=seconds)
        except Exception as error:
            message = f"{name} failed on {self.n} respondents, split {self.split}: {type(error).__name__}: {error}"
            raise RuntimeError(message) from error


def _made(given: Measured | str, questions: Mapping[str, Question]) -> Any:
    """What a function makes of the questions; everything else as it is."""
    return given(questions) if callable(given) and not hasattr(given, "fit") else given


def _skill(table: pd.DataFrame, reference: pd.DataFrame | None) -> np.ndarray:
    """1 - D(model) / D(marginal) of each level, in each of its rows."""
    skill = np.full(len(table), np.nan)
    if reference is None:
        return skill
    for level in table["level"].unique():
        rows = (table["level"] == level).to_numpy()
        own, other = table[rows], reference[reference["level"] == level]
        D = np.average(own["js_debiased"], weights=own["n_groups"])
        D_reference = np.average(other["js_debiased"], weights=other["n_groups"])
        if D_reference > 0:
            skill[rows] = 1 - D / D_reference
    return skill


def _as_mapping(questions: Mapping[str, Question] | Question) -> dict[str, Question]:
    if not isinstance(questions, Mapping):
        raise TypeError(
            f"questions must be a mapping from columns of data to Question, got {type(questions).__name__}: "
            'write {"column": question}'
        )
    return dict(questions)


def _check_sizes(sizes: Sequence[int], data: pd.DataFrame, min_respondents: float) -> list[int]:
    if not isinstance(data, pd.DataFrame):
        raise TypeError(f"data must be a pandas DataFrame, one row per respondent, got {type(data).__name__}")
    check_number("min_respondents", min_respondents, low=0, open_low=True)
    checked: list[Any] = [sizes] if isinstance(sizes, numbers.Integral) else list(sizes)
    if not checked:
        raise ValueError("sizes is empty: name at least one number of respondents to train on")
    for n in checked:
        check_number("sizes", n, integer=True, low=1)
        if n + min_respondents > len(data):
            raise ValueError(
                f"sizes has {n:,} respondents to train on, but the survey has {len(data):,} and at least "
                f"{min_respondents:g} must be left over as the truth"
            )
    if len(set(checked)) < len(checked):
        raise ValueError(f"sizes names a number twice: {checked}")
    return [int(n) for n in checked]


def _check_estimators(estimators: Mapping[str, Measured] | None, baselines: bool) -> dict[str, Measured]:
    if estimators is not None and not isinstance(estimators, Mapping):
        raise TypeError(f"estimators must be a mapping from names to estimators, got {type(estimators).__name__}")
    given = dict(estimators or {})
    for name, estimator in given.items():
        if not isinstance(name, str):
            raise TypeError(f"estimators must be named by text, got {name!r}")
        if name in (SAMPLE, FLOOR):
            raise ValueError(f"estimators: the name {name!r} belongs to a row that is always there; choose another")
        if not callable(estimator) and not (hasattr(estimator, "fit") and hasattr(estimator, "predict")):
            raise TypeError(f"estimators[{name!r}] must have fit and predict, got {estimator!r}")
        if isinstance(estimator, type):
            raise TypeError(f"estimators[{name!r}] is a class: pass an instance, {estimator.__name__}(...)")
    chosen = {**{name: model for name, model in BASELINES.items() if baselines and name not in given}, **given}
    if not chosen:
        raise ValueError("there is nothing to measure: estimators is empty and baselines=False")
    return chosen


def _describe_protocol(protocol: Protocol) -> dict[str, Any]:
    columns = [*protocol.backgrounds, *protocol.questions]
    if isinstance(protocol.weights, str):
        columns.append(protocol.weights)
    absent = [column for column in columns if column not in protocol.data.columns]
    if absent:
        raise ValueError(f"data has no columns {absent}")
    return {
        "data": describe_data(protocol.data[list(dict.fromkeys(columns))]),
        "questions": describe({name: question.to_dict() for name, question in protocol.questions.items()}),
        "backgrounds": list(protocol.backgrounds),
        "weights": describe(protocol.weights),
        "labels": describe(protocol.labels),
        "missing": describe(protocol.missing),
        "folds": protocol.folds,
        "min_respondents": protocol.min_respondents,
        "survey_columns": list(SURVEY_COLUMNS),
        **environment(),
    }


def _warn_missing_levels(curve: pd.DataFrame, min_respondents: float) -> None:
    for n, rows in curve.groupby("n"):
        levels = set(rows["level"])
        for level in LEVELS:
            if level not in levels:
                warn(
                    f"at n={n} no group of level {level!r} has {min_respondents:g} held-out respondents: the level is "
                    "missing. Use fewer backgrounds, or a smaller min_respondents."
                )
