"""Weights of respondents, with what they cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["RespondentWeights", "kish_respondents"]


def kish_respondents(weight: np.ndarray) -> float:
    """Kish's effective respondents, (sum w)^2 / sum w^2."""
    return float(weight.sum() ** 2 / (weight**2).sum())


@dataclass(frozen=True, eq=False, repr=False)
class RespondentWeights:
    """Weights of respondents; ``print`` says what they cost, and `tabulate` takes them as ``weights=``.

    Attributes
    ----------
    weights : Series of shape (n_respondents,)
        With the index of the survey; the mean over respondents that have a weight is 1.
    n_before, n_effective : float
        Kish's effective respondents with the initial weights, and with these.
    n_untrimmed : float
        The same before trimming; equal to `n_effective` if nothing was trimmed.
    n_trimmed : int
        How many weights were cut to the cap.
    margins : DataFrame
        "variable", "level", and the shares (percent) in the population ("target"), with the initial weights ("before"),
        and with these ("after"). Trimming may leave a gap. Empty for weights without margins.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import rake
    >>> weighted = rake(
    ...     {"sex": {"f": 0.5, "m": 0.5}},
    ...     respondents=pd.DataFrame({"sex": ["f", "f", "f", "m"]}),
    ... )
    >>> weighted.margins
      variable level  target  before  after
    0      sex     f    50.0    75.0   50.0
    1      sex     m    50.0    25.0   50.0
    >>> round(weighted.n_effective, 1)
    3.0
    """

    weights: pd.Series
    n_before: float
    n_effective: float
    n_untrimmed: float
    n_trimmed: int
    margins: pd.DataFrame

    @property
    def largest_gap(self) -> float:
        """The largest difference between a margin and its target, in percentage points; 0 without margins."""
        if len(self.margins) == 0:
            return 0.0
        return float((self.margins["after"] - self.margins["target"]).abs().max())

    def __array__(self, dtype: np.dtype | type | str | None = None, copy: bool | None = None) -> np.ndarray:
        return self.weights.to_numpy(dtype=dtype)

    def __len__(self) -> int:
        return len(self.weights)

    def __repr__(self) -> str:
        positive = self.weights[self.weights > 0]
        cost = 1.0 - self.n_effective / self.n_before
        change = f"{'loss' if cost >= 0 else 'gain'} {abs(cost):.0%}"
        lines = [
            f"RespondentWeights of {len(positive):,} respondents, from {positive.min():.2f} to {positive.max():.2f}",
            f"  worth {self.n_effective:,.0f} respondents, {self.n_before:,.0f} before: {change}",
        ]
        if self.n_trimmed:
            lines.append(
                f"  {self.n_trimmed:,} weights trimmed: worth {self.n_untrimmed:,.0f} without trimming; margins are "
                f"off by up to {self.largest_gap:.1f} points"
            )
        return "\n".join(lines)
