"""Prompts as the text that one model was trained to read: its chat template where it has one, plain text elsewhere."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from jinja2 import TemplateError

from surveysim.prompts import Prompt
from surveysim.prompts.survey_text import escape_tokens

__all__ = ["ChatFormat"]

# Switches by which templates turn off an answer's visible reasoning (Qwen3 and others; Granite, DeepSeek).
_THINKING_SWITCHES = ("enable_thinking", "thinking")

# Templates that write today's date would make the same prompt, and so the same prediction, differ from day to day.
_DATE = date(2025, 1, 1)
_TODAY = re.compile(r"""\bstrftime_now\(\s*(['"])(.*?)\1\s*\)""")


class ChatFormat:
    """How one tokenizer wants its prompts.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizer

    Attributes
    ----------
    is_chat : bool
        Whether there is a chat template. Its text has all special tokens in it, so none are added when it is
        tokenised: a template that writes the beginning-of-sequence token would otherwise get a second one.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.is_chat = tokenizer.chat_template is not None
        self._tokens = _control_tokens(tokenizer)
        self._system_role = True
        self._arguments: dict[str, Any] = {}
        if self.is_chat:
            template = tokenizer.get_chat_template()
            self._arguments = {switch: False for switch in _THINKING_SWITCHES if _mentions(template, switch)}
            self._arguments["chat_template"] = _TODAY.sub(lambda call: f"'{_DATE.strftime(call[2])}'", template)

    def to_text(self, prompt: Prompt) -> str:
        """The prompt up to where the model's answer begins.

        Texts that are tokens of this tokenizer ("</s>", "<think>") are parted by a space: they came with a survey, and
        only the template may begin and end turns.

        Raises
        ------
        ValueError
            If the chat template refuses the prompt with and without a system role.
        """
        if self._tokens is not None:
            prompt = Prompt(*(escape_tokens(part, self._tokens) for part in (prompt.system, prompt.user, prompt.cue)))
        if not self.is_chat:
            return prompt.plain()
        if prompt.system and self._system_role:
            try:
                text = self._render(prompt.messages())
            except TemplateError:
                self._system_role = False  # Gemma 2 and the first Mistrals refuse the role
            else:
                if prompt.system.strip() in text:
                    return text
                self._system_role = False  # others drop it without a word
        try:
            return self._render(prompt.messages(system_role=self._system_role))
        except TemplateError as error:
            raise ValueError(f"the chat template of this model rejects a single user turn: {error}") from error

    def _render(self, messages: list[dict[str, str]]) -> str:
        text = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **self._arguments
        )
        if text.rstrip().endswith("<think>"):
            # Models that always reason: the answer is asked for at once, after an empty thought.
            text = text.rstrip() + "\n\n</think>\n\n"
        return text


def _mentions(template: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", template) is not None


def _control_tokens(tokenizer: Any) -> re.Pattern[str] | None:
    """A pattern for the tokens of a tokenizer that its text is searched for before anything else.

    Tokens without a bracket or bar are left alone: some vocabularies have rows of spaces, or words, among them.
    """
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    texts = {str(token) for token in added} | set(tokenizer.all_special_tokens)
    texts = {text.strip() for text in texts if len(text.strip()) > 2 and re.search(r"[<>\[\]{}|\uff5c]", text)}
    if not texts:
        return None
    return re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)))
