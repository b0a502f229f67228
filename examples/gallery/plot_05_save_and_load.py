"""
Save, load and draw respondents
===============================

A fitted estimator is a small folder of safetensors and JSON: the trained block, the questions, and how to find the base
model. Nothing is pickled, and the base model itself is not copied.
"""

# %%
# Fit
# ---
# A small fit; its quality is not the point of this page.

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import surveysim
from surveysim import DSARegressor, Question
from surveysim.metrics import js_divergence

question = Question(
    "How safe do you feel in your street at night?",
    ["very safe", "fairly safe", "unsafe"],
)
X = pd.DataFrame(
    {"age": ["18-29", "30-64", "65+"] * 2, "gender": ["woman"] * 3 + ["man"] * 3}
)
Y = np.array(
    [
        [0.20, 0.45, 0.35],
        [0.25, 0.45, 0.30],
        [0.20, 0.40, 0.40],
        [0.40, 0.45, 0.15],
        [0.45, 0.40, 0.15],
        [0.35, 0.45, 0.20],
    ]
)
model = DSARegressor(
    "nano",
    question=question,
    max_epochs=6,
    shift_reference="zero",
    shift_weight=1.5,
    random_state=0,
)
model.fit(X, Y, sample_weight=[40, 60, 30, 45, 55, 25])

# %%
# Save
# ----
# The folder is written beside its destination and renamed when it is complete, so that an interruption leaves nothing
# half-written.

folder = Path(tempfile.mkdtemp()) / "safety"
model.save(folder)
files = {path.name: path.stat().st_size / 1024 for path in sorted(folder.iterdir())}
pd.Series(files, name="kB").round(1).to_frame()

# %%
# What the JSON says about the base model:

saved = json.loads((folder / "surveysim.json").read_text(encoding="utf-8"))
print(sorted(saved))

# %%
# Load
# ----
# ``surveysim.load`` opens the classes of a fixed list and nothing else, chooses the device anew, and compares the base
# model's fingerprint before the first prediction: other weights under the same name are refused. The trained block is
# stored in two bytes a parameter and the fitted model keeps it so, which is why predictions agree exactly.

again = surveysim.load(folder)
largest = np.abs(again.predict(X) - model.predict(X)).max()
print(f"largest difference between predictions: {largest:.1e}")

# %%
# Draw respondents
# ----------------
# ``sample`` draws answers from the predicted distributions, one row per simulated respondent. Such respondents carry no
# information beyond the distributions: more of them make an estimate look more certain without making it better.

respondents = again.sample(X, n=200, random_state=0)
respondents.head(3)

# %%
# The drawn answers come as near to the *prediction* as their number allows, and no nearer to the *data*, however many
# are drawn:

numbers = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
predicted = again.predict(X)
distances: dict[str, list[float]] = {"from the prediction": [], "from the data": []}
for n in numbers:
    drawn = again.sample(X, n=n, random_state=1)
    counts = drawn.groupby(["gender", "age", "answer"]).size().unstack(fill_value=0)
    counts = counts.reindex(columns=question.options, fill_value=0)
    shares = (
        counts.div(counts.sum(axis=1), axis=0)
        .loc[[(g, a) for a, g in X.itertuples(index=False)]]
        .to_numpy()
    )
    distances["from the prediction"].append(js_divergence(predicted, shares))
    distances["from the data"].append(js_divergence(Y, shares))

figure, (left, right) = plt.subplots(
    1, 2, figsize=(11, 4), width_ratios=[1.25, 1], layout="constrained"
)
colors = ["#9ec9e2", "#4a90c2", "#1c4e80"]
place = np.arange(len(X))
for shift, (shares, shade) in zip(
    (-0.2, 0.2), ((Y, 1.0), (predicted, 0.6)), strict=True
):
    below = np.zeros(len(X))
    for k, option in enumerate(question.options):
        label = option if shade == 1.0 else None
        left.bar(
            place + shift,
            shares[:, k],
            0.36,
            bottom=below,
            color=colors[k],
            alpha=shade,
            label=label,
        )
        below += shares[:, k]
left.set_xticks(
    place, [f"{gender}\n{age}" for age, gender in X.itertuples(index=False)]
)
left.set_title("Data (left bars) and prediction (right bars)")
left.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.0f}%")
left.set_ylim(0, 1.22)
left.set_yticks([0, 0.25, 0.5, 0.75, 1])
left.legend(loc="upper center", ncols=3)
for (name, values), color in zip(
    distances.items(), ("#0b6bcb", "#c2255c"), strict=True
):
    right.loglog(numbers, values, "o-", color=color, label=name)
right.axhline(js_divergence(Y, predicted), color="#22272e", ls="--", lw=1.2)
right.annotate(
    "the prediction's own",
    (numbers[0], js_divergence(Y, predicted)),
    (0, -12),
    textcoords="offset points",
)
right.set_xlabel("drawn respondents per group")
right.set_title("Divergence of the drawn answers (bits)")
right.legend()
plt.show()
