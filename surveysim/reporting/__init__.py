"""From fitted cells to publication: tables of groups with intervals, their pictures, and a report."""

from surveysim.reporting.display import EstimatesDisplay
from surveysim.reporting.estimates import GroupEstimates
from surveysim.reporting.groups import group_estimates
from surveysim.reporting.page import report

__all__ = ["EstimatesDisplay", "GroupEstimates", "group_estimates", "report"]
