"""What each part of `DSARegressor` is worth: ``python -m benchmarks.ablation`` leaves out or replaces one at a time.

On `cces_2016` by default, the survey on which the defaults were chosen, so that nothing is chosen on the others. Every
row stands beside the default and has an interval of its difference: a bootstrap over questions.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import OneHotEncoder

from benchmarks.baselines import BASELINES
from benchmarks.dsa import OUTPUT, difference, make
from benchmarks.protocol import FLOOR, run, summarise
from benchmarks.scales import OnPlainLogits, OnProbabilities
from benchmarks.surveys import SURVEYS
from surveysim import DSARegressor, Question
from surveysim.base import DistributionRegressor
from surveysim.cells import PredictCells
from surveysim.models import load_model

DEFAULT = "default"
PLAIN: dict[str, Any] = {"shift_weight": 1.5, "shift_reference": "baseline"}

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "stages": {
        DEFAULT: {},
        "stage 1 alone": {"shift_weight": 0},
        "reference and weight fixed": PLAIN,
    },
    "references": {
        "reference: zero": {**PLAIN, "shift_reference": "zero"},
        "reference: zero-shot": {**PLAIN, "shift_reference": "zero-shot"},
        "reference: observed": {**PLAIN, "shift_reference": "observed"},
    },
    "weights": {f"weight {weight:g}": {**PLAIN, "shift_weight": weight} for weight in (0.375, 0.75, 3.0, 6.0, 24.0)},
    "training": {
        "rate x 1/2": {**PLAIN, "learning_rate": 0.2 / 160},
        "rate x 2": {**PLAIN, "learning_rate": 0.8 / 160},
        "6 epochs": {**PLAIN, "max_epochs": 6},
        "24 epochs": {**PLAIN, "max_epochs": 24},
    },
    "parts": {
        "init: baseline": {"init": "baseline"},
        "init: None": {**PLAIN, "init": None},
        "4 members": {**PLAIN, "n_members": 4},
        "2 blocks": {**PLAIN, "n_blocks": 2},
    },
}
"""Constructor parameters by group of the table. Learning rates are for nano's width of 160."""

ZERO: dict[str, Any] = {**PLAIN, "shift_reference": "zero"}

SCALES: dict[str, tuple[type[DSARegressor], dict[str, Any]]] = {
    f"{scale}{', reference zero' if base is ZERO else ''}, weight {weight:g}": (kind, {**base, "shift_weight": weight})
    for scale, kind, base, weights in (
        ("weighted contrasts", DSARegressor, PLAIN, (1.5,)),
        ("weighted contrasts", DSARegressor, ZERO, (0.09375, 0.375, 1.5)),
        ("plain logits", OnPlainLogits, PLAIN, (1.5, 6.0, 24.0)),
        ("plain logits", OnPlainLogits, ZERO, (0.375, 1.5, 6.0)),
        ("probabilities", OnProbabilities, PLAIN, (6.0, 24.0, 96.0, 384.0)),
        ("probabilities", OnProbabilities, ZERO, (24.0, 96.0, 384.0)),
    )
    for weight in weights
}
"""The scale on which shifts are compared: the library's, and the two of `benchmarks.scales` at several weights.

The same difference between groups is a much smaller number on the scale of probabilities, and smaller without the
contrasts' weights, so that the same weight is a weaker pull there: a scale is judged by the best of its weights.
"""

GROUPS = [*VARIANTS, "scales", "trunk"]

RANDOM_TRUNK = "random-weight trunk"
RANDOM_STAGE_1 = "random-weight trunk, stage 1 alone"
NETWORK = "network on one-hot backgrounds"


class NetworkRegressor(DistributionRegressor):
    """A multilayer perceptron on one-hot questions and backgrounds: what a network without language can do.

    scikit-learn's, with 64 hidden units. Its penalty is chosen by the held-out log-likelihood of a fifth of the cells.
    """

    def __init__(
        self,
        *,
        question: Any = None,
        question_column: str = "question",
        penalties: tuple[float, ...] = (0.01, 0.1, 1, 10),
    ) -> None:
        self.question = question
        self.question_column = question_column
        self.penalties = penalties

    def fit(self, X: Any, Y: Any, sample_weight: Any = None) -> NetworkRegressor:
        """Fit by the cells' counts."""
        cells = self._validate_fit(X, Y, sample_weight)
        self.encoder_ = OneHotEncoder(handle_unknown="ignore").fit(self._table(cells))
        design = self.encoder_.transform(self._table(cells)).toarray()
        counts = cells.n[:, None] * np.nan_to_num(cells.Y)
        held_out = np.random.default_rng(0).permutation(len(design)) < len(design) // 5
        scores = {}
        for penalty in self.penalties:
            network = self._train(design[~held_out], counts[~held_out], penalty)
            P = np.clip(self._restrict(network, design[held_out], counts.shape[1]), 1e-9, None)
            scores[penalty] = (counts[held_out] * np.log(P)).sum()
        self.network_ = self._train(design, counts, max(scores, key=lambda penalty: scores[penalty]))
        return self

    def _predict(self, cells: PredictCells) -> np.ndarray:
        K = self.n_options_
        exists = np.arange(K) < np.array([q.n_options for q in cells.questions.values()])[cells.question_index, None]
        P = self._restrict(self.network_, self.encoder_.transform(self._table(cells)).toarray(), K)
        P = np.where(exists, np.clip(P, 1e-9, None), np.nan)
        return P / np.nansum(P, axis=1, keepdims=True)

    @staticmethod
    def _table(cells: PredictCells) -> pd.DataFrame:
        return cells.backgrounds.astype(str).assign(_question=cells.question_names)

    @staticmethod
    def _train(design: np.ndarray, counts: np.ndarray, penalty: float) -> MLPClassifier:
        rows, options = np.nonzero(counts)
        network = MLPClassifier((64,), alpha=penalty, max_iter=100, tol=0, n_iter_no_change=1000, random_state=0)
        return network.fit(design[rows], options, sample_weight=counts[rows, options])

    @staticmethod
    def _restrict(network: MLPClassifier, design: np.ndarray, K: int) -> np.ndarray:
        P = np.zeros((len(design), K))
        P[:, network.classes_] = network.predict_proba(design)
        return P


def random_nano(folder: Path) -> str:
    """nano's architecture and tokenizer with random weights, saved to a folder."""
    import torch
    from transformers import AutoModelForCausalLM

    nano = load_model("nano")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(nano.network.config, dtype=torch.float32).save_pretrained(folder)
    nano.tokenizer.save_pretrained(folder)
    return str(folder)


def make_network(questions: Mapping[str, Question]) -> NetworkRegressor:
    """The network without language."""
    return NetworkRegressor(question=dict(questions))


def make_on_scale(questions: Mapping[str, Question], *, kind: type[DSARegressor], **parameters: Any) -> DSARegressor:
    """nano with seed 0 and shifts compared on a scale of its own."""
    return kind("nano", question=dict(questions), random_state=0, **parameters)


def main() -> None:
    """Measure, or read what was measured, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano", help="the language model: a name, a folder or a GGUF file")
    parser.add_argument("--survey", default="cces_2016", choices=sorted(SURVEYS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[500])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--groups", nargs="+", default=GROUPS, choices=GROUPS)
    parser.add_argument("--quick", action="store_true", help="the stages and the references, on one split")
    parser.add_argument("--output", type=Path, default=OUTPUT / "ablation.json")
    parser.add_argument("--read", type=Path, nargs="+", help="print the tables of these outputs together")
    options = parser.parse_args()
    if options.quick:
        options.groups, options.splits = ["stages", "references"], 1
    if options.read:
        results = pd.concat([pd.read_json(file) for file in options.read], ignore_index=True)
        results = results.drop_duplicates(["survey", "n", "split", "model", "level", "question"])  # shared baselines
    else:
        with tempfile.TemporaryDirectory() as folder:
            factories = {name: BASELINES[name] for name in ("pooled marginal", "plain logit", "order-aware logit")}
            for group in options.groups:
                for name, parameters in VARIANTS.get(group, {}).items():
                    factories[name] = partial(make, model=options.model, **parameters)
            if "scales" in options.groups:
                for name, (kind, parameters) in SCALES.items():
                    factories[name] = partial(make_on_scale, kind=kind, **parameters)
            if "trunk" in options.groups:
                random = random_nano(Path(folder))
                factories[RANDOM_TRUNK] = partial(make, model=random, **PLAIN)
                factories[RANDOM_STAGE_1] = partial(make, model=random, shift_weight=0)
                factories[NETWORK] = make_network
            report = partial(print, flush=True)
            results = run(
                SURVEYS[options.survey](),
                factories,
                sizes=options.sizes,
                n_splits=options.splits,
                folds=5,
                report=report,
            )
        options.output.parent.mkdir(parents=True, exist_ok=True)
        results.to_json(options.output, orient="records")
    show(results)


def show(results: pd.DataFrame) -> None:
    """One row per variant: divergences, and the difference from the default with its interval."""
    pd.options.display.width = 200
    for (survey, n), own in results.groupby(["survey", "n"], sort=False):
        table = pd.DataFrame({value: summarise(own, value).iloc[:, 0] for value in ("js", "js_debiased")})
        for name in table.index.difference([DEFAULT, FLOOR]):
            if DEFAULT in table.index:
                found = difference(own, name, DEFAULT)
                table.loc[name, ["against default", "low", "high"]] = found["difference"], found["low"], found["high"]
        print(f"\n{survey}, n = {n}, crossed cells\n{table.to_string(float_format='%.4f')}")


if __name__ == "__main__":
    main()
