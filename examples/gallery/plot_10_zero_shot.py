"""
Five ways to ask a model that is not trained
============================================

The same question put to the same model in five ways: as percentages, by the probabilities of the labels, by draws, in
several wordings, and as a list of draws. They do not agree, and what comes with each answer says how far to trust it.

**The model is nano**, which comes with the package and knows no facts about people. The page shows what an elicitation
returns and what to look at; the shares themselves mean nothing.
"""

# %%
# One question, six groups
# ------------------------
# ``fit`` checks the columns and asks nothing; ``elicit`` asks.

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from surveysim import Question, ZeroShotElicitor

question = Question(
    "How satisfied are you with your life as a whole?",
    ["very satisfied", "satisfied", "neither", "dissatisfied", "very dissatisfied"],
    context="Social survey, 2024",
)
X = pd.DataFrame(
    [
        {"age": age, "gender": gender}
        for age in ("18-29", "30-64", "65+")
        for gender in ("woman", "man")
    ]
)

elicited = {}
for method in ("verbalized", "logprob", "sampled", "paraphrased", "sequence"):
    elicitor = ZeroShotElicitor(
        "nano", method=method, question=question, random_state=0
    ).fit(X)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        elicited[method] = elicitor.elicit(X)
    for warning in caught:
        print(f"{method}: {warning.message}")

# %%
# A small model cannot list 30 draws, and a warning says so. A table has the rest: how many
# answers were asked for, how many draws they are, how many could not be read, and how sure the model was that a label
# comes next.

table = pd.DataFrame(
    {
        method: {
            "answers": found.answers["ask"].nunique(),
            "draws per cell": found.answers.groupby("row")["draws"].sum().mean(),
            "dropped": found.failures.sum(),
            "label mass": found.label_mass.mean(),
            "spread between groups": found.P.std(axis=0).mean(),
        }
        for method, found in elicited.items()
    }
).T
table.round(3)

# %%
# Methods that draw show large differences between groups, label probabilities hardly any. Ten or thirty draws scatter
# by themselves: a difference between two groups has to be larger than that before it is the model's opinion.

figure, left = plt.subplots(figsize=(9, 4.5), layout="constrained")
colors = ["#0b6bcb", "#22272e", "#c2255c", "#9a6700", "#8b949e"]
place = np.arange(question.n_options)
for i, ((method, found), color) in enumerate(
    zip(elicited.items(), colors, strict=True)
):
    left.vlines(
        place + 0.12 * (i - 2),
        found.P.min(axis=0),
        found.P.max(axis=0),
        color=color,
        lw=2,
    )
    left.plot(
        place + 0.12 * (i - 2), found.P.mean(axis=0), "o", color=color, label=method
    )
left.set_xticks(place, question.options, rotation=15)
left.set_ylim(0, 0.45)
left.set_ylabel("share")
left.set_title("Mean and range over the six groups")
left.legend(ncols=2, fontsize=9)
plt.show()

# %%
# Where an option stands
# ----------------------
# Models favour places as well as options. Every distribution above is the average of two: options forward, and
# backward. The raw answers tell them apart.

answers = elicited["verbalized"].answers.dropna(subset="shares")
forward = answers["order"].map(lambda order: order[0] == 0)
by_order = {
    "forward": np.mean(answers.loc[forward, "shares"].tolist(), axis=0),
    "backward": np.mean(answers.loc[~forward, "shares"].tolist(), axis=0),
}
figure, right = plt.subplots(figsize=(9, 4), layout="constrained")
for (name, shares), color in zip(by_order.items(), ("#0b6bcb", "#c2255c"), strict=True):
    right.plot(place, shares, "o-", color=color, label=f"options shown {name}")
right.plot(
    place,
    np.mean(list(by_order.values()), axis=0),
    "--",
    color="#22272e",
    label="average: what counts",
)
right.set_xticks(place, question.options, rotation=15)
right.set_ylim(0, 0.3)
right.set_title("Percentages by the order of options")
right.legend(fontsize=9)
plt.show()

# %%
# Every raw answer is kept. These were read:

answers[["row", "order", "text", "shares"]].head(3)
