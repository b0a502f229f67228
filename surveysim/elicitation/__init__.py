"""Eliciting distributions from language models: what is asked, how answers are read, and how they are averaged."""

from surveysim.elicitation.journal import Journal
from surveysim.elicitation.journaling import journaled
from surveysim.elicitation.methods import METHODS
from surveysim.elicitation.parsing import (
    is_refusal,
    is_refusal_option,
    parse_label,
    parse_labels,
    parse_percentages,
)
from surveysim.elicitation.result import Elicitation
from surveysim.elicitation.similarity import SimilarityRater

__all__ = [
    "METHODS",
    "Elicitation",
    "Journal",
    "SimilarityRater",
    "is_refusal",
    "is_refusal_option",
    "journaled",
    "parse_label",
    "parse_labels",
    "parse_percentages",
]
