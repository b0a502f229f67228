"""What people answered elsewhere, as evidence: earlier waves, other surveys, published toplines."""

from surveysim.sources.evidence import Evidence, same_respondents
from surveysim.sources.wave import Wave

__all__ = ["Evidence", "Wave", "same_respondents"]
