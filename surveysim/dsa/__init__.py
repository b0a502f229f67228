"""Distribution shift alignment: the estimator, its training in two stages, the search, and what a fit keeps."""

from surveysim.dsa.estimator import DSARegressor

__all__ = ["DSARegressor"]
