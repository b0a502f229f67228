"""Generated surveys: valid questions and distributions, effects of random sign, and nothing held out that leaks."""

import json
import re

import numpy as np
import pytest

from surveysim.prompts import describe_background, get_template
from tools.nano import surveys
from tools.nano.attributes import KINDS, ORDERED_KINDS, Attribute, sample_attribute
from tools.nano.effects import features
from tools.nano.evaluate import parse
from tools.nano.surveys import KIND_SHARES, answer_text, sample_task
from tools.nano.wording import FIRST, SECOND


def tasks(n, seed=0, **how):
    rng = np.random.default_rng(seed)
    return [sample_task(rng, **how) for _ in range(n)]


@pytest.mark.parametrize("kind", list(KIND_SHARES))
def test_tasks_are_well_formed(kind):
    for task in tasks(150, kind=kind):
        m, n_options = len(task.backgrounds), task.question.n_options
        assert task.targets.shape == (m, n_options)
        assert (task.targets >= 0).all()
        np.testing.assert_allclose(task.targets.sum(1), 1, atol=1e-12)
        assert task.features.shape[0] == m
        assert np.isfinite(task.features).all()
        assert sorted(task.order) == list(range(n_options))
        assert len(set(task.labels)) == n_options
        assert task.prompt(0).user.endswith(describe_background(task.template, task.backgrounds[0]))


def test_the_backgrounds_of_a_task_differ():
    for task in tasks(100):
        rows = {json.dumps(background, default=str) for background in task.backgrounds}
        # Rows of single attributes may coincide once the missing ones are left out, all others may not.
        assert len(rows) == len(task.backgrounds) or any(len(b) < 2 for b in task.backgrounds)


def test_the_same_seed_makes_the_same_survey():
    for one, other in zip(tasks(20, seed=5), tasks(20, seed=5), strict=True):
        assert one.prompt(0) == other.prompt(0)
        np.testing.assert_array_equal(one.targets, other.targets)


def _slope(task):
    """Change of the mean option from the youngest to the oldest background, in the question's own order."""
    ages = np.array([background.get("age") for background in task.backgrounds], dtype=float)
    means = task.targets @ np.linspace(0, 1, task.question.n_options)
    return np.polyfit(ages[ages > 0], means[ages > 0], 1)[0]


def _aged(task):
    return task.question.ordinal and sum(background.get("age") is not None for background in task.backgrounds) > 1


def test_effects_have_random_sign(monkeypatch):
    """Nothing is to be learned about real people: age moves answers up as often as down."""
    levels = tuple((float(age), (age - 48) / 18, "") for age in range(20, 80, 10))
    monkeypatch.setattr(surveys, "_attributes", lambda rng, most: [Attribute("age", "age", levels, True)])
    for kind in ("bank", "stated", "examples"):
        slopes = np.array([_slope(task) for task in tasks(400, kind=kind) if _aged(task)])
        assert (np.abs(slopes) > 1e-4).mean() > 0.8
        up = (slopes > 0).mean()
        assert abs(up - 0.5) < 4 * np.sqrt(0.25 / len(slopes)), f"{kind}: age raises {up:.0%} of the answers"
    plain = [_slope(task) for task in tasks(50, kind="plain") if _aged(task)]
    np.testing.assert_allclose(plain, 0, atol=1e-12)


def test_near_backgrounds_have_near_features():
    bands = Attribute("age", "age", (("18-29", -1.4, ""), ("30-44", -0.6, ""), ("65+", 1.6, "")), True)
    young, middle, old = (features([bands], np.array([level])) for level in range(3))
    assert np.linalg.norm(young - middle) < np.linalg.norm(middle - old) < np.linalg.norm(young - old)
    # A number and a band at the same place of the scale are the same background, whatever their wording.
    number = Attribute("age", "Alter", ((23.0, -1.4, ""),), True)
    np.testing.assert_allclose(features([number], np.array([0])), young)
    woman = Attribute("gender", "sex", (("Woman", 0.0, "female"),), False)
    female = Attribute("gender", "gender", (("female", 0.0, "female"),), False)
    np.testing.assert_allclose(features([woman], np.array([0])), features([female], np.array([0])))


def test_every_kind_of_attribute_has_levels_in_order():
    rng = np.random.default_rng(0)
    for kind in KINDS:
        for _ in range(60):
            attribute = sample_attribute(rng, kind)
            assert len({str(value) for value, _, _ in attribute.levels}) == len(attribute.levels) >= 2
            if attribute.ordered:
                z = [z for _, z, _ in attribute.levels]
                assert z == sorted(z)
                assert kind in ORDERED_KINDS
            else:
                assert all(meaning for _, _, meaning in attribute.levels)


def test_held_out_topics_never_occur_in_training():
    def invented(task):
        words = re.findall(r"[A-Z][a-z]+", task.question.text)
        first, second = ([word for word in words if word in bank] for bank in (FIRST, SECOND))
        return first[0], second[0]

    seen = {invented(task) for task in tasks(2000, kind="bank")}
    unseen = {invented(task) for task in tasks(200, seed=1, kind="bank", held_out=True)}
    assert len(seen) > 500
    assert len(unseen) > 20
    assert not seen & unseen


def test_verbalised_answers_are_json_that_sums_to_100():
    for task in tasks(100, verbalized=True):
        answer = parse(answer_text(task, 0), task.labels)
        assert answer is not None
        assert sum(answer) == 100
        np.testing.assert_allclose(np.array(answer) / 100, task.targets[0][list(task.order)], atol=0.01)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "[1, 2]",
        "A 50 B 50",
        '{"A": 50}',
        '{"A": 50, "B": "50"}',
        '{"B": 50, "A": 50}',
        '{"A": 0, "B": 0}',
        '{"A": 120, "B": 1}',
    ],
)
def test_what_counts_as_unparsed(reply):
    assert parse(reply, "AB") is None


def test_a_template_can_be_asked_for():
    assert all(task.template is get_template("interview") for task in tasks(5, template="interview"))
