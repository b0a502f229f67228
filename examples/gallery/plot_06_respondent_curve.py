"""
DSA, its reference and the baselines on a respondent curve
==========================================================

How much is a fine-tuned language model worth, and how much of that is the language model? A respondent curve trains
everything on the same samples of growing size and compares with the respondents who were left over.
"""

# %%
# What is compared
# ----------------
# - the *pooled marginal*: all groups alike;
# - the *plain logit* and the *order-aware logit*: no language model;
# - *DSA, stage 1 alone*: the language model fitted to the distributions;
# - *DSA, two stages*: after that, shifts between groups are pulled towards a reference, here those of the order-aware
#   logit.
#
# The last one has two opponents: stage 1 alone, which says what the second stage is worth, and the logit, its own
# reference, which says what the language model is worth. The reference and its weight are set rather than chosen, the
# epochs are few and there are two samples of each size, so that this page runs in seconds;
# :doc:`/measured` has longer runs on several surveys.

import matplotlib.pyplot as plt
import pandas as pd

from surveysim import DSARegressor
from surveysim.datasets import load_fair
from surveysim.evaluation import (
    RespondentCurveDisplay,
    compare_models,
    respondent_curve,
    summarise_curve,
)

survey = load_fair()
dsa = {"shift_reference": "baseline", "max_epochs": 4, "random_state": 0}
curve = respondent_curve(
    {
        "DSA, stage 1 alone": DSARegressor(
            "nano", shift_weight=0, max_epochs=4, random_state=0
        ),
        "DSA, two stages": DSARegressor("nano", shift_weight=1.5, **dsa),
    },
    survey.data,
    survey.questions,
    backgrounds=["age", "religiousness"],
    sizes=[150, 400, 1000],
    n_splits=2,
)
(1000 * summarise_curve(curve, "js_debiased")).round(2)

# %%
# The debiased divergence from the truth in thousandths of a bit, crossed cells of at least 50 held-out respondents.
# Drawn with its own method, the raw divergence stands above the *floor*, which a perfect prediction would show because
# the truth is a sample, too.

figure, axes = plt.subplots(1, 2, figsize=(12, 5.4), layout="constrained")
for axis, (level, title) in zip(
    axes, {"cell": "crossed cells", "population": "everybody"}.items(), strict=True
):
    RespondentCurveDisplay.from_curve(curve, level=level, ax=axis)
    axis.set_title(title, loc="left")
plt.show()

# %%
# In small cells every model is far better than the shares of the sample. For everybody together, none is: the lines of
# the models lie on that of the sample.

# %%
# What may be credited to what?
# -----------------------------
# Differences over all three sizes, as shares of the opponent's divergence: below 0 is better. With one question the
# interval is over the few samples, and too narrow.

comparisons = {
    "second stage (two stages against stage 1)": compare_models(
        curve, "DSA, two stages", "DSA, stage 1 alone"
    ),
    "language model (two stages against its reference)": compare_models(
        curve, "DSA, two stages", "order-aware logit"
    ),
    "against the plain logit": compare_models(curve, "DSA, two stages", "plain logit"),
}
pd.DataFrame({name: table.loc["all"] for name, table in comparisons.items()}).T[
    ["difference", "low", "high"]
].round(2)

# %%
# Only the second row may be credited to the language model, and nano, which knows no facts, adds nothing. The first row
# is mostly the logit, by way of the reference shifts.
