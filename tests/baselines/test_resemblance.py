"""How far the resemblance of questions is shrunk: by hand, and in surveys of many questions and few groups."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from surveysim import Question
from surveysim.baselines import LogitRegressor
from surveysim.baselines.features import BackgroundEncoder
from surveysim.baselines.resemblance import IDENTITY_TERMS, free_effects, identity_terms, learned_resemblance
from surveysim.contrasts import option_contrasts

LIKERT = ["disagree", "rather disagree", "neither", "rather agree", "agree"]


@pytest.mark.parametrize(
    ("n_questions", "n_effects", "expected"),
    [
        (8, 9, 20.0),  # few questions, many effects
        (20, 9, 20.0),
        (45, 100, 45.0),  # proper only with more than there are questions
        (45, 10, 45.0 * 2.0),  # twice the 2.25 questions to an effect
        (18, 1, 20.0 * 8.0),
        (18, 0, 20.0 * 8.0),
    ],
)
def test_the_identity_counts_for_more_where_effects_are_few(n_questions, n_effects, expected):
    assert identity_terms(n_questions, n_effects) == pytest.approx(expected)


@given(st.integers(2, 200), st.integers(1, 200))
def test_more_questions_or_fewer_effects_never_shrink_less(n_questions, n_effects):
    weight = identity_terms(n_questions, n_effects)
    assert weight >= max(IDENTITY_TERMS, n_questions)
    assert identity_terms(n_questions + 1, n_effects) >= weight
    assert identity_terms(n_questions, n_effects + 1) <= weight


def test_a_linear_score_is_not_a_further_effect():
    frame = pd.DataFrame({"age": [1, 2, 3, 1], "sex": ["f", "m", "f", "m"]})
    blocks = BackgroundEncoder(linear=True, pairs=True).fit(frame).blocks
    assert {block.kind for block in blocks} == {"levels", "linear", "pair"}
    assert free_effects(blocks) == 2 + 1


def test_resemblance_is_the_mean_of_products_and_identity_by_hand():
    products = np.array([[30.0, 12.0], [12.0, 30.0]])
    R = learned_resemblance(products, 30, 30)
    # (30 + 20) / 50 on the diagonal, 12 / 50 beside it
    np.testing.assert_allclose(R, [[1.0, 0.24], [0.24, 1.0]])


def test_its_scale_is_one_and_it_is_positive_definite():
    generator = np.random.default_rng(0)
    root = generator.normal(size=(6, 2)) * 5  # two effects of six questions: of rank 2
    R = learned_resemblance(root @ root.T, 2, 2)
    assert np.exp(np.log(np.diag(R)).mean()) == pytest.approx(1.0)
    assert np.linalg.eigvalsh(R).min() > 0


def errors(n_questions, n_levels, respondents, seed):
    """Mean squared error of the shares of each prior; groups' effects on questions have nothing in common."""
    generator = np.random.default_rng(seed)
    groups = ["abcdef"[:size] for size in n_levels]
    cells = pd.DataFrame(list(itertools.product(*groups)), columns=[f"x{i}" for i in range(len(groups))])
    contrasts, _ = option_contrasts(np.arange(5.0))
    questions = {f"Q{q}": Question(f"Thing {q}?", LIKERT) for q in range(n_questions)}
    truth = []
    for _ in questions:
        scores = np.tile(generator.normal(0, [0.7, 0.5, 0.3, 0.3]), (len(cells), 1))
        for name in cells:
            code = pd.factorize(cells[name])[0]
            scores[:, 0] += generator.normal(0, 0.2, code.max() + 1)[code]
        truth.append(softmax(scores @ contrasts, axis=1))
    P = np.concatenate(truth)
    X = pd.concat([cells.assign(question=name) for name in questions], ignore_index=True)
    Y = generator.multinomial(respondents, P) / respondents
    found = {}
    for prior in ("auto", "eb"):
        model = LogitRegressor(prior=prior, question=questions).fit(X, Y, np.full(len(X), float(respondents)))
        found[prior] = np.mean((model.predict(X) - P) ** 2)
    return found


@pytest.mark.parametrize("n_levels", [(2,), (4,), (2, 2)])
def test_many_questions_and_few_groups_lose_nothing_by_pooling(n_levels):
    found = pd.DataFrame([errors(40, n_levels, 20, seed) for seed in range(3)]).mean()
    # with the identity at 20 terms whatever the questions: 2, 9 and 7% more
    assert found["auto"] < 1.01 * found["eb"]
