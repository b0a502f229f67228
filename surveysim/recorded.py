"""Moved to `surveysim.elicitation`; this path keeps working."""

from surveysim.elicitation.recorded import RecordedElicitor

__all__ = ["RecordedElicitor"]
