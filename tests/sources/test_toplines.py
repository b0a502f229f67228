"""Published tables: an option a row, an option a column, totals and single attributes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from surveysim import Question, tabulate
from surveysim.datasets import make_survey
from surveysim.sources import Wave
from surveysim.sources.toplines import read_toplines

WIDE = pd.DataFrame(
    {"question": ["a", "a", "b"], "sex": ["f", "m", None], "yes": [40, 30, np.nan], "no": [60, 70, np.nan],
     "often": [np.nan, np.nan, 0.25], "never": [np.nan, np.nan, 0.75], "n": [500, 480, 980]}
)  # fmt: skip


def test_an_option_a_column_in_percent_or_in_shares():
    table = read_toplines(WIDE)
    np.testing.assert_allclose(table.Y, [[0.4, 0.6], [0.3, 0.7], [0.25, 0.75]])
    assert table.questions["b"].options == ("often", "never")
    assert table.n.tolist() == [500, 480, 980]


def test_an_option_a_row_is_what_cells_write():
    survey = make_survey(200, n_backgrounds=2, n_questions=2, n_options=[3, 5], random_state=1)
    cells = survey.tabulate()
    frame = cells.X[cells.backgrounds]
    one, other = (Wave(table).evidence(survey.questions, frame) for table in (cells, cells.to_frame()))
    np.testing.assert_allclose(one.Y, other.Y)
    np.testing.assert_allclose(one.n, other.n)


def test_an_option_that_a_group_does_not_list_was_chosen_by_nobody():
    long = pd.DataFrame(
        {"option": ["yes", "no", "yes"], "share": [0.5, 0.5, 1.0], "sex": ["f", "f", "m"], "n": [9, 9, 5]}
    )
    np.testing.assert_allclose(read_toplines(long).Y, [[0.5, 0.5], [1.0, 0.0]])


def test_totals_have_no_attribute():
    wave = Wave(pd.DataFrame({"yes": [0.4], "no": [0.6], "n": [1000]}))
    with pytest.warns(UserWarning, match="attribute 'sex': the source does not have it"):
        evidence = wave.evidence(Question("Q?", ["no", "yes"]), pd.DataFrame({"sex": ["f", "m"]}))
    np.testing.assert_allclose(evidence.Y, [[0.6, 0.4]])
    assert evidence.backgrounds["sex"].isna().all()


def test_a_total_beside_its_parts_says_nothing_more():
    table = pd.DataFrame({"sex": ["f", "m", None], "yes": [40, 30, 35], "no": [60, 70, 65], "n": [500, 500, 1000]})
    evidence = Wave(table).evidence(Question("Q?", ["no", "yes"]), pd.DataFrame({"sex": ["f", "m"]}))
    assert evidence.backgrounds["sex"].tolist() == ["f", "m"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="n"), "need a column 'n'"),
        (lambda t: t.iloc[:0], "empty"),
        (lambda t: t.assign(yes=[50, 30, np.nan]), "sum to 110, neither to 1 nor to 100"),
        (lambda t: t.assign(children=[2, 3, 1]), "Attributes that are numbers look like options"),
        (lambda t: t[["question", "sex", "n"]], "a column of numbers for each option"),
        (lambda t: t.rename(columns={"sex": "option"}), "both columns 'option' and 'share'"),
    ],
)
def test_tables_that_cannot_be_read_say_why(change, message):
    with pytest.raises(ValueError, match=message):
        read_toplines(change(WIDE))


def test_rows_of_one_distribution_agree():
    long = pd.DataFrame({"option": ["yes", "no"], "share": [0.5, 0.5], "n": [9, 8]})
    with pytest.raises(ValueError, match="different n"):
        read_toplines(long)
    with pytest.raises(ValueError, match="row 1 repeats the option 'yes'"):
        read_toplines(long.assign(option="yes", n=9))


def test_tables_with_other_options_of_the_same_question_are_refused():
    data = pd.DataFrame({"sex": ["f", "m"], "q": ["yes", "no"]})
    one, other = (tabulate(data, ["sex"], {"q": Question("Q?", options)}) for options in (["yes", "no"], ["no", "yes"]))
    with pytest.raises(ValueError, match="question 'q' has other options in another table"):
        Wave([one, other])
