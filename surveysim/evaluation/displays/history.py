"""Training history: what was tried on held-out respondents, and how the final training went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from surveysim.evaluation.displays.style import COLORS, INK, MARKERS, SOFT, bare, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["TrainingHistoryDisplay"]


class TrainingHistoryDisplay:
    """Losses by epoch of a fine-tuned model.

    Left, what was tried on held-out respondents: stage 1 at its best epoch, then each reference and weight of stage 2,
    means over splits; right, the final training on everybody.

    Parameters
    ----------
    history : DataFrame
        ``history_`` of a fitted `surveysim.DSARegressor`: columns phase, stage, epoch, cross_entropy, shift, held_out.

    Attributes
    ----------
    figure_ : Figure
    axes_ : array of two Axes
    lines_ : dict of str to Line2D

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation import TrainingHistoryDisplay
    >>> history = pd.DataFrame(
    ...     {
    ...         "phase": ["refit"] * 3,
    ...         "stage": [1, 1, 2],
    ...         "epoch": [1, 2, 1],
    ...         "cross_entropy": [1.3, 1.2, 1.21],
    ...         "shift": [0.0, 0.0, 0.1],
    ...         "held_out": [None] * 3,
    ...     }
    ... )
    >>> display = TrainingHistoryDisplay(history).plot()
    >>> sorted(display.lines_)
    ['shift loss', 'stage 1', 'stage 2']
    """

    def __init__(self, history: pd.DataFrame) -> None:
        self.history = history

    @classmethod
    def from_estimator(
        cls, estimator: object, *, ax: Sequence[Axes] | np.ndarray | None = None
    ) -> TrainingHistoryDisplay:
        """Draw a fitted estimator's ``history_``.

        Parameters
        ----------
        estimator : fitted DSARegressor, or any estimator with such a ``history_``
        ax : array of two Axes, optional

        Returns
        -------
        TrainingHistoryDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        TypeError
            If the estimator does not keep a history.
        """
        check_is_fitted(estimator)
        history = getattr(estimator, "history_", None)
        if not isinstance(history, pd.DataFrame):
            raise TypeError(f"{type(estimator).__name__} does not keep a history_ of its training")
        return cls(history).plot(ax=ax)

    def plot(self, ax: Sequence[Axes] | np.ndarray | None = None) -> TrainingHistoryDisplay:
        """Draw into given axes or a new figure.

        Parameters
        ----------
        ax : array of two Axes, optional

        Returns
        -------
        TrainingHistoryDisplay
            Itself.

        Raises
        ------
        ValueError
            If the history lacks columns or `ax` is not two Axes.
        """
        needed = {"phase", "stage", "epoch", "cross_entropy", "shift", "held_out"}
        lacking = sorted(needed - set(self.history.columns))
        if lacking:
            raise ValueError(f"history lacks the columns {lacking}: it must be history_ of a fitted DSARegressor")
        if ax is None:
            first = new_axes(None, 9.6, 3.8)
            figure = first.figure
            first.remove()
            axes = figure.subplots(1, 2, width_ratios=[1.15, 1])
        else:
            axes = np.asarray(ax, dtype=object).ravel()
            if len(axes) != 2:
                raise ValueError(f"ax must be two Axes, for what was tried and for the final training; got {len(axes)}")
        self.axes_, self.figure_ = axes, axes[0].figure
        self.lines_: dict[str, Line2D] = {}
        self._tried(axes[0])
        self._final(axes[1])
        bare(axes[0], grid="x")
        bare(axes[1])
        axes[1].set_xlabel("epoch", color=INK)
        axes[1].xaxis.get_major_locator().set_params(integer=True)
        return self

    def _tried(self, ax: Axes) -> None:
        tried = self.history[self.history["phase"].eq("select") & self.history["held_out"].notna()]
        ax.set_title("Tried on held-out respondents", loc="left", fontsize=10.5, color=INK)
        if tried.empty:
            ax.text(0.5, 0.5, "nothing was chosen\non held-out respondents", ha="center", va="center", color=SOFT,
                    transform=ax.transAxes)  # fmt: skip
            return
        keys = ["stage", *[key for key in ("reference", "weight") if key in tried]]
        for i, (key, own) in enumerate(tried.groupby(keys, sort=False, dropna=False)):
            values = key if isinstance(key, tuple) else (key,)
            by_epoch = own.groupby("epoch")["held_out"].agg(["mean", "size"])
            # splits may stop early: only epochs that all of them reached have means of the same splits
            best = int(by_epoch["mean"][by_epoch["size"] == by_epoch["size"].max()].idxmin())
            splits = own.loc[own["epoch"] == best, "held_out"].to_numpy(dtype=float)
            name = f"stage 1, epoch {best}"
            if values[0] != 1:
                name = ", ".join(["stage 2", *[f"{v:g}" if isinstance(v, float) else str(v) for v in values[1:]]])
            ax.plot(splits, np.full(len(splits), i), "o", ms=3.5, color=COLORS[0], alpha=0.3, mew=0)
            self.lines_[name] = ax.plot(splits.mean(), i, "o", ms=6.5, color=COLORS[0])[0]
        ax.set_yticks(range(len(self.lines_)), list(self.lines_))
        ax.set_ylim(len(self.lines_) - 0.5, -0.5)
        ax.set_xlabel("nats an answer; small dots are single splits", color=INK)

    def _final(self, ax: Axes) -> None:
        final = self.history[self.history["phase"].eq("refit")]
        ax.set_title("Final training on everybody", loc="left", fontsize=10.5, color=INK)
        if "member" in final:
            final = final[final["member"] == final["member"].iloc[0]]
        start = 0
        for i, stage in enumerate(sorted(set(final["stage"]))):
            own = final[final["stage"] == stage]
            x = np.arange(1, len(own) + 1) + start
            start = int(x[-1])
            name = f"stage {int(stage)}"
            self.lines_[name] = ax.plot(
                x,
                own["cross_entropy"],
                color=COLORS[i],
                lw=1.6,
                marker=MARKERS[i],
                ms=4,
                label=name,
            )[0]
            if stage == 2 and (own["shift"] > 0).any():
                beside = ax.twinx()
                line = beside.plot(x, own["shift"], color=COLORS[1], lw=1.3, ls=":", marker="s", ms=3.5)[0]
                self.lines_["shift loss"] = line
                beside.set_ylim(bottom=0)
                beside.tick_params(length=0, colors=COLORS[1])
                for side in beside.spines.values():
                    side.set_visible(False)
                beside.set_ylabel("shift loss", color=COLORS[1])
        if final.empty:
            return
        ax.set_ylabel("cross-entropy, nats an answer", color=COLORS[0] if "shift loss" in self.lines_ else INK)
        handles = [line for name, line in self.lines_.items() if name in ("stage 1", "stage 2") and line.axes is ax]
        if len(handles) > 1:
            ax.legend(handles=handles, frameon=False, labelcolor=INK, fontsize=8.5)
