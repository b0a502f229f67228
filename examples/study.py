"""What the demo computes: a few respondents to learn from, all others as the truth, and which method comes near it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm

from surveysim import DSARegressor, Question, tabulate
from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.evaluation import noise_floor
from surveysim.metrics import cross_entropy, js_divergence, total_variation
from surveysim.tables import Cells

QUESTION = Question(
    "How do you rate your marriage?",
    ["very poor", "poor", "fair", "good", "very good"],
    codes=[1, 2, 3, 4, 5],
    context="Redbook magazine, United States, 1974, married women",
)
LABELS: dict[str, dict[Any, str | None]] = {
    "age": {17.5: "under 20", 22: "20-24", 27: "25-29", 32: "30-34", 37: "35-39", 42: "40 or older"},
    "religious": {1: "not", 2: "mildly", 3: "fairly", 4: "strongly"},
    "children": {0: "none", 1: "1", 2: "2", 3: "3", 4: "4", 5.5: "5 or more"},
}

SAMPLE, MARGIN, PLAIN, LOGIT = "training sample", "pooled margin", "plain logit", "order-aware logit"
STAGE1, BOTH, STACKED = "DSA, stage 1 only", "DSA, both stages", 'DSA, init="baseline"'
FLOOR = "noise floor"
METHODS = (SAMPLE, MARGIN, PLAIN, LOGIT, STAGE1, BOTH, STACKED, FLOOR)

LEVELS = CELLS, GROUPS, POPULATION = "crossed cells", "single groups", "population"

ENOUGH = 50
"""Cells and groups are compared from this many held-out respondents on."""

EQUAL_SHARES = 0.001
"""Mixed into every prediction before the cross-entropy, which is infinite where an option that somebody chose got 0."""


@dataclass
class Study:
    """A survey in two parts, and what each method makes of the first."""

    train: Cells
    truth: Cells
    n_train: int
    n_truth: int
    predictions: dict[str, dict[str, pd.DataFrame]] = field(default_factory=dict)  # method -> level -> shares
    bits_per_answer: dict[str, float] = field(default_factory=dict)
    models: dict[str, DSARegressor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.levels = by_level(self.truth, self.truth.Y)

    def add(self, method: str, P: np.ndarray) -> None:
        """Keep a method's predictions for the cells of the truth, pooled to each level."""
        self.predictions[method] = by_level(self.truth, P)
        mixed = (1 - EQUAL_SHARES) * P + EQUAL_SHARES / P.shape[1]
        self.bits_per_answer[method] = cross_entropy(self.truth.Y, mixed, sample_weight=self.truth.n)

    def compared(self, level: str) -> tuple[pd.DataFrame, np.ndarray]:
        """The truth's shares and respondents in the groups of a level that have enough of them."""
        table = self.levels[level][self.levels[level]["n"] >= ENOUGH]
        return table.drop(columns="n"), table["n"].to_numpy()

    def predicted(self, method: str, level: str) -> np.ndarray:
        """A method's shares for the same groups."""
        return self.predictions[method][level].loc[self.compared(level)[0].index].drop(columns="n").to_numpy()


def load_study(n_train: int, seed: int) -> Study:
    """Draw `n_train` respondents at random and tabulate both parts."""
    survey = sm.datasets.fair.load_pandas().data
    order = np.random.default_rng(seed).permutation(len(survey))

    def cells(rows: np.ndarray, folds: int | None = None) -> Cells:
        return tabulate(survey.iloc[rows], list(LABELS), {"rate_marriage": QUESTION}, labels=LABELS, folds=folds)

    return Study(cells(order[:n_train], folds=5), cells(order[n_train:]), n_train, len(survey) - n_train)


def by_level(cells: Cells, Y: np.ndarray) -> dict[str, pd.DataFrame]:
    """Shares and respondents of the crossed cells, of the groups of each attribute, and of everybody."""
    counts = pd.DataFrame(Y * cells.n[:, None]).assign(n=cells.n)
    columns = {name: cells.X[name].astype(str).to_numpy() for name in LABELS}

    def pool(keys: list[np.ndarray]) -> pd.DataFrame:
        pooled = counts.groupby(keys, sort=False).sum()
        return pooled.div(pooled["n"], axis=0).assign(n=pooled["n"])

    groups = [pool([np.full(len(cells), name), values]) for name, values in columns.items()]
    return {
        CELLS: pool(list(columns.values())),
        GROUPS: pd.concat(groups),
        POPULATION: pool([np.full(len(cells), "all")]),
    }


# --- methods ----------------------------------------------------------------------------------------------------------


def add_sample(study: Study) -> None:
    """The training sample as a prediction; where it has nobody, its margin stands in."""
    sample = study.train.X.astype(str).assign(row=range(len(study.train)))
    row = study.truth.X.astype(str).merge(sample, how="left", on=list(LABELS))["row"]
    margin = np.average(study.train.Y, axis=0, weights=study.train.n)
    P = np.where(row.isna().to_numpy()[:, None], margin, study.train.Y[row.fillna(0).astype(int)])
    study.add(SAMPLE, P)
    # Pooled over cells with the sample's own respondents, not the truth's: what the sample itself would say.
    own = by_level(study.train, study.train.Y)
    for level in (GROUPS, POPULATION):
        whole = study.predictions[SAMPLE][level]
        study.predictions[SAMPLE][level] = own[level].reindex(whole.index).fillna(whole)


def add_baselines(study: Study) -> None:
    """What a language model has to beat."""
    for method, estimator in {
        MARGIN: MarginalRegressor(question=QUESTION),
        PLAIN: LogitRegressor(ordered=False, question=QUESTION),
        LOGIT: LogitRegressor(question=QUESTION),
    }.items():
        estimator.fit(study.train.X, study.train.Y, sample_weight=study.train.n)
        study.add(method, estimator.predict(study.truth.X))


def dsa_settings(method: str, study: Study, *, search: bool) -> dict[str, Any]:
    """What a fine-tuning is told. `search`: held-out respondents choose everything that they can.

    Else the weight of stage 2 is the default, 1.5, and init="baseline" takes the reference that the fit before chose:
    half the training steps, which matters where a step takes long.
    """
    if method == STAGE1:
        return {"shift_weight": 0}
    start = {"init": "baseline"} if method == STACKED else {}
    if search:
        return start
    chosen = {"shift_reference": study.models[BOTH].shift_reference_} if method == STACKED else {}
    return {**start, **chosen, "shift_weight": 1.5}


def add_dsa(
    study: Study,
    model: str,
    seed: int,
    report: Callable[[str, DSARegressor], None] | None = None,
    *,
    search: bool = True,
    **common: Any,
) -> None:
    """Fine-tune the language model three times: stage 1 only, both stages, and on top of the baseline."""
    for method in (STAGE1, BOTH, STACKED):
        estimator = DSARegressor(
            model,
            question=QUESTION,
            verbose=int(report is not None and sys.stderr.isatty()),  # a progress bar where somebody watches
            random_state=seed,
            **dsa_settings(method, study, search=search),
            **common,
        )
        estimator.fit(study.train.X, study.train.Y, sample_weight=study.train.n, folds=study.train.folds)
        study.add(method, estimator.predict(study.truth.X))
        study.models[method] = estimator
        if report is not None:
            report(method, estimator)


# --- how near they come -----------------------------------------------------------------------------------------------


def divergence(study: Study, method: str, level: str) -> tuple[float, float]:
    """Mean Jensen-Shannon divergence in thousandths of a bit: raw, and without the truth's own sampling noise."""
    truth, n = study.compared(level)
    if method == FLOOR:
        return -1000 * js_divergence(truth, truth, truth_respondents=n), 0.0
    P = study.predicted(method, level)
    return 1000 * js_divergence(truth, P), 1000 * js_divergence(truth, P, truth_respondents=n)


def points(study: Study, method: str, level: str) -> float:
    """Of a hundred answers, how many a method puts on a wrong option (total variation), the truth's noise included."""
    truth, n = study.compared(level)
    if method == FLOOR:
        return 100 * noise_floor(truth, n, "total_variation")
    return 100 * total_variation(truth, study.predicted(method, level))


def difference(study: Study, method: str, other: str, seed: int, n_draws: int = 400) -> tuple[float, float]:
    """How much lower `method`'s divergence is than `other`'s over the crossed cells, and its standard error.

    In thousandths of a bit. The held-out respondents of each cell are drawn anew with replacement: the error covers who
    was held out, not who was sampled for training.
    """
    truth, n = study.compared(CELLS)
    drawn = np.random.default_rng(seed).multinomial(n.round().astype(int), truth.to_numpy(), size=(n_draws, len(n)))
    shares = (drawn / drawn.sum(axis=2, keepdims=True)).reshape(-1, truth.shape[1])

    def mean_divergence(of: str) -> np.ndarray:
        P = np.tile(study.predicted(of, CELLS), (n_draws, 1))
        return 1000 * js_divergence(shares, P, average=False).reshape(n_draws, -1).mean(axis=1)

    gain = divergence(study, other, CELLS)[1] - divergence(study, method, CELLS)[1]
    return gain, float((mean_divergence(other) - mean_divergence(method)).std(ddof=1))
