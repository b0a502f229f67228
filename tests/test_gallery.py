"""The gallery and the tutorial: each script runs, draws, and finds what its text says; notebooks are their scripts."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn

PROJECT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((PROJECT / "examples").glob("*/plot_*.py"))

pytest.importorskip("statsmodels")
pytest.importorskip("matplotlib")


def texts(script: Path) -> str:
    """What a script says: its docstring and the text cells."""
    source = script.read_text(encoding="utf-8")
    cells = source.split("# %%\n")[1:]
    lines = [line[2:] for cell in cells for line in cell.split("\n\n")[0].splitlines() if line.startswith("# ")]
    return (ast.get_docstring(ast.parse(source)) or "") + "\n" + "\n".join(lines)


def run(script: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, Any]:
    """Run a script as it stands; its names, and under "figures" how many figures it showed."""
    import matplotlib
    import matplotlib.pyplot as plt

    matplotlib.use("agg")
    shown: list[int] = []

    def show() -> None:
        for number in plt.get_fignums():
            plt.figure(number).savefig(folder / f"{number}.png")
            shown.append(number)
        plt.close("all")

    monkeypatch.setattr(plt, "show", show)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "__main__"}
    with sklearn.config_context():
        exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), names)
    assert not plt.get_fignums(), "a figure that is not shown"
    names["figures"] = len(shown)
    return names


def test_there_are_at_least_eight() -> None:
    assert len(SCRIPTS) >= 8


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_has_a_title_a_plot_and_text(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    title, underline = (ast.get_docstring(ast.parse(source)) or "").splitlines()[:2]
    assert set(underline) == {"="}
    assert len(underline) >= len(title)
    assert source.count("plt.show()") >= 1
    assert source.count("# %%\n") >= 3


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_says_so_where_the_language_model_is_simulated(script: Path) -> None:
    if "simulate_elicitor" in script.read_text(encoding="utf-8"):
        assert "**The language model on this page is simulated**" in texts(script)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_links_lead_somewhere(script: Path) -> None:
    for page in re.findall(r":doc:`/([\w/]+)`", script.read_text(encoding="utf-8")):
        assert (PROJECT / "docs" / f"{page}.md").is_file(), page


# --- what the pages say, computed again -------------------------------------------------------------------------------


def quickstart(names: dict[str, Any]) -> None:
    D = names["divergence"]
    assert D["the sample itself"] > 5 * D["order-aware logit"]  # "the crosstab is noise"
    assert D["its margin"] > D["order-aware logit"]
    assert abs(D["DSA on nano"] - D["order-aware logit"]) < 1  # "no better than the logit", in thousandths of a bit


def cross_validation(names: dict[str, Any]) -> None:
    table = names["table"]
    assert list(table["weighted score"].sort_values().index) == ["order-aware logit", "plain logit", "margin"]
    spread = table.max() / table.min()
    assert spread["weighted score"] > 1.3 > spread["unweighted score"]  # "drown what tells the models apart"
    found = names["found"]
    assert np.ptp(found["mean_test_score"]) < found["std_test_score"].min()  # "small against the spread over folds"


def unseen_backgrounds(names: dict[str, Any]) -> None:
    by_place = names["table"].groupby("place").mean()
    assert (by_place["order-aware logit"] < by_place["plain logit"]).all()  # "order is what helps"
    assert by_place.loc["inner", "order-aware logit"] == by_place.loc["inner"].min()
    assert by_place.loc["end", "order-aware logit"] > by_place.loc["inner", "order-aware logit"]


def poststratification(names: dict[str, Any]) -> None:
    assert abs(names["errors"].mean()) < 0.25 * abs(names["raw_errors"].mean())
    assert 32 <= names["covered"].sum() <= 40  # of 40 intervals at 90%
    low, middle, high = names["lines"]["post-stratified, joint shares"]
    assert low < middle < high


def save_and_load(names: dict[str, Any]) -> None:
    assert names["largest"] == 0.0
    assert sum(names["files"].values()) < 1024  # kB: "a small folder"
    distances = names["distances"]
    assert distances["from the prediction"][-1] < 0.5 * distances["from the data"][-1]


def respondent_curve(names: dict[str, Any]) -> None:
    comparisons = {name.split(" (")[0]: table.loc["all"] for name, table in names["comparisons"].items()}
    assert comparisons["second stage"]["high"] < 0
    assert comparisons["language model"]["difference"] > -0.05  # "nano has nothing to bring"
    population = names["summarise_curve"](names["curve"], "js_debiased", "population")
    sample = population.loc["the training set itself"]
    assert (population.drop(index="floor") > 0.85 * sample).all(axis=None)  # "for everybody together none is"


def calibration(names: dict[str, Any]) -> None:
    mean = names["results"].groupby(["method", "examples"])["alignment"].mean()
    raw = mean["as it says", 0]
    assert mean["tempered", 0] > raw + 5
    assert mean["tempered", 1] > mean["linear", 1] + 0.5  # one example is too few for the regression
    assert mean["tempered", 10] > mean["no model: mean of the examples", 10]


def tables(names: dict[str, Any]) -> None:
    width = {name: (names[name]["upper"] - names[name]["lower"]).mean() for name in ("sample", "table")}
    assert width["table"] < width["sample"]  # "so that intervals are narrower"
    assert set(names["difference"]["group"]) == {"65 or older - under 30"}


def fusion(names: dict[str, Any]) -> None:
    table = names["table"]
    fused, alone = table.loc["fused: model knows the groups"], table.loc["respondents alone (logit)"]
    assert (fused < alone).all()
    assert (fused < table.loc["model alone: knows the groups"]).all()
    assert (table.loc["fused: model knows nothing of them"] < 1.1 * alone).all()  # "the other does little harm"
    gaps = names["diary"].query("n == 1000").groupby("model")[names["gaps"]].mean().mean(axis=1)
    for name, slope in names["slopes"].items():
        assert gaps[name] == pytest.approx(slope, abs=0.2)


def group_report(names: dict[str, Any]) -> None:
    by_attribute = names["by_attribute"]
    for name, slope in {"logit": 1.0, "exaggerated": 0.4}.items():
        rows = by_attribute.loc[name]
        assert (rows["gap_inflation_low"] < slope).all()
        assert (rows["gap_inflation_high"] > slope).all()


def zero_shot(names: dict[str, Any]) -> None:
    table = names["table"]
    spread = table["spread between groups"]
    assert (spread.drop(index="logprob") > 3 * spread["logprob"]).all()  # "hardly by label probabilities"
    assert table["draws per cell"].to_dict() == pytest.approx(
        {"verbalized": 4, "logprob": 2, "sampled": 30, "paraphrased": 10, "sequence": 2}, rel=0.1
    )
    assert table.loc["logprob", "label mass"] > 0.95
    by_order = names["by_order"]
    assert np.abs(by_order["forward"] - by_order["backward"]).max() > 0.01  # "models favour places"


def last_wave(names: dict[str, Any]) -> None:
    table = names["table"]
    fused, alone = table.loc["interviews and last year's wave"], table.loc["interviews alone"]
    assert (fused < np.minimum(alone, table.loc["last year's wave alone"])).all()  # "better than either"
    assert fused[200] < 1.05 * alone[500]  # "as good as 500 without it"
    assert (table.loc["interviews and a wrong wave"] < 1.1 * alone).all()
    summary = names["summary"]
    both, sample = summary.loc["with the study of 1996"], summary.loc["200 interviews alone"]
    assert both["divergence"] < min(0.5 * sample["divergence"], summary.loc["1996 alone", "divergence"])
    assert both["holds the truth"] > 0.8
    width = "90% interval, width in points"
    assert both[width] < 0.65 * sample[width]  # "little more than half as wide"


def spss_file(names: dict[str, Any]) -> None:
    survey, cells = names["survey"], names["cells"]
    assert list(survey.questions["q1"].options) == ["very poor", "poor", "fair", "good", "very good"]
    assert set(cells.excluded["reason"]) == {"don't know", "refused"}
    assert cells.excluded["respondents"].sum() + cells.n_raw.sum() == 1000
    assert cells.n.sum() < cells.n_raw.sum()  # weights cost respondents
    assert np.median(cells.n_raw) < 10  # "most cells with a handful"


def decision(names: dict[str, Any]) -> None:
    population = names["at"]("population")
    assert (population[300] / population.loc["the training set itself", 300]).between(0.9, 1.1).all()
    assert (population[1000] < 0.7 * population[300]).all()
    for level in ("by group", "crossed cells"):
        shares_1000, logit_300, logit_1000 = names["comparison"][level]
        assert logit_1000 < logit_300 < shares_1000
    assert names["saved"]["needed"].iloc[0] < 1000  # the plain logit on 1,000 is worth fewer


CLAIMS = {
    "plot_01_quickstart": quickstart,
    "plot_02_cross_validation": cross_validation,
    "plot_03_unseen_backgrounds": unseen_backgrounds,
    "plot_04_poststratification": poststratification,
    "plot_05_save_and_load": save_and_load,
    "plot_06_respondent_curve": respondent_curve,
    "plot_07_calibration": calibration,
    "plot_08_fusion": fusion,
    "plot_09_group_report": group_report,
    "plot_10_zero_shot": zero_shot,
    "plot_11_tables": tables,
    "plot_12_last_wave": last_wave,
    "plot_1_spss_file": spss_file,
    "plot_2_decision": decision,
}


def notebooks() -> dict[str, str]:
    from tools.notebooks import NOTEBOOKS

    return NOTEBOOKS


ALSO_NOTEBOOKS = {Path(script).stem for script in notebooks().values()}  # these run as notebooks, below


@pytest.mark.slow
@pytest.mark.parametrize("script", [path for path in SCRIPTS if path.stem not in ALSO_NOTEBOOKS], ids=lambda p: p.stem)
def test_runs_and_finds_what_it_says(script: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = run(script, monkeypatch, tmp_path)
    assert names["figures"] >= 1
    CLAIMS[script.stem](names)


# --- notebooks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", notebooks())
def test_notebooks_are_what_their_scripts_say(name: str) -> None:
    """If this fails: ``python -m tools.notebooks``."""
    pytest.importorskip("sphinx_gallery")
    from tools.notebooks import make_notebook, without_outputs

    written = json.loads((PROJECT / "examples" / name).read_text(encoding="utf-8"))
    assert without_outputs(written) == without_outputs(make_notebook(PROJECT / "examples" / notebooks()[name]))
    outputs = [output for cell in written["cells"] for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)  # readers see results without running it
    text = "".join(line for cell in written["cells"] for line in cell["source"])
    assert "sphx_glr" not in text
    assert not re.search(r":\w+:`", text)


@pytest.mark.slow
@pytest.mark.parametrize("name", notebooks())
def test_notebooks_run_and_find_what_they_say(name: str, tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(PROJECT / "examples" / name, as_version=4)
    nbformat.validate(notebook)
    claims = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); from tests.test_gallery import CLAIMS"
    claims += f"; CLAIMS[{Path(notebooks()[name]).stem!r}](globals())"
    notebook.cells.append(nbformat.v4.new_code_cell(claims))
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert all(output.output_type != "error" for output in outputs)
