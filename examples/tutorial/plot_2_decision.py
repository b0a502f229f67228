"""
2. Can I field 300 interviews instead of 1,000?
===============================================

The question has two answers, because it is two questions: what is the result for everybody, and what is it in each
group? A model can help with the second. With the first it normally cannot, and this page shows why before it comes to
groups.
"""

# %%
# A dress rehearsal
# -----------------
# A decision about the next wave is tried out on one that is there. From the 6,366 respondents of the *Redbook* survey,
# 300 are drawn as the small wave and 1,000 as the usual one, several times over; the others are the truth. With your
# own survey, rehearse on the largest wave that you have.
#
# :func:`~surveysim.evaluation.respondent_curve` does it, with the baselines beside every model: the pooled marginal
# (all groups alike), the plain logit, and the order-aware logit.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from surveysim import DSARegressor
from surveysim.datasets import load_fair
from surveysim.evaluation import (
    SAMPLE,
    compare_models,
    respondent_curve,
    respondents_saved,
    summarise_curve,
)

survey = load_fair()
backgrounds = ["age", "religiousness"]
curve = respondent_curve(
    None,
    survey.data,
    survey.questions,
    backgrounds,
    sizes=[200, 300, 500, 1000, 1500],
    n_splits=6,
)


def at(level: str) -> pd.DataFrame:
    """Debiased divergence at a level, in thousandths of a bit, by sample size."""
    return (1000 * summarise_curve(curve, "js_debiased", level)).drop(index="floor")


# %%
# First: everybody
# ----------------
# How far is the distribution of all answers from the truth?

at("population").round(2)

# %%
# At 300 respondents the models are as far from the truth as the sample itself, give or take a few hundredths, and at
# 1,000 everything is nearer. That had to be so. The share of "very good" among 300 people has a standard error that no
# model fitted to the same 300 people can take away: it comes from who was drawn.

answers = survey.data["rate_marriage"] == "very good"
p = answers.mean()
pd.DataFrame(
    {n: [100 * p, 100 * 1.96 * np.sqrt(p * (1 - p) / n)] for n in (300, 1000)},
    index=["very good, percent", "plus or minus (95%)"],
).round(1)

# %%
# **If the figure for everybody is what you publish, the answer is no.** 300 interviews cost 2.5 points of margin of
# error against 1,000, with or without a model.
#
# Then: groups
# ------------
# The same table for the groups of age and of religiousness, and for their crossed cells:

at("attribute").round(1)

# %%

at("cell").round(1)

# %%
# Here the sample's own shares are poor, the more so the smaller the groups, and models that let groups learn from each
# other are several times nearer. Two comparisons have to be kept apart.

attribute, cell = at("attribute"), at("cell")
logit = "order-aware logit"
comparison = pd.DataFrame(
    {
        "by group": [
            attribute.loc[SAMPLE, 1000],
            attribute.loc[logit, 300],
            attribute.loc[logit, 1000],
        ],
        "crossed cells": [
            cell.loc[SAMPLE, 1000],
            cell.loc[logit, 300],
            cell.loc[logit, 1000],
        ],
    },
    index=[
        "1,000 interviews, shares as they are",
        "300 interviews and the logit",
        "1,000 interviews and the logit",
    ],
)
comparison.round(1)

# %%
# 300 interviews with a model are nearer to the truth than 1,000 interviews whose crosstab is read as it is. This is
# the kind of figure that papers on simulated respondents report, and here it was reached without a language model. But
# 1,000 interviews with the same model are nearer still: the interviews never stopped being worth something.

figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
styles = {SAMPLE: ("D:", "#9a6700", "shares as they are"),
          "pooled marginal": ("s-", "#adb5bd", "all groups alike"),
          logit: ("o-", "#0b6bcb", "order-aware logit")}  # fmt: skip
titles = {"population": "everybody", "attribute": "groups", "cell": "crossed cells"}
for axis, (level, title) in zip(axes, titles.items(), strict=True):
    table = at(level)
    for name, (style, color, label) in styles.items():
        axis.plot(table.columns, table.loc[name], style, color=color, label=label, ms=6)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks([300, 1000], ["300", "1,000"])
    low, high = axis.get_ylim()
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if low <= tick <= high]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_title(title)
    axis.axhline(table.loc[SAMPLE, 1000], color="#9a6700", lw=0.8, ls=(0, (2, 3)))
axes[0].set_ylabel("divergence from the truth less its noise,\nthousandths of a bit")
axes[1].set_xlabel("interviews")
axes[0].legend(loc="lower left", fontsize=9)
plt.show()

# %%
# The thin dotted line is what 1,000 interviews give when their shares are read as they are.

# %%
# What does a language model add?
# -------------------------------
# The same rehearsal with 300 interviews, two samples, and a language model beside the logit. The fit is shortened (its
# reference and weight are set), which is why it runs in seconds here.

dsa = DSARegressor(
    "nano", shift_reference="baseline", shift_weight=1.5, max_epochs=6, random_state=0
)
small = respondent_curve(
    {"DSA on nano": dsa},
    survey.data,
    survey.questions,
    backgrounds,
    sizes=[300],
    n_splits=2,
)
(
    1000
    * pd.concat(
        {level: summarise_curve(small, "js_debiased", level)[300] for level in titles},
        axis=1,
    )
).round(2)

# %%
# Only the difference from the logit may be credited to the language model:

compare_models(small, "DSA on nano", logit).round(2)

# %%
# (Above 0 is worse.) nano knows no facts about people, and is somewhat worse than the logit here. A large model may
# add to it: name one (``DSARegressor("Qwen/Qwen3-4B")``), run the rehearsal again, and ask of the curve how many
# interviews it saves. :func:`~surveysim.evaluation.respondents_saved` answers in interviews, with intervals, and
# refuses to extrapolate. Here it is asked about the plain logit: fitted to 1,000 interviews, it is as good as the
# order-aware logit is with how many?

saved = respondents_saved(1000, curve, models="plain logit")
saved[["model", "level", "needed", "low", "high", "note"]].round(0)

# %%
# The decision
# ------------
# - *The figure for everybody*: no. Nothing replaces the interviews.
# - *Groups, and you would have read the crosstab*: 300 interviews with the order-aware logit were as good as the
#   crosstab of 1,000, in this survey. Rehearse it on yours, and say in the report that groups are modelled.
# - *Groups, and you would have used a model anyway*: fewer interviews are worse. The tables above say by how much.
# - *A language model*: only for its difference from the logit, on respondents whom it has not seen, and with a model
#   that cannot have read the survey's published results (:doc:`/limits`).
