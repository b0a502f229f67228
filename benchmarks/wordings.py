"""Does the wording of the prompt matter? ``python -m benchmarks.wordings`` prints tables and writes JSON.

nano in each built-in wording: untuned, fine-tuned and asked in the same wording, and fine-tuned in one and asked in
another. Reference and weight of stage 2 are fixed, so that only the wording differs.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from benchmarks.dsa import OUTPUT
from benchmarks.protocol import make_splits
from benchmarks.surveys import SURVEYS
from surveysim import DSARegressor, ZeroShotElicitor
from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.evaluation import PromptConsistency, prompt_consistency
from surveysim.evaluation.comparison import MIN_RESPONDENTS
from surveysim.evaluation.curves.protocol import RespondentSplit
from surveysim.metrics import js_divergence
from surveysim.prompts import get_template, template_names

UNTUNED, STAGE_1, TWO_STAGES = "untuned", "stage 1 alone", "two stages"
WEIGHTS = {STAGE_1: 0.0, TWO_STAGES: 1.5}


class RememberedDSA(DSARegressor):
    """Keeps what `prompt_consistency` fits, so that it can be asked in other wordings without another fit."""

    fitted: ClassVar[dict[str, DSARegressor]] = {}

    def fit(
        self, X: Any, Y: ArrayLike, sample_weight: ArrayLike | None = None, folds: ArrayLike | None = None
    ) -> DSARegressor:
        """Fit, and keep it under the name of its wording."""
        super().fit(X, Y, sample_weight, folds)
        self.fitted[str(self.template)] = self
        return self


def consistency(split: RespondentSplit, stage: str, templates: list[str], model: str = "nano") -> PromptConsistency:
    """Trained and asked in the same wording, compared on the truth's cells with enough respondents."""
    questions = dict(split.train.questions)
    test = split.truth.subset(split.truth.n >= MIN_RESPONDENTS)
    if stage == UNTUNED:
        estimator: Any = ZeroShotElicitor(model, method="logprob", question=questions, random_state=0)
        train = None
    else:
        estimator = RememberedDSA(
            model, question=questions, shift_reference="baseline", shift_weight=WEIGHTS[stage], random_state=0
        )
        train = (split.train.X, split.train.Y, split.train.n)
    return prompt_consistency(estimator, test.X, templates, train=train, Y_true=test.Y, truth_respondents=test.n)


def crossed(split: RespondentSplit, templates: list[str]) -> pd.DataFrame:
    """Debiased divergence of the fits before when trained in one wording (row) and asked in another (column)."""
    test = split.truth.subset(split.truth.n >= MIN_RESPONDENTS)
    table = pd.DataFrame(index=templates, columns=templates, dtype=float)
    for trained in templates:
        model = RememberedDSA.fitted[trained]
        for asked in templates:
            # A fitted estimator asks in the wording of its fit, whatever its parameter says by now: this is what a
            # user must not be able to do by accident, so that there is no public way to do it.
            model._fitted = replace(model._fitted, template=get_template(asked))
            table.loc[trained, asked] = js_divergence(test.Y, model.predict(test.X), truth_respondents=test.n)
        print(f"split {split.seed}, trained on {trained}: {table.loc[trained].round(4).to_dict()}", flush=True)
    return table


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All tables of one survey, per split."""
    survey = SURVEYS[options.survey]()
    templates = template_names()[:2] if options.quick else template_names()
    found: dict[str, Any] = {"survey": survey.name, "n": options.size, "splits": []}
    for split in make_splits(survey, options.size, 1 if options.quick else options.splits, folds=5):
        record: dict[str, Any] = {"same": {}, "crossed": {}, "baselines": baselines(split)}
        for stage in (UNTUNED, *options.stages):
            same = consistency(split, stage, templates, options.model)
            assert same.divergence is not None
            record["same"][stage] = {
                "mean": same.mean,
                "largest": same.largest,
                "divergence": same.divergence.to_dict(),
            }
            print(f"split {split.seed}, {stage}: {same.divergence.round(4).to_dict()}", flush=True)
            if stage != UNTUNED:
                record["crossed"][stage] = crossed(split, templates).to_dict(orient="index")
        found["splits"].append(record)
    return found


def baselines(split: RespondentSplit) -> dict[str, float]:
    """What the wordings' differences are to be compared with."""
    test = split.truth.subset(split.truth.n >= MIN_RESPONDENTS)
    models = {"pooled marginal": MarginalRegressor, "order-aware logit": LogitRegressor}
    result = {}
    for name, kind in models.items():
        model = kind(question=dict(split.train.questions), unseen="uniform")
        model.fit(split.train.X, split.train.Y, sample_weight=split.train.n)
        result[name] = js_divergence(test.Y, model.predict(test.X), truth_respondents=test.n)
    return result


def show(found: dict[str, Any]) -> None:
    """Print means over splits."""
    pd.options.display.width = 200
    splits = found["splits"]
    print(f"\n{found['survey']}, n = {found['n']}, {len(splits)} splits: debiased divergence by wording")
    same = {stage: pd.DataFrame([split["same"][stage] for split in splits]) for stage in splits[0]["same"]}
    table = pd.DataFrame({stage: pd.DataFrame(list(own["divergence"])).mean() for stage, own in same.items()}).T
    table["spread"] = table.max(axis=1) - table.min(axis=1)
    for name in ("mean", "largest"):
        table[f"{name} pairwise"] = [own[name].mean() for own in same.values()]
    print(table.to_string(float_format="%.4f"))
    for name in splits[0]["baselines"]:
        print(f"{name}: {np.mean([split['baselines'][name] for split in splits]):.4f}")
    for stage in splits[0]["crossed"]:
        tables = [pd.DataFrame.from_dict(split["crossed"][stage], orient="index") for split in splits]
        mean = sum(tables[1:], tables[0]) / len(tables)
        print(f"\n{stage}: trained in one wording (row), asked in another (column)")
        print(mean.to_string(float_format="%.4f"))
        own = np.diag(mean)
        other = mean.to_numpy()[~np.eye(len(mean), dtype=bool)]
        print(
            f"same wording {own.mean():.4f}; another wording {other.mean():.4f}, {other.min():.4f} to {other.max():.4f}"
        )


def main() -> None:
    """Measure, or read what was measured, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano", help="the language model: a name, a folder or a GGUF file")
    parser.add_argument("--survey", default="cces_2016", choices=sorted(SURVEYS))
    parser.add_argument("--size", type=int, default=500, help="training respondents")
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--stages", nargs="+", default=list(WEIGHTS), choices=list(WEIGHTS))
    parser.add_argument("--quick", action="store_true", help="two wordings, one split")
    parser.add_argument("--output", type=Path, default=OUTPUT / "wordings.json")
    parser.add_argument("--read", type=Path, help="print the tables of this output")
    options = parser.parse_args()
    if options.read:
        found = json.loads(options.read.read_text(encoding="utf-8"))
    else:
        found = measure(options)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(found), encoding="utf-8")
    show(found)


if __name__ == "__main__":
    main()
