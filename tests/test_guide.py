"""The user guide: the code of its pages runs, in their order, and every page is in a table of contents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"

pytest.importorskip("statsmodels")


def run(page: str) -> dict[str, Any]:
    """Run a page's Python blocks one after the other; one epoch where the page leaves their number to the library."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    long = 'DSARegressor("nano", question=survey.questions, '
    code = code.replace(long, long + "max_epochs=1, ")
    names: dict[str, Any] = {}
    exec(compile(code, f"{page}.md", "exec"), names)
    return names


@pytest.mark.slow
def test_fine_tuning() -> None:
    import matplotlib.pyplot as plt

    names = run("fine_tuning")
    plt.close("all")
    assert names["model"].predict(names["cells"].X).shape == names["cells"].Y.shape


@pytest.mark.slow
def test_question_banks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run("question_banks")
    assert names["bank"].about["n_surveys"] == 2
    np.testing.assert_allclose(names["asked"].predict(names["X"]).sum(axis=1), 1.0)


def test_unseen() -> None:
    names = run("unseen")
    model, seen, oldest = names["model"], names["seen"], names["oldest"]
    assert 42 not in set(seen.X["age"])
    width = names["upper"] - names["lower"]
    low, high = model.predict_interval(seen.X, random_state=0)
    assert width.mean() > (high - low).mean()  # "intervals are wider for such levels"
    assert len(oldest) == len(width)


def test_poststratification() -> None:
    names = run("poststratification")
    assert names["estimates"].index.nlevels == 1
    assert len(names["estimates"]) == 500
    low, high = names["estimates"].quantile([0.05, 0.95]).to_numpy()
    assert (low < high).all()


def test_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    names = run("tables")
    plt.close("all")
    shown = names["table"].of_question("vote").to_markdown()
    assert shown in (DOCS / "tables.md").read_text(encoding="utf-8")
    for file in ("self_placement.png", "beside.png", "report.html"):
        assert (tmp_path / file).stat().st_size > 10_000


def test_inference() -> None:
    names = run("inference")
    assert names["trend"]["wave"].unique().tolist() == ["2024 - 2022"]
    assert names["weighted"].largest_gap < 0.01
    assert (names["estimates"]["worth"] > 0.98 * names["estimates"]["respondents"]).all()
    assert names["plan"].groups["respondents"].sum() == 300
    assert "1,000 interviews without a model" in repr(names["plan"])


def test_deployment() -> None:
    names = run("deployment")
    np.testing.assert_array_equal(names["again"].predict(names["X"]), names["model"].predict(names["X"]))
    with pytest.raises(FileExistsError):  # "an existing folder is never overwritten"
        names["model"].save(names["folder"])


def test_every_page_is_in_one_table_of_contents() -> None:
    pages = [page for page in DOCS.glob("*.md") if page.name != "index.md"]
    listed = []
    for page in DOCS.glob("*.md"):
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            listed += [line.split("<")[-1].rstrip(">") for line in block.splitlines() if line and line[0] != ":"]
    assert sorted(page.stem for page in pages) == sorted(entry for entry in listed if "/" not in entry)


def test_the_guide_names_every_page_that_it_holds() -> None:
    text = (DOCS / "user_guide.md").read_text(encoding="utf-8")
    table, contents = text.split("```{toctree}")
    held = [line for line in contents.split("```")[0].splitlines()[1:] if line and line[0] != ":"]
    assert [page for page in held if f"{{doc}}`{page}`" not in table] == []


def test_glossary_is_sorted() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^(\w[^\n]*)\n  \S", text, flags=re.MULTILINE)
    assert len(terms) > 30
    assert terms == sorted(terms, key=str.lower)
