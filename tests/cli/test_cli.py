"""The command line: what is written, what is said, and with which exit code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from surveysim import group_estimates
from surveysim.baselines import LogitRegressor
from surveysim.cli import main
from surveysim.datasets import read_survey

TRUST = ["a lot of trust", "neither trust nor distrust", "no trust at all"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "gender": generator.choice(["woman", "man"], 300),
            "age": generator.integers(18, 90, 300),
            "region": generator.choice(["north", "south"], 300),
            "trust": generator.choice([*TRUST, "Don't know"], 300, p=[0.3, 0.4, 0.2, 0.1]),
            "weight": generator.lognormal(0.0, 0.3, 300),
        }
    )
    path = tmp_path_factory.mktemp("survey") / "survey.csv"
    frame.to_csv(path, index=False)
    return path


@dataclass
class Done:
    """What a command said."""

    stdout: str
    stderr: str


def process(*arguments: object, code: int = 0) -> Done:
    """A command as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "surveysim", *map(str, arguments)], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == code, done.stderr
    return Done(done.stdout, done.stderr)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """A command in this process, where it takes a tenth of the time."""

    def command(*arguments: object, code: int = 0) -> Done:
        try:
            returned = main([str(argument) for argument in arguments])
        except SystemExit as exit:  # argparse's own errors
            returned = int(exit.code or 0)
        said = capsys.readouterr()
        assert returned == code, said.err
        return Done(said.out, said.err)

    return command


def test_describe_lists_questions_backgrounds_weights_and_doubts(run: Callable[..., Done], file: Path) -> None:
    said = run("describe", file).stdout
    trust = pd.read_csv(file)["trust"]
    assert "survey.csv: 300 respondents" in said
    assert "weight: weight (" in said
    assert f"{trust.isin(TRUST).sum()} answered" in said
    for option in TRUST:
        assert option in said
    assert "gender: man (" in said
    assert "region" in said
    assert "weight: none" in run("describe", file, "--weights", "none").stdout
    assert "all variables" in run("describe", file, "--all").stdout


def test_estimate_prints_the_table_that_the_library_makes(run: Callable[..., Done], file: Path) -> None:
    printed = run("estimate", file, "--question", "trust", "--by", "gender").stdout
    survey = read_survey(file, questions=["trust"])
    cells = survey.tabulate(["gender"], folds=5)
    model = LogitRegressor(question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n)
    assert printed.strip() == group_estimates(model, cells, "gender").to_markdown()


def test_estimate_writes_table_picture_and_report(file: Path, tmp_path: Path) -> None:
    done = process(
        "estimate", file, "--question", "trust", "--by", "gender", "--by", "gender,region", "--model", "sample",
        "--weights", "none", "--level", "0.8", "--out", tmp_path / "table.csv", "--report", tmp_path / "report.html",
        "--picture", tmp_path / "trust.png",
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "table.csv")
    assert set(table["source"]) == {"sample"}
    data = pd.read_csv(file).query('trust != "Don\'t know"')
    shares = 100 * data.groupby("gender")["trust"].value_counts(normalize=True)
    for row in table[table["region"].isna()].itertuples():
        assert row.share == pytest.approx(shares[row.gender, row.option], rel=1e-5)
    assert len(table) == 3 * (2 + 4)
    assert (tmp_path / "trust_1.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "trust_2.png").exists()
    assert "80% intervals" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert done.stdout == ""
    assert "wrote" in done.stderr


@pytest.mark.parametrize("ending", [".md", ".html"])
def test_tables_for_readers(run: Callable[..., Done], file: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"table{ending}"
    run("estimate", file, "--question", "trust", "--by", "region", "--out", path, "--decimals", 1)
    written = path.read_text(encoding="utf-8")
    assert "neither trust nor distrust" in written
    assert "north" in written


def test_differences_means_and_populations(run: Callable[..., Done], file: Path, tmp_path: Path) -> None:
    printed = run("estimate", file, "--question", "trust", "--difference", "gender", "--mean").stdout
    assert "woman - man" in printed
    pd.DataFrame({"gender": ["man", "woman"], "n": [1, 3]}).to_csv(tmp_path / "population.csv", index=False)
    run("estimate", file, "--question", "trust", "--backgrounds", "gender", "--population", tmp_path / "population.csv",
        "--model", "sample", "--out", tmp_path / "table.csv", "--weights", "none")  # fmt: skip
    data = pd.read_csv(file).query('trust != "Don\'t know"')
    shares = data.groupby("gender")["trust"].value_counts(normalize=True).unstack()
    table = pd.read_csv(tmp_path / "table.csv").set_index("option")["share"]
    for option in TRUST:
        expected = 100 * (shares.loc["man", option] + 3 * shares.loc["woman", option]) / 4
        assert table[option] == pytest.approx(expected, rel=1e-5)


def test_age_stands_for_the_age_groups(run: Callable[..., Done], file: Path) -> None:
    by_age = run("estimate", file, "--question", "trust", "--by", "age,gender").stdout
    assert "| age group | gender |" in by_age
    assert by_age == run("estimate", file, "--question", "trust", "--by", "age group,gender").stdout


@pytest.mark.slow
def test_a_language_model(run: Callable[..., Done], file: Path, tmp_path: Path) -> None:
    run("estimate", file, "--question", "trust", "--by", "gender", "--model", "nano", "--report", tmp_path / "r.html")
    written = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Language model: <code>nano</code>" in written


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--question", "trusty"], 2, "did you mean 'trust'?"),
        (["--question", "trust", "--by", "sex"], 2, "['sex'] are not in the file"),
        (["--question", "trust", "--by", "gender", "--level", "90"], 2, "level must be between 0 and 1"),
        (["--question", "trust", "--by", "gender", "--out", "table.docx"], 2, "--out table.docx: the ending must be"),
        (["--question", "trust", "--by", "gender", "--out", "there/is/none.csv"], 2, "there is no folder"),
        (["--question", "trust", "--by", "gender", "--population", "none.csv"], 3, "none.csv"),
        (["--by", "gender"], 2, "the following arguments are required: --question"),
    ],
)
def test_errors_are_one_line_and_have_a_code(
    run: Callable[..., Done], file: Path, arguments: list[str], code: int, message: str
) -> None:
    said = run("estimate", file, *arguments, code=code).stderr
    assert message in said
    assert "Traceback" not in said


def test_a_file_that_is_not_there(run: Callable[..., Done], tmp_path: Path) -> None:
    assert "no survey file" in process("describe", tmp_path / "none.sav", code=3).stderr
    assert "surveysim" in run("--version").stdout
    run(code=2)
