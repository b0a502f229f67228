"""From the file that a survey gave you to a fitted model: an SPSS file is written, read back, tabulated and fitted.

    python examples/read_survey.py

The answers are real: 6,366 women who rated their marriage for a magazine in 1974, from statsmodels. The file is made
here from them, as an institute would hand it over: codes, value labels, codes for "don't know" and "refused", a weight.
For that, a few answers are turned into "don't know" and "refused", and the weight is invented.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import statsmodels.api as sm

from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.datasets import read_survey
from surveysim.metrics import js_divergence


def write_file(path: Path) -> None:
    """An SPSS file with everything that such files have."""
    generator = np.random.default_rng(0)
    answers = sm.datasets.fair.load_pandas().data[["age", "religious", "children", "educ", "rate_marriage"]]
    asked = generator.random(len(answers))
    answers["rate_marriage"] = answers["rate_marriage"].mask(asked < 0.03, 8).mask(asked < 0.01, 9)
    answers.insert(0, "idno", np.arange(len(answers)) + 1)
    answers["pspwght"] = generator.lognormal(sigma=0.3, size=len(answers)).round(4)
    pyreadstat.write_sav(
        answers,
        str(path),
        column_labels={
            "age": "Age of respondent",
            "religious": "How religious are you?",
            "children": "Number of children",
            "educ": "Highest level of education",
            "rate_marriage": "How do you rate your marriage?",
            "pspwght": "Post-stratification weight",
        },
        variable_value_labels={
            "religious": {1: "not", 2: "mildly", 3: "fairly", 4: "strongly"},
            "educ": {9: "grade school", 12: "high school", 14: "some college", 16: "college graduate",
                     17: "some graduate school", 20: "advanced degree"},
            "rate_marriage": {1: "very poor", 2: "poor", 3: "fair", 4: "good", 5: "very good", 8: "Don't know",
                              9: "Refusal"},
        },
        missing_ranges={"rate_marriage": [{"lo": 8, "hi": 9}]},
    )  # fmt: skip


def main(folder: Path) -> None:
    """Write, read, look, tabulate, fit."""
    path = folder / "redbook.sav"
    write_file(path)

    # 1. Read. Nothing has to be said: labels, codes for missing answers and the weight are in the file.
    survey = read_survey(path)
    print(survey, "\n")

    # 2. Look at what was proposed, and why; then overrule it where you know better. Religiousness is used as a
    # background here, and ages of under 43 need other bands.
    print(survey.variables[["name", "role", "reason"]].to_string(index=False), "\n")
    survey = read_survey(
        path,
        questions=["rate_marriage"],
        backgrounds={"age": "age group", "religious": "religiousness", "children": "children"},
        ordinal={"religious": True},
        age_bands=(25, 30, 35, 40),
        context="Redbook survey of married women, 1974",
    )
    question = survey.questions["rate_marriage"]
    print(question, "\n")

    # 3. Tabulate: weights, "don't know" and refusals are counted by themselves.
    cells = survey.tabulate()
    print(cells, "\n")

    # 4. Fit, on a small sample of the respondents, and compare with the others.
    generator = np.random.default_rng(0)
    drawn = generator.permutation(len(survey.data)) < 500
    train, truth = survey.subset(drawn).tabulate(), survey.subset(~drawn).tabulate()
    rows = []
    for name, model in (("pooled margin", MarginalRegressor), ("order-aware logit", LogitRegressor)):
        fitted = model(question=question).fit(train.X, train.Y, sample_weight=train.n)
        error = js_divergence(truth.Y, fitted.predict(truth.X), sample_weight=truth.n, truth_respondents=truth.n)
        rows.append({"model": name, "divergence from the other 5,866 (thousandths of a bit)": round(1000 * error, 2)})
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where the SPSS file is written; default: a temporary folder")
    given = parser.parse_args()
    if given.folder is not None:
        main(given.folder)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
