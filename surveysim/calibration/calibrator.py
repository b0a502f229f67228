"""`DistributionCalibrator`: calibration of plain arrays of elicited distributions, wherever they come from."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from surveysim.baselines.features import BackgroundEncoder
from surveysim.calibration.dirichlet import DirichletCalibrator
from surveysim.calibration.examples import CELL_NOISE, Examples, as_elicited, as_positions
from surveysim.calibration.gate import Gate, gate_of
from surveysim.calibration.maps import Calibrator, IdentityCalibrator, PriorCorrection
from surveysim.calibration.objectives import OBJECTIVES, Objective
from surveysim.calibration.priors import prior_of
from surveysim.calibration.regression import IsotonicCalibrator, LinearCalibrator
from surveysim.calibration.tempered import TemperatureCalibrator, TemperedCalibrator
from surveysim.distributions import check_distributions, renormalize
from surveysim.fitted_parameters import FittedParameters
from surveysim.interfaces import RandomState, Table
from surveysim.nested_parameters import NestedParameters
from surveysim.option_columns import align_tables, option_names, unnamed
from surveysim.parameters import as_generator, check_flag, check_random_state
from surveysim.plain_state import PlainState
from surveysim.respondents import check_respondents
from surveysim.validation import check_backgrounds

__all__ = ["CALIBRATORS", "DistributionCalibrator"]

CALIBRATORS: dict[str, type[Calibrator]] = {
    "identity": IdentityCalibrator,
    "temperature": TemperatureCalibrator,
    "tempered": TemperedCalibrator,
    "linear": LinearCalibrator,
    "isotonic": IsotonicCalibrator,
    "dirichlet": DirichletCalibrator,
}
"""Calibrators by name."""

KINDS = ("ordinal", "nominal")


class DistributionCalibrator(FittedParameters, NestedParameters, PlainState, BaseEstimator):
    """Correct elicited distributions, using a few examples of what people really answered.

    Works on arrays alone, so that outputs recorded by any tool can be calibrated. With an estimator that elicits,
    `CalibratedElicitor` does the same, and takes questions, groups and positions from it.

    Parameters
    ----------
    calibrator : str or Calibrator, default="tempered"
        - ``"tempered"``: log q = t log p + b under a prior by elicitation method. Safe from the first example on.
        - ``"temperature"``: t alone, without prior.
        - ``"linear"``: a line per option, clipped and renormalised (our reading of Kambhatla et al. 2026).
        - ``"isotonic"``: one rising step function per question size.
        - ``"dirichlet"``: a full matrix per question size. Like the two before it for tens of questions.
        - ``"identity"``: what was elicited.

        Or one of these as an object, with parameters of its own, such as ``TemperedCalibrator(bias_questions=8)``, or
        an instance of a class that you derive from `Calibrator`.
    objective : {"auto", "kl", "w1", "tv", "js"}, default="auto"
        What is minimised: Kullback-Leibler divergence, Wasserstein-1 distance, total variation, Jensen-Shannon
        divergence. ``"auto"``: "w1" for ordinal and "kl" for nominal questions.
    elicited_by : {"logprob", "verbalized", "sampled", "paraphrased", "sequence"} or None, default=None
        How the distributions were elicited, which is where the prior starts. None: at the identity.
    gate : bool, default=True
        With three questions or more, use the fitted correction only if it predicts held-out questions better than the
        prior's correction by more than chance: with 84% confidence for "tempered" (one standard error, if questions are
        many), with 95% for calibrators that no prior holds. With fewer questions "tempered" is used, whose prior is
        made for that; for the others, the prior's correction alone.
    random_state : int, RandomState, Generator or None, default=None
        Which questions are held out together, where there are more than 10. None: they are dealt out in their order, so
        that fits are repeatable.

    Attributes
    ----------
    calibrators_ : dict of str to Calibrator
        What is applied to "ordinal" and to "nominal" questions, fitted separately.
    gates_ : dict of str to Gate
        What held-out questions said, for each kind that had examples and was judged.
    n_examples_, n_questions_ : dict of str to int
        Cells and questions that each kind was fitted on.
    n_dropped_ : int
        Rows without elicited distribution, or of weight 0.
    n_options_ : int
        Columns of P.

    See Also
    --------
    surveysim.CalibratedElicitor : elicits and calibrates.
    surveysim.elicitation.recorded.RecordedElicitor : recorded distributions as an estimator.

    References
    ----------
    G. Kambhatla et al. (2026), arXiv:2507.00439; ACL 2026, pp. 34277-34305.

    Examples
    --------
    A model that is far too sure of itself, corrected without and with an example:

    >>> import numpy as np
    >>> from surveysim.calibration import DistributionCalibrator
    >>> calibrator = DistributionCalibrator(elicited_by="logprob").fit()
    >>> calibrator.predict([[0.98, 0.015, 0.005]]).round(2)
    array([[0.56, 0.24, 0.2 ]])
    >>> calibrator.fit([[0.95, 0.04, 0.01]], [[0.7, 0.2, 0.1]]).predict(
    ...     [[0.98, 0.015, 0.005]]
    ... ).round(2)
    array([[0.77, 0.14, 0.09]])
    """

    calibrators_: dict[str, Calibrator]
    gates_: dict[str, Gate]
    n_examples_: dict[str, int]
    n_questions_: dict[str, int]
    _encoder: BackgroundEncoder | None
    _option_names: list[Any] | None

    def __init__(
        self,
        calibrator: str | Calibrator = "tempered",
        *,
        objective: Objective = "auto",
        elicited_by: str | None = None,
        gate: bool = True,
        random_state: RandomState = None,
    ) -> None:
        self.calibrator = calibrator
        self.objective = objective
        self.elicited_by = elicited_by
        self.gate = gate
        self.random_state = random_state

    def fit(
        self,
        P: ArrayLike | None = None,
        Y: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        backgrounds: Table | None = None,
        values: ArrayLike | None = None,
    ) -> DistributionCalibrator:
        """Learn the correction.

        Parameters
        ----------
        P : array of shape (n, K), optional
            Elicited distributions, NaN past the last option of a shorter question. Rows of NaN only (cells without a
            usable answer) are left out. Without P and Y: the correction of the elicitation method's prior alone.
        Y : array of shape (n, K)
            What people answered, padded like P. Where P is a DataFrame whose columns have names, Y is one with the same
            columns, in whatever order.
        groups : array of shape (n,), optional
            The question of each row. Cells of one question repeat each other and are held out together. Without it,
            every row counts as a question of its own, which is too optimistic if it is not.
        sample_weight : array of shape (n,), optional
            Respondents behind each row of Y: n of them count n / (n + 300). Default: all rows count fully.
        backgrounds : DataFrame of n rows, optional
            Groups of respondents, as features: calibrators that know what to do with them let log t (the "linear"
            one: the level) depend on them. `predict` then needs them, too.
        values : array of shape (K,) or (n, K), optional
            Positions of the options; default equally spaced. NaN: outside the order; a row of NaN only: nominal.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter or an array is not as described; the message names the row.
        """
        self._check_parameters()
        if (P is None) != (Y is None):
            absent = "Y" if Y is None else "P"
            raise ValueError(f"fit needs both P and Y, or neither (the prior's correction alone): {absent} is None")
        generator = None if self.random_state is None else as_generator(self.random_state)
        before = dict(self.__dict__)
        try:
            self.calibrators_, self.gates_, self.n_examples_, self.n_questions_ = {}, {}, {}, {}
            self.n_dropped_ = 0
            self._encoder, self._option_names = None, None
            examples = (
                None if P is None or Y is None else self._examples(P, Y, groups, sample_weight, backgrounds, values)
            )
            for kind in KINDS:
                self._fit_kind(kind, examples, generator)
            self._remember_parameters()
        except BaseException:
            self.__dict__ = before
            raise
        return self

    def _default_part(self, name: str, value: object) -> Calibrator | None:
        return calibrator_named(value) if name == "calibrator" else None

    def _check_parameters(self) -> None:
        self._new_calibrator()
        if self.objective not in ("auto", *OBJECTIVES):
            raise ValueError(f"objective must be 'auto' or one of {list(OBJECTIVES)}, got {self.objective!r}")
        prior_of(self.elicited_by)
        check_flag("gate", self.gate)
        check_random_state(self.random_state)

    def _new_calibrator(self) -> Calibrator:
        if isinstance(self.calibrator, Calibrator):
            return clone(self.calibrator)
        if not isinstance(self.calibrator, str):
            raise TypeError(
                f"calibrator must be one of {list(CALIBRATORS)} or a Calibrator object, got {self.calibrator!r}"
            )
        if self.calibrator not in CALIBRATORS:
            raise ValueError(f"calibrator must be one of {list(CALIBRATORS)}, got {self.calibrator!r}")
        return CALIBRATORS[self.calibrator]()

    def _examples(
        self,
        P: ArrayLike,
        Y: ArrayLike,
        groups: ArrayLike | None,
        sample_weight: ArrayLike | None,
        backgrounds: Table | None,
        values: ArrayLike | None,
    ) -> Examples:
        """Validated examples of both kinds; positions and groups as the user's."""
        self._option_names = option_names(P)
        P, Y = align_tables(P, Y, ("P", "Y"))
        P, answered = as_elicited(P)
        n_rows, self.n_options_ = P.shape
        n = None if sample_weight is None else check_respondents(sample_weight, n_rows)
        kept = answered if n is None else answered & (n > 0)
        if not kept.any():
            raise ValueError(
                "P has no usable row: every row is NaN or has sample_weight 0. Without examples call fit() for the "
                "prior's correction alone."
            )
        Y = self._check_truth(Y, P, kept)
        question = np.arange(n_rows) if groups is None else _as_groups(groups, n_rows)
        positions = as_positions(values, ~np.isnan(P))
        features = np.zeros((n_rows, 0))
        if backgrounds is not None:
            features = self._learn_features(backgrounds, kept)
        self.n_dropped_ = int((~kept).sum())
        return Examples(
            P=P,
            positions=positions,
            Y=Y,
            weight=np.ones(n_rows) if n is None else n / (n + CELL_NOISE),
            question=question,
            features=features,
            objective="",
            elicited_by=self.elicited_by,
        ).rows(kept)

    def _check_truth(self, Y: ArrayLike, P: np.ndarray, kept: np.ndarray) -> np.ndarray:
        try:
            Y = np.array(Y, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"Y must be an array of numbers with rows of equal length: {error}") from None
        if Y.shape != P.shape:
            raise ValueError(f"Y must have the shape of P, {P.shape}, got {Y.shape}")
        n_options = np.where(kept, (~np.isnan(P)).sum(axis=1), 2)
        Y[~kept] = np.where(np.arange(P.shape[1]) < 2, 0.5, np.nan)  # not looked at
        return renormalize(check_distributions(Y, n_options=n_options.tolist()))

    def _learn_features(self, backgrounds: Table, kept: np.ndarray) -> np.ndarray:
        calibrator = self._new_calibrator()
        if not calibrator.uses_backgrounds:
            able = [name for name, known in CALIBRATORS.items() if known.uses_backgrounds]
            raise ValueError(
                f"calibrator {self.calibrator!r} does not use backgrounds; those that do are {able}. Leave "
                "backgrounds out (use_backgrounds=False)."
            )
        frame = check_backgrounds(backgrounds)
        if len(frame) != len(kept):
            raise ValueError(f"backgrounds has {len(frame)} rows, but P has {len(kept)}")
        self._encoder = BackgroundEncoder(linear=False, pairs=False).fit(frame[kept])
        return self._encoder.transform(frame).matrix

    def _fit_kind(self, kind: str, examples: Examples | None, generator: np.random.Generator | None) -> None:
        calibrator = self._new_calibrator()
        rows = np.zeros(0, dtype=int)
        if examples is not None:
            rows = np.flatnonzero(examples.ordered.any(axis=1) == (kind == "ordinal"))
        self.n_examples_[kind] = len(rows)
        self.n_questions_[kind] = 0
        if not len(rows) or examples is None:
            identity = isinstance(calibrator, IdentityCalibrator)
            self.calibrators_[kind] = IdentityCalibrator() if identity else PriorCorrection()
            return
        chosen = self._of_kind(examples.rows(rows), kind)
        self.n_questions_[kind] = chosen.n_questions
        if self.gate and not isinstance(calibrator, IdentityCalibrator):
            self.gates_[kind] = gate_of(calibrator, chosen, generator)
            if not self.gates_[kind].open:
                self.calibrators_[kind] = PriorCorrection()
                return
        self.calibrators_[kind] = calibrator.fit(chosen)

    def _of_kind(self, examples: Examples, kind: str) -> Examples:
        objective: str = self.objective
        if objective == "auto":
            objective = "w1" if kind == "ordinal" else "kl"
        elif objective == "w1" and kind == "nominal":
            raise ValueError(
                'objective="w1" needs options on a scale, but there are nominal questions: use "auto" (w1 for ordinal, '
                'kl for nominal questions), "kl", "tv" or "js"'
            )
        return replace(examples, objective=objective)

    def predict(self, P: ArrayLike, *, backgrounds: Table | None = None, values: ArrayLike | None = None) -> np.ndarray:
        """Apply the correction.

        Parameters
        ----------
        P : array of shape (n, K)
            Elicited distributions, of any questions. A DataFrame with the columns of `fit` has them in that order.
        backgrounds : DataFrame of n rows, optional
            If and only if `fit` was given them.
        values : array of shape (K,) or (n, K), optional
            Positions of the options, as in `fit`.

        Returns
        -------
        float64 array of shape (n, K)
            Rows sum to 1. NaN past the last option, and in rows of P that are NaN.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        TypeError, ValueError
            As in `fit`.
        """
        check_is_fitted(self, "calibrators_")
        array, answered = as_elicited(unnamed(P, self._option_names, "P"))
        positions = as_positions(values, ~np.isnan(array))
        features = self._features(backgrounds, len(array))
        examples = Examples(
            P=array,
            positions=positions,
            Y=None,
            weight=np.ones(len(array)),
            question=np.arange(len(array)),
            features=features,
            objective="",
            elicited_by=self.elicited_by,
        )
        Q = np.full(array.shape, np.nan)
        ordinal = examples.ordered.any(axis=1)
        for kind in KINDS:
            rows = np.flatnonzero(answered & (ordinal == (kind == "ordinal")))
            if len(rows):
                Q[rows] = self.calibrators_[kind].predict(self._of_kind(examples.rows(rows), kind))
        return Q

    def _features(self, backgrounds: Table | None, n_rows: int) -> np.ndarray:
        if (backgrounds is None) != (self._encoder is None):
            raise ValueError(
                f"backgrounds were {'not ' if self._encoder is None else ''}passed to fit: predict must be given "
                f"{'none' if self._encoder is None else 'them, too'}"
            )
        if self._encoder is None or backgrounds is None:
            return np.zeros((n_rows, 0))
        frame = check_backgrounds(backgrounds)
        if len(frame) != n_rows:
            raise ValueError(f"backgrounds has {len(frame)} rows, but P has {n_rows}")
        return self._encoder.transform(frame).matrix


def calibrator_named(name: object) -> Calibrator | None:
    """A new calibrator of that name; None if there is none."""
    return CALIBRATORS[name]() if isinstance(name, str) and name in CALIBRATORS else None


def _as_groups(groups: ArrayLike, n_rows: int) -> np.ndarray:
    """Groups as numbers."""
    array = np.asarray(groups, dtype=object)
    if array.shape != (n_rows,):
        raise ValueError(f"groups must name the question of each row, shape ({n_rows},), got {array.shape}")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in array], dtype=int)
