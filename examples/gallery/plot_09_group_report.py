"""
For which groups does it fail? Group report and gap inflation
=============================================================

A mean over all groups hides those for whom a prediction is wrong. The group report lists them, the worst first, and
says of each attribute how much of the predicted gap between groups is real. Language models tend to exaggerate such
gaps.
"""

# %%
# A prediction with a known fault
# -------------------------------
# The survey is real (``fair``: 1,500 respondents to learn from, the rest as the truth). The predictions are made worse
# on purpose, as zero-shot answers of language models often are: the gaps of the logit between groups are multiplied by
# 2.5. So this page knows what the report has to find.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import softmax

from surveysim import tabulate
from surveysim.baselines import LogitRegressor
from surveysim.datasets import load_fair
from surveysim.evaluation import GroupAlignmentDisplay, ShiftDisplay, group_report

survey = load_fair()
order = np.random.default_rng(0).permutation(len(survey.data))
sample, truth = (
    tabulate(survey.data.iloc[rows], ["age", "religiousness"], survey.questions)
    for rows in (order[:1500], order[1500:])
)
logit = LogitRegressor(question=survey.questions).fit(
    sample.X, sample.Y, sample_weight=sample.n
)
honest = logit.predict(truth.X)
logits = np.log(honest)
level = np.average(logits, axis=0, weights=truth.n)
stereotyped = softmax(level + 2.5 * (logits - level), axis=1)

# %%
# The report
# ----------
# ``truth_respondents`` gives every group its noise floor and every figure an interval.

reports = {
    name: group_report(
        truth.X, truth.Y, P, truth_respondents=truth.n, question=survey.questions
    )
    for name, P in {"logit": honest, "exaggerated": stereotyped}.items()
}
columns = [
    "attribute",
    "group",
    "respondents",
    "alignment",
    "alignment_ceiling",
    "divergence_debiased",
    "variance_ratio",
]
reports["exaggerated"][columns].round(3)

# %%
# The groups at the ends come first: exaggeration harms those most whose gap to everybody is largest. For the gaps
# themselves a single group is a noisy witness; ``by="attribute"`` takes all groups of an attribute together.

figures = [
    "gap_inflation",
    "gap_inflation_low",
    "gap_inflation_high",
    "divergence_debiased",
]
by_attribute = pd.concat(
    {
        name: group_report(
            truth.X,
            truth.Y,
            P,
            truth_respondents=truth.n,
            question=survey.questions,
            by="attribute",
        ).set_index("attribute")[figures]
        for name, P in {"logit": honest, "exaggerated": stereotyped}.items()
    }
)
by_attribute.round(3)

# %%
# A ``gap_inflation`` of 1 says that the gaps have the right size, 0.4 = 1 / 2.5 that two fifths of them are real. The
# intervals hold these values.
#
# Two pictures
# ------------
# Above: opinion alignment by group, with the tick where a perfect prediction would be. Below: each dot is one option
# in one group. Where the dots lie flatter than the diagonal, the gaps are exaggerated.

figure, axes = plt.subplots(2, 2, figsize=(12, 9.5), layout="constrained")
for column, (name, P) in enumerate(
    {"logit": honest, "exaggerated": stereotyped}.items()
):
    GroupAlignmentDisplay(reports[name]).plot(ax=axes[0, column])
    axes[0, column].set_title(name, loc="left")
    axes[0, column].set_xlim(80, 100.5)
    ShiftDisplay.from_predictions(
        truth.X, truth.Y, P, truth_respondents=truth.n, ax=axes[1, column]
    )
plt.show()

# %%
# What to do about it: estimate the slope on respondents. ``DSARegressor`` with zero-shot shifts, ``FusedRegressor`` and
# ``CalibratedElicitor`` with an anchor do, and report it as ``gap_inflation_``. Where it is near 0, say nothing
# about groups without respondents.
