"""Calibration of recorded elicitations, by question: ``python -m benchmarks.calibration [--draws 40] [--output FILE]``.

Each draw permutes the questions with ``numpy.random.default_rng(draw)``. All but the first 40 are its test questions;
the first n of the 40 are the labelled ones, with all their groups. Figures are opinion alignment, 0 to 100, mean over
the test cells. Nothing is chosen on test questions; constants of the library were chosen on the models with a star.
``--model`` asks a language model of your own about the same groups and questions, in place of the recorded ones.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.asked_model import METHOD, ask
from benchmarks.elicited import Setting, load_elicited, noise_ceiling
from surveysim import CalibratedElicitor
from surveysim.calibration import Anchor, DistributionCalibrator
from surveysim.calibration.maps import SMALLEST_SHARE
from surveysim.elicitation.recorded import RecordedElicitor
from surveysim.metrics import opinion_alignment

__all__ = ["anchored", "by_cells", "by_questions", "splits"]

QUESTIONS = (0, 1, 2, 3, 5, 10, 20, 40)
CELLS = (1, 2, 3, 5, 10, 20, 40)
POOL = 40
"""Questions that a draw may label; all others are its test questions."""

POWERS = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1)

ANCHOR = {"SEX": "Male", "RACE": "White", "POLPARTY": "Republican"}

TARGETS = (
    ("log-prob gpt-4", 10, 86.0),
    ("log-prob gpt-4", 0, 85.0),
    ("verbalised gpt-4", 10, 89.8),
)
ANCHOR_TARGETS = (("SEX", 95.0), ("RACE", 92.0))


def splits(setting: Setting, n_draws: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each draw the questions that may be labelled, in order, and the test rows."""
    names = np.array(sorted(setting.questions))
    found = []
    for draw in range(n_draws):
        order = np.random.default_rng(draw).permutation(names)
        found.append((order[:POOL], np.flatnonzero(setting.X["question"].isin(order[POOL:]))))
    return found


def setting_of(model: str, settings: Sequence[Setting]) -> Setting:
    """What a model of your own says of the groups that GPT-4 was asked about, by the probabilities of labels."""
    (asked,) = (setting for setting in settings if (setting.method, setting.model) == (METHOD, "gpt-4"))
    P = ask(model, asked.X, asked.questions)[:, : asked.Y.shape[1]]
    return replace(asked, model=model, P=P)


def by_questions(
    setting: Setting, n_draws: int, sizes: Sequence[int] = QUESTIONS, calibrator: str = "tempered", **params: Any
) -> np.ndarray:
    """Alignment of each test cell: (draws, sizes, cells), NaN for cells that are not test cells of the draw."""
    rows = [
        [np.flatnonzero(setting.X["question"].isin(pool[:size])) for size in sizes]
        for pool, _ in splits(setting, n_draws)
    ]
    return _calibrated(setting, n_draws, rows, calibrator, params)


def by_cells(setting: Setting, n_draws: int, sizes: Sequence[int] = CELLS, **params: Any) -> np.ndarray:
    """The same with so many single cells of the questions that may be labelled."""
    rows = []
    for draw, (pool, _) in enumerate(splits(setting, n_draws)):
        cells = np.flatnonzero(setting.X["question"].isin(pool))
        order = np.random.default_rng([draw, 1]).permutation(cells)
        rows.append([np.sort(order[:size]) for size in sizes])
    return _calibrated(setting, n_draws, rows, "tempered", params)


def _calibrated(
    setting: Setting, n_draws: int, rows: list[list[np.ndarray]], calibrator: str, params: dict[str, Any]
) -> np.ndarray:  # fmt: skip
    result = np.full((n_draws, len(rows[0]), len(setting.n)), np.nan)
    groups = setting.X["question"].to_numpy()
    for draw, (_, test) in enumerate(splits(setting, n_draws)):
        for place, train in enumerate(rows[draw]):
            model = DistributionCalibrator(calibrator, elicited_by=setting.elicited_by, random_state=0, **params)
            if len(train):
                model.fit(
                    setting.P[train],
                    setting.Y[train],
                    groups=groups[train],
                    sample_weight=setting.n[train],
                    values=setting.positions[train],
                )
            else:
                model.fit()
            Q = model.predict(setting.P[test], values=setting.positions[test])
            result[draw, place, test] = _alignment(setting, Q, test)
    return result


def _alignment(setting: Setting, Q: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return opinion_alignment(setting.Y[rows], Q, values=setting.positions[rows], average=False)


def without_model(setting: Setting, n_draws: int, size: int = POOL) -> np.ndarray:
    """The mean distribution of the labelled questions with as many options: no language model. (draws, cells)."""
    result = np.full((n_draws, len(setting.n)), np.nan)
    K = (~np.isnan(setting.Y)).sum(axis=1)
    for draw, (pool, test) in enumerate(splits(setting, n_draws)):
        train = setting.X["question"].isin(pool[:size]).to_numpy()
        Q = np.where(np.isnan(setting.Y[test]), np.nan, 1 / K[test, None])
        for k in np.unique(K[train]):
            Q[K[test] == k] = setting.Y[train & (k == K)].mean(axis=0)
        result[draw, test] = _alignment(setting, Q, test)
    return result


def anchored(setting: Setting, n_draws: int, sizes: Sequence[int] = (0, 10)) -> dict[str, np.ndarray]:
    """Alignment of test cells of the groups that are not the anchor: attribute -> (draws, sizes, cells).

    The anchor's group is known for all questions; the other groups' cells of the first questions fit the strength.
    """
    known = np.flatnonzero((setting.X[list(ANCHOR)] == pd.Series(ANCHOR)).any(axis=1))
    have = setting.X["question"].to_numpy()[known], setting.X[list(ANCHOR)].notna().to_numpy()[known].argmax(axis=1)
    pairs = set(zip(*have, strict=True))
    stated = setting.X[list(ANCHOR)].notna().to_numpy().argmax(axis=1)
    other = np.array([key in pairs for key in zip(setting.X["question"], stated, strict=True)])
    other[known] = False
    result = {name: np.full((n_draws, len(sizes), len(setting.n)), np.nan) for name in ANCHOR}
    elicitor = RecordedElicitor(setting.X, setting.P, question=setting.questions, elicited_by=setting.elicited_by)
    anchor = Anchor(ANCHOR, setting.X.iloc[known], setting.Y[known])
    for draw, (pool, test) in enumerate(splits(setting, n_draws)):
        test = test[other[test]]
        for place, size in enumerate(sizes):
            train = np.flatnonzero(setting.X["question"].isin(pool[:size]) & other)
            model = CalibratedElicitor(elicitor, anchor=anchor, gate=False, random_state=0)
            if size:
                model.fit(setting.X.iloc[train], setting.Y[train], setting.n[train])
            else:
                model.fit(setting.X.iloc[test])
            scores = _alignment(setting, model.predict(setting.X.iloc[test]), test)
            for number, name in enumerate(ANCHOR):
                own = stated[test] == number
                result[name][draw, place, test[own]] = scores[own]
    return result


def question_interval(setting: Setting, gain: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95% interval of a mean gain (draws, cells) over test cells, by bootstrap over questions."""
    counts = (~np.isnan(gain)).sum(axis=0)
    means = pd.Series(np.where(counts > 0, np.nansum(gain, axis=0) / np.maximum(counts, 1), np.nan))
    per_cell = means.groupby(setting.X["question"].to_numpy()).agg(["sum", "count"])
    totals = per_cell.to_numpy()
    generator = np.random.default_rng(seed)
    chosen = generator.integers(len(totals), size=(2000, len(totals)))
    resampled = totals[chosen, 0].sum(axis=1) / totals[chosen, 1].sum(axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def _draw_means(scores: np.ndarray) -> np.ndarray:
    return np.nanmean(scores, axis=-1)


def main_table(settings: list[Setting], n_draws: int, scores: dict[str, np.ndarray]) -> tuple[pd.DataFrame, list[str]]:
    """A row per setting, and what missed the requirements."""
    records, missed = [], []
    for setting in settings:
        tests = splits(setting, n_draws)
        raw = np.full((n_draws, len(setting.n)), np.nan)
        ceiling = np.full_like(raw, np.nan)
        own, perfect = _alignment(setting, setting.P, np.arange(len(setting.n))), noise_ceiling(setting)
        for draw, (_, test) in enumerate(tests):
            raw[draw, test], ceiling[draw, test] = own[test], perfect[test]
        gain = _draw_means(scores[setting.name]) - _draw_means(raw)[:, None]
        later = [QUESTIONS.index(size) for size in QUESTIONS if size >= 5]
        low, high = question_interval(setting, scores[setting.name][:, QUESTIONS.index(10)] - raw)
        records.append(
            {
                "setting": setting.name,
                "raw": _draw_means(raw).mean(),
                **{str(n): _draw_means(scores[setting.name][:, i]).mean() for i, n in enumerate(QUESTIONS)},
                "gain 10": gain[:, QUESTIONS.index(10)].mean(),
                "low": low,
                "high": high,
                "worse by .5, %": 100 * (gain[:, later] < -0.5).mean(),
                "at worst size, %": 100 * (gain[:, later] < -0.5).mean(axis=0).max(),
                "no model, 10": _draw_means(without_model(setting, n_draws, 10)).mean(),
                "no model, 40": _draw_means(without_model(setting, n_draws)).mean(),
                "ceiling": _draw_means(ceiling).mean(),
            }
        )
        if (gain[:, later].mean(axis=0) < -0.2).any():
            missed.append(f"{setting.name}: worse than raw by more than 0.2")
        for i in later:
            if (share := (gain[:, i] < -0.5).mean()) > 0.05:
                missed.append(
                    f"{setting.name}, {QUESTIONS[i]} questions: worse by more than 0.5 in {share:.1%} of draws"
                )
    table = pd.DataFrame(records).set_index("setting")
    for name, size, target in TARGETS:
        reached = table[str(size)].get(name)
        if reached is not None and reached < target:
            missed.append(f"{name} with {size} questions: {reached:.2f} < {target}")
    return table, missed


def anchor_table(settings: list[Setting], n_draws: int) -> tuple[pd.DataFrame, list[str]]:
    """Anchored groups beside raw and calibrated ones."""
    records, missed = [], []
    for setting in settings:
        moved = anchored(setting, n_draws)
        calibrated = by_questions(setting, n_draws, (10,))[:, 0]
        own = _alignment(setting, setting.P, np.arange(len(setting.n)))
        perfect = noise_ceiling(setting)
        for name, scores in moved.items():
            tested = ~np.isnan(scores[:, 0])
            record = {
                "setting": setting.name,
                "attribute": name,
                "raw": _draw_means(np.where(tested, own, np.nan)).mean(),
                "calibrated, 10": _draw_means(np.where(tested, calibrated, np.nan)).mean(),
                "anchored, 0": _draw_means(scores[:, 0]).mean(),
                "anchored, 10": _draw_means(scores[:, 1]).mean(),
                "anchor itself": _as_anchor(setting, name, tested),
                "ceiling": _draw_means(np.where(tested, perfect, np.nan)).mean(),
            }
            records.append(record)
            for attribute, target in ANCHOR_TARGETS:
                if setting.name == "verbalised gpt-4" and name == attribute and record["anchored, 10"] < target:
                    missed.append(f"anchored {attribute}, {setting.name}: {record['anchored, 10']:.2f} < {target}")
    return pd.DataFrame(records).set_index(["setting", "attribute"]), missed


def _as_anchor(setting: Setting, name: str, tested: np.ndarray) -> float:
    """The anchor's distribution for the other groups as it is: no language model."""
    known = np.flatnonzero(setting.X[name] == ANCHOR[name])
    place = dict(zip(setting.X["question"].to_numpy()[known], known, strict=True))
    scores = np.full(len(setting.n), np.nan)
    rows = np.flatnonzero(tested.any(axis=0))
    partner = np.array([place[question] for question in setting.X["question"].to_numpy()[rows]])
    scores[rows] = _alignment(setting, setting.Y[partner], rows)
    return float(_draw_means(np.where(tested, scores, np.nan)).mean())


def comparison(settings: list[Setting], n_draws: int, sizes: Sequence[int] = (3, 10, 40)) -> pd.DataFrame:
    """Mean gain over raw of every calibrator, over the settings of models that nothing was chosen on."""
    candidates: dict[str, dict[str, Any]] = {
        "tempered (default)": {},
        "tempered, no gate": {"gate": False},
        "tempered, kl, no gate": {"gate": False, "objective": "kl"},
        **{name: {"calibrator": name} for name in ("temperature", "linear", "isotonic", "dirichlet")},
        **{
            f"{name}, no gate": {"calibrator": name, "gate": False}
            for name in ("temperature", "linear", "isotonic", "dirichlet")
        },
    }
    rows = {}
    untuned = [setting for setting in settings if not setting.tuning]
    for label, params in candidates.items():
        gains = []
        for setting in untuned:
            own = _alignment(setting, setting.P, np.arange(len(setting.n)))
            scores = by_questions(setting, n_draws, sizes, **params)
            gains.append(_draw_means(scores - own).mean(axis=0))
        rows[label] = dict(zip(map(str, sizes), np.mean(gains, axis=0), strict=True))
    return pd.DataFrame(rows).T


def centre_table(settings: list[Setting]) -> pd.DataFrame:
    """Alignment of log q = t log p for several t, over all cells: where a prior on t should have its centre."""
    rows = {}
    for setting in settings:
        logs = np.log(np.maximum(setting.P, SMALLEST_SHARE))
        scores = {}
        for t in POWERS:
            Q = np.exp(t * logs)
            Q /= np.nansum(Q, axis=1, keepdims=True)
            scores[f"t = {t:g}"] = _alignment(setting, Q, np.arange(len(setting.n))).mean()
        rows[setting.name] = scores
    return pd.DataFrame(rows).T


def _timed(title: str, work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    result = work()
    print(f"\n{title} ({time.perf_counter() - start:.0f} s)")
    return result


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--fewer", type=int, default=10, help="draws for cells and anchors")
    parser.add_argument("--compare", type=int, default=5, help="draws for the comparison of calibrators; 0: none")
    parser.add_argument("--methods", nargs="+", help="of the file, such as model_logprobs; default: all")
    parser.add_argument("--model", help="a name, a folder or a GGUF file: asked here, in place of what was recorded")
    parser.add_argument("--quick", action="store_true", help="5 draws, 2 for cells and anchors, no comparison")
    parser.add_argument("--output", help="a JSON file for the figures")
    options = parser.parse_args()
    if options.quick:
        options.draws, options.fewer, options.compare = 5, 2, 0
    settings = load_elicited()
    if options.model:
        settings = [setting_of(options.model, settings)]
    else:
        settings = [s for s in settings if not options.methods or s.method in options.methods]
    figures: dict[str, Any] = {"draws": {"questions": options.draws, "cells, anchored": options.fewer}}
    with pd.option_context("display.width", 250, "display.max_columns", None, "display.max_rows", None):
        centres = _timed("One power for all cells: the prior's centre", lambda: centre_table(settings))
        print(centres.round(2).to_string())
        figures["centres"] = centres.round(4).to_dict("index")

        scores = _timed(
            "Opinion alignment by number of labelled questions (models with a star: constants were chosen on them)",
            lambda: {setting.name: by_questions(setting, options.draws) for setting in settings},
        )
        table, missed = main_table(settings, options.draws, scores)
        print(table.round(2).to_string())
        figures["questions"] = table.round(4).to_dict("index")

        cells = _timed(
            f"Opinion alignment by number of labelled cells, {options.fewer} draws",
            lambda: {s.name: _draw_means(by_cells(s, options.fewer)).mean(axis=0) for s in settings},
        )
        cell_table = pd.DataFrame(cells, index=[str(n) for n in CELLS]).T
        print(cell_table.round(2).to_string())
        figures["cells"] = cell_table.round(4).to_dict("index")

        title = f"Anchored on {ANCHOR}, strength fitted on 0 or 10 questions, {options.fewer} draws"
        anchors, failed = _timed(title, lambda: anchor_table(settings, options.fewer))
        missed += failed
        print(anchors.round(2).to_string())
        figures["anchored"] = {" | ".join(key): row for key, row in anchors.round(4).to_dict("index").items()}

        if options.compare:
            compared = _timed(
                f"Gain over raw, mean over settings without a star, {options.compare} draws",
                lambda: comparison(settings, options.compare),
            )
            print(compared.round(2).to_string())
            figures["calibrators"] = compared.round(4).to_dict("index")
    figures["missed"] = missed
    print("\nRequirements missed:", *(missed or ["none"]), sep="\n  ")
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
