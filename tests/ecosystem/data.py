"""One question and six cells that the tests of this folder share."""

from __future__ import annotations

import numpy as np
import pandas as pd

from surveysim import Question

QUESTION = Question("Are you content with your town?", ["no", "partly", "yes"])

X = pd.DataFrame({"age": ["18-29", "30-64", "65+"] * 2, "gender": ["woman"] * 3 + ["man"] * 3})

Y = np.array([[0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.3, 0.3, 0.4], [0.4, 0.4, 0.2], [0.3, 0.4, 0.3], [0.2, 0.4, 0.4]])

N = np.array([40.0, 50, 30, 40, 50, 30])

REVERSED = pd.DataFrame(Y, columns=QUESTION.options)[["yes", "partly", "no"]]
"""The same distributions, columns in another order."""
