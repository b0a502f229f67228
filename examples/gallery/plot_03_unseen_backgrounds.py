"""
Backgrounds that nobody in the sample has
=========================================

A model is asked about a group of which it saw no respondent. Some of these questions are easy and some cannot be
answered from the data: a group *between* others can be interpolated, one at the *end* of a scale has to be
extrapolated, and a level of an unordered background (a region, a religion) needs knowledge that the sample does not
have.
"""

# %%
# One level left out at a time
# ----------------------------
# :class:`~surveysim.evaluation.LeaveLevelsOut` is a scikit-learn splitter. ``describe`` says what each fold asks for.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import statsmodels.api as sm
from sklearn.base import clone

from surveysim import DSARegressor, Question, tabulate
from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.evaluation import LeaveLevelsOut
from surveysim.metrics import js_divergence, total_variation

survey = sm.datasets.fair.load_pandas().data
question = Question(
    "How do you rate your marriage?",
    ["very poor", "poor", "fair", "good", "very good"],
    codes=[1, 2, 3, 4, 5],
)
labels = {
    "age": {
        17.5: "under 20",
        22: "20-24",
        27: "25-29",
        32: "30-34",
        37: "35-39",
        42: "40 or older",
    },
    "religious": {1: "not", 2: "mildly", 3: "fairly", 4: "strongly"},
}
order = np.random.default_rng(0).permutation(len(survey))
sample, truth = (
    tabulate(
        survey.iloc[rows],
        ["age", "religious"],
        {"rate_marriage": question},
        labels=labels,
    )
    for rows in (order[:600], order[600:])
)
splitter = LeaveLevelsOut()
splitter.describe(sample.X)

# %%
# Fit without the group, compare with its held-out respondents
# ------------------------------------------------------------
# Each fit learns from 600 respondents, minus those of the group in question; the truth is the other 5,766. Four models:
# the margin, the logit without order, the logit with it, and the language model whose groups are alike until the data
# say otherwise (reference "zero"), so that it gets no help from a logit. Its epochs are fixed, which keeps this page
# short.

estimators = {
    "margin": MarginalRegressor(question=question),
    "plain logit": LogitRegressor(ordered=False, question=question),
    "order-aware logit": LogitRegressor(question=question),
    "DSA on nano": DSARegressor(
        "nano",
        question=question,
        shift_reference="zero",
        shift_weight=1.5,
        validation_fraction=0,
        max_epochs=3,
        random_state=0,
    ),
}
found = []
for left_out in splitter.describe(sample.X).itertuples():
    train = sample.subset((sample.X[left_out.column] != left_out.level).to_numpy())
    test = truth.subset(
        ((truth.X[left_out.column] == left_out.level) & (truth.n >= 30)).to_numpy()
    )
    for name, estimator in estimators.items():
        model = clone(estimator).fit(train.X, train.Y, sample_weight=train.n)
        P = model.predict(test.X)
        D = js_divergence(test.Y, P, sample_weight=test.n, truth_respondents=test.n)
        points = 100 * total_variation(test.Y, P, sample_weight=test.n)
        group = f"{left_out.column}: {left_out.level}"
        found.append((group, left_out.place, name, 1000 * D, points))
results = pd.DataFrame(
    found, columns=["left out", "place", "model", "divergence", "points"]
)
table = results.pivot(
    index=["place", "left out"], columns="model", values="divergence"
)[list(estimators)]
table.round(1)

# %%
# Debiased divergence in thousandths of a bit. By place:

table.groupby("place").mean().round(1)

# %%
# In percentage points, the answers that are put on a wrong option, with the noise of the truth:

by_place = results.groupby(["place", "model"])["points"].mean().unstack()
by_place[list(estimators)].round(1)

# %%
# Order helps. The plain logit has no coefficient for a level that it never saw and says little more than the
# margin; a linear term reaches over the gap, and beyond the end of it with more risk. The language model, which was
# trained on survey texts where "strongly" follows "fairly", knows something about order as well, but not more than the
# logit.
#
# This is one sample, and a figure below 0 means that the prediction was nearer to the held-out respondents than their
# own noise explains.

groups = [group for _, group in table.index]
figure, axis = plt.subplots(figsize=(9, 5), layout="constrained")
marks = {"margin": ("D", "#8b949e"), "plain logit": ("s", "#9a6700"),
         "order-aware logit": ("o", "#0b6bcb"),
         "DSA on nano": ("o", "#c2255c")}  # fmt: skip
heights = np.arange(len(groups))[::-1]
axis.hlines(
    heights, table.min(axis=1), table.max(axis=1), color="#dfe3e8", lw=5, zorder=1
)
for name, (marker, color) in marks.items():
    axis.plot(
        table[name],
        heights,
        marker,
        color=color,
        ms=8,
        mec="white",
        label=name,
        zorder=2,
    )
axis.set_yticks(heights, [f"{group}  ({place})" for place, group in table.index])
axis.axvline(0, color="#22272e", lw=1, ls="--")
axis.set_xlabel(
    "debiased divergence from the group's held-out respondents, "
    "thousandths of a bit; left is better"
)
axis.set_title("Which group was left out of training")
axis.legend(loc="lower right")
plt.show()

# %%
# ``fair`` has ordered backgrounds only. Leave out the levels of an unordered one, and no statistical model can do
# better than the margin of the others: there, and for unseen questions
# (:class:`~surveysim.evaluation.LeaveQuestionsOut`), a language model that knows people could be worth most.
# The embedded one knows nothing about people.
