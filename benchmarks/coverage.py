"""Do 90% intervals hold 90% of known truths? ``python -m benchmarks.coverage`` simulates surveys of eight kinds.

Age in four ordered groups, sex, education in three ordered levels and region in three make 72 cells; questions have
five options. A group's scores on the options' contrasts are sums of normal effects. Respondents are drawn from the
population's cells. Three levels: crossed cells, single-attribute groups, the population (cells weighted by their true
shares, with draws that belong together).
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from surveysim import FusedRegressor, Question, tabulate
from surveysim.baselines import LogitRegressor
from surveysim.contrasts import option_contrasts
from surveysim.tables import Cells

OUTPUT = Path(__file__).resolve().parent / "output"
LEVELS = {
    "age": ["18-29", "30-44", "45-64", "65 or older"],
    "sex": ["man", "woman"],
    "education": ["school", "college", "university"],
    "region": ["east", "north", "south"],
}
ORDERED = ["age", "education"]
OPTIONS = ["very bad", "bad", "neither", "good", "very good"]
LEVEL = 0.9
N_DRAWS = 400


@dataclass(frozen=True)
class Setting:
    """A kind of survey.

    Attributes
    ----------
    effects : tuple of float
        Variances of the effects of an attribute's levels on contrasts of degree 1 to 4.
    cells, pairs : tuple of float
        The same for every cell by itself, and for each pair of levels of two attributes.
    n_questions : int
    weight_spread : float
        Standard deviation of the logarithm of respondents' weights.
    cluster_size : int
        Respondents who share a deviation of variance `cluster_variance` on every contrast; 0: none.
    """

    effects: tuple[float, ...] = (0.1, 0.02, 0.005, 0.005)
    cells: tuple[float, ...] = (0.0,) * 4
    pairs: tuple[float, ...] = (0.0,) * 4
    n_questions: int = 1
    weight_spread: float = 0.0
    cluster_size: int = 0
    cluster_variance: float = 0.1


SETTINGS = {
    "effects": Setting(),
    "large effects": Setting(effects=(0.5, 0.1, 0.02, 0.02)),
    "no effects": Setting(effects=(0.0,) * 4),
    "strong interactions of cells": Setting(cells=(0.2, 0.05, 0.01, 0.01)),
    "interactions of pairs": Setting(pairs=(0.03, 0.008, 0.002, 0.002)),
    "weighted": Setting(weight_spread=0.6),
    "clustered": Setting(cluster_size=15),
    "ten questions": Setting(n_questions=10),
}


def frame_of_cells() -> pd.DataFrame:
    """The 72 backgrounds; age and education are ordered."""
    cells = pd.DataFrame(list(itertools.product(*LEVELS.values())), columns=list(LEVELS))
    for name in ORDERED:
        cells[name] = pd.Categorical(cells[name], LEVELS[name], ordered=True)
    return cells


def scores_of_cells(setting: Setting, cells: pd.DataFrame, generator: np.random.Generator) -> np.ndarray:
    """True scores of the cells on the contrasts, (72, 4)."""
    codes = {name: pd.factorize(cells[name])[0] for name in cells}
    scores = np.tile(generator.normal(0, [0.7, 0.5, 0.3, 0.3]), (len(cells), 1))
    for code in codes.values():
        scores += (np.sqrt(setting.effects) * generator.standard_normal((code.max() + 1, 4)))[code]
    for first, second in itertools.combinations(codes.values(), 2):
        own = np.sqrt(setting.pairs) * generator.standard_normal((first.max() + 1, second.max() + 1, 4))
        scores += own[first, second]
    return scores + np.sqrt(setting.cells) * generator.standard_normal(scores.shape)


def simulate(setting: Setting, n: int, seed: int) -> tuple[Cells, pd.DataFrame, np.ndarray, dict[str, np.ndarray]]:
    """A survey of n respondents: its cells, all backgrounds, their population shares, and the truth by question."""
    generator = np.random.default_rng(seed)
    cells = frame_of_cells()
    share = generator.dirichlet(np.full(len(cells), 3.0))
    contrasts, _ = option_contrasts(np.arange(1.0, len(OPTIONS) + 1))
    place = generator.choice(len(cells), size=n, p=share)
    data = cells.iloc[place].reset_index(drop=True)
    cluster = np.arange(n) // setting.cluster_size if setting.cluster_size else np.zeros(n, dtype=int)
    data["cluster"] = cluster
    data["weight"] = np.exp(setting.weight_spread * generator.standard_normal(n))
    truth, questions = {}, {}
    for q in range(setting.n_questions):
        name = f"Q{q}"
        questions[name] = Question(f"How good is thing {q}?", OPTIONS)
        scores = scores_of_cells(setting, cells, generator)
        moves = np.zeros((1, 4))
        if setting.cluster_size:
            moves = np.sqrt(setting.cluster_variance) * generator.standard_normal((cluster.max() + 1, 4))
            # the truth is the mean over clusters
            truth[name] = np.mean([softmax((scores + move) @ contrasts, axis=1) for move in moves], axis=0)
        else:
            truth[name] = softmax(scores @ contrasts, axis=1)
        P = softmax((scores[place] + moves[cluster]) @ contrasts, axis=1)
        answer = (generator.random((n, 1)) > P.cumsum(axis=1)).sum(axis=1)
        data[name] = np.array(OPTIONS)[answer]
    train = tabulate(
        data,
        list(LEVELS),
        questions,
        weights="weight" if setting.weight_spread else None,
        cluster="cluster" if setting.cluster_size else None,
    )
    return train, cells, share, truth


def models(questions: Mapping[str, Question]) -> dict[str, Any]:
    """What is measured."""
    question = dict(questions)
    return {
        "auto": LogitRegressor(question=question),
        "fixed": LogitRegressor(question=question, prior="fixed"),
        "eb": LogitRegressor(question=question, prior="eb"),
        "fused with nothing": FusedRegressor(None, question=question),
    }


def averages(cells: pd.DataFrame, share: np.ndarray) -> dict[str, np.ndarray]:
    """Per level a matrix (n_estimates, n_cells) that makes its shares from those of cells."""
    groups = [share * (cells[name] == level).to_numpy() for name, levels in LEVELS.items() for level in levels]
    found = {"cells": np.eye(len(cells)), "groups": np.array(groups), "population": share[None]}
    return {name: matrix / matrix.sum(axis=1, keepdims=True) for name, matrix in found.items()}


def measure(setting: str, n: int, seed: int, only: list[str] | None = None) -> list[dict[str, Any]]:
    """Coverage, width and error of each model's intervals on one survey."""
    train, cells, share, truth = simulate(SETTINGS[setting], n, seed)
    matrices = averages(cells, share)
    records = []
    for name, model in models(train.questions).items():
        if only is not None and name not in only:
            continue
        model.fit(train.X, train.Y, sample_weight=train.n)
        held: dict[str, list[float]] = {level: [] for level in matrices}
        width: dict[str, list[float]] = {level: [] for level in matrices}
        X = pd.concat([cells.assign(question=question) for question in truth], ignore_index=True)
        everything = model.predict_draws(X[list(train.X.columns)], N_DRAWS, random_state=seed)
        for place, P in enumerate(truth.values()):
            draws = everything[:, place * len(cells) : (place + 1) * len(cells)]
            for level, matrix in matrices.items():
                ends = np.quantile(matrix @ draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
                held[level].append(float(np.mean((ends[0] <= matrix @ P) & (matrix @ P <= ends[1]))))
                width[level].append(float(np.mean(ends[1] - ends[0])))
        record = {"setting": setting, "n": n, "seed": seed, "model": name}
        records += [
            record | {"level": level, "coverage": np.mean(held[level]), "width": np.mean(width[level])}
            for level in matrices
        ]
    return records


def show(results: pd.DataFrame) -> None:
    """Print coverage and width: rows are models and settings, columns sizes and levels."""
    for value in ("coverage", "width"):
        table = results.groupby(["model", "setting", "n", "level"], sort=False)[value].mean().unstack(["n", "level"])
        print(f"\n{value} of {LEVEL:.0%} intervals\n{table.to_string(float_format='%.3f')}")
    by_survey = results.groupby(["model", "setting", "n", "level"], sort=False)["coverage"]
    print(f"\nlargest standard error over surveys: {(by_survey.std() / np.sqrt(by_survey.size())).max():.3f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[300, 1500])
    parser.add_argument("--surveys", type=int, default=200, help="of each kind")
    parser.add_argument("--models", nargs="+", help='some of the models only, such as "auto"')
    parser.add_argument("--quick", action="store_true", help="5 surveys")
    parser.add_argument("--output", type=Path, default=OUTPUT / "coverage.json")
    options = parser.parse_args()
    records = []
    for setting, n in itertools.product(options.settings, options.sizes):
        for seed in range(5 if options.quick else options.surveys):
            records += measure(setting, n, seed, options.models)
        results = pd.DataFrame(records)
        own = results[(results["setting"] == setting) & (results["n"] == n)]
        means = own.groupby(["model", "level"], sort=False)["coverage"].mean()
        print(f"{setting}, n = {n}: " + ", ".join(f"{' '.join(k)} {v:.3f}" for k, v in means.items()), flush=True)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        results.to_json(options.output, orient="records")
    show(results)


if __name__ == "__main__":
    main()
