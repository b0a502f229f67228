"""Does the wording of the prompt matter? The same estimator asked in several wordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone

from surveysim.evaluation.curves.protocol import passed_weight
from surveysim.interfaces import Estimator, Table
from surveysim.metrics import js_divergence
from surveysim.prompts import Template

__all__ = ["PromptConsistency", "prompt_consistency"]


@dataclass(frozen=True)
class PromptConsistency:
    """How much predictions differ between wordings.

    Attributes
    ----------
    pairwise : DataFrame of shape (n_templates, n_templates)
        Mean Jensen-Shannon divergence (bits) between the predictions of each two wordings.
    mean, largest : float
        Mean and largest of these, over different wordings: 0 where the wording does not matter.
    by_row : float64 array of shape (n_rows,)
        Each row's mean divergence over all pairs of wordings.
    divergence : Series or None
        Each wording's mean divergence to the truth, if there is one. The spread over wordings shows how much of a
        result is the choice of wording; the best of them is not an honest figure.
    predictions : dict of str to float64 array of shape (n_rows, K)

    Examples
    --------
    See `prompt_consistency`, which returns it:

    >>> import pandas as pd
    >>> from surveysim import Question, ZeroShotElicitor
    >>> from surveysim.evaluation import prompt_consistency
    >>> X = pd.DataFrame({"age": ["18-29", "65+"]})
    >>> question = Question("Content?", ["yes", "no"])
    >>> elicitor = ZeroShotElicitor("nano", method="logprob", question=question, random_state=0)
    >>> found = prompt_consistency(elicitor, X, ["default", "interview"])
    >>> list(found.predictions)
    ['default', 'interview']
    """

    pairwise: pd.DataFrame
    mean: float
    largest: float
    by_row: np.ndarray
    divergence: pd.Series | None
    predictions: Mapping[str, np.ndarray]


def prompt_consistency(
    estimator: Estimator,
    X: Table,
    templates: Sequence[str | Template] | Mapping[str, str | Template],
    *,
    train: tuple[Table, ArrayLike] | tuple[Table, ArrayLike, ArrayLike] | None = None,
    Y_true: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    truth_respondents: ArrayLike | None = None,
) -> PromptConsistency:
    """Ask in several wordings and compare the predictions.

    Parameters
    ----------
    estimator : estimator
        Unfitted or fitted, with a parameter ``template`` (also within a pipeline or another estimator). It is cloned
        and fitted once for each wording.
    X : DataFrame of shape (n_rows, n_columns)
        What is predicted.
    templates : sequence of str or Template, or mapping of names to them
        Two or more wordings, such as `surveysim.prompts.template_names`.
    train : tuple (X, Y) or (X, Y, sample_weight), optional
        What the clones are fitted on. None: ``fit(X, None)``, for elicitors, whose ``fit`` learns nothing.
    Y_true : array of shape (n_rows, K), optional
        The truth: adds each wording's divergence to it.
    sample_weight : array of shape (n_rows,), optional
        Weight of each row in the means.
    truth_respondents : float or array of shape (n_rows,), optional
        Respondents that the truth rests on; divergences from it are then debiased.

    Returns
    -------
    PromptConsistency

    Raises
    ------
    ValueError
        If there are fewer than two wordings or the estimator has no ``template``.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim import DSARegressor, Question
    >>> from surveysim.evaluation import prompt_consistency
    >>> X = pd.DataFrame({"age": ["18-29", "30-64", "65+"]})
    >>> Y = [[0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.3, 0.3, 0.4]]
    >>> question = Question("Are you content with your town?", ["yes", "partly", "no"])
    >>> model = DSARegressor("nano", question=question, max_epochs=2, random_state=0)
    >>> found = prompt_consistency(
    ...     model, X, ["default", "interview"], train=(X, Y, [40, 50, 30])
    ... )
    >>> found.pairwise.shape
    (2, 2)
    """
    named = _name_templates(templates)
    parameter = _template_parameter(estimator)
    fitted_on = (X, None) if train is None else train
    if len(fitted_on) not in (2, 3):
        raise ValueError(f"train must be (X, Y) or (X, Y, sample_weight), got {len(fitted_on)} parts")
    predictions = {}
    for name, template in named.items():
        asked = clone(estimator).set_params(**{parameter: template})
        weight = fitted_on[2] if len(fitted_on) == 3 else None
        asked.fit(fitted_on[0], fitted_on[1], **passed_weight(asked, weight))
        predictions[name] = np.asarray(asked.predict(X), dtype=np.float64)
    names = list(named)
    weight_of_row = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    pairwise = np.zeros((len(names), len(names)))
    rows = []
    for i, first in enumerate(names):
        for j, second in enumerate(names[:i]):
            between = js_divergence(predictions[first], predictions[second], average=False)
            rows.append(between)
            pairwise[i, j] = pairwise[j, i] = np.average(between, weights=weight_of_row)
    different = pairwise[np.tril_indices(len(names), -1)]
    divergence = None
    if Y_true is not None:
        divergence = pd.Series(
            {
                name: js_divergence(Y_true, P, sample_weight=sample_weight, truth_respondents=truth_respondents)
                for name, P in predictions.items()
            },
            name="js_divergence",
        )
    return PromptConsistency(
        pairwise=pd.DataFrame(pairwise, index=names, columns=names),
        mean=float(different.mean()),
        largest=float(different.max()),
        by_row=np.mean(rows, axis=0),
        divergence=divergence,
        predictions=predictions,
    )


def _name_templates(
    templates: Sequence[str | Template] | Mapping[str, str | Template],
) -> dict[str, str | Template]:
    if isinstance(templates, str):
        raise TypeError(f"templates must be a list of wordings to compare, got the string {templates!r}")
    if isinstance(templates, Mapping):
        named = dict(templates)
    else:
        names = [item if isinstance(item, str) else getattr(item, "name", None) for item in templates]
        named = {name or f"template {i}": item for i, (name, item) in enumerate(zip(names, templates, strict=True))}
        if len(named) < len(names):
            raise ValueError(f"templates names a wording twice: {names}; pass a mapping from names to templates")
    if len(named) < 2:
        raise ValueError(f"templates must hold at least two wordings to compare, got {len(named)}")
    return named


def _template_parameter(estimator: Estimator) -> str:
    names = [name for name in estimator.get_params(deep=True) if name.rpartition("__")[2] == "template"]
    if not names:
        raise ValueError(f"{type(estimator).__name__} has no parameter 'template', so it does not ask with a prompt")
    return min(names, key=lambda name: name.count("__"))
