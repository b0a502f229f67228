"""Groups that have an anchor: which cells are known, the fitted strength, and the moved distributions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from surveysim.calibration.anchor import Anchor, Gaps, KnownCells, fit_gaps, log_shift, move
from surveysim.calibration.examples import CELL_NOISE, Examples
from surveysim.cells import FitCells, PredictCells
from surveysim.distributions import renormalize
from surveysim.validation import arrange_options, as_matrix, check_targets

__all__ = ["AnchoredGroups"]


class AnchoredGroups:
    """What `CalibratedElicitor` knows and learns of an anchor.

    Parameters
    ----------
    anchor : Anchor
    objective : str
        As in `DistributionCalibrator`.
    elicited_by : str or None
    """

    gaps: Gaps

    def __init__(self, anchor: Anchor, objective: str, elicited_by: str | None) -> None:
        self.anchor = anchor
        self.objective = objective
        self.elicited_by = elicited_by
        self.known = KnownCells()

    def add_known(self, cells: PredictCells, P: np.ndarray, Y: ArrayLike) -> None:
        """Take up the cells of ``Anchor(X=, Y=)``.

        Raises
        ------
        TypeError, ValueError
            If Y breaks the data contract or a row is not of the known group.
        """
        everybody = np.ones(len(cells), dtype=bool)
        Y = arrange_options(Y, cells.questions, cells.question_index, "anchor: Y")
        observed = check_targets(as_matrix(Y), cells.n_options, everybody)
        strangers = np.flatnonzero(~self.anchor.partners(cells.backgrounds)[2])
        if len(strangers):
            raise ValueError(
                f"anchor: row {strangers[0]} of X does not belong to the known group {dict(self.anchor.group)}: "
                f"{cells.backgrounds.iloc[strangers[0]].to_dict()} ({len(strangers)} such rows)"
            )
        self.known.add(cells.backgrounds, cells.question_index, P, renormalize(observed))

    def add_labelled(self, cells: FitCells, P: np.ndarray) -> None:
        """Take up the training cells of the known group."""
        rows = np.flatnonzero(self.anchor.partners(cells.backgrounds)[2])
        if len(rows):
            frame, question = cells.backgrounds.iloc[rows], cells.question_index[rows]
            self.known.add(frame, question, P[rows], renormalize(cells.Y[rows]))

    def fit(
        self, cells: FitCells | None, P: np.ndarray, positions: np.ndarray, respondents: np.ndarray | None
    ) -> None:  # fmt: skip
        """Learn the strength of the model's gaps from labelled cells whose anchor is known.

        Raises
        ------
        ValueError
            If not a single cell of the known group is known.
        """
        if not len(self.known):
            raise ValueError(
                f"anchor={dict(self.anchor.group)}: no labelled cell belongs to this group, so there is nothing to "
                "start from. Pass the group's cells to fit, or as surveysim.calibration.Anchor(group, X, Y)."
            )
        names = list(self.anchor.group)
        if cells is None:
            self.gaps = fit_gaps([], [], [], [], names, self.elicited_by)
            return
        partners, changed, _ = self.anchor.partners(cells.backgrounds)
        places = self.known.find(partners, cells.question_index)
        rows = np.flatnonzero(changed.any(axis=1) & (places >= 0))
        rows = rows[~np.isnan(P[rows, 0]) & ~np.isnan(self.known.elicited(places[rows])[:, 0])]
        examples, shifts, bases, differ = [], [], [], []
        for kind, objective in self._kinds():
            own = rows[(~np.isnan(positions[rows])).any(axis=1) == (kind == "ordinal")]
            if not len(own):
                continue
            n = None if respondents is None else respondents[own]
            chosen = Examples(
                P=P[own],
                positions=positions[own],
                Y=cells.Y[own],
                weight=np.ones(len(own)) if n is None else n / (n + CELL_NOISE),
                question=cells.question_index[own],
                features=np.zeros((len(own), 0)),
                objective=objective,
                elicited_by=self.elicited_by,
            )
            shift, base = log_shift(chosen, self.known.elicited(places[own]), self.known.observed(places[own]))
            examples.append(chosen)
            shifts.append(shift)
            bases.append(base)
            differ.append(changed[own])
        self.gaps = fit_gaps(examples, shifts, bases, differ, names, self.elicited_by)

    def _kinds(self) -> list[tuple[str, str]]:
        if self.objective == "auto":
            return [("ordinal", "w1"), ("nominal", "kl")]
        return [("ordinal", self.objective), ("nominal", self.objective)]

    def check_known(self, cells: PredictCells) -> None:
        """Refuse rows whose anchor is not known.

        Raises
        ------
        ValueError
            With the first such row and what to do.
        """
        partners, changed, member = self.anchor.partners(cells.backgrounds)
        places = self.known.find(partners, cells.question_index)
        lost = np.flatnonzero((changed.any(axis=1) | member) & (places < 0))
        if len(lost):
            row = int(lost[0])
            name = cells.question_names[row]
            raise ValueError(
                f"the anchor of row {row} of X is not known: {f'question {name!r}, ' if name else ''}"
                f"{partners.iloc[row].to_dict()} ({len(lost)} such rows). Add these cells to fit, or pass them as "
                "anchor=surveysim.calibration.Anchor(group, X, Y)."
            )

    def replace(self, Q: np.ndarray, cells: PredictCells, P: np.ndarray, positions: np.ndarray) -> None:
        """Put anchored distributions in the place of calibrated ones, known ones for the known group; changes Q."""
        partners, changed, member = self.anchor.partners(cells.backgrounds)
        places = self.known.find(partners, cells.question_index)
        Q[member] = self.known.observed(places[member])
        rows = np.flatnonzero(changed.any(axis=1))
        if not len(rows):
            return
        known_P, known_Y = self.known.elicited(places[rows]), self.known.observed(places[rows])
        answered = ~np.isnan(P[rows, 0]) & ~np.isnan(known_P[:, 0])
        Q[rows[~answered]] = np.nan
        rows, known_P, known_Y = rows[answered], known_P[answered], known_Y[answered]
        if not len(rows):
            return
        chosen = Examples(
            P=P[rows],
            positions=positions[rows],
            Y=None,
            weight=np.ones(len(rows)),
            question=cells.question_index[rows],
            features=np.zeros((len(rows), 0)),
            objective="",
            elicited_by=self.elicited_by,
        )
        Q[rows] = move(chosen, known_P, known_Y, self.gaps.of_rows(changed[rows]))
