"""Prompts a second of log-probability elicitation, against the peers. ``python -m benchmarks.elicitation_speed``.

1,000 prompts: 11 questions of five options, each for up to 96 backgrounds (age x gender x race x education), one order
of options. One model for all, a Qwen3 of 6 layers with random weights made here, or ``--model smollm2``, in float32 on
one thread, and the same token ids for all (checked):

- surveysim: ``ZeroShotElicitor(method="logprob")``, from the data frame to distributions;
- surveysim in bfloat16, where the processor computes in it (``--bfloat16``), with how far its distributions are off;
- transformers, batched: forward passes of 32 whole prompts, sorted by length and padded on the left, logits of the last
  position alone. Its distributions are compared with surveysim's;
- transformers: ``pipeline("decision")``, one request a prompt, where the installed version has it;
- skorch: ``ZeroShotClassifier``, if skorch is installed (``pip install skorch``; nothing else here needs it).

Peers read one prompt at a time, so they are timed on some of the prompts only (``--peer-prompts``, spread over all
questions; new ones in every round), in turn with surveysim, and the median round counts. Seconds are those of the
processor, which on one thread are what a clock shows on an idle machine; the clock's are printed beside them. Time for
loading is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.trunk import make_model
from surveysim import Question, ZeroShotElicitor
from surveysim.asking.passes import passes_of
from surveysim.models import LoadedModel, load_model
from surveysim.prompts import Prompt, get_template, render

BATCH = 32
BATCHED, REDUCED = "transformers, batched", "surveysim, bfloat16"
AGREE = ["Strongly agree", "Agree", "Neither agree nor disagree", "Disagree", "Strongly disagree"]
CONTEXT = "Panel survey of adults in the United States, September 2020"
STATEMENTS = (
    "It makes a difference in people's lives who is president.",
    "Traditional parties and politicians do not care about people like me.",
    "The mainstream media is more interested in making money than in telling the truth.",
    "Systemic racism in this country is a bigger problem than acts of racism by individuals.",
    "Generally speaking, the government should do more to help people who cannot help themselves.",
    "Most people who are elected to office try to serve the interests of all their voters.",
    "Being born in this country is important for being truly a citizen of it.",
    "Displaying the flag and knowing the national anthem matter for being a good citizen.",
    "Voting gives people like me some say about how the government runs things.",
    "Women should return to their traditional roles in society.",
    "Social media companies should decide what may be said on their platforms.",
)
LEVELS = {
    "age": ["18 to 29", "30 to 44", "45 to 64", "65 or older"],
    "gender": ["female", "male"],
    "race": ["Black", "Hispanic", "White", "Other or mixed"],
    "education": ["High school or less", "Some college", "College"],
}


def make_cells(n: int) -> tuple[pd.DataFrame, dict[str, Question]]:
    """The first n cells, 96 backgrounds a question."""
    questions = {
        f"q{i}": Question(
            f"How much do you agree or disagree with the following statement? {text}", AGREE, context=CONTEXT
        )
        for i, text in enumerate(STATEMENTS)
    }
    backgrounds = list(itertools.product(*LEVELS.values()))
    rows = [(name, *background) for name in questions for background in backgrounds]
    return pd.DataFrame(rows[:n], columns=["question", *LEVELS]), questions


def make_prompts(model: LoadedModel, X: pd.DataFrame, questions: dict[str, Question]) -> list[Prompt]:
    """The prompts that surveysim asks, for the peers."""
    labels = model.labels(len(AGREE)).letters
    template = get_template("default")
    return [
        render(template, questions[row["question"]], {name: row[name] for name in LEVELS}, labels=labels)
        for row in X.to_dict("records")
    ]


def decision(model: LoadedModel, prompts: list[Prompt]) -> Callable[[list[int]], None] | None:
    """transformers' decision pipeline on the same token ids."""
    from transformers import AutoTokenizer, pipeline

    try:
        from transformers.decision import DecisionConfig
    except ImportError:
        return None
    tokenizer = AutoTokenizer.from_pretrained(model.folder)  # of its own: the pipeline adds tokens to it
    before, after = model.to_text(Prompt(prompts[0].system, "\0")).split("\0")
    config = DecisionConfig(chat_template=before + "{{ state }}" + after)
    decide: Any = pipeline("decision", model=model.network, tokenizer=tokenizer, decision_config=config)
    criteria = dict.fromkeys(AGREE)

    def request(prompt: Prompt) -> dict[str, Any]:
        return {"state": prompt.user, "questions": {"q": {"type": "choice", "criteria": criteria}}}

    own = config.prepare_inputs(request(prompts[0]), tokenizer)[0][0]["input_ids"][0].tolist()
    assert own == model.encode([model.to_text(prompts[0])])[0], "the pipeline must read the same tokens"

    def run(rows: list[int]) -> None:
        answers = decide([request(prompts[row]) for row in rows])
        assert len(answers) == len(rows)

    return run


def batched(model: LoadedModel, prompts: list[Prompt]) -> Callable[[list[int]], np.ndarray]:
    """Plain forward passes of whole prompts, from texts to distributions over the options."""
    tokenizer = model.tokenizer
    variants = model.labels(len(AGREE)).variants

    @torch.no_grad()
    def run(rows: list[int]) -> np.ndarray:
        ids = model.encode([model.to_text(prompts[row]) for row in rows])
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        found = np.empty((len(rows), len(AGREE)))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            longest = max(len(ids[i]) for i in chosen)
            padded = torch.full((len(chosen), longest), tokenizer.pad_token_id or 0)
            mask = torch.zeros_like(padded)
            for row, i in enumerate(chosen):
                padded[row, longest - len(ids[i]) :] = torch.tensor(ids[i])
                mask[row, longest - len(ids[i]) :] = 1
            positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
            output = model.network(
                input_ids=padded, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1
            )
            logits = output.logits[:, -1].double()
            labels = torch.stack([logits[:, list(entries)].logsumexp(dim=1) for entries in variants], dim=1)
            found[chosen] = labels.softmax(dim=1).numpy()
        return found

    return run


def zero_shot_classifier(model: LoadedModel, prompts: list[Prompt]) -> Callable[[list[int]], None] | None:
    """skorch's zero-shot classifier on the same token ids."""
    if importlib.util.find_spec("skorch") is None:
        return None
    from skorch.llm import ZeroShotClassifier

    labels = list(model.labels(len(AGREE)).letters)
    texts = np.array([model.to_text(prompt) for prompt in prompts], dtype=object)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the prompt does not list the labels apart from its options
        classifier: Any = ZeroShotClassifier(model=model.network, tokenizer=model.tokenizer, prompt="{text}")
        classifier.fit(None, labels)

    def run(rows: list[int]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert classifier.predict_proba(texts[rows]).shape == (len(rows), len(labels))
        classifier.clear_model_cache()

    return run


def main() -> None:
    """Print prompts a second, and how many times faster than the better peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--peer-prompts", type=int, default=60, help="for each peer and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", help="a language model in place of random weights")
    parser.add_argument("--bfloat16", action="store_true", help="surveysim in bfloat16, too")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--output", type=Path, help="JSON file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    X, questions = make_cells(options.prompts)
    with tempfile.TemporaryDirectory() as folder:
        name = options.model or make_model(Path(folder), options.layers, options.width)
        model = load_model(name, device="cpu", dtype="float32")
        prompts = make_prompts(model, X, questions)
        lengths = [len(ids) for ids in model.encode([model.to_text(prompt) for prompt in prompts])]

        def surveysim(dtype: str) -> Callable[[list[int]], np.ndarray]:
            elicitor = ZeroShotElicitor(
                model.name,
                method="logprob",
                question=questions,
                option_orders="given",
                smoothing=0,
                device="cpu",
                dtype=dtype,
            ).fit(X)

            def run(rows: list[int]) -> np.ndarray:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # random weights put no mass on labels
                    return elicitor.predict(X.iloc[rows])

            return run

        contestants: dict[str, Callable[[list[int]], Any] | None] = {
            "surveysim": surveysim("float32"),
            REDUCED: surveysim("bfloat16") if options.bfloat16 else None,
            BATCHED: batched(model, prompts),
        }
        if options.model is None:  # which change the prompts of some models
            contestants['transformers pipeline("decision")'] = decision(model, prompts)
            contestants["skorch ZeroShotClassifier"] = zero_shot_classifier(model, prompts)
        order = np.random.default_rng(0).permutation(len(X)).tolist()
        seconds: dict[str, list[float]] = {name: [] for name, run in contestants.items() if run is not None}
        clock: dict[str, list[float]] = {name: [] for name in seconds}
        for name in seconds:
            contestants[name](order[:2])  # type: ignore[misc]
        before = passes_of(model).n_tokens_run
        for repeat in range(options.rounds):
            for name, times in seconds.items():
                some = [order[(repeat * options.peer_prompts + i) % len(order)] for i in range(options.peer_prompts)]
                rows = list(range(len(X))) if name.startswith("surveysim") else some
                start, processor = time.perf_counter(), time.process_time()
                contestants[name](rows)  # type: ignore[misc]
                times.append((time.process_time() - processor) / len(rows))
                clock[name].append((time.perf_counter() - start) / len(rows))
        tokens_read = (passes_of(model).n_tokens_run - before) / options.rounds
        some = order[: options.peer_prompts]
        own, plain = (contestants[name](some) for name in ("surveysim", BATCHED))  # type: ignore[misc]
        differences = {BATCHED: float(np.abs(own - plain).max())}
        if options.bfloat16:
            reduced = contestants[REDUCED](some)  # type: ignore[misc]
            differences[REDUCED] = float(np.abs(own - reduced).max())
    rates = {name: 1 / float(np.median(times)) for name, times in seconds.items()}
    peers = [rate for name, rate in rates.items() if not name.startswith("surveysim")]
    print(
        f"{len(X)} prompts of {np.mean(lengths):.0f} tokens; surveysim reads {tokens_read / len(X):.1f} tokens a prompt"
    )
    for name, rate in rates.items():
        spread = ", ".join(f"{1 / value:.1f}" for value in seconds[name])
        print(
            f"{name:35s} {rate:7.1f} prompts a second (rounds {spread}; by the clock {1 / np.median(clock[name]):.1f})"
        )
    for name, value in differences.items():
        print(f"largest difference of a probability from surveysim in float32: {name} {value:.1e}")
    result = {
        "model": options.model or "random weights",
        "prompts": len(X),
        "largest_differences": differences,
        "tokens_per_prompt": round(float(np.mean(lengths)), 1),
        "tokens_read_per_prompt": round(tokens_read / len(X), 1),
        "layers": options.layers,
        "width": options.width,
        "prompts_per_second": {name: round(rate, 2) for name, rate in rates.items()},
        "by_the_clock": {name: round(1 / float(np.median(times)), 2) for name, times in clock.items()},
        "ratio_to_the_better_peer": round(rates["surveysim"] / max(peers), 1) if peers else None,
    }
    print(json.dumps(result))
    if options.output is not None:
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
