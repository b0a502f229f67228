"""Generated surveys: questions, backgrounds and distributions whose effects have random sign and size."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from surveysim.prompts import (
    LABEL_ALPHABETS,
    Example,
    Prompt,
    Template,
    get_template,
    render,
    template_names,
    whole_percentages,
)
from surveysim.questions import Question
from tools.nano.attributes import ORDERED_KINDS, Attribute, sample_attribute
from tools.nano.effects import drawn_effects, features, fixed, fixed_effects, no_effects, ordinal, softmax
from tools.nano.wording import (
    ACTIVITIES,
    CATEGORIES,
    COMPARISONS,
    FAMILIES,
    FIRST,
    NOUNS,
    PLACES,
    SECOND,
    STATEMENTS,
    TOPICS,
)

__all__ = ["KIND_SHARES", "Task", "answer_text", "sample_task"]


@dataclass(frozen=True)
class Task:
    """One question put to several backgrounds, with the distribution each of them answers.

    `targets` (m, K) is in the question's own order of options, `features` (m, N_FEATURES) places the backgrounds so
    that near ones (18-29 and 30-44) have near vectors; `kind` tells where the predictability comes from.
    """

    kind: str
    template: Template
    question: Question
    backgrounds: Sequence[Mapping[str, object]]
    targets: np.ndarray
    features: np.ndarray
    labels: Sequence[str]
    order: Sequence[int]
    examples: Sequence[Example]
    verbalized: bool

    def prompt(self, row: int) -> Prompt:
        """The prompt for one of the backgrounds."""
        return render(self.template, self.question, self.backgrounds[row], labels=self.labels, order=self.order,
                      examples=self.examples, verbalized=self.verbalized)  # fmt: skip


def answer_text(task: Task, row: int) -> str:
    """The verbalised answer: a JSON object from label to whole percentage, in the order shown."""
    percent = whole_percentages(task.targets[row])
    return "{" + ", ".join(f'"{label}": {percent[i]}' for label, i in zip(task.labels, task.order, strict=True)) + "}"


# --- questions -------------------------------------------------------------------------------------------------------


def _pick(rng: np.random.Generator, items: Sequence[str]) -> str:
    return items[int(rng.integers(len(items)))]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _invented_topic(rng: np.random.Generator, held_out: bool) -> tuple[str, list[str]]:
    """A topic that exists nowhere, and the names its effects are tied to; a tenth of all pairs is held out."""
    while True:
        first, second = _pick(rng, FIRST), _pick(rng, SECOND)
        if (zlib.crc32(f"{first}{second}".encode()) % 10 == 0) == held_out:
            break
    noun = _pick(rng, NOUNS)
    form = (f"the {first} {noun} of {second}", f"the {first} {second} {noun}", f"the {noun} of {first} {second}")
    return form[rng.integers(3)], [first, second]


def _real_topic(rng: np.random.Generator, held_out: bool) -> str:
    """A topic of everyday life; one in eight is kept for the evaluation."""
    while True:
        topic = _pick(rng, TOPICS)
        if (zlib.crc32(topic.encode()) % 8 == 0) == held_out:
            break
    if rng.random() < 0.25:
        topic += f" in {_pick(rng, PLACES)}" if rng.random() < 0.5 else f" and {_pick(rng, TOPICS)}"
    return topic


def _scale_question(rng: np.random.Generator, topic: str, *, activities: bool) -> tuple[str, list[str], int]:
    """Wording, options from most to least in favour, and whether favour speaks for the topic (+1) or against (-1)."""
    _, stems, scales, sign = FAMILIES[int(rng.integers(len(FAMILIES)))]
    while True:
        stem = _pick(rng, stems)
        if activities or "{a}" not in stem:
            break
        if all("{a}" in each for each in stems):
            _, stems, scales, sign = FAMILIES[int(rng.integers(len(FAMILIES)))]
    options = list(scales[int(rng.integers(len(scales)))])
    if "{s}" in stem:
        statement, direction = STATEMENTS[int(rng.integers(len(STATEMENTS)))]
        sign *= direction
        stem = stem.format(s=statement.format(t=topic, T=_capital(topic)))
    else:
        stem = stem.format(t=topic, a=_pick(rng, ACTIVITIES))
    if rng.random() < 0.06:  # a battery: one introduction, many items
        stem = f"Here are some statements. For each, choose what fits best. {stem}"
    return stem, options, sign


def _context(rng: np.random.Generator) -> str | None:
    if rng.random() < 0.55:
        return None
    place, year = _pick(rng, PLACES), int(rng.integers(1970, 2027))
    return (f"Survey of {place}, {year}", f"{place} {year}", f"Social survey, {year}", f"Panel of adults in {place}")[
        rng.integers(4)
    ]


def _labels(rng: np.random.Generator, n_options: int) -> tuple[str, ...]:
    draw = rng.random()
    if n_options > 26:
        return (LABEL_ALPHABETS[2] + tuple(str(i) for i in range(1, 60)))[:n_options]
    if draw < 0.9:
        return LABEL_ALPHABETS[0][:n_options]
    if draw < 0.96:
        return LABEL_ALPHABETS[1][:n_options]
    return tuple(str(i + 1) for i in range(n_options))


# --- backgrounds -----------------------------------------------------------------------------------------------------


def _attributes(rng: np.random.Generator, most: int) -> list[Attribute]:
    n = min(int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.12, 0.2, 0.25, 0.23, 0.12, 0.08])), most)
    chosen: dict[str, Attribute] = {}
    while len(chosen) < n:
        attribute = sample_attribute(rng)
        if attribute.name not in {a.name for a in chosen.values()}:
            chosen.setdefault(attribute.kind, attribute)
    return list(chosen.values())


def _draw_levels(rng: np.random.Generator, attributes: Sequence[Attribute], m: int) -> np.ndarray:
    """Levels (m, attributes), all rows different as far as that is possible; -1 is missing."""
    rows: dict[tuple[int, ...], None] = {}
    missing = 0.25 if rng.random() < 0.1 else 0.0
    single = len(attributes) > 1 and rng.random() < 0.05
    for _ in range(4 * m):
        row = [int(rng.integers(len(a.levels))) for a in attributes]
        if single:
            keep = int(rng.integers(len(row)))
            row = [level if i == keep else -1 for i, level in enumerate(row)]
        elif missing:
            row = [-1 if rng.random() < missing else level for level in row]
        rows[tuple(row)] = None
        if len(rows) == m:
            break
    return np.array(list(rows))


def _background(attributes: Sequence[Attribute], row: np.ndarray, *, omit: bool) -> dict[str, object]:
    return {
        a.name: None if level < 0 else a.levels[level][0]
        for a, level in zip(attributes, row, strict=True)
        if level >= 0 or not omit
    }


# --- tasks -----------------------------------------------------------------------------------------------------------

KIND_SHARES = {"bank": 0.5, "stated": 0.2, "examples": 0.12, "plain": 0.18}


def sample_task(
    rng: np.random.Generator,
    *,
    kind: str | None = None,
    held_out: bool = False,
    n_backgrounds: int = 12,
    verbalized: bool | None = None,
    template: str | None = None,
) -> Task:
    """A question, backgrounds, and their distributions.

    Parameters
    ----------
    rng : numpy.random.Generator
    kind : {"bank", "stated", "examples", "plain"}, optional
        Where the predictability comes from: facts about invented names, learned by heart; a sentence in the context
        that says which way attributes pull; other groups' distributions in the prompt; or nowhere, so that the best
        answer is the same for all. Default: drawn.
    held_out : bool, default=False
        Topics and pairs of invented names that training never sees.
    n_backgrounds : int, default=12
        At most so many; fewer where the attributes do not have as many combinations.
    verbalized : bool, optional
        Ask for percentages as JSON. Default: one task in three.
    template : str, optional
        Name of the prompt template. Default: mostly "default".
    """
    kind = kind or str(rng.choice(list(KIND_SHARES), p=list(KIND_SHARES.values())))
    verbalized = bool(rng.random() < 0.33) if verbalized is None else verbalized
    if verbalized:
        n_backgrounds = min(n_backgrounds, 6)
    name = template or ("default" if rng.random() < 0.7 else _pick(rng, template_names()))
    attributes = _attributes(rng, 3 if kind == "examples" else 4 if kind == "stated" else 6)
    n_examples = int(rng.integers(3, 7)) if kind == "examples" else 0
    levels = _draw_levels(rng, attributes, n_backgrounds + n_examples)
    if len(levels) <= n_examples:
        n_examples = 0
    question, P = _answers(rng, kind, attributes, levels, held_out)
    if verbalized:
        # Numbers are written one by one, each at its most likely value: without this, rows of zeros would come out.
        P = 0.8 * P + 0.2 / question.n_options
    omit = rng.random() < 0.5
    backgrounds = [_background(attributes, row, omit=omit) for row in levels]
    order = _order(rng, question)
    return Task(
        kind,
        get_template(name),
        question,
        backgrounds[n_examples:],
        P[n_examples:],
        np.array([features(attributes, row) for row in levels[n_examples:]]),
        _labels(rng, question.n_options),
        order,
        [Example(b, p / p.sum()) for b, p in zip(backgrounds[:n_examples], P[:n_examples], strict=True)],
        verbalized,
    )


def _order(rng: np.random.Generator, question: Question) -> list[int]:
    """Mostly as in the questionnaire, sometimes back to front or shuffled, so that labels bind to the options' text."""
    n = question.n_options - len(question.pinned)
    order = list(range(n))
    draw = rng.random()
    if draw < 0.3 and question.ordinal:
        order.reverse()
    elif draw < 0.3 or draw > 0.92:
        order = [int(i) for i in rng.permutation(n)]
    return order + list(range(n, question.n_options))


def _answers(
    rng: np.random.Generator, kind: str, attributes: Sequence[Attribute], levels: np.ndarray, held_out: bool
) -> tuple[Question, np.ndarray]:
    if kind == "bank":
        topic, names = _invented_topic(rng, held_out)
    else:
        topic, names = _real_topic(rng, held_out), []
    if rng.random() < 0.14 and kind != "stated":
        return _nominal(rng, kind, topic, names, attributes, levels)
    text, options, sign = _scale_question(rng, topic, activities=not names)
    context = _context(rng)
    level, peak = 0.0, 0.6
    if kind == "bank":
        effects = fixed_effects(names, attributes)
        level = float(np.sum([fixed(f"{name} level", 1)[0] for name in names])) * 0.45
        peak = 0.6 + 0.35 * float(np.sum([fixed(f"{name} peak", 1)[0] for name in names]))
    elif kind == "examples":
        effects = drawn_effects(rng, attributes, 1.2)
        level, peak = rng.normal(0, 0.6), rng.normal(0.6, 0.5)
    else:
        effects = no_effects(attributes)
    attitude = np.zeros(len(levels))
    for column, attribute in enumerate(attributes):
        attitude += [effects.of(attribute, row) if row >= 0 else 0.0 for row in levels[:, column]]
    if kind == "stated":
        sentences, attitude, level = _stated(rng, attributes, levels, options)
        context = " ".join(([context + "."] if context else []) + sentences)
        sign = 1
    P = ordinal(sign * attitude, sign * level, peak, len(options))
    pinned: list[str] = []
    if rng.random() < 0.1:
        pinned = [_pick(rng, ["Don't know", "No opinion", "Other", "Refused", "Can't say"])]
        P = np.column_stack([P * 0.9, np.full(len(P), 0.1)])
    return Question(text, [*options, *pinned], pinned=pinned, context=context), P


def _stated(
    rng: np.random.Generator, attributes: Sequence[Attribute], levels: np.ndarray, options: Sequence[str]
) -> tuple[list[str], np.ndarray, float]:
    """Sentences that say which groups choose the first option more often, and the attitudes that follow."""
    attitude, level = np.zeros(len(levels)), 0.0
    sentences: list[str] = []
    for column, attribute in enumerate(attributes):
        if sentences and rng.random() < 0.3:
            continue
        size = int(rng.integers(3))
        effect, adverb = (0.6, 1.2, 1.8)[size], ("a little more", "more", "much more")[size]
        first = bool(rng.random() < 0.5)
        if attribute.ordered:
            sign = 1 if rng.random() < 0.5 else -1
            named = attribute.kind in COMPARISONS and rng.random() < 0.6
            ends = COMPARISONS[attribute.kind] if named else (f"A high {attribute.name}", f"A low {attribute.name}")
            who = ends[0] if sign > 0 else ends[1]
            shift = np.array([sign * attribute.levels[row][1] if row >= 0 else 0.0 for row in levels[:, column]])
        else:
            chosen = int(rng.integers(len(attribute.levels)))
            value = attribute.levels[chosen][0]
            who = f"{_capital(attribute.name)} {value}"
            shift = np.array([0.0 if row < 0 else 1.0 if row == chosen else -0.4 for row in levels[:, column]])
        option = options[0] if first else options[-1]
        attitude += effect * shift * (1 if first else -1)
        sentences.append(
            f'{who}: {adverb} often "{option}".' if rng.random() < 0.5 else f'{who} choose "{option}" {adverb} often.'
        )
    if rng.random() < 0.3:
        first = bool(rng.random() < 0.5)
        level = 0.8 if first else -0.8
        sentences.append(f'Most people choose "{options[0] if first else options[-1]}".')
    return sentences, attitude, level


def _nominal(
    rng: np.random.Generator,
    kind: str,
    topic: str,
    names: Sequence[str],
    attributes: Sequence[Attribute],
    levels: np.ndarray,
) -> tuple[Question, np.ndarray]:
    stems, answers = CATEGORIES[int(rng.integers(len(CATEGORIES)))]
    if rng.random() < 0.06:
        answers = [f"{a} {n}" for a in FIRST[:9] for n in NOUNS[:7]]
        n = int(rng.integers(9, 56))
    else:
        n = int(rng.integers(2, min(len(answers), 8) + 1))
    options = [answers[i] for i in rng.choice(len(answers), n, replace=False)]
    logits = np.zeros((len(levels), n))
    for k, option in enumerate(options):
        if kind == "bank":
            effects = fixed_effects(names, attributes, option)
            logits[:, k] += 0.6 * fixed(f"{names[0]} {option} level", 1)[0]
        elif kind == "examples":
            effects = drawn_effects(rng, attributes)
            logits[:, k] += rng.normal(0, 0.6)
        else:
            continue
        for column, attribute in enumerate(attributes):
            logits[:, k] += [0.8 * effects.of(attribute, row) if row >= 0 else 0.0 for row in levels[:, column]]
    stem = f"Think of {topic}. {_pick(rng, stems)}" if names or rng.random() < 0.5 else _pick(rng, stems)
    return Question(stem, options, ordinal=False, context=_context(rng)), softmax(logits)


assert set(COMPARISONS) == set(ORDERED_KINDS), "every ordered attribute needs a comparison"
