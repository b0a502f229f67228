"""Pictures by scikit-learn's conventions: `from_estimator`, `from_predictions`, `plot`; drawing imports matplotlib."""

from surveysim.evaluation.displays.alignment import GroupAlignmentDisplay
from surveysim.evaluation.displays.curves import RespondentCurveDisplay
from surveysim.evaluation.displays.distributions import DistributionDisplay
from surveysim.evaluation.displays.history import TrainingHistoryDisplay
from surveysim.evaluation.displays.shifts import ShiftDisplay
from surveysim.evaluation.displays.worth import SourceWorthDisplay

__all__ = [
    "DistributionDisplay",
    "GroupAlignmentDisplay",
    "RespondentCurveDisplay",
    "ShiftDisplay",
    "SourceWorthDisplay",
    "TrainingHistoryDisplay",
]
