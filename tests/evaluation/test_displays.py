"""Displays draw the figures they are given, into axes of the caller's choice, and import matplotlib only then."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from surveysim import Question, tabulate
from surveysim.baselines import LogitRegressor, MarginalRegressor
from surveysim.evaluation import (
    FLOOR,
    SAMPLE,
    DistributionDisplay,
    GroupAlignmentDisplay,
    RespondentCurveDisplay,
    ShiftDisplay,
    TrainingHistoryDisplay,
    group_report,
    respondent_curve,
    summarise_curve,
)
from surveysim.tables import Cells


@pytest.fixture(scope="module")
def cells(respondents: pd.DataFrame, questions: dict[str, Question]) -> Cells:
    return tabulate(respondents, ["age", "sex"], questions)


@pytest.fixture(scope="module")
def model(cells: Cells) -> LogitRegressor:
    return LogitRegressor(question=cells.questions).fit(cells.X, cells.Y, sample_weight=cells.n)


@pytest.fixture(scope="module")
def curve(respondents: pd.DataFrame, questions: dict[str, Question]) -> pd.DataFrame:
    return respondent_curve(None, respondents, {"vote": questions["vote"]}, ["age", "sex"], [60, 200], 2)


def texts(figure: Any) -> str:
    figure.canvas.draw()
    return "\n".join(" ".join(item.get_text().split()) for item in figure.findobj(plt.Text))  # whatever the lines


def test_importing_evaluation_imports_neither_matplotlib_nor_torch() -> None:
    code = "import sys, surveysim.evaluation; assert not {'matplotlib', 'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    display = ShiftDisplay(
        pd.DataFrame({"attribute": ["a"], "group": ["b"], "question": [""], "predicted": [0.1], "observed": [0.2]})
    )
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'surveysim\[plot\]'"):
        display.plot()


# --- distributions ------------------------------------------------------------------------------------------------


def test_distributions_draw_truth_sample_prediction_and_intervals(cells: Cells, model: LogitRegressor) -> None:
    sample = np.where(np.arange(len(cells))[:, None] == 1, np.nan, cells.Y)
    rows = [0, 1, len(cells) - 1]
    display = DistributionDisplay.from_estimator(
        model,
        cells.X,
        cells.Y,
        rows=rows,
        truth_respondents=cells.n,
        Y_sample=sample,
        sample_respondents=cells.n,
        others={"equal": np.where(np.isnan(cells.Y), np.nan, 1 / (~np.isnan(cells.Y)).sum(1, keepdims=True))},
        random_state=0,
    )
    P = model.predict(cells.X)
    for panel, row in enumerate(rows):
        K = int((~np.isnan(cells.Y[row])).sum())
        heights = [bar.get_height() for bar in display.bars_[panel]]
        np.testing.assert_allclose(heights, cells.Y[row, :K])
        np.testing.assert_allclose(display.lines_[panel]["LogitRegressor"].get_ydata(), P[row, :K])
    assert set(display.lines_[0]) == {"LogitRegressor", "equal", "sample"}
    assert set(display.lines_[1]) == {"LogitRegressor", "equal"}  # the sample has nobody there
    assert display.interval is not None
    low, high = model.predict_interval(cells.X.iloc[rows], level=0.9, random_state=0)
    np.testing.assert_array_equal(display.interval[0], low)
    np.testing.assert_array_equal(display.interval[1], high)
    written = texts(display.figure_)
    assert "not" in written
    assert "happy: age 18-29, f" in written
    assert f"observed {cells.n[0]:,.0f}, sample {cells.n[0]:,.0f} respondents" in written


def test_distributions_choose_the_largest_groups_and_take_axes(cells: Cells) -> None:
    display = DistributionDisplay.from_predictions(cells.Y, cells.Y, X=cells.X, truth_respondents=cells.n)
    assert len(display.axes_) == 6
    largest = np.sort(np.argsort(-cells.n, kind="stable")[:6])
    np.testing.assert_array_equal(display.truth, cells.Y[largest])
    _, ax = plt.subplots()
    alone = DistributionDisplay.from_predictions(cells.Y, cells.Y, rows=[2], ax=ax)
    assert alone.axes_[0] is ax
    assert alone.titles == ["row 2"]
    with pytest.raises(ValueError, match="there are 2 rows to draw, but 1 axes"):
        DistributionDisplay.from_predictions(cells.Y, cells.Y, rows=[0, 1], ax=ax)
    with pytest.raises(ValueError, match="rows must be positions"):
        DistributionDisplay.from_predictions(cells.Y, cells.Y, rows=[999])
    with pytest.raises(ValueError, match="'prediction' has no prediction for row 0"):
        DistributionDisplay.from_predictions(cells.Y, np.full_like(cells.Y, np.nan), rows=[0])
    with pytest.raises(ValueError, match="'prediction' has 1 rows"):
        DistributionDisplay.from_predictions(cells.Y, cells.Y[:1])


LIKERT = ["Strongly agree", "Somewhat agree", "Neither agree nor disagree", "Somewhat disagree", "Strongly disagree"]


def overlapping(items: list[Any]) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes meet, by more than a pixel."""
    boxes = [(item.get_text(), item.get_window_extent().padded(-1)) for item in items if item.get_text().strip()]
    return [(a, b) for i, (a, one) in enumerate(boxes) for b, other in boxes[i + 1 :] if one.overlaps(other)]


@pytest.mark.parametrize(
    "options", [LIKERT, ["Extremely unsatisfactory", "Satisfactory", "Extraordinarily satisfactory"],
                [f"Unquestionably {i}" for i in range(10)]]
)  # fmt: skip
def test_every_word_of_every_option_is_drawn_and_none_meets_another(options: list[str]) -> None:
    Y = np.full((4, len(options)), 1 / len(options))
    X = pd.DataFrame({"age": ["18-29", "30-44", "45-64", "65+"]})
    display = DistributionDisplay.from_predictions(Y, Y, X=X, question=Question("?", options), truth_respondents=10)
    display.figure_.canvas.draw()
    for axis in display.axes_:
        labels = axis.get_xticklabels()
        assert [" ".join(label.get_text().split()) for label in labels] == options
        assert overlapping(labels) == []


def test_a_sample_is_not_called_the_truth(cells: Cells) -> None:
    display = DistributionDisplay.from_predictions(cells.Y, cells.Y, X=cells.X, truth_respondents=cells.n)
    assert "truth" not in texts(display.figure_)
    known = DistributionDisplay.from_predictions(cells.Y, cells.Y, X=cells.X, truth_name="truth")
    assert "truth" in texts(known.figure_)


# --- respondent curves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["js", "js_debiased", "skill", "cross_entropy"])
def test_curves_are_the_means_of_the_table(value: str, curve: pd.DataFrame) -> None:
    display = RespondentCurveDisplay.from_curve(curve, value=value)
    table = summarise_curve(curve, value)
    for name, line in display.lines_.items():
        np.testing.assert_allclose(line.get_ydata(), table.loc[name])
        np.testing.assert_allclose(line.get_xdata(), [60, 200])
    assert (FLOOR in display.lines_) == (value == "js")
    assert "order-aware logit" in texts(display.figure_)


def test_the_sample_does_not_decide_the_axis(curve: pd.DataFrame) -> None:
    far = curve.copy()
    far.loc[far["model"] == SAMPLE, "js"] *= 50
    display = RespondentCurveDisplay.from_curve(far)
    assert display.ax_.get_ylim()[1] < 2 * curve.loc[~curve["model"].isin([SAMPLE]), "js"].max()
    assert f"{SAMPLE}: off the scale" in texts(display.figure_)


def test_curves_from_an_estimator_and_chosen_models(respondents: pd.DataFrame, questions: dict[str, Question]) -> None:
    _, ax = plt.subplots()
    display = RespondentCurveDisplay.from_estimator(
        MarginalRegressor(), respondents, {"vote": questions["vote"]}, ["sex"], sizes=[60], n_splits=1, ax=ax
    )
    assert display.ax_ is ax
    assert "MarginalRegressor" in display.lines_
    some = RespondentCurveDisplay.from_curve(display.curve, models=["plain logit"])
    assert set(some.lines_) == {"plain logit", FLOOR}
    with pytest.raises(ValueError, match="has no models"):
        RespondentCurveDisplay.from_curve(display.curve, models=["mine"])
    with pytest.raises(ValueError, match="value must be one of"):
        RespondentCurveDisplay.from_curve(display.curve, value="loss")


# --- groups, shifts, history --------------------------------------------------------------------------------------


def test_alignment_by_group_worst_first(cells: Cells, model: LogitRegressor) -> None:
    _, ax = plt.subplots()
    common = {"truth_respondents": cells.n, "n_draws": 20}
    display = GroupAlignmentDisplay.from_estimator(model, cells.X, cells.Y, ax=ax, **common)
    assert display.ax_ is ax
    report = group_report(cells.X, cells.Y, model.predict(cells.X), question=cells.questions, **common)
    ages = report[report["attribute"] == "age"].sort_values("alignment")
    shown = [label.get_text() for label in ax.get_yticklabels()]
    assert [label for label in shown if label in set(ages["group"])] == ages["group"].tolist()
    np.testing.assert_allclose(np.sort(display.dots_.get_xdata()), np.sort(report["alignment"]))
    assert display.ticks_ is not None
    np.testing.assert_allclose(np.sort(display.ticks_.get_xdata()), np.sort(report["alignment_ceiling"]))
    debiased = GroupAlignmentDisplay(report, value="divergence_debiased").plot()
    assert debiased.ticks_ is None
    with pytest.raises(ValueError, match="value must be one of"):
        GroupAlignmentDisplay(report, value="accuracy").plot()
    with pytest.raises(ValueError, match="opinion alignment needs ordinal questions"):
        GroupAlignmentDisplay(report.assign(alignment=np.nan)).plot()


def test_shifts_predicted_against_observed(cells: Cells) -> None:
    vote = cells.subset(cells.question_names == "vote")
    Y = vote.Y[:, :2]
    everybody = np.average(Y, axis=0, weights=vote.n)
    halved = everybody + (Y - everybody) / 2
    display = ShiftDisplay.from_predictions(vote.X.drop(columns="question"), Y, halved, truth_respondents=vote.n)
    assert display.slopes_ == pytest.approx({"age": 2, "sex": 2})
    report = group_report(vote.X, Y, halved, truth_respondents=vote.n, by="attribute", n_draws=5).set_index("attribute")
    for attribute, slope in display.slopes_.items():
        assert report.loc[attribute, "gap_inflation"] == pytest.approx(slope)
    x, y = display.dots_["sex"].get_data()
    assert len(x) == 4
    np.testing.assert_allclose(np.asarray(y) / np.asarray(x), 2)
    flat = ShiftDisplay.from_predictions(vote.X, Y, np.tile(everybody, (len(Y), 1)), truth_respondents=vote.n)
    assert np.isnan(flat.slopes_["age"])
    assert "no shift predicted" in texts(flat.figure_)


@pytest.mark.slow
def test_the_training_history(cells: Cells) -> None:
    from surveysim import DSARegressor

    vote = cells.subset(cells.question_names == "vote")
    asked = {"vote": cells.questions["vote"]}
    estimator = DSARegressor("nano", question=asked, max_epochs=2, random_state=0)
    with pytest.raises(NotFittedError):
        TrainingHistoryDisplay.from_estimator(estimator)
    estimator.fit(vote.X, vote.Y[:, :2], sample_weight=vote.n)
    display = TrainingHistoryDisplay.from_estimator(estimator)
    history = estimator.history_
    tried = history[(history["phase"] == "select") & history["held_out"].notna()]
    first = tried[tried["stage"] == 1].groupby("epoch")["held_out"].mean()
    stage_1 = next(line for name, line in display.lines_.items() if name.startswith("stage 1, epoch"))
    assert stage_1.get_xdata()[0] in first.to_numpy()
    assert sum(name.startswith("stage 2, ") for name in display.lines_) >= 3  # references, then weights
    final = history[history["phase"] == "refit"]
    for stage in sorted(set(final["stage"])):
        own = final[final["stage"] == stage]
        np.testing.assert_allclose(display.lines_[f"stage {stage}"].get_ydata(), own["cross_entropy"])
    with pytest.raises(TypeError, match="does not keep a history_"):
        TrainingHistoryDisplay.from_estimator(LogitRegressor(question=asked).fit(vote.X, vote.Y[:, :2]))
    with pytest.raises(ValueError, match="lacks the columns"):
        TrainingHistoryDisplay(history.drop(columns="shift")).plot()
    with pytest.raises(ValueError, match="ax must be two Axes"):
        TrainingHistoryDisplay(history).plot(plt.subplots()[1])


def test_a_history_without_a_search_says_so() -> None:
    history = pd.DataFrame(
        {
            "phase": ["refit"] * 2,
            "stage": [1, 2],
            "epoch": [1, 1],
            "cross_entropy": [1.0, 0.9],
            "shift": [0.0, 0.1],
            "held_out": [np.nan] * 2,
        }
    )
    axes = plt.subplots(1, 2)[1]
    display = TrainingHistoryDisplay(history).plot(axes)
    assert display.axes_[1] is axes[1]
    assert "nothing was chosen" in texts(display.figure_)


def test_worth_of_sources_is_drawn_for_a_fusion_and_refused_without_sources():
    from surveysim import FusedRegressor
    from surveysim.elicitation.recorded import RecordedElicitor
    from surveysim.evaluation import SourceWorthDisplay

    X = pd.DataFrame({"age": ["young", "old"]})
    Y = np.array([[0.2, 0.8], [0.6, 0.4]])
    model = FusedRegressor({"a": RecordedElicitor(X, Y), "b": RecordedElicitor(X, Y[::-1])}).fit(X, Y, [40, 60])
    display = SourceWorthDisplay.from_estimator(model)
    for column in ("alone", "given others"):
        widths = [bar.get_width() for bar in display.bars_[column]]
        np.testing.assert_allclose(widths, model.sources_[column])
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["a (model)", "b (model)"]
    groups = SourceWorthDisplay.from_estimator(model, by="age")
    names = ["young: a (model)", "young: b (model)", "old: a (model)", "old: b (model)"]
    assert [label.get_text() for label in groups.ax_.get_yticklabels()] == names
    widths = [bar.get_width() for bar in groups.bars_["given others"]]
    np.testing.assert_allclose(widths, model.group_sources_["given others"])
    with pytest.raises(ValueError, match=r"by must be an attribute, one of \['age'\], got 'sex'"):
        SourceWorthDisplay.from_estimator(model, by="sex")
    with pytest.raises(ValueError, match="has no sources"):
        SourceWorthDisplay.from_estimator(FusedRegressor(None).fit(X, Y, [40, 60]))
