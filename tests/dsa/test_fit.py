"""Fits: what they share and do not share, what interrupts leave behind, what the options do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from surveysim import DSARegressor, Question
from surveysim.dsa import loop, trainer
from surveysim.dsa.fitted import Member
from surveysim.dsa.search import DEFAULT_SHIFT_WEIGHT
from surveysim.dsa.shifts import REFERENCES
from surveysim.metrics import js_divergence
from surveysim.models import load_model
from surveysim.trunk import recipe, store
from surveysim.trunk.whole_blocks import WholeBlocks
from tests.simulated import HAPPY, QUESTIONS, quick, simulate, weights_hash


@pytest.fixture
def survey():
    return simulate(QUESTIONS)


@pytest.fixture
def whole_blocks(monkeypatch):
    """Make every recipe train whole blocks."""

    def mismatch(self, network, probes):
        return "asked for by the test" if self.way == "last positions" else None

    monkeypatch.setattr(recipe.Recipe, "_mismatch", mismatch)


def fitted(folder, survey, question=QUESTIONS, **parameters):
    return quick(folder, question, **parameters).fit(survey.X, survey.Y, survey.n)


def is_distribution_like(P, Y):
    np.testing.assert_array_equal(np.isnan(P), np.isnan(Y))
    np.testing.assert_allclose(np.nansum(P, axis=1), 1.0)
    return True


# --- equal ways to the same predictions -------------------------------------------------------------------------------


@pytest.mark.parametrize("n_blocks", [1, 2])
def test_cached_equals_uncached(model, tiny_folder, survey, n_blocks, request):
    settings = {"n_blocks": n_blocks, "max_epochs": 3, "validation_fraction": 0.0}
    settings |= {"learning_rate": 0.001, "batch_size": 12}
    cached = fitted(tiny_folder, survey, **settings).predict(survey.X)
    model.states = None
    request.getfixturevalue("whole_blocks")
    before = weights_hash(model.network)
    with pytest.warns(UserWarning, match="It is trained whole"):
        uncached = fitted(tiny_folder, survey, **settings)
    np.testing.assert_allclose(uncached.predict(survey.X), cached, atol=1e-5)
    assert weights_hash(model.network) == before
    # it was a training, not a standstill
    untrained = fitted(tiny_folder, survey, **{**settings, "learning_rate": 1e-12})
    assert np.nanmax(np.abs(untrained.predict(survey.X) - cached)) > 1e-3


@pytest.mark.parametrize("batch_size", [1, 5, 1000])
def test_predictions_do_not_depend_on_the_batch_size(tiny_folder, survey, batch_size):
    model = fitted(tiny_folder, survey)
    expected = model.predict(survey.X)
    np.testing.assert_allclose(model.set_params(batch_size=batch_size).predict(survey.X), expected, atol=1e-6)
    rows = [35, 3, 3, 17]
    np.testing.assert_allclose(model.predict(survey.X.iloc[rows]), expected[rows], atol=1e-6)


def test_the_head_alone_gives_the_predictions_of_training(tiny_folder, survey):
    """Levels are centred while training; what is kept must say the same without the training cells."""
    seen = []

    def spying(head, batches, objective):
        seen.append(loop.option_logits(head, batches, objective))
        loop.settle(head, batches, objective)
        seen.append(loop.option_logits(head, batches))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "settle", spying)
        fitted(tiny_folder, survey)
    while_training, alone = seen
    np.testing.assert_allclose(alone, while_training, atol=1e-4)


# --- independence -----------------------------------------------------------------------------------------------------


def test_a_second_fit_does_not_depend_on_the_first(tiny_folder, survey):
    other = simulate(QUESTIONS, seed=5)
    once = fitted(tiny_folder, survey)
    twice = fitted(tiny_folder, other).fit(survey.X, survey.Y, survey.n)
    np.testing.assert_array_equal(once.predict(survey.X), twice.predict(survey.X))
    pd.testing.assert_frame_equal(once.history_, twice.history_)


def test_random_state_decides_everything(tiny_folder, survey):
    P = fitted(tiny_folder, survey, random_state=3).predict(survey.X)
    np.testing.assert_array_equal(fitted(tiny_folder, survey, random_state=3).predict(survey.X), P)
    assert np.nanmax(np.abs(fitted(tiny_folder, survey, random_state=4).predict(survey.X) - P)) > 0
    for make in (np.random.RandomState, np.random.default_rng):
        first, second = (fitted(tiny_folder, survey, random_state=make(0)).predict(survey.X) for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_global_random_state_and_the_shared_model_stay_as_they_are(model, tiny_folder, survey):
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    states = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    before = weights_hash(model.network)
    estimator = fitted(tiny_folder, survey, n_members=2)
    estimator.predict(survey.X)
    estimator.predict_interval(survey.X.iloc[:2])
    estimator.sample(survey.X.iloc[:2])
    np.testing.assert_array_equal(np.random.get_state()[1], states[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[1])
    assert weights_hash(model.network) == before
    assert not any(parameter.requires_grad for parameter in model.network.parameters())


# --- interrupts -------------------------------------------------------------------------------------------------------


def _interrupt(patch, where, after):
    """Raise KeyboardInterrupt at the call of `where` after so many calls of it."""
    owner, name = where
    original, calls = getattr(owner, name), iter(range(10**6))

    def interrupting(*args, **kwargs):
        if next(calls) >= after:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    patch.setattr(owner, name, interrupting)


MOMENTS = {
    "states": ((recipe.Recipe, "states"), 1),
    "first batch": ((loop, "cross_entropy"), 0),
    "stage 2": ((loop, "shift_loss"), 0),
    "epoch": ((trainer, "option_logits"), 3),
    "refit": ((trainer, "settle"), 0),
    "member": ((Member, "of"), 0),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_fit_leaves_what_was_there(model, tiny_folder, survey, moment, monkeypatch):
    before = weights_hash(model.network)
    first = quick(tiny_folder, QUESTIONS)
    with monkeypatch.context() as patch:
        _interrupt(patch, *MOMENTS[moment])
        with pytest.raises(KeyboardInterrupt):
            first.fit(survey.X, survey.Y, survey.n)
    assert [name for name in vars(first) if name.endswith("_") or name.startswith("_")] == []
    assert weights_hash(model.network) == before
    # the same estimator can be fitted afterwards, as if nothing had happened
    again = first.fit(survey.X, survey.Y, survey.n)
    P, state = again.predict(survey.X), dict(vars(again))
    np.testing.assert_array_equal(fitted(tiny_folder, survey).predict(survey.X), P)
    model.states = None
    with monkeypatch.context() as patch:
        _interrupt(patch, *MOMENTS[moment])
        with pytest.raises(KeyboardInterrupt):
            again.fit(*(part[:24] for part in (survey.X, survey.Y, survey.n)))
    assert vars(again).keys() == state.keys()
    np.testing.assert_array_equal(again.predict(survey.X), P)


def test_an_interrupted_fit_of_whole_blocks_leaves_everything_as_it_was(
    model, tiny_folder, survey, whole_blocks, monkeypatch
):
    before = weights_hash(model.network)

    def interrupting(self, batch):
        raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="It is trained whole"):
        estimator = fitted(tiny_folder, survey, max_epochs=1)
    P = estimator.predict(survey.X)
    assert isinstance(store.store_of(model).recipe(1).copy(), WholeBlocks)
    with monkeypatch.context() as patch:
        patch.setattr(WholeBlocks, "forward", interrupting)
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(survey.X, survey.Y, survey.n)
    assert weights_hash(model.network) == before
    np.testing.assert_array_equal(estimator.predict(survey.X), P)


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["marginal", "baseline", None])
@pytest.mark.parametrize("shift_reference", ["auto", *REFERENCES])
def test_every_start_and_reference(tiny_folder, survey, init, shift_reference):
    model = fitted(tiny_folder, survey, init=init, shift_reference=shift_reference)
    assert is_distribution_like(model.predict(survey.X), survey.Y)
    used = ("baseline", "zero", "zero-shot") if shift_reference == "auto" else (shift_reference,)
    assert model.shift_reference_ in used if model.n_iter_[1] else model.shift_reference_ is None
    assert (model.gap_inflation_ is None) == (shift_reference not in ("auto", "zero-shot"))
    if model.gap_inflation_ is not None:
        assert list(model.gap_inflation_) == ["age", "sex", "region"]
    assert 0 <= model.stack_weight_ <= 1
    assert (model.baseline_ is not None) == (init == "baseline")
    assert model.n_pairs_ == {"age": 36, "sex": 18, "region": 18}
    assert 0 < model.label_mass_ < 1


def test_fitting_helps(tiny_folder):
    survey = simulate(n=400)
    model = quick(tiny_folder, max_epochs=80, learning_rate=0.01).fit(survey.X, survey.Y, survey.n)
    margin = np.average(survey.Y, axis=0, weights=survey.n)[None].repeat(12, axis=0)
    assert js_divergence(survey.P, model.predict(survey.X)) < 0.6 * js_divergence(survey.P, margin)


def test_a_heavy_weight_on_zero_shifts_makes_groups_alike(tiny_folder):
    survey = simulate(n=400)
    spread = {}
    for weight in (0.0, 1e5):
        settings = {"shift_weight": weight, "validation_fraction": 0.0, "max_epochs": 80, "learning_rate": 0.003}
        P = fitted(tiny_folder, survey, HAPPY, **settings).predict(survey.X)
        spread[weight] = P.std(axis=0).mean()
    assert spread[1e5] < 0.5 * spread[0.0]


def test_weight_zero_is_stage_1_alone(tiny_folder, survey):
    model = fitted(tiny_folder, survey, shift_weight=0.0, shift_reference="auto")
    assert set(model.history_["stage"]) == {1}
    assert model.n_iter_[1] == 0
    assert model.shift_weight_ == 0


def test_automatic_weights_are_tried_on_held_out_respondents(tiny_folder, survey):
    history = fitted(tiny_folder, survey, shift_reference="auto", shift_weight="auto").history_
    tried = history[(history["phase"] == "select") & (history["stage"] == 2)]
    assert set(tried["reference"]) == {"baseline", "zero", "zero-shot"}
    assert tried["weight"].nunique() >= 2
    assert DEFAULT_SHIFT_WEIGHT in set(tried["weight"])


def test_nobody_held_out(tiny_folder, survey):
    model = fitted(tiny_folder, survey, validation_fraction=0.0, max_epochs=3)
    assert model.n_iter_ == (3, 3)
    assert set(model.history_["phase"]) == {"refit"}
    assert model.history_["epoch"].tolist() == [1, 2, 3, 1, 2, 3]


def test_history_tells_each_epoch(tiny_folder, survey):
    history = fitted(tiny_folder, survey).history_
    assert set(history.columns) >= {
        "phase",
        "stage",
        "epoch",
        "cross_entropy",
        "shift",
        "held_out",
        "reference",
        "weight",
    }
    assert set(history["phase"]) <= {"select", "refit"}
    select = history[history["phase"] == "select"]
    last = select.groupby(["split", "stage"]).tail(1)
    assert last["held_out"].notna().all()
    assert (history["cross_entropy"] > 0).all()
    stage2 = history[history["stage"] == 2]
    assert (stage2["weight"] == 20.0).all()
    assert (stage2["shift"] > 0).all()


@pytest.fixture
def one_thread():
    """Let torch compute with one thread: with several, float32 sums depend on how they are shared out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_members_are_averaged(tiny_folder, survey):
    # small batches, whose order tells members apart
    one, three = (fitted(tiny_folder, survey, batch_size=4, n_members=number) for number in (None, 3))
    assert len(three._fitted.members) == 3
    parts = one._fitted.predict_each(
        one._load(check=True), one._run_options(), one._validate_predict(survey.X), three._fitted.members
    )
    np.testing.assert_allclose(three.predict(survey.X), np.mean(parts, axis=0))
    np.testing.assert_array_equal(parts[0], one.predict(survey.X))
    assert np.nanmax(np.abs(parts[0] - parts[1])) > 1e-3


def test_without_pairs_stage_2_is_skipped_with_a_warning(tiny_folder):
    survey = simulate()
    X = pd.DataFrame({"place": survey.X.astype(str).agg(" ".join, axis=1), "code": np.arange(12)})
    with pytest.warns(UserWarning, match="stage 2 is skipped"):
        model = quick(tiny_folder).fit(X, survey.Y, survey.n)
    assert model.n_iter_[1] == 0
    assert set(model.history_["stage"]) == {1}
    assert model.n_pairs_ == {"place": 0, "code": 0}
    quick(tiny_folder, shift_weight=0).fit(X, survey.Y, survey.n)  # said so: no warning


def test_rows_of_single_attribute_tables(tiny_folder):
    rows = [("18-29", None), ("65+", None), (None, "man"), (None, "woman"), (None, None)]
    X = pd.DataFrame(rows, columns=["age", "sex"])
    Y = np.random.default_rng(0).dirichlet(np.ones(4), size=5)
    model = quick(tiny_folder).fit(X, Y, [200] * 5)
    assert model.n_pairs_ == {"age": 1, "sex": 1}


@pytest.mark.parametrize("weights", [None, [1], [3], [40]])
@pytest.mark.parametrize("init", ["marginal", "baseline"])
@pytest.mark.filterwarnings("ignore:stage 2 is skipped")
def test_a_single_cell(tiny_folder, weights, init):
    X = pd.DataFrame({"age": ["old"]})
    P = quick(tiny_folder, init=init).fit(X, [[0.1, 0.2, 0.3, 0.4]], weights).predict(X)
    assert is_distribution_like(P, np.zeros((1, 4)))


@pytest.mark.filterwarnings("ignore:stage 2 is skipped")
@pytest.mark.parametrize("shift_reference", ["auto", *REFERENCES])
def test_questions_without_any_background(tiny_folder, shift_reference):
    X = pd.DataFrame({"question": list(QUESTIONS)})
    Y = [[0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.5, np.nan], [0.9, 0.1, np.nan, np.nan]]
    estimator = quick(tiny_folder, QUESTIONS, shift_reference=shift_reference, max_epochs=20)
    P = estimator.fit(X, Y, [500, 500, 500]).predict(X)
    np.testing.assert_allclose(P, Y, atol=0.05)


def test_more_options_than_letters_of_one_case(tiny_folder):
    question = Question("Which of these?", [f"thing number {k}" for k in range(30)], ordinal=False)
    X = pd.DataFrame({"age": ["young", "old"]})
    Y = np.random.default_rng(0).dirichlet(np.ones(30), size=2)
    P = DSARegressor(tiny_folder, question=question, max_epochs=1, random_state=0).fit(X, Y, [90, 90]).predict(X)
    assert is_distribution_like(P, Y)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_number_types(tiny_folder, survey, dtype):
    model = fitted(tiny_folder, survey, dtype=dtype)
    assert load_model(tiny_folder, dtype=dtype).dtype == getattr(torch, dtype)
    assert is_distribution_like(model.predict(survey.X), survey.Y)
    kinds = {name.partition(".")[0]: value.dtype for name, value in model._fitted.members[0].tensors.items()}
    exact = dict.fromkeys(("rows", "own_rows", "bias"), torch.float32)
    assert kinds == {"blocks": torch.bfloat16, **exact}


# --- what each question learns alone ----------------------------------------------------------------------------------


def battery():
    """Items that a model can hardly tell apart, whose groups differ in opposite ways from one item to the next."""
    stem = "For each of the things on this list, please tell me whether it gets too much or too little money. "
    items = {f"item {i}": Question(f"{stem}Number {i}", ["too much", "too little"]) for i in range(1, 5)}
    rows = [(name, age, sex) for name in items for age in ("18-29", "30-64", "65+") for sex in ("man", "woman")]
    X = pd.DataFrame(rows, columns=["question", "age", "sex"])
    direction = np.where(X["question"].isin(["item 1", "item 3"]), 1.0, -1.0)
    share = 0.5 + 0.2 * direction * (X["age"].map({"18-29": -1, "30-64": 0, "65+": 1}))
    return items, X, np.column_stack([share, 1 - share])


def test_items_of_a_battery_soon_differ_between_groups_each_in_its_own_way():
    items, X, Y = battery()
    n = np.full(len(X), 100)
    settings = {"question": items, "shift_weight": 0, "validation_fraction": 0.0, "random_state": 0, "max_epochs": 6}
    own = DSARegressor("nano", **settings).fit(X, Y, n).predict(X)
    common = DSARegressor("nano", question_rows=False, **settings).fit(X, Y, n).predict(X)
    assert js_divergence(Y, own) < 0.2 * js_divergence(Y, common)
    oldest = X["age"] == "65+"
    assert (np.sign(own[oldest, 0] - 0.5) == np.sign(Y[oldest, 0] - 0.5)).all()


@pytest.mark.parametrize("parameters", [{"question_rows": False}, {"init": None}, {"tuning": "lora"}])
def test_where_questions_have_no_rows_of_their_own(tiny_folder, survey, parameters):
    model = fitted(tiny_folder, survey, **parameters)
    assert "own_rows" not in model._fitted.members[0].tensors


def test_one_question_has_no_rows_of_its_own(tiny_folder):
    survey = simulate(HAPPY)
    assert "own_rows" not in fitted(tiny_folder, survey, HAPPY)._fitted.members[0].tensors


def test_question_rows_is_checked(tiny_folder, survey):
    with pytest.raises(TypeError, match="question_rows must be True or False, got 'yes'"):
        fitted(tiny_folder, survey, question_rows="yes")
