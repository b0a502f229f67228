"""Calibration of elicited distributions: the calibrators, the gate, and anchoring on a known group."""

from surveysim.calibration.anchor import Anchor, Gaps
from surveysim.calibration.calibrator import CALIBRATORS, DistributionCalibrator
from surveysim.calibration.dirichlet import DirichletCalibrator
from surveysim.calibration.examples import Examples
from surveysim.calibration.gate import Gate
from surveysim.calibration.maps import Calibrator, IdentityCalibrator, PriorCorrection
from surveysim.calibration.regression import IsotonicCalibrator, LinearCalibrator
from surveysim.calibration.tempered import TemperatureCalibrator, TemperedCalibrator

__all__ = [
    "CALIBRATORS",
    "Anchor",
    "Calibrator",
    "DirichletCalibrator",
    "DistributionCalibrator",
    "Examples",
    "Gaps",
    "Gate",
    "IdentityCalibrator",
    "IsotonicCalibrator",
    "LinearCalibrator",
    "PriorCorrection",
    "TemperatureCalibrator",
    "TemperedCalibrator",
]
