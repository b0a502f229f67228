"""``surveysim estimate``: a table, a picture and a report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from surveysim.baselines import LogitRegressor
from surveysim.cli.reading import read
from surveysim.datasets import Survey
from surveysim.reporting import GroupEstimates, group_estimates
from surveysim.tables import Cells

__all__ = ["estimate"]

TABLES = (".csv", ".md", ".html")
PICTURES = (".png", ".svg", ".pdf")


def estimate(chosen: argparse.Namespace) -> None:
    """Read, tabulate, fit, and write what was asked for."""
    _check_endings(chosen)
    breakdowns = [_names(item) for item in chosen.by] or [[]]
    survey, backgrounds = _survey(chosen, breakdowns)
    cells = survey.tabulate(backgrounds, chosen.question, **({} if chosen.model == "sample" else {"folds": 5}))
    population = None if chosen.population is None else pd.read_csv(chosen.population)
    model = _fitted(chosen.model, cells, chosen.seed)
    parameters = {
        "level": chosen.level,
        "population": population,
        "difference": chosen.difference,
        "statistic": "mean" if chosen.mean else "share",
        "name": {"logit": "statistical model", "none": "statistical model"}.get(chosen.model, chosen.model),
        "random_state": chosen.seed,
    }
    tables = [group_estimates(model, cells, by, **parameters) for by in breakdowns]
    _write_table(tables, chosen)
    if chosen.picture is not None:
        _write_pictures(tables, Path(chosen.picture))
    if chosen.report is not None:
        from surveysim.reporting import report

        report(
            model, cells, chosen.report, by=[by for by in breakdowns if by] or None, level=chosen.level,
            population=population, name=parameters["name"], decimals=chosen.decimals, random_state=chosen.seed,
        )  # fmt: skip
        _say(f"wrote {chosen.report}")


def _check_endings(chosen: argparse.Namespace) -> None:
    """Refuse files that cannot be written before anything is computed."""
    for option, endings in (("out", TABLES), ("picture", PICTURES), ("report", (".html", ".htm"))):
        path = getattr(chosen, option)
        if path is None:
            continue
        if Path(path).suffix.lower() not in endings:
            raise ValueError(f"--{option} {path}: the ending must be one of {', '.join(endings)}")
        if not Path(path).absolute().parent.is_dir():
            raise ValueError(f"--{option} {path}: there is no folder {str(Path(path).parent)!r}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _survey(chosen: argparse.Namespace, breakdowns: list[list[str]]) -> tuple[Survey, list[str]]:
    """The survey, and the backgrounds of its cells: those that are named, else all that are recognised."""
    named = [name for by in breakdowns for name in by] + _names(chosen.backgrounds)
    named = list(dict.fromkeys([*named, *([chosen.difference] if chosen.difference else [])]))
    survey = read(chosen, questions=chosen.question)
    unknown = [name for name in named if name not in survey.backgrounds]
    if unknown:  # not recognised: the user knows better
        survey = read(chosen, questions=chosen.question, backgrounds=_with_sources(survey, named))
    backgrounds = named or list(survey.backgrounds)
    if not backgrounds:
        raise ValueError("no backgrounds were recognised: name them, --by gender,age or --backgrounds gender,age")
    return survey, backgrounds


def _with_sources(survey: Survey, named: list[str]) -> list[str]:
    """The columns to read as backgrounds; a name of ours such as "age group" stays what it was read from."""
    absent = [name for name in named if name not in survey.variables["name"].tolist()]
    if absent:
        there = ", ".join([*survey.backgrounds, *survey.variables["name"]][:40])
        raise ValueError(f"{absent} are not in the file; it has {there}")
    return named


def _fitted(name: str, cells: Cells, seed: int) -> Any:
    """The model of a name, fitted."""
    if name == "sample":
        return None
    if name in ("logit", "none"):
        return LogitRegressor(question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n)
    from surveysim import DSARegressor

    model = DSARegressor(name, question=dict(cells.questions), init="baseline", random_state=seed)
    return model.fit(cells.X, cells.Y, sample_weight=cells.n, folds=cells.folds)


def _write_table(tables: list[GroupEstimates], chosen: argparse.Namespace) -> None:
    markdown = "\n\n".join(table.to_markdown(decimals=chosen.decimals) for table in tables)
    if chosen.out is None:
        if chosen.report is None and chosen.picture is None:
            print(markdown)
        return
    path = Path(chosen.out)
    if path.suffix.lower() == ".csv":
        frame = pd.concat([pd.DataFrame(table) for table in tables], ignore_index=True)
        frame.to_csv(path, index=False, float_format="%.6g", encoding="utf-8-sig")  # the mark is for Excel
    elif path.suffix.lower() == ".md":
        path.write_text(markdown + "\n", encoding="utf-8")
    else:
        body = "\n".join(table._repr_html_() or "" for table in tables)
        path.write_text(f'<!doctype html><meta charset="utf-8">\n{body}\n', encoding="utf-8")
    _say(f"wrote {path}")


def _write_pictures(tables: list[GroupEstimates], path: Path) -> None:
    """A picture for each breakdown and question; where there are several, their names are numbered."""
    drawn = [(table, name) for table in tables for name in dict.fromkeys(table["question"])]
    for i, (table, name) in enumerate(drawn):
        target = path if len(drawn) == 1 else path.with_stem(f"{path.stem}_{i + 1}")
        table.plot(question=name).figure_.savefig(target, dpi=200)
        _say(f"wrote {target}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
