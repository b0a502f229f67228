"""Does pooling over questions ever lose? ``python -m benchmarks.pooling``: many questions, few groups.

Parts of real surveys: single attributes and all of them, 4 to 98 questions. Debiased divergence of groups of at least
50 held-out respondents (where respondents are simulated, of all groups from their exact shares), relative to
``prior="eb"``, which learns variances and pools nothing. Beside the default stands the same with resemblance shrunk
otherwise (`surveysim.baselines.resemblance`): the power with which the identity counts for more where effects are few,
0 being 20 terms whatever questions and effects there are. "Alone" is the default without resemblance.

The power is chosen for each source of surveys by the others: that with the smallest mean, over sources and their cases,
of the logarithm of the divergence relative to "eb", losses of more than 1% counted three times. ``--read`` takes what
was measured before.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from benchmarks.fusion import Recorded, draw_sample, read_recorded
from benchmarks.protocol import make_splits
from benchmarks.surveys import MORE_SURVEYS, SURVEYS, Survey, data_folder, load_nonvoters
from surveysim import Question
from surveysim.baselines import LogitRegressor, learning, resemblance
from surveysim.metrics import js_divergence

OUTPUT = Path(__file__).resolve().parent / "output"
MIN_RESPONDENTS = 50
POWERS = (0.0, 1.0, 2.0)
BAD_LOSS, LOSS_WEIGHT = 0.01, 3.0


@dataclass(frozen=True)
class Sample:
    """Cells to learn from, and the truth of some; without `respondents` it is exact."""

    X: pd.DataFrame
    Y: np.ndarray
    n: np.ndarray
    questions: dict[str, Question]
    truth_X: pd.DataFrame
    truth_Y: np.ndarray
    respondents: np.ndarray | None = None


def all_nonvoters() -> Survey:
    """Every ordinal question of `nonvoters_2020` (45), and income beside the other backgrounds."""
    usual = load_nonvoters()
    folder = data_folder() / "nonvoters_2020"
    answers = pd.read_csv(folder / "nonvoters_data.csv")
    description = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
    questions = {
        item["variable"]: Question(item["question"], item["options"], codes=item["codes"])
        for item in description["questions"]
        if item["ordinal"]
    }
    income = pd.Categorical(answers["income_cat"], description["demographics"]["income_cat"], ordered=True)
    data = pd.concat([usual.data[usual.backgrounds].assign(income=income), answers[list(questions)]], axis=1)
    return Survey(usual.name, data, [*usual.backgrounds, "income"], questions, usual.skipped)


def part(survey: Survey, backgrounds: list[str], n_questions: int, seed: int) -> Survey:
    """Some of its backgrounds and questions."""
    names = list(survey.questions)
    chosen = set(np.random.default_rng(seed).permutation(names)[:n_questions])
    questions = {name: survey.questions[name] for name in names if name in chosen}
    return replace(survey, backgrounds=backgrounds, questions=questions, data=survey.data[[*backgrounds, *questions]])


def of_survey(survey: Survey, backgrounds: list[str], n_questions: int, n: int, split: int) -> Sample:
    """n of its respondents, the others as truth."""
    *_, drawn = make_splits(part(survey, backgrounds, n_questions, split), n, split + 1)
    kept = np.flatnonzero(drawn.truth.n >= MIN_RESPONDENTS)
    train, truth = drawn.train, drawn.truth
    return Sample(train.X, train.Y, train.n, dict(train.questions), truth.X.iloc[kept], truth.Y[kept], truth.n[kept])


def of_recorded(recorded: Recorded, n_questions: int, n: int, draw: int) -> Sample:
    """n respondents for each group and question, simulated from what groups answered."""
    names = list(recorded.questions)
    chosen = set(np.random.default_rng(draw).permutation(names)[:n_questions])
    rows = np.flatnonzero(recorded.X["question"].isin(chosen))
    X, Y = recorded.X.iloc[rows], draw_sample(recorded, n, draw)[rows]
    questions = {name: recorded.questions[name] for name in names if name in chosen}
    width = max(question.n_options for question in questions.values())
    return Sample(X, Y[:, :width], np.full(len(X), float(n)), questions, X, recorded.human[rows, :width])


def cases(n_splits: int, sources: list[str]) -> Iterator[tuple[str, str, int, list[Sample]]]:
    """Source, name, respondents (of the survey, or of each group) and samples of every case."""
    if "opinionqa" in sources:
        by_attribute: dict[str, Recorded] = {}
        for (*_, attribute), recorded in read_recorded().items():
            best = by_attribute.get(attribute)
            by_attribute[attribute] = recorded if best is None or len(recorded.X) > len(best.X) else best
        for attribute, recorded in by_attribute.items():
            for n_questions in (20, 50, 98):
                name = f"{attribute.lower()}, {n_questions} questions"
                for n in (10, 50):
                    yield "opinionqa", name, n, [of_recorded(recorded, n_questions, n, i) for i in range(n_splits)]
    loaders = {**SURVEYS, **MORE_SURVEYS, "nonvoters_2020": all_nonvoters}
    for source in (source for source in sources if source != "opinionqa"):
        survey = loaders[source]()
        several = [survey.backgrounds] if source != "nonvoters_2020" else [survey.backgrounds[:4], survey.backgrounds]
        for backgrounds in [[name] for name in survey.backgrounds] + several:
            for n_questions in (20, 45) if source == "nonvoters_2020" else (len(survey.questions),):
                name = f"{' x '.join(backgrounds)}, {n_questions} questions"
                for n in (n for n in (200, 1000) if n <= 0.4 * len(survey.data)):
                    samples = [of_survey(survey, backgrounds, n_questions, n, split) for split in range(n_splits)]
                    yield source, name, n, samples


def variants(chosen: bool) -> dict[str, tuple[dict[str, Any], dict[str, float], bool]]:
    """Parameters, constants, and whether resemblance is learned, by name."""
    found: dict[str, tuple[dict[str, Any], dict[str, float], bool]] = {
        "eb": ({"prior": "eb"}, {}, True),
        "fixed": ({"prior": "fixed"}, {}, True),
        "auto": ({}, {}, True),
    }
    if chosen:
        return found
    found |= {f"power {power:g}": ({}, {"SCARCITY_POWER": power}, True) for power in POWERS}
    return found | {"alone": ({}, {}, False)}


def measure(sample: Sample, *, chosen: bool) -> dict[str, float]:
    """Divergence by variant."""
    found = {}
    for name, (parameters, constants, pooled) in variants(chosen).items():
        model = LogitRegressor(question=sample.questions, unseen="uniform", **parameters)
        with ExitStack() as stack:
            for constant, value in constants.items():
                stack.enter_context(patch.object(resemblance, constant, value))
            if constants.get("SCARCITY_POWER") == 0:  # what it was: 20 whatever the questions
                stack.enter_context(patch.object(resemblance, "identity_terms", lambda *_: resemblance.IDENTITY_TERMS))
            if not pooled:
                stack.enter_context(patch.object(learning, "MAX_COUPLED", 0))
            P = model.fit(sample.X, sample.Y, sample.n).predict(sample.truth_X)
        found[name] = float(js_divergence(sample.truth_Y, P, truth_respondents=sample.respondents))
    return found


def relative(results: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean divergence relative to "eb", less 1, and its standard error over samples: a row per case."""
    by = ["source", "case", "n"]
    values = results.drop(columns=[*by, "sample"])
    mean = results.groupby(by, sort=False)[list(values)].mean()
    apart = values.sub(values["eb"], axis=0).groupby([results[key] for key in by], sort=False)
    error = apart.std().div(np.sqrt(apart.size()) * mean["eb"], axis=0)
    return mean.div(mean["eb"], axis=0) - 1, error


def choose(ratios: pd.DataFrame) -> str:
    """The best power on these sources; each counts alike."""
    own = ratios[[f"power {power:g}" for power in POWERS]]
    logs = pd.DataFrame(np.log1p(own)) * np.where(own > BAD_LOSS, LOSS_WEIGHT, 1.0)
    return str(logs.groupby("source").mean().mean().idxmin())


def main() -> None:
    """Measure and print."""
    every = ["opinionqa", "nonvoters_2020", "cces_2016", "anes96", "ess_gb", "ess_no", "wvs_usa"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", nargs="+", default=every, choices=every)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--chosen", action="store_true", help="the defaults only, no choice of the power")
    parser.add_argument("--quick", action="store_true", help="anes96 alone")
    parser.add_argument("--read", action="store_true", help="choose from the output of an earlier run")
    parser.add_argument("--output", type=Path, default=OUTPUT / "pooling.json")
    options = parser.parse_args()
    if options.quick:
        options.sources = ["anes96"]
    records: list[dict[str, Any]] = []
    for source, name, n, samples in [] if options.read else cases(options.splits, options.sources):
        for number, sample in enumerate(samples):
            own = {"source": source, "case": name, "n": n, "sample": number}
            records.append(own | measure(sample, chosen=options.chosen))
        print(source, name, n, flush=True)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(records).to_json(options.output, orient="records")
    ratios, errors = relative(pd.read_json(options.output) if options.read else pd.DataFrame(records))
    with pd.option_context("display.width", 250, "display.max_rows", None, "display.max_columns", None):
        print(f"\ndivergence relative to eb, percent\n{(100 * ratios).round(1).to_string()}")
        print(f"\nstandard errors over samples\n{(100 * errors).round(1).to_string()}")
        print(f"\nlargest by source\n{(100 * ratios.groupby('source', sort=False).max()).round(1).to_string()}")
    if not options.chosen and len(options.sources) > 1:
        print(f"\nchosen: {choose(ratios)}")
        for source in ratios.index.unique("source"):
            best = choose(ratios.drop(index=source, level="source"))
            own = ratios.loc[ratios.index.get_level_values("source") == source, best].to_numpy()
            print(f"{source}: the others choose {best}: mean {own.mean():+.1%}, largest {own.max():+.1%}")


if __name__ == "__main__":
    main()
