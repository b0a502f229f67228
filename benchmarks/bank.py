"""Question banks on surveys that they have not seen: ``python -m benchmarks.bank --model nano|smollm2|FOLDER``.

Whole surveys are held out in turn (`benchmarks.bank_surveys.HELD_OUT`). Of the others a number of questions is drawn,
of which a bank holds out a fifth to choose its epochs and its weight. Everything is measured on the held-out surveys:
their cells' mean within a question, then the mean over questions.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.bank_opponents import embed, encoder_folder, mean_margin, nearest_margins
from benchmarks.bank_surveys import HELD_OUT, load_table, some_questions
from benchmarks.dsa import OUTPUT
from surveysim import SimilarQuestionsRegressor, train_bank
from surveysim.bank.prompts import predict_cells
from surveysim.cells import PredictCells
from surveysim.evaluation import noise_floor
from surveysim.metrics import js_divergence, opinion_alignment, wasserstein
from surveysim.models import load_model
from surveysim.tables import Cells
from surveysim.tables.joining import survey_of

MEAN, NEAREST, EQUAL, FLOOR = "mean of the training questions", "nearest by embedding", "equal shares", "noise floor"
SIMILAR = "similar questions, scales turned"

CHOOSES = {"pew": "nonvoters_2020", "small surveys": "pew", "dialogues": "pew"}
"""The survey of another house that chooses epochs and weight for each held-out set, in the banks that say so."""

BY_SURVEY = ", chosen by a survey"

BANKS: dict[str, dict[str, Any]] = {
    "1 block": {},
    f"1 block{BY_SURVEY}": {},
    "2 blocks": {"n_blocks": 2},
    "LoRA": {"tuning": "lora"},
    "1 block, shifts": {"shift_weight": 1.5},
}


def predictions(held_out: str, n: int, options: argparse.Namespace) -> Iterator[tuple[str, Cells, np.ndarray, float]]:
    """Name, held-out cells, distributions and seconds of everything that is trained on n questions."""
    surveys = HELD_OUT[held_out]
    table = some_questions(load_once(), surveys, n, options.seed)
    outside = np.isin([survey_of(name) for name in table.question_names], surveys)
    train, test = table.subset(~outside), table.subset(outside)
    asked = {" ".join(table.questions[name].text.casefold().split()) for name in test.question_names}
    margins = {
        name: np.average(train.Y[rows, : question.n_options], axis=0, weights=train.n[rows])
        for name, question in table.questions.items()
        if " ".join(question.text.casefold().split()) not in asked
        and (rows := np.flatnonzero(train.question_names == name)).size
    }
    lengths = {name: table.questions[name].n_options for name in dict.fromkeys(test.question_names)}
    width = test.Y.shape[1]

    def spread(by_question: dict[str, np.ndarray]) -> np.ndarray:
        rows = [by_question[name] for name in test.question_names]
        return np.array([np.pad(row, (0, width - len(row)), constant_values=np.nan) for row in rows])

    yield EQUAL, test, spread({name: np.full(K, 1 / K) for name, K in lengths.items()}), 0.0
    yield MEAN, test, spread({name: mean_margin(margins, K) for name, K in lengths.items()}), 0.0
    folder = encoder_folder()
    if folder is not None:
        start = time.process_time()
        near = nearest_margins(margins, embed(table.questions, folder), lengths)
        yield NEAREST, test, spread(near), time.process_time() - start
        start = time.process_time()
        yield SIMILAR, test, similar(table, list(margins), test, folder), time.process_time() - start
    device = "cpu" if options.cpu else "auto"
    for name in options.banks:
        if name in options.banks_of_all and n < max(options.sizes):
            continue
        start = time.process_time()
        choosing = [CHOOSES[held_out]] if name.endswith(BY_SURVEY) else []
        bank = train_bank(
            table,
            options.model,
            held_out_surveys=surveys,
            choose_by_surveys=choosing,
            trunk_cache=options.cache if name != "LoRA" else None,
            random_state=options.seed,
            max_epochs=options.epochs,
            device=device,
            **BANKS[name],
        )
        seconds = time.process_time() - start
        told = bank.history.iloc[int(bank.history["held_out"].argmin())]
        print(f"  {name}: weight {bank.weight}, {len(bank.history)} epochs, best {told['epoch']:.0f}, {seconds:.0f} s")
        chosen = [list(table.questions).index(question) for question in test.question_names]
        cells = PredictCells(test.X[test.backgrounds], np.array(chosen), dict(table.questions))
        model = load_model(options.model, device=device)
        yield name, test, predict_cells(bank, model, cells, folder=options.cache), seconds


def similar(table: Cells, trained: list[str], test: Cells, encoder: Path) -> np.ndarray:
    """What `SimilarQuestionsRegressor` says of the held-out cells, (n, K)."""
    known = table.subset(np.isin(table.question_names, trained))
    asked = {name: table.questions[name] for name in dict.fromkeys([*trained, *test.question_names])}
    width = max(question.n_options for question in asked.values())
    model = SimilarQuestionsRegressor(question=asked, encoder=encoder, device="cpu")
    P = model.fit(known.X[["question"]], known.Y[:, :width], known.n).predict(test.X[["question"]])
    print(f"  {SIMILAR}: sharpness {model.sharpness_}, share {model.share_}, turned {model.turns_}")
    return np.pad(P, ((0, 0), (0, test.Y.shape[1] - width)), constant_values=np.nan)


@cache
def load_once() -> Cells:
    """The joined table."""
    return load_table()


def measure(held_out: str, n: int, options: argparse.Namespace) -> pd.DataFrame:
    """One row per model and held-out question, and one per model, question and group for shifts."""
    tables = []
    for name, test, P, seconds in predictions(held_out, n, options):
        tables.append(_scores(test, P).assign(model=name, seconds=seconds))
        js = tables[-1].groupby("question")["js_debiased"].mean().mean()
        print(f"{held_out}, {n} questions, {name}: debiased {js:.4f}", flush=True)
        if name == EQUAL:
            floor = tables[-1][["question", "attribute", "observed"]].assign(
                js=noise_floor(test.Y, test.n, average=False), js_debiased=0.0, model=FLOOR
            )
    return pd.concat([*tables, floor], ignore_index=True).assign(held_out=held_out, n=n)


def _scores(test: Cells, P: np.ndarray) -> pd.DataFrame:
    """A row per cell."""
    stated = test.X[test.backgrounds].notna().to_numpy().argmax(axis=1)
    table = pd.DataFrame({"question": test.question_names, "attribute": stated})
    table["js"] = js_divergence(test.Y, P, average=False)
    table["js_debiased"] = js_divergence(test.Y, P, average=False, truth_respondents=test.n)
    positions = np.full(P.shape, np.nan)
    for row, name in enumerate(test.question_names):
        if test.questions[name].ordinal:
            positions[row, : test.questions[name].n_options] = test.questions[name].positions
    ordered = ~np.isnan(positions).all(axis=1)
    for name, metric in (("w1", wasserstein), ("alignment", opinion_alignment)):
        table[name] = np.nan
        values = metric(test.Y[ordered], P[ordered], values=positions[ordered], average=False)
        table.loc[ordered, name] = values
    for name, shares in (("observed", test.Y), ("predicted", P)):
        scaled = positions / np.nanmax(np.where(np.isnan(positions), 0, positions), axis=1, keepdims=True).clip(1)
        place = np.nansum(np.where(np.isnan(positions), 0.0, shares * scaled), axis=1)
        table[name] = np.where(ordered, place, np.nan)
        groups = table.groupby(["question", "attribute"])[name]
        table[name] -= groups.transform("mean")
        table.loc[groups.transform("size") < 2, name] = np.nan
    return table


def difference(rows: pd.DataFrame, name: str, other: str = MEAN, n_draws: int = 2000) -> tuple[float, float, float]:
    """Relative difference of the debiased divergence, and its 90% interval over questions."""
    means = rows.groupby(["held_out", "question", "model"])["js_debiased"].mean().unstack("model")[[name, other]]
    values = means.to_numpy()
    drawn = values[np.random.default_rng(0).integers(len(values), size=(n_draws, len(values)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1] - 1, [0.05, 0.95])
    total = values.sum(axis=0)
    return float(total[0] / total[1] - 1), float(low), float(high)


def show(results: pd.DataFrame) -> None:
    """A table for each number of questions: every held-out set, then all of them."""
    with pd.option_context("display.width", 250, "display.max_columns", None, "display.max_rows", None):
        for n, own in results.groupby("n"):
            print(f"\n{n} questions to train on")
            print(summary(own).to_string())


def summary(own: pd.DataFrame) -> pd.DataFrame:
    """One row per model: figures over the questions of all held-out sets, and each set's difference from the mean."""
    rows = {}
    for name in dict.fromkeys(own["model"]):
        model = own[own["model"] == name]
        by_question = model.groupby(["held_out", "question"])[["js", "js_debiased", "w1", "alignment"]].mean()
        row: dict[str, Any] = {key: round(value, 4) for key, value in by_question.mean().items()}
        row["alignment"] = round(row["alignment"], 1)
        shifts = model[["observed", "predicted"]].dropna()
        spread = len(shifts) > 2 and float(shifts["predicted"].std()) > 1e-9
        row["shifts"] = round(float(shifts.corr().iloc[0, 1]), 2) if spread else None
        if name not in (MEAN, FLOOR):
            for held_out in [*dict.fromkeys(own["held_out"]), "all"]:
                part = own if held_out == "all" else own[own["held_out"] == held_out]
                if name in set(part["model"]):
                    value, low, high = difference(part, name)
                    row[held_out] = f"{value:+.1%} [{low:+.0%}, {high:+.0%}]"
        row["seconds"] = round(float(model.groupby("held_out")["seconds"].first().mean()), 1)
        rows[name] = row
    return pd.DataFrame(rows).T


def main() -> None:
    """Measure, or read what was measured, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--held-out", nargs="+", default=list(HELD_OUT), choices=list(HELD_OUT))
    parser.add_argument("--sizes", nargs="+", type=int, default=[50, 150, 400], help="questions; at most all there are")
    parser.add_argument("--banks", nargs="*", default=list(BANKS), choices=list(BANKS))
    parser.add_argument("--banks-of-all", nargs="*", default=["2 blocks", "LoRA", "1 block, shifts"],
                        help="trained on the largest number alone")  # fmt: skip
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cpu", action="store_true", help="although there is an accelerator")
    parser.add_argument("--cache", type=Path, help="a folder for the frozen blocks' output")
    parser.add_argument("--quick", action="store_true", help="Pew held out, 150 questions, 1 block, 3 epochs")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--read", type=Path, nargs="+", help="print the tables of these outputs together")
    options = parser.parse_args()
    if options.quick:
        options.held_out, options.sizes, options.banks, options.epochs = ["pew"], [150], ["1 block"], 3
    if options.read:
        show(pd.concat([pd.read_json(file) for file in options.read], ignore_index=True))
        return
    output = options.output or OUTPUT / f"bank_{Path(options.model).name}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", message=".*has no attributes|.*label mass")
    tables: list[pd.DataFrame] = []
    for n, held_out in product(options.sizes, options.held_out):
        tables.append(measure(held_out, n, options))
        pd.concat(tables, ignore_index=True).to_json(output, orient="records")  # a long run keeps what it has
    show(pd.concat(tables, ignore_index=True))


if __name__ == "__main__":
    main()
