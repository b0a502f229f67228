"""What people answered elsewhere, as evidence: earlier waves, other surveys, published toplines."""

from surveysim.sources.evidence import Evidence
from surveysim.sources.same_people import same_respondents
from surveysim.sources.times import WaveOrder, order_waves
from surveysim.sources.wave import Wave

__all__ = ["Evidence", "Wave", "WaveOrder", "order_waves", "same_respondents"]
