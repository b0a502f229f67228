"""Templates: five wordings, every literal a field, refused where a prompt would lose its question."""

from dataclasses import fields, replace

import pytest

from surveysim import Question
from surveysim.prompts import Template, get_template, render, template_names

QUESTION = Question("How do you feel?", ["good", "bad"], context="Panel, 2020")


def test_default_comes_first_with_at_least_four_rewordings():
    names = template_names()
    assert names[0] == "default"
    assert len(names) >= 5
    texts = {render(get_template(name), QUESTION, {"age": 27}, labels="AB") for name in names}
    assert len(texts) == len(names)


@pytest.mark.parametrize("name", template_names())
def test_every_template_shows_question_options_context_and_background(name):
    prompt = render(get_template(name), QUESTION, {"age group": "18-29", "sex": "female"}, labels="AB")
    for part in ("How do you feel?", "good", "bad", "Panel, 2020", "age group", "18-29", "sex", "female"):
        assert part in prompt.user
    assert "label" in prompt.system


def test_names_and_templates_are_both_accepted():
    template = get_template("default")
    assert get_template(template) is template
    with pytest.raises(ValueError, match=r"unknown template 'defualt'.*'interview'"):
        get_template("defualt")  # codespell:ignore
    with pytest.raises(TypeError, match="a name or a Template, got 3"):
        get_template(3)


def test_a_survey_can_be_asked_in_any_language():
    german = Template(
        "deutsch",
        system="Antworte wie diese Person. Nenne nur den Buchstaben.",
        verbalized_system="Schätze die Anteile in Prozent als JSON.",  # codespell:ignore
        context="Umfrage: {context}",
        question="Frage: {question}",
        background="Person: {background}",
        no_background="Person: beliebig",
        missing="keine Angabe",
        true="ja",
        false="nein",
        examples_heading="Andere Antworten:",
        cue="Antwort:",
    )
    question = Question("Wie geht es Ihnen?", ["gut", "schlecht"], context="Panel 2020")
    prompt = render(german, question, {"Alter": 27, "verheiratet": True, "Kinder": None}, labels="AB")
    assert prompt.plain() == (
        "Antworte wie diese Person. Nenne nur den Buchstaben.\n"
        "Umfrage: Panel 2020\nFrage: Wie geht es Ihnen?\nA. gut\nB. schlecht\n"
        "Person: Alter: 27; verheiratet: ja; Kinder: keine Angabe\nAntwort:"
    )


def test_no_word_of_a_prompt_comes_from_anywhere_but_the_fields():
    blank = Template(**{field.name: "" for field in fields(Template)} | {
        "name": "blank", "question": "{question}", "option": "{label}{option}", "attribute": "{value}",
        "background": "{background}", "line_break": "|",
    })  # fmt: skip
    prompt = render(blank, QUESTION, {"age": 27, "sex": None}, labels="AB")
    assert prompt.plain() == "|How do you feel?|Agood|Bbad|27"


@pytest.mark.parametrize(
    ("field", "pattern", "message"),
    [
        ("question", "Q: {qestion}", r"'question' refers to \['qestion'\]; it may refer to \['question'\]"),
        ("question", "no question", r"'question' must contain \{question\}"),
        ("background", "nobody", r"'background' must contain \{background\}"),
        ("option", "{option}", r"'option' must contain \{label\}"),
        ("option", "{label}", r"'option' must contain \{option\}"),
        ("attribute", "{name}", r"'attribute' must contain \{value\}"),
        ("context", "{", r"'context' is not a valid pattern"),
        ("example", "{0}", r"'example' refers to \['0'\]"),
    ],
)
def test_patterns_that_would_lose_something_are_refused(field, pattern, message):
    with pytest.raises(ValueError, match=message):
        replace(get_template("default"), **{field: pattern})


def test_fields_must_be_strings_and_known():
    with pytest.raises(TypeError, match="'cue' must be a string, got None"):
        replace(get_template("default"), cue=None)
    with pytest.raises(TypeError, match="qestion"):
        replace(get_template("default"), qestion="?")


def test_literal_braces_are_written_twice():
    template = replace(get_template("default"), option="{{{label}}} {option}")
    assert "{A} good" in render(template, QUESTION, None, labels="AB").user


def test_templates_are_values():
    assert get_template("default") == Template("default")
    assert len({get_template(name) for name in template_names()}) == len(template_names())
