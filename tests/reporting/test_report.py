"""`report`: one page that stands by itself, escapes what surveys say, and has the numbers right."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from surveysim import FusedRegressor, Question, RecordedElicitor, report, tabulate
from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.reporting import group_estimates
from surveysim.reporting.facts import model_facts, sample_facts
from surveysim.reporting.written import number
from surveysim.sources import Wave
from surveysim.tables import Cells

TAXES = Question("Should <script>alert('taxes')</script> rise & stay?", ["yes", "it depends", "no"])
VOTE = Question("Will you vote?", ["no", "yes"], ordinal=False)


@pytest.fixture(scope="module")
def cells() -> Cells:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "gender": generator.choice(["woman", "man"], 120),
            "age": pd.Categorical(generator.choice(["young", "old"], 120), ["young", "old"], ordered=True),
            "taxes": generator.choice([*TAXES.options, "Don't know"], 120),
            "vote": generator.choice(["no", "yes"], 120),
            "w": generator.lognormal(0.0, 0.4, 120),
        }
    )
    return tabulate(frame, ["gender", "age"], {"taxes": TAXES, "vote": VOTE}, weights="w")


@pytest.fixture(scope="module")
def logit(cells: Cells) -> LogitRegressor:
    return LogitRegressor(question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n)


def test_what_a_wave_was_worth_is_told_without_a_language_model(cells: Cells, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    earlier = pd.DataFrame(
        {
            "gender": generator.choice(["woman", "man"], 400),
            "age": generator.choice(["young", "old"], 400),
            "taxes": generator.choice(TAXES.options, 400),
            "vote": generator.choice(["no", "yes"], 400),
        }
    )
    wave = Wave(tabulate(earlier, ["gender", "age"], {"taxes": TAXES, "vote": VOTE}))
    fused = FusedRegressor({"last year": wave}, question=cells.questions).fit(cells.X, cells.Y, cells.n)
    text = re.sub("<[^>]+>", " ", report(fused, cells, tmp_path / "page.html").read_text(encoding="utf-8"))
    text = " ".join(text.split())
    assert "What other sources contributed What people answered elsewhere: last year." in text
    given = number(fused.sources_["given others"].item(), 1, signed=True)
    assert f"{given} respondents per cell : what last year (people) was worth given the others ({given} alone)." in text
    assert "from those of the statistical model without them" in text
    assert "language model" not in text.split("What other sources contributed")[1].split("Limits")[0]


@pytest.fixture(scope="module")
def page(cells: Cells, logit: LogitRegressor, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = report(logit, cells, tmp_path_factory.mktemp("report") / "page.html")
    return path.read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Headings, links to elsewhere, and elements that were opened and not closed."""

    VOID = {"meta", "br"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        # the names of an SVG's own parts and namespaces are no addresses to load from
        loads = [v for k, v in attrs if v and k in ("src", "href", "xlink:href", "action") and not v.startswith("#")]
        self.outside += loads
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<(svg|style).*?</\1>", "", page, flags=re.DOTALL)).split())


def test_a_page_is_whole_and_loads_nothing(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert outline.outside == []
    assert "script" not in outline.tags
    assert not re.search(r"url\((?!#)", page)
    assert page.count("<svg") == 2


def test_what_the_survey_says_is_text(page: str) -> None:
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#x27;taxes&#x27;)&lt;/script&gt; rise &amp; stay?" in page


def test_a_page_has_the_figures(page: str, cells: Cells, logit: LogitRegressor) -> None:
    table = group_estimates(logit, cells, by="gender")
    woman = table[(table["group"] == "woman") & (table["question"] == "taxes")]
    row = "".join(
        f'<td>{r.share:.0f} <span class="interval">{r.lower:.0f}–{r.upper:.0f}</span></td>' for r in woman.itertuples()
    )
    assert f"gender: woman</th>{row}<td>{woman['respondents'].iloc[0]}</td>" in page
    text = text_of(page)
    assert "For comparison: sample" in text
    assert "For comparison: statistical model" not in text  # it is the statistical model


def test_the_methods_paragraph_has_its_numbers(page: str, cells: Cells) -> None:
    taxes = cells.question_names == "taxes"
    text = text_of(page)
    answered = int(cells.n_raw[taxes].sum())
    assert (
        f"We estimated shares of answers to 2 questions (everybody, by gender, by age) from {answered} to 120 "
        "respondents a question, tabulated into 4 cells of gender, age."
    ) in text
    assert "Cells were combined by their share of the weighted sample." in text
    assert "90% intervals from 1,000 joint draws" in text
    assert "Nothing: no language model was used." in text


def test_the_sample_is_counted(cells: Cells) -> None:
    facts = sample_facts(cells)
    taxes = facts.questions.set_index("name").loc["taxes"]
    own = cells.question_names == "taxes"
    assert taxes["answered"] + taxes["missing"] == 120
    # Kish over all who answered: (sum w)^2 / sum w^2; that of a cell is W^2 / n
    weight = cells.weight_sum[own]
    assert taxes["effective"] == pytest.approx(weight.sum() ** 2 / (weight**2 / cells.n[own]).sum())
    assert facts.is_weighted


def test_what_a_language_model_was_worth(cells: Cells, logit: LogitRegressor, tmp_path: Path) -> None:
    said = RecordedElicitor(cells.X, logit.predict(cells.X), question=cells.questions, elicited_by="verbalized")
    fused = FusedRegressor(said, question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n)
    text = text_of(report(fused, cells, tmp_path / "fused.html").read_text(encoding="utf-8"))
    worth = f"{fused.model_worth_:+.1f}".replace("-", "−")
    assert f"{worth} respondents per cell : what the language model was worth" in text
    assert "Language model: its answers were recorded elsewhere (verbalized) ." in text
    assert f"{fused.gap_inflation_['age']:.2f} : of the differences by age that the language model expects" in text
    assert "For comparison: statistical model" in text
    assert "percentage points from those of the statistical model" in text


def test_figures_of_dsa_are_read() -> None:
    model = type("DSARegressor", (), {})()
    model.model, model.init, model.stack_weight_, model.label_mass_ = "nano", "baseline", 0.25, 0.4
    model.shift_reference_, model.shift_weight_, model.gap_inflation_ = "zero", 6.0, {"age": 0.5}
    facts = model_facts(model)
    assert facts.language_model == "nano"
    assert [figure for figure, _ in facts.worth] == ["0.25", "6 respondents per cell", "0.50", "0.40"]
    assert "does not follow the prompt" in facts.worth[-1][1]


def test_limits_are_said(cells: Cells, logit: LogitRegressor, tmp_path: Path) -> None:
    said = RecordedElicitor(cells.X, logit.predict(cells.X), question=cells.questions).fit(cells.X, cells.Y)
    text = text_of(report(said, cells, tmp_path / "recorded.html").read_text(encoding="utf-8"))
    assert "These estimates have no intervals" in text
    assert "The figures are what a language model says, not what people answered." in text
    marginal = MarginalRegressor(question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n)
    text = text_of(report(marginal, cells, tmp_path / "marginal.html").read_text(encoding="utf-8"))
    assert "No intervals are available." in text
    few = cells.subset(cells.n_raw < cells.n_raw.max())
    text = text_of(report(None, few, tmp_path / "few.html", by=[["gender", "age"]]).read_text(encoding="utf-8"))
    assert "Groups of fewer than 30 respondents: gender x age:" in text


def test_populations_titles_and_names(cells: Cells, logit: LogitRegressor, tmp_path: Path) -> None:
    population = pd.DataFrame({"gender": ["man", "woman"] * 2, "age": ["old"] * 2 + ["young"] * 2, "n": [1, 2, 3, 4]})
    path = report(logit, cells, tmp_path / "p.html", population=population, title="Taxes <2026>", name="our model",
                  level=0.8, verbose=-1)  # fmt: skip
    written = path.read_text(encoding="utf-8")
    assert "<title>Taxes &lt;2026&gt;</title>" in written
    text = text_of(written)
    assert "Cells were combined by their share of the population" in text
    assert "80% intervals" in text
    assert "our model" in written
    more = pd.concat([population, pd.DataFrame({"gender": ["other"], "age": ["old"], "n": [1]})])
    text = text_of(report(logit, cells, tmp_path / "more.html", population=more).read_text(encoding="utf-8"))
    assert "For comparison: sample" not in text  # it has nobody there


def test_nothing_is_written_where_something_is_wrong(cells: Cells, logit: LogitRegressor, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="by names"):
        report(logit, cells, tmp_path / "wrong.html", by=["region"])
    assert list(tmp_path.iterdir()) == []
