"""
Fusion: a small sample and what a model knows
=============================================

With ten respondents a model's opinion is worth having; with a thousand it is not needed. ``FusedRegressor`` lets
the respondents decide how much of it to believe, and says how many respondents it was worth.

**The language model on this page is simulated**: its answers are made from the true distributions of an invented
survey, once with knowledge of the groups and once without. What is gained here says nothing about any real model.
"""

# %%
# A known truth and two simulated models
# --------------------------------------
# Both models are mistaken about levels and exaggerate gaps between groups twofold. The gaps of the first are the true
# ones, with noise; those of the second are pure invention.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import softmax

from surveysim import FusedRegressor, tabulate
from surveysim.baselines import LogitRegressor
from surveysim.datasets import make_survey
from surveysim.elicitation.recorded import RecordedElicitor
from surveysim.metrics import js_divergence, total_variation

population = make_survey(
    4000,
    n_backgrounds=2,
    n_questions=8,
    n_levels=[4, 5],
    ordered=False,
    effect=0.5,
    random_state=1,
)
X, truth = population.truth_X, population.truth_P


def simulate_elicitor(knows: float, seed: int) -> np.ndarray:
    """Levels with an error; gaps twice as large as real ones, `knows` of them true."""
    rng = np.random.default_rng(seed)
    logits, said = np.log(truth), np.empty_like(truth)
    for name in population.questions:
        rows = (X["question"] == name).to_numpy()
        level = logits[rows].mean(axis=0)
        gaps = logits[rows] - level
        invented = rng.permutation(gaps)
        mistaken = level + rng.normal(scale=0.4, size=level.shape)
        said[rows] = softmax(
            mistaken + 2 * (knows * gaps + (1 - knows) * invented), axis=1
        )
    return said


said = {
    "knows the groups": simulate_elicitor(0.8, 0),
    "knows nothing of them": simulate_elicitor(0.0, 0),
}

# %%
# Samples of growing size
# -----------------------
# Three samples of each size. The opponent is the same kind of logit, variances learned, on the same respondents.

sizes = [25, 50, 100, 200, 500, 1000]
found, learned = [], []
for n in sizes:
    for seed in range(3):
        people = population.data.sample(n, random_state=seed)
        sample = tabulate(people, population.backgrounds, population.questions)
        logit = LogitRegressor(question=population.questions, prior="eb")
        logit.fit(sample.X, sample.Y, sample_weight=sample.n)
        found.append(("respondents alone (logit)", n, logit.predict(X)))
        for name, shares in said.items():
            elicitor = RecordedElicitor(X, shares, question=population.questions)
            fused = FusedRegressor(elicitor, question=population.questions)
            fused.fit(sample.X, sample.Y, sample_weight=sample.n)
            found.append((f"fused: model {name}", n, fused.predict(X)))
            learned.append(
                (name, n, fused.model_worth_, *fused.gap_inflation_.values())
            )
for name, shares in said.items():
    found += [(f"model alone: {name}", n, shares) for n in sizes]
results = pd.DataFrame(
    [
        (what, n, 100 * total_variation(truth, P), 1000 * js_divergence(truth, P))
        for what, n, P in found
    ],
    columns=["what", "n", "points", "divergence"],
)
averages = results.groupby(["what", "n"], sort=False).mean()
averages["points"].unstack().round(1)

# %%
# In percentage points: how many of a hundred answers are put on a wrong option. In thousandths of a bit from the exact
# truth:

table = averages["divergence"].unstack()
table.round(1)

# %%
# Fusion with the model that knows the groups is better than either of its
# parts. The other does little harm, because the respondents expose it; its mistaken levels even help a little while
# there are very few of them.

gaps = [f"gap_inflation_: {name}" for name in population.backgrounds]
diary = pd.DataFrame(learned, columns=["model", "n", "model_worth_", *gaps])
diary.groupby(["model", "n"], sort=False).mean().sort_index(
    level="model", sort_remaining=False
).round(2)

# %%
# ``gap_inflation_`` is how much of the model's gaps the respondents bear out. Since the truth is known, it can be
# compared with the slope of the true gaps on the model's, over all cells. ``model_worth_`` is what the model was worth
# in respondents per cell, in the eyes of the fit: with the second model about none.


def true_slope(shares: np.ndarray) -> float:
    """The slope of the true gaps on a model's, in centred logits."""
    centred = []
    for P in (np.log(truth), np.log(shares + 0.01)):
        P = P - P.mean(axis=1, keepdims=True)
        centred.append(
            P
            - pd.DataFrame(P)
            .groupby(X["question"].to_numpy())
            .transform("mean")
            .to_numpy()
        )
    return float((centred[0] * centred[1]).sum() / (centred[1] ** 2).sum())


slopes = {name: true_slope(shares) for name, shares in said.items()}
print({name: round(slope, 2) for name, slope in slopes.items()})

figure, (left, right) = plt.subplots(
    1, 2, figsize=(12, 4.5), width_ratios=[1.25, 1], layout="constrained"
)
colors = {"knows the groups": "#0b6bcb", "knows nothing of them": "#c2255c"}
alone = table.loc["respondents alone (logit)"]
left.plot(sizes, alone, "D-", color="#22272e", label="respondents alone (logit)")
for name, color in colors.items():
    left.plot(
        sizes,
        table.loc[f"fused: model {name}"],
        "o-",
        color=color,
        label=f"fused; the model {name}",
    )
    left.plot(
        sizes,
        table.loc[f"model alone: {name}"],
        "--",
        color=color,
        lw=1,
        label="that model alone",
    )
left.set_xscale("log")
left.set_yscale("log")
left.set_xticks(sizes, sizes)
left.set_yticks([2, 5, 10, 20, 50, 100], [2, 5, 10, 20, 50, 100])
left.minorticks_off()
left.set_xlabel("respondents")
left.set_title("Divergence from the truth, thousandths of a bit")
left.legend(fontsize=9, loc="lower left")
for name, color in colors.items():
    means = diary[diary["model"] == name].groupby("n")[gaps].mean().mean(axis=1)
    right.plot(sizes, means, "o-", color=color, label=f"the model {name}")
right.set_xscale("log")
right.set_xticks(sizes, sizes)
right.minorticks_off()
for name, slope in slopes.items():
    right.axhline(slope, color=colors[name], lw=1, ls=":")
right.set_xlabel("respondents")
right.set_title("How much of its gaps is believed (dotted: truth)")
right.set_ylim(-0.1, 1)
right.legend(fontsize=9, loc="upper right")
plt.show()
