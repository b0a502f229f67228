"""Fine-tune a small language model on 400 respondents of a real survey and compare it with the 5,966 others.

Run ``make demo``, or ``python examples/demo.py --help``. Everything is offline: the survey comes with statsmodels, the
language model ("nano") with surveysim. ``--model`` takes any other: a folder, a GGUF file, a name on the hub.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from picture import Panel, draw
from study import (
    BOTH,
    CELLS,
    ENOUGH,
    FLOOR,
    GROUPS,
    LEVELS,
    LOGIT,
    MARGIN,
    METHODS,
    POPULATION,
    QUESTION,
    SAMPLE,
    STACKED,
    STAGE1,
    Study,
    add_baselines,
    add_dsa,
    add_sample,
    by_level,
    difference,
    divergence,
    load_study,
    points,
)

from surveysim import DSARegressor
from surveysim.models import load_model
from surveysim.prompts import get_template, render

DEFAULTS = DSARegressor().get_params()


def tell_fit(method: str, estimator: DSARegressor) -> None:
    """How a fit was written, and its two stages as its history recorded them."""
    written = {name: getattr(estimator, name) for name in ("init", "shift_reference", "shift_weight")}
    arguments = "".join(f", {name}={value!r}" for name, value in written.items() if value != DEFAULTS[name])
    say(f"\n  {method}: DSARegressor({str(estimator.model)!r}, question=question{arguments})")
    tried = estimator.history_[estimator.history_["phase"] == "select"]
    first, second = (tried[tried["stage"] == stage] for stage in (1, 2))
    held_out = by_epoch(first, "held_out")
    say(f"    stage 1, distributions   {curve(held_out)}  held out {held_out.min():.4f}")
    candidates = second.groupby(["reference", "weight"], sort=False) if len(second) else ()
    for (reference, weight), runs in candidates:
        loss = by_epoch(runs.assign(loss=runs["cross_entropy"] + runs["shift"]), "loss")
        taken = reference == estimator.shift_reference_ and weight == estimator.shift_weight_
        say(
            f"    stage 2, shifts          {curve(loss)}  held out {by_epoch(runs, 'held_out')[-1]:.4f}  "
            f"reference {reference!r}, weight {weight:g}{'   <- taken' if taken else ''}"
        )
    if len(second) and estimator.stack_weight_ and not estimator.shift_weight_:
        say("    stage 1 alone is taken")
    if estimator.stack_weight_ == 0:
        say("    refit: none; held-out respondents gave the language model weight 0 beside the baseline")
    else:
        epochs = f"{estimator.n_iter_[0]} of stage 1, {estimator.n_iter_[1]} of stage 2"
        weight = f", weight {estimator.stack_weight_:g} beside the baseline" if estimator.init == "baseline" else ""
        say(f"    refit on everybody, epochs: {epochs}{weight}")


def by_epoch(runs: pd.DataFrame, column: str) -> np.ndarray:
    """A column of the history by epoch, mean over the splits; a run that was given up keeps its last value."""
    return runs.pivot(index="epoch", columns="split", values=column).ffill().mean(axis=1).to_numpy()


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
    if size < 1e7:
        torch.set_num_threads(1)  # steps of a small model are so short that a second thread mostly waits
    seconds = time.perf_counter() - start
    say(f"  {name}: {size / 1e6:.1f} million parameters, loaded in {seconds:.1f} s. What it reads:\n")
    biggest = study.train.X.iloc[int(study.train.n.argmax())].to_dict()
    prompt = render(get_template("default"), QUESTION, biggest, labels=model.labels(QUESTION.n_options).letters)
    say(textwrap.indent(f"{prompt.system}\n{prompt.user}", "    | "))


def table(study: Study) -> str:
    """Divergence of every method at the three levels, and its cross-entropy."""
    headings = "".join(f"{named(study, level):>22}" for level in LEVELS)
    lines = [
        f"{'':22}{headings}{'bits per':>11}",
        f"{'':22}" + f"{'raw':>13}{'debiased':>9}" * len(LEVELS) + f"{'answer':>11}",
    ]
    for method in METHODS:
        numbers = "".join(
            f"{raw:13.2f}{debiased:9.2f}" for raw, debiased in (divergence(study, method, level) for level in LEVELS)
        )
        bits = study.bits_per_answer.get(method)
        lines.append(f"{method:<22}{numbers}" + (f"{bits:11.4f}" if bits is not None else ""))
    return "\n".join(lines)


def table_of_points(study: Study) -> str:
    """The same in percentage points, which readers of surveys know."""
    lines = [f"{'':22}" + "".join(f"{named(study, level):>22}" for level in LEVELS)]
    for method in METHODS:
        lines.append(f"{method:<22}" + "".join(f"{points(study, method, level):22.1f}" for level in LEVELS))
    return "\n".join(lines)


def named(study: Study, level: str) -> str:
    """A level with the number of its groups that are compared."""
    return f"{level} ({len(study.compared(level)[0])})"


def all_samples(study: Study, options: argparse.Namespace) -> pd.DataFrame:
    """Divergences with this and other training samples, one row per sample; columns (kind, level, method)."""
    rows = {options.seed: in_one_row(study)}
    for seed in range(options.seed + 1, options.seed + options.samples):
        other = prepare(options, seed)
        add_dsa(other, options.model, seed, search=options.search, **options.common)
        rows[seed] = in_one_row(other)
    return pd.DataFrame.from_dict(rows, orient="index")


def in_one_row(study: Study) -> dict[tuple[str, str, str], float]:
    """Every method's divergences at every level, raw and debiased."""
    row = {}
    for level in LEVELS:
        for method in METHODS:
            row["raw", level, method], row["debiased", level, method] = divergence(study, method, level)
    return row


def table_of_samples(results: pd.DataFrame) -> str:
    """Means over samples at the three levels; lowest and highest over the crossed cells."""
    lines = [
        f"{'':22}{CELLS:>14}{'lowest':>9}{'highest':>9}{GROUPS:>17}{POPULATION:>13}   nearer than",
        f"{'':22}{'mean':>14}{'':18}{'mean':>17}{'mean':>13}   the logit in",
    ]
    for method in METHODS[:-1]:
        cells, groups, population = (results[level, method] for level in LEVELS)
        nearer = int((cells < results[CELLS, LOGIT] - 1e-9).sum())
        beside = "" if method == LOGIT else f"{nearer:>8} of {len(results)}"
        lines.append(
            f"{method:<22}{cells.mean():14.2f}{cells.min():9.2f}{cells.max():9.2f}"
            f"{groups.mean():17.2f}{population.mean():13.2f}{beside}"
        )
    return "\n".join(lines)


def compared_in_words(study: Study, results: pd.DataFrame, method: str, other: str, seed: int) -> str:
    """The difference between two methods over the crossed cells, in this sample and in all, and what may be said of it.

    Positive: `method` is nearer to the truth.
    """
    gain, error = difference(study, method, other, seed)
    gains = results[CELLS, other] - results[CELLS, method]
    if abs(gain) < 1e-9 and error < 1e-9:
        here = "no difference in this sample"
    else:
        low, high = gain - 1.645 * error, gain + 1.645 * error
        verdict = "a gain" if low > 0 else "a loss" if high < 0 else "no clear difference"
        here = f"{gain:+.2f} in this sample (90% interval {low:+.2f} to {high:+.2f}: {verdict})"
    if len(results) == 1:
        return here
    nearer, farther = int((gains > 1e-9).sum()), int((gains < -1e-9).sum())
    return f"{here}; {gains.mean():+.2f} over {len(gains)} samples (nearer in {nearer}, farther in {farther})"


def of_the_model(name: str, gaps: dict[str, float]) -> str:
    """What the language model can have known of these people, and how much of it the data bear out."""
    if name == "nano":
        said = (
            "nano was trained on invented surveys: it may have learned that 20-24 is next to 25-29 and that 'good' "
            "lies between 'fair' and 'very good', but no fact about people."
        )
    else:
        said = (
            f"{name} was trained on texts that people wrote, maybe on reports of this very survey: what it gets right "
            "it may recall. Whether it knows these groups is said by the paragraph above, not by its size."
        )
    borne_out = ", ".join(f"{slope:.2f} (by {attribute})" for attribute, slope in gaps.items())
    return f"The model. {said}" + (
        f" Of the gaps between groups that it expects untuned, the data bear out {borne_out}." if borne_out else ""
    )


def conclusions(study: Study, results: pd.DataFrame, seed: int) -> list[str]:
    """What the tables mean, and what they do not."""
    per_cell = study.n_train / len(study.truth)
    sample, margin = (results[CELLS, method].mean() for method in (SAMPLE, MARGIN))
    whole = {method: results[POPULATION, method].mean() for method in (SAMPLE, LOGIT, BOTH)}
    both, stacked = study.models[BOTH], study.models[STACKED]
    second = (
        f"Stage 2 pulled towards the reference {both.shift_reference_!r}, with the weight of {both.shift_weight_:g} "
        "respondents per cell."
        if both.shift_weight_
        else "Held-out respondents chose stage 1 alone."
    )
    if both.shift_reference_ == "baseline" and both.shift_weight_ > study.n_train / len(study.train):
        second += " That is more than the cells have: the result follows the logit, which the reference comes from."
    stack = (
        "here held-out respondents gave the language model weight 0, so that this is the logit itself"
        if stacked.stack_weight_ == 0
        else f"here held-out respondents gave the language model weight {stacked.stack_weight_:g}"
    )
    return [
        f"Against the sample. {study.n_train} respondents are {per_cell:.1f} for each background. Their own shares are "
        f"{sample:.0f} thousandths of a bit from the truth; the pooled margin, which knows no groups, {margin:.0f}. "
        + ("So beating the sample shows nothing." if margin < sample else "Cells this large speak for themselves."),
        "Stage 2. Both stages against stage 1 only, in thousandths of a bit nearer to the truth: "
        f"{compared_in_words(study, results, BOTH, STAGE1, seed)}. {second}",
        "What the language model adds. Both stages against the order-aware logit, which has no language model in it: "
        f"{compared_in_words(study, results, BOTH, LOGIT, seed)}. On top of that logit, init='baseline': "
        f"{compared_in_words(study, results, STACKED, LOGIT, seed)}; {stack}. Only these differences may be credited "
        "to the language model.",
        f"The population. For everybody together the sample is {whole[SAMPLE]:.2f} off, the logit {whole[LOGIT]:.2f}, "
        f"DSA {whole[BOTH]:.2f}. Samples of {study.n_train} are {4000 / (8 * study.n_train * np.log(2)):.2f} off on "
        "average. Models of this kind are for small groups; they do not replace respondents for the whole.",
        of_the_model(str(both.model), both.gap_inflation_ or {}),
        "One survey, one question. The intervals cover who was held out, not who was sampled: another sample gives "
        "other figures (--seed, --samples), another question may tell another story.",
    ]


def panels(study: Study, n_groups: int = 6) -> list[Panel]:
    """Crossed cells with enough held-out respondents, evenly spaced from the lowest to the highest true mean."""
    truth, n = study.compared(CELLS)
    ranked = (truth.to_numpy() @ np.arange(truth.shape[1])).argsort()
    sampled = by_level(study.train, study.train.Y)[CELLS]["n"]
    said = {method: study.predicted(method, CELLS) for method in (SAMPLE, LOGIT, BOTH)}
    chosen = []
    for i in ranked[np.linspace(0, len(ranked) - 1, n_groups).round().astype(int)]:
        group = truth.index[i]
        age, religious, children = group
        family = {"none": "no children", "1": "1 child"}.get(children, f"{children} children")
        known = {method: P[i] for method, P in said.items() if method != SAMPLE or group in sampled.index}
        remark = f"{sampled.get(group, 0):.0f} sampled\n{n[i]:.0f} held out"
        chosen.append(Panel(f"{age}, {religious} religious,\n{family}", remark, truth.iloc[i].to_numpy(), known))
    return chosen


def picture(study: Study, results: pd.DataFrame, path: Path) -> None:
    """Distributions of six groups in this sample, and every method's raw divergence in all samples."""
    divergences = {named(study, level): results["raw"][level] for level in LEVELS}
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
    parser.add_argument("--model", default="nano", help="nano, smollm2, a folder, a GGUF file, or a name on the hub")
    parser.add_argument("--respondents", type=int, default=400, help="how many train (default 400)")
    parser.add_argument("--seed", type=int, default=0, help="which respondents train")
    parser.add_argument("--samples", type=int, default=1, help="repeat with so many training samples (default 1)")
    parser.add_argument("--search", action="store_true", help="try all of stage 2's candidates, as always with nano")
    parser.add_argument("--quick", action="store_true", help="two epochs, two samples: to see that everything runs")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output" / "demo.png", help="picture")
    options = parser.parse_args(arguments)
    options.search = options.search or options.model == "nano"
    options.common = {"max_epochs": 2} if options.quick else {}
    options.samples = min(2, options.samples) if options.quick else options.samples
    return options


def prepare(options: argparse.Namespace, seed: int) -> Study:
    """A sample, and everything that needs no language model."""
    study = load_study(options.respondents, seed)
    add_sample(study)
    add_baselines(study)
    return study


def main(arguments: list[str] | None = None) -> Study:
    """Run the demo."""
    options = parse(arguments)
    start = time.perf_counter()

    heading("1. The survey")
    study = prepare(options, options.seed)
    say(f"  {QUESTION.text}  ({QUESTION.context})")
    say(f"  {study.n_train} respondents drawn at random train, the other {study.n_truth:,} are the truth.")
    say(textwrap.indent(repr(study.train), "  "))

    heading("2. The language model")
    tell_model(options.model, study)

    heading("3. Fine-tuning")
    say("  Two stages train the model's last block and the output rows of the options' labels. A fifth of the training")
    say("  respondents is held out to choose epochs, reference and weight; another reference is taken only if it is")
    say("  better by more than two standard errors, another weight by one. Then all train. Curves: loss by epoch.")
    if not options.search:
        say("  To save time stage 2 has its default weight, 1.5, and init='baseline' takes the reference of the fit")
        say("  before; --search lets held-out respondents choose them, too, as with nano: twice the time.")
    add_dsa(study, options.model, options.seed, report=tell_fit, search=options.search, **options.common)

    heading("4. How far from the truth?")
    say("  Beside the sample and the language model stand three without one: MarginalRegressor (everybody alike),")
    say("  LogitRegressor(ordered=False), and LogitRegressor(), which knows the order of options and groups.")
    say(f"  Jensen-Shannon divergence in thousandths of a bit, mean over the groups of {ENOUGH} and more held-out")
    say("  respondents (how many groups in brackets). Debiased: without the truth's own sampling noise.\n")
    say(textwrap.indent(table(study), "  "))
    say("\n  In percentage points: how many of a hundred answers are on a wrong option, the truth's noise included.\n")
    say(textwrap.indent(table_of_points(study), "  "))

    results = all_samples(study, options)
    if len(results) > 1:
        heading(f"The same with {len(results) - 1} other samples of {study.n_train}")
        say("  Debiased, in thousandths of a bit, means over all samples.\n")
        say(textwrap.indent(table_of_samples(results["debiased"]), "  "))

    heading("5. What this means")
    for paragraph in conclusions(study, results["debiased"], options.seed):
        say(textwrap.fill(paragraph, 110, initial_indent="  * ", subsequent_indent="    "))
    picture(study, results, options.output)
    say(f"\n  Picture: {options.output}    ({time.perf_counter() - start:.0f} s in all)")
    return study


if __name__ == "__main__":
    main()
