"""A small sample joined with earlier waves: ``python -m benchmarks.waves`` prints tables and writes JSON.

Each survey's respondents are split at random into a pool of fresh respondents, up to three earlier waves, and the truth
(debiased; cells of at least 30 respondents). Waves differ from the survey by known effects: none ("same"), a drift of
each question's level and of each group (standard deviations of .3 and .1 on contrasts of degree 1, half and a quarter
of it on higher ones; "moved"), or their questions are exchanged for others with as many options ("shuffled"). The
constants of `surveysim.fusion.shares` were chosen on `nonvoters_2020` (all questions and four at a time) and `wvs_usa`,
so that their figures are no test of them.

``--ess`` takes round 9 of the European Social Survey in Great Britain for an earlier wave of round 10 in Norway, and
the other way round: four questions in common, another country, three years between.

``--models`` prints the fusion of several recorded language models (`opinionqa_elicited`, see `benchmarks.fusion`);
``--speed`` the processor time of 100 questions x 100 cells x 5 sources.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
from sklearn.base import clone

from benchmarks.fusion import draw_sample, read_recorded
from benchmarks.protocol import survey_missing
from benchmarks.surveys import MORE_SURVEYS, SURVEYS, Survey, load_ess
from surveysim import FusedRegressor, Question, tabulate
from surveysim.base import DistributionRegressor
from surveysim.baselines import LogitRegressor
from surveysim.contrasts import option_contrasts
from surveysim.elicitation.recorded import RecordedElicitor
from surveysim.metrics import js_divergence
from surveysim.sources import Wave
from surveysim.tables import Cells

OUTPUT = Path(__file__).resolve().parent / "output"

SIZES = (30, 50, 100, 300, 1000)
KINDS = ("same", "moved", "shuffled")
LEVEL_DRIFT, GROUP_DRIFT = 0.3, 0.1
FEWEST = 30
ESS_SIZES = (30, 50, 100, 300)
FEWEST_ESS = 20
"""The same for surveys of 1,400 and 2,200 respondents."""
MODELS = ("gpt-4", "anthropic_opus", "anthropic_haiku", "gpt-3.5-turbo-0125", "llama3-70b")


def cells_of(survey: Survey, respondents: pd.DataFrame) -> Cells:
    """Cells of some respondents."""
    return tabulate(
        respondents, backgrounds=survey.backgrounds, answers=survey.questions, missing=survey_missing(survey)
    )


def moved(survey: Survey, respondents: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """The same people with other answers: within each cell answers are drawn again, tilted by the drift's effects."""
    found = respondents.reset_index(drop=True).copy()
    key = found[survey.backgrounds].astype(str).agg("|".join, axis=1).to_numpy()
    places = {cell: np.flatnonzero(key == cell) for cell in np.unique(key)}
    for name, question in survey.questions.items():
        contrasts, degree = option_contrasts(question.positions)
        scale = 0.5 ** np.minimum(np.maximum(degree, 1) - 1, 2)
        tilt = np.tile((LEVEL_DRIFT * scale * generator.normal(size=len(degree))) @ contrasts, (len(found), 1))
        for attribute in survey.backgrounds:
            values = found[attribute].astype(str).to_numpy()
            for value in np.unique(values):
                tilt[values == value] += (GROUP_DRIFT * scale * generator.normal(size=len(degree))) @ contrasts
        codes = list(question.codes or range(1, question.n_options + 1))
        answers = found[name].to_numpy()
        option = pd.Index(codes).get_indexer(pd.Index(answers))
        weight = np.where(option >= 0, np.exp(tilt[np.arange(len(found)), np.maximum(option, 0)]), 1.0)
        drawn = answers.copy()
        for rows in places.values():
            drawn[rows] = generator.choice(answers[rows], size=len(rows), p=weight[rows] / weight[rows].sum())
        found[name] = drawn
    return found


def shuffled(survey: Survey, respondents: pd.DataFrame) -> pd.DataFrame:
    """Each question has the answers of the one before with as many options."""
    by_size: dict[int, list[str]] = {}
    for name, question in survey.questions.items():
        by_size.setdefault(question.n_options, []).append(name)
    found = respondents.copy()
    for names in by_size.values():
        for name, other in zip(names, np.roll(names, 1), strict=True):
            codes = [survey.questions[one].codes or [] for one in (other, name)]
            found[name] = respondents[other].replace(dict(zip(*codes, strict=True)))
    return found


def measure_one(survey: Survey, split: int, sizes: Sequence[int], n_wave: int) -> list[dict[str, object]]:
    """All kinds of waves and sizes on one split: a record per kind and size."""
    warnings.simplefilter("ignore")
    generator = np.random.default_rng(split)
    data = survey.data.iloc[generator.permutation(len(survey.data))].reset_index(drop=True)
    pool = max(sizes)
    others = [data[pool + i * n_wave : pool + (i + 1) * n_wave] for i in range(3)]
    truth = cells_of(survey, data[pool + (3 if len(data) > 5 * n_wave else 1) * n_wave :])
    kept = truth.n >= FEWEST
    waves = {
        "same": cells_of(survey, others[0]),
        "moved": cells_of(survey, moved(survey, others[0], generator)),
        "shuffled": cells_of(survey, shuffled(survey, others[0])),
    }
    base = LogitRegressor(unseen="uniform")

    def divergence(P: np.ndarray) -> float:
        return float(js_divergence(truth.Y[kept], P[kept], truth_respondents=truth.n[kept]))

    def logit(cells: Cells) -> float:
        model = LogitRegressor(question=survey.questions, unseen="uniform").fit(cells.X, cells.Y, cells.n)
        return divergence(model.predict(truth.X))

    alone = {kind: logit(cells) for kind, cells in waves.items()}
    records = []
    for n in sizes:
        fresh = cells_of(survey, data[:n])
        own = logit(fresh)
        nothing = divergence(
            FusedRegressor(None, question=survey.questions, base=base).fit(fresh.X, fresh.Y, fresh.n).predict(truth.X)
        )
        sources: dict[str, dict[str, Wave]] = {kind: {kind: Wave(cells)} for kind, cells in waves.items()}
        if len(data) > 5 * n_wave:
            further = [cells_of(survey, moved(survey, other, generator)) for other in others[1:]]
            sources["two"] = {"moved": Wave(waves["moved"]), "further": Wave(further[0])}
            sources["three"] = sources["two"] | {"third": Wave(further[1])}
        for kind, own_sources in sources.items():
            model = FusedRegressor(own_sources, question=survey.questions, base=base, random_state=split).fit(
                fresh.X, fresh.Y, fresh.n
            )
            record: dict[str, object] = {
                "survey": survey.name,
                "split": split,
                "wave": kind,
                "n": n,
                "logit": own,
                "nothing": nothing,
            }
            record |= {"wave alone": alone.get(kind, np.nan), "fused": divergence(model.predict(truth.X))}
            record |= {"worth": model.model_worth_, "held": coverage(model, truth, kept)}
            records.append(record)
    return records


def measure_abroad(
    survey: Survey, elsewhere: Survey, split: int, sizes: Sequence[int] = ESS_SIZES
) -> list[dict[str, object]]:
    """Another country's respondents as a wave: a record per size."""
    warnings.simplefilter("ignore")
    order = np.random.default_rng(split).permutation(len(survey.data))
    data = survey.data.iloc[order].dropna(subset=survey.backgrounds)
    truth = cells_of(survey, data[max(sizes) :])
    kept = truth.n >= FEWEST_ESS
    wave = cells_of(elsewhere, elsewhere.data.dropna(subset=survey.backgrounds))
    base = LogitRegressor(unseen="uniform")

    def divergence(model: DistributionRegressor, cells: Cells) -> float:
        P = model.fit(cells.X, cells.Y, cells.n).predict(truth.X)[kept]
        return float(js_divergence(truth.Y[kept], P, truth_respondents=truth.n[kept]))

    logit = clone(base).set_params(question=survey.questions)
    records: list[dict[str, object]] = []
    for n in sizes:
        fresh = cells_of(survey, data[:n])
        model = FusedRegressor(Wave(wave), question=survey.questions, base=base, random_state=split)
        nothing = FusedRegressor(None, question=survey.questions, base=base)
        records.append(
            {"survey": survey.name, "split": split, "wave": elsewhere.name, "n": n}
            | {"logit": divergence(logit, fresh), "nothing": divergence(nothing, fresh)}
            | {"wave alone": divergence(logit, wave), "fused": divergence(model, fresh)}
            | {"worth": model.model_worth_, "held": coverage(model, truth, kept)}
        )
    return records


def coverage(model: FusedRegressor, truth: Cells, kept: np.ndarray) -> float:
    """Share of held-out shares inside 90% intervals, the truth's own noise added."""
    draws = model.predict_draws(truth.X[kept], 300)
    generator = np.random.default_rng(0)
    n = np.maximum(truth.n[kept], 1.0)
    held = []
    for row, size in enumerate(n):
        exists = ~np.isnan(truth.Y[kept][row])
        P = draws[:, row, exists]
        sampled = generator.multinomial(round(size), P / P.sum(axis=1, keepdims=True)) / round(size)
        low, high = np.quantile(sampled, [0.05, 0.95], axis=0)
        Y = truth.Y[kept][row, exists]
        held.append((low - 1e-9 <= Y) & (high + 1e-9 >= Y))
    return float(np.concatenate(held).mean())


def show(results: pd.DataFrame) -> None:
    """Mean divergences, and how the fusion compares with the best and with leaving the wave out."""
    table = results.groupby(["survey", "wave", "n"], sort=False).mean(numeric_only=True).drop(columns="split")
    best = table[["logit", "wave alone"]].min(axis=1)
    table["to the better"] = table["fused"] / best - 1
    table["to none"] = table["fused"] / table["nothing"] - 1
    print(table.to_string(float_format="%.4f"))


def models(sizes: Sequence[int] = (10, 20, 50), n_draws: int = 3, attribute: str = "POLPARTY") -> pd.DataFrame:
    """Divergences of fusions with one, two and five recorded models, by party."""
    recorded = [read_recorded()["express_distribution", name, attribute] for name in MODELS]
    first = recorded[0]
    records = []
    for n, draw in itertools.product(sizes, range(n_draws)):
        Y = draw_sample(first, n, draw)
        for label, which in (("GPT-4", 1), ("GPT-4 and Opus", 2), ("all five", 5)):
            sources = {
                name: RecordedElicitor(one.X, one.elicited, question=one.questions, on_missing="nan")
                for name, one in zip(MODELS[:which], recorded, strict=False)
            }
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                model = FusedRegressor(sources, question=first.questions).fit(first.X, Y, np.full(len(Y), float(n)))
                js = js_divergence(first.human, model.predict(first.X))
            records.append({"sources": label, "n": n, "js": js})
    return pd.DataFrame(records).pivot_table(index="sources", columns="n", values="js", sort=False)


def speed(n_sources: int = 5) -> float:
    """Processor seconds of a fit of 100 questions x 100 cells."""
    generator = np.random.default_rng(0)
    levels = {"w": list("abcde"), "x": list("fghi"), "y": list("jk"), "z": list("lmn")}
    backgrounds = pd.DataFrame(list(itertools.product(*levels.values())), columns=list(levels)).iloc[:100]
    questions = {f"q{i}": Question(f"Question {i}", ["1", "2", "3", "4", "5"]) for i in range(100)}
    X = pd.concat([backgrounds.assign(question=name) for name in questions], ignore_index=True)
    P = np.repeat(generator.dirichlet(np.full(5, 3.0), 100), len(backgrounds), axis=0)

    def sample(n: int) -> SimpleNamespace:
        Y = generator.multinomial(n, P) / n
        return SimpleNamespace(X=X, Y=Y, n=np.full(len(X), float(n)), questions=questions)

    sources = {f"source {i}": Wave(sample(20)) for i in range(n_sources)}
    fresh = sample(3)
    start = time.process_time()
    FusedRegressor(sources, question=questions).fit(fresh.X, fresh.Y, fresh.n)
    return time.process_time() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surveys", nargs="+", default=["nonvoters_2020", "cces_2016"])
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--wave", type=int, default=2000, help="respondents of a wave")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--models", action="store_true", help="several recorded language models by party")
    parser.add_argument("--ess", action="store_true", help="another country's wave of the European Social Survey")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    if options.speed:
        print(f"100 questions x 100 cells x 5 sources: {speed():.1f} s of processor time")
        return
    if options.models:
        print(models().to_string(float_format="%.4f"))
        return
    if options.ess:
        pair = load_ess("no"), load_ess("gb")
        both = (pair, pair[::-1])
        show(pd.DataFrame([r for two in both for split in range(options.splits) for r in measure_abroad(*two, split)]))
        return
    surveys = [({**SURVEYS, **MORE_SURVEYS})[name]() for name in options.surveys]
    jobs = [(one, split, options.sizes, options.wave) for one in surveys for split in range(options.splits)]
    parts = joblib.Parallel(n_jobs=options.jobs)(joblib.delayed(measure_one)(*job) for job in jobs)
    results = pd.DataFrame([record for part in parts for record in part])
    OUTPUT.mkdir(parents=True, exist_ok=True)
    results.to_json(OUTPUT / "waves.json", orient="records")
    show(results)


if __name__ == "__main__":
    main()
