"""Why does DSA lose on batteries of items? ``python -m benchmarks.batteries``, on nano, with nothing searched for.

Six items of `nonvoters_2020` share the stem "In your view, how important are each of the following ...". Their
wording is changed (a neutral text of 550 characters before the stem, the same or another one for each item; the
item said first), or what people answered: in every other item the scale is turned round, as in batteries where "too
much" is what one group says of one item and the other group of the next. Each with and without rows of the
questions' own. Divergence (debiased, crossed cells of at least 50 held-out respondents) relative to the order-aware
logit's, to which all of this is the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from benchmarks.dsa import OUTPUT, make
from benchmarks.protocol import make_splits
from benchmarks.shift_weights import EPOCHS, MIN_RESPONDENTS, ORDERED, REFERENCE
from benchmarks.surveys import Survey, load_nonvoters
from surveysim.baselines import LogitRegressor
from surveysim.dsa import fit
from surveysim.dsa.trainer import Candidate, Plan
from surveysim.metrics import js_divergence

BATTERY = ("Q2_1", "Q2_2", "Q2_3", "Q2_6", "Q2_8", "Q2_10")
STEM = "In your view, how important are each of the following to being a good American? "
TEXT = (
    "People have different views about what it takes to live together well in a country, and nobody is expected "
    "to know everything about it. I am going to read you a list of some things that people have mentioned when "
    "they were asked about this. For each of them I would like you to tell me what you yourself think, not what "
    "you believe that others would say or what you may have heard or read about it in the news. There are no "
    "right or wrong answers, and you can always tell me to go on to the next one. Please think of the last few "
    "years as a whole. "
)
PLAN = Plan(Candidate("baseline", 1.5), EPOCHS, 1.0)
COMMON, OWN = "common rows", "own rows"


def shuffled(item: str) -> str:
    """A text as long as `TEXT`, of its words, that no other item has."""
    rng = np.random.default_rng(BATTERY.index(item))
    return " ".join(rng.permutation(TEXT.split())) + " "


WORDINGS: dict[str, Callable[[str, str], str]] = {
    "as asked": lambda item, words: STEM + words,
    "long common stem": lambda item, words: TEXT + STEM + words,
    "long stems of their own": lambda item, words: shuffled(item) + STEM + words,
    "item first, long stem after it": lambda item, words: f"{words}. {STEM}{TEXT}",
    "item first and last": lambda item, words: f"{words}: {TEXT}{STEM}{words}",
}


def reworded(survey: Survey, wording: str, *, turned: bool) -> Survey:
    """The survey with another wording of the battery, and every other item's answers turned round where asked."""
    questions, data = dict(survey.questions), survey.data.copy()
    for item in BATTERY:
        words = questions[item].text.removeprefix(STEM)
        questions[item] = replace(questions[item], text=WORDINGS[wording](item, words))
    for item in BATTERY[1::2] if turned else ():
        top = questions[item].n_options + 1
        data[item] = data[item].where(~data[item].between(1, top - 1), top - data[item])
    return replace(survey, questions=questions, data=data)


def measure(survey: Survey, n: int, split: int) -> list[dict[str, Any]]:
    """Debiased divergence of each model, on the battery and on the other questions."""
    *_, sample = make_splits(survey, n, split + 1, folds=5)
    kept = np.flatnonzero(sample.truth.n >= MIN_RESPONDENTS)
    X, Y, respondents = sample.truth.X.iloc[kept], sample.truth.Y[kept], sample.truth.n[kept]
    train, questions = sample.train, dict(sample.train.questions)
    models = {
        ORDERED: LogitRegressor(question=questions),
        COMMON: make(questions, model="nano", question_rows=False, **REFERENCE),
        OWN: make(questions, model="nano", **REFERENCE),
    }
    battery = X["question"].isin(BATTERY).to_numpy()
    records = []
    for name, model in models.items():
        with patch.object(fit, "_choose_plan", return_value=PLAN):
            model.fit(train.X, train.Y, sample_weight=train.n)
        P = model.predict(X)
        for part, rows in (("battery", battery), ("others", ~battery)):
            js = js_divergence(Y[rows], P[rows], truth_respondents=respondents[rows])
            records.append({"n": n, "split": split, "model": name, "questions": part, "js": js})
    return records


def show(results: pd.DataFrame) -> None:
    """Print means over splits relative to the logit's, less 1, in percent."""
    keys = ["answers", "wording", "n"]
    means = results.groupby([*keys, "questions", "model"], sort=False)["js"].mean().unstack("model")
    relative = 100 * (means[[COMMON, OWN]].div(means[ORDERED], axis=0) - 1)
    print(f"\nagainst the order-aware logit, percent\n{relative.unstack('questions').round(0).to_string()}")


def main() -> None:
    """Measure, or read what was measured, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", type=int, default=[500, 1000])
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--wordings", nargs="+", default=list(WORDINGS), choices=list(WORDINGS))
    parser.add_argument("--output", type=Path, default=OUTPUT / "batteries.json")
    parser.add_argument("--read", type=Path, help="print the tables of this output")
    options = parser.parse_args()
    if options.read:
        show(pd.read_json(options.read))
        return
    options.output.parent.mkdir(parents=True, exist_ok=True)
    survey, records = load_nonvoters(), []
    for split in range(options.splits):
        for n in options.sizes:
            for turned in (False, True):
                for wording in options.wordings:
                    about = {
                        "answers": "turned round in every other item" if turned else "as given",
                        "wording": wording,
                    }
                    found = measure(reworded(survey, wording, turned=turned), n, split)
                    records += [{**about, **record} for record in found]
                    battery = {r["model"]: round(r["js"], 4) for r in found if r["questions"] == "battery"}
                    print(n, split, *about.values(), battery, sep=", ", flush=True)
                    pd.DataFrame(records).to_json(options.output, orient="records")
    show(pd.DataFrame(records))


if __name__ == "__main__":
    main()
