"""From survey to cells and back to a population: tabulate, poststratify, rake; weights of respondents."""

from surveysim.tables.cells import QUESTION_COLUMN, Cells
from surveysim.tables.joining import join_cells
from surveysim.tables.missing import MISSING_KINDS, Missing
from surveysim.tables.nonresponse import adjust_nonresponse
from surveysim.tables.poststratification import poststratify
from surveysim.tables.raking import rake
from surveysim.tables.replicates import ReplicateWeights
from surveysim.tables.respondent_weights import RespondentWeights
from surveysim.tables.tabulation import tabulate
from surveysim.tables.weighing import weigh_respondents

__all__ = [
    "MISSING_KINDS",
    "QUESTION_COLUMN",
    "Cells",
    "Missing",
    "ReplicateWeights",
    "RespondentWeights",
    "adjust_nonresponse",
    "join_cells",
    "poststratify",
    "rake",
    "tabulate",
    "weigh_respondents",
]
