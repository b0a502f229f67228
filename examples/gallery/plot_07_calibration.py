"""
Calibration with one to ten questions
=====================================

A language model that is asked, and not trained, is too sure of itself. A handful of questions whose answers are known
corrects it for all others.

**The language model on this page is simulated**, so that the truth is known and nothing is downloaded: its answers are
made from the true distributions of an invented survey, with errors of the kind that real models make. How much
calibration gains here says nothing about any real model; :doc:`/calibration` has measurements of those.
"""

# %%
# A survey with a known truth, and a simulated model
# --------------------------------------------------
# 60 questions, six groups. The simulated model is three times too sure in logits, exaggerates the differences between
# groups by half on top of that, and is mistaken about the level of every question.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import softmax

from surveysim import CalibratedElicitor
from surveysim.datasets import make_survey
from surveysim.elicitation.recorded import RecordedElicitor
from surveysim.metrics import opinion_alignment

survey = make_survey(
    1000, n_backgrounds=2, n_questions=60, n_levels=[2, 3], random_state=0
)
X, truth = survey.truth_X, survey.truth_P


def simulate_elicitor(seed: int) -> np.ndarray:
    """What an overconfident, mistaken model says of each cell of the survey."""
    rng = np.random.default_rng(seed)
    logits = np.log(truth)
    said = np.empty_like(truth)
    for name in survey.questions:
        rows = (X["question"] == name).to_numpy()
        level = logits[rows].mean(axis=0)
        mistaken = level + rng.normal(scale=0.35, size=level.shape)
        said[rows] = softmax(3 * (mistaken + 1.5 * (logits[rows] - level)), axis=1)
    return said


said = simulate_elicitor(0)
elicitor = RecordedElicitor(X, said, question=survey.questions, elicited_by="logprob")

# %%
# ``RecordedElicitor`` makes an estimator of distributions that were elicited anywhere; ``elicited_by`` says how, since
# log-probabilities and written-out percentages err in different ways. Instead of it, a
# :class:`~surveysim.ZeroShotElicitor` would ask a model.
#
# Learn from a few questions, judge on all others
# -----------------------------------------------
# The unit is the *question*: the groups of one question share its error, so that more groups of the same question
# teach little. Opinion alignment, 0 to 100, is measured on questions that calibration did not see, over ten draws of
# examples.

names = np.array(list(survey.questions))
numbers = [0, 1, 2, 5, 10, 20]
found = []
for seed in range(10):
    order = np.random.default_rng(seed).permutation(names)
    test = X["question"].isin(order[20:]).to_numpy()
    for n in numbers:
        known = X["question"].isin(order[:n]).to_numpy()
        for calibrator in ("tempered", "linear"):
            if n == 0:
                if calibrator == "linear":
                    continue
                model = CalibratedElicitor(elicitor).fit(X)
            else:
                model = CalibratedElicitor(elicitor, calibrator=calibrator).fit(
                    X[known], truth[known]
                )
            found.append(
                (
                    calibrator,
                    n,
                    seed,
                    opinion_alignment(truth[test], model.predict(X[test])),
                )
            )
        if n:
            mean = np.tile(truth[known].mean(axis=0), (test.sum(), 1))
            found.append(
                (
                    "no model: mean of the examples",
                    n,
                    seed,
                    opinion_alignment(truth[test], mean),
                )
            )
    found.append(("as it says", 0, seed, opinion_alignment(truth[test], said[test])))
results = pd.DataFrame(found, columns=["method", "examples", "draw", "alignment"])
results.groupby(["method", "examples"])["alignment"].mean().unstack().round(1)

# %%
# With no example at all, ``fit(X)`` applies what is known of log-probabilities in general, and one example question
# already gives the size of the correction for this model. The regression for each option, ``"linear"``, has more to
# learn and needs more questions. One line uses no language model at all: a calibrated model that does not beat the mean
# of the examples has said nothing about the questions.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(12, 4.5), width_ratios=[1.2, 1], layout="constrained"
)
styles = {
    "tempered": "#0b6bcb",
    "linear": "#9a6700",
    "no model: mean of the examples": "#8b949e",
}
for name, color in styles.items():
    own = results[results["method"] == name].groupby("examples")["alignment"]
    place = [numbers.index(n) for n in own.mean().index]
    left.fill_between(
        place, own.quantile(0.1), own.quantile(0.9), color=color, alpha=0.15, lw=0
    )
    left.plot(place, own.mean(), "o-", color=color, label=name)
left.axhline(
    results[results["method"] == "as it says"]["alignment"].mean(),
    color="#c2255c",
    ls="--",
    label="as it says",
)
left.set_xticks(range(len(numbers)), numbers)
left.set_xlabel("questions with known answers")
left.set_ylabel("opinion alignment on other questions")
left.set_title("Mean of ten draws (bands: 10th to 90th percentile)")
left.legend(loc="center right", fontsize=9)

known = X["question"].isin(names[:5]).to_numpy()
test = X["question"].isin(names[20:]).to_numpy()
model = CalibratedElicitor(elicitor).fit(X[known], truth[known])
right.plot([0, 1], [0, 1], color="#22272e", lw=1)
for shares, color, label in (
    (said, "#c2255c", "as it says"),
    (None, "#0b6bcb", "calibrated on 5 questions"),
):
    shares = model.predict(X[test]) if shares is None else shares[test]
    right.plot(
        shares.ravel(),
        truth[test].ravel(),
        ".",
        ms=3,
        alpha=0.5,
        color=color,
        label=label,
    )
right.set_xlabel("share according to the model")
right.set_ylabel("true share")
right.set_title("Every option of every group")
right.legend(loc="lower right", markerscale=4, fontsize=9)
plt.show()

# %%
# What was learned can be read. The simulated model was made three times too sure, so that its logits should be
# multiplied by about a third (less for the exaggerated gaps and the mistakes, which no exponent takes back):

calibrator = model.calibrator_
print(f"exponent {np.exp(calibrator.calibrators_['ordinal'].power_.log_t):.2f}")
print(calibrator.gates_["ordinal"])
