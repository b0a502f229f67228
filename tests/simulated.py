"""Small simulated surveys and quick settings, for tests of the language-model side."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from surveysim import DSARegressor, Question

HAPPY = Question("How happy are you?", ["very", "quite", "not very", "not at all"])
QUESTIONS = {
    "happy": HAPPY,
    "party": Question("Which party do you like best?", ["Reds", "Greens", "Blues"], ordinal=False),
    "vote": Question("Will you vote?", ["no", "yes"], context="Town survey, 2020"),
}
AGES = ["18-29", "30-64", "65+"]


@dataclass(frozen=True)
class Survey:
    """Cells of a survey with its truth: X, observed shares Y, respondents n and the shares P they were drawn from."""

    X: pd.DataFrame
    Y: np.ndarray
    n: np.ndarray
    P: np.ndarray
    folds: np.ndarray


def simulate(questions: Any = HAPPY, *, n: int = 40, seed: int = 0, n_folds: int = 5) -> Survey:
    """Cells of age x sex x region, answers drawn from logits with main effects; all folds are disjoint respondents."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        list(itertools.product(AGES, ["man", "woman"], ["north", "south"])), columns=["age", "sex", "region"]
    )
    frame["age"] = pd.Categorical(frame["age"], AGES, ordered=True)
    named = questions if isinstance(questions, dict) else {"": questions}
    n_columns = max(question.n_options for question in named.values())
    parts, truths, counts = [], [], []
    for name, question in named.items():
        k = question.n_options
        logits = generator.normal(size=k) + sum(
            generator.normal(scale=0.7, size=(len(set(frame[column])), k))[pd.factorize(frame[column])[0]]
            for column in frame
        )
        P = np.full((len(frame), n_columns), np.nan)
        P[:, :k] = softmax(logits, axis=1)
        people = generator.integers(n // 2, n + n // 2 + 1, size=(len(frame), n_folds)) // n_folds + 1
        drawn = np.full((len(frame), n_folds, n_columns), np.nan)
        drawn[:, :, :k] = generator.multinomial(people, P[:, None, :k])
        parts.append(frame if not name else frame.assign(question=name))
        truths.append(P)
        counts.append(drawn)
    folds = np.concatenate(counts)
    people = np.nansum(folds, axis=(1, 2))
    return Survey(
        X=pd.concat(parts, ignore_index=True),
        Y=folds.sum(axis=1) / people[:, None],
        n=people,
        P=np.concatenate(truths),
        folds=folds,
    )


def quick(folder: Any, question: Any = HAPPY, **parameters: Any) -> DSARegressor:
    """A DSARegressor that fits in a tenth of a second: few epochs, stage 2 with one reference and weight."""
    settings = {"shift_reference": "zero", "shift_weight": 20.0, "max_epochs": 2, "random_state": 0}
    return DSARegressor(folder, question=question, **{**settings, **parameters})


def weights_hash(network: Any) -> str:
    """Digest of all parameters and buffers of a torch module."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.detach().numpy().tobytes())
    return digest.hexdigest()
