"""Time and memory of a default fit on about 1,920 cells: ``python -m benchmarks.default_fit``."""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np
import torch

from benchmarks.surveys import SURVEYS
from surveysim import DSARegressor, tabulate
from surveysim.tables import Missing


def main() -> None:
    """Fit on every respondent of `nonvoters_2020` (20 questions, all backgrounds) and print seconds and gigabytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--verbose", type=int, default=0)
    options = parser.parse_args()
    survey = SURVEYS["nonvoters_2020"]()
    skipped = Missing("drop", dict.fromkeys(survey.skipped, "skipped"))
    cells = tabulate(survey.data, survey.backgrounds, survey.questions, missing=skipped, folds=5)
    model = DSARegressor(options.model, question=cells.questions, random_state=0, verbose=options.verbose)
    start = time.perf_counter()
    model.fit(cells.X, cells.Y, sample_weight=cells.n, folds=cells.folds)
    fitted = time.perf_counter()
    model.predict(cells.X)
    result = {
        "cells": len(cells),
        "fit_seconds": round(fitted - start, 1),
        "predict_seconds": round(time.perf_counter() - fitted, 2),
        "epochs_in_all": len(model.history_),
        "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "threads": torch.get_num_threads(),
        "mean_respondents": round(float(np.mean(cells.n)), 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
