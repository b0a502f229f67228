"""
1. From an SPSS file to cells
=============================

A survey comes as a file with codes, labels and several kinds of missing answers. This page reads one, looks at what
was taken for what, and counts what is missing before anything is fitted.
"""

# %%
# A file to read
# --------------
# This cell makes one, as a field institute would deliver it: 1,000 respondents of the 1974 *Redbook* survey (it comes
# with statsmodels), codes with labels, 98 for "don't know", 99 for a refusal, and a weight. The missing answers are
# invented, and so are the weights. Your own file takes its place.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyreadstat
import statsmodels.api as sm

from surveysim.datasets import read_survey

rng = np.random.default_rng(0)
people = sm.datasets.fair.load_pandas().data.sample(
    1000, random_state=0, ignore_index=True
)
table = pd.DataFrame(
    {
        "q1": people["rate_marriage"],
        "agegrp": people["age"],
        "relig": people["religious"],
    }
)
table["kids"] = people["children"].clip(upper=3)
table["q1"] = np.select(
    [rng.random(1000) < 0.03, rng.random(1000) < 0.05], [99.0, 98.0], table["q1"]
)
table["wt"] = rng.lognormal(sigma=0.4, size=1000).round(3)
ages = {
    17.5: "under 20",
    22: "20-24",
    27: "25-29",
    32: "30-34",
    37: "35-39",
    42: "40 or older",
}
table["agegrp"] = (
    table["agegrp"].map({age: i + 1 for i, age in enumerate(ages)}).astype(float)
)

path = Path(tempfile.mkdtemp()) / "wave1.sav"
pyreadstat.write_sav(
    table,
    str(path),
    column_labels={
        "q1": "How do you rate your marriage?",
        "agegrp": "Age group",
        "relig": "How religious are you?",
        "kids": "Number of children",
        "wt": "Weight",
    },
    variable_value_labels={
        "q1": {
            1: "very poor",
            2: "poor",
            3: "fair",
            4: "good",
            5: "very good",
            98: "Don't know",
            99: "Refusal",
        },
        "agegrp": {i + 1: label for i, label in enumerate(ages.values())},
        "relig": {1: "not", 2: "mildly", 3: "fairly", 4: "strongly"},
        "kids": {0: "none", 1: "one", 2: "two", 3: "three or more"},
    },
)

# %%
# Read it
# -------
# ``read_survey`` proposes which variables are questions, backgrounds and weights, and says why. You decide: every
# proposal can be overruled by a parameter. Here the backgrounds are named, with the names that a prompt should use.

survey = read_survey(
    path,
    questions=["q1"],
    backgrounds={"agegrp": "age", "relig": "religiousness", "kids": "children"},
    ordinal={"relig": True, "agegrp": True, "kids": True},
    context="Redbook magazine, United States, 1974, married women",
)
survey.variables

# %%
# The question has its wording, its options in order, and no longer the codes that mean no answer:

survey.questions["q1"]

# %%
# Count before you fit
# --------------------
# ``tabulate`` makes the cells. With weights, ``n`` is the effective number of respondents (Kish), which is what the
# rest of the library counts in; ``missing`` and ``excluded`` say who is not in the distributions.

cells = survey.tabulate(folds=5)
print(
    f"{len(survey.data)} respondents, {cells.n_raw.sum()} answers in {len(cells)} cells, "
    f"worth {cells.n.sum():.0f}"
)
cells.excluded

# %%
# Look at where the respondents are. Crossing three backgrounds leaves most cells with a handful: a share read off such
# a cell is noise, which is why a model is needed at all.

frame = cells.X.assign(n=cells.n_raw, missing=cells.missing.sum(axis=1).to_numpy())
figure, (left, right) = plt.subplots(
    1, 2, figsize=(11.5, 4.2), width_ratios=[1.5, 1], layout="constrained"
)
grid = frame.pivot_table(
    index="age",
    columns=["religiousness", "children"],
    values="n",
    aggfunc="sum",
    observed=False,
)
image = left.imshow(
    np.log10(grid.where(grid > 0)), cmap="YlGnBu", aspect="auto", vmin=0
)
for (i, j), n in np.ndenumerate(grid.fillna(0).to_numpy()):
    left.text(
        j,
        i,
        f"{n:.0f}" if n else "·",
        ha="center",
        va="center",
        fontsize=8.5,
        color="white" if n > 15 else "black",
    )
left.set_yticks(range(len(grid)), grid.index)
left.set_xticks(
    range(grid.shape[1]),
    [{"none": "0", "one": "1", "two": "2"}.get(c, "3+") for _, c in grid.columns],
)
for edge in (3.5, 7.5, 11.5):
    left.axvline(edge, color="white", lw=3)
for place, name in zip(
    (1.5, 5.5, 9.5, 13.5), ("not", "mildly", "fairly", "strongly"), strict=True
):
    below = {
        "xytext": (0, -24),
        "textcoords": "offset points",
        "ha": "center",
        "va": "top",
        "annotation_clip": False,
    }
    left.annotate(f"{name} religious", (place, len(grid) - 0.5), **below)
left.set_title("Respondents per cell, by age, religiousness and children")
left.grid(visible=False)
left.spines[:].set_visible(False)
shares = cells.to_frame().assign(people=lambda t: t["share"] * t["weight_sum"])
overall = shares.groupby("option", sort=False)["people"].sum() / cells.weight_sum.sum()
overall = overall.reindex(survey.questions["q1"].options)
right.barh(range(5), overall, color="#4a90c2")
for i, share in enumerate(overall):
    right.annotate(
        f"{100 * share:.0f}%",
        (share, i),
        (4, 0),
        textcoords="offset points",
        va="center",
    )
right.set_yticks(range(5), overall.index)
right.set_title("Everybody who answered, weighted")
right.set_xticks([])
right.grid(visible=False)
right.spines[["bottom", "left"]].set_visible(False)
plt.show()

# %%
# People who did not answer may differ from those who did. ``missing="option"`` keeps "don't know" and "refused" as
# answers of their own, pinned after the scale, where that matters:

with_missing = survey.tabulate(missing="option")
print(with_missing.questions["q1"].options)

# %%
# Next: :ref:`sphx_glr_tutorial_plot_2_decision.py`.
