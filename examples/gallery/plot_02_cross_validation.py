"""
Cross-validation with weights, and a grid search
================================================

Distributions are a multi-output regression target, so scikit-learn's tools work as they are, with one trap: weights
have to reach the *scorer* as well as ``fit``. Otherwise the score is mostly the noise of cells with one or two
respondents.
"""

# %%
# The survey as cells
# -------------------

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
import statsmodels.api as sm
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from surveysim import Question, tabulate
from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.metrics import neg_js_divergence_scorer

survey = sm.datasets.fair.load_pandas().data
question = Question(
    "How do you rate your marriage?",
    ["very poor", "poor", "fair", "good", "very good"],
    codes=[1, 2, 3, 4, 5],
)
cells = tabulate(survey, ["age", "religious", "children"], {"rate_marriage": question})
small = cells.n <= 5
print(
    f"{len(cells)} cells; {small.mean():.0%} have 5 respondents or fewer, "
    f"{cells.n[small].sum():.0f} of {len(survey)}"
)

# %%
# Weights for fit and for the score
# ---------------------------------
# With metadata routing switched on, ``params`` hands the respondents of each cell to whatever asked for them:
# ``set_fit_request`` for the estimator, ``set_score_request`` for the scorer. Cells are sorted, so they have to be
# shuffled: unshuffled folds leave out whole age groups, which is another question
# (:ref:`sphx_glr_gallery_plot_03_unseen_backgrounds.py`).

sklearn.set_config(enable_metadata_routing=True)
cv = KFold(5, shuffle=True, random_state=0)
estimators = {
    "margin": MarginalRegressor(question=question),
    "plain logit": LogitRegressor(ordered=False, question=question),
    "order-aware logit": LogitRegressor(question=question),
}
scores = {}
for name, estimator in estimators.items():
    estimator.set_fit_request(sample_weight=True)
    for weighted in (True, False):
        scorer = neg_js_divergence_scorer.set_score_request(sample_weight=weighted)
        scores[name, weighted] = cross_val_score(
            estimator,
            cells.X,
            cells.Y,
            cv=cv,
            params={"sample_weight": cells.n},
            scoring=scorer,
        )
table = (
    pd.DataFrame({key: -1000 * value for key, value in scores.items()}).mean().unstack()
)
table.columns = ["unweighted score", "weighted score"]
table.loc[list(estimators)].round(1)

# %%
# In thousandths of a bit. A cell of one respondent has a share of 1 for one answer and 0 for the rest, and no
# prediction can be near that. Unweighted, such cells drown what tells the models apart: the plot has the folds as
# circles, and only on the right are the models farther apart than the noise of small cells.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, layout="constrained")
for axis, weighted in zip(axes, (False, True), strict=True):
    for height, name in enumerate(estimators):
        values = -1000 * scores[name, weighted]
        axis.plot(values, np.full(5, height), "o", ms=7, mfc="none", color="#8b949e")
        axis.plot(values.mean(), height, "D", ms=8, color="#0b6bcb")
        axis.annotate(
            f"{values.mean():.1f}",
            (values.mean(), height),
            (0, 9),
            textcoords="offset points",
            ha="center",
        )
    axis.set_xlim(0)
    axis.set_ylim(-0.5, 2.6)
    axis.set_title("weights for fit and score" if weighted else "weights for fit only")
axes[0].set_yticks(range(3), list(estimators))
figure.supxlabel(
    "Jensen-Shannon divergence, thousandths of a bit\n(circles: folds, diamonds: their mean)",
    fontsize=10.5,
)
plt.show()

# %%
# Grid search
# -----------
# It works on any parameter. Here: which form of logit? For a language model the grid costs less than it seems, because
# the frozen blocks' output is computed once and shared by all folds and grid points.

grid = GridSearchCV(
    LogitRegressor(question=question).set_fit_request(sample_weight=True),
    {"ordered": [True, False], "prior": ["fixed", "eb"]},
    scoring=neg_js_divergence_scorer.set_score_request(sample_weight=True),
    cv=cv,
)
grid.fit(cells.X, cells.Y, sample_weight=cells.n)
found = pd.DataFrame(grid.cv_results_)[
    ["param_ordered", "param_prior", "mean_test_score", "std_test_score"]
]
found.assign(
    mean_test_score=-1000 * found["mean_test_score"],
    std_test_score=1000 * found["std_test_score"],
).round(2)

# %%
# The differences between the four are small against the spread over folds. A grid search returns a best point even
# then; look at the spread before you believe it.
