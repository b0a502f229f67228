"""Training a bank: what it learns, what it reports, and that an interrupted training goes on to the same numbers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import surveysim
from surveysim import Question, ZeroShotElicitor, join_cells, train_bank
from surveysim.bank.means import question_means, start_logits
from surveysim.bank_training.run import weighed
from surveysim.bank_training.tables import BankCells
from surveysim.cells import FitCells
from surveysim.dsa import loop
from surveysim.dsa.loop import Objective
from surveysim.metrics import js_divergence
from surveysim.saving import TENSOR_FILE
from tests.banks import HATED, LIKED, OPTIONS, joined, small_bank, topics

PROJECT = Path(__file__).resolve().parents[2]


def same(bank, other):
    """Whether two banks are one, but for rounding."""
    assert bank.tensors.keys() == other.tensors.keys()
    for name, tensor in bank.tensors.items():
        torch.testing.assert_close(other.tensors[name], tensor, rtol=1e-2 if tensor.dtype == torch.bfloat16 else 1e-4,
                                   atol=1e-5)  # fmt: skip
    assert bank.weight == other.weight
    pd.testing.assert_frame_equal(other.history, bank.history, rtol=1e-4)
    pd.testing.assert_frame_equal(other.report, bank.report, rtol=1e-3)


@pytest.fixture(scope="module")
def bank(tiny_folder):
    return small_bank(tiny_folder, max_epochs=25)


class TestWhatItLearns:
    def test_an_unseen_survey_is_predicted_from_its_words(self, bank):
        """Liked and hated things alternate, so that the mean question says nothing: only the words do."""
        js = bank.report.query("held_out == 'wave'").set_index("predicted_by")["js"]
        assert bank.weight > 0
        assert js["bank"] < 0.5 * js["mean of the training questions"]
        assert js["bank"] < 0.5 * js["equal shares"]

    def test_the_report_is_of_what_an_elicitor_with_the_bank_predicts(self, bank, tiny_folder):
        wave = joined().subset([name.startswith("wave") for name in joined().question_names])
        X, questions = wave.X[["question", "age"]], {name: wave.questions[name] for name in wave.question_names}
        elicitor = ZeroShotElicitor(tiny_folder, base=bank, method="logprob", question=questions, device="cpu")
        js = js_divergence(wave.Y, elicitor.fit(X).predict(X))
        row = bank.report.query("held_out == 'wave' and predicted_by == 'bank'").iloc[0]
        assert row["js"] == pytest.approx(js, rel=1e-4)

    def test_held_out_surveys_are_measured_beside_the_mean_of_all_other_questions(self, bank):
        """Ten things are liked, and the same ten hated."""
        expected = (np.array(LIKED) + np.array(HATED)) / 2
        np.testing.assert_allclose(bank.means[3], expected, atol=1e-12)
        row = bank.report.query("held_out == 'wave' and predicted_by == 'mean of the training questions'").iloc[0]
        by_hand = np.mean([js_divergence([y], [expected]) for y in (LIKED, HATED)])
        assert row["js"] == pytest.approx(by_hand)

    def test_held_out_questions_are_measured_beside_the_mean_of_the_training_questions(self, bank):
        """Which do not hold them: of the twenty four were held out."""
        liked = np.array(["like" in name for name in bank.about["held_out_questions"]])
        expected = ((10 - liked.sum()) * np.array(LIKED) + (10 - (~liked).sum()) * np.array(HATED)) / 16
        row = bank.report.query("held_out != 'wave' and predicted_by == 'mean of the training questions'").iloc[0]
        by_hand = np.mean([js_divergence([LIKED if like else HATED], [expected]) for like in liked])
        assert row["js"] == pytest.approx(by_hand)

    def test_it_says_what_was_held_out(self, bank):
        assert bank.about["n_questions"] == 16
        assert bank.about["held_out_surveys"] == ["wave"]
        assert len(bank.about["held_out_questions"]) == 4
        assert bank.report.groupby("held_out")["n_questions"].first().to_dict() == {"held-out questions": 4, "wave": 2}
        assert (bank.history["stage"] == 1).all()

    def test_it_stops_when_held_out_questions_say_so(self, tiny_folder):
        history = small_bank(tiny_folder, max_epochs=50, patience=2, learning_rate=0.2).history
        best = int(history["held_out"].argmin())
        assert len(history) < 50
        assert len(history) - (best + 1) in (2, len(history))  # the head before training may be the best


def test_where_words_say_nothing_the_mean_is_kept(tiny_folder):
    """Answers drawn at random for each question: the model must not be trusted, and the bank is the mean."""
    cells = join_cells({"town": topics([f"thing {i}" for i in range(12)])})
    shares = np.random.default_rng(1).dirichlet([4, 4, 4], size=24)
    cells.Y[:] = np.repeat(shares, 2, axis=0)
    bank = train_bank(cells, tiny_folder, held_out_share=0.4, max_epochs=8, random_state=0, device="cpu")
    assert bank.weight == 0
    js = bank.report.set_index("predicted_by")["js"]
    assert js["bank"] == pytest.approx(js["mean of the training questions"])


@pytest.mark.parametrize(
    "parameters", [{"n_blocks": 2}, {"tuning": "lora"}, {"shift_weight": 3.0, "shift_reference": "zero"}]
)
def test_blocks_adapters_and_shifts(tiny_folder, parameters, tmp_path):
    bank = small_bank(tiny_folder, max_epochs=2, **parameters)
    assert np.isfinite(bank.report["js"]).all()
    assert bank.history["stage"].max() == (2 if "shift_weight" in parameters else 1)
    bank.save(tmp_path / "bank")
    same(bank, surveysim.load(tmp_path / "bank"))


class Interrupted(BaseException):
    """As Ctrl-C, or the end of a process: nobody catches it."""


def interrupt_at(monkeypatch, step):
    """Stop within an epoch, at the loss of this step."""
    steps = iter(range(10**6))
    loss = Objective.loss

    def counted(self, *args):
        if next(steps) == step:
            raise Interrupted
        return loss(self, *args)

    monkeypatch.setattr(Objective, "loss", counted)


SETTINGS = {"batch_size": 8, "max_epochs": 4, "shift_weight": 3.0, "shift_reference": "zero"}


@pytest.fixture(scope="module")
def whole(tiny_folder):
    """A training of two stages that nobody interrupts; an epoch has as many steps as in the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "MIN_STEPS", 1)
        return small_bank(tiny_folder, **SETTINGS)


class TestGoingOn:
    @pytest.mark.parametrize("step", [1, 6, 14, 21])
    def test_an_interrupted_training_ends_with_the_same_numbers(self, whole, tiny_folder, tmp_path, monkeypatch, step):
        with monkeypatch.context() as patch:
            interrupt_at(patch, step)
            with pytest.raises(Interrupted):
                small_bank(tiny_folder, folder=tmp_path / "run", **SETTINGS)
        same(whole, small_bank(tiny_folder, folder=tmp_path / "run", **SETTINGS))

    def test_a_finished_training_is_not_done_again(self, whole, tiny_folder, tmp_path, monkeypatch):
        small_bank(tiny_folder, folder=tmp_path / "run", **SETTINGS)
        interrupt_at(monkeypatch, 0)
        same(whole, small_bank(tiny_folder, folder=tmp_path / "run", **SETTINGS))

    @pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
    def test_a_damaged_checkpoint_costs_an_epoch(self, whole, tiny_folder, tmp_path, damage):
        small_bank(tiny_folder, folder=tmp_path / "run", **SETTINGS)
        newest = sorted((tmp_path / "run").iterdir())[-1] / TENSOR_FILE
        content = newest.read_bytes()
        if damage == "gone":
            newest.unlink()
        else:
            newest.write_bytes(content[:100] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.warns(UserWarning, match="a checkpoint is left out"):
            again = small_bank(tiny_folder, folder=tmp_path / "run", **SETTINGS)
        same(whole, again)

    def test_two_checkpoints_are_kept(self, tiny_folder, tmp_path):
        bank = small_bank(tiny_folder, folder=tmp_path / "run", max_epochs=3)
        last = len(bank.history)
        assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [f"epoch-{n:04d}" for n in (last - 1, last)]

    @pytest.mark.parametrize("other", [{"learning_rate": 0.02}, {"random_state": 1}, {"held_out_share": 0.3}])
    def test_another_training_is_not_gone_on_from(self, tiny_folder, tmp_path, other):
        small_bank(tiny_folder, folder=tmp_path / "run", max_epochs=1)
        with pytest.raises(ValueError, match="checkpoints of another training"):
            small_bank(tiny_folder, folder=tmp_path / "run", **{"max_epochs": 1, **other})

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no signals to kill by")
    @pytest.mark.slow
    def test_a_killed_process_leaves_what_the_next_one_goes_on_from(self, tiny_folder, tmp_path):
        script = f"""
            import os, signal
            from surveysim.dsa import loop
            from surveysim.dsa.loop import Objective
            from tests.banks import small_bank
            loop.MIN_STEPS = 1
            loss, steps = Objective.loss, iter(range(10**6))
            def counted(self, *args):
                if next(steps) == 9:
                    os.kill(os.getpid(), signal.SIGKILL)
                return loss(self, *args)
            Objective.loss = counted
            small_bank({str(tiny_folder)!r}, folder={str(tmp_path / "run")!r}, **{SETTINGS!r})
        """
        killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=PROJECT, env=dict(os.environ))
        assert killed.returncode == -signal.SIGKILL
        assert list((tmp_path / "run").glob("epoch-*"))
        whole = small_bank(tiny_folder, **SETTINGS)
        same(whole, small_bank(tiny_folder, folder=tmp_path / "run", **SETTINGS))


class TestParts:
    def test_all_questions_count_alike_and_large_cells_hardly_more(self):
        """n = 100 counts 50 and n = 300 counts 75; the second question has one cell of 100."""
        asked = {"a": Question("A?", ["yes", "no"]), "b": Question("B?", ["yes", "no"])}
        cells = FitCells(
            backgrounds=pd.DataFrame({"age": ["18", "65", "18"]}),
            question_index=np.array([0, 0, 1]),
            questions=asked,
            Y=np.full((3, 2), 0.5),
            n=np.array([100.0, 300.0, 100.0]),
            rows=np.arange(3),
        )
        weights = BankCells.of(cells, ["a", "b"]).weights
        assert weights[1] / weights[0] == pytest.approx(1.5)
        assert weights[2] == pytest.approx(weights[0] + weights[1])
        assert weights.sum() == pytest.approx(50 + 75 + 50)

    def test_a_question_starts_at_the_mean_of_the_others(self):
        margins = {0: np.array([0.2, 0.8]), 2: np.array([0.4, 0.6]), 3: np.array([0.6, 0.4]), 4: np.full(3, 1 / 3)}
        logits = start_logits(margins, 5, 3)
        assert logits[0, 0] - logits[0, 1] == pytest.approx(0.0)  # the mean of (.4, .6) and (.6, .4)
        assert logits[3, 0] - logits[3, 1] == pytest.approx(np.log(0.3 / 0.7))
        np.testing.assert_array_equal(logits[[1, 4]], 0.0)  # not trained, and the only one of its length
        assert question_means(margins) == {2: pytest.approx((0.4, 0.6)), 3: pytest.approx((1 / 3,) * 3)}

    def test_weighed_logits_are_a_product_of_shares(self):
        P = weighed(
            np.log([[0.5, 0.25, 0.25], [0.5, 0.5, 0.0 + 1]]), np.array([[0, np.log(4), 0], [0, 0, np.nan]]), 0.5
        )
        np.testing.assert_allclose(P[0], np.array([0.5, 0.5, 0.25]) / 1.25)
        np.testing.assert_allclose(P[1], [0.5, 0.5, 0.0])


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"held_out_surveys": "wave"}, TypeError, "held_out_surveys must be a list of names, got the string 'wave'"),
        ({"held_out_surveys": ["moon"]}, ValueError, r"names \['moon'\]"),
        ({"held_out_share": 0.0}, ValueError, "held_out_share"),
        ({"patience": 0}, ValueError, "patience"),
        ({"shift_weight": "auto"}, ValueError, "shift_weight must be a number"),
        ({"tuning": "all"}, ValueError, "tuning must be"),
        ({"n_blocks": 99}, ValueError, "n_blocks=99, but the model has 3 blocks"),
    ],
)
def test_parameters_are_checked(tiny_folder, parameters, error, message):
    with pytest.raises(error, match=message):
        small_bank(tiny_folder, **parameters)


def test_a_question_of_options_alone_needs_no_training_question_of_its_length(tiny_folder):
    """Five options, where all training questions have three: the mean says equal shares, the model what it says."""
    bank = small_bank(tiny_folder, max_epochs=1)
    question = Question("Do you like tea?", [*OPTIONS, "never", "ever"])
    X = pd.DataFrame({"age": ["18-29"]})
    P = ZeroShotElicitor(tiny_folder, base=bank, method="logprob", question=question, device="cpu").fit(X).predict(X)
    assert P.shape == (1, 5)
    assert P.sum() == pytest.approx(1.0)
