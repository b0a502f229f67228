"""The types that skops has to trust to open fitted estimators of this package."""

from __future__ import annotations

__all__ = ["skops_types"]

_TYPES = (
    "surveysim.baselines.cell.CellRegressor",
    "surveysim.baselines.logit.LogitRegressor",
    "surveysim.baselines.marginal.MarginalRegressor",
    "surveysim.calibration.calibrator.DistributionCalibrator",
    "surveysim.calibration.elicitor.CalibratedElicitor",
    "surveysim.dsa.estimator.DSARegressor",
    "surveysim.elicitation.free_text.SimilarityElicitor",
    "surveysim.elicitation.recorded.RecordedElicitor",
    "surveysim.elicitation.zero_shot.ZeroShotElicitor",
    "surveysim.fusion.estimator.FusedRegressor",
)


def skops_types() -> list[str]:
    """Types to pass as ``skops.io.load(file, trusted=skops_types())``: the estimators of this package.

    What an estimator is made of (questions, designs, coefficients, tables) is written as plain values and arrays, and
    restored without calling anything, so that only the estimators themselves need to be trusted. Predictions are the
    same to the last bit. `DSARegressor.save` and `surveysim.load` are the better way for a fine-tuned model: they
    verify checksums and the version, and take half the space.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from surveysim.trusted import skops_types
    >>> "surveysim.baselines.logit.LogitRegressor" in skops_types()
    True
    """
    return list(_TYPES)
