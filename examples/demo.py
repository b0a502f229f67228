"""Fine-tune a small language model on 400 respondents of a real survey and compare it with the 5,966 others.

Run ``make demo``, or ``python examples/demo.py --help``. Everything is offline: the survey comes with statsmodels, the
language model ("nano", 3 million parameters) with surveysim.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from picture import Panel, draw

from surveysim import DSARegressor, Question, tabulate
from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.metrics import cross_entropy, js_divergence
from surveysim.models import load_model
from surveysim.prompts import get_template, render
from surveysim.tables import Cells

QUESTION = Question(
    "How do you rate your marriage?",
    ["very poor", "poor", "fair", "good", "very good"],
    codes=[1, 2, 3, 4, 5],
    context="Redbook magazine, United States, 1974, married women",
)
LABELS: dict[str, dict[Any, str | None]] = {
    "age": {17.5: "under 20", 22: "20-24", 27: "25-29", 32: "30-34", 37: "35-39", 42: "40 or older"},
    "religious": {1: "not", 2: "mildly", 3: "fairly", 4: "strongly"},
    "children": {0: "none", 1: "1", 2: "2", 3: "3", 4: "4", 5.5: "5 or more"},
}

SAMPLE, MARGIN, PLAIN, LOGIT = "training sample", "pooled margin", "plain logit", "order-aware logit"
STAGE1, BOTH, STACKED = "DSA, stage 1 only", "DSA, both stages", 'DSA, init="baseline"'
FLOOR = "noise floor"
METHODS = {
    SAMPLE: "the shares of the training respondents",
    MARGIN: "MarginalRegressor: everybody answers alike",
    PLAIN: "LogitRegressor(ordered=False)",
    LOGIT: "LogitRegressor(): the baseline",
    STAGE1: "DSARegressor(shift_weight=0)",
    BOTH: "DSARegressor(): as published",
    STACKED: "on top of the baseline",
    FLOOR: "a perfect prediction",
}

ENOUGH = 50
"""Cells and groups are compared from this many held-out respondents on."""

EQUAL_SHARES = 0.001
"""Mixed into every prediction before the cross-entropy, which is infinite where an option that somebody chose got 0."""


@dataclass
class Study:
    """A survey in two: a few respondents to learn from, all others as the truth."""

    train: Cells
    truth: Cells
    n_train: int
    n_truth: int
    predictions: dict[str, dict[str, pd.DataFrame]] = field(default_factory=dict)  # method -> level -> shares
    bits_per_answer: dict[str, float] = field(default_factory=dict)
    models: dict[str, DSARegressor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.levels = by_level(self.truth, self.truth.Y)

    def add(self, method: str, P: np.ndarray) -> None:
        """Keep a method's predictions for the cells of the truth, pooled to each level."""
        self.predictions[method] = by_level(self.truth, P)
        mixed = (1 - EQUAL_SHARES) * P + EQUAL_SHARES / P.shape[1]
        self.bits_per_answer[method] = cross_entropy(self.truth.Y, mixed, sample_weight=self.truth.n)

    def compared(self, level: str) -> tuple[pd.DataFrame, np.ndarray]:
        """The truth's shares and respondents in the groups of a level that have enough of them."""
        table = self.levels[level][self.levels[level]["n"] >= ENOUGH]
        return table.drop(columns="n"), table["n"].to_numpy()

    def predicted(self, method: str, level: str) -> np.ndarray:
        """A method's shares for the same groups."""
        return self.predictions[method][level].loc[self.compared(level)[0].index].drop(columns="n").to_numpy()


def load_study(n_train: int, seed: int) -> Study:
    """Draw `n_train` respondents at random and tabulate both parts."""
    survey = sm.datasets.fair.load_pandas().data
    order = np.random.default_rng(seed).permutation(len(survey))

    def cells(rows: np.ndarray, folds: int | None = None) -> Cells:
        return tabulate(survey.iloc[rows], list(LABELS), {"rate_marriage": QUESTION}, labels=LABELS, folds=folds)

    return Study(cells(order[:n_train], folds=5), cells(order[n_train:]), n_train, len(survey) - n_train)


def by_level(cells: Cells, Y: np.ndarray) -> dict[str, pd.DataFrame]:
    """Shares and respondents of the crossed cells, of the groups of each attribute, and of everybody."""
    counts = pd.DataFrame(Y * cells.n[:, None]).assign(n=cells.n)
    columns = {name: cells.X[name].astype(str).to_numpy() for name in LABELS}

    def pool(keys: list[np.ndarray]) -> pd.DataFrame:
        pooled = counts.groupby(keys, sort=False).sum()
        return pooled.div(pooled["n"], axis=0).assign(n=pooled["n"])

    groups = [pool([np.full(len(cells), name), values]) for name, values in columns.items()]
    return {
        "crossed cells": pool(list(columns.values())),
        "single groups": pd.concat(groups),
        "population": pool([np.full(len(cells), "all")]),
    }


def add_sample(study: Study) -> None:
    """The training sample as a prediction; where it has nobody, its margin stands in."""
    keys = list(LABELS)
    sample = study.train.X.astype(str).assign(row=range(len(study.train)))
    row = study.truth.X.astype(str).merge(sample, how="left", on=keys)["row"]
    margin = np.average(study.train.Y, axis=0, weights=study.train.n)
    P = np.where(row.isna().to_numpy()[:, None], margin, study.train.Y[row.fillna(0).astype(int)])
    study.add(SAMPLE, P)
    # Pooled over cells weighted by the sample's own respondents, not the truth's, it is what the sample would say.
    own = by_level(study.train, study.train.Y)
    for level in ("single groups", "population"):
        whole = study.predictions[SAMPLE][level]
        study.predictions[SAMPLE][level] = own[level].reindex(whole.index).fillna(whole)


def add_baselines(study: Study) -> None:
    """What a language model has to beat."""
    for method, estimator in {
        MARGIN: MarginalRegressor(question=QUESTION),
        PLAIN: LogitRegressor(ordered=False, question=QUESTION),
        LOGIT: LogitRegressor(question=QUESTION),
    }.items():
        estimator.fit(study.train.X, study.train.Y, sample_weight=study.train.n)
        study.add(method, estimator.predict(study.truth.X))


def add_dsa(study: Study, model: str, seed: int, max_epochs: int) -> None:
    """Fine-tune the language model three times: stage 1 only, both stages, and on top of the baseline."""
    settings: dict[str, dict[str, Any]] = {STAGE1: {"shift_weight": 0}, BOTH: {}, STACKED: {"init": "baseline"}}
    for method, parameters in settings.items():
        estimator = DSARegressor(
            model,
            question=QUESTION,
            max_epochs=max_epochs,
            verbose=int(sys.stderr.isatty()),
            random_state=seed,
            **parameters,
        )
        start = time.perf_counter()
        estimator.fit(study.train.X, study.train.Y, sample_weight=study.train.n, folds=study.train.folds)
        study.add(method, estimator.predict(study.truth.X))
        study.models[method] = estimator
        arguments = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
        say(f"\n  DSARegressor({arguments}): {time.perf_counter() - start:.1f} s")
        tell_history(estimator)


# --- what is said -----------------------------------------------------------------------------------------------------


def tell_history(estimator: DSARegressor) -> None:
    """The two stages of a fit as its history recorded them."""
    history = estimator.history_
    tried = history[history["phase"] == "select"]
    first = tried[tried["stage"] == 1]["held_out"].to_numpy()
    say(f"    stage 1, distributions   {curve(first)}  held-out loss {first[0]:.4f} -> {first.min():.4f} nats")
    second = tried[tried["stage"] == 2]
    if len(second):
        for (reference, weight), run in second.groupby(["reference", "weight"], sort=False):
            losses = run["held_out"].to_numpy()
            taken = reference == estimator.shift_reference_ and weight == estimator.shift_weight_
            say(
                f"    stage 2, shifts          {curve(losses)}  {losses.min():.4f}  "
                f"reference {reference!r}, weight {weight:g} respondents{'   <- taken' if taken else ''}"
            )
    if estimator.stack_weight_ == 0:
        say("    refit: none; held-out respondents gave the language model weight 0 beside the baseline")
    else:
        epochs = f"{estimator.n_iter_[0]} + {estimator.n_iter_[1]}"
        weight = f", weight {estimator.stack_weight_:g} beside the baseline" if estimator.init == "baseline" else ""
        say(f"    refit on everybody: {epochs} epochs{weight}")


def curve(losses: np.ndarray, width: int = 12) -> str:
    """A line of numbers as a small drawing."""
    marks = "▁▂▃▄▅▆▇█" if can_print("▁█") else "_.-=+*#@"
    losses = losses[np.linspace(0, len(losses) - 1, width).round().astype(int)] if len(losses) > width else losses
    spread = np.ptp(losses) or 1.0
    return "".join(marks[int(7 * (loss - losses.min()) / spread)] for loss in losses).ljust(width)


def tell_model(name: str, study: Study) -> None:
    """Load the language model and show what it reads."""
    start = time.perf_counter()
    model = load_model(name)
    size = model.network.num_parameters()
    seconds = time.perf_counter() - start
    say(f"  {name}: {size / 1e6:.1f} million parameters, loaded in {seconds:.1f} s. What it reads:\n")
    biggest = study.train.X.iloc[int(study.train.n.argmax())].to_dict()
    prompt = render(get_template("default"), QUESTION, biggest, labels=model.labels(QUESTION.n_options).letters)
    say(textwrap.indent(f"{prompt.system}\n{prompt.user}", "    | "))


def table(study: Study) -> str:
    """Divergence of every method at the three levels, in thousandths of a bit, and its cross-entropy."""
    levels = list(study.levels)
    headings = "".join(f"{named(study, level):>22}" for level in levels)
    lines = [
        f"{'':22}{headings}{'bits per':>11}",
        f"{'':22}" + f"{'raw':>13}{'debiased':>9}" * len(levels) + f"{'answer':>11}",
    ]
    for method in METHODS:
        numbers = "".join(
            f"{1000 * raw:13.2f}{1000 * debiased:9.2f}"
            for raw, debiased in (divergence(study, method, level) for level in levels)
        )
        bits = study.bits_per_answer.get(method)
        lines.append(f"{method:<22}{numbers}" + (f"{bits:11.4f}" if bits is not None else ""))
    return "\n".join(lines)


def named(study: Study, level: str) -> str:
    """A level with the number of its groups that are compared."""
    return f"{level} ({len(study.compared(level)[0])})"


def divergence(study: Study, method: str, level: str) -> tuple[float, float]:
    """Mean Jensen-Shannon divergence in bits: raw, and without the truth's own sampling noise."""
    truth, n = study.compared(level)
    if method == FLOOR:
        return -js_divergence(truth, truth, truth_respondents=n), 0.0
    P = study.predicted(method, level)
    return js_divergence(truth, P), js_divergence(truth, P, truth_respondents=n)


def difference(study: Study, method: str, other: str, seed: int, n_draws: int = 400) -> tuple[float, float]:
    """How much lower `method`'s divergence is than `other`'s over the crossed cells, and its standard error, in bits.

    The held-out respondents of each cell are drawn anew with replacement: the error covers who was held out, not who
    was sampled for training.
    """
    truth, n = study.compared("crossed cells")
    drawn = np.random.default_rng(seed).multinomial(n.round().astype(int), truth.to_numpy(), size=(n_draws, len(n)))
    shares = (drawn / drawn.sum(axis=2, keepdims=True)).reshape(-1, truth.shape[1])

    def mean_divergence(of: str) -> np.ndarray:
        P = np.tile(study.predicted(of, "crossed cells"), (n_draws, 1))
        return js_divergence(shares, P, average=False).reshape(n_draws, -1).mean(axis=1)

    gain = divergence(study, other, "crossed cells")[1] - divergence(study, method, "crossed cells")[1]
    return gain, float((mean_divergence(other) - mean_divergence(method)).std(ddof=1))


def compared_in_words(study: Study, method: str, other: str, seed: int) -> str:
    """The difference between two methods with its interval, and what may be said of it."""
    gain, error = difference(study, method, other, seed)
    if abs(gain) < 1e-9 and error < 1e-9:
        return "no difference"
    low, high = 1000 * (gain - 1.645 * error), 1000 * (gain + 1.645 * error)
    verdict = "a gain" if low > 0 else "a loss" if high < 0 else "no clear difference"
    return f"{1000 * gain:+.2f}, 90% interval {low:+.2f} to {high:+.2f}: {verdict}"


def conclusions(study: Study, seed: int) -> list[str]:
    """What the table means, and what it does not."""
    per_cell = study.n_train / len(study.truth)
    sample, margin = (1000 * divergence(study, method, "crossed cells")[1] for method in (SAMPLE, MARGIN))
    whole = {method: 1000 * divergence(study, method, "population")[1] for method in (SAMPLE, LOGIT, BOTH)}
    both, stacked = study.models[BOTH], study.models[STACKED]
    stack = (
        "Held-out respondents gave the language model weight 0, so that this is the logit itself."
        if stacked.stack_weight_ == 0
        else f"Held-out respondents gave the language model weight {stacked.stack_weight_:g}."
    )
    gaps = both.gap_inflation_ or {}
    borne_out = ", ".join(f"{slope:.2f} (by {name})" for name, slope in gaps.items())
    return [
        f"Against the sample. {study.n_train} respondents are {per_cell:.1f} for each background. Their own shares are "
        f"{sample:.0f} thousandths of a bit from the truth, the pooled margin, which knows no groups, {margin:.0f}. "
        + ("So beating the sample shows nothing." if margin < sample else "So cells this large speak for themselves."),
        f"Stage 2. Both stages against stage 1 only, in thousandths of a bit nearer to the truth: "
        f"{compared_in_words(study, BOTH, STAGE1, seed)}. The reference was "
        f"{both.shift_reference_!r}, with the weight of {both.shift_weight_:g} respondents.",
        "What the language model added. Both stages against the order-aware logit, which has no language model in it: "
        f"{compared_in_words(study, BOTH, LOGIT, seed)}. On top of that logit (init='baseline'): "
        f"{compared_in_words(study, STACKED, LOGIT, seed)}. {stack} Only these differences may be credited to the "
        "language model.",
        f"The population. For everybody together the sample is {whole[SAMPLE]:.2f} off, the logit {whole[LOGIT]:.2f}, "
        f"DSA {whole[BOTH]:.2f}; samples of {study.n_train} are off by "
        f"{4000 / (8 * study.n_train * np.log(2)):.2f} on average. Models of this kind are for small groups; they "
        "do not replace respondents for the whole.",
        "The model. nano was trained on invented surveys: it has learned that 20-24 is next to 25-29 and that 'good' "
        "lies between 'fair' and 'very good', and no fact about people."
        + (f" Of the gaps between groups that it expects untuned, the data bear out {borne_out}." if borne_out else ""),
        "One sample, one question. Another sample of the same size gives other figures (--seed); the intervals cover "
        "who was held out, not who was sampled.",
    ]


def panels(study: Study, n_groups: int = 6) -> list[Panel]:
    """Crossed cells with enough held-out respondents, evenly spaced from the lowest to the highest true mean."""
    truth, n = study.compared("crossed cells")
    ranked = (truth.to_numpy() @ np.arange(truth.shape[1])).argsort()
    sampled = by_level(study.train, study.train.Y)["crossed cells"]["n"]
    said = {method: study.predicted(method, "crossed cells") for method in (SAMPLE, LOGIT, BOTH)}
    chosen = []
    for i in ranked[np.linspace(0, len(ranked) - 1, n_groups).round().astype(int)]:
        group = truth.index[i]
        age, religious, children = group
        family = {"none": "no children", "1": "1 child"}.get(children, f"{children} children")
        known = {method: P[i] for method, P in said.items() if method != SAMPLE or group in sampled.index}
        remark = f"{sampled.get(group, 0):.0f} sampled\n{n[i]:.0f} held out"
        chosen.append(Panel(f"{age}, {religious} religious,\n{family}", remark, truth.iloc[i].to_numpy(), known))
    return chosen


def picture(study: Study, path: Path) -> None:
    """Distributions of six groups, and every method's raw divergence at the three levels."""
    divergences = pd.DataFrame(
        {
            named(study, level): {method: 1000 * divergence(study, method, level)[0] for method in METHODS}
            for level in study.levels
        }
    )
    title = f"“{QUESTION.text}” in six groups, {study.n_train} respondents"
    draw(path, title, QUESTION.options, panels(study), divergences, FLOOR)


def say(text: str = "") -> None:
    """Print at once, also where output is piped, in whatever the terminal can show."""
    encoding = sys.stdout.encoding or "ascii"
    print(text.encode(encoding, "replace").decode(encoding), flush=True)


def can_print(text: str) -> bool:
    """Whether the terminal's encoding has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def heading(text: str) -> None:
    """A line that opens a step."""
    say(f"\n{text}\n{'-' * len(text)}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", default="nano", help="language model: nano, a folder, or a name on the hub")
    parser.add_argument("--respondents", type=int, default=400, help="how many train (default 400)")
    parser.add_argument("--seed", type=int, default=0, help="which respondents train")
    parser.add_argument("--quick", action="store_true", help="two epochs per stage, to see that everything runs")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output" / "demo.png", help="picture")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> Study:
    """Run the demo."""
    options = parse(arguments)
    start = time.perf_counter()

    heading("1. The survey")
    study = load_study(options.respondents, options.seed)
    say(f"  {QUESTION.text}  ({QUESTION.context})")
    say(f"  {study.n_train} respondents drawn at random train, the other {study.n_truth:,} are the truth.")
    say(textwrap.indent(repr(study.train), "  "))

    heading("2. The language model")
    tell_model(options.model, study)

    heading("3. Statistics first")
    add_sample(study)
    add_baselines(study)
    for method in (SAMPLE, MARGIN, PLAIN, LOGIT):
        say(f"  {method:<20} {METHODS[method]}")

    heading("4. Fine-tuning")
    say(f"  Two stages train the last block and the option labels' output rows, on {study.n_train} respondents.")
    add_dsa(study, options.model, options.seed, max_epochs=2 if options.quick else 30)

    heading("5. How far from the truth?")
    say(f"  Jensen-Shannon divergence in thousandths of a bit, mean over the groups of {ENOUGH} and more held-out")
    say("  respondents (how many groups in brackets). Debiased: without the truth's own sampling noise.\n")
    say(textwrap.indent(table(study), "  "))

    heading("6. What this means")
    for paragraph in conclusions(study, options.seed):
        say(textwrap.fill(paragraph, 110, initial_indent="  * ", subsequent_indent="    "))

    picture(study, options.output)
    say(f"\n  Picture: {options.output}    ({time.perf_counter() - start:.0f} s in all)")
    return study


if __name__ == "__main__":
    main()
