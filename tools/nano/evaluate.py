"""Measure nano on generated questions that training never saw: `python -m tools.nano.evaluate`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from surveysim.prompts import candidate_labels
from tools.nano.export import NANO
from tools.nano.packing import encode_prompts
from tools.nano.surveys import KIND_SHARES, Task, sample_task
from tools.nano.tokenizer import chat_text

__all__ = ["evaluate", "load", "measure_labels", "measure_verbalized", "parse", "unseen_tasks"]

# Far from every seed of the training, whose pools are seeded by [seed, number of the pool].
SEED = 20_000_001


def load(folder: Path = NANO) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Network (float32, evaluation mode) and tokenizer of a folder, without the network."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model.eval(), tokenizer


def unseen_tasks(kind: str, n: int, *, verbalized: bool = False, n_backgrounds: int = 8) -> list[Task]:
    """Tasks on topics and pairs of invented names that training never saw.

    Verbalised ones have the labels that the package itself would take, mostly capital letters.
    """
    rng = np.random.default_rng([SEED, list(KIND_SHARES).index(kind), int(verbalized)])
    tasks = [
        sample_task(rng, kind=kind, held_out=True, verbalized=verbalized, n_backgrounds=n_backgrounds) for _ in range(n)
    ]
    if verbalized:
        tasks = [replace(task, labels=candidate_labels(task.question.n_options)[0]) for task in tasks]
    return tasks


@torch.no_grad()
def measure_labels(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tasks: Sequence[Task]
) -> dict[str, float]:
    """How nano answers with labels.

    Returns
    -------
    dict
        "label_mass" and "label_mass_5%" (mean, and the level that 95% of the prompts exceed): probability that the
        next token is one of the question's labels. "divergence": mean KL divergence in bits from the generated
        distribution, given that it is a label. "skill": share of the differences between backgrounds that nano
        predicts, 1 - KL(model) / KL(the mean over the backgrounds); at most 1, negative where worse than that mean.
    """
    masses, divergences, pooled = [], [], []
    for task in tasks:
        ids = encode_prompts(tokenizer, task)
        batch = tokenizer.pad({"input_ids": ids}, return_tensors="pt", padding_side="left")
        positions = (batch["attention_mask"].cumsum(1) - 1).clamp_min(0)
        logits = model(**batch, position_ids=positions, logits_to_keep=1).logits[:, -1].double()
        tokens = [tokenizer(label, add_special_tokens=False)["input_ids"][0] for label in task.labels]
        shares = logits.softmax(-1)[:, tokens].numpy()
        truth = task.targets[:, list(task.order)]
        masses += shares.sum(1).tolist()
        divergences += _kl(truth, shares / shares.sum(1, keepdims=True)).tolist()
        pooled += _kl(truth, truth.mean(0, keepdims=True)).tolist()
    return {
        "label_mass": float(np.mean(masses)),
        "label_mass_5%": float(np.quantile(masses, 0.05)),
        "divergence": float(np.mean(divergences)),
        "skill": float(1 - np.mean(divergences) / np.mean(pooled)) if np.mean(pooled) > 1e-9 else float("nan"),
    }


@torch.no_grad()
def measure_verbalized(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tasks: Sequence[Task]
) -> dict[str, float]:
    """How nano writes distributions: share that parses, that sums to 100, and mean total variation (0 to 1)."""
    parsed, exact, distances = [], [], []
    for task in tasks:
        texts = [chat_text(task.prompt(row)) for row in range(len(task.backgrounds))]
        batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
        longest = 8 + 8 * task.question.n_options
        replies = model.generate(**batch, max_new_tokens=longest, do_sample=False)  # type: ignore[operator]
        written = replies[:, batch["input_ids"].shape[1] :]
        for row, reply in enumerate(tokenizer.batch_decode(written, skip_special_tokens=True)):
            answer = parse(reply, task.labels)
            parsed.append(answer is not None)
            if answer is not None:
                exact.append(sum(answer) == 100)
                truth = task.targets[row][list(task.order)]
                distances.append(np.abs(np.array(answer) / sum(answer) - truth).sum() / 2)
    return {
        "parsed": float(np.mean(parsed)),
        "sum_100": float(np.mean(exact)) if exact else 0.0,
        "total_variation": float(np.mean(distances)) if distances else 1.0,
    }


def parse(reply: str, labels: Sequence[str]) -> list[int] | None:
    """Percentages in the order of the labels, or None unless the reply is a JSON object of exactly these labels."""
    try:
        answer = json.loads(reply)
    except json.JSONDecodeError:
        return None
    if not isinstance(answer, dict) or list(answer) != list(labels):
        return None
    values = list(answer.values())
    if not all(isinstance(value, int) and 0 <= value <= 100 for value in values) or sum(values) == 0:
        return None
    return values


def _kl(P: np.ndarray, Q: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(P > 0, P * np.log2(P / Q), 0).sum(1)


def evaluate(folder: Path = NANO, n_tasks: int = 40) -> dict[str, dict[str, float]]:
    """All measurements, by the kind of task."""
    model, tokenizer = load(folder)
    result = {kind: measure_labels(model, tokenizer, unseen_tasks(kind, n_tasks)) for kind in KIND_SHARES}
    tasks = [task for kind in KIND_SHARES for task in unseen_tasks(kind, n_tasks // 2, verbalized=True)]
    result["verbalized"] = measure_verbalized(model, tokenizer, tasks)
    return result


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=NANO)
    parser.add_argument("--tasks", type=int, default=40, help="questions per kind")
    options = parser.parse_args()
    for kind, measured in evaluate(options.folder, options.tasks).items():
        print(f"{kind:12}", "  ".join(f"{name} {value:.3f}" for name, value in measured.items()))


if __name__ == "__main__":
    main()
