"""Prompt templates: every word around a question, as fields, in five wordings."""

from __future__ import annotations

import string
from dataclasses import dataclass, fields

__all__ = ["Template", "get_template", "template_names"]

# What each field may refer to in braces. Fields that are not listed here are literal text.
_PLACEHOLDERS: dict[str, tuple[str, ...]] = {
    "context": ("context",),
    "question": ("question",),
    "option": ("label", "option"),
    "attribute": ("name", "value"),
    "background": ("background",),
    "example": ("background", "answers"),
    "example_answer": ("label", "option", "percent"),
    "sequence_system": ("n",),
}


@dataclass(frozen=True)
class Template:
    """The wording of a prompt. Change any field, for instance to ask in another language.

    The text of a prompt is built in this order: `system`; then, one below the other, `context` (where the question
    has one), `question`, one `option` a line, the examples where there are any, and last the `background`, so that
    prompts on the same question share their beginning. The request itself is in the system text, or in
    `verbalized_system` if percentages are wanted instead of one label, or in `sequence_system` if the labels of many
    respondents are.

    Parameters
    ----------
    name : str
        The name by which errors and fitted models refer to it.
    system : str
        Who is asked, and for what: one label.
    verbalized_system : str
        The same, when the answer is to be a JSON object of whole percentages.
    sequence_system : str
        The same, when the answer is to be the labels of ``{n}`` respondents.
    context, question, option, attribute, background, example, example_answer : str
        Patterns with fields in braces; see the defaults for which.
    no_background : str
        Stands for `background` when there is none: all respondents.
    separator : str
        Between two attributes.
    missing, true, false : str
        Phrases for missing values and booleans.
    examples_heading : str
        Line above the examples; may be empty.
    example_separator : str
        Between the options of one example.
    line_break : str
        Between the parts of the prompt.
    cue : str
        Ends the prompt of a model that has no chat template.

    Examples
    --------
    >>> from dataclasses import replace
    >>> german = replace(
    ...     get_template("default"),
    ...     name="deutsch",
    ...     question="Frage: {question}",
    ...     background="Person: {background}",
    ...     missing="keine Angabe",
    ...     true="ja",
    ...     false="nein",
    ... )
    >>> german.missing
    'keine Angabe'
    """

    name: str
    system: str = "Answer the survey question as this person would. Reply with the label of one option."
    verbalized_system: str = (
        "Estimate how people like this answer the survey question. Reply with a JSON object that gives each label its "
        "percentage, whole numbers that sum to 100."
    )
    context: str = "Survey: {context}"
    sequence_system: str = (
        "Answer the survey question as {n} different people like this would. Reply with {n} labels separated by "
        "spaces, one for each person."
    )
    question: str = "Question: {question}"
    option: str = "{label}. {option}"
    attribute: str = "{name}: {value}"
    separator: str = "; "
    background: str = "Person: {background}"
    no_background: str = "Person: anyone"
    missing: str = "not stated"
    true: str = "yes"
    false: str = "no"
    examples_heading: str = "Answers of others:"
    example: str = "{background} -> {answers}"
    example_answer: str = "{label} {percent}%"
    example_separator: str = ", "
    line_break: str = "\n"
    cue: str = "Answer:"

    def __post_init__(self) -> None:
        for field in fields(self):
            pattern = getattr(self, field.name)
            if not isinstance(pattern, str):
                raise TypeError(f"template field {field.name!r} must be a string, got {pattern!r}")
            allowed = _PLACEHOLDERS.get(field.name)
            if allowed is None:
                continue
            try:
                used = {name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None}
            except ValueError as error:
                raise ValueError(
                    f"template field {field.name!r} is not a valid pattern: {pattern!r} ({error})"
                ) from None
            unknown = sorted(used - set(allowed))
            if unknown:
                raise ValueError(
                    f"template field {field.name!r} refers to {unknown}; it may refer to {list(allowed)}. "
                    "Write {{ and }} for literal braces"
                )
        # A prompt that lost its question, options or background would still run, and quietly answer something else.
        for name, needed in (("question", "question"), ("background", "background"), ("attribute", "value")):
            if "{" + needed not in getattr(self, name):
                raise ValueError(f"template field {name!r} must contain {{{needed}}}, got {getattr(self, name)!r}")
        for needed in ("label", "option"):
            if "{" + needed not in self.option:
                raise ValueError(f"template field 'option' must contain {{{needed}}}, got {self.option!r}")


_TEMPLATES = {
    template.name: template
    for template in (
        Template("default"),
        Template(
            "interview",
            system="You are a respondent in a survey interview. Choose one option and say only its label.",
            verbalized_system=(
                "Many respondents with this description are interviewed. Say what percentage chooses each option: a "
                "JSON object from label to whole number, summing to 100."
            ),
            sequence_system=(
                "{n} respondents with this description are interviewed one after the other. Write down what each of "
                "them answers: {n} labels separated by spaces."
            ),
            context="The survey: {context}",
            question="The interviewer asks: {question}",
            option="({label}) {option}",
            attribute="{name} {value}",
            separator=", ",
            background="You are: {background}",
            no_background="You are: a respondent",
            missing="unknown",
            examples_heading="What other respondents said:",
            example="{background}: {answers}",
            example_answer="({label}) {percent}%",
            cue="Your answer:",
        ),
        Template(
            "pollster",
            system="You are a pollster. Predict which option a member of the group picks; write nothing but its label.",
            verbalized_system=(
                "You are a pollster. Predict the group's answers in percent; write nothing but a JSON object with a "
                "whole number for each label, together 100."
            ),
            sequence_system=(
                "You are a pollster. Predict which options {n} members of the group pick; write nothing but {n} labels "
                "separated by spaces."
            ),
            context="Poll: {context}",
            question="{question}",
            option="{label}) {option}",
            attribute="{name} = {value}",
            background="Group: {background}",
            no_background="Group: all respondents",
            missing="not known",
            examples_heading="Other groups:",
            example="{background} | {answers}",
            example_answer="{label}: {percent}%",
            cue="Prediction:",
        ),
        Template(
            "profile",
            system="Below are a question and a profile. Which option fits the person in the profile? Give its label.",
            verbalized_system=(
                "Below are a question and a profile. What share of the people with this profile takes each option? "
                "Give JSON: labels with whole percentages that add up to 100."
            ),
            sequence_system=(
                "Below are a question and a profile. {n} people have this profile. Give the label of the option that "
                "each of them takes: {n} labels separated by spaces."
            ),
            context="Source: {context}",
            question="Q: {question}",
            option="[{label}] {option}",
            attribute="- {name}: {value}",
            separator="\n",
            background="Profile\n{background}",
            no_background="Profile\n- none given",
            missing="no answer",
            examples_heading="Known profiles",
            example="{background}\n{answers}",
            example_answer="[{label}] {percent}%",
            example_separator=" ",
            cue="Label:",
        ),
        Template(
            "first-person",
            system="Take the part of the person who speaks last and answer the questionnaire with one label.",
            verbalized_system=(
                "Think of all people who could speak as the last person does. Answer the questionnaire for them with "
                "JSON: for each label a whole percentage, 100 in total."
            ),
            sequence_system=(
                "Take the part of {n} people who could all speak as the last person does, and answer the questionnaire "
                "for each of them: {n} labels separated by spaces."
            ),
            context="Questionnaire: {context}",
            question="Please tell us: {question}",
            option="{label} - {option}",
            attribute="my {name} is {value}",
            separator=", ",
            background="About me: {background}",
            no_background="About me: nothing to add",
            missing="something I do not state",
            examples_heading="Earlier questionnaires:",
            example="{background}; {answers}",
            example_answer="{label} {percent}%",
            cue="My answer:",
        ),
    )
}


def template_names() -> list[str]:
    """List the names of the templates that come with the package, ``"default"`` first.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from surveysim.prompts import template_names
    >>> template_names()[0]
    'default'
    """
    return list(_TEMPLATES)


def get_template(template: str | Template) -> Template:
    """Get a template by name; a `Template` is returned unchanged.

    Parameters
    ----------
    template : str or Template
        One of `template_names`, or a template.

    Returns
    -------
    Template

    Raises
    ------
    ValueError
        If there is no template of that name.
    TypeError
        If `template` is neither a name nor a `Template`.

    Examples
    --------
    >>> from surveysim.prompts import get_template
    >>> get_template("default").name
    'default'
    """
    if isinstance(template, Template):
        return template
    if not isinstance(template, str):
        raise TypeError(f"template must be a name or a Template, got {template!r}")
    if template not in _TEMPLATES:
        raise ValueError(f"unknown template {template!r}: choose one of {template_names()} or pass a Template")
    return _TEMPLATES[template]
