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
    typed = [name for by in breakdowns for name in by] + _names(chosen.backgrounds)
    typed += [chosen.difference] if chosen.difference else []
    survey, called = _survey(chosen, typed)
    breakdowns = [[called[name] for name in by] for by in breakdowns]
    backgrounds = list(dict.fromkeys(called[name] for name in typed)) or list(survey.backgrounds)
    if not backgrounds:
        raise ValueError("no backgrounds were recognised. Name them: --by gender,age or --backgrounds gender,age")
    cells = survey.tabulate(backgrounds, chosen.question, **({} if chosen.model == "sample" else {"folds": 5}))
    population = None if chosen.population is None else pd.read_csv(chosen.population)
    model = _fitted(chosen.model, cells, chosen.seed)
    parameters = {
        "level": chosen.level,
        "population": population,
        "difference": called[chosen.difference] if chosen.difference else None,
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
    """Refuse, before anything is computed, files that cannot be written."""
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


def _survey(chosen: argparse.Namespace, typed: list[str]) -> tuple[Survey, dict[str, str]]:
    """The survey, and the background that each typed name stands for: "age" for the age groups made from it."""
    survey = read(chosen, questions=chosen.question)
    called = _backgrounds(survey)
    if any(name not in called for name in typed):  # not recognised as a background, but in the file
        unknown = [name for name in typed if name not in called and name not in survey.variables["name"].tolist()]
        if unknown:
            there = list(dict.fromkeys([*survey.backgrounds, *survey.variables["name"]]))
            more = f" and {len(there) - 40:,} more" if len(there) > 40 else ""
            raise ValueError(f"{unknown} are not in the file, which has {', '.join(there[:40])}{more}")
        sources = {column: name for name, column in called.items() if name != column}
        survey = read(
            chosen,
            questions=chosen.question,
            backgrounds=list(dict.fromkeys(sources.get(name, name) for name in typed)),
        )
        called = _backgrounds(survey)
    return survey, called


def _backgrounds(survey: Survey) -> dict[str, str]:
    """The backgrounds by their own name and by that of the variable they come from."""
    variables = survey.variables[survey.variables["role"] == "background"]
    called = dict(zip(variables["name"], variables["column"], strict=True)) if "column" in variables else {}
    return {**called, **{name: name for name in survey.backgrounds}}


def _fitted(name: str, cells: Cells, seed: int) -> Any:
    """The model of a name, fitted."""
    if name == "sample":
        return None
    if name in ("logit", "none"):
        return LogitRegressor(question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n)
    from surveysim.dsa.estimator import DSARegressor

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
    """A picture for each breakdown and question; if there are several, their names are numbered."""
    drawn = [(table, name) for table in tables for name in dict.fromkeys(table["question"])]
    for i, (table, name) in enumerate(drawn):
        target = path if len(drawn) == 1 else path.with_stem(f"{path.stem}_{i + 1}")
        table.plot(question=name).figure_.savefig(target, dpi=200)
        _say(f"wrote {target}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
