"""Data that anybody can have: from statsmodels, or downloaded once."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from surveysim.baselines import LogitRegressor
from surveysim.datasets import fetch_nonvoters, load_anes96, load_fair
from surveysim.datasets.fetch import data_home, fetch_file

pooch = pytest.importorskip("pooch")


def test_fair_is_the_table_of_statsmodels():
    survey = load_fair()
    raw = sm.datasets.fair.load_pandas().data
    cells = survey.tabulate(["age", "religiousness", "children"])
    table = pd.crosstab([raw["age"], raw["religious"], raw["children"]], raw["rate_marriage"], normalize="index")
    np.testing.assert_allclose(cells.Y, table)
    assert survey.data["religiousness"].cat.ordered
    assert list(survey.data["religiousness"].cat.categories) == ["not", "mildly", "fairly", "strongly"]
    assert survey.questions["rate_marriage"].ordinal
    assert survey.terms
    assert len(survey.report) == 0


def test_anes_is_the_table_of_statsmodels():
    survey = load_anes96(age_bands=(40,))
    raw = sm.datasets.anes96.load_pandas().data
    assert set(survey.questions) == {"PID", "selfLR", "ClinLR", "DoleLR", "TVnews", "vote"}
    assert not survey.questions["vote"].ordinal
    assert survey.questions["TVnews"].options == tuple("01234567")
    cells = survey.tabulate(["education"], ["PID"])
    np.testing.assert_allclose(cells.Y, pd.crosstab(raw["educ"], raw["PID"], normalize="index"))
    assert list(survey.data["age group"].cat.categories) == ["under 40", "40 or older"]
    assert len(survey.data["household income"].cat.categories) == 24
    assert survey.data["household income"].cat.ordered
    model = LogitRegressor(question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n)
    assert model.score(cells.X, cells.Y, sample_weight=cells.n) > -0.1


class TestFetch:
    content = b"a,b\n1,2\n"
    sha256 = hashlib.sha256(content).hexdigest()

    def test_a_file_in_place_is_taken(self, tmp_path):
        (tmp_path / "f.csv").write_bytes(self.content)
        assert fetch_file("f.csv", "https://nowhere.invalid/f.csv", self.sha256, tmp_path) == tmp_path / "f.csv"

    def test_another_file_in_place_is_refused_and_kept(self, tmp_path):
        (tmp_path / "f.csv").write_bytes(b"something else")
        with pytest.raises(ValueError, match=r"f\.csv is not the expected file"):
            fetch_file("f.csv", "https://nowhere.invalid/f.csv", self.sha256, tmp_path)
        assert (tmp_path / "f.csv").read_bytes() == b"something else"

    def test_offline_it_says_what_to_place_where(self, tmp_path, monkeypatch):
        def unreachable(*_, **__):
            raise ConnectionError("no network")

        monkeypatch.setattr(pooch, "retrieve", unreachable)
        place = tmp_path / "cache"
        with pytest.raises(OSError, match=rf"Place https://x/f\.csv at {place}/f\.csv \(sha256 {self.sha256}\)"):
            fetch_file("f.csv", "https://x/f.csv", self.sha256, place)
        with pytest.raises(OSError, match="download=False"):
            fetch_file("f.csv", "https://x/f.csv", self.sha256, place, download=False)

    def test_a_changed_download_is_refused(self, tmp_path, monkeypatch):
        def changed(*_, **__):
            raise ValueError("SHA256 hash of downloaded file does not match")

        monkeypatch.setattr(pooch, "retrieve", changed)
        with pytest.raises(ValueError, match="no longer the file that this version of surveysim knows"):
            fetch_file("f.csv", "https://x/f.csv", self.sha256, tmp_path)

    def test_it_is_downloaded_once_and_checked(self, tmp_path):
        """pooch itself, from a file URL's twin: a server on this machine."""
        import functools
        import http.server
        import threading

        (tmp_path / "served").mkdir()
        (tmp_path / "served" / "f.csv").write_bytes(self.content)
        handler = functools.partial(_Quiet, directory=str(tmp_path / "served"))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}/f.csv"
            found = fetch_file("f.csv", url, self.sha256, tmp_path / "cache")
            assert found.read_bytes() == self.content
            with pytest.raises(ValueError, match="no longer the file"):
                fetch_file("g.csv", url, "0" * 64, tmp_path / "cache")
            server.shutdown()
        assert fetch_file("f.csv", url, self.sha256, tmp_path / "cache") == found  # the server is gone

    def test_home(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SURVEYSIM_CACHE", str(tmp_path))
        assert data_home() == tmp_path
        assert data_home(tmp_path / "x") == tmp_path / "x"
        monkeypatch.delenv("SURVEYSIM_CACHE")
        assert data_home().name == "surveysim"


def _quiet_handler():
    import http.server

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    return Quiet


_Quiet = _quiet_handler()


@pytest.mark.realdata
def test_nonvoters(survey_data, tmp_path):
    shutil.copy(survey_data / "nonvoters_2020" / "nonvoters_data.csv", tmp_path)
    survey = fetch_nonvoters(data_home=tmp_path, download=False)
    assert len(survey.data) == 5836
    assert len(survey.questions) == 61
    assert sum(question.ordinal for question in survey.questions.values()) == 45
    assert survey.data["education"].cat.ordered
    assert "CC BY 4.0" in survey.terms
    described = json.loads((survey_data / "nonvoters_2020" / "questions.json").read_text(encoding="utf-8"))["questions"]
    for item in described:  # transcribed twice, independently
        ours = survey.questions[item["variable"]]
        straight = [option.replace("’", "'") for option in ours.options]
        assert (straight, list(ours.codes), ours.ordinal) == (item["options"], item["codes"], item["ordinal"])
    raw = pd.read_csv(tmp_path / "nonvoters_data.csv")
    counts = survey.variables.set_index("name").loc["Q2_1"]
    assert (counts["answered"], counts["skipped"]) == ((raw["Q2_1"] > 0).sum(), (raw["Q2_1"] == -1).sum())
    cells = survey.tabulate(["race"], ["Q2_1"])
    black = raw[(raw["race"] == "Black") & (raw["Q2_1"] > 0)]
    expected = black.groupby("Q2_1")["weight"].sum() / black["weight"].sum()
    np.testing.assert_allclose(cells.Y[cells.X["race"].tolist().index("Black")], expected)
