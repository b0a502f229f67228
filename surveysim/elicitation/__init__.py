"""Elicit distributions from language models: what is asked, how answers are read, and how they are averaged."""

from surveysim.asking.journal import Journal
from surveysim.asking.journaled import journaled
from surveysim.elicitation.batches import ElicitationBatch
from surveysim.elicitation.methods import METHODS
from surveysim.elicitation.parsing import (
    is_refusal,
    is_refusal_option,
    parse_label,
    parse_labels,
    parse_percentages,
)
from surveysim.elicitation.rater import SimilarityRater
from surveysim.elicitation.result import Elicitation, ElicitationError

__all__ = [
    "METHODS",
    "Elicitation",
    "ElicitationBatch",
    "ElicitationError",
    "Journal",
    "SimilarityRater",
    "is_refusal",
    "is_refusal_option",
    "journaled",
    "parse_label",
    "parse_labels",
    "parse_percentages",
]
