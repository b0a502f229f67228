"""One question and one background as the text that a model reads."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from surveysim.prompts.survey_text import as_text
from surveysim.prompts.templates import Template
from surveysim.questions import Question

__all__ = ["Example", "Prompt", "describe_background", "describe_question", "render", "whole_percentages"]


@dataclass(frozen=True)
class Prompt:
    """What a model is asked: the system text and the user's turn, which `cue` ends if there is no chat template.

    Parameters
    ----------
    system : str
        What the model is told before it is asked; may be empty.
    user : str
        The question, its options and the background.
    cue : str, default=""
        The words after which the answer begins if there is no chat template, such as ``"Answer:"``.

    Examples
    --------
    >>> from surveysim import Question
    >>> from surveysim.prompts import get_template, render
    >>> question = Question("Content?", ["yes", "no"])
    >>> prompt = render(get_template("default"), question, {"age": "18-29"}, labels=["A", "B"])
    >>> "A" in prompt.user, "18-29" in prompt.user
    (True, True)
    """

    system: str
    user: str
    cue: str = ""

    def messages(self, *, system_role: bool = True) -> list[dict[str, str]]:
        """The prompt as chat messages.

        Parameters
        ----------
        system_role : bool, default=True
            Whether the model's chat template knows a system role. If not, the system text opens the user's turn.

        Returns
        -------
        list of dict
        """
        if not self.system:
            return [{"role": "user", "content": self.user}]
        if not system_role:
            return [{"role": "user", "content": f"{self.system}\n\n{self.user}"}]
        return [{"role": "system", "content": self.system}, {"role": "user", "content": self.user}]

    def plain(self) -> str:
        """The prompt for a model without a chat template, ending in the cue."""
        return "\n".join(part for part in (self.system, self.user, self.cue) if part)


@dataclass(frozen=True)
class Example:
    """A known group's distribution over the options of the same question, shown in the prompt.

    Parameters
    ----------
    background : mapping or None
        The group, by attribute.
    distribution : sequence of float
        One share per option; they sum to 1.

    Examples
    --------
    >>> from surveysim.prompts import Example
    >>> Example({"age": "18-29"}, [0.6, 0.4]).background
    {'age': '18-29'}
    """

    background: Mapping[str, object] | None
    distribution: Sequence[float]


def describe_background(template: Template, background: Mapping[str, object] | None) -> str:
    """Describe the attributes of a background in one phrase, such as ``"age: 18-29; gender: female"``.

    Numbers are written with ``%g`` (no ".0"), booleans and missing values (None, NaN, NaT, NA) by the template's
    phrases, underscores in attribute names as spaces. Line breaks become spaces, and what a chat template would take
    for the end of a turn is split. Empty or None: an empty string.

    Parameters
    ----------
    template : Template
    background : mapping or None
        Values by attribute.

    Returns
    -------
    str

    Examples
    --------
    >>> from surveysim.prompts import describe_background, get_template
    >>> describe_background(
    ...     get_template("default"), {"age": "18-29", "children": 2.0, "region": None}
    ... )
    'age: 18-29; children: 2; region: not stated'
    """
    if not background:
        return ""
    return template.separator.join(
        template.attribute.format(
            name=as_text(str(name).replace("_", " ").strip(), f"the name of background {str(name)!a}"),
            value=as_text(_value(template, value, name), f"background {str(name)!a}"),
        )
        for name, value in background.items()
    )


def describe_question(template: Template, question: Question) -> list[str]:
    """The lines of a prompt that say what is asked, without the options."""
    lines = []
    if question.context:
        lines.append(template.context.format(context=as_text(question.context, "the context of a question")))
    return [*lines, template.question.format(question=as_text(question.text, "the text of a question"))]


def render(
    template: Template,
    question: Question,
    background: Mapping[str, object] | None,
    *,
    labels: Sequence[str],
    order: Sequence[int] | None = None,
    examples: Sequence[Example] = (),
    verbalized: bool = False,
    sequence: int | None = None,
) -> Prompt:
    """Write the prompt for one question and one background: constant text first, the background last.

    Texts of the survey stay text: their line breaks become spaces, and control tokens of chat templates are escaped.

    Parameters
    ----------
    template : Template
    question : Question
    background : mapping of attribute to value, or None
        None or empty: all respondents, in the template's words.
    labels : sequence of str
        One label per *place*; the first place gets the first label, whatever the order.
    order : sequence of int, optional
        Permutation: the index of the option shown at each place. Default: the given order. The answer ``labels[i]``
        means option ``order[i]``.
    examples : sequence of Example
        Known distributions on this question, shown in whole percentages before the background.
    verbalized : bool, default=False
        Ask for a JSON object of whole percentages instead of one label.
    sequence : int, optional
        Ask for the labels of this many respondents instead of one.

    Returns
    -------
    Prompt

    Raises
    ------
    ValueError
        If there are not as many labels as options, labels are repeated, `order` is not a permutation, an example's
        distribution does not fit the question, both `verbalized` and `sequence` are asked for, or a text of the survey
        holds half of a character.

    Examples
    --------
    >>> from surveysim import Question
    >>> from surveysim.prompts import get_template, render
    >>> question = Question("Are you content with your town?", ["yes", "partly", "no"])
    >>> prompt = render(
    ...     get_template("default"),
    ...     question,
    ...     {"age": "18-29"},
    ...     labels=["A", "B", "C"],
    ...     order=[2, 1, 0],
    ... )
    >>> [line for line in prompt.user.splitlines() if line.startswith(("A", "B", "C"))]
    ['A. no', 'B. partly', 'C. yes']
    """
    n_options = question.n_options
    labels = list(labels)
    if len(labels) != n_options or len(set(labels)) != n_options:
        raise ValueError(f"labels must be {n_options} different labels, one per option, got {labels}")
    order = list(range(n_options)) if order is None else [int(i) for i in order]
    if sorted(order) != list(range(n_options)):
        raise ValueError(f"order must be a permutation of 0..{n_options - 1}, got {order}")
    options = [as_text(option, f"option {i + 1} of a question") for i, option in enumerate(question.options)]
    lines = describe_question(template, question)
    lines += [template.option.format(label=label, option=options[i]) for label, i in zip(labels, order, strict=True)]
    if examples:
        if template.examples_heading:
            lines.append(template.examples_heading)
        lines += [_example(template, question, example, labels, order) for example in examples]
    lines.append(_described(template, background))
    if verbalized and sequence is not None:
        raise ValueError("a prompt asks for percentages (verbalized) or for many labels (sequence), not for both")
    system = template.verbalized_system if verbalized else template.system
    if sequence is not None:
        system = template.sequence_system.format(n=sequence)
    return Prompt(system, template.line_break.join(lines), template.cue)


def whole_percentages(distribution: ArrayLike) -> list[int]:
    """Round a distribution to whole percentages that sum to 100 (largest remainders).

    Parameters
    ----------
    distribution : array-like of shape (K,)
        Shares that sum to 1.

    Returns
    -------
    list of int

    Examples
    --------
    >>> from surveysim.prompts import whole_percentages
    >>> whole_percentages([1 / 3, 1 / 3, 1 / 3])
    [34, 33, 33]
    """
    exact = np.asarray(distribution, dtype=float) * 100
    whole = np.floor(exact).astype(int)
    short = 100 - int(whole.sum())
    # Ties go to the earlier option: a stable sort keeps the text the same on every machine.
    whole[np.argsort(whole - exact, kind="stable")[:short]] += 1
    return [int(percent) for percent in whole]


def _described(template: Template, background: Mapping[str, object] | None) -> str:
    described = describe_background(template, background)
    return template.background.format(background=described) if described else template.no_background


def _example(
    template: Template, question: Question, example: Example, labels: Sequence[str], order: Sequence[int]
) -> str:
    shares = np.asarray(example.distribution, dtype=float)
    if shares.shape != (question.n_options,) or not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise ValueError(
            f"an example needs {question.n_options} shares that sum to 1, one per option, "
            f"got {list(example.distribution)}"
        )
    percent = whole_percentages(shares)
    answers = template.example_separator.join(
        template.example_answer.format(
            label=label, option=as_text(question.options[i], "an option"), percent=percent[i]
        )
        for label, i in zip(labels, order, strict=True)
    )
    described = describe_background(template, example.background) or template.no_background
    return template.example.format(background=described, answers=answers)


def _value(template: Template, value: object, name: object) -> str:
    if isinstance(value, bool | np.bool_):
        return template.true if value else template.false
    if isinstance(value, str):
        return value.strip() or template.missing
    if not pd.api.types.is_scalar(value):
        raise TypeError(f"background {name!r} must be a string, a number, a boolean or missing, got {value!r}")
    if pd.isna(value):  # type: ignore[call-overload]
        return template.missing
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        # Twelve digits where %g's six would round: an income of 1234567 stays itself.
        short = f"{value:g}"
        return short if float(short) == float(value) else f"{value:.12g}"
    return str(value)
