"""Tasks as packed token sequences: each question's text once, all its backgrounds behind it, none seeing another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from tools.nano.effects import N_FEATURES
from tools.nano.surveys import Task, answer_text, sample_task
from tools.nano.tokenizer import END, USER, chat_text

__all__ = ["Batch", "Layout", "batches", "collate", "encode_prompts"]


@dataclass(frozen=True)
class Layout:
    """Where the tokens of packed tasks stand, for attention that never computes what the mask would hide.

    Tokens of all tasks stand in one row of length N, padded at its end alone. `shared` (B, P) and `own` (B, M, S) are
    places in that row, of the text that a task's backgrounds share and of each background's own; `shared_mask` (B, P)
    and `own_mask` (B, M, S) are False at padding, whose place is 0. `back` (N,) finds each token in
    ``concatenate([shared.ravel(), own.ravel()])``.
    """

    shared: torch.Tensor
    own: torch.Tensor
    shared_mask: torch.Tensor
    own_mask: torch.Tensor
    back: torch.Tensor


@dataclass(frozen=True)
class Batch:
    """Packed tasks in one row of N tokens, and what is to be learned from them.

    `ids`, `positions` (1, N). Soft targets: at the places `answers` (R,) the next token has distribution `targets`
    (R, labels) over the tokens `label_ids` (R, labels), padded with probability 0; `features` (R, N_FEATURES) and
    `tasks` (R,) belong to the same rows. Hard targets: at the places `text` (S,) the next token is `next_ids` (S,)
    of a reply, and at `question` (U,) it is `question_ids` (U,) of the question's own text.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    layout: Layout
    answers: torch.Tensor
    label_ids: torch.Tensor
    targets: torch.Tensor
    features: torch.Tensor
    tasks: torch.Tensor
    text: torch.Tensor
    next_ids: torch.Tensor
    question: torch.Tensor
    question_ids: torch.Tensor

    @property
    def n_tokens(self) -> int:
        """Number of tokens N."""
        return self.ids.shape[1]


def encode_prompts(tokenizer: PreTrainedTokenizerBase, task: Task) -> list[list[int]]:
    """The token ids of a task's prompts, one list per background, ready for the answer."""
    texts = [chat_text(task.prompt(row)) for row in range(len(task.backgrounds))]
    return tokenizer(texts, add_special_tokens=False)["input_ids"]


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    shortest = min(len(sequence) for sequence in sequences)
    for place in range(shortest - 1):
        if any(sequence[place] != sequences[0][place] for sequence in sequences):
            return place
    return shortest - 1


@dataclass(frozen=True)
class _Packed:
    ids: np.ndarray
    positions: np.ndarray
    group: np.ndarray  # 0 for what all backgrounds share, else the background's number
    answers: list[tuple[int, int]]  # place, row of the task
    text: list[tuple[int, int]]  # place, next token
    question: list[tuple[int, int]]  # place, next token


def _pack(tokenizer: PreTrainedTokenizerBase, task: Task, rng: np.random.Generator) -> _Packed:
    prompts = encode_prompts(tokenizer, task)
    shared = _common_prefix(prompts)
    end = _ids(tokenizer, END)[0]
    ids, positions, group = list(prompts[0][:shared]), list(range(shared)), [0] * shared
    answers: list[tuple[int, int]] = []
    text: list[tuple[int, int]] = []
    speak = rng.random() < 0.1  # one task in ten also shows what follows a label: the end of the turn
    for row, prompt in enumerate(prompts):
        rest = prompt[shared:]
        last = len(ids) + len(rest) - 1
        reply: list[int] = []
        if task.verbalized:
            reply = _ids(tokenizer, answer_text(task, row))
            text += [(last + i, token) for i, token in enumerate([*reply, end])]
        else:
            answers.append((last, row))
            if speak:
                place = rng.choice(len(task.labels), p=task.targets[row][list(task.order)])
                reply = _ids(tokenizer, task.labels[place])
                text.append((last + len(reply), end))
        ids += [*rest, *reply]
        positions += range(shared, shared + len(rest) + len(reply))
        group += [row + 1] * (len(rest) + len(reply))
    # What the instructions say is always the same: only what follows them is worth learning to predict.
    begin = prompts[0].index(_ids(tokenizer, USER)[0])
    question = [(place, prompts[0][place + 1]) for place in range(begin, shared - 1)]
    return _Packed(np.array(ids), np.array(positions), np.array(group), answers, text, question)


def collate(tokenizer: PreTrainedTokenizerBase, tasks: Sequence[Task], rng: np.random.Generator) -> Batch:
    """Pack tasks into one row of tokens."""
    packed = [_pack(tokenizer, task, rng) for task in tasks]
    starts = np.cumsum([0, *(len(pack.ids) for pack in packed)])
    answers, targets, label_ids, features, numbers = [], [], [], [], []
    text: list[tuple[int, int]] = []
    question: list[tuple[int, int]] = []
    width = max(task.question.n_options for task in tasks)
    for i, (task, pack) in enumerate(zip(tasks, packed, strict=True)):
        tokens = [tokenizer(label, add_special_tokens=False)["input_ids"][0] for label in task.labels]
        for place, row in pack.answers:
            answers.append(starts[i] + place)
            targets.append(np.pad(task.targets[row][list(task.order)], (0, width - len(tokens))))
            label_ids.append(np.pad(np.array(tokens), (0, width - len(tokens))))
            features.append(task.features[row])
            numbers.append(i)
        text += [(starts[i] + place, token) for place, token in pack.text]
        question += [(starts[i] + place, token) for place, token in pack.question]
    padding = _up(starts[-1], 256) - starts[-1]
    return Batch(
        torch.from_numpy(np.pad(np.concatenate([pack.ids for pack in packed]), (0, padding)))[None],
        torch.from_numpy(np.pad(np.concatenate([pack.positions for pack in packed]), (0, padding)))[None],
        _layout([pack.group for pack in packed], starts),
        torch.tensor(answers, dtype=torch.long),
        torch.tensor(np.array(label_ids).reshape(len(answers), width), dtype=torch.long),
        torch.tensor(np.array(targets).reshape(len(answers), width), dtype=torch.float32),
        torch.tensor(np.array(features).reshape(len(answers), N_FEATURES), dtype=torch.float32),
        torch.tensor(numbers, dtype=torch.long),
        *_columns(text),
        *_columns(question),
    )


def _up(size: int, step: int) -> int:
    """Rounded up, so that few shapes occur: oneDNN compiles and keeps a kernel for each of them."""
    return -(-int(size) // step) * step


def _columns(pairs: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    columns = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def _layout(groups: Sequence[np.ndarray], starts: np.ndarray) -> Layout:
    lengths = [np.bincount(group) for group in groups]  # of the shared text, then of each background's own
    longest = _up(max(length[0] for length in lengths), 16), _up(max(n[1:].max() for n in lengths), 8)
    shared = np.zeros((len(groups), longest[0]), dtype=np.int64)
    own = np.zeros((len(groups), _up(max(len(n) for n in lengths) - 1, 4), longest[1]), dtype=np.int64)
    shared_mask, own_mask = np.zeros(shared.shape, dtype=bool), np.zeros(own.shape, dtype=bool)
    back = np.zeros(_up(starts[-1], 256), dtype=np.int64)
    for i, length in enumerate(lengths):
        ends = starts[i] + np.cumsum(length)
        shared[i, : length[0]] = np.arange(starts[i], ends[0])
        shared_mask[i, : length[0]] = True
        for j, n in enumerate(length[1:]):
            own[i, j, :n] = np.arange(ends[j], ends[j] + n)
            own_mask[i, j, :n] = True
    back[shared[shared_mask]] = np.flatnonzero(shared_mask)
    back[own[own_mask]] = shared.size + np.flatnonzero(own_mask)
    return Layout(*(torch.from_numpy(array) for array in (shared, own, shared_mask, own_mask, back)))


def batches(
    tokenizer: PreTrainedTokenizerBase, *, seed: int, pool: int, batch_size: int, batches_per_pool: int = 8
) -> list[Batch]:
    """The batches of one pool: tasks of like length side by side, in a random order of batches.

    The pool depends on `seed` and its number alone, so that a resumed training sees what an uninterrupted one would.
    """
    rng = np.random.default_rng([seed, pool])
    tasks = [sample_task(rng) for _ in range(batch_size * batches_per_pool)]
    tasks.sort(key=lambda task: sum(len(task.prompt(row).user) for row in (0, -1)) * (2 + len(task.backgrounds)))
    groups = [tasks[start : start + batch_size] for start in range(0, len(tasks), batch_size)]
    return [collate(tokenizer, groups[i], rng) for i in rng.permutation(len(groups))]
