"""SimBench's score of recorded answers, of an estimator, and of what needs no model, beside the noise floor.

Run ``python -m benchmarks.simbench SimBenchGrouped.csv``; add ``--model nano`` to ask a model, or record answers in a
column ``Response_Distribution`` of the file, as SimBench's own scripts do. `score` takes any fitted estimator. With
``--simulate`` it shows how far the debiased score is from the score against known populations.

Three opponents need no model: equal shares, which score 0 by definition; *other groups*, the answers to the same
question of groups that share nobody with the row's own (never those of people who may be in it); and a perfect
prediction, whose score is the ceiling that the sampling noise of the human answers leaves.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from scipy.special import softmax

from surveysim import ZeroShotElicitor
from surveysim.datasets import QuestionSet, read_simbench
from surveysim.datasets.contamination import overlapping
from surveysim.distributions import option_mask
from surveysim.elicitation.methods import MethodName
from surveysim.evaluation import SimBenchScore, simbench_score

__all__ = ["equal_shares", "main", "other_groups", "score", "simulated"]


def score(simbench: QuestionSet, P: Any, *, confidence: float = 0.9) -> SimBenchScore:
    """The score of predictions, or of a fitted estimator.

    Parameters
    ----------
    simbench : QuestionSet
        As `read_simbench` returns it.
    P : array-like of shape (n, K), or estimator
        An estimator predicts ``simbench.X``; it must not have learned from rows that overlap these (see
        `surveysim.datasets.leave_out_overlapping`).
    confidence : float, default=0.9
    """
    P = P.predict(simbench.X) if hasattr(P, "predict") else P
    return simbench_score(
        simbench.Y,
        P,
        simbench.datasets,
        questions=simbench.X["question"],
        group_size=simbench.n,
        confidence=confidence,
    )


def equal_shares(Y: np.ndarray) -> np.ndarray:
    """Equal shares of each row's options."""
    exists = option_mask(Y)
    return np.where(exists, 1.0 / exists.sum(axis=1, keepdims=True), np.nan)


def other_groups(simbench: QuestionSet) -> tuple[np.ndarray, int]:
    """What groups that share nobody with the row's own answered to its question, by their sizes; else equal shares.

    Returns
    -------
    P : float64 array of shape (n, K)
    n_found : int
        Rows for which there are such groups.
    """
    P, n_found = equal_shares(simbench.Y), 0
    for rows in simbench.X.groupby("question", sort=False).indices.values():
        part = _rows(simbench, rows)
        for row in rows:
            apart = ~overlapping(part, _rows(simbench, np.array([row])))
            if apart.any():
                P[row] = np.average(part.Y[apart], axis=0, weights=part.n[apart])
                n_found += 1
    return P, n_found


def _rows(simbench: QuestionSet, rows: np.ndarray) -> QuestionSet:
    return QuestionSet(
        X=simbench.X.iloc[rows].reset_index(drop=True),
        Y=simbench.Y[rows],
        n=simbench.n[rows],
        questions=simbench.questions,
        attributes=simbench.attributes.iloc[rows].reset_index(drop=True),
    )


def main(arguments: Sequence[str] | None = None) -> dict[str, SimBenchScore]:
    """Score, print and return."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", help="a file of SimBench, or of results in its layout")
    parser.add_argument("--simulate", action="store_true", help="check the debiased score on known populations instead")
    parser.add_argument("--datasets", nargs="+", help="source data sets; default: all")
    parser.add_argument("--model", help="a language model to ask, such as nano")
    parser.add_argument("--method", default="verbalized", choices=get_args(MethodName), help="how it is asked")
    parser.add_argument("--rows", type=int, help="score a random sample of so many rows")
    parser.add_argument("--output", type=Path, help="a JSON file for the figures")
    options = parser.parse_args(arguments)
    if options.simulate:
        print(simulated().round(1).to_string(index=False))
        return {}
    if options.file is None:
        parser.error("a file is needed, or --simulate")
    simbench = read_simbench(options.file, datasets=options.datasets)
    if options.rows is not None and options.rows < len(simbench.X):
        chosen = np.sort(np.random.default_rng(0).choice(len(simbench.X), options.rows, replace=False))
        kept = {name: simbench[name][chosen] for name in ("Y", "n", "datasets", "groups")}
        recorded = None if simbench.recorded is None else simbench.recorded[chosen]
        simbench = QuestionSet(**{**_rows(simbench, chosen), **kept, "recorded": recorded})
    others, n_found = other_groups(simbench)
    predictions = {"equal shares": equal_shares(simbench.Y), f"other groups ({n_found:,} rows)": others}
    if simbench.recorded is not None:
        predictions["recorded"] = simbench.recorded
    if options.model is not None:
        predictions[options.model] = _asked(simbench, options.model, options.method)
    results = {name: score(simbench, P) for name, P in predictions.items()}
    print(f"{options.file.name}: {len(simbench.X):,} rows of {simbench.X['question'].nunique():,} questions, "
          f"{len(set(simbench.datasets)):,} data sets; 90% intervals over questions")  # fmt: skip
    print(_table(results).to_string(index=False))
    for name, result in results.items():
        if name != "equal shares" and len(result.by_dataset) > 1:
            print(f"\n{name}\n{result.by_dataset.round(2).to_string(index=False)}")
    if options.output is not None:
        options.output.write_text(_table(results).to_json(orient="records", indent=1), encoding="utf-8")
    return results


def simulated(n_samples: int = 8, n_rows: int = 200) -> pd.DataFrame:
    """Mean scores of simulated predictions against samples, beside the score against the populations themselves.

    Populations are Dirichlet draws over five options, spread widely (concentration 1) or near equal shares (5);
    predictions are their log shares plus normal errors.
    """
    rng = np.random.default_rng(0)
    lines = []
    for concentration, n, error in itertools.product((1.0, 5.0), (50, 200, 1000), (0.0, 0.1, 0.3, 1.0)):
        found = []
        for _ in range(n_samples):
            P = rng.dirichlet(np.full(5, concentration), n_rows)
            Q = softmax(np.log(P + 1e-3) + rng.normal(0, error, P.shape), axis=1) if error else P
            sample = np.array([rng.multinomial(n, p) / n for p in P])
            result = simbench_score(sample, Q, group_size=n, n_draws=1)
            exact = simbench_score(P, Q, n_draws=1).score
            found.append((exact, result.score, result.debiased, result.ceiling))
        line = {"concentration": concentration, "group size": n, "error": error}
        line |= dict(zip(("exact", "published", "debiased", "ceiling"), np.mean(found, axis=0), strict=True))
        lines.append(line)
    return pd.DataFrame(lines)


def _asked(simbench: QuestionSet, model: str, method: MethodName) -> np.ndarray:
    """What a model says of each group, which the prompt describes by SimBench's own sentence."""
    X = pd.DataFrame({"question": simbench.X["question"], "group": simbench.groups})
    elicitor = ZeroShotElicitor(model, method=method, question=simbench.questions, on_failure="nan", random_state=0)
    return elicitor.fit(X, simbench.Y).predict(X)


def _table(results: dict[str, SimBenchScore]) -> pd.DataFrame:
    lines = []
    for name, result in results.items():
        line: dict[str, Any] = {"prediction": name}
        for what in ("score", "debiased"):
            low, high = getattr(result, "interval" if what == "score" else "debiased_interval")
            line |= {what: getattr(result, what), f"{what}_low": low, f"{what}_high": high}
        lines.append(line | {"missing": result.n_missing})
    lines.append({"prediction": "perfect (the noise floor)", "score": result.ceiling, "debiased": 100.0, "missing": 0})
    return pd.DataFrame(lines).round(2)


if __name__ == "__main__":
    main()
