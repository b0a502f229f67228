"""What a prediction is worth, for which groups it fails, and whether a statistical model would have done as well."""

from surveysim.evaluation.consistency import PromptConsistency, prompt_consistency
from surveysim.evaluation.curves.protocol import FLOOR, SAMPLE
from surveysim.evaluation.curves.run import respondent_curve
from surveysim.evaluation.curves.savings import respondents_saved
from surveysim.evaluation.curves.summaries import compare_models, summarise_curve
from surveysim.evaluation.displays import (
    DistributionDisplay,
    GroupAlignmentDisplay,
    RespondentCurveDisplay,
    ShiftDisplay,
    SourceWorthDisplay,
    TrainingHistoryDisplay,
)
from surveysim.evaluation.equivalents import EquivalentRespondents, NoisyTruthError, equivalent_respondents
from surveysim.evaluation.floors import noise_floor
from surveysim.evaluation.reports import group_report
from surveysim.evaluation.simbench import SimBenchScore, simbench_score
from surveysim.evaluation.splitters import LeaveBothOut, LeaveCombinationsOut, LeaveLevelsOut, LeaveQuestionsOut

__all__ = [
    "FLOOR",
    "SAMPLE",
    "DistributionDisplay",
    "EquivalentRespondents",
    "GroupAlignmentDisplay",
    "LeaveBothOut",
    "LeaveCombinationsOut",
    "LeaveLevelsOut",
    "LeaveQuestionsOut",
    "NoisyTruthError",
    "PromptConsistency",
    "RespondentCurveDisplay",
    "ShiftDisplay",
    "SimBenchScore",
    "SourceWorthDisplay",
    "TrainingHistoryDisplay",
    "compare_models",
    "equivalent_respondents",
    "group_report",
    "noise_floor",
    "prompt_consistency",
    "respondent_curve",
    "respondents_saved",
    "simbench_score",
    "summarise_curve",
]
