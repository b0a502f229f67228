"""From cells to token ids: each distinct question and background is rendered and tokenised once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from surveysim.models.prefixes import n_common
from surveysim.prompts import Template, render
from surveysim.questions import Question
from surveysim.trunk.store import EncodedPrompts

if TYPE_CHECKING:
    from surveysim.models.loaded import LoadedModel

__all__ = ["encode_cells"]

# Values that no two tokenizers are likely to begin alike: where their prompts part, the background begins.
_PROBES = ("0", "Q")


def encode_cells(
    model: LoadedModel,
    template: Template,
    backgrounds: pd.DataFrame,
    question_index: np.ndarray,
    questions: list[Question],
) -> EncodedPrompts:
    """Render and tokenise the prompts of cells.

    A question's prompts share the tokens before the background: the longest common *token* prefix of two probe
    prompts, since text cannot be split where a tokenizer would merge.

    Parameters
    ----------
    model : LoadedModel
        Writes the chat format and tokenises.
    template : Template
        The wording.
    backgrounds : DataFrame of n rows
        Attributes alone.
    question_index : int array of shape (n,)
        Each row's question.
    questions : list of Question
        The questions.

    Returns
    -------
    EncodedPrompts
    """
    columns = [str(column) for column in backgrounds.columns]
    used = np.unique(question_index)
    group_of = {int(q): g for g, q in enumerate(used)}
    labels = {int(q): model.labels(questions[q].n_options).letters for q in used}

    def text(q: int, background: dict[str, Any]) -> str:
        return model.to_text(render(template, questions[q], background, labels=labels[q]))

    probes = [text(int(q), dict.fromkeys(columns, value)) for q in used for value in _PROBES]
    probe_ids = model.encode(probes)
    pairs = zip(probe_ids[::2], probe_ids[1::2], strict=True)
    prefixes = [first[: n_common(first, second)] for first, second in pairs]

    values = [backgrounds[column].astype(object).tolist() for column in backgrounds.columns]
    distinct: dict[str, int] = {}
    index = np.empty(len(question_index), dtype=int)
    for row, q in enumerate(question_index.tolist()):
        background = {column: values[c][row] for c, column in enumerate(columns)}
        index[row] = distinct.setdefault(text(q, background), len(distinct))
    group = np.empty(len(distinct), dtype=int)
    group[index] = [group_of[q] for q in question_index.tolist()]
    ids = model.encode(list(distinct))
    for g in range(len(prefixes)):  # a prompt that leaves the probes' path earlier shortens its group's prefix
        for i in np.flatnonzero(group == g):
            prefixes[g] = prefixes[g][: n_common(prefixes[g], ids[i][:-1])]
    suffixes = [tuple(row_ids[len(prefixes[g]) :]) for row_ids, g in zip(ids, group.tolist(), strict=True)]
    return EncodedPrompts(tuple(map(tuple, prefixes)), group, tuple(suffixes), index)
