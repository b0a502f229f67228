"""Compare honestly: what a fine-tuned model is worth, where it fails, and the pictures of the user guide.

Runs offline: ``python examples/compare_honestly.py``. Draws into examples/output, or the folder of ``--output``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import statsmodels.api as sm

from surveysim import DSARegressor, Question, tabulate
from surveysim.baselines import LogitRegressor
from surveysim.evaluation import (
    DistributionDisplay,
    GroupAlignmentDisplay,
    RespondentCurveDisplay,
    ShiftDisplay,
    TrainingHistoryDisplay,
    equivalent_respondents,
    group_report,
    respondent_curve,
    respondents_saved,
    summarise_curve,
)

QUESTION = Question(
    "How do you rate your marriage?",
    ["very poor", "poor", "fair", "good", "very good"],
    codes=[1, 2, 3, 4, 5],
    context="Redbook magazine, United States, 1974, married women",
)
LABELS = {
    "age": {17.5: "under 20", 22: "20-24", 27: "25-29", 32: "30-34", 37: "35-39", 42: "40 or older"},
    "religious": {1: "not religious", 2: "mildly religious", 3: "fairly religious", 4: "strongly religious"},
    "children": {0: "no child", 1: "1 child", 2: "2 children", 3: "3 children", 4: "4 children", 5.5: "5 or more"},
}
BACKGROUNDS = list(LABELS)


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent / "output")
    parser.add_argument("--respondents", type=int, default=500, help="the training sample")
    parser.add_argument("--model", default="nano")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    mpl.use("Agg")

    survey = sm.datasets.fair.load_pandas().data
    answers = {"rate_marriage": QUESTION}

    print("Baselines: how near they come to the truth, by the size of the sample")
    curve = respondent_curve(None, survey, answers, BACKGROUNDS, [200, 500, 1000, 2000], n_splits=5, labels=LABELS)
    print(summarise_curve(curve, "js_debiased", "cell").round(4).to_string())
    saved = respondents_saved(500, curve, reference="cells", models="order-aware logit")
    print(saved[["reference", "level", "needed", "low", "high", "saved"]].round(2).to_string(index=False))
    save(RespondentCurveDisplay.from_curve(curve), options.output, "evaluation_curve")

    print(f"\n{options.model} fine-tuned on {options.respondents} respondents, the others are the truth")
    order = np.random.default_rng(0).permutation(len(survey))
    sample, others = survey.iloc[order[: options.respondents]], survey.iloc[order[options.respondents :]]
    train = tabulate(sample, BACKGROUNDS, answers, labels=LABELS, folds=5)
    truth = tabulate(others, BACKGROUNDS, answers, labels=LABELS)
    logit = LogitRegressor(question=QUESTION).fit(train.X, train.Y, sample_weight=train.n)
    dsa = DSARegressor(options.model, question=QUESTION, random_state=0)
    dsa.fit(train.X, train.Y, sample_weight=train.n, folds=train.folds)

    P = dsa.predict(truth.X)
    for level in ("cell", "attribute", "population"):
        worth = equivalent_respondents(truth.Y, P, truth_respondents=truth.n, X=truth.X, level=level)
        print(f"  {worth}")

    report = group_report(truth.X, truth.Y, P, truth_respondents=truth.n, question=QUESTION)
    columns = ["attribute", "group", "respondents", "alignment", "divergence_debiased", "floor", "variance_ratio"]
    print(report[columns].head(6).round(4).to_string(index=False))

    save(GroupAlignmentDisplay(report).plot(), options.output, "evaluation_groups")
    save(
        ShiftDisplay.from_predictions(truth.X, truth.Y, P, truth_respondents=truth.n),
        options.output,
        "evaluation_shifts",
    )
    save(TrainingHistoryDisplay.from_estimator(dsa), options.output, "evaluation_history")
    same = train.X.astype(str).assign(row=range(len(train)))
    row = truth.X.astype(str).merge(same, how="left", on=BACKGROUNDS)["row"]
    known = row.notna().to_numpy()[:, None]
    display = DistributionDisplay.from_estimator(
        dsa,
        truth.X,
        truth.Y,
        name="DSA on nano",
        truth_respondents=truth.n,
        Y_sample=np.where(known, train.Y[row.fillna(0).astype(int)], np.nan),
        sample_respondents=np.where(known[:, 0], train.n[row.fillna(0).astype(int)], 0),
        others={"order-aware logit": logit.predict(truth.X)},
    )
    save(display, options.output, "evaluation_distributions")


def save(display: object, folder: Path, name: str) -> None:
    """Write a picture, 100 dots an inch: the size in which the documentation shows it."""
    display.figure_.savefig(folder / f"{name}.png", dpi=100)  # type: ignore[attr-defined]
    print(f"  drawn: {folder / name}.png")


if __name__ == "__main__":
    main()
