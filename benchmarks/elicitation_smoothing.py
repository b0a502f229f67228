"""How much to smooth frequencies of draws: ``python -m benchmarks.elicitation_smoothing``.

On `opinionqa_elicited` (persona prompts, method "sequence": each model listed 30 answers for each of 100 Pew questions
and 14 groups; cells of 50 or more respondents, "Refused" left out): opinion alignment and Jensen-Shannon divergence
with 0, 1/K, 1/2, 1 and 2 pseudo-draws per option, for all 30 draws and for 10 and 5 drawn from them. Nothing is fitted.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.surveys import data_folder
from surveysim.distributions import pad_distributions
from surveysim.metrics import js_divergence, opinion_alignment

PSEUDO_DRAWS: dict[str, float | None] = {"0": 0.0, "1/K": None, "1/2": 0.5, "1": 1.0, "2": 2.0}


def read(folder: Path) -> pd.DataFrame:
    """One row a cell: model, human and elicited shares over the options on the scale, and their positions."""
    lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = {entry["qid"]: entry for entry in map(json.loads, lines)}
    table = pd.read_csv(folder / "elicited.csv.gz")
    table = table[(table.steering == "persona") & (table.method == "sequence") & (table.n_human >= 50)]
    rows = []
    for cell in table.to_dict("records"):
        positions = questions[cell["qid"]]["ordinal"]
        kept = [k for k, position in enumerate(positions) if position is not None]
        human, elicited = (np.array(json.loads(text), dtype=float)[kept] for text in (cell["human"], cell["llm_raw"]))
        place = np.array([positions[k] for k in kept], dtype=float)
        if elicited.sum() > 0 and len(set(place)) == len(place) > 1:
            order = np.argsort(place)
            rows.append((cell["model"], human[order] / human.sum(), elicited[order] / elicited.sum(), place[order]))
    return pd.DataFrame(rows, columns=["model", "human", "elicited", "values"])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON file")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    results = []
    for model, cells in read(data_folder() / "opinionqa_elicited").groupby("model"):
        Y = pad_distributions(list(cells.human))
        values = pad_distributions(list(cells["values"]))
        for n in (30, 10, 5):
            drawn = [shares if n == 30 else rng.multinomial(n, shares) / n for shares in cells.elicited]
            for name, pseudo in PSEUDO_DRAWS.items():
                smoothed = []
                for shares in drawn:
                    each = 1 / len(shares) if pseudo is None else pseudo
                    smoothed.append((n * shares + each) / (n + each * len(shares)))
                P = pad_distributions(smoothed)
                alignment, divergence = opinion_alignment(Y, P, values=values), js_divergence(Y, P)
                results.append(
                    {"model": model, "draws": n, "pseudo": name, "alignment": alignment, "divergence": divergence}
                )
    table = pd.DataFrame(results)
    for figure, digits in (("alignment", 1), ("divergence", 4)):
        print(f"\n{figure}, pseudo-draws per option across")
        wide = table.pivot_table(index=["model", "draws"], columns="pseudo", values=figure, sort=False)
        print(wide.round(digits).to_string())
    if options.output is not None:
        table.to_json(options.output, orient="records", indent=1)


if __name__ == "__main__":
    main()
