"""Respondent curves on four real surveys: ``python -m benchmarks.respondent_curves``, with ``--dsa`` for the model too.

Prints divergence (raw and debiased), skill and cross-entropy at three levels, differences with their intervals, and how
many respondents are saved; writes every run as JSON and keeps it, so that an interrupted benchmark resumes. It
takes 10 minutes with ``--quick --dsa`` on one core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.protocol import as_curve, survey_missing
from benchmarks.surveys import SURVEYS
from surveysim.baselines import LogitRegressor
from surveysim.evaluation import compare_models, respondent_curve, respondents_saved, summarise_curve
from surveysim.evaluation.report_levels import LEVELS

OUTPUT = Path(__file__).resolve().parent / "output"

PLAIN, ORDERED, LEARNED = "plain logit", "order-aware logit", "order-aware logit, learned variances"
STAGE_1, TWO_STAGES, ON_BASELINE = "DSA, stage 1 alone", "DSA, two stages", "DSA, init='baseline'"

SIZES = {"anes96": (100, 200, 400)}
"""The others have 200, 500, 1,000 and 2,000."""

COMPARED = (
    (ORDERED, PLAIN),
    (LEARNED, ORDERED),
    (TWO_STAGES, PLAIN),
    (TWO_STAGES, STAGE_1),
    (TWO_STAGES, ORDERED),
    (ON_BASELINE, ORDERED),
)
"""Each claim compares two models."""


def estimators(dsa: bool, model: str, quick: bool = False) -> dict[str, Any]:
    """What is measured beside the three baselines that are always there.

    Choosing a stack weight takes half of all the time, so that the quick run is without it.
    """
    chosen: dict[str, Any] = {LEARNED: LogitRegressor(prior="eb", unseen="uniform")}
    if dsa:
        from surveysim import DSARegressor

        chosen[STAGE_1] = DSARegressor(model, shift_weight=0, random_state=0)
        chosen[TWO_STAGES] = DSARegressor(model, random_state=0)
        if not quick:
            chosen[ON_BASELINE] = DSARegressor(model, init="baseline", random_state=0)
    return chosen


def measure(name: str, options: argparse.Namespace) -> pd.DataFrame:
    """The curve of one survey."""
    survey = SURVEYS[name]()
    sizes = options.sizes or SIZES.get(name, (200, 500, 1000, 2000))
    return respondent_curve(
        estimators(options.dsa, options.model, options.quick),
        survey.data,
        survey.questions,
        survey.backgrounds,
        sizes[:2] if options.quick else sizes,
        2 if options.quick else options.splits,
        missing=survey_missing(survey),
        store=options.store,
        n_jobs=options.jobs,
        verbose=1,
    )


def show(name: str, curve: pd.DataFrame) -> None:
    """Print one survey's tables."""
    for level in (level for level in LEVELS if level in set(curve["level"])):
        for value in ("js", "js_debiased", "skill", "cross_entropy"):
            if value == "cross_entropy" and level != "cell":
                continue
            print(f"\n{name}, {value}, level {level}")
            print(summarise_curve(curve, value, level).to_string(float_format="%.4f", index_names=False))
    measured = set(curve["model"])
    print(f"\n{name}: debiased divergence of crossed cells, relative difference with its 90% interval")
    for first, second in COMPARED:
        if {first, second} <= measured:
            for n, row in compare_models(curve, first, second).iterrows():
                interval = f"[{row['low']:+.1%}, {row['high']:+.1%}] over {row['resampled']}"
                print(f"  n = {n}: {first} against {second}: {row['difference']:+.1%} {interval}")
    columns = ["model", "level", "n_train", "needed", "low", "high", "saved", "note"]
    for reference, rows in saved(curve).groupby("reference", sort=False):
        print(f"\n{name}: respondents that {reference} would need, and the share saved")
        print(rows[columns].to_string(index=False, float_format="%.2f"))


def saved(curve: pd.DataFrame) -> pd.DataFrame:
    """Savings at every size but the largest, against the baseline and, beside it, against raw cells."""
    sizes = sorted(set(curve["n"]))
    some = [LEARNED, ORDERED, *(model for model in (TWO_STAGES, ON_BASELINE) if model in set(curve["model"]))]
    tables = []
    for n in sizes[:-1]:
        measured = set(curve.loc[curve["n"] == n, "model"])
        known = [model for model in some if model in measured]
        tables.append(respondents_saved(n, curve, models=known, reference="cells"))
    return pd.concat(tables, ignore_index=True)


def main() -> None:
    """Measure, or read what was measured, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surveys", nargs="+", default=list(SURVEYS), choices=sorted(SURVEYS))
    parser.add_argument("--sizes", nargs="+", type=int, help="respondents to train on, for all surveys")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="2 splits x 2 sizes; DSA as published only")
    parser.add_argument("--dsa", action="store_true", help="the language model too: minutes for each fit")
    parser.add_argument("--model", default="nano", help="name or folder of the language model")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--store", type=Path, default=OUTPUT / "runs", help="where finished runs are kept")
    parser.add_argument("--output", type=Path, default=OUTPUT / "respondent_curves.json")
    parser.add_argument("--pictures", type=Path, help="a folder for a picture of each survey")
    parser.add_argument("--read", type=Path, help="print the tables of this output")
    parser.add_argument("--add", type=Path, nargs="+", default=[], help="outputs of benchmarks.dsa: the same splits")
    options = parser.parse_args()
    if options.read:
        curves = {name: pd.DataFrame(rows) for name, rows in json.loads(options.read.read_text()).items()}
    else:
        curves = {name: measure(name, options) for name in options.surveys}
        options.output.parent.mkdir(parents=True, exist_ok=True)
        content = {name: json.loads(curve.to_json(orient="records")) for name, curve in curves.items()}
        options.output.write_text(json.dumps(content))
    for path in options.add:
        added = pd.read_json(path)
        added = added[added["model"].str.startswith("DSA")]
        curves = {name: pd.concat([curve, as_curve(added, name)], ignore_index=True) for name, curve in curves.items()}
    for name, curve in curves.items():
        show(name, curve)
        if options.pictures:
            from surveysim.evaluation import RespondentCurveDisplay

            options.pictures.mkdir(parents=True, exist_ok=True)
            RespondentCurveDisplay.from_curve(curve).figure_.savefig(options.pictures / f"{name}.png", dpi=110)


if __name__ == "__main__":
    main()
