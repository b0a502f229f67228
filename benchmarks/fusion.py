"""Small samples joined with recorded language models: ``python -m benchmarks.fusion`` prints tables and writes JSON.

What five language models said of 98 Pew questions (`opinionqa_elicited`, persona prompts), joined with simulated
samples of 10, 20 and 50 respondents per group, drawn from the groups' own distributions, so that the truth has no
noise. Each attribute is a survey of its own: its groups (those with at least 100 respondents in Pew's data), all
questions with ordered options, without "Refused". Divergence: Jensen-Shannon, base 2, mean over groups, questions and
draws. ``--model`` asks a language model of your own about the same groups and questions, in place of the recorded ones.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from benchmarks.asked_model import METHOD, ask
from benchmarks.surveys import data_folder
from surveysim import FusedRegressor, Question
from surveysim.baselines import CellRegressor, LogitRegressor
from surveysim.distributions import pad_distributions
from surveysim.elicitation.recorded import RecordedElicitor
from surveysim.metrics import js_divergence

OUTPUT = Path(__file__).resolve().parent / "output"

SIZES = (10, 20, 50)
N_DRAWS = 3
MIN_RESPONDENTS = 100
ATTRIBUTES = ("POLPARTY", "RACE", "SEX")

SAMPLE, SHRUNK = "sample", "cells, shrunk to the margin"
LOGIT, LEARNED = "logit", "logit, learned variances"
ALONE, FUSED, NO_MODEL = "elicited alone", "fused", "fused with nothing"
ROWS = (SAMPLE, SHRUNK, LOGIT, LEARNED, NO_MODEL, ALONE, FUSED)

SHRINKAGE = 10.0
"""Respondents' worth of the margin, as suits party groups; by region, education and income, whose groups differ less,
40 is 7 to 18% better at n = 20."""


@dataclass(frozen=True)
class Recorded:
    """One attribute's groups and questions, what people answered and what a model said (NaN: no usable answer)."""

    X: pd.DataFrame
    questions: dict[str, Question]
    human: np.ndarray
    elicited: np.ndarray


def read_recorded(folder: Path | None = None, steering: str = "persona") -> dict[tuple[str, str, str], Recorded]:
    """All recordings by (method, model, attribute).

    Parameters
    ----------
    folder : Path, optional
        Of the survey files; default `data_folder()`.
    steering : {"persona", "fewshot5"}, default="persona"
    """
    folder = (folder or data_folder()) / "opinionqa_elicited"
    lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    wording = {item["qid"]: item for item in map(json.loads, lines)}
    table = pd.read_csv(folder / "elicited.csv.gz")
    # n_human is not recorded for region, education and income: they serve for choosing priors, see docs/fusion.md
    table = table[(table["steering"] == steering) & ~(table["n_human"] < MIN_RESPONDENTS)]
    found: dict[tuple[str, str, str], Recorded] = {}
    for key, part in table.groupby(["method", "model", "attribute"], sort=True):
        rows, human, elicited, questions = [], [], [], {}
        for record in part.itertuples():
            item = wording[str(record.qid)]
            position = np.array(item["ordinal"], dtype=float)
            # options on the scale, in its order; some questions list "neither" last
            kept = np.flatnonzero(~np.isnan(position))
            kept = kept[np.argsort(position[kept])]
            if len(set(position[kept])) < len(kept):
                continue
            shares = np.array(json.loads(str(record.human)))[kept]
            questions[str(record.qid)] = Question(
                item["question"], [item["options"][k] for k in kept], values=position[kept].tolist()
            )
            rows.append((record.group, record.qid))
            human.append(shares / shares.sum())
            elicited.append(_usable(record, kept))
        X = pd.DataFrame(rows, columns=[str(key[2]), "question"])
        found[str(key[0]), str(key[1]), str(key[2])] = Recorded(
            X, questions, pad_distributions(human), pad_distributions(elicited)
        )
    return found


def _usable(record: Any, kept: np.ndarray) -> np.ndarray:
    """What the model said of the kept options, scaled to 1; NaN if that is no distribution."""
    text = record.llm if isinstance(record.llm, str) else record.llm_raw
    said = np.array(json.loads(text), dtype=float)
    if len(said) <= kept.max() or not (said[kept] >= 0).all() or said[kept].sum() <= 0:
        return np.full(len(kept), np.nan)
    return said[kept] / said[kept].sum()


def recordings_of(
    model: str, everything: dict[tuple[str, str, str], Recorded], *, asks: bool = True
) -> dict[tuple[str, str, str], Recorded]:
    """What a model of your own says of the groups that GPT-4 was asked about; without `asks` what it would be asked."""
    found = {}
    for (method, name, attribute), recorded in everything.items():
        if (method, name) == ("express_distribution", "gpt-4") and attribute in ATTRIBUTES:
            P = ask(model, recorded.X, recorded.questions) if asks else np.full_like(recorded.elicited, np.nan)
            width = recorded.human.shape[1]
            found[METHOD, model, attribute] = replace(recorded, elicited=P[:, :width])
    return found


def draw_sample(recorded: Recorded, n: int, draw: int) -> np.ndarray:
    """Shares of n simulated respondents per row, (rows, K), NaN-padded."""
    generator = np.random.default_rng(draw)
    Y = np.full(recorded.human.shape, np.nan)
    for row, shares in enumerate(recorded.human):
        exists = ~np.isnan(shares)
        Y[row, exists] = generator.multinomial(n, shares[exists]) / n
    return Y


def baselines(recorded: Recorded, n: int, draw: int) -> dict[str, np.ndarray]:
    """Predictions that need no language model."""
    X, Y, questions = recorded.X, draw_sample(recorded, n, draw), recorded.questions
    weights = np.full(len(X), float(n))
    models: dict[str, Any] = {
        SHRUNK: CellRegressor(SHRINKAGE, question=questions),
        LOGIT: LogitRegressor(question=questions),
        LEARNED: LogitRegressor(prior="eb", question=questions),
        NO_MODEL: FusedRegressor(None, question=questions),
    }
    return {SAMPLE: Y} | {name: model.fit(X, Y, weights).predict(X) for name, model in models.items()}


def fuse(recorded: Recorded, n: int, draw: int) -> tuple[np.ndarray, dict[str, float]]:
    """The fusion's prediction, and what it says of itself with the coverage of its 90% intervals."""
    X, Y, questions = recorded.X, draw_sample(recorded, n, draw), recorded.questions
    elicitor = RecordedElicitor(X, recorded.elicited, question=questions, on_missing="nan")
    with warnings.catch_warnings():  # cells without a usable answer are counted in the table
        warnings.filterwarnings("ignore", message="the elicitor has no distribution", category=UserWarning)
        model = FusedRegressor(elicitor, question=questions, random_state=draw).fit(X, Y, np.full(len(X), float(n)))
        P = model.predict(X)
        (gap,) = model.gap_inflation_.values()
        about = {"worth": model.model_worth_, "gap_inflation": gap, "missing": model.n_missing_, "cells": len(X)}
        if draw == 0:
            lower, upper = model.predict_interval(X, n_draws=400)
            held = (lower <= recorded.human) & (recorded.human <= upper)
            about["coverage"] = float(held[~np.isnan(P)].mean())
    return P, about


def _by_question(recorded: Recorded, P: np.ndarray) -> pd.DataFrame:
    """Summed divergence and cells of each question."""
    known = ~np.isnan(P).all(axis=1)
    js = np.full(len(P), np.nan)
    js[known] = js_divergence(recorded.human[known], P[known], average=False)
    return pd.Series(js).groupby(recorded.X["question"].to_numpy()).agg(["sum", "count"])


def _measure_one(key: tuple[str, str, str], recorded: Recorded, n: int, draw: int, alone: bool) -> list[dict]:
    base = {"method": key[0], "model": key[1], "attribute": key[2], "n": n, "draw": draw}
    about: dict[str, float] = {}
    if alone:
        predictions = baselines(recorded, n, draw)
    else:
        fused, about = fuse(recorded, n, draw)
        predictions = {FUSED: fused, ALONE: recorded.elicited}
    records = []
    for row, P in predictions.items():
        for question, (total, count) in _by_question(recorded, P).iterrows():
            records.append(base | {"row": row, "question": question, "js": total, "count": count})
        if row == FUSED:
            records[-1] |= about
    return records


def measure(
    everything: dict[tuple[str, str, str], Recorded],
    keys: Sequence[tuple[str, str, str]],
    sizes: Sequence[int],
    n_draws: int,
    n_jobs: int,
) -> pd.DataFrame:
    """Everything: one row per recording, size, draw, model and question."""
    jobs: list[tuple] = []
    for key in keys:
        recorded = everything[key]
        jobs += [(key, recorded, n, draw, False) for n in sizes for draw in range(n_draws)]
    for group in _groups_of(everything, keys):
        jobs += [(group, everything[group], n, draw, True) for n in sizes for draw in range(n_draws)]
    parts = joblib.Parallel(n_jobs=n_jobs, verbose=5)(joblib.delayed(_measure_one)(*job) for job in jobs)
    return pd.DataFrame([record for part in parts for record in part])


def _groups_of(
    everything: dict[tuple[str, str, str], Recorded], keys: Sequence[tuple[str, str, str]]
) -> Iterator[tuple[str, str, str]]:
    """One recording for each set of groups and questions: what needs no language model is the same for all of them."""
    seen = set()
    for key in keys:
        cells = _cells_name(everything[key], key[2])
        if cells not in seen:
            seen.add(cells)
            yield key


def _cells_name(recorded: Recorded, attribute: str) -> str:
    return f"{attribute} ({len(recorded.X)} cells)"


def compare(results: pd.DataFrame, everything: dict[tuple[str, str, str], Recorded]) -> pd.DataFrame:
    """Per recording and size the divergence of every row of the table, and the fusion's relative differences.

    Returns
    -------
    DataFrame
        Index method, model, attribute, n; a column per row of the table; then for the logit, the logit with learned
        variances and the fusion with nothing the relative difference of the fusion with its 90% interval from a
        bootstrap over questions (negative: the fusion is nearer to the truth); then what the fusion says of itself.
    """
    results = results.assign(
        cells=[
            _cells_name(everything[key], key[2])
            for key in zip(results["method"], results["model"], results["attribute"], strict=True)
        ]
    )
    sums = results.groupby(["method", "model", "attribute", "cells", "n", "row", "question"], sort=False)[
        ["js", "count"]
    ].sum()
    shared = sums[sums.index.get_level_values("row").isin([SAMPLE, SHRUNK, LOGIT, LEARNED, NO_MODEL])]
    shared = shared.droplevel(["method", "model", "attribute"])
    own = sums[sums.index.get_level_values("row").isin([FUSED, ALONE])]
    records = []
    for (method, model, attribute, cells, n), part in own.groupby(
        level=["method", "model", "attribute", "cells", "n"], sort=False
    ):
        tables = {row: part.xs(row, level="row").droplevel([0, 1, 2, 3, 4]) for row in (FUSED, ALONE)}
        tables |= {row: shared.xs((cells, n, row), level=("cells", "n", "row")) for row in ROWS if row not in tables}
        record: dict[str, Any] = {"method": method, "model": model, "attribute": attribute, "n": n}
        for row in ROWS:
            record[row] = tables[row]["js"].sum() / tables[row]["count"].sum()
        for row in (LOGIT, LEARNED, NO_MODEL):
            record |= _difference(tables[FUSED]["js"], tables[row]["js"], row)
        same = (results[["method", "model", "attribute", "n"]] == [method, model, attribute, n]).all(axis=1)
        about = results[same & results["worth"].notna()]
        record |= {name: about[name].mean() for name in ("worth", "gap_inflation", "coverage", "missing")}
        records.append(record)
    return pd.DataFrame(records)


def _difference(first: pd.Series, second: pd.Series, name: str, n_draws: int = 2000) -> dict[str, float]:
    sums = np.column_stack([first, second.reindex(first.index)])
    generator = np.random.default_rng(0)
    drawn = sums[generator.integers(len(sums), size=(n_draws, len(sums)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1] - 1, [0.05, 0.95])
    total = sums.sum(axis=0)
    return {f"to {name}": total[0] / total[1] - 1, f"to {name}, low": low, f"to {name}, high": high}


def show(table: pd.DataFrame) -> None:
    """Print the headline, all recordings, and the worst."""
    pd.options.display.width = 220
    pd.options.display.max_columns = 50
    headline = table[(table["model"] == "gpt-4") & (table["method"] == "express_distribution")]
    headline = headline if len(headline) else table
    print(f"\n{', '.join(headline[['model', 'method']].drop_duplicates().agg(' '.join, axis=1))}: divergence")
    print(headline.set_index(["attribute", "n"])[list(ROWS)].T.to_string(float_format="%.4f"))
    print("\nFused against other models: relative difference of the divergence [90% interval]")
    for _, record in headline.iterrows():
        print(f"{record['attribute']}, n = {record['n']}: " + "; ".join(_shown(record, row) for row in _COMPARED))
    print("\nAll recordings")
    columns = [LOGIT, LEARNED, NO_MODEL, ALONE, FUSED, *(f"to {row}" for row in _COMPARED)]
    about = ["worth", "gap_inflation", "coverage", "missing"]
    print(table[["method", "model", "attribute", "n", *columns, *about]].to_string(float_format="%.4f", index=False))
    for row in _COMPARED:
        worst = table.iloc[int(table[f"to {row}"].argmax())]
        where = ", ".join(str(worst[name]) for name in ("method", "model", "attribute", "n"))
        above = int((table[f"to {row}"] > 0.02).sum())
        print(f"\nagainst the {row}: worst {_shown(worst, row)} ({where}); {above} of {len(table)} worse than +2%")
    print(f"\ncoverage of 90% intervals: {table.groupby('attribute')['coverage'].mean().round(3).to_dict()}")


_COMPARED = (LOGIT, LEARNED, NO_MODEL)


def _shown(record: pd.Series, row: str) -> str:
    value, low, high = (record[f"to {row}{end}"] for end in ("", ", low", ", high"))
    return f"to {row} {value:+.1%} [{low:+.1%}, {high:+.1%}]"


def main() -> None:
    """Measure, or read what was measured, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), help="respondents per group")
    parser.add_argument("--draws", type=int, default=N_DRAWS)
    parser.add_argument("--attributes", nargs="+", default=list(ATTRIBUTES))
    parser.add_argument("--model", help="a name, a folder or a GGUF file: asked here, in place of what was recorded")
    parser.add_argument("--models", nargs="+", help="default: all that were recorded")
    parser.add_argument("--methods", nargs="+", help="default: all that were recorded")
    parser.add_argument("--quick", action="store_true", help="party groups; of what was recorded verbalised GPT-4")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=OUTPUT / "fusion.json")
    parser.add_argument("--read", type=Path, nargs="+", help="print the tables of these outputs together")
    options = parser.parse_args()
    if options.quick:
        options.attributes = ["POLPARTY"]
        if options.model is None:
            options.models, options.methods = ["gpt-4"], ["express_distribution"]
    everything = read_recorded()
    if options.model is not None:
        chosen = {key: found for key, found in everything.items() if key[2] in options.attributes}
        everything = recordings_of(options.model, chosen, asks=not options.read)
    if options.read:
        results = pd.concat([pd.read_json(file) for file in options.read], ignore_index=True)
        results = results.drop_duplicates(["method", "model", "attribute", "n", "draw", "row", "question"])
    else:
        keys = [
            key
            for key in everything
            if key[2] in options.attributes
            and (options.models is None or key[1] in options.models)
            and (options.methods is None or key[0] in options.methods)
        ]
        results = measure(everything, keys, options.sizes, options.draws, options.jobs)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        results.to_json(options.output, orient="records")
    show(compare(results, everything))


if __name__ == "__main__":
    main()
