"""How long `read_survey` takes on a file of 3,000 variables and 5,000 respondents.

Run ``python -m benchmarks.read_survey`` (``--variables``, ``--respondents``, ``--format``). The file has scales of many
wordings and several languages, lists of names, yes-no questions, amounts, backgrounds, weights and missing answers.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.datasets import SurveyWarning, read_survey

SCALES = [
    ["Strongly agree", "Agree", "Neither agree nor disagree", "Disagree", "Strongly disagree"],
    ["Never", "Rarely", "Sometimes", "Often", "Always"],
    ["Sehr zufrieden", "Eher zufrieden", "Teils/teils", "Eher unzufrieden", "Sehr unzufrieden"],
    ["Mucho", "Bastante", "Poco", "Nada"],
    ["非常同意", "同意", "一般", "不同意", "非常不同意"],
    ["Yes", "No"],
]
MISSING = {8: "Don't know", 9: "No answer", 88: "N.S.", 99: "Keine Angabe"}


def survey_file(n_variables: int, n_respondents: int) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Any]]:
    """Respondents at random, with labels and wordings that differ from variable to variable."""
    rng = np.random.default_rng(0)
    columns: dict[str, np.ndarray] = {
        "idno": np.arange(n_respondents),
        "age": rng.integers(18, 95, n_respondents),
        "gender": rng.integers(1, 3, n_respondents),
        "weight": rng.uniform(0.4, 2.5, n_respondents),
    }
    labels: dict[str, Any] = {"gender": {1: "Male", 2: "Female"}}
    wording: dict[str, Any] = {}
    for i in range(n_variables - len(columns)):
        name, kind = f"v{i}", i % 8
        if kind < len(SCALES):
            texts = SCALES[kind]
        elif kind == 6:
            texts = [f"Name {i}-{k}" for k in range(9)]  # a list of names: no two variables share it
        else:
            texts = []
        high = len(texts) or 60
        held = rng.integers(1, high + 1, n_respondents)
        if texts:
            code = 88 if high > 7 else 8
            held = np.where(rng.random(n_respondents) < 0.05, code, held)
            labels[name] = {k + 1: text for k, text in enumerate(texts)} | {code: MISSING[code]}
        columns[name] = held
        wording[name] = f"{name}. The wording of question {i}"
    table = pd.DataFrame(columns).astype(float)
    return table, labels, wording


def main() -> None:
    """Write the file, read it, print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variables", type=int, default=3000)
    parser.add_argument("--respondents", type=int, default=5000)
    parser.add_argument("--format", choices=["sav", "dta"], default="sav")
    args = parser.parse_args()
    import pyreadstat

    table, labels, wording = survey_file(args.variables, args.respondents)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"survey.{args.format}"
        write = pyreadstat.write_sav if args.format == "sav" else pyreadstat.write_dta
        write(table, path, variable_value_labels=labels, column_labels=wording)
        start, processor = time.perf_counter(), time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SurveyWarning)
            survey = read_survey(path)
        seconds, spent = time.perf_counter() - start, time.process_time() - processor
    print(f"{platform.machine()}, {args.variables:,} variables, {args.respondents:,} respondents, .{args.format}")
    print(f"{len(survey.questions):,} questions, backgrounds {survey.backgrounds}, weight {survey.weight}")
    print(f"{seconds:.1f} seconds by the clock, {spent:.1f} of the processor")


if __name__ == "__main__":
    main()
