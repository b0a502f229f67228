"""The user guide: the cells of its pages run and show what the pages say; no page is long, none is left out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests import pages

pytest.importorskip("statsmodels")

HERE = {
    "deployment",
    "evidence",
    "fine_tuning",
    "index",
    "inference",
    "poststratification",
    "question_banks",
    "quickstart",
    "tables",
    "unseen",
}
ELSEWHERE = {"elicitation", "calibration", "anchoring", "evaluation", "group_reports"}  # in their rooms' folders
WORDS = 1200
COLUMNS = 88


@pytest.mark.parametrize("page", sorted(set(pages.executed_pages()) - HERE - ELSEWHERE))
def test_the_cells_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert pages.run(page)


@pytest.mark.slow
def test_quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = pages.run("quickstart", {'DSARegressor("nano", ': 'DSARegressor("nano", max_epochs=2, '})
    assert names["model"].predict(names["cells"].X).shape == (len(names["cells"]), 5)
    assert len(names["again"].sample(names["cells"].X.head(3), n=2)) == 6


@pytest.mark.slow
def test_fine_tuning() -> None:
    one_epoch = "max_epochs=1, question=survey.questions, "
    short = {'DSARegressor("nano", question=survey.questions, ': f'DSARegressor("nano", {one_epoch}'}
    names = pages.run("fine_tuning", short)
    assert names["model"].predict(names["cells"].X).shape == names["cells"].Y.shape


@pytest.mark.slow
def test_question_banks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = pages.run("question_banks")
    assert names["bank"].about["n_surveys"] == 2
    np.testing.assert_allclose(names["asked"].predict(names["X"]).sum(axis=1), 1.0)


def test_unseen() -> None:
    names = pages.run("unseen")
    model, seen, oldest = names["model"], names["seen"], names["oldest"]
    assert 42 not in set(seen.X["age"])
    width = names["upper"] - names["lower"]
    low, high = model.predict_interval(seen.X, random_state=0)
    assert width.mean() > (high - low).mean()  # "intervals are wider for such levels"
    assert len(oldest) == len(width)


def test_poststratification() -> None:
    names = pages.run("poststratification")
    assert names["estimates"].index.nlevels == 1
    assert len(names["estimates"]) == 500
    low, high = names["estimates"].quantile([0.05, 0.95]).to_numpy()
    assert (low < high).all()


def test_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names = pages.run("tables")
    assert set(names["table"]["age group"]) == {"under 30", "30-44", "45-64", "65 or older"}
    assert "Of people under 30, 68% expected to vote for Clinton (90% interval " in capsys.readouterr().out
    for file in ("self_placement.png", "beside.png", "report.html"):
        assert (tmp_path / file).stat().st_size > 10_000


def test_the_landing_page_shows_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table = pages.run("index")["table"]
    assert {"share", "lower", "upper", "respondents"} <= set(table.columns)
    assert ((table["lower"] < table["share"]) & (table["share"] < table["upper"])).all()
    assert "Of people under 30, 68% expected to vote for Clinton (90% interval " in capsys.readouterr().out


def test_evidence() -> None:
    names = pages.run("evidence")
    assert len(names["model"].predict(names["this_year"].truth_X)) == 96
    evidence = names["evidence"]
    # 95% of 200 + 250 men and 210 + 260 women; satisfied: 60% of all of them, and 70 and 60%
    np.testing.assert_allclose(evidence.n, [427.5, 446.5])
    np.testing.assert_allclose(evidence.Y[:, 1] * 0.95, [0.6, (210 * 0.7 + 260 * 0.6) / 470])
    assert names["trend"].predict(names["this_year"].truth_X).shape == (96, 5)


def test_inference() -> None:
    names = pages.run("inference")
    assert names["trend"]["wave"].unique().tolist() == ["2024 - 2022"]
    assert names["weighted"].largest_gap < 0.01
    assert (names["estimates"]["worth"] > 0.98 * names["estimates"]["respondents"]).all()
    assert names["plan"].groups["respondents"].sum() == 300
    assert "1,000 interviews without a model" in repr(names["plan"])


def test_deployment() -> None:
    names = pages.run("deployment")
    np.testing.assert_array_equal(names["again"].predict(names["X"]), names["model"].predict(names["X"]))
    with pytest.raises(FileExistsError):  # "an existing folder is never overwritten"
        names["model"].save(names["folder"])


# --- the form of pages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", pages.guide_pages())
def test_no_page_is_long(page: str) -> None:
    words = len(pages.text_of(page).split())
    assert words <= WORDS, f"{page} has {words} words: split it, or move what was measured to docs/measured/"


@pytest.mark.parametrize("page", [*pages.guide_pages(), "index", "quickstart"])
def test_code_runs_or_says_why_not(page: str) -> None:
    """Whatever is Python is a cell, unless the paragraph above it gives the reason."""
    text = pages.text_of(page)
    for found in re.finditer(r"^```(python|text)\n", text, flags=re.MULTILINE):
        above = text[: found.start()].rstrip().rpartition("\n\n")[2]
        assert found[1] == "text" or re.fullmatch(r"\*Not run here: .+\*", above), found.start()


@pytest.mark.parametrize("page", [*pages.guide_pages(), "index", "quickstart"])
def test_code_fits_beside_the_contents(page: str) -> None:
    for block in re.findall(r"^```(?:\{code-cell\}|python|console)\n(.*?)^```", pages.text_of(page), flags=re.M | re.S):
        for line in block.splitlines():
            assert len(line) <= COLUMNS or line.startswith(":mystnb:"), line


@pytest.mark.parametrize("page", pages.executed_pages())
def test_no_cell_shows_an_object_by_its_address(page: str) -> None:
    """The value of a last line is shown: a display or a fitted estimator is given a name instead."""
    for cell in pages.cells_of(page):
        last = cell.rstrip().splitlines()[-1]
        assert not re.match(r"(\w*Display\b|\w+\.(fit|plot)\()", last), last
        assert not last.endswith(";"), last  # formatters take it off


def test_every_page_is_in_one_table_of_contents() -> None:
    found = [path.relative_to(pages.DOCS).with_suffix("").as_posix() for path in pages.DOCS.rglob("*.md")]
    found = [
        page for page in found if page.split("/")[0] not in {"_build", "inventories", "gallery", "tutorial", "api"}
    ]
    listed = []
    for page in found:
        for block in re.findall(r"```\{toctree\}\n(.*?)```", pages.text_of(page), flags=re.DOTALL):
            listed += [line.split("<")[-1].rstrip(">") for line in block.splitlines() if line and line[0] != ":"]
    assert sorted(set(found) - {"index"}) == sorted(set(listed) - {"tutorial/index", "gallery/index", "api/index"})
    assert len(listed) == len(set(listed))


def test_the_guide_names_every_page_that_it_holds() -> None:
    table = pages.text_of("user_guide").split("```{toctree}")[0]
    assert [page for page in pages.guide_pages() if f"{{doc}}`{page}`" not in table] == []


def test_glossary_is_sorted() -> None:
    terms = re.findall(r"^(\w[^\n]*)\n  \S", pages.text_of("glossary"), flags=re.MULTILINE)
    assert len(terms) > 30
    assert terms == sorted(terms, key=str.lower)


@pytest.mark.parametrize(
    "searched",
    ["MRP", "Likert", "crosstab", "margin of error", "CSV", "SPSS", "confidence interval", "which estimator"],
)
def test_the_search_finds_what_survey_people_call_it(searched: str) -> None:
    """Glossary terms are what the search of the documentation lists first, beside titles."""
    terms = re.findall(r"^(\w[^\n]*)\n  \S", pages.text_of("glossary"), flags=re.MULTILINE)
    assert [term for term in terms if searched.lower() in term.lower()]


def test_heads_describe_their_pages() -> None:
    pytest.importorskip("sphinx")
    from docutils.core import publish_doctree

    from docs.page_head import FALLBACK, LONGEST, describe

    page = (
        "Title\n=====\n\nShort.\n\n.. note::\n\n   A note that is long enough to be taken for a description of it.\n\n"
    )
    assert describe(publish_doctree(page)) == FALLBACK
    long = "A sentence that says what this page is about. " * 9
    found = describe(publish_doctree(page + long))
    assert found.startswith("A sentence that says")
    assert len(found) <= LONGEST + 4
    assert describe(None) == FALLBACK
