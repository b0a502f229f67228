"""What a prediction is worth, for which groups it fails, and whether a statistical model would have done."""

from surveysim.evaluation.curves import respondent_curve
from surveysim.evaluation.equivalents import EquivalentRespondents, NoisyTruthError, equivalent_respondents
from surveysim.evaluation.floors import noise_floor
from surveysim.evaluation.protocol import FLOOR, SAMPLE
from surveysim.evaluation.savings import respondents_saved
from surveysim.evaluation.summaries import compare_models, summarise_curve

__all__ = [
    "FLOOR",
    "SAMPLE",
    "EquivalentRespondents",
    "NoisyTruthError",
    "compare_models",
    "equivalent_respondents",
    "noise_floor",
    "respondent_curve",
    "respondents_saved",
    "summarise_curve",
]
