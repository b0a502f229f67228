"""Survey files and example data: readers, question-level sets, offline and downloaded data, simulated surveys."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surveysim.datasets.contamination import leave_out_overlapping as leave_out_overlapping
    from surveysim.datasets.dialogues import read_global_dialogues as read_global_dialogues
    from surveysim.datasets.examples import load_anes96 as load_anes96
    from surveysim.datasets.examples import load_fair as load_fair
    from surveysim.datasets.fetch import fetch_nonvoters as fetch_nonvoters
    from surveysim.datasets.mappings import list_readers as list_readers
    from surveysim.datasets.opinionqa import read_opinionqa as read_opinionqa
    from surveysim.datasets.published import read_global_opinion_qa as read_global_opinion_qa
    from surveysim.datasets.published import read_subpop as read_subpop
    from surveysim.datasets.readers import read_cfps as read_cfps
    from surveysim.datasets.readers import read_cgss as read_cgss
    from surveysim.datasets.readers import read_ess as read_ess
    from surveysim.datasets.readers import read_gss as read_gss
    from surveysim.datasets.readers import read_pew_atp as read_pew_atp
    from surveysim.datasets.readers import read_wellcome_monitor as read_wellcome_monitor
    from surveysim.datasets.readers import read_wvs as read_wvs
    from surveysim.datasets.records import read_align_survey as read_align_survey
    from surveysim.datasets.records import read_socsci210 as read_socsci210
    from surveysim.datasets.simbench import read_simbench as read_simbench
    from surveysim.datasets.simulated import make_survey as make_survey
    from surveysim.datasets.simulated_truth import SurveyTruth as SurveyTruth
    from surveysim.datasets.simulated_waves import make_next_wave as make_next_wave
    from surveysim.datasets.survey import QuestionSet as QuestionSet
    from surveysim.datasets.survey import Survey as Survey
    from surveysim.datasets.survey import SurveyWarning as SurveyWarning
    from surveysim.datasets.survey_file import read_survey as read_survey

_ROOMS = {
    "QuestionSet": "survey",
    "Survey": "survey",
    "SurveyTruth": "simulated_truth",
    "SurveyWarning": "survey",
    "fetch_nonvoters": "fetch",
    "leave_out_overlapping": "contamination",
    "list_readers": "mappings",
    "load_anes96": "examples",
    "load_fair": "examples",
    "make_next_wave": "simulated_waves",
    "make_survey": "simulated",
    "read_align_survey": "records",
    "read_cfps": "readers",
    "read_cgss": "readers",
    "read_ess": "readers",
    "read_global_dialogues": "dialogues",
    "read_global_opinion_qa": "published",
    "read_gss": "readers",
    "read_opinionqa": "opinionqa",
    "read_pew_atp": "readers",
    "read_simbench": "simbench",
    "read_socsci210": "records",
    "read_subpop": "published",
    "read_survey": "survey_file",
    "read_wellcome_monitor": "readers",
    "read_wvs": "readers",
}

__all__ = sorted(_ROOMS)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        value = getattr(importlib.import_module(f"surveysim.datasets.{_ROOMS[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'surveysim.datasets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})
