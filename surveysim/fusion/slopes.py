"""The slopes that questions share in a fusion: which there are, their covariates and their priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.baselines.priors import HIGHEST_CLASS
from surveysim.fusion.covariates import AVERAGE, ElicitedParts

__all__ = ["Slope", "SlopeList"]

LEVEL_SCALE = 0.5
"""Prior standard deviation of a level's slope."""

SHIFT_SCALE = 0.5
"""Prior standard deviation of a shift's slope: fitted slopes of published models lie between 0.05 and 1.1."""

MEAN_SCALE = 0.25
"""Prior standard deviation of the mean level that questions of one size share, on each contrast.

Tried on recorded answers by region, education and income of GPT-3.5, Claude Haiku and Opus, 20 respondents per group,
with 1, 5 and all questions at a time: .5 for levels is better than 1 and 2 (with one question by 2 and 5%, with all by
nothing); .25 for means is 1 to 3% better than .5 with few questions and equal with all; for shifts .25, .5 and 1 are
within 5% of each other, and .5 is what stage 2 of `DSARegressor` uses."""

OWN_SHARE = 0.5
"""What remains of these for a model beside the average of several."""


@dataclass(frozen=True)
class Slope:
    """One slope.

    Attributes
    ----------
    kind : {"mean", "level", "shift", "rest"}
        What it multiplies: a constant that questions of one size share, the elicited level, the elicited shifts of one
        attribute, the elicited rest.
    of : str
        The number of options ("mean", "level"), the attribute ("shift"), or "".
    source : str
        The model whose elicited distributions it multiplies; "" for a mean.
    beside_average : bool
        Whether the average of several models has slopes, too.
    contrast : int
        For "mean" the contrast's position; for "shift" the class of degree (0 no order, 1, 2, 3 and more).
    """

    kind: str
    of: str = ""
    contrast: int = -1
    source: str = ""
    beside_average: bool = False

    @property
    def scale(self) -> float:
        """Prior standard deviation."""
        scale = {"mean": MEAN_SCALE, "level": LEVEL_SCALE}.get(self.kind, SHIFT_SCALE)
        return scale * OWN_SHARE if self.beside_average else scale


class SlopeList:
    """All slopes of a fusion, in their order.

    Parameters
    ----------
    degrees : sequence of int arrays
        The degrees of each question's contrasts (one array per question, of length K_q - 1).
    attributes : sequence of str
        The attributes whose elicited shifts get slopes; none without an elicitor.
    combinations : mapping of str to bool
        For each model whether the rest gets a slope; empty without models.
    """

    def __init__(
        self, degrees: Sequence[np.ndarray], attributes: Sequence[str], combinations: Mapping[str, bool]
    ) -> None:
        sizes = sorted({len(degree) + 1 for degree in degrees})
        # unordered contrasts mean something else in every question: they have no common mean
        ordered = {len(degree) + 1: degree for degree in degrees if degree.all()}
        self.slopes = [
            Slope("mean", str(size), c) for size in sorted(ordered) for c in range(size - 1) if len(degrees) > 1
        ]
        classes = sorted({int(d) for degree in degrees for d in np.minimum(degree, HIGHEST_CLASS)})
        for source, rest in combinations.items():
            own = len(combinations) > 1 and source != AVERAGE
            self.slopes += [Slope("level", str(size), source=source, beside_average=own) for size in sizes]
            self.slopes += [Slope("shift", name, d, source, own) for name in attributes for d in classes]
            self.slopes += [Slope("rest", source=source, beside_average=own)] * rest
        self._attribute = {name: a for a, name in enumerate(attributes)}

    def __len__(self) -> int:
        return len(self.slopes)

    @property
    def bounded(self) -> np.ndarray:
        """Bool array (J,): which may not be negative - all but the means. No model is trusted to be wrong reliably."""
        return np.array([slope.kind != "mean" for slope in self.slopes], dtype=bool)

    @property
    def precision(self) -> np.ndarray:
        """One over the prior variances, (J,)."""
        return np.array([slope.scale**-2 for slope in self.slopes])

    def covariates(
        self, parts: Mapping[str, ElicitedParts], rows: np.ndarray, contrasts: np.ndarray, degree: np.ndarray
    ) -> np.ndarray:
        """What the slopes multiply in some rows of one question, (n, J, C).

        Parameters
        ----------
        parts : mapping of str to ElicitedParts
            What each model said.
        rows : int array of shape (n,)
            Which of their rows.
        contrasts, degree : arrays of shapes (C, K) and (C,)
            Of the question's options.
        """
        n_options = contrasts.shape[1]
        classes = np.minimum(degree, HIGHEST_CLASS)
        M = np.zeros((len(rows), len(self.slopes), len(degree)))
        for j, slope in enumerate(self.slopes):
            if slope.kind == "mean":
                if slope.of == str(n_options) and degree.all():
                    M[:, j, slope.contrast] = 1.0
                continue
            own = parts[slope.source]
            if slope.kind == "shift":
                shift = own.shifts[rows, self._attribute[slope.of], :n_options] @ contrasts.T
                M[:, j] = np.where(classes == slope.contrast, shift, 0.0)
            elif slope.kind == "rest":
                M[:, j] = own.rest[rows, :n_options] @ contrasts.T
            elif slope.of == str(n_options):
                M[:, j] = own.level[rows, :n_options] @ contrasts.T
        return M

    def as_frame(self, values: np.ndarray, variances: np.ndarray) -> pd.DataFrame:
        """A row per slope: kind, what it is of, degree, value and posterior standard deviation."""
        names = {0: "no order", 1: "1", 2: "2", HIGHEST_CLASS: f"{HIGHEST_CLASS}+"}
        degree = [
            names[slope.contrast] if slope.kind == "shift" else str(slope.contrast + 1) if slope.kind == "mean" else ""
            for slope in self.slopes
        ]
        return pd.DataFrame(
            {
                "kind": [slope.kind for slope in self.slopes],
                "of": [slope.of for slope in self.slopes],
                "degree": degree,
                "slope": values,
                "deviation": np.sqrt(variances),
            }
        )

    def gap_inflation(self, values: np.ndarray, covariates: Sequence[np.ndarray]) -> dict[str, float]:
        """Per attribute the share of the elicited shifts that the data bear out, over all degrees and questions.

        The slopes of its degrees, each weighted by how much the model shifts there (the sum of squares).
        """
        size = np.sum([(M**2).sum(axis=(0, 2)) for M in covariates], axis=0)
        result = {}
        for name in self._attribute:
            own = np.array([slope.kind == "shift" and slope.of == name for slope in self.slopes], dtype=bool)
            total = float(size[own].sum())
            result[name] = float(values[own] @ size[own] / total) if total > 0 else 0.0
        return result
