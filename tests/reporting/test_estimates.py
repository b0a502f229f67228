"""`GroupEstimates`: a frame that stays one, and how it is written and drawn."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from surveysim import Question, group_estimates, tabulate
from surveysim.reporting import GroupEstimates
from surveysim.tables import Cells

LIKERT = ["Strongly agree", "Somewhat agree", "Neither agree nor disagree", "Somewhat disagree", "Strongly disagree"]
QUESTION = Question("Should <b>taxes</b> & fees | levies rise?", LIKERT)
SEX = Question("Sex of *the* head?", ["f", "m"], ordinal=False)


@pytest.fixture(scope="module")
def cells() -> Cells:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "gender": generator.choice(["woman", "man", "<i>other</i>"], 200, p=[0.5, 0.45, 0.05]),
            "age": generator.choice([17.5, 30.0], 200),
            "taxes": generator.choice(LIKERT, 200),
            "sex": generator.choice(["f", "m"], 200),
        }
    )
    return tabulate(frame, ["gender", "age"], {"taxes": QUESTION, "sex": SEX})


@pytest.fixture
def estimates(cells: Cells) -> GroupEstimates:
    return group_estimates(None, cells, by="gender")


@pytest.fixture(autouse=True)
def _close() -> Any:
    yield
    plt.close("all")


def test_rows_that_are_chosen_or_joined_are_estimates_still(estimates: GroupEstimates) -> None:
    some = estimates[estimates["question"] == "sex"]
    assert isinstance(some, GroupEstimates)
    assert some.attrs["level"] == 0.9
    both = pd.concat([estimates, estimates.assign(source="again")])
    assert isinstance(both, GroupEstimates)
    assert "| estimate |" in both.to_markdown()
    assert type(estimates[["group", "share"]]) is pd.DataFrame
    assert type(estimates.drop(columns="lower")) is pd.DataFrame
    assert isinstance(estimates["share"], pd.Series)
    assert type(pd.DataFrame(estimates)) is pd.DataFrame


def test_markdown_is_as_written_by_hand() -> None:
    frame = pd.DataFrame({"sex": ["f"] * 10 + ["m"] * 10, "vote": ["yes"] * 5 + ["no"] * 5 + ["yes"] * 10})
    cells = tabulate(frame, ["sex"], {"vote": Question("Vote?", ["no", "yes"], ordinal=False)})
    table = group_estimates(None, cells, by="sex")
    # Wilson by hand, z = 1.6449: (p + z2/2n -+ z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n), z2 = 2.7055
    assert table.to_markdown() == (
        "| sex | no | yes | respondents |\n|:--|--:|--:|--:|\n| f | 50 (27–73) | 50 (27–73) | 10 |\n"
        "| m | 0 (0–21) | 100 (79–100) | 10 |"
    )
    assert table.to_markdown(intervals=False, decimals=1).splitlines()[2] == "| f | 50.0 | 50.0 | 10 |"
    difference = group_estimates(None, cells, difference="sex").to_markdown(intervals=False)
    assert difference.splitlines()[2] == "| m - f | −50 | +50 | 20 |"


def test_markdown_shows_text_as_it_is(estimates: GroupEstimates) -> None:
    written = estimates.to_markdown()
    assert "**Should &lt;b&gt;taxes&lt;/b&gt; &amp; fees \\| levies rise?" in written
    assert "Sex of \\*the\\* head?" in written
    lines = [line for line in written.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {8, 5}


def test_html_escapes_what_the_survey_says_and_is_well_formed(estimates: GroupEstimates) -> None:
    for written in (estimates.to_html_table(), estimates._repr_html_()):
        assert written is not None
        assert "<i>" not in written
        assert "&lt;i&gt;other&lt;/i&gt;" in written
        tree = ElementTree.fromstring(f"<div>{written}</div>")
        assert len(tree.findall(".//table")) == 2
        first = tree.findall(".//table")[0]
        assert [head.text for head in first.findall("./thead/tr/th")] == ["gender", *LIKERT, "respondents"]
        share = estimates.iloc[0]["share"]
        assert (first.find("./tbody/tr/td").text or "").strip() == f"{share:.0f}"  # type: ignore[union-attr]
    assert "Should" not in estimates.to_html_table(wording=False)


def test_html_of_a_table_that_is_not_rectangular_is_pandas_own(estimates: GroupEstimates) -> None:
    assert "dataframe" in (pd.concat([estimates, estimates])._repr_html_() or "")
    assert "dataframe" in (estimates.iloc[:0]._repr_html_() or "")


def words(items: Any) -> list[str]:
    return [" ".join(item.get_text().split()) for item in items]


@pytest.mark.parametrize("by", [None, "gender", ["gender", "age"]])
def test_a_picture_has_a_panel_an_option_and_every_word(cells: Cells, by: Any) -> None:
    table = group_estimates(None, cells, by=by)
    display = table.plot(question="taxes")
    own = table.of_question("taxes")
    display.figure_.canvas.draw()
    assert words([axis.title if axis.get_title() else axis._left_title for axis in display.axes_]) == LIKERT
    assert words(display.axes_[0].get_yticklabels()) == list(dict.fromkeys(own["group"]))
    for axis, marks, intervals, option in zip(display.axes_, display.marks_, display.intervals_, LIKERT, strict=True):
        rows = own[own["option"] == option]
        np.testing.assert_allclose(marks["sample"].get_xdata(), rows["share"])
        segments = np.array(intervals["sample"].get_segments())
        np.testing.assert_allclose(segments[:, :, 0], rows[["lower", "upper"]])
        low, high = axis.get_xlim()
        assert low <= rows["lower"].min()
        assert rows["upper"].max() <= high
    boxes = [axis._left_title.get_window_extent().padded(-1) for axis in display.axes_]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[i + 1 :])
    assert "Should <b>taxes</b>" in " ".join(words(display.figure_.findobj(plt.Text)))


def test_pictures_of_several_sources_of_differences_and_of_means(cells: Cells) -> None:
    sample = group_estimates(None, cells.subset(cells.question_names == "taxes"), by="age")
    display = pd.concat([sample, sample.assign(source="model", lower=np.nan, upper=np.nan)]).plot()
    assert list(display.marks_[0]) == ["sample", "model"]
    assert {"sample", "model"} <= set(words(display.figure_.legends[0].get_texts()))
    assert len(display.intervals_[0]["model"].get_segments()) == 0  # nothing is drawn where nothing is known
    difference = group_estimates(None, cells, difference="age").plot(question="taxes")
    low, high = difference.axes_[0].get_xlim()
    assert low < 0 < high
    mean = group_estimates(None, cells.subset(cells.question_names == "taxes"), by="age", statistic="mean").plot()
    assert len(mean.axes_) == 1


def test_a_picture_takes_axes(estimates: GroupEstimates) -> None:
    figure, ax = plt.subplots()
    display = estimates.plot(ax, question="taxes")
    assert display.figure_ is figure
    assert len(display.axes_) == 5
    _, axes = plt.subplots(1, 2)
    assert estimates.plot(axes, question="sex").axes_[1] is axes[1]
    with pytest.raises(ValueError, match="there are 5 options to draw, but 2 axes"):
        estimates.plot(axes, question="taxes")
    with pytest.raises(ValueError, match="name one question"):
        estimates.plot()
