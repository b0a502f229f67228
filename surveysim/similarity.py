"""Moved to `surveysim.elicitation`; this path keeps working."""

from surveysim.elicitation.free_text import INSTRUCTION, SimilarityElicitor

__all__ = ["INSTRUCTION", "SimilarityElicitor"]
