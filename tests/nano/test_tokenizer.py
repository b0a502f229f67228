"""The shipped tokenizer: labels and numbers are single tokens, any text survives, the chat template is the fast one."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from surveysim import Question
from surveysim.prompts import get_template, render, template_names
from tools.nano.export import NANO
from tools.nano.tokenizer import CHAT_TEMPLATE, chat_text, make_tokenizer

TOKENIZER = AutoTokenizer.from_pretrained(NANO, local_files_only=True)
QUESTION = Question("How do you feel?", ["good", "bad"], context="Panel, 2020")


def ids(text):
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("single", [*string.ascii_letters, *map(str, range(100))])
def test_labels_and_numbers_are_single_tokens_with_and_without_a_space(single):
    assert len(ids(single)) == 1
    assert len(ids(" " + single)) == 1
    assert ids(single) != ids(" " + single)


def test_the_vocabulary_is_small_and_holds_every_byte():
    assert len(TOKENIZER) <= 4096
    assert len(ids("\x00\U0001f600ß")) > 0
    assert TOKENIZER.unk_token is None


@given(st.text())
def test_any_text_survives(text):
    assert TOKENIZER.decode(ids(text)) == text or "<|" in text


@pytest.mark.parametrize("name", template_names())
@pytest.mark.parametrize("verbalized", [False, True])
def test_chat_text_is_what_the_chat_template_says(name, verbalized):
    prompt = render(get_template(name), QUESTION, {"age": 27}, labels="AB", verbalized=verbalized)
    told = TOKENIZER.apply_chat_template(prompt.messages(), tokenize=False, add_generation_prompt=True)
    assert chat_text(prompt) == told
    assert TOKENIZER.chat_template == CHAT_TEMPLATE


def test_the_prompt_ends_where_the_answer_begins_and_nothing_else_is_added():
    text = chat_text(render(get_template("default"), QUESTION, None, labels="AB"))
    assert TOKENIZER(text)["input_ids"] == ids(text)
    assert TOKENIZER.convert_ids_to_tokens(ids(text)[-1]) == "<|assistant|>"
    assert ids(text + "A")[:-1] == ids(text)


def test_a_conversation_without_a_system_turn_and_an_unknown_role():
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "A"}]
    assert TOKENIZER.apply_chat_template(turns, tokenize=False) == "<|user|>Hi<|end|><|assistant|>A<|end|>"
    with pytest.raises(Exception, match="not tool"):
        TOKENIZER.apply_chat_template([{"role": "tool", "content": ""}], tokenize=False)


def test_a_typical_default_prompt_is_short():
    question = Question(
        "How often do you attend religious services?", ["Every week", "Once a month", "A few times a year", "Never"]
    )
    background = {"age": "30-44", "race": "White", "education": "Some college", "gender": "female"}
    everyone = len(ids(chat_text(render(get_template("default"), question, None, labels="ABCD"))))
    someone = len(ids(chat_text(render(get_template("default"), question, background, labels="ABCD"))))
    assert everyone <= 65
    assert someone - everyone <= 25


@pytest.mark.slow
def test_the_tokenizer_is_made_the_same_way_twice():
    one, two = (make_tokenizer(vocabulary=900, n_tasks=20, seed=1) for _ in range(2))
    assert one.get_vocab() == two.get_vocab()
    assert len(one) == 900
