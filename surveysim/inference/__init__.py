"""From a survey to estimates with intervals: by its design, with a model's help, and planned in advance."""

from surveysim.inference.plan import RespondentPlan
from surveysim.inference.planning import plan_respondents
from surveysim.inference.rectified import rectify
from surveysim.inference.survey_estimates import survey_estimates

__all__ = ["RespondentPlan", "plan_respondents", "rectify", "survey_estimates"]
