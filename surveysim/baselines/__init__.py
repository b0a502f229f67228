"""What a model must beat: the marginal, the cells themselves, and the order-aware logit."""

from surveysim.baselines.cell import CellRegressor
from surveysim.baselines.logit import LogitRegressor
from surveysim.baselines.marginal import MarginalRegressor

__all__ = ["CellRegressor", "LogitRegressor", "MarginalRegressor"]
