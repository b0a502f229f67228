"""Local generation: the model's own probabilities and texts, whatever is asked beside, repeatable by seed."""

import numpy as np
import pytest
import torch
import transformers

from surveysim import Question
from surveysim.asking.asks import Ask
from surveysim.asking.local import LocalAnswerer, draw_tokens
from surveysim.asking.passes import _cache_name, passes_of
from surveysim.models import load_model
from surveysim.prompts import Prompt, get_template, render
from tests.tiny_models import make_tiny_tokenizer

QUESTION = Question("How do you rate your marriage?", ["very poor", "poor", "fair", "good", "very good"])
# Of unequal length, and with a long and a short question, so that there are groups and padding.
BACKGROUNDS = [{"age": age, "gender": gender} for age in (20, 45, "65 or older, retired") for gender in ("male", "x")]
OTHER = Question("How much of the time do you trust the government in Washington?", ["always", "sometimes", "never"])
ATTENTION_FAMILIES = ["qwen3", "llama", "mistral", "mistral-sliding", "gemma2", "gemma3", "olmo3", "granite", "gpt2"]


def prompts(answerer, question=QUESTION, **kwargs):
    labels = answerer.labels(question.n_options)
    template = get_template("default")
    return [render(template, question, background, labels=labels, **kwargs) for background in BACKGROUNDS]


def label_asks(answerer):
    return [
        Ask(prompt, "label", answerer.labels(question.n_options))
        for question in (QUESTION, OTHER)
        for prompt in prompts(answerer, question)
    ]


def plain_logits(model, prompt):
    """The model's own logits after a prompt: one prompt, no cache, no padding."""
    ids = torch.tensor(model.encode([model.to_text(prompt)]))
    with torch.no_grad():
        return model.network(input_ids=ids.to(model.device), use_cache=False).logits[0, -1].float()


def expected_logprobs(model, ask):
    logprobs = plain_logits(model, ask.prompt).log_softmax(0)
    return [float(logprobs[list(ids)].logsumexp(0)) for ids in model.labels(len(ask.labels)).variants]


@pytest.fixture
def nano():
    return LocalAnswerer(load_model("nano"))


class TestLabelProbabilities:
    @pytest.mark.parametrize("family", ATTENTION_FAMILIES)
    def test_they_are_the_models_own(self, tiny, family):
        answerer = LocalAnswerer(load_model(tiny(family)))
        asks = label_asks(answerer)
        for ask, answer in zip(asks, answerer.answer(asks), strict=True):
            np.testing.assert_allclose(answer.label_logprobs, expected_logprobs(answerer.model, ask), atol=2e-4)
            assert answer.text is None
            assert answer.failure is None
            assert answer.censored_mass == 0
        # A window of 8 tokens is shorter than the probes: padding after a shared beginning would fill it.
        sliding = family in ("mistral-sliding", "gemma3", "olmo3")
        assert answerer.model.passes.mode == ("padded" if sliding else "shared")

    def test_a_sliding_window_that_is_wide_enough_shares_and_one_that_is_not_does_not(self, tiny):
        answerer = LocalAnswerer(load_model(tiny("mistral-sliding", sliding_window=96)))
        passes = passes_of(answerer.model)
        assert passes.mode == "shared"
        # They share some 50 tokens; the longest has more than 96, the shortest fewer.
        texts = ["yes no " * 12 + "Answer: " + "C " * n for n in range(1, 60, 4)]
        asks = [Ask(Prompt("", text), "label", answerer.labels(3)) for text in texts]
        lengths = [len(ids) for ids in answerer.model.encode([answerer.model.to_text(ask.prompt) for ask in asks])]
        assert min(lengths) < 70 < 96 < max(lengths)
        for ask, answer in zip(asks, answerer.answer(asks), strict=True):
            np.testing.assert_allclose(answer.label_logprobs, expected_logprobs(answerer.model, ask), atol=2e-4)

    def test_one_at_a_time_or_all_at_once(self, nano):
        asks = label_asks(nano)
        together = [answer.label_logprobs for answer in nano.answer(asks)]
        alone = [nano.answer([ask])[0].label_logprobs for ask in asks]
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-5)

    def test_small_batches_give_what_large_ones_give(self, nano, monkeypatch):
        asks = label_asks(nano)
        together = [answer.label_logprobs for answer in nano.answer(asks)]
        monkeypatch.setattr("surveysim.asking.passes.TOKENS_PER_PASS", 20)
        for one, other in zip(together, [answer.label_logprobs for answer in nano.answer(asks)], strict=True):
            np.testing.assert_allclose(one, other, atol=2e-5)

    def test_a_shared_beginning_is_read_once(self, nano):
        labels = nano.labels(5)
        template = get_template("default")
        backgrounds = [{"age": age, "gender": gender} for age in range(20, 68) for gender in ("male", "female")]
        asked = [Ask(render(template, QUESTION, b, labels=labels), "label", labels) for b in backgrounds]
        passes = passes_of(nano.model)
        before = passes.n_tokens_run
        nano.answer(asked)
        tokens = [len(ids) for ids in nano.model.encode([nano.model.to_text(ask.prompt) for ask in asked])]
        assert passes.n_tokens_run - before < 0.3 * sum(tokens)

    def test_equal_prompts_are_read_once(self, nano):
        ask = label_asks(nano)[0]
        passes = passes_of(nano.model)
        before = passes.n_tokens_run
        answers = nano.answer([ask] * 5)
        assert passes.n_tokens_run - before == len(nano.model.encode([nano.model.to_text(ask.prompt)])[0])
        assert len({answer.label_logprobs for answer in answers}) == 1

    def test_option_logits_in_float32_where_the_model_computes_in_bfloat16(self, tiny):
        folder = tiny("qwen3")
        exact = LocalAnswerer(load_model(folder))
        rounded = LocalAnswerer(load_model(folder, dtype="bfloat16"))
        asks = label_asks(exact)
        states = {}

        def keep(module, inputs):
            states["hidden"] = inputs[0][0, -1].float()

        weight = rounded.model.network.get_output_embeddings().weight.float()
        for ask, answer in zip(asks, [rounded.answer([ask])[0] for ask in asks], strict=True):
            variants = rounded.model.labels(len(ask.labels)).variants
            handle = rounded.model.network.get_output_embeddings().register_forward_pre_hook(keep)
            plain_logits(rounded.model, ask.prompt)
            handle.remove()
            # Differences of label log-probabilities are those of float32 logits, not of rounded ones.
            logits = [float((weight[list(ids)] @ states["hidden"]).logsumexp(0)) for ids in variants]
            found = np.array(answer.label_logprobs)
            np.testing.assert_allclose(found - found[0], np.array(logits) - logits[0], atol=2e-2)
        np.testing.assert_allclose(
            [answer.label_logprobs for answer in rounded.answer(asks[:3])],
            [answer.label_logprobs for answer in exact.answer(asks[:3])],
            atol=0.2,
        )

    def test_labels_that_are_not_the_models_are_refused(self, nano):
        prompt = prompts(nano)[0]
        with pytest.raises(ValueError, match=r"the labels of 2 options are \('A', 'B'\) .* has \('X', 'Y'\)"):
            nano.answer([Ask(prompt, "label", ("X", "Y"))])


class TestTexts:
    @pytest.mark.parametrize("family", ["qwen3", "mistral-sliding", "gemma3", "gpt2"])
    def test_the_likeliest_tokens_are_those_of_transformers(self, tiny, family):
        answerer = LocalAnswerer(load_model(tiny(family)))
        model = answerer.model
        asks = [Ask(ask.prompt, "text", ask.labels, temperature=0.0, max_tokens=12) for ask in label_asks(answerer)]
        for ask, answer in zip(asks, answerer.answer(asks), strict=True):
            ids = torch.tensor(model.encode([model.to_text(ask.prompt)]))
            written = model.network.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
            )[0, ids.shape[1] :]
            assert answer.text == model.tokenizer.decode(written, skip_special_tokens=True)

    def test_draws_follow_the_models_distribution(self, nano):
        prompt = prompts(nano)[0]
        labels = nano.labels(5)
        n = 1500
        answers = nano.answer([Ask(prompt, "text", labels, max_tokens=1, sample=i) for i in range(n)])
        drawn = np.array([sum(answer.text == label for answer in answers) for label in labels]) / n
        expected = np.exp(nano.answer([Ask(prompt, "label", labels)])[0].label_logprobs)
        error = np.sqrt(expected * (1 - expected) / n)
        assert (np.abs(drawn - expected) < 4 * error).all()

    def test_a_draw_depends_on_its_prompt_seed_and_number_alone(self, nano):
        labels = nano.labels(5)
        asks = [
            Ask(prompt, "text", labels, temperature=0.7, max_tokens=80, sample=sample, seed=3)
            for prompt in prompts(nano, verbalized=True)
            for sample in range(3)
        ]
        together = [answer.text for answer in nano.answer(asks)]
        assert together == [answer.text for answer in nano.answer(asks)]
        assert [nano.answer([ask])[0].text for ask in asks[:4]] == together[:4]
        assert [answer.text for answer in nano.answer(asks[::-1])] == together[::-1]
        assert len(set(together)) > len(together) / 2
        others = [Ask(ask.prompt, "text", labels, 0.7, 80, ask.sample, seed=4) for ask in asks]
        assert [answer.text for answer in nano.answer(others)] != together

    def test_more_draws_than_fit_are_the_same_draws(self, nano, monkeypatch):
        prompt = prompts(nano)[0]
        asks = [Ask(prompt, "text", nano.labels(5), max_tokens=2, sample=sample) for sample in range(40)]
        together = nano.answer(asks)
        monkeypatch.setattr("surveysim.asking.passes.ROWS_PER_PASS", 7)
        assert nano.answer(asks) == together
        monkeypatch.setattr("surveysim.asking.passes.CACHE_BYTES", 1)
        assert nano.answer(asks[:3]) == together[:3]

    def test_global_random_state_is_neither_read_nor_changed(self, nano):
        ask = Ask(prompts(nano)[0], "text", nano.labels(5), max_tokens=3)
        torch.manual_seed(1)
        state = torch.get_rng_state()
        first = nano.answer([ask] * 3)
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(2)
        assert nano.answer([ask] * 3) == first

    def test_texts_end_with_the_turn_and_at_the_limit(self, nano):
        prompt = prompts(nano, verbalized=True)[0]
        whole, cut = nano.answer(
            [Ask(prompt, "text", nano.labels(5), temperature=0.0, max_tokens=limit) for limit in (200, 5)]
        )
        assert whole.text.startswith(cut.text)
        assert len(nano.model.tokenizer(cut.text, add_special_tokens=False)["input_ids"]) == 5
        assert whole.text.endswith("}")
        assert "<|" not in whole.text

    def test_one_limit_does_not_cut_another_and_temperatures_differ_by_row(self, nano):
        prompt = prompts(nano, verbalized=True)[0]
        asks = [
            Ask(prompt, "text", nano.labels(5), temperature=temperature, max_tokens=limit, sample=limit)
            for temperature, limit in ((0.0, 3), (0.0, 30), (1.5, 30), (0.7, 100))
        ]
        assert [answer.text for answer in nano.answer(asks)] == [nano.answer([ask])[0].text for ask in asks]

    def test_a_text_stops_where_the_model_can_read_no_further(self, tiny):
        answerer = LocalAnswerer(load_model(tiny("qwen3")))
        prompt = Prompt("", "yes no " * 600)
        (n_tokens,) = [len(ids) for ids in answerer.model.encode([answerer.model.to_text(prompt)])]
        room = answerer.model.max_tokens - n_tokens
        assert 0 < room < 400
        (answer,) = answerer.answer([Ask(prompt, "text", ("A",), temperature=0.0, max_tokens=10**6)])
        assert answer.text is not None


class TestWhoAsks:
    def test_answers_are_reported_as_they_come(self, nano):
        asks = [*label_asks(nano), Ask(prompts(nano)[0], "text", nano.labels(5))]
        reported = {}
        answers = nano.answer(asks, on_answer=lambda position, answer: reported.setdefault(position, answer))
        assert [reported[position] for position in range(len(asks))] == answers

    def test_nothing_asked_nothing_answered(self, nano):
        assert nano.answer([]) == []

    def test_identity_names_the_weights_and_the_number_type_and_no_folder(self, tiny):
        folder = tiny("qwen3")
        identity = LocalAnswerer(load_model(folder)).identity
        assert identity == LocalAnswerer(load_model(folder)).identity
        assert identity != LocalAnswerer(load_model(folder, dtype="bfloat16")).identity
        assert not any(str(folder) in value for value in identity.values())

    def test_progress_is_shown_on_request(self, nano, capsys):
        nano.answer(label_asks(nano), verbose=1)
        assert "answers" in capsys.readouterr().err
        nano.answer(label_asks(nano))
        assert capsys.readouterr().err == ""


class TestModelsThatCannotShare:
    @pytest.fixture
    def hybrid(self, tmp_path):
        """Convolution and attention layers in turns: a state that is not keys and values."""
        tokenizer = make_tiny_tokenizer("qwen2")
        config = transformers.Lfm2Config(
            vocab_size=608,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            layer_types=["conv", "full_attention", "conv"],
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            initializer_range=0.3,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            transformers.Lfm2ForCausalLM(config).save_pretrained(tmp_path / "hybrid")
        tokenizer.save_pretrained(tmp_path / "hybrid")
        return LocalAnswerer(load_model(tmp_path / "hybrid"))

    def test_hybrid_models_read_whole_prompts_and_give_their_own_probabilities(self, hybrid):
        asks = label_asks(hybrid)
        for ask, answer in zip(asks, hybrid.answer(asks), strict=True):
            np.testing.assert_allclose(answer.label_logprobs, expected_logprobs(hybrid.model, ask), atol=2e-4)
        assert hybrid.model.passes.mode == "plain"

    def test_hybrid_models_write_what_they_write_alone(self, hybrid):
        asks = [
            Ask(ask.prompt, "text", ask.labels, temperature=1.0, max_tokens=6, sample=sample)
            for ask in label_asks(hybrid)[:3]
            for sample in range(2)
        ]
        together = [answer.text for answer in hybrid.answer(asks)]
        assert together == [hybrid.answer([ask])[0].text for ask in asks]
        assert len(set(together)) > 1

    def test_a_cache_that_goes_wrong_is_noticed(self, tiny, monkeypatch):
        select = transformers.cache_utils.DynamicCache.batch_select_indices
        monkeypatch.setattr(
            transformers.cache_utils.DynamicCache, "batch_select_indices", lambda self, i: select(self, i * 0)
        )
        answerer = LocalAnswerer(load_model(tiny("qwen3")))
        ask = label_asks(answerer)[0]
        (answer,) = answerer.answer([ask])
        assert answerer.model.passes.mode == "plain"
        np.testing.assert_allclose(answer.label_logprobs, expected_logprobs(answerer.model, ask), atol=2e-4)


def test_tokens_are_drawn_by_inverting_the_cumulative_distribution():
    logits = torch.tensor([[0.1, 0.2, 0.7]]).log().repeat(5, 1)
    uniform = torch.tensor([0.0, 0.099, 0.101, 0.31, 0.999], dtype=torch.float64)
    assert draw_tokens(logits, torch.ones(5), uniform).tolist() == [0, 0, 1, 2, 2]
    assert draw_tokens(logits, torch.zeros(5), uniform).tolist() == [2] * 5
    # At temperature 1/2 shares are squared: 1, 4, 49 of 54.
    assert draw_tokens(logits, torch.full((5,), 0.5), uniform).tolist() == [0, 2, 2, 2, 2]


class TestWhereTextsEnd:
    def write(self, folder, monkeypatch, text, max_tokens):
        """What a model says that would write a text, token by token, and then go on with it from the start."""
        answerer = LocalAnswerer(load_model(folder))
        ids = answerer.model.tokenizer.encode(text, add_special_tokens=False)
        drawn = iter(ids * 10)
        monkeypatch.setattr(
            "surveysim.asking.local.draw_tokens", lambda logits, *rest: torch.full((len(logits),), next(drawn))
        )
        ask = Ask(prompts(answerer)[0], "text", answerer.labels(5), max_tokens=max_tokens)
        return answerer.answer([ask])[0], len(ids)

    def test_a_base_model_stops_at_the_end_of_its_line(self, tiny, monkeypatch):
        answer, _ = self.write(tiny("gpt2"), monkeypatch, " B. good\nQuestion: which?", 60)
        assert answer.text.strip() == "B. good"
        assert answer.ended == "stop"

    def test_a_chat_model_goes_on_until_its_turn_ends_and_a_cut_is_told(self, tiny, monkeypatch):
        answer, _ = self.write(tiny("qwen3"), monkeypatch, " B. good\nQuestion: which?", 20)
        assert "\nQuestion" in answer.text
        assert answer.ended == "length"

    def test_the_end_of_a_turn_is_no_cut(self, tiny, monkeypatch):
        answerer = LocalAnswerer(load_model(tiny("qwen3")))
        end = answerer.model.tokenizer.eos_token
        monkeypatch.undo()
        answer, _ = self.write(tiny("qwen3"), monkeypatch, f" B{end}", 20)
        assert (answer.text.strip(), answer.ended) == ("B", "stop")

    def test_base_and_chat_models_have_keys_of_their_own(self, tiny):
        chat, base = (LocalAnswerer(load_model(tiny(family))).identity["sampler"] for family in ("qwen3", "gpt2"))
        assert chat == "inverse-cdf/1"
        assert base != chat


@pytest.mark.parametrize(
    ("taken", "name"),
    [
        (["input_ids", "past_key_values", "kwargs"], "past_key_values"),  # transformers 5.0 to 5.23
        (["input_ids", "cache", "kwargs"], "cache"),  # 5.24
        (["input_ids", "past_key_values", "cache"], "past_key_values"),
        (["input_ids", "kwargs"], "past_key_values"),
    ],
)
def test_earlier_keys_and_values_go_by_the_name_that_a_model_has_for_them(taken, name):
    assert _cache_name(taken) == name
