"""
A post-stratified estimate with intervals
=========================================

A sample in which young people are over-represented, as in most online surveys. A model of the cells, weighted by the
cells' shares of the population, corrects that, and intervals say how sure the result is. This is multilevel regression
and post-stratification (MRP) with any estimator in the place of the regression.
"""

# %%
# A lopsided sample
# -----------------
# The 6,366 respondents of the *Redbook* survey stand for the population, so that the truth is known. 400 of them are
# drawn, the younger ones with higher probability.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import statsmodels.api as sm

from surveysim import Question, poststratify, rake, tabulate
from surveysim.baselines import LogitRegressor

everybody = sm.datasets.fair.load_pandas().data
question = Question(
    "How do you rate your marriage?",
    ["very poor", "poor", "fair", "good", "very good"],
    codes=[1, 2, 3, 4, 5],
)
backgrounds = ["age", "children"]
chance = np.exp(-everybody["age"] / 6)


def lopsided(seed: int) -> pd.DataFrame:
    """400 respondents, the younger the likelier."""
    return everybody.sample(400, weights=chance, random_state=seed)


sample = lopsided(0)
pd.DataFrame(
    {"sample": sample["age"].mean(), "population": everybody["age"].mean()},
    index=["mean age"],
).round(1)

# %%
# The population's shares
# -----------------------
# ``poststratify`` needs the share of every *combination* of backgrounds. Where only margins are published, ``rake``
# makes joint shares from them, on the assumption that the backgrounds are otherwise as associated as in a seed table,
# or not at all where there is none. Here both can be compared.

joint = everybody.groupby(backgrounds).size().rename("n").reset_index()
margins = {
    name: everybody[name].value_counts(normalize=True).sort_index()
    for name in backgrounds
}
independent = rake(margins)
seeded = rake(
    margins, seed=sample.groupby(backgrounds).size().rename("n").reset_index()
)
print(
    f"{len(joint)} combinations exist, {len(independent)} if age says nothing of "
    f"children, {len(seeded)} in the sample"
)

# %%
# Model, predict every combination, weight
# ----------------------------------------
# Draws from the posterior of the logit become draws of the estimate: cells of one draw belong together, so that their
# errors do not cancel as if they were independent.

cells = tabulate(sample, backgrounds, {"rate_marriage": question})
model = LogitRegressor(question=question).fit(cells.X, cells.Y, sample_weight=cells.n)


def estimate(population: pd.DataFrame, by: str | None = None) -> pd.DataFrame:
    """The share of "very good", with a 90% interval."""
    X = population[backgrounds].drop_duplicates(ignore_index=True)
    draws = poststratify(
        model.predict_draws(X, 500, random_state=0), X, population, by=by
    )["5"]
    levels = [] if by is None else [by]
    if by is None:
        return draws.quantile([0.05, 0.5, 0.95]).to_frame().T
    return draws.groupby(level=levels).quantile([0.05, 0.5, 0.95]).unstack()


truth = (everybody["rate_marriage"] == 5).mean()
raw = (sample["rate_marriage"] == 5).mean()
lines = {
    "post-stratified, joint shares": estimate(joint).iloc[0],
    "margins, raked with the sample as seed": estimate(seeded).iloc[0],
    "margins, raked as if independent": estimate(independent).iloc[0],
}
pd.DataFrame(lines).T.round(3).assign(raw_sample=round(raw, 3), truth=round(truth, 3))

# %%
# And by group
# ------------
# ``by`` gives one distribution for each group, from the same draws.

groups = estimate(joint, by="age")
true_share = everybody.groupby("age")["rate_marriage"].apply(
    lambda answers: (answers == 5).mean()
)
own_share = (
    sample.groupby("age")["rate_marriage"]
    .apply(lambda answers: (answers == 5).mean())
    .reindex(true_share.index)
)
n = sample.groupby("age").size().reindex(true_share.index, fill_value=0)

figure, (left, right) = plt.subplots(
    1, 2, figsize=(11.5, 4.2), width_ratios=[1, 1.25], layout="constrained"
)
names = ["raw sample", *lines]
for height, name in enumerate(names[::-1]):
    if name == "raw sample":
        error = 1.645 * np.sqrt(raw * (1 - raw) / len(sample))
        low, middle, high = raw - error, raw, raw + error
    else:
        low, middle, high = lines[name]
    color = "#8b949e" if name == "raw sample" else "#0b6bcb"
    left.hlines(height, low, high, color=color, lw=2.5)
    left.plot(middle, height, "o", color=color, ms=8)
left.axvline(truth, color="#22272e", ls="--", lw=1.3)
left.annotate(
    "truth", (truth, len(names) - 0.45), (4, 0), textcoords="offset points", va="center"
)
left.set_ylim(-0.5, len(names) - 0.2)
left.set_yticks(range(len(names)), [name.replace(", ", ",\n") for name in names[::-1]])
left.set_title('Everybody: share of "very good"')
left.set_xticks([0.35, 0.40, 0.45, 0.50])
left.xaxis.set_major_formatter(lambda x, _: f"{100 * x:.0f}%")

x = np.arange(len(true_share))
right.plot(x, true_share, "_", color="#22272e", ms=26, mew=2, label="truth")
right.vlines(x, groups[0.05], groups[0.95], color="#0b6bcb", lw=2.5)
right.plot(x, groups[0.5], "o", color="#0b6bcb", ms=8, label="model, 90% interval")
right.plot(
    x + 0.15,
    own_share,
    "D",
    color="#8b949e",
    mfc="white",
    ms=6,
    label="the sample's own share",
)
right.set_xticks(x, [f"{age:g}\nn={count}" for age, count in n.items()])
right.set_xlabel("age (midpoint of its interval)")
right.set_title("By age")
right.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.0f}%")
right.legend(loc="upper right")
plt.show()

# %%
# Do the intervals hold?
# ----------------------
# One sample proves nothing. Over 40 samples, how far off is each estimate, and how often does the 90% interval contain
# the truth?

runs = []
for seed in range(40):
    sample = lopsided(seed)
    cells = tabulate(sample, backgrounds, {"rate_marriage": question})
    model = LogitRegressor(question=question).fit(
        cells.X, cells.Y, sample_weight=cells.n
    )
    low, middle, high = estimate(joint).iloc[0]
    runs.append(
        (
            (sample["rate_marriage"] == 5).mean() - truth,
            middle - truth,
            low <= truth <= high,
        )
    )
raw_errors, errors, covered = (np.array(column) for column in zip(*runs, strict=True))
pd.DataFrame(
    {
        "mean error (points)": [100 * raw_errors.mean(), 100 * errors.mean()],
        "typical error (points)": [
            100 * np.sqrt((raw_errors**2).mean()),
            100 * np.sqrt((errors**2).mean()),
        ],
        "intervals with the truth": ["", f"{covered.sum()} of {len(covered)}"],
    },
    index=["raw sample", "post-stratified"],
).round(2)

# %%
# Weighting by cells removes the bias that comes from *who* is in the sample, as far as the backgrounds describe it. If
# those who answer differ from others of the same age with as many children, no weighting and no model can see it.
