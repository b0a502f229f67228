"""Option logits against the model's own logits over its whole vocabulary."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from surveysim.models import load_model
from surveysim.prompts import get_template
from surveysim.trunk.encode import encode_cells
from surveysim.trunk.head import NO_OPTION, OptionHead, label_index
from surveysim.trunk.store import store_of
from tests.simulated import QUESTIONS, simulate
from tests.tiny_models import make_tiny_model

FAMILIES = ["qwen3", "granite", "gemma2"]  # plain, scaled logits, soft-capped logits


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {family: make_tiny_model(tmp_path_factory.mktemp(family), family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def parts(request, folders):
    """A model, an untrained head over it, its inputs and questions, and the model's own logits after each prompt."""
    model = load_model(folders[request.param])
    X = simulate(QUESTIONS).X.iloc[::5].reset_index(drop=True)
    question_index = np.array(X["question"].map(list(QUESTIONS).index))
    questions = list(QUESTIONS.values())
    prompts = encode_cells(model, get_template("default"), X.drop(columns="question"), question_index, questions)
    store = store_of(model)
    variants = [model.labels(question.n_options).variants for question in questions]
    head = OptionHead(store.recipe(1), variants)
    batch = store.inputs(1, prompts).batch(range(len(X)))
    with torch.no_grad():
        own = np.stack(
            [model.network(torch.tensor([prompts.whole(row)])).logits[0, -1].double().numpy() for row in prompts.index]
        )
    return model, head, batch, torch.as_tensor(question_index), variants, own


def test_an_options_logit_is_the_logsumexp_of_its_variants(parts):
    _, head, batch, question, variants, own = parts
    with torch.no_grad():
        logits = head(batch, question).numpy()
    assert any(len(tokens) > 1 for tokens in variants[0])
    for row, q in enumerate(question.tolist()):
        expected = [logsumexp(own[row, list(tokens)]) for tokens in variants[q]]
        np.testing.assert_allclose(logits[row, : len(expected)], expected, atol=2e-4)
        assert (logits[row, len(expected) :] == NO_OPTION).all()


def test_label_mass_is_the_labels_share_of_the_whole_vocabulary(parts):
    model, head, batch, question, variants, own = parts
    with torch.no_grad():
        head.bias += 1.0  # biases per question are no part of it
        found = head.label_mass(batch, question, model.network.get_output_embeddings()).numpy()
    for row, q in enumerate(question.tolist()):
        labels = [token for tokens in variants[q] for token in tokens]
        assert found[row] == pytest.approx(np.exp(logsumexp(own[row, labels]) - logsumexp(own[row])), rel=1e-3)


def test_rows_of_a_question_are_added_to_those_of_its_labels(parts):
    """One vector added to every option of one question is that vector added to every label's row, for it alone."""
    model, plain, batch, question, variants, _ = parts
    head = OptionHead(store_of(model).recipe(1), variants, question_rows=True)
    with torch.no_grad():
        untouched = plain(batch, question)
        assert torch.equal(head(batch, question), untouched)  # they start at 0
        vector = torch.randn(head.rows.shape[1], generator=torch.Generator().manual_seed(0))
        head.own_rows[1] = vector
        plain.rows += vector
        mine = question == 1
        torch.testing.assert_close(head(batch, question)[mine], plain(batch, question)[mine])
        assert (head(batch, question)[mine] != untouched[mine]).any()
        assert torch.equal(head(batch, question)[~mine], untouched[~mine])
        head.reset()
        assert torch.equal(head(batch, question), untouched)
    assert head.another().own_rows is not None
    assert plain.another().own_rows is None


def test_gradients_are_finite_with_ragged_questions(parts):
    _, head, batch, question, _, _ = parts
    torch.log_softmax(head(batch, question), dim=1)[:, 0].sum().backward()
    for name, parameter in head.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
    assert float(head.rows.grad.abs().sum()) > 0


def test_snapshots_are_copies(parts):
    _, head, batch, question, _, _ = parts
    state = head.snapshot()
    before = head(batch, question).detach()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 1.0
    assert not torch.equal(head(batch, question), before)
    head.restore(state)
    assert torch.equal(head(batch, question), before)


def test_label_index():
    ids, index = label_index([[(7, 3), (9,)], [(3, 7), (9,), (5,)]])
    assert ids.tolist() == [3, 5, 7, 9]
    assert index.tolist() == [[[2, 0], [3, -1], [-1, -1]], [[0, 2], [3, -1], [1, -1]]]
