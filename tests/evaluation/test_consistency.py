"""Prompt consistency: the same estimator in several wordings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from surveysim.baselines import LogitRegressor
from surveysim.evaluation import prompt_consistency
from surveysim.metrics import js_divergence
from surveysim.prompts import Template

X = pd.DataFrame({"age": ["young", "old"]})
SAID = {"a": [[0.2, 0.8], [0.5, 0.5]], "b": [[0.4, 0.6], [0.5, 0.5]], "c": [[0.4, 0.6], [0.1, 0.9]]}


class Scripted(BaseEstimator):
    """Says what its wording says; remembers what it was fitted on."""

    fitted_on: list[Any] = []

    def __init__(self, template: Any = "a") -> None:
        self.template = template

    def fit(self, X: Any, Y: Any, sample_weight: Any = None) -> Scripted:
        Scripted.fitted_on.append((X, Y, sample_weight))
        self.is_fitted_ = True
        return self

    def predict(self, X: Any) -> np.ndarray:
        return np.array(SAID[self.template])


def test_divergences_between_wordings() -> None:
    found = prompt_consistency(Scripted(), X, ["a", "b", "c"])
    ab, bc = js_divergence(SAID["a"], SAID["b"]), js_divergence(SAID["b"], SAID["c"])
    assert found.pairwise.loc["a", "b"] == pytest.approx(ab)
    assert found.pairwise.loc["c", "b"] == pytest.approx(bc)
    assert (np.diag(found.pairwise) == 0).all()
    ac = js_divergence(SAID["a"], SAID["c"])
    assert found.mean == pytest.approx((ab + bc + ac) / 3)
    assert found.largest == pytest.approx(max(ab, bc, ac))
    assert found.by_row.mean() == pytest.approx(found.mean)
    assert found.divergence is None


def test_weights_and_the_truth() -> None:
    found = prompt_consistency(Scripted(), X, ["a", "b"], Y_true=SAID["a"], sample_weight=[3, 1])
    rows = js_divergence(SAID["a"], SAID["b"], average=False)
    assert found.mean == pytest.approx((3 * rows[0] + rows[1]) / 4)
    assert found.divergence is not None
    assert found.divergence.to_dict() == pytest.approx({"a": 0.0, "b": (3 * rows[0] + rows[1]) / 4})


def test_equal_wordings_are_consistent() -> None:
    found = prompt_consistency(Scripted(), X, {"first": "a", "second": "a"})
    assert found.mean == found.largest == 0


def test_each_wording_is_fitted_on_the_training_cells_never_on_the_truth() -> None:
    Scripted.fitted_on.clear()
    prompt_consistency(Scripted(), X, ["a", "b"], Y_true=SAID["a"])
    assert [Y for _, Y, _ in Scripted.fitted_on] == [None, None]
    Scripted.fitted_on.clear()
    model = Scripted()
    prompt_consistency(model, X, ["a", "b"], train=(X, SAID["c"], [5, 6]))
    assert [weight for _, _, weight in Scripted.fitted_on] == [[5, 6]] * 2
    assert model.template == "a"


def test_a_template_within_another_estimator_is_found() -> None:
    found = prompt_consistency(Pipeline([("ask", Scripted())]), X, ["a", "b"], train=(X, SAID["a"]))
    assert found.mean == pytest.approx(js_divergence(SAID["a"], SAID["b"]))


def test_templates_are_named_by_themselves() -> None:
    class Named(Scripted):
        def predict(self, X: Any) -> np.ndarray:
            return np.array(SAID["a"])

    found = prompt_consistency(Named(), X, [Template(name="mine"), "b"])
    assert found.pairwise.columns.tolist() == ["mine", "b"]


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"templates": ["a"]}, ValueError, "at least two wordings"),
        ({"templates": "default"}, TypeError, "must be a list of wordings"),
        ({"templates": ["a", "a"]}, ValueError, "names a wording twice"),
        ({"estimator": LogitRegressor()}, ValueError, "no parameter 'template'"),
        ({"train": (X,)}, ValueError, "train must be"),
    ],
)
def test_what_is_refused(parameters: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        prompt_consistency(**{"estimator": Scripted(), "X": X, "templates": ["a", "b"], **parameters})


def test_an_unfitted_model_without_training_cells_says_what_it_lacks() -> None:
    class Asking(LogitRegressor):
        def __init__(self, template: str = "a") -> None:
            super().__init__()
            self.template = template

    with pytest.raises(ValueError, match="requires y to be passed"):
        prompt_consistency(Asking(), X, ["a", "b"])
