"""Respondent curves: the protocol against a recomputation by hand, resuming, parallel runs, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

from surveysim import Question
from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.evaluation import FLOOR, SAMPLE, compare_models, respondent_curve, summarise_curve
from surveysim.evaluation.curves.result_store import Store, describe
from surveysim.metrics import js_divergence
from surveysim.tables import Missing

BACKGROUNDS = ["age", "sex"]


class Counting(LogitRegressor):
    """A logit that leaves a line in a file whenever it is fitted, and fails if told to."""

    def __init__(self, log: str = "", fail_at: int | None = None, question: Any = None) -> None:
        super().__init__(question=question, unseen="uniform")
        self.log = log
        self.fail_at = fail_at

    def fit(self, X: Any, Y: Any, sample_weight: Any = None) -> Counting:
        assert sample_weight is not None
        if self.fail_at is not None and round(sample_weight.sum() / 3) == self.fail_at:
            raise ValueError("as told")
        with open(self.log, "a", encoding="utf-8") as file:
            file.write("fit\n")
        super().fit(X, Y, sample_weight)
        return self


def fits(log: Path) -> int:
    return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


def test_the_figures_are_those_of_a_recomputation_by_hand(
    respondents: pd.DataFrame, questions: dict[str, Question]
) -> None:
    curve = respondent_curve(None, respondents, {"vote": questions["vote"]}, BACKGROUNDS, [100], 1, random_state=7)
    order = np.random.default_rng(7).permutation(len(respondents))
    train, truth = respondents.iloc[order[:100]], respondents.iloc[order[100:]]

    def shares(frame: pd.DataFrame, by: Any) -> pd.DataFrame:
        return frame.groupby(by, observed=True)["vote"].agg([lambda v: 1 - v.mean(), "mean", "size"])

    for level, groupings in {"cell": [BACKGROUNDS], "attribute": BACKGROUNDS, "population": [lambda _: 0]}.items():
        raw, debiased = [], []
        for by in groupings:
            held_out, sample = shares(truth, by), shares(train, by)
            held_out = held_out[held_out["size"] >= 50]
            q, p = (table.loc[held_out.index].iloc[:, :2].to_numpy(dtype=float) for table in (held_out, sample))
            raw += list(js_divergence(q, p, average=False))
            debiased += list(js_divergence(q, p, average=False, truth_respondents=held_out["size"].to_numpy()))
        row = curve[(curve["model"] == SAMPLE) & (curve["level"] == level)]
        assert row["n_groups"].item() == len(raw)
        assert row["js"].item() == pytest.approx(np.mean(raw), rel=1e-12)
        assert row["js_debiased"].item() == pytest.approx(np.mean(debiased), rel=1e-12)
        floor = curve[(curve["model"] == FLOOR) & (curve["level"] == level)]
        assert floor["js"].item() == pytest.approx(
            np.mean(1 / (8 * np.log(2) * shares(truth, groupings[0])["size"])), rel=0.1 if len(groupings) == 1 else 1
        )
    marginal = curve[(curve["model"] == "pooled marginal") & (curve["level"] == "cell")]
    share = 0.999 * train["vote"].mean() + 0.0005
    bits = -(truth["vote"] * np.log2(share) + (1 - truth["vote"]) * np.log2(1 - share)).mean()
    assert marginal["cross_entropy"].item() == pytest.approx(bits, rel=1e-9)
    assert marginal["respondents"].item() == 500


def test_the_table_is_tidy(respondents: pd.DataFrame, questions: dict[str, Question]) -> None:
    mine = {"mine": LogitRegressor(prior="eb", unseen="uniform")}
    curve = respondent_curve(mine, respondents, questions, BACKGROUNDS, [100, 200], 2)
    assert not curve.duplicated(["model", "n", "split", "level", "question"]).any()
    assert set(curve["model"]) == {SAMPLE, FLOOR, "pooled marginal", "plain logit", "order-aware logit", "mine"}
    assert set(curve["question"]) == set(questions)
    assert len(curve) == 6 * 2 * 2 * 3 * 3
    assert (curve.loc[curve["model"] == "pooled marginal", "skill"] == 0).all()
    one = curve[(curve["model"] == "mine") & (curve["n"] == 100) & (curve["split"] == 0) & (curve["level"] == "cell")]
    marginal = curve[
        (curve["model"] == "pooled marginal") & (curve["n"] == 100) & (curve["split"] == 0) & (curve["level"] == "cell")
    ]
    D, reference = (np.average(rows["js_debiased"], weights=rows["n_groups"]) for rows in (one, marginal))
    assert one["skill"].tolist() == pytest.approx([1 - D / reference] * 3)
    table = summarise_curve(curve, "js", "cell")
    assert table.columns.tolist() == [100, 200]
    own = curve[(curve["model"] == "mine") & (curve["level"] == "cell") & (curve["n"] == 200)]
    per_split = [np.average(rows["js"], weights=rows["n_groups"]) for _, rows in own.groupby("split")]
    assert table.loc["mine", 200] == pytest.approx(np.mean(per_split))


def test_a_function_makes_an_estimator_and_given_questions_stay(
    respondents: pd.DataFrame, questions: dict[str, Question]
) -> None:
    seen: list[Any] = []

    def make(asked: Any) -> MarginalRegressor:
        seen.append(asked)
        return MarginalRegressor(question=asked)

    both = {"made": make, "given": MarginalRegressor(question=questions)}
    curve = respondent_curve(both, respondents, questions, BACKGROUNDS, [100], 1)
    assert list(seen[0]) == list(questions)
    parts = [curve[curve["model"] == name]["js"].to_numpy() for name in ("made", "given", "pooled marginal")]
    np.testing.assert_array_equal(parts[0], parts[1])
    np.testing.assert_array_equal(parts[0], parts[2])
    assert both["given"].question is questions  # clones are fitted
    assert not hasattr(both["given"], "questions_")


def test_options_that_tabulate_adds_reach_functions_and_estimators(
    respondents: pd.DataFrame, questions: dict[str, Question]
) -> None:
    unsure = respondents.assign(vote=respondents["vote"].where(np.arange(len(respondents)) % 5 > 0, 8))
    common = (unsure, {"vote": questions["vote"]}, BACKGROUNDS, [100], 1)
    seen: list[int] = []

    def make(asked: Any) -> MarginalRegressor:
        seen.append(asked["vote"].n_options)
        return MarginalRegressor(question=asked)

    curve = respondent_curve({"made": make}, *common, missing=Missing("option", {8: "don't know"}))
    assert seen == [3]
    made, marginal = (curve[curve["model"] == name]["js"].to_numpy() for name in ("made", "pooled marginal"))
    np.testing.assert_array_equal(made, marginal)


def test_what_is_stored_is_not_computed_again(
    respondents: pd.DataFrame, questions: dict[str, Question], tmp_path: Path
) -> None:
    log, store = tmp_path / "log", tmp_path / "runs"
    common = (respondents, questions, BACKGROUNDS)
    whole = respondent_curve({"mine": Counting(str(log))}, *common, [100, 200], 2)
    log.unlink()

    with pytest.raises(RuntimeError, match=r"mine failed on 200 respondents, split 0: ValueError: as told"):
        respondent_curve({"mine": Counting(str(log), fail_at=200)}, *common, [100, 200], 2, store=store)
    assert fits(log) == 2  # both splits of 100; then it failed
    again = respondent_curve({"mine": Counting(str(log))}, *common, [100, 200], 2, store=store)
    assert fits(log) == 2 + 4  # another parameter, another key
    resumed = respondent_curve({"mine": Counting(str(log))}, *common, [200, 100], 2, store=store)
    assert fits(log) == 6
    unlike = ["seconds"]
    pd.testing.assert_frame_equal(whole.drop(columns=unlike), again.drop(columns=unlike))
    keys = ["n", "split", "model", "level", "question"]
    pd.testing.assert_frame_equal(
        again.sort_values(keys).reset_index(drop=True), resumed.sort_values(keys).reset_index(drop=True)
    )
    assert not list(store.glob("*.part"))

    changed = respondents.copy()
    changed.loc[0, "vote"] = 1 - changed.loc[0, "vote"]
    respondent_curve({"mine": Counting(str(log))}, changed, questions, BACKGROUNDS, [100], 1, store=store)
    assert fits(log) == 7
    respondent_curve({"mine": Counting(str(log))}, *common, [100], 1, store=store, random_state=5)
    assert fits(log) == 8
    respondent_curve({"mine": Counting(str(log))}, *common, [100], 1, store=store, min_respondents=60)
    assert fits(log) == 9


def test_a_broken_file_counts_as_missing(
    respondents: pd.DataFrame, questions: dict[str, Question], tmp_path: Path
) -> None:
    first = respondent_curve(None, respondents, questions, BACKGROUNDS, [100], 1, store=tmp_path)
    for path in tmp_path.glob("*.json"):
        path.write_text(path.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    with pytest.warns(UserWarning, match="cannot be used"):
        second = respondent_curve(None, respondents, questions, BACKGROUNDS, [100], 1, store=tmp_path)
    pd.testing.assert_frame_equal(first.drop(columns="seconds"), second.drop(columns="seconds"))


def test_a_store_keeps_every_digit(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1 / 3, np.nan], "b": ["x", "y"], "c": [np.nan, np.nan], "d": [1, 2]})
    store = Store(tmp_path / "new" / "folder")
    store.put({"key": 1}, table)
    found = store.get({"key": 1})
    assert found is not None
    pd.testing.assert_frame_equal(found, table)
    assert store.get({"key": 2}) is None


def test_what_a_parameter_is() -> None:
    first, second = LogitRegressor(prior="eb"), LogitRegressor(prior="fixed")
    assert describe(first) != describe(second)
    assert describe(first) == describe(LogitRegressor(prior="eb"))
    assert describe(np.arange(3)) != describe(np.arange(4))
    assert describe(Question("a?", ["x", "y"])) != describe(Question("a?", ["x", "z"]))
    for state in (np.random.default_rng(0), np.random.RandomState(0), lambda: 0):
        with pytest.raises(TypeError, match="must say what it depends on"):
            describe({"random_state": state})


def test_a_folder_is_described_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("1")
    before = describe(tmp_path)
    (tmp_path / "weights").write_text("12")
    assert describe(str(tmp_path)) != before


@pytest.mark.slow
def test_two_processes_find_the_same(respondents: pd.DataFrame, questions: dict[str, Question]) -> None:
    one, two = (
        respondent_curve(None, respondents, {"vote": questions["vote"]}, BACKGROUNDS, [150, 100], 2, n_jobs=jobs)
        for jobs in (1, 2)
    )
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), two.drop(columns="seconds"))


def test_progress_is_told(
    respondents: pd.DataFrame, questions: dict[str, Question], capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    common = (respondents, {"vote": questions["vote"]}, BACKGROUNDS, [100], 2)
    respondent_curve(None, *common, report=lines.append)
    assert len(lines) == 6
    assert lines[0].startswith("n=100 split=0 pooled marginal: 0.")
    assert capsys.readouterr().err == ""
    respondent_curve(None, *common, verbose=1)
    assert "6/6" in capsys.readouterr().err


class Unweighted(RegressorMixin, BaseEstimator):
    """Takes no weights, knows no questions, predicts even odds."""

    def fit(self, X: Any, Y: Any) -> Unweighted:
        self.n_options_ = Y.shape[1]
        return self

    def predict(self, X: Any) -> np.ndarray:
        return np.full((len(X), self.n_options_), 1 / self.n_options_)


def test_an_estimator_without_weights_is_named(respondents: pd.DataFrame, questions: dict[str, Question]) -> None:
    with pytest.warns(UserWarning, match="Unweighted.fit does not take sample_weight"):
        respondent_curve({"even": Unweighted()}, respondents, {"vote": questions["vote"]}, BACKGROUNDS, [100], 1)


def test_a_level_without_enough_respondents_is_missing_and_said_so(
    respondents: pd.DataFrame, questions: dict[str, Question]
) -> None:
    with pytest.warns(UserWarning, match="at n=300 no group of level 'cell' has 80 held-out respondents"):
        curve = respondent_curve(
            None, respondents, {"vote": questions["vote"]}, BACKGROUNDS, [300], 1, min_respondents=80
        )
    assert set(curve["level"]) == {"attribute", "population"}


def test_weights_weigh_the_truth(respondents: pd.DataFrame, questions: dict[str, Question]) -> None:
    weighted = respondents.assign(w=np.where(respondents["vote"] == 1, 3.0, 1.0))
    curve = respondent_curve(None, weighted, {"vote": questions["vote"]}, ["sex"], [100], 1, weights="w")
    order = np.random.default_rng(0).permutation(len(weighted))
    train, truth = weighted.iloc[order[:100]], weighted.iloc[order[100:]]
    p, q = (np.average(part["vote"], weights=part["w"]) for part in (train, truth))
    row = curve[(curve["model"] == SAMPLE) & (curve["level"] == "population")]
    assert row["js"].item() == pytest.approx(js_divergence([[1 - q, q]], [[1 - p, p]]))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sizes": [100, 560]}, ValueError, "sizes has 560 respondents to train on, but the survey has 600"),
        ({"sizes": []}, ValueError, "sizes is empty"),
        ({"sizes": [0]}, ValueError, "sizes must be"),
        ({"sizes": [100, 100]}, ValueError, "twice"),
        ({"n_splits": 0}, ValueError, "n_splits must be"),
        ({"random_state": None}, ValueError, "random_state must be a whole number"),
        ({"data": [1, 2]}, TypeError, "data must be a pandas DataFrame"),
        ({"questions": Question("a?", ["x", "y"])}, TypeError, "questions must be a mapping"),
        ({"estimators": [LogitRegressor()]}, TypeError, "estimators must be a mapping"),
        ({"estimators": {FLOOR: LogitRegressor()}}, ValueError, "always there"),
        ({"estimators": {"a": LogitRegressor}}, TypeError, "is a class"),
        ({"estimators": {"a": 3}}, TypeError, "must have fit and predict"),
        ({"baselines": False}, ValueError, "nothing to measure"),
    ],
)
def test_what_is_refused(
    change: dict[str, Any], error: type[Exception], message: str, respondents: pd.DataFrame, questions: Any
) -> None:
    parameters = {"estimators": None, "data": respondents, "questions": questions, "backgrounds": BACKGROUNDS}
    with pytest.raises(error, match=message):
        respondent_curve(**{**parameters, "sizes": [100], "n_splits": 1, **change})


def make_curve(values: dict[tuple[str, int], float], n_questions: int = 6, n_splits: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.5, 1.5, n_questions)
    rows = [
        (model, n, split, "cell", f"Q{q}", 10, D * scale[q])
        for (model, n), D in values.items()
        for q in range(n_questions)
        for split in range(n_splits)
    ]
    return pd.DataFrame(rows, columns=["model", "n", "split", "level", "question", "n_groups", "js_debiased"])


def test_differences_are_relative_and_paired_by_question() -> None:
    curve = make_curve({("a", 100): 0.09, ("b", 100): 0.10, ("a", 200): 0.05, ("b", 200): 0.04})
    found = compare_models(curve, "a", "b")
    assert found["difference"].tolist() == pytest.approx([-0.1, 0.25, 0.0])
    assert found.loc[100, "low"] == pytest.approx(-0.1)  # the same in every question: no spread
    assert (found["resampled"] == "questions").all()
    uneven = compare_models(make_curve({("a", 100): 0.09, ("b", 100): 0.10, ("b", 200): 0.04}), "a", "b")
    assert uneven["difference"].to_dict() == pytest.approx({100: -0.1, "all": -0.1})
    with pytest.raises(ValueError, match="never measured on the same sample"):
        compare_models(make_curve({("a", 100): 0.09, ("b", 200): 0.10}), "a", "b")
    few = compare_models(make_curve({("a", 100): 0.09, ("b", 100): 0.10}, 1, 5), "a", "b")
    assert (few["resampled"] == "splits").all()
    with pytest.raises(ValueError, match="the curve has no model 'c'"):
        compare_models(curve, "a", "c")
    with pytest.raises(ValueError, match="no rows of level 'population'"):
        compare_models(curve, "a", "b", "population")
    with pytest.raises(ValueError, match=r"lacks the columns \['js_debiased'\]"):
        compare_models(curve.drop(columns="js_debiased"), "a", "b")
    with pytest.raises(ValueError, match="value must be one of"):
        summarise_curve(curve, "accuracy")
