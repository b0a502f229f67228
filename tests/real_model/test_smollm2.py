"""What a real, small language model does with the library: numbers are those of one machine, with room for others."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

import surveysim
from surveysim import DSARegressor, Question, ZeroShotElicitor, tabulate
from surveysim.baselines import LogitRegressor
from surveysim.datasets import load_fair
from surveysim.models import LoadedModel, load_model
from surveysim.prompts import Prompt, get_template, render

pytestmark = pytest.mark.slow

QUESTION = Question("How satisfied are you with the way democracy works?", ["very", "fairly", "not very", "not at all"])
X = pd.DataFrame({"age": ["18-29", "18-29", "65 or older"], "gender": ["woman", "man", "woman"]})


def elicitor(method: str, **parameters: object) -> ZeroShotElicitor:
    return ZeroShotElicitor("smollm2", method=method, question=QUESTION, random_state=0, device="cpu", **parameters)


def test_it_is_the_model_that_the_package_carries(smollm2: LoadedModel):
    assert smollm2.network.num_parameters() == 134_515_008
    assert load_model("smollm2", device="cpu") is smollm2
    with torch.no_grad():
        ids = torch.tensor([smollm2.tokenizer("The capital of France is").input_ids])
        likeliest = int(smollm2.network(ids).logits[0, -1].argmax())
    assert smollm2.tokenizer.decode([likeliest]) == " Paris"


def test_special_tokens_and_chat_template_come_from_the_file(smollm2: LoadedModel):
    tokenizer = smollm2.tokenizer
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        "<|im_start|>",
        "<|im_end|>",
        "<|im_end|>",
    )
    assert smollm2.to_text(Prompt("Be brief.", "Yes or no?")) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nYes or no?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_labels_are_single_tokens_with_and_without_a_space(smollm2: LoadedModel):
    labels = smollm2.labels(4)
    assert labels.letters == ("A", "B", "C", "D")
    texts = [{smollm2.tokenizer.decode([token]) for token in variants} for variants in labels.variants]
    assert texts == [{letter, f" {letter}"} for letter in labels.letters]


def test_label_probabilities_are_those_of_one_pass_a_prompt(smollm2: LoadedModel):
    """The oracle: whole prompts, one by one, through transformers."""
    elicited = elicitor("logprob", option_orders="given").fit(X).elicit(X)
    labels = smollm2.labels(4)
    for row, background in enumerate(X.to_dict("records")):
        prompt = render(get_template("default"), QUESTION, background, labels=labels.letters)
        ids = torch.tensor(smollm2.encode([smollm2.to_text(prompt)]))
        with torch.no_grad():
            probability = smollm2.network(ids).logits[0, -1].double().softmax(dim=0)
        each = np.array([float(probability[list(variants)].sum()) for variants in labels.variants])
        np.testing.assert_allclose(elicited.P[row], each / each.sum(), atol=1e-3)
        assert elicited.label_mass[row] == pytest.approx(each.sum(), rel=0.01)


def test_reduced_precision_moves_probabilities_little(smollm2: LoadedModel):
    whole = elicitor("logprob").fit(X).predict(X)
    reduced = elicitor("logprob", dtype="bfloat16").fit(X).predict(X)
    assert np.abs(whole - reduced).max() < 0.05


@pytest.mark.parametrize(
    ("method", "n_samples"), [("verbalized", 1), ("sampled", 4), ("paraphrased", 1), ("sequence", 10)]
)
def test_methods_that_read_texts_give_distributions_or_say_what_failed(
    smollm2: LoadedModel, method: str, n_samples: int
):
    asked = elicitor(method, n_samples=n_samples, option_orders="given", on_failure="nan").fit(X[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # so small a model often writes what nobody can read
        found = asked.elicit(X[:2])
    usable = ~np.isnan(found.P).any(axis=1)
    np.testing.assert_allclose(found.P[usable].sum(axis=1), 1)
    assert (usable | (found.failures > 0)).all()
    if method == "sampled":  # single letters it can write
        assert usable.any()


def test_dsa_learns_saves_and_is_loaded(smollm2: LoadedModel, tmp_path):
    survey = load_fair()
    question = survey.questions["rate_marriage"]
    sample = survey.data.sample(300, random_state=0)
    cells = tabulate(sample, ["religiousness", "children"], {"rate_marriage": question})
    truth = tabulate(survey.data.drop(sample.index), ["religiousness", "children"], {"rate_marriage": question})
    model = DSARegressor("smollm2", question=question, shift_reference="baseline", shift_weight=1.5, max_epochs=3,
                         random_state=0, device="cpu")  # fmt: skip
    model.fit(cells.X, cells.Y, sample_weight=cells.n)
    predicted = model.predict(truth.X)
    np.testing.assert_allclose(predicted.sum(axis=1), 1)
    # 300 respondents in 24 cells: about as near to the truth as the order-aware logit, far nearer than their own shares
    score = model.score(truth.X, truth.Y, sample_weight=truth.n)
    logit = LogitRegressor(question=question).fit(cells.X, cells.Y, sample_weight=cells.n)
    assert score == pytest.approx(logit.score(truth.X, truth.Y, sample_weight=truth.n), abs=0.01)
    assert model.model_fingerprint_ == smollm2.fingerprint
    model.save(tmp_path / "fitted")
    again = surveysim.load(tmp_path / "fitted")
    assert again.model == "smollm2"
    np.testing.assert_allclose(again.predict(truth.X), predicted, atol=1e-4)
