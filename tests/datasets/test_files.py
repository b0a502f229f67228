"""Opening survey files: every format, and every way in which a file can be broken."""

from __future__ import annotations

import contextlib
import gzip
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from surveysim.datasets.files import open_survey

pyreadstat = pytest.importorskip("pyreadstat")

LABELS = {"happy": {1: "very", 2: "quite", 3: "not", 8: "Don't know", 9: "Refusal"}}
WORDING = {"happy": "How happy are you, Ægir?"}


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"happy": rng.choice([1.0, 2, 3, 8, 9], 300), "town": rng.choice(["Ærøskøbing", "Århus"], 300)})


@pytest.fixture
def sav(table, tmp_path) -> Path:
    path = tmp_path / "s.sav"
    pyreadstat.write_sav(
        table, path, column_labels=WORDING, variable_value_labels=LABELS, missing_ranges={"happy": [{"lo": 8, "hi": 9}]}
    )
    return path


@pytest.mark.parametrize("ending", ["sav", "zsav", "por", "dta", "xpt"])
def test_formats_with_metadata(table, tmp_path, ending):
    path = tmp_path / f"s.{ending}"
    write = {
        "sav": lambda: pyreadstat.write_sav(table, path, column_labels=WORDING, variable_value_labels=LABELS),
        "zsav": lambda: pyreadstat.write_sav(
            table, path, column_labels=WORDING, variable_value_labels=LABELS, compress=True
        ),
        "por": lambda: pyreadstat.write_por(
            table[["happy"]].rename(columns=str.upper), path, column_labels={"HAPPY": "How happy?"}
        ),
        "dta": lambda: pyreadstat.write_dta(table, path, column_labels=WORDING, variable_value_labels=LABELS),
        "xpt": lambda: pyreadstat.write_xport(table[["happy"]], path, column_labels={"happy": "How happy?"}),
    }
    write[ending]()
    raw = open_survey(path)
    assert len(raw.data) == 300
    name = next(c for c in raw.data.columns if c.lower() == "happy")  # portable files have capitals
    np.testing.assert_array_equal(raw.data[name], table["happy"])
    assert raw.variable_labels[name].startswith("How happy")
    if ending in ("sav", "zsav", "dta"):
        assert raw.value_labels["happy"] == LABELS["happy"]
        assert set(raw.data["town"]) == {"Ærøskøbing", "Århus"}


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_formats_without_metadata(table, tmp_path, ending):
    path = tmp_path / f"s.{ending}"
    if ending == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep=";" if ending == "csv" else "\t", encoding="utf-8")
    raw = open_survey(path)
    pd.testing.assert_frame_equal(raw.data, table, check_dtype=False)
    assert raw.value_labels == {}


def test_codes_declared_missing_stay_in_the_data_and_are_known(sav, table):
    raw = open_survey(sav)
    assert raw.missing_codes == {"happy": [(8.0, 9.0)]}
    assert (raw.data["happy"] == 9).sum() == (table["happy"] == 9).sum()


def test_extended_missing_values_of_stata(tmp_path):
    table = pd.DataFrame({"q": [1.0, 2.0, "d", "r"]}, dtype=object)
    path = tmp_path / "s.dta"
    pyreadstat.write_dta(
        table, path, variable_value_labels={"q": {1: "yes", 2: "no", "d": "Don't know", "r": "Refused"}},
        missing_user_values={"q": ["d", "r"]},
    )  # fmt: skip
    raw = open_survey(path)
    assert raw.data["q"].tolist() == [1, 2, "d", "r"]
    assert raw.missing_codes["q"] == ["d", "r"]


def test_numbers_with_blanks_in_a_csv_are_numbers(tmp_path):
    (tmp_path / "s.csv").write_text("a,b\n1, \n ,2\n", encoding="utf-8")
    data = open_survey(tmp_path / "s.csv").data
    assert data["a"].tolist()[0] == 1
    assert np.isnan(data["a"].iloc[1])
    assert np.isnan(data["b"].iloc[0])


def test_none_is_an_answer_and_not_a_blank(tmp_path):
    (tmp_path / "s.csv").write_text("q;w;c\nNone;1,5;NA\nA lot;2,0;x\nn/a;;y\n", encoding="utf-8")
    data = open_survey(tmp_path / "s.csv").data
    assert data["q"].tolist() == ["None", "A lot", "n/a"]
    assert data["w"].iloc[:2].tolist() == [1.5, 2.0]  # decimal commas, where semicolons separate
    assert data["c"].isna().tolist() == [True, False, False]


def test_one_column_and_names_with_commas(tmp_path):
    (tmp_path / "s.csv").write_text('"a, b";c\n1;2\n', encoding="utf-8")
    assert list(open_survey(tmp_path / "s.csv").data) == ["a, b", "c"]
    (tmp_path / "t.csv").write_text("a\n1\n", encoding="utf-8")
    assert open_survey(tmp_path / "t.csv").data["a"].tolist() == [1]


def test_rows_with_more_fields_than_names(tmp_path):
    (tmp_path / "s.csv").write_text("a,b\n0,2,3\n1,4,5\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"rows have more fields than its first line has names \(2\)"):
        open_survey(tmp_path / "s.csv")
    (tmp_path / "t.csv").write_text("a;b\n1;2;\n3;4;\n", encoding="utf-8")  # a separator at the end holds nothing
    assert open_survey(tmp_path / "t.csv").data.to_dict("list") == {"a": [1, 3], "b": [2, 4]}


def test_the_three_lines_of_names_of_qualtrics(tmp_path):
    lines = [
        "Q1,Q2,Q3", 'How happy?,"Age, in\nyears",',
        '"{""ImportId"":""QID1""}","{""ImportId"":""QID2""}","{""ImportId"":""QID3""}"', "Very,34,a", "Not,,b",
    ]  # fmt: skip
    (tmp_path / "s.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    raw = open_survey(tmp_path / "s.csv")
    assert raw.data["Q1"].tolist() == ["Very", "Not"]
    assert raw.data["Q2"].iloc[0] == 34
    assert np.isnan(raw.data["Q2"].iloc[1])
    assert raw.variable_labels == {"Q1": "How happy?", "Q2": "Age, in\nyears"}


def test_two_columns_of_a_csv_with_one_name(tmp_path):
    (tmp_path / "s.csv").write_text("a,b,a\n1,2,3\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"several variables called \['a'\]"):
        open_survey(tmp_path / "s.csv")


def test_metadata_without_respondents(sav):
    raw = open_survey(sav, metadata_only=True)
    assert (len(raw.data), list(raw.data)) == (0, ["happy", "town"])
    assert raw.value_labels["happy"] == LABELS["happy"]


def test_columns_are_chosen(sav):
    assert list(open_survey(sav, columns=["town"]).data) == ["town"]
    with pytest.raises(ValueError, match=r"no variables \['city'\]; it has happy, town"):
        open_survey(sav, columns=["city"])


class TestBroken:
    @pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.99])
    def test_truncated_spss(self, sav, share):
        content = sav.read_bytes()
        sav.write_bytes(content[: max(8, int(len(content) * share))])
        with pytest.raises(ValueError, match=r"s\.sav.*(truncated|not readable as SPSS)"):
            open_survey(sav)

    def test_truncated_zsav(self, table, tmp_path):
        path = tmp_path / "s.zsav"
        pyreadstat.write_sav(table, path, compress=True)
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(ValueError, match="truncated or damaged"):
            open_survey(path)

    @pytest.mark.parametrize("lost", [10, 2000])
    def test_truncated_stata(self, table, tmp_path, lost):
        path = tmp_path / "s.dta"
        pyreadstat.write_dta(table, path)
        path.write_bytes(path.read_bytes()[:-lost])
        with pytest.raises(ValueError, match="truncated"):
            open_survey(path)

    def test_truncated_transport(self, table, tmp_path):
        path = tmp_path / "s.xpt"
        pyreadstat.write_xport(table[["happy"]], path)
        path.write_bytes(path.read_bytes()[:-37])
        with pytest.raises(ValueError, match="truncated"):
            open_survey(path)

    def test_truncated_parquet(self, table, tmp_path):
        path = tmp_path / "s.parquet"
        table.to_parquet(path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(ValueError, match="damaged or truncated"):
            open_survey(path)

    def test_random_bytes_after_the_header(self, sav):
        rng = np.random.default_rng(0)
        content = bytearray(sav.read_bytes())
        for _ in range(20):  # whatever is hit: a clear error, or a table; never another exception
            broken = bytearray(content)
            at = int(rng.integers(4, len(broken) - 64))
            broken[at : at + 64] = rng.bytes(64)
            sav.write_bytes(broken)
            with contextlib.suppress(ValueError):
                open_survey(sav)

    def test_encrypted_spss(self, tmp_path):
        path = tmp_path / "s.sav"
        path.write_bytes(bytes([0x1C, 0, 0, 0, 0, 0, 0, 0]) + b"ENCRYPTEDSAV" + bytes(400))
        with pytest.raises(ValueError, match="encrypted SPSS file: open it in SPSS"):
            open_survey(path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"<!DOCTYPE html><html><body>log in", "web page"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
            (b"PK\x03\x04 and so on", "compressed archive"),
            (gzip.compress(b"abc", mtime=0), "compressed archive"),
            (b"", "is empty"),
            (b"   \n\n", "is empty"),
            (b"happy,town\n1,Oslo\n", "not in SPSS format, whatever its ending says"),
        ],
    )
    def test_something_else(self, tmp_path, content, message):
        path = tmp_path / "s.sav"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            open_survey(path)

    def test_wrong_encoding_of_spss(self, sav):
        # the file says UTF-8, its text is Latin-1, padded to the same length
        sav.write_bytes(sav.read_bytes().replace("Århus".encode(), "Århus ".encode("latin-1")))
        with pytest.raises(ValueError, match=r"not in the encoding that it names: give encoding='cp1252'"):
            open_survey(sav)
        read = open_survey(sav, encoding="cp1252").data["town"]
        assert (read.str.strip() == "Århus").any()

    def test_wrong_encoding_of_csv(self, tmp_path):
        path = tmp_path / "s.csv"
        path.write_bytes("a,b\n1,Århus\n".encode("latin-1"))
        with pytest.raises(ValueError, match=r"not UTF-8 text \(byte \d+\): give encoding='cp1252'"):
            open_survey(path)
        assert open_survey(path, encoding="cp1252").data["b"].tolist() == ["Århus"]

    def test_unknown_encoding(self, sav):
        with pytest.raises(ValueError, match="encoding='klingon' is unknown"):
            open_survey(sav, encoding="klingon")

    def test_no_file_no_format_no_rows(self, sav, tmp_path, table):
        with pytest.raises(FileNotFoundError, match=r"nowhere\.sav"):
            open_survey(tmp_path / "nowhere.sav")
        with pytest.raises(ValueError, match="is a folder"):
            open_survey(tmp_path)
        for name, hint in (
            ("s.xls", "save the sheet as .xlsx or CSV"),
            ("s.zip", "unpack it first"),
            ("s.doc", "not one of"),
        ):
            (tmp_path / name).write_bytes(b"x")
            with pytest.raises(ValueError, match=hint):
                open_survey(tmp_path / name)
        table.iloc[:0].to_csv(tmp_path / "s.csv", index=False)
        with pytest.raises(ValueError, match="no respondents"):
            open_survey(tmp_path / "s.csv")

    def test_sas_with_its_catalog(self, tmp_path, monkeypatch, table):
        """No library writes sas7bdat: what pyreadstat is asked for, and what is made of its answer."""
        (tmp_path / "s.sas7bdat").write_bytes(b"sas")
        (tmp_path / "formats.sas7bcat").write_bytes(b"sas")
        asked = {}

        def read(path, **options):
            asked.update(options)
            pyreadstat.write_sav(table, tmp_path / "s.sav", column_labels=WORDING)
            data, meta = pyreadstat.read_sav(tmp_path / "s.sav")
            meta.variable_to_label = {name: "FORMAT" if name == codes else None for name in data.columns}
            return data, meta

        def read_catalog(path, **options):
            assert path.endswith("formats.sas7bcat")
            assert options == {"encoding": "cp1252"}
            return None, SimpleNamespace(value_labels={"format": LABELS[codes]})

        codes = next(iter(LABELS))
        monkeypatch.setattr(pyreadstat, "read_sas7bdat", read)
        monkeypatch.setattr(pyreadstat, "read_sas7bcat", read_catalog)
        raw = open_survey(tmp_path / "s.sas7bdat", catalog=tmp_path / "formats.sas7bcat", encoding="cp1252")
        assert raw.value_labels == {codes: LABELS[codes]}
        assert raw.data[codes].tolist() == pytest.approx(table[codes].tolist(), nan_ok=True)  # codes, not labels
        assert "catalog_file" not in asked
        assert asked["encoding"] == "cp1252"
        assert asked["user_missing"]
        with pytest.raises(FileNotFoundError, match="no SAS catalog"):
            open_survey(tmp_path / "s.sas7bdat", catalog=tmp_path / "none.sas7bcat")

    def test_catalog_is_for_sas(self, sav, tmp_path):
        with pytest.raises(ValueError, match="catalog is for"):
            open_survey(sav, catalog=tmp_path / "c.sas7bcat")

    def test_without_pyreadstat(self, sav, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyreadstat", None)
        with pytest.raises(ImportError, match=r"pip install 'surveysim\[survey\]'"):
            open_survey(sav)
