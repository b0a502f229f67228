"""The user guide: its code runs as it stands, and its pictures exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import surveysim.evaluation

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"
TEXT = GUIDE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("statsmodels")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL))
    assert code.count("n_splits=5") == 1
    code = code.replace("sizes=[200, 500, 1000, 2000]", "sizes=[500, 1000]").replace("n_splits=5", "n_splits=1")
    names: dict[str, Any] = {}
    exec(compile(code, "evaluation.md", "exec"), names)
    assert set(names["curve"]["n"]) == {500, 1000}
    assert capsys.readouterr().out.count("respondents") >= 3
    assert names["found"].pairwise.shape == (2, 2)


def test_pictures_and_names_exist() -> None:
    pictures = re.findall(r"\{image\} (\S+)", TEXT)
    assert len(pictures) == 5
    for picture in pictures:
        assert (GUIDE.parent / picture).is_file(), picture
    for name in re.findall(r"`~surveysim\.evaluation\.(\w+)`", TEXT):
        assert hasattr(surveysim.evaluation, name), name
