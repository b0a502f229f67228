"""
Two hundred interviews and last year's wave
===========================================

There is money for 200 interviews, and last year 1,500 people answered the same questions. Their answers are out of
date, but by how much? ``FusedRegressor`` learns that from the 200, question by question and attribute by attribute, and
uses the old wave as far as it still holds.

**What moved is simulated**, here and in the second part, where the earlier wave is real: only then is the truth known.
"""

# %%
# A population asked twice
# ------------------------
# Between the waves each question moves as a whole (``drift``), and each group beside it (``shift_drift``). Effects of
# groups have a standard deviation of 0.4 on the same scale.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import softmax

from surveysim import FusedRegressor, tabulate
from surveysim.baselines import LogitRegressor
from surveysim.datasets import load_anes96, make_next_wave, make_survey
from surveysim.metrics import js_divergence, total_variation
from surveysim.sources import Wave

last_year = make_survey(
    1500, n_backgrounds=3, n_questions=8, n_levels=[4, 3, 2], random_state=3
)
this_year = make_next_wave(last_year, 4000, drift=0.25, shift_drift=0.1, random_state=4)
X, truth, questions = this_year.truth_X, this_year.truth_P, this_year.questions

earlier = last_year.tabulate()
wave = Wave(earlier, name="last year")
print(wave)

# %%
# The wave, the interviews, and both
# ----------------------------------
# Three samples of each size. The fourth line is a wave that is wrong: each question has the answers to another.

wrong = Wave(
    earlier,
    questions={f"q{i + 1}": f"q{(i + 3) % 8 + 1}" for i in range(8)},
    name="wrong",
)
alone = LogitRegressor(question=questions).fit(
    earlier.X, earlier.Y, sample_weight=earlier.n
)
sizes, found = [50, 100, 200, 500, 1000], []
for n in sizes:
    for seed in range(3):
        sample = tabulate(
            this_year.data.sample(n, random_state=seed),
            this_year.backgrounds,
            questions,
        )
        models = {"interviews alone": FusedRegressor(None, question=questions)}
        models["interviews and last year's wave"] = FusedRegressor(
            wave, question=questions
        )
        models["interviews and a wrong wave"] = FusedRegressor(
            wrong, question=questions
        )
        for name, model in models.items():
            model.fit(sample.X, sample.Y, sample_weight=sample.n)
            found.append((name, n, model.predict(X)))
    found.append(("last year's wave alone", n, alone.predict(X)))
results = pd.DataFrame(
    [
        (name, n, 100 * total_variation(truth, P), 1000 * js_divergence(truth, P))
        for name, n, P in found
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
# With the old wave 200 interviews are as good as 500 without it, and both
# together are better than either at every size. The wrong wave is found out: it costs next to nothing.
#
# A real wave, asked with other levels
# ------------------------------------
# The American National Election Study of 1996 is real. **The later wave is not**: 200 people are drawn from its groups,
# and their answers from the study's logit after every question has moved a little. The later questionnaire has three
# levels of education where the study had seven. You have to say which is which; ``Wave`` never guesses.

study = load_anes96()
asked = {name: study.questions[name] for name in ("PID", "selfLR", "ClinLR", "DoleLR")}
backgrounds = ["age group", "education"]
school, degree = "high school or less", "college degree or more"
coarse = {
    "1-8 grades": school, "Some high school": school, "High school graduate": school,
    "College degree": degree, "Master's degree": degree, "PhD": degree,
}  # fmt: skip
of_1996 = Wave(
    study.tabulate(backgrounds, list(asked)),
    levels={"education": coarse},
    time=1996,
    name="ANES 1996",
)

people = study.data[[*backgrounds, *asked]].copy()
levels = [school, "some college", degree]
people["education"] = pd.Categorical(
    people["education"]
    .astype(object)
    .map(lambda text: coarse.get(text, "some college")),
    levels,
    ordered=True,
)
merged = tabulate(people, backgrounds, asked)
logit = LogitRegressor(question=asked).fit(merged.X, merged.Y, sample_weight=merged.n)

rng = np.random.default_rng(1)
groups = (
    people[backgrounds]
    .drop_duplicates()
    .sort_values(["education", "age group"], ignore_index=True)
)
drawn = people[backgrounds].sample(200, random_state=3).reset_index(drop=True)
place = drawn.merge(groups.reset_index(), how="left")["index"].to_numpy()
true_now, answers = {}, drawn.copy()
for name, question in asked.items():
    position = np.arange(question.n_options) - (question.n_options - 1) / 2
    P = logit.predict(groups.assign(question=name)[["question", *backgrounds]])
    true_now[name] = softmax(
        np.log(P) + rng.normal(scale=0.3) * position / position.std(), axis=1
    )
    chosen = (
        rng.random(200)[:, None] > true_now[name][place].cumsum(axis=1)[:, :-1]
    ).sum(axis=1)
    answers[name] = np.array(question.options)[chosen]

# %%
# The 200 interviews, with and without the study of 1996.

sample = tabulate(answers, backgrounds, asked)
cells = pd.concat([groups.assign(question=name) for name in asked], ignore_index=True)[
    ["question", *backgrounds]
]
exact = np.concatenate(list(true_now.values()))
fits = {
    "200 interviews alone": FusedRegressor(None, question=asked),
    "with the study of 1996": FusedRegressor(of_1996, question=asked, time=2000),
}
lines = {
    "1996 alone": {
        "off by, percentage points": 100 * total_variation(exact, logit.predict(cells)),
        "divergence": 1000 * js_divergence(exact, logit.predict(cells)),
    }
}
for name, model in fits.items():
    model.fit(sample.X, sample.Y, sample_weight=sample.n)
    low, high = model.predict_interval(cells, random_state=0)
    lines[name] = {
        "off by, percentage points": 100 * total_variation(exact, model.predict(cells)),
        "divergence": 1000 * js_divergence(exact, model.predict(cells)),
        "90% interval, width in points": 100 * (high - low).mean(),
        "holds the truth": ((low <= exact) & (exact <= high)).mean(),
    }
summary = pd.DataFrame(lines).T
summary.round(2)

# %%
# Half the divergence of the interviews, and intervals little more than half as wide. Each of the two alone is worse.
# What the study was worth, in respondents per group and question (200 interviews are 17 a group):

fits["with the study of 1996"].sources_.round(1)

# %%
# The share of Democrats (the first three of seven points) by group, with 90% intervals.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(12, 4.8), width_ratios=[1, 1.15], layout="constrained"
)
colors = {"interviews alone": "#22272e", "interviews and last year's wave": "#0b6bcb",
          "interviews and a wrong wave": "#c2255c", "last year's wave alone": "#868e96"}  # fmt: skip
for name, color in colors.items():
    left.plot(
        sizes,
        table.loc[name],
        "--" if "wave alone" in name else "o-",
        color=color,
        label=name,
    )
left.set_xscale("log")
left.set_yscale("log")
left.set_xticks(sizes, sizes)
left.set_yticks([2, 5, 10, 20, 50], [2, 5, 10, 20, 50])
left.minorticks_off()
left.set_xlabel("interviews")
left.set_title("Divergence from the truth, thousandths of a bit")
left.legend(fontsize=9)

party = cells[cells["question"] == "PID"].reset_index(drop=True)
height = np.arange(len(party))
for shift, color, (name, model) in zip(
    (0.17, -0.17), ("#22272e", "#0b6bcb"), fits.items(), strict=True
):
    draws = model.predict_draws(party, 1000, random_state=0)[:, :, :3].sum(axis=2)
    low, middle, high = 100 * np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
    right.errorbar(
        middle,
        height + shift,
        xerr=[middle - low, high - middle],
        fmt="o",
        ms=4,
        color=color,
        label=name,
    )
right.plot(
    100 * true_now["PID"][:, :3].sum(axis=1),
    height,
    "|",
    ms=14,
    mew=2,
    color="#2b8a3e",
    label="truth",
)
right.plot(
    100 * logit.predict(party)[:, :3].sum(axis=1),
    height,
    "x",
    color="#868e96",
    label="1996 alone",
)
right.set_yticks(
    height,
    party["education"].astype(str) + ", " + party["age group"].astype(str),
    fontsize=8,
)
right.set_xlabel("percent Democrats")
right.set_title("A real wave and a simulated later one")
right.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 0.0))
plt.show()
