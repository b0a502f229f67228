"""`CalibratedElicitor`: elicits distributions from a model once and corrects them on labelled cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn import get_config
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from surveysim.base import DistributionRegressor
from surveysim.calibration.anchor import Anchor, Gaps, Level, as_anchor
from surveysim.calibration.anchored import AnchoredGroups
from surveysim.calibration.calibrator import DistributionCalibrator, calibrator_named
from surveysim.calibration.examples import as_elicited
from surveysim.calibration.maps import Calibrator
from surveysim.calibration.objectives import Objective
from surveysim.calibration.priors import ELICITED_BY
from surveysim.calibration.refusals import LeftOut
from surveysim.calibration.wrapped import asks_for_weights, innermost, method_of
from surveysim.cells import FitCells, PredictCells
from surveysim.distributions import renormalize
from surveysim.elicitation.averaging import refusal_mask
from surveysim.fitted_parameters import fitted_parameter
from surveysim.interfaces import Estimator, RandomState, Table
from surveysim.parameters import check_flag, check_random_state
from surveysim.validation import arrange_options, as_matrix

__all__ = ["CalibratedElicitor"]


class CalibratedElicitor(MetaEstimatorMixin, DistributionRegressor):
    """Correct what a language model says about groups, using the few cells whose answers are known.

    `fit` asks the model about the labelled cells once and fits a calibrator from its distributions to people's;
    `predict` asks about any cells, even of questions without a labelled cell, and applies it. The model itself
    is never trained. One to ten labelled questions are enough to repair log-probabilities. With none at all,
    ``fit(X)``, the correction rests on what is known about the method of elicitation.

    Parameters
    ----------
    estimator : estimator, optional
        The estimator that elicits: `ZeroShotElicitor`, `RecordedElicitor`, or anything that predicts distributions. Its
        `question` and `question_column` are used. None: ``ZeroShotElicitor()``. Its own ``fit`` is called once, on the
        labelled cells, which for an elicitor only validates; ``FrozenEstimator(elicitor)`` is not fitted at all.
    calibrator : str or Calibrator, default="tempered"
        ``"tempered"``, ``"temperature"``, ``"linear"``, ``"isotonic"``, ``"dirichlet"``, ``"identity"``, or an object
        of `surveysim.calibration`; see `surveysim.calibration.DistributionCalibrator` for what to choose when.
    objective : {"auto", "kl", "w1", "tv", "js"}, default="auto"
        What is minimised. ``"auto"``: the Wasserstein-1 distance for ordinal and the Kullback-Leibler divergence for
        nominal questions.
    gate : bool, default=True
        With three labelled questions or more, use the fitted correction only if it predicts held-out questions better
        than the elicitation method's prior correction by more than chance; as in `DistributionCalibrator`.
    anchor : mapping or Anchor, optional
        A group whose distributions are known, such as ``{"sex": "Male"}``. Other groups are then predicted from its
        distribution and the *difference* that the model sees between the groups, q proportional to
        y_anchor (p / p_anchor)^beta; the strength beta of each attribute is fitted, from a prior by elicitation method
        (models exaggerate gaps between groups). The known cells are the group's labelled cells and those of
        ``Anchor(group, X, Y)``. Cells that state none of the anchor's attributes are calibrated as without an anchor.
    use_backgrounds : bool, default=False
        Let the correction depend on the background. On Pew questions it gained nothing (0.0 points of opinion
        alignment with 5 to 40 questions).
    random_state : int, RandomState, Generator or None, default=None
        Which questions the gate holds out together, where there are more than 10; None: always the same.

    Attributes
    ----------
    estimator_ : estimator
        The one that elicits.
    calibrator_ : DistributionCalibrator
        The fitted correction; its `gates_` say how it did on held-out questions.
    elicited_ : float64 array of shape (n_cells, K)
        What was elicited for the labelled cells (those with respondents); rows of NaN without a usable answer.
    elicited_by_ : str or None
        The method of elicitation that the prior was taken from.
    gaps_ : Gaps or None
        With an anchor: the strengths beta.
    n_unanswered_ : int
        Labelled cells without a usable answer, left out of the calibration.
    questions_, n_options_, backgrounds_, n_dropped_, n_features_in_, feature_names_in_
        As in every estimator of the library.

    See Also
    --------
    ZeroShotElicitor : What is corrected.
    FusedRegressor : Joins a model's knowledge with a survey of the same questions.
    surveysim.calibration.DistributionCalibrator : The same on plain arrays.

    Notes
    -----
    The unit of learning is the question: cells of one question share their error. Cross-validate with
    ``GroupKFold`` and the question as group to measure questions without labelled cells, and with the background as
    group for groups without.

    Rows of `predict` for which the elicitor gives NaN (``on_failure="nan"``) stay NaN. Options that stand for refusing
    ("Refused") and to which the elicitor gives exactly 0, because it keeps refusals apart, stay 0; the other options
    are calibrated on the shares of the respondents who answered. With ``refusals="keep"`` they are options like the
    others.

    References
    ----------
    .. [1] G. Kambhatla et al. (2026), arXiv:2507.00439; ACL 2026, pp. 34277-34305.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import CalibratedElicitor, Question
    >>> from surveysim.elicitation.recorded import RecordedElicitor
    >>> question = {
    ...     "a": Question("Content?", ["no", "partly", "yes"]),
    ...     "b": Question("Safe?", ["no", "partly", "yes"]),
    ... }
    >>> cells = pd.DataFrame(
    ...     {"question": ["a", "a", "b", "b"], "age": ["young", "old", "young", "old"]}
    ... )
    >>> answers = [[0.01, 0.09, 0.9], [0.8, 0.15, 0.05], [0.98, 0.01, 0.01], [0.05, 0.05, 0.9]]
    >>> elicitor = RecordedElicitor(cells, answers, question=question, elicited_by="logprob")
    >>> model = CalibratedElicitor(elicitor).fit(
    ...     cells[:2], [[0.2, 0.3, 0.5], [0.4, 0.35, 0.25]]
    ... )
    >>> model.predict(cells[2:]).round(2)
    array([[0.56, 0.22, 0.22],
           [0.26, 0.26, 0.47]])
    """

    estimator_: Any
    calibrator_: DistributionCalibrator
    elicited_: np.ndarray
    elicited_by_: str | None
    gaps_: Gaps | None
    n_unanswered_: int
    _anchored: AnchoredGroups | None

    def __init__(
        self,
        estimator: Estimator | None = None,
        *,
        calibrator: str | Calibrator = "tempered",
        objective: Objective = "auto",
        gate: bool = True,
        anchor: Anchor | Mapping[str, Level] | None = None,
        use_backgrounds: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.calibrator = calibrator
        self.objective = objective
        self.gate = gate
        self.anchor = anchor
        self.use_backgrounds = use_backgrounds
        self.random_state = random_state

    @property
    def question(self) -> Any:  # type: ignore[override]
        """The estimator's `question`."""
        return getattr(innermost(self.estimator), "question", None)

    @property
    def question_column(self) -> str:  # type: ignore[override]
        """The estimator's `question_column`."""
        return getattr(innermost(self.estimator), "question_column", "question")

    def fit(
        self, X: Table, Y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, **fit_params: Any
    ) -> CalibratedElicitor:
        """Elicit the labelled cells and fit the calibrator.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_columns)
            Backgrounds, with the question column if the estimator's `question` is a mapping.
        Y : array of shape (n, K), optional
            Observed distributions, NaN past the last option of a shorter question. None: no labelled cells; nothing is
            elicited, and `predict` applies the prior's correction. The estimator must then have a `question`.
        sample_weight : array of shape (n,), optional
            Respondents per row: n of them count n / (n + 300), since beyond that a cell's sampling noise is small
            beside what no calibrator fits. Default: all rows count fully.
        **fit_params : dict
            For the estimator's ``fit``, by metadata routing where it is enabled. Weights reach it only if it asks for
            them (``set_fit_request(sample_weight=True)``).

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter, a row or a column is not as described, no labelled cell has a usable answer, or the
            anchor's cells are missing.
        """
        with self._atomic_fit():
            self._check_parameters()
            labelled = Y is not None or self.question is None
            targets = Y if labelled else self._equal_shares(X)
            if Y is not None:
                targets = self._by_option(X, Y)
            cells = self._validate_fit(X, targets, sample_weight)
            self.estimator_ = self._fit_estimator(X, targets, sample_weight, fit_params, labelled=labelled)
            self.n_unanswered_ = 0
            self.elicited_by_ = method_of(self.estimator_)
            self.elicited_ = np.zeros((0, self.n_options_))
            if labelled:
                self.elicited_ = self._elicit(_rows_of(X, cells.rows), cells, learn_method=True)
                self.n_unanswered_ = int(np.isnan(self.elicited_).all(axis=1).sum())
            self.calibrator_ = self._fit_calibrator(cells, sample_weight, labelled)
            self._anchored, self.gaps_ = None, None
            if self.anchor is not None:
                self._fit_anchor(cells, sample_weight, labelled)
            # questions, and what is read of the estimator in predictions, are those of the fitted one
            self._parameters_at_fit["estimator"] = self.estimator_
        return self

    def predict(self, X: Table) -> np.ndarray:
        """Elicit distributions and correct them.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_features_in_)
            Backgrounds, with the question column if the estimator was fitted with one; any question of the mapping.

        Returns
        -------
        float64 array of shape (n, K)
            Rows sum to 1 over their question's options; NaN past the last option of a shorter question, and in rows
            for which the elicitor gave NaN.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If columns are missing, a row names an unknown question, or an anchor is not known.
        """
        cells = self._validate_predict(X)
        if self._anchored is not None:
            self._anchored.check_known(cells)
        P = self._elicit(X, cells)
        positions = _positions(cells, self.n_options_)
        backgrounds = cells.backgrounds if self.use_backgrounds else None
        left_out = self._left_out(cells, P, positions)
        Q = left_out.put_back(
            self.calibrator_.predict(
                left_out.take_away(P), backgrounds=backgrounds, values=left_out.take_away(positions)
            )
        )
        if self._anchored is not None:
            self._anchored.replace(Q, cells, P, positions)
        return Q

    def _default_part(self, name: str, value: object) -> Estimator | None:
        if name == "calibrator":
            return calibrator_named(value)
        if name == "estimator" and value is None:
            from surveysim.elicitation.zero_shot import ZeroShotElicitor

            return ZeroShotElicitor()
        return None

    def _check_parameters(self) -> None:
        check_flag("use_backgrounds", self.use_backgrounds)
        if self.estimator is not None and not (hasattr(self.estimator, "fit") and hasattr(self.estimator, "predict")):
            raise TypeError(f"estimator must have fit and predict, got {self.estimator!r}")
        check_random_state(self.random_state)
        self._new_calibrator(None)._check_parameters()

    def _new_calibrator(self, elicited_by: str | None) -> DistributionCalibrator:
        return DistributionCalibrator(
            self.calibrator,
            objective=self.objective,
            elicited_by=elicited_by,
            gate=self.gate,
            random_state=self.random_state,
        )

    def _fit_estimator(
        self,
        X: Table,
        Y: ArrayLike | None,
        sample_weight: ArrayLike | None,
        fit_params: Mapping[str, object],
        *,
        labelled: bool,
    ) -> Any:
        estimator: Any = self._default_part("estimator", None) if self.estimator is None else clone(self.estimator)
        if not labelled and not get_tags(estimator).target_tags.required:
            Y = None  # nobody answered anything: stand-ins are for estimators that cannot do without Y
        if get_config()["enable_metadata_routing"]:
            if sample_weight is not None and asks_for_weights(estimator):
                fit_params = {**fit_params, "sample_weight": sample_weight}
            fit_params = process_routing(self, "fit", **fit_params).estimator.fit
        return estimator.fit(X, Y, **fit_params)

    def _elicit(self, X: Table, cells: PredictCells, *, learn_method: bool = False) -> np.ndarray:
        """Ask the estimator: (n, K) distributions, rows of NaN where it has none."""
        if hasattr(self.estimator_, "elicit"):
            elicitation = self.estimator_.elicit(X)
            P = elicitation.P
            # a server may have refused log-probabilities, so that percentages were asked for instead
            if learn_method and getattr(elicitation, "method", None) in ELICITED_BY:
                self.elicited_by_ = elicitation.method
        else:
            P = self.estimator_.predict(X)
        P = as_matrix(arrange_options(P, cells.questions, cells.question_index, "the estimator's predictions"))
        if P.shape != (len(cells), self.n_options_):
            raise ValueError(
                f"the estimator's predictions have shape {P.shape}, expected {(len(cells), self.n_options_)}: a "
                "distribution over the options for each row of X"
            )
        return as_elicited(P, name="the estimator's predictions")[0]

    def _fit_calibrator(
        self, cells: FitCells, sample_weight: ArrayLike | None, labelled: bool
    ) -> DistributionCalibrator:  # fmt: skip
        calibrator = self._new_calibrator(self.elicited_by_)
        if not labelled:
            if self.use_backgrounds:
                raise ValueError("use_backgrounds=True needs labelled cells, but Y is None")
            return calibrator.fit()
        positions = _positions(cells, self.n_options_)
        left_out = self._left_out(cells, self.elicited_, positions)
        P, Y = left_out.take_away(self.elicited_), left_out.take_away(cells.Y)
        P[np.nansum(Y, axis=1) == 0] = np.nan  # all respondents refused: nothing to learn from
        fewer = left_out.mask.any(axis=1) & ~np.isnan(P).all(axis=1)
        Y[fewer] = renormalize(Y[fewer])
        return calibrator.fit(
            P,
            Y,
            groups=cells.question_index,
            sample_weight=None if sample_weight is None else cells.n,
            backgrounds=cells.backgrounds if self.use_backgrounds else None,
            values=left_out.take_away(positions),
        )

    def _left_out(self, cells: PredictCells, P: np.ndarray, positions: np.ndarray) -> LeftOut:
        """Refusal options that the estimator keeps apart."""
        refusing = np.zeros(P.shape, dtype=bool)
        if fitted_parameter(innermost(self.estimator_), "refusals") != "keep":
            for _, _, question, rows in cells.by_question():
                refusing[rows, : question.n_options] = refusal_mask(question)
        return LeftOut(P, positions, refusing)

    def _fit_anchor(self, cells: FitCells, sample_weight: ArrayLike | None, labelled: bool) -> None:
        assert self.anchor is not None
        anchor = as_anchor(self.anchor)
        anchor.check(self.backgrounds_)
        groups = AnchoredGroups(anchor, self.objective, self.elicited_by_)
        if anchor.X is not None and anchor.Y is not None:
            known = self._validate_predict(anchor.X)
            groups.add_known(known, self._elicit(anchor.X, known), anchor.Y)
        respondents = None if sample_weight is None else cells.n
        if labelled:
            groups.add_labelled(cells, self.elicited_)
        groups.fit(cells if labelled else None, self.elicited_, _positions(cells, self.n_options_), respondents)
        self._anchored, self.gaps_ = groups, groups.gaps

    def get_metadata_routing(self) -> MetadataRouter:
        """What `fit` takes, and what it passes on to the estimator's ``fit``.

        Returns
        -------
        MetadataRouter
        """
        estimator: Any = self._default_part("estimator", None) if self.estimator is None else self.estimator
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return MetadataRouter(owner=self).add_self_request(self).add(estimator=estimator, method_mapping=mapping)


def _positions(cells: PredictCells, n_columns: int) -> np.ndarray:
    """Positions of the options of each row's question (n, K)."""
    scales = np.full((len(cells.questions), n_columns), np.nan)
    for number, question in enumerate(cells.questions.values()):
        scales[number, : question.n_options] = question.positions
    return scales[cells.question_index]


def _rows_of(X: Table, rows: np.ndarray) -> Table:
    """These rows of what the user passed; the whole of it as it came if none is left out."""
    if isinstance(X, pd.DataFrame) or hasattr(X, "to_pandas"):
        frame = X if isinstance(X, pd.DataFrame) else X.to_pandas()  # type: ignore[operator]
        return X if len(rows) == len(frame) else frame.iloc[rows]
    return np.asarray(X)[rows]
