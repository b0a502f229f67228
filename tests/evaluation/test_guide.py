"""The guide on evaluation: its cells run, and its pictures and names exist."""

from __future__ import annotations

import re

import pytest

import surveysim.evaluation
from tests import pages

PAGES = ("evaluation", "group_reports", "noise")


@pytest.mark.slow
def test_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("statsmodels")
    names = pages.run("evaluation", {"sizes=[200, 500, 1000]": "sizes=[500, 1000]", "n_splits=3": "n_splits=1"})
    assert set(names["curve"]["n"]) == {500, 1000}
    assert capsys.readouterr().out.count("respondents") >= 3


@pytest.mark.slow
def test_group_reports() -> None:
    pytest.importorskip("statsmodels")
    names = pages.run("group_reports")
    assert names["found"].pairwise.shape == (2, 2)
    assert names["report"]["alignment"].iloc[0] <= names["report"]["alignment"].iloc[1]  # the worst first


@pytest.mark.parametrize("page", PAGES)
def test_pictures_and_names_exist(page: str) -> None:
    text = pages.text_of(page)
    for picture in re.findall(r"\{image\} (\S+)", text):
        assert (pages.DOCS / picture).is_file(), picture
    names = re.findall(r"`~surveysim\.evaluation\.(\w+)`", text)
    assert names
    assert [name for name in names if not hasattr(surveysim.evaluation, name)] == []
