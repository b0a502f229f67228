"""Recorded elicitations: what language models answered for groups of Americans, beside what these answered.

The file `opinionqa_elicited` holds the outputs of Meister, Guestrin & Hashimoto (2024), arXiv 2411.05403, for 100
questions of Pew's American Trends Panel. Persona prompts and groups of at least 50 respondents are used; 'Refused' is
left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.surveys import data_folder
from surveysim import Question
from surveysim.distributions import pad_distributions
from surveysim.elicitation.methods import MethodName

__all__ = ["METHODS", "TUNING_MODELS", "Setting", "load_elicited", "noise_ceiling"]

METHODS: dict[str, MethodName | None] = {
    "express_distribution": "verbalized",
    "model_logprobs": "logprob",
    "sequence": "sequence",
    "rescaled_model_logprobs": None,
}
"""Methods of the file in the words of `elicited_by`. Rescaled log-probabilities were corrected by their authors,
already, in a way that no prior knows."""

TUNING_MODELS = ("gpt-3.5-turbo-0125", "anthropic_haiku")
"""Models on which the constants of `surveysim.calibration` were chosen; figures of the others are out of sample."""

MIN_RESPONDENTS = 50

ATTRIBUTES = ("SEX", "RACE", "POLPARTY")


@dataclass(frozen=True)
class Setting:
    """One model asked by one method.

    Attributes
    ----------
    method : str
        As the file calls it.
    model : str
    X : DataFrame
        Columns question and the attributes; each row states one attribute.
    P, Y : float64 arrays of shape (n, K)
        Elicited and observed, NaN-padded, options in the order of their positions.
    n : float64 array of shape (n,)
        Respondents.
    positions : float64 array of shape (n, K)
    questions : dict of str to Question
    """

    method: str
    model: str
    X: pd.DataFrame
    P: np.ndarray
    Y: np.ndarray
    n: np.ndarray
    positions: np.ndarray
    questions: dict[str, Question]

    @property
    def elicited_by(self) -> MethodName | None:
        """The method in the library's words."""
        return METHODS[self.method]

    @property
    def tuning(self) -> bool:
        """Whether the library's constants were chosen on this model."""
        return self.model in TUNING_MODELS

    @property
    def name(self) -> str:
        """Method and model; a star marks tuning models."""
        short = {"express_distribution": "verbalised", "model_logprobs": "log-prob", "sequence": "sequence"}
        model = self.model.removeprefix("anthropic_").removesuffix("-turbo-0125")
        return f"{short.get(self.method, 'log-prob, rescaled')} {model}{'*' if self.tuning else ''}"


def load_elicited(folder: Path | None = None) -> list[Setting]:
    """All settings, the untuned models first within each method."""
    folder = (folder or data_folder()) / "opinionqa_elicited"
    lines = [json.loads(line) for line in (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    places = {line["qid"]: line for line in lines if line["dataset"] == "opinionqa"}
    table = pd.read_csv(folder / "elicited.csv.gz")
    table = table[(table.dataset == "opinionqa") & (table.steering == "persona") & (table.n_human >= MIN_RESPONDENTS)]
    found = []
    for method in METHODS:
        for model in sorted(table.loc[table.method == method, "model"].unique(), key=lambda m: (m in TUNING_MODELS, m)):
            found.append(_setting(method, model, table[(table.method == method) & (table.model == model)], places))
    return found


def _setting(method: str, model: str, table: pd.DataFrame, places: dict[str, dict]) -> Setting:
    rows, P, Y, positions = [], [], [], []
    questions: dict[str, Question] = {}
    for record in table.to_dict("records"):
        line = places[record["qid"]]
        order = [k for k, place in enumerate(line["ordinal"]) if place is not None]
        order.sort(key=lambda k: line["ordinal"][k])
        values = [float(line["ordinal"][k]) for k in order]
        if len(set(values)) < len(values) or not isinstance(record["llm_raw"], str):
            continue  # options that all lie at one place: a nominal question; or no output
        p = np.array(json.loads(record["llm_raw"]), dtype=float)[order]
        y = np.array(json.loads(record["human"]), dtype=float)[order]
        if not np.isfinite(p).all() or p.sum() <= 0 or y.sum() <= 0:
            continue
        name = record["qid"]
        if name not in questions:
            questions[name] = Question(line["question"], [line["options"][k] for k in order], values=values)
        rows.append({"question": name, **dict.fromkeys(ATTRIBUTES), record["attribute"]: record["group"],
                     "n": record["n_human"]})  # fmt: skip
        P.append(p / p.sum())
        Y.append(y / y.sum())
        positions.append(values)
    X = pd.DataFrame(rows)
    width = max(map(len, P))
    return Setting(
        method=method,
        model=model,
        X=X[["question", *ATTRIBUTES]],
        P=pad_distributions(P, width),
        Y=pad_distributions(Y, width),
        n=X["n"].to_numpy(dtype=float),
        positions=pad_distributions(positions, width),
        questions=questions,
    )


def noise_ceiling(setting: Setting, repetitions: int = 20, seed: int = 0) -> np.ndarray:
    """Opinion alignment per cell (n,) of a perfect prediction with a truth of n respondents, by simulation."""
    from surveysim.metrics import opinion_alignment

    generator = np.random.default_rng(seed)
    exists = ~np.isnan(setting.Y)
    total = np.zeros(len(setting.n))
    for _ in range(repetitions):
        shares = generator.multinomial(setting.n.astype(int), np.nan_to_num(setting.Y)) / setting.n[:, None].astype(int)
        sampled = np.where(exists, shares, np.nan)
        total += opinion_alignment(sampled, setting.Y, values=setting.positions, average=False)
    return total / repetitions
