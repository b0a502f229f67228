"""From fitted cells to what is published: tables of groups with intervals, their pictures, and a report."""

from surveysim.reporting.estimates import GroupEstimates
from surveysim.reporting.groups import group_estimates

__all__ = ["GroupEstimates", "group_estimates"]
