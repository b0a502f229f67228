"""From cells to token ids."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim import Question
from surveysim.prompts import get_template, render
from surveysim.trunk.encode import encode_cells
from tests.simulated import HAPPY, QUESTIONS, simulate

DEFAULT = get_template("default")


def encode(model, frame, question_index=None, questions=(HAPPY,)):
    index = np.zeros(len(frame), dtype=int) if question_index is None else np.asarray(question_index)
    return encode_cells(model, DEFAULT, frame, index, list(questions))


def whole_texts(model, frame, question_index, questions):
    labels = [model.labels(question.n_options).letters for question in questions]
    return [
        model.to_text(render(DEFAULT, questions[q], dict(row), labels=labels[q]))
        for q, row in zip(question_index, frame.to_dict("records"), strict=True)
    ]


def test_token_ids_are_those_of_the_whole_prompts(model):
    X = simulate(QUESTIONS).X
    question_index = np.array(X["question"].map(list(QUESTIONS).index))
    frame, questions = X.drop(columns="question"), list(QUESTIONS.values())
    prompts = encode(model, frame, question_index, questions)
    expected = model.encode(whole_texts(model, frame, question_index, questions))
    assert [list(prompts.whole(row)) for row in prompts.index] == expected
    assert all(prompts.suffixes)
    assert len(prompts.prefixes) == 3
    # what the prompts of a question share is by far the larger part
    assert min(map(len, prompts.prefixes)) > max(map(len, prompts.suffixes))


def test_each_distinct_prompt_comes_once(model):
    frame = pd.DataFrame({"age": ["old", "young", "old", "old"], "sex": ["man", "man", "man", None]})
    prompts = encode(model, frame)
    assert len(prompts) == 3
    assert prompts.index.tolist() == [0, 1, 0, 2]


def test_a_prompts_key_does_not_depend_on_its_company(model):
    """Folds of a cross-validation share trunk states only if a prompt is cut at the same place in all of them."""
    X = simulate().X
    whole = encode(model, X)
    for row in range(len(X)):
        lone = encode(model, X.iloc[[row]])
        assert lone.prefixes[0] == whole.prefixes[0]
        assert lone.suffixes[0] == whole.suffixes[whole.index[row]]


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b", ""],
        [1, 2, 3],
        [0, 1, 0],
        ["0", "Q", "01"],
        [True, False, None],
        [1.5, np.nan, 2.0],
        ["Ärzte", "Öl", "x"],
    ],
)
def test_values_of_all_kinds_keep_at_least_one_token_after_the_prefix(model, values):
    frame = pd.DataFrame({"x": values})
    prompts = encode(model, frame)
    expected = model.encode(whole_texts(model, frame, [0, 0, 0], [HAPPY]))
    assert [list(prompts.whole(row)) for row in prompts.index] == expected
    assert all(prompts.suffixes)


def test_without_attributes_everybody_is_meant(model):
    prompts = encode(model, pd.DataFrame(index=range(3)))
    assert len(prompts) == 1
    assert prompts.index.tolist() == [0, 0, 0]
    assert len(prompts.suffixes[0]) == 1


def test_questions_of_the_same_wording_share_their_prompts(model):
    frame = pd.DataFrame({"age": ["old", "young"] * 2})
    nominal = Question(HAPPY.text, HAPPY.options, ordinal=False)
    prompts = encode(model, frame, [0, 0, 1, 1], [HAPPY, nominal])
    assert prompts.index.tolist() == [0, 1, 0, 1]
    expected = model.encode(whole_texts(model, frame, [0, 0, 1, 1], [HAPPY, nominal]))
    assert [list(prompts.whole(row)) for row in prompts.index] == expected
