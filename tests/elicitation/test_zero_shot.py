"""ZeroShotElicitor: what it asks, how it averages, and what it does where a model does not answer."""

import json
import math
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict

from surveysim import Question, ZeroShotElicitor, tabulate
from surveysim.asking.asks import Answer, LabelProbabilitiesUnavailable
from surveysim.prompts import Template, template_names
from tests.scripted import Scripted, by_chance

TRUST = Question("Do you trust the press?", ["no", "a little", "yes"])
PARTY = Question("Which party?", ["Reds", "Blues", "Greens", "Other"], ordinal=False, pinned=["Other"])
REFUSABLE = Question("Do you vote?", ["yes", "no", "Refused"], pinned=["Refused"])
X = pd.DataFrame({"age": ["18-29", "30-64", "65+"], "gender": ["woman", "man", "woman"]})
BOTH = pd.DataFrame({"question": ["trust", "trust", "party", "party"], "age": ["18-29", "65+"] * 2})
METHODS = ["verbalized", "logprob", "sampled", "paraphrased", "sequence"]


def asking(script, monkeypatch, **parameters):
    """An elicitor whose model answers by a script, and the answerer that remembers what was asked."""
    answerer = Scripted(script)
    monkeypatch.setattr(ZeroShotElicitor, "_answerer", lambda self: answerer)
    return ZeroShotElicitor("nano", **{"question": TRUST, "random_state": 0, **parameters}), answerer


def always(shares):
    """Answers with the same percentages by label, whatever stands at the labels."""
    return lambda ask: json.dumps(dict(zip(ask.labels, shares, strict=True)))


def logprobs(*shares):
    return Answer(label_logprobs=tuple(math.log(share) if share else -math.inf for share in shares))


def shown(ask):
    """The options of a prompt in the order shown."""
    return [line.split(". ", 1)[1] for line in ask.prompt.user.splitlines() if line[1:3] == ". "]


class TestNano:
    @pytest.mark.filterwarnings("ignore:answers list 1.0 draws")
    @pytest.mark.parametrize("method", METHODS)
    def test_all_methods_give_distributions_padded_like_Y(self, method):
        elicitor = ZeroShotElicitor("nano", method=method, question={"trust": TRUST, "party": PARTY}, random_state=0)
        P = elicitor.fit(BOTH).predict(BOTH)
        assert P.shape == (4, 4)
        assert P.dtype == np.float64
        np.testing.assert_array_equal(np.isnan(P), [[False] * 3 + [True]] * 2 + [[False] * 4] * 2)
        np.testing.assert_allclose(np.nansum(P, axis=1), 1)
        np.testing.assert_array_equal(elicitor.predict_proba(BOTH), P)

    def test_elicit_tells_everything(self):
        elicitation = ZeroShotElicitor("nano", method="logprob", question=TRUST).fit(X).elicit(X)
        assert elicitation.P.shape == (3, 3)
        assert (elicitation.label_mass > 0.9).all()
        assert elicitation.failures.tolist() == [0, 0, 0]
        assert elicitation.refusals.tolist() == [0, 0, 0]
        assert elicitation.method == "logprob"
        answers = elicitation.answers
        assert answers["row"].tolist() == [0, 0, 1, 1, 2, 2]
        assert answers["order"].tolist() == [(0, 1, 2), (2, 1, 0)] * 3
        # P is the mean of what each order says
        np.testing.assert_allclose(
            elicitation.P, [np.mean(list(own), axis=0) for _, own in answers.groupby("row")["shares"]]
        )
        assert "label mass" in repr(elicitation)

    def test_an_unread_model_folder_is_an_error_when_it_is_needed_and_not_before(self, tmp_path):
        elicitor = ZeroShotElicitor(str(tmp_path / "nothing"), question=TRUST).fit(X)
        with pytest.raises(ValueError, match="nothing"):
            elicitor.predict(X)


class TestWhatIsAsked:
    def test_percentages_with_a_schema_three_answers_or_more_evenly_over_orders(self, monkeypatch):
        elicitor, model = asking(always([50, 30, 20]), monkeypatch)
        elicitor.fit(X).predict(X)
        assert len(model.asked) == 3 * 4  # 3 cells; 3 answers over 2 orders are 2 each
        assert {ask.sample for ask in model.asked} == {0, 1}
        assert {ask.temperature for ask in model.asked} == {0.7}
        assert len({ask.seed for ask in model.asked}) == 1
        schema = json.loads(model.asked[0].schema)
        assert schema["required"] == ["A", "B", "C"]
        assert schema["additionalProperties"] is False
        assert "JSON" in model.asked[0].prompt.system
        elicitor.set_params(option_orders="given").fit(X).predict(X)
        assert len(model.asked) == 12 + 3 * 3

    def test_option_orders_are_averaged_away(self, monkeypatch):
        # A model that gives the first label 60%, whatever it stands for.
        elicitor, model = asking(always([60, 30, 10]), monkeypatch)
        np.testing.assert_allclose(elicitor.fit(X).predict(X), [[0.35, 0.3, 0.35]] * 3)
        assert {tuple(shown(ask)) for ask in model.asked} == {tuple(TRUST.options), tuple(TRUST.options[::-1])}

    def test_nominal_options_rotate_and_pinned_ones_stay_last(self, monkeypatch):
        elicitor, model = asking(always([50, 30, 10, 10]), monkeypatch, question=PARTY)
        np.testing.assert_allclose(elicitor.fit(X).predict(X), [[0.3, 0.3, 0.3, 0.1]] * 3)
        assert all(shown(ask)[-1] == "Other" for ask in model.asked)
        assert {shown(ask)[0] for ask in model.asked} == {"Reds", "Blues", "Greens"}

    def test_equal_prompts_are_asked_once(self, monkeypatch):
        elicitor, model = asking(by_chance, monkeypatch)
        repeated = pd.concat([X, X, X.iloc[:1]])
        elicitation = elicitor.fit(repeated).elicit(repeated)
        assert len(model.asked) == 12
        np.testing.assert_array_equal(elicitation.P[:3], elicitation.P[3:6])
        assert elicitation.answers["ask"].nunique() == 12
        assert len(elicitation.answers) == 28

    def test_without_backgrounds_everybody_is_asked_about_once(self, monkeypatch):
        elicitor, model = asking(by_chance, monkeypatch, backgrounds=False)
        P = elicitor.fit(X).predict(X)
        assert len(model.asked) == 4
        assert all("anyone" in ask.prompt.user and "woman" not in ask.prompt.user for ask in model.asked)
        np.testing.assert_array_equal(P, P[[0, 0, 0]])

    def test_paraphrased_asks_in_every_wording_once(self, monkeypatch):
        elicitor, model = asking(by_chance, monkeypatch, method="paraphrased")
        elicitation = elicitor.fit(X).elicit(X)
        assert len(model.asked) == 3 * 5 * 2
        assert set(elicitation.answers["template"]) == set(template_names())
        assert {ask.sample for ask in model.asked} == {0}
        elicitor.set_params(template=["default", "pollster"], option_orders="given").fit(X).predict(X)
        assert len(model.asked) == 30 + 3 * 2

    def test_sequence_asks_once_for_many_draws(self, monkeypatch):
        elicitor, model = asking(by_chance, monkeypatch, method="sequence", n_samples=12, option_orders="given")
        elicitor.fit(X).predict(X)
        assert len(model.asked) == 3
        assert "12 labels" in model.asked[0].prompt.system

    def test_samples_are_draws_of_their_own(self, monkeypatch):
        elicitor, model = asking(by_chance, monkeypatch, method="sampled", n_samples=10, temperature=0.4)
        elicitor.fit(X).predict(X)
        assert len(model.asked) == len(set(model.asked)) == 30
        assert {ask.temperature for ask in model.asked} == {0.4}

    def test_randomness_is_the_random_state(self, monkeypatch):
        elicitor, _ = asking(by_chance, monkeypatch)
        first = elicitor.fit(X).predict(X)
        np.testing.assert_array_equal(elicitor.predict(X), first)
        np.testing.assert_array_equal(elicitor.predict(X.iloc[1:2]), first[1:2])
        assert not np.allclose(elicitor.set_params(random_state=1).fit(X).predict(X), first)
        elicitor.set_params(random_state=None).fit(X)
        assert not np.allclose(elicitor.predict(X), elicitor.predict(X))
        generator = np.random.default_rng(0)
        elicitor.set_params(random_state=generator).fit(X)
        assert not np.allclose(elicitor.predict(X), elicitor.predict(X))

    def test_with_a_journal_no_random_state_is_still_repeatable(self, monkeypatch, tmp_path):
        elicitor, model = asking(by_chance, monkeypatch, random_state=None, journal=tmp_path / "answers.sqlite")
        np.testing.assert_array_equal(elicitor.fit(X).predict(X), elicitor.predict(X))
        assert len(set(model.asked)) == len(model.asked) / 2
        # "None stands for 0": whoever names the seed later pays nothing anew.
        elicitor.set_params(random_state=0).fit(X).predict(X)
        assert len(set(model.asked)) == len(model.asked) / 3


class TestExamples:
    KNOWN = (X.assign(region="x")[["gender", "age", "region"]], [[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])

    def test_a_cells_own_distribution_is_never_shown_to_it(self, monkeypatch):
        elicitor, model = asking(by_chance, monkeypatch, examples=self.KNOWN, option_orders="given", n_samples=1)
        elicitor.fit(X).predict(X)
        assert len(model.asked) == 3
        lines = [line for line in model.asked[0].prompt.user.splitlines() if "->" in line]
        assert lines == [
            "age: 30-64; gender: man -> A 20%, B 30%, C 50%",
            "age: 65+; gender: woman -> A 10%, B 10%, C 80%",
        ]
        new = pd.DataFrame({"age": ["18-29"], "gender": ["man"]})
        elicitor.predict(new)
        assert model.asked[-1].prompt.user.count("->") == 3

    def test_the_same_background_written_otherwise_is_the_same(self, monkeypatch):
        known = (pd.DataFrame({"age": [20.0, 30.0]}), [[0.5, 0.3, 0.2]] * 2)
        elicitor, model = asking(by_chance, monkeypatch, examples=known, option_orders="given", n_samples=1)
        ages = pd.DataFrame({"age": pd.Categorical([20])})
        elicitor.fit(ages).predict(ages)
        assert [line for line in model.asked[0].prompt.user.splitlines() if "->" in line] == [
            "age: 30 -> A 50%, B 30%, C 20%"
        ]

    def test_examples_are_those_of_the_question_from_cells(self, monkeypatch):
        people = pd.DataFrame({"age": ["18-29", "65+"] * 4, "trust": ["no", "yes"] * 4, "party": ["Reds", "Blues"] * 4})
        cells = tabulate(people, ["age"], {"trust": TRUST, "party": PARTY})
        questions = {"trust": TRUST, "party": PARTY}
        elicitor, model = asking(by_chance, monkeypatch, question=questions, examples=cells, option_orders="given")
        elicitor.fit(cells.X).predict(cells.X)
        for ask in model.asked:
            assert ask.prompt.user.count("->") == 1
            assert ("D 0%" in ask.prompt.user) == ("Which party?" in ask.prompt.user)

    @pytest.mark.parametrize(
        ("examples", "error", "message"),
        [
            ("cells", TypeError, r"examples must be Cells or a pair \(X, Y\), got str"),
            ((X[["age"]], [[0.5, 0.3, 0.2]] * 3), ValueError, r"examples: X lacks the columns \['gender'\]"),
            ((X, [[0.5, 0.3, 0.3]] * 3), ValueError, "examples: Y: row 0 sums to 1.1, not to 1"),
            ((X, [[0.5, 0.5]] * 3), ValueError, "examples: Y: row 0 has 2 options, but its question has 3"),
        ],
    )
    def test_bad_examples_are_refused_by_fit(self, examples, error, message):
        with pytest.raises(error, match=message):
            ZeroShotElicitor("nano", question=TRUST, examples=examples).fit(X)


class TestAveraging:
    def test_label_probabilities_are_normalised_and_their_mass_is_told(self, monkeypatch):
        elicitor, _ = asking(lambda ask: logprobs(0.4, 0.2, 0.2), monkeypatch, method="logprob", option_orders="given")
        elicitation = elicitor.fit(X).elicit(X)
        np.testing.assert_allclose(elicitation.P, [[0.5, 0.25, 0.25]] * 3)
        np.testing.assert_allclose(elicitation.label_mass, 0.8)

    def test_temperature_of_label_probabilities(self, monkeypatch):
        elicitor, model = asking(
            lambda ask: logprobs(0.64, 0.16, 0.04), monkeypatch, method="logprob", option_orders="given", temperature=2
        )
        np.testing.assert_allclose(elicitor.fit(X).predict(X), [[4 / 7, 2 / 7, 1 / 7]] * 3)
        assert {ask.temperature for ask in model.asked} == {1.0}

    def test_draws_are_smoothed_by_one_each_and_plain_with_0(self, monkeypatch):
        elicitor, _ = asking(lambda ask: "A", monkeypatch, method="sampled", n_samples=10, option_orders="given")
        np.testing.assert_allclose(elicitor.fit(X).predict(X), [[11 / 13, 1 / 13, 1 / 13]] * 3)
        np.testing.assert_allclose(elicitor.set_params(smoothing=0).fit(X).predict(X), [[1, 0, 0]] * 3)
        np.testing.assert_allclose(
            elicitor.set_params(smoothing=0.5).fit(X).predict(X), [[10.5, 0.5, 0.5]] * 3 / np.array(11.5)
        )

    def test_a_sequence_counts_its_draws(self, monkeypatch):
        elicitor, _ = asking(
            lambda ask: "A A A B C C", monkeypatch, method="sequence", n_samples=6, option_orders="given"
        )
        np.testing.assert_allclose(elicitor.fit(X).predict(X), [[4 / 9, 2 / 9, 3 / 9]] * 3)

    def test_short_sequences_warn(self, monkeypatch):
        elicitor, _ = asking(lambda ask: "A", monkeypatch, method="sequence")
        with pytest.warns(UserWarning, match=r"answers list 1.0 draws on average, but 30 were asked for"):
            elicitor.fit(X).predict(X)

    def test_percentages_and_label_probabilities_are_not_smoothed(self, monkeypatch):
        elicitor, _ = asking(always([100, 0, 0]), monkeypatch, option_orders="given", smoothing=5.0)
        np.testing.assert_allclose(elicitor.fit(X).predict(X), [[1, 0, 0]] * 3)

    def test_orders_count_alike_though_answers_of_one_were_dropped(self, monkeypatch):
        # Forward: one of three answers is usable; backward: all.
        def script(ask):
            if shown(ask)[0] == "yes":
                return "C"  # "no"
            return "A" if ask.sample == 0 else "hm"

        elicitor, _ = asking(script, monkeypatch, method="sampled", n_samples=6, smoothing=0)
        elicitor.set_params(question=Question("?", ["no", "a little", "yes"]))
        with pytest.warns(UserWarning, match=r"6 of 18 answers were dropped: no single label found in the text \(6\)"):
            elicitation = elicitor.fit(X).elicit(X)
        np.testing.assert_allclose(elicitation.P, [[1, 0, 0]] * 3)
        assert elicitation.failures.tolist() == [2, 2, 2]


class TestRefusals:
    def test_texts_that_decline_are_kept_apart(self, monkeypatch):
        elicitor, _ = asking(
            lambda ask: "I'm sorry, I can't." if ask.sample < 2 else "B",
            monkeypatch, method="sampled", n_samples=5, option_orders="given", smoothing=0,
        )  # fmt: skip
        elicitation = elicitor.fit(X).elicit(X)
        np.testing.assert_allclose(elicitation.P, [[0, 1, 0]] * 3)
        np.testing.assert_allclose(elicitation.refusals, 0.4)
        assert elicitation.failures.tolist() == [0, 0, 0]
        assert elicitation.answers["refused"].sum() == 6

    def test_what_there_is_nothing_to_say_about_is_none(self, monkeypatch):
        script = [Answer(text="B"), Answer(failure="time-out"), Answer(text="B")]
        elicitor, _ = asking(
            lambda ask: script[ask.sample], monkeypatch, method="sampled", n_samples=3, option_orders="given"
        )
        with pytest.warns(UserWarning, match="answers were dropped"):
            answers = elicitor.fit(X).elicit(X).answers
        assert answers["text"].tolist() == ["B", None, "B"] * 3
        assert answers["failure"].tolist() == [None, "time-out", None] * 3
        assert answers["label_logprobs"].tolist() == [None] * 9
        assert [shares is None for shares in answers["shares"]] == [False, True, False] * 3

    @pytest.mark.parametrize(
        ("method", "answer"),
        [("verbalized", '{"A": 48, "B": 32, "C": 20}'), ("logprob", logprobs(0.48, 0.32, 0.2))],
    )
    def test_a_refusal_option_is_kept_apart_or_kept(self, monkeypatch, method, answer):
        elicitor, _ = asking(lambda ask: answer, monkeypatch, method=method, question=REFUSABLE, option_orders="given")
        dropped = elicitor.fit(X).elicit(X)
        np.testing.assert_allclose(dropped.P, [[0.6, 0.4, 0]] * 3)
        np.testing.assert_allclose(dropped.refusals, 0.2)
        kept = elicitor.set_params(refusals="keep").fit(X).elicit(X)
        np.testing.assert_allclose(kept.P, [[0.48, 0.32, 0.2]] * 3)
        np.testing.assert_allclose(kept.refusals, 0.2)

    def test_a_draw_that_declines_is_the_refusal_option_if_refusals_are_kept(self, monkeypatch):
        elicitor, _ = asking(
            lambda ask: ["A", "A", "B", "C", "I cannot answer that."][ask.sample],
            monkeypatch, method="sampled", n_samples=5, option_orders="given", smoothing=0, question=REFUSABLE,
        )  # fmt: skip
        np.testing.assert_allclose(elicitor.fit(X).predict(X), [[2 / 3, 1 / 3, 0]] * 3)
        elicitor.set_params(refusals="keep").fit(X)
        np.testing.assert_allclose(elicitor.predict(X), [[0.4, 0.2, 0.4]] * 3)

    def test_an_option_that_was_dropped_is_not_smoothed_back(self, monkeypatch):
        elicitor, _ = asking(
            lambda ask: "A", monkeypatch, method="sampled", n_samples=8, option_orders="given", question=REFUSABLE
        )
        np.testing.assert_allclose(elicitor.fit(X).predict(X), [[0.9, 0.1, 0]] * 3)

    def test_who_only_refuses_gives_no_distribution(self, monkeypatch):
        elicitor, _ = asking(lambda ask: "As an AI language model I have no opinion.", monkeypatch, question=REFUSABLE)
        with pytest.raises(ValueError, match=r"rows \[0, 1, 2\]\. In row 0 the model refused: 'As an AI"):
            elicitor.fit(X).predict(X)
        elicitor, _ = asking(always([0, 0, 100]), monkeypatch, question=REFUSABLE)
        with pytest.raises(ValueError, match="In row 0 all answers were refusal options"):
            elicitor.fit(X).predict(X)

    def test_fit_says_so_where_respondents_refused(self, recwarn):
        Y = [[0.6, 0.38, 0.02], [0.5, 0.5, 0.0], [0.5, 0.4, 0.1]]
        elicitor = ZeroShotElicitor("nano", question={"vote": REFUSABLE})
        with pytest.warns(UserWarning, match=r"Y: up to 10.0% chose 'Refused' of question 'vote', .*refusals='keep'"):
            elicitor.fit(X, Y)
        recwarn.clear()
        ZeroShotElicitor("nano", question=REFUSABLE, refusals="keep").fit(X, Y)
        elicitor.fit(X, [[0.6, 0.4, 0.0]] * 3)
        elicitor.fit(X)
        assert not recwarn.list


class TestFailures:
    def broken(self, ask):
        """Nothing usable about men, one broken answer elsewhere."""
        if "gender: man" in ask.prompt.user:
            return "no idea"
        return "{" if ask.sample == 0 and shown(ask)[0] == "no" else '{"A": 50, "B": 30, "C": 20}'

    def test_a_cell_without_an_answer_is_an_error_that_shows_what_was_said(self, monkeypatch):
        elicitor, _ = asking(self.broken, monkeypatch)
        with pytest.raises(
            ValueError,
            match=r"1 of 3 cells have no usable answer: rows \[1\]\. In row 1: no distribution found in the text in "
            r"'no idea'\..*on_failure='nan'",
        ):
            elicitor.fit(X).predict(X)

    def test_or_a_row_of_nan_with_a_warning(self, monkeypatch):
        elicitor, _ = asking(self.broken, monkeypatch, on_failure="nan")
        with pytest.warns(UserWarning, match="cells have no|were dropped") as caught:
            elicitation = elicitor.fit(X).elicit(X)
        messages = [str(warning.message) for warning in caught]
        assert any("1 of 3 cells have no usable answer" in message and "NaN" in message for message in messages)
        assert any("6 of 12 answers were dropped" in message for message in messages)
        assert np.isnan(elicitation.P[1]).all()
        assert np.isnan(elicitation.refusals[1])
        np.testing.assert_allclose(elicitation.P[[0, 2]].sum(axis=1), 1)
        assert elicitation.failures.tolist() == [1, 4, 1]
        assert "without a usable answer: 1" in repr(elicitation)

    def test_reasons_of_the_model_are_kept(self, monkeypatch):
        elicitor, _ = asking(
            lambda ask: Answer(failure="HTTP 500") if ask.sample else '{"A": 1, "B": 1, "C": 98}', monkeypatch
        )
        with pytest.warns(UserWarning, match=r"6 of 12 answers were dropped: HTTP 500 \(6\)"):
            elicitation = elicitor.fit(X).elicit(X)
        assert elicitation.answers["failure"].dropna().unique().tolist() == ["HTTP 500"]

    def test_thoughts_are_not_answers(self, monkeypatch):
        def script(ask):
            if "65" in ask.prompt.user:
                return "<think>Probably A"
            return "<think>They would say A, or B.</think>\n\nC"

        elicitor, _ = asking(script, monkeypatch, method="sampled", option_orders="given", smoothing=0)
        elicitor.set_params(on_failure="nan")
        with pytest.warns(UserWarning, match="cells have no|ended before the model stopped reasoning"):
            P = elicitor.fit(X).predict(X)
        np.testing.assert_allclose(P, [[0, 0, 1], [0, 0, 1], [np.nan] * 3])

    def test_no_label_among_the_probabilities_is_a_failure_not_a_uniform(self, monkeypatch):
        elicitor, _ = asking(lambda ask: logprobs(0, 0, 0), monkeypatch, method="logprob")
        with pytest.raises(ValueError, match="no label has a probability"):
            elicitor.fit(X).predict(X)

    def test_low_label_mass_warns_and_names_the_worst_row(self, monkeypatch):
        def script(ask):
            mass = 0.1 if "65" in ask.prompt.user else 0.9
            return Answer(label_logprobs=tuple(math.log(mass / 3) for _ in ask.labels), censored_mass=0.05)

        elicitor, _ = asking(script, monkeypatch, method="logprob")
        with pytest.warns(UserWarning, match=r"below 0.5 in 1 of 3 cells \(.* up to 0.05 .*least in row 2: 0.1\."):
            elicitor.fit(X).predict(X)

    def test_few_failures_do_not_warn(self, monkeypatch):
        def script(ask):
            return "?" if ask.sample == 0 and "65" in ask.prompt.user else "A"

        elicitor, _ = asking(script, monkeypatch, method="sampled", option_orders="given")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert elicitor.fit(X).elicit(X).failures.tolist() == [0, 0, 1]

    def test_a_model_that_tells_no_probabilities_is_asked_for_percentages(self, monkeypatch):
        def script(ask):
            if ask.kind == "label":
                raise LabelProbabilitiesUnavailable("the server of 'gpt' gives no log-probabilities")
            return '{"A": 60, "B": 30, "C": 10}'

        elicitor, _ = asking(script, monkeypatch, method="logprob", option_orders="given")
        with pytest.warns(
            UserWarning, match=r"gives no log-probabilities\. .* by method='verbalized' instead of 'logprob'"
        ):
            elicitation = elicitor.fit(X).elicit(X)
        assert elicitation.method == "verbalized"
        assert set(elicitation.answers["method"]) == {"verbalized"}
        np.testing.assert_allclose(elicitation.P, [[0.6, 0.3, 0.1]] * 3)
        assert np.isnan(elicitation.label_mass).all()


class TestAsAnEstimator:
    def test_fit_asks_nothing_and_needs_no_Y(self, monkeypatch):
        elicitor, model = asking(by_chance, monkeypatch)
        assert elicitor.fit(X) is elicitor
        assert elicitor.fit(X, [[0.2, 0.3, 0.5]] * 3) is elicitor
        assert model.asked == []
        assert elicitor.n_options_ == 3
        assert elicitor.backgrounds_ == ["age", "gender"]

    def test_fit_checks_Y_where_there_is_one(self):
        with pytest.raises(ValueError, match="row 1 sums to"):
            ZeroShotElicitor("nano", question=TRUST).fit(X, [[0.2, 0.3, 0.5], [0.2, 0.3, 0.4], [0.2, 0.3, 0.5]])
        with pytest.raises(ValueError, match="requires y to be passed"):
            ZeroShotElicitor("nano").fit(X)

    def test_without_a_question_options_are_numbers_as_many_as_Y_has(self, monkeypatch):
        elicitor, model = asking(by_chance, monkeypatch, question=None)
        assert elicitor.fit(X, [[0.25] * 4] * 3).predict(X).shape == (3, 4)
        assert sorted(shown(model.asked[0])) == ["1", "2", "3", "4"]

    def test_asking_before_fit_is_an_error(self):
        for ask in (ZeroShotElicitor("nano", question=TRUST).elicit, ZeroShotElicitor("nano", question=TRUST).predict):
            with pytest.raises(NotFittedError):
                ask(X)

    def test_clone_pickle_and_frozen(self, monkeypatch):
        elicitor, _ = asking(by_chance, monkeypatch, examples=TestExamples.KNOWN)
        first = elicitor.fit(X).predict(X)
        np.testing.assert_array_equal(clone(elicitor).fit(X).predict(X), first)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(elicitor)).predict(X), first)
        np.testing.assert_array_equal(FrozenEstimator(elicitor).fit(X, first).predict(X), first)

    def test_cross_validation_and_grid_search(self, monkeypatch):
        elicitor, _ = asking(by_chance, monkeypatch)
        Y = np.full((3, 3), 1 / 3)
        np.testing.assert_array_equal(cross_val_predict(elicitor, X, Y, cv=KFold(3)), elicitor.fit(X).predict(X))
        search = GridSearchCV(elicitor, {"method": ["verbalized", "sampled"]}, cv=KFold(3)).fit(X, Y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    def test_a_model_behind_a_server_is_chosen_by_its_name_and_nothing_secret_is_kept(self, monkeypatch):
        pytest.importorskip("openai")
        monkeypatch.setenv("SECRET_KEY", "sk-very-secret")
        elicitor = ZeroShotElicitor(
            "openai:gpt-x", question=TRUST, base_url="http://127.0.0.1:9/v1", api_key_env="SECRET_KEY", max_workers=3
        ).fit(X)
        answerer = elicitor._answerer()
        assert answerer.name == "gpt-x"
        assert answerer.base_url == "http://127.0.0.1:9/v1"
        assert answerer.max_workers == 3
        assert b"sk-very-secret" not in pickle.dumps(elicitor)
        assert "sk-very-secret" not in repr(elicitor)

    def test_threads_share_a_model(self):
        elicitor = ZeroShotElicitor("nano", method="sampled", n_samples=4, question=TRUST, random_state=0).fit(X)
        alone = elicitor.predict(X)
        with ThreadPoolExecutor(4) as pool:
            for together in pool.map(lambda _: elicitor.predict(X), range(8)):
                np.testing.assert_array_equal(together, alone)

    def test_a_journal_keeps_answers_of_local_models_too(self, tmp_path, monkeypatch):
        path = tmp_path / "answers.sqlite"
        elicitor = ZeroShotElicitor("nano", method="sampled", n_samples=4, question=TRUST, journal=path).fit(X)
        first = elicitor.predict(X)
        monkeypatch.setattr(
            "surveysim.asking.local.LocalAnswerer._write_texts", lambda *args: pytest.fail("asked again")
        )
        np.testing.assert_array_equal(elicitor.predict(X), first)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"method": "guess"}, ValueError, r"method must be one of \['verbalized', .*got 'guess'"),
        ({"model": 3}, TypeError, "model must be a name or a folder, got 3"),
        ({"option_orders": "random"}, ValueError, "option_orders must be one of"),
        ({"refusals": "error"}, ValueError, r"refusals must be one of \['drop', 'keep'\], got 'error'"),
        ({"on_failure": "uniform"}, ValueError, r"on_failure must be one of \['raise', 'nan'\], got 'uniform'"),
        ({"n_samples": 0}, ValueError, "n_samples must be a whole number of at least 1, got 0"),
        ({"n_samples": 2.5}, TypeError, "n_samples must be a whole number"),
        ({"temperature": -1}, ValueError, "temperature must be a number of at least 0, got -1"),
        ({"temperature": 0, "method": "logprob"}, ValueError, "temperature must be a number above 0"),
        ({"smoothing": "some"}, ValueError, "smoothing must be a number of at least 0 or auto, got 'some'"),
        ({"backgrounds": "age"}, TypeError, "backgrounds must be True or False, got 'age'"),
        ({"template": "nobody"}, ValueError, "unknown template 'nobody'"),
        ({"template": ["default", "pollster"]}, TypeError, "several belong to method='paraphrased'"),
        ({"template": "pollster", "method": "paraphrased"}, ValueError, "needs several wordings"),
        ({"template": [Template("a"), Template("a")], "method": "paraphrased"}, ValueError, "with different names"),
        ({"base_url": "http://localhost/v1"}, ValueError, 'base_url is for models behind a server, .*"openai:"'),
        ({"api_key_env": "sk-123", "model": "openai:x"}, ValueError, r"must be the \*name\* of an environ"),
        ({"base_url": "localhost:8000", "model": "openai:x"}, ValueError, "base_url must be an http address"),
        ({"base_url": "http://u:pw@h/v1", "model": "openai:x"}, ValueError, "^(?!.*pw@).*must not hold a user name"),
        ({"model": "openai:"}, ValueError, "a remote model needs a name"),
        ({"max_workers": 0}, ValueError, "max_workers must be a whole number of at least 1"),
        ({"journal": 3}, TypeError, "journal must be a file or None"),
        ({"random_state": "x"}, ValueError, "random_state must be"),
        ({"device": "abacus"}, ValueError, "abacus"),
        ({"question": ["a"]}, TypeError, "question must be a Question"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_parameters_is_said_by_fit(parameters, error, message):
    with pytest.raises(error, match=message):
        ZeroShotElicitor(**{"model": "nano", "question": TRUST, **parameters}).fit(X)
