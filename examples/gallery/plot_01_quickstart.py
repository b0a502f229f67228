"""
Quickstart: a small sample, a model, and the truth
==================================================

400 of 6,366 respondents are drawn, a statistical model and a language model learn from them, and both are compared with
the other 5,966. The survey comes with statsmodels: married women who answered a questionnaire of *Redbook* magazine in
1974.
"""

# %%
# From respondents to cells
# -------------------------
# A *cell* is one background, such as "25-29, fairly religious", with the shares of its answers and the number of its
# respondents. ``labels`` turns the file's codes into ordered levels; ``folds`` keeps five groups of respondents apart,
# so that choices can be made on people who were held out.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import statsmodels.api as sm

from surveysim import DSARegressor, Question, tabulate
from surveysim.baselines import LogitRegressor
from surveysim.metrics import js_divergence, total_variation

survey = sm.datasets.fair.load_pandas().data
question = Question(
    "How do you rate your marriage?",
    ["very poor", "poor", "fair", "good", "very good"],
    codes=[1, 2, 3, 4, 5],
    context="Redbook magazine, United States, 1974, married women",
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
        folds=5,
    )
    for rows in (order[:400], order[400:])
)
sample.X.assign(n=sample.n).join(
    pd.DataFrame(sample.Y.round(2), columns=question.options)
).head()

# %%
# Two models
# ----------
# The order-aware logit has no language model in it and is what a language model has to beat. The language model is
# fine-tuned in two stages: to the distributions, then to the shifts between backgrounds. So that this page is fast, the
# reference of the second stage and its weight are set here; left out, they are chosen on held-out respondents.

logit = LogitRegressor(question=question).fit(
    sample.X, sample.Y, sample_weight=sample.n
)
dsa = DSARegressor(
    "nano",
    question=question,
    shift_reference="baseline",
    shift_weight=1.5,
    random_state=0,
)
dsa.fit(sample.X, sample.Y, sample_weight=sample.n, folds=sample.folds)
dsa.history_.tail(3).round(4)

# %%
# Every fitted model predicts every background, also those that nobody in the sample has.

predicted = {
    "order-aware logit": logit.predict(truth.X),
    "DSA on nano": dsa.predict(truth.X),
}

# %%
# How near do they come?
# ----------------------
# Cells with at least 50 held-out respondents are compared. Their shares are a sample as well: with
# ``truth_respondents`` the divergence that a perfect prediction would show is taken off. The sample's own shares stand
# for the habit of reading the crosstab; where nobody was sampled, its margin stands in. The percentage points say how
# many of a hundred answers are put on a wrong option, the noise of the held-out respondents included.

margin = np.average(sample.Y, axis=0, weights=sample.n)
row = truth.X.astype(str).merge(
    sample.X.astype(str).assign(row=range(len(sample))), how="left"
)["row"]
own = np.where(
    row.isna().to_numpy()[:, None], margin, sample.Y[row.fillna(0).astype(int)]
)
predicted = {
    "the sample itself": own,
    "its margin": np.tile(margin, (len(truth), 1)),
    **predicted,
}
large = truth.n >= 50
divergence = {
    name: 1000
    * js_divergence(truth.Y[large], P[large], truth_respondents=truth.n[large])
    for name, P in predicted.items()
}
points = {
    name: 100 * total_variation(truth.Y[large], P[large])
    for name, P in predicted.items()
}
pd.DataFrame(
    {
        "percentage points": points,
        "thousandths of a bit, noise taken off": divergence,
    }
).round(2)

# %%
# The crosstab is noise, and both models are far nearer to the truth. The language model is no better than the logit,
# which was its reference: nano knows no facts about people, so that is what one should expect. A larger model has to
# show the same difference on the same respondents before it may be credited with anything.

names = {
    "the sample itself": "400 respondents",
    **{name: name for name in list(predicted)[2:]},
}
shares = {title: predicted[name][:, -1] for name, title in names.items()} | {
    "the other 5,966": truth.Y[:, -1]
}
figure, axes = plt.subplots(1, 4, figsize=(12, 4.6), sharey=True, layout="constrained")
respondents = np.where(row.isna(), 0, sample.n[row.fillna(0).astype(int)])
for axis, (title, share) in zip(axes, shares.items(), strict=True):
    table = truth.X.assign(share=share, n=truth.n if "other" in title else respondents)
    grid = table.pivot(index="age", columns="religious", values="share")
    counts = table.pivot(index="age", columns="religious", values="n")
    image = axis.imshow(grid, vmin=0.0, vmax=0.8, cmap="YlGnBu", aspect="auto")
    for (i, j), value in np.ndenumerate(grid.to_numpy()):
        if np.isfinite(value):
            people = (
                f"\nn={counts.iloc[i, j]:.0f}"
                if "5,966" in title or "400" in title
                else ""
            )
            color = "white" if value > 0.5 else "black"
            axis.text(
                j,
                i,
                f"{100 * value:.0f}{people}",
                ha="center",
                va="center",
                fontsize=8.5,
                color=color,
            )
    axis.set_title(title)
    axis.set_xticks(range(4), grid.columns)
    axis.set_yticks(range(6), grid.index)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
figure.supxlabel("religious", fontsize=11)
figure.colorbar(
    image,
    ax=axes,
    label='share of "very good"',
    format=lambda x, _: f"{100 * x:.0f}%",
    shrink=0.8,
)
plt.show()

# %%
# What next: :ref:`sphx_glr_gallery_plot_02_cross_validation.py` measures on cells that were left out,
# :doc:`/methods` says what the two stages do, and :doc:`/cuda` how to name a larger model.
