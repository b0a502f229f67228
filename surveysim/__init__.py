"""scikit-learn estimators of how groups of people answer survey questions."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from surveysim.questions import Question
from surveysim.version import __version__

if TYPE_CHECKING:
    from surveysim.bank import QuestionBank as QuestionBank
    from surveysim.bank.similar import SimilarQuestionsRegressor as SimilarQuestionsRegressor
    from surveysim.bank_training import train_bank as train_bank
    from surveysim.calibration.elicitor import CalibratedElicitor as CalibratedElicitor
    from surveysim.dsa.estimator import DSARegressor as DSARegressor
    from surveysim.elicitation.free_text import SimilarityElicitor as SimilarityElicitor
    from surveysim.elicitation.recorded import RecordedElicitor as RecordedElicitor
    from surveysim.elicitation.zero_shot import ZeroShotElicitor as ZeroShotElicitor
    from surveysim.fusion.estimator import FusedRegressor as FusedRegressor
    from surveysim.inference import plan_respondents as plan_respondents
    from surveysim.inference import rectify as rectify
    from surveysim.inference import survey_estimates as survey_estimates
    from surveysim.loading import load as load
    from surveysim.reporting.groups import group_estimates as group_estimates
    from surveysim.reporting.page import report as report
    from surveysim.tables import join_cells as join_cells
    from surveysim.tables import poststratify as poststratify
    from surveysim.tables import rake as rake
    from surveysim.tables import tabulate as tabulate

# Imported on first use: torch and transformers take seconds to import, and tables and metrics do not need them.
_LAZY = {
    "CalibratedElicitor": "surveysim.calibration.elicitor",
    "DSARegressor": "surveysim.dsa.estimator",
    "FusedRegressor": "surveysim.fusion.estimator",
    "QuestionBank": "surveysim.bank",
    "RecordedElicitor": "surveysim.elicitation.recorded",
    "SimilarQuestionsRegressor": "surveysim.bank.similar",
    "SimilarityElicitor": "surveysim.elicitation.free_text",
    "ZeroShotElicitor": "surveysim.elicitation.zero_shot",
    "group_estimates": "surveysim.reporting.groups",
    "join_cells": "surveysim.tables",
    "load": "surveysim.loading",
    "plan_respondents": "surveysim.inference",
    "poststratify": "surveysim.tables",
    "rake": "surveysim.tables",
    "rectify": "surveysim.inference",
    "survey_estimates": "surveysim.inference",
    "report": "surveysim.reporting.page",
    "tabulate": "surveysim.tables",
    "train_bank": "surveysim.bank_training",
}

__all__ = [
    "CalibratedElicitor",
    "DSARegressor",
    "FusedRegressor",
    "Question",
    "QuestionBank",
    "RecordedElicitor",
    "SimilarQuestionsRegressor",
    "SimilarityElicitor",
    "ZeroShotElicitor",
    "__version__",
    "group_estimates",
    "join_cells",
    "load",
    "plan_respondents",
    "poststratify",
    "rake",
    "rectify",
    "report",
    "survey_estimates",
    "tabulate",
    "train_bank",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'surveysim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
