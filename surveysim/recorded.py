"""Moved to `surveysim.elicitation`; this path goes on working."""

from surveysim.elicitation.recorded import RecordedElicitor

__all__ = ["RecordedElicitor"]
