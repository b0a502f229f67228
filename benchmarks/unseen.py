"""What nobody in the sample was asked: ``python -m benchmarks.unseen`` leaves out levels, combinations and questions.

Of the n respondents of a split, the cells of a fold are taken out of training (`surveysim.evaluation`'s splitters); the
held-out respondents of these cells are the truth. Levels at the end of an ordered background, inner ones and those of
an unordered background are told apart. Reference and weight of DSA are fixed, so that a fit takes a fifth of the time.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from benchmarks.bank_opponents import encoder_folder
from benchmarks.dsa import OUTPUT, PLAIN, STAGE_1, TWO_STAGES
from benchmarks.protocol import make_splits
from benchmarks.surveys import SURVEYS
from surveysim import DSARegressor, SimilarQuestionsRegressor, ZeroShotElicitor
from surveysim.base import DistributionRegressor
from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.cells import PredictCells
from surveysim.evaluation import FLOOR, LeaveCombinationsOut, LeaveLevelsOut, LeaveQuestionsOut
from surveysim.evaluation.comparison import MIN_RESPONDENTS
from surveysim.evaluation.curves.protocol import RespondentSplit, evaluate, evaluate_floor, fit_predict

MARGINAL, ORDERED = "pooled marginal", "order-aware logit"
EQUAL, SHARED, UNTUNED = "equal shares", "mean of the other questions", "the model, untuned"
SIMILAR = "similar questions, scales turned"

FIXED: dict[str, Any] = {"shift_reference": "baseline", "shift_weight": 1.5, "random_state": 0}

KINDS = ("levels", "combinations", "questions")

N_COMBINATIONS, N_QUESTIONS = 5, 4
"""Folds of combinations and of questions."""


class AverageQuestionRegressor(DistributionRegressor):
    """For every question the mean margin of the training questions with as many options, by their position.

    What can be said of a new question without a language model; equal shares where no training question is as long.
    """

    def __init__(self, *, question: Any = None, question_column: str = "question") -> None:
        self.question = question
        self.question_column = question_column

    def fit(self, X: Any, Y: Any, sample_weight: Any = None) -> AverageQuestionRegressor:
        """Average the margins of questions."""
        cells = self._validate_fit(X, Y, sample_weight)
        margins: dict[int, list[np.ndarray]] = {}
        for number in np.unique(cells.question_index):
            rows = cells.question_index == number
            margin = np.average(cells.Y[rows], axis=0, weights=cells.n[rows])
            K = int(cells.n_options[rows][0])
            margins.setdefault(K, []).append(margin[:K])
        self.margins_ = {K: np.mean(found, axis=0) for K, found in margins.items()}
        return self

    def _predict(self, cells: PredictCells) -> np.ndarray:
        P = np.full((len(cells), self.n_options_), np.nan)
        for row, K in enumerate(cells.n_options):
            P[row, :K] = self.margins_.get(int(K), np.full(K, 1 / K))
        return P


def models(kind: str, dsa: list[str], model: str = "nano") -> dict[str, Any]:
    """Unfitted estimators by name: what can say something of such cells."""
    if kind == "questions":
        # a statistical model can only take a new question for an average one of as many options
        chosen: dict[str, Any] = {EQUAL: MarginalRegressor(unseen="uniform"), SHARED: AverageQuestionRegressor()}
        if (encoder := encoder_folder()) is not None:
            chosen[SIMILAR] = SimilarQuestionsRegressor(encoder=encoder, device="cpu")
        if dsa:
            chosen[UNTUNED] = ZeroShotElicitor(model, method="logprob", random_state=0)
    else:
        chosen = {
            MARGINAL: MarginalRegressor(unseen="uniform"),
            PLAIN: LogitRegressor(ordered=False, unseen="uniform"),
            ORDERED: LogitRegressor(unseen="uniform"),
        }
    init: Literal["marginal"] | None = None if kind == "questions" else "marginal"
    for name in dsa:
        weight = {"shift_weight": 0} if name == STAGE_1 else {}
        chosen[name] = DSARegressor(model, init=init, **(FIXED | weight))
    return chosen


@dataclass(frozen=True)
class Fold:
    """Training without the cells of a fold, and their truth."""

    column: str
    level: str
    place: str
    split: RespondentSplit


def folds(kind: str, split: RespondentSplit, columns: list[str] | None) -> Iterator[Fold]:
    """The folds of one kind. The same splitter divides the training cells and the truth's cells."""
    train, truth = split.train, split.truth
    both = pd.concat([train.X, truth.X], ignore_index=True)
    if kind == "levels":
        splitter: Any = LeaveLevelsOut(columns)
        names = splitter.describe(both)[["column", "level", "place"]].to_numpy().tolist()
    elif kind == "combinations":
        splitter = LeaveCombinationsOut(columns, n_splits=N_COMBINATIONS)
        names = [["", str(fold), kind] for fold in range(N_COMBINATIONS)]
    else:
        splitter = LeaveQuestionsOut(N_QUESTIONS)
        names = [["", str(fold), kind] for fold in range(N_QUESTIONS)]
    for name, (seen, unseen) in zip(names, splitter.split(both), strict=True):
        left_out = truth.subset(unseen[unseen >= len(train)] - len(train))
        if (left_out.n >= MIN_RESPONDENTS).any():
            kept = train.subset(seen[seen < len(train)])
            column, level, place = name
            yield Fold(column, level, place, RespondentSplit(split.n, split.seed, kept, left_out))


def measure(survey_name: str, options: argparse.Namespace) -> pd.DataFrame:
    """One row per split, fold, model and question."""
    tables = []
    for split in make_splits(SURVEYS[survey_name](), options.size, options.splits, folds=5):
        for kind in options.kinds:
            for fold in folds(kind, split, options.columns):
                about = {"survey": survey_name, "n": split.n, "split": split.seed, "kind": kind}
                about |= {"column": fold.column, "level": fold.level, "place": fold.place}
                for name, estimator in models(kind, options.dsa, options.model).items():
                    start = time.process_time()
                    with warnings.catch_warnings():  # that questions are unseen is the point
                        warnings.filterwarnings("ignore", message=".*(no training cells|unseen|label)")
                        asked = estimator.set_params(question=dict(split.train.questions))
                        P = fit_predict(asked, fold.split)
                    seconds = time.process_time() - start
                    tables.append(_cells(evaluate(fold.split, P)).assign(model=name, seconds=seconds, **about))
                    js = np.average(tables[-1]["js"], weights=tables[-1]["n_cells"])
                    where = f"{fold.column}={fold.level}" if fold.column else f"{kind} {fold.level}"
                    print(f"{survey_name} split {split.seed}, {where}, {name}: {js:.4f} ({seconds:.1f} s)", flush=True)
                floor = evaluate_floor(fold.split, surveys=False)
                tables.append(_cells(floor).assign(model=FLOOR, **about))
    return pd.concat(tables, ignore_index=True)


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    cells = table[table["level"] == "cell"].rename(columns={"n_groups": "n_cells"})
    return cells[["question", "n_cells", "js", "js_debiased"]]


def difference(rows: pd.DataFrame, first: str, second: str, n_draws: int = 2000) -> tuple[float, float, float]:
    """Relative difference of the debiased divergence of left-out cells, and its 90% interval over questions."""
    sums = (
        rows.assign(total=rows["js_debiased"] * rows["n_cells"])
        .pivot_table(index="question", columns="model", values="total", aggfunc="sum")[[first, second]]
        .to_numpy()
    )
    drawn = sums[np.random.default_rng(0).integers(len(sums), size=(n_draws, len(sums)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1] - 1, [0.05, 0.95])
    total = sums.sum(axis=0)
    return total[0] / total[1] - 1, low, high


def _means(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Mean divergence over the left-out cells: a row per model, for each of `keys` two columns."""
    products = rows.assign(raw=rows["js"] * rows["n_cells"], debiased=rows["js_debiased"] * rows["n_cells"])
    sums = products.groupby(["model", *keys], sort=False)[["raw", "debiased", "n_cells"]].sum().reset_index()
    sums["left out"] = sums[keys].agg(" ".join, axis=1)
    columns = {}
    for what in dict.fromkeys(sums["left out"]):
        own = sums[sums["left out"] == what].set_index("model")
        for end in ("raw", "debiased"):
            columns[what, end] = own[end] / own["n_cells"]
    return pd.DataFrame(columns).reindex(list(dict.fromkeys(rows["model"])))


def show(results: pd.DataFrame) -> None:
    """Divergence of the cells that were left out, raw and debiased, by what was left out."""
    pd.options.display.width = 200
    for (survey, n), own in results.groupby(["survey", "n"], sort=False):
        for keys in (["place"], ["column", "place"]):
            rows = own if len(keys) == 1 else own[own["kind"] == "levels"]
            if len(rows):
                print(f"\n{survey}, n = {n}, raw and debiased, by {' and '.join(keys)}")
                print(_means(rows, keys).to_string(float_format="%.4f", na_rep=""))
        print(f"\n{survey}: debiased divergence, relative difference [90% interval over questions]")
        for place, rows in own.groupby("place", sort=False):
            opponent = SHARED if place == "questions" else ORDERED
            pairs = [(name, opponent) for name in (STAGE_1, TWO_STAGES)]
            pairs += [
                (ORDERED, PLAIN),
                (TWO_STAGES, PLAIN),
                (TWO_STAGES, STAGE_1),
                (UNTUNED, SHARED),
                (SIMILAR, SHARED),
            ]
            for first, second in pairs:
                if {first, second} <= set(rows["model"]):
                    paired = rows.groupby(["split", "column", "level"])["model"].transform(
                        lambda names, wanted={first, second}: wanted <= set(names)
                    )
                    value, low, high = difference(rows[paired], first, second)
                    print(f"  {place}: {first} against {second}: {value:+.1%} [{low:+.1%}, {high:+.1%}]")


def main() -> None:
    """Measure, or read what was measured, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano", help="the language model: a name, a folder or a GGUF file")
    parser.add_argument("--surveys", nargs="+", default=["cces_2016", "nonvoters_2020"], choices=sorted(SURVEYS))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--columns", nargs="+", help="backgrounds whose levels are left out; default: all")
    parser.add_argument("--size", type=int, default=500, help="training respondents")
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--dsa", nargs="*", default=[STAGE_1, TWO_STAGES], choices=[STAGE_1, TWO_STAGES])
    parser.add_argument("--quick", action="store_true", help="cces_2016, levels of age and questions, two stages only")
    parser.add_argument("--output", type=Path, default=OUTPUT / "unseen.json")
    parser.add_argument("--read", type=Path, nargs="+", help="print the tables of these outputs together")
    options = parser.parse_args()
    if options.quick:
        options.surveys, options.kinds, options.columns = ["cces_2016"], ["levels", "questions"], ["age"]
        options.dsa, options.splits = [TWO_STAGES], 1
    if options.read:
        results = pd.concat([pd.read_json(file) for file in options.read], ignore_index=True)
    else:
        results = pd.concat([measure(name, options) for name in options.surveys], ignore_index=True)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        results.to_json(options.output, orient="records")
    show(results)


if __name__ == "__main__":
    main()
