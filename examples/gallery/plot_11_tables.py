"""
A table and a picture to publish
================================

From a survey to percentages by group, with intervals: the sample's own shares beside those of a model, and whether two
groups differ. :doc:`/tables` has the same from a file of yours, and on the command line.
"""

# %%
# The sample's own shares
# -----------------------
# 250 respondents of the American National Election Study of 1996. Without a model the table has what they answered,
# with Wilson's intervals: how far chance in drawing them may have moved each share.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from surveysim import group_estimates
from surveysim.baselines import LogitRegressor
from surveysim.datasets import load_anes96

everybody = load_anes96()
survey = everybody.subset(
    np.random.default_rng(0).choice(len(everybody.data), 250, replace=False)
)
cells = survey.tabulate(["age group", "education"], ["selfLR"])
sample = group_estimates(None, cells, by="age group")
sample

# %%
# Beside a model
# --------------
# Groups learn from groups that share attributes with them, so intervals are narrower. Concatenated tables are drawn
# side by side.

model = LogitRegressor(question=cells.questions).fit(
    cells.X, cells.Y, sample_weight=cells.n
)
table = group_estimates(model, cells, by="age group", name="statistical model")
pd.concat([sample, table]).plot()
plt.show()

# %%
# Is there a difference?
# ----------------------
# The difference is in percentage points, from the same draws.

difference = group_estimates(
    model, cells, difference={"age group": ("65 or older", "under 30")}
)
difference
