"""From a survey to estimates with intervals: by its design, with a model's help, and planned before it is fielded."""

from surveysim.inference.rectified import rectify
from surveysim.inference.survey_estimates import survey_estimates

__all__ = ["rectify", "survey_estimates"]
