"""From survey to cells and back to a population: tabulate, poststratify, rake."""

from surveysim.tables.cells import QUESTION_COLUMN, Cells
from surveysim.tables.missing import MISSING_KINDS, Missing
from surveysim.tables.poststratification import poststratify
from surveysim.tables.raking import rake
from surveysim.tables.replicates import ReplicateWeights
from surveysim.tables.tabulation import tabulate

__all__ = [
    "MISSING_KINDS",
    "QUESTION_COLUMN",
    "Cells",
    "Missing",
    "ReplicateWeights",
    "poststratify",
    "rake",
    "tabulate",
]
