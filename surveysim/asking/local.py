"""A loaded model as an answerer: label probabilities and sampled texts, in batches, repeatable by seed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch import Tensor

from surveysim.asking.asks import Answer, Ask
from surveysim.asking.chunks import make_chunks
from surveysim.asking.line_ends import until_line_break
from surveysim.asking.passes import PassBatch, Passes, State, pass_overhead, passes_of
from surveysim.models.loaded import LoadedModel
from surveysim.models.own_torch import own_torch
from surveysim.models.processes import ModelAddress, n_processes, spread
from surveysim.progress import progress
from surveysim.prompts import Prompt

__all__ = ["LocalAnswerer"]

# Part of every journal key: another way to draw gives other answers to the same asks.
_SAMPLER = "inverse-cdf/1"
_LINE_SAMPLER = f"{_SAMPLER}, one line"

OnAnswer = Callable[[int, Answer], None]


class LocalAnswerer:
    """A language model on this machine that answers asks.

    Equal prompts are read once, whatever is asked about them. A draw depends on the prompt, the ask's seed and its
    sample number, and not on what else is asked in the same call: each has a stream of random numbers of its own. With
    ``float32`` this holds exactly but for ties of rounding; in reduced precision the composition of a batch moves
    logits by a little, as with every such model.

    With an `address` and more than one process in joblib's active configuration (`joblib.parallel_config`) the asks are
    cut into chunks that worker processes answer; answers are the same, label probabilities up to rounding. What a chunk
    says is reported when it arrives, in the process that asked. A worker that dies costs the chunk it was answering.

    Parameters
    ----------
    model : LoadedModel
        From `surveysim.models.load_model`.
    address : ModelAddress, optional
        Where other processes find the model. None: this process answers alone.

    Examples
    --------
    >>> from surveysim import Question
    >>> from surveysim.models import load_model
    >>> from surveysim.asking.asks import Ask
    >>> from surveysim.prompts import get_template, render
    >>> answerer = LocalAnswerer(load_model("nano"))
    >>> labels = answerer.labels(2)
    >>> prompt = render(
    ...     get_template("default"),
    ...     Question("Do you vote?", ["yes", "no"]),
    ...     {"age": 30},
    ...     labels=labels,
    ... )
    >>> probabilities, text = answerer.answer(
    ...     [Ask(prompt, "label", labels), Ask(prompt, "text", labels)]
    ... )
    >>> len(probabilities.label_logprobs), text.text in labels
    (2, True)
    """

    def __init__(self, model: LoadedModel, *, address: ModelAddress | None = None) -> None:
        self.model = model
        self.address = address

    @property
    def identity(self) -> Mapping[str, str]:
        """What determines the answers: the weights with their tokenizer and chat template, and the number type."""
        return {
            "kind": "local",
            "fingerprint": self.model.fingerprint,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "sampler": _SAMPLER if self.model.is_chat else _LINE_SAMPLER,
        }

    def labels(self, n_options: int) -> tuple[str, ...]:
        """The labels to show for so many options; single tokens of this model where its answer begins."""
        return self.model.labels(n_options).letters

    @own_torch()
    def answer(
        self,
        asks: Sequence[Ask],
        *,
        on_answer: OnAnswer | None = None,
        verbose: int = 0,
    ) -> list[Answer]:
        """Answer all asks, in their order.

        Parameters
        ----------
        asks : sequence of Ask
        on_answer : callable, optional
            Called with each ask's position and answer, batch by batch.
        verbose : int, default=0
            1 shows a progress bar.

        Raises
        ------
        ValueError
            If a prompt is longer than the model can read, or an ask has labels that are not the model's.
        """
        tokens = self._encode(asks)
        answers: list[Answer | None] = [None] * len(asks)
        with progress(int(verbose), total=len(asks), desc="answers") as bar:

            def report(position: int, answer: Answer) -> None:
                answers[position] = answer
                if on_answer is not None:
                    on_answer(position, answer)
                bar.update()

            chunks = self._chunks(asks, tokens)
            if len(chunks) > 1:
                self._answer_elsewhere(asks, chunks, report)
            else:
                self._answer_here(asks, tokens, report)
        assert all(answer is not None for answer in answers)
        return answers  # type: ignore[return-value]

    def _answer_here(self, asks: Sequence[Ask], tokens: Sequence[tuple[int, ...]], report: OnAnswer) -> None:
        passes = passes_of(self.model)
        prompts = list(dict.fromkeys(tokens))
        place = {ids: row for row, ids in enumerate(prompts)}
        for kind, run in (("label", self._read_labels), ("text", self._write_texts)):
            wanted: dict[int, list[int]] = defaultdict(list)
            for position, ask in enumerate(asks):
                if ask.kind == kind:
                    wanted[place[tokens[position]]].append(position)
            if wanted:
                rows = list(wanted)
                try:
                    run(passes, asks, [prompts[row] for row in rows], [wanted[row] for row in rows], report)
                finally:
                    passes.forget()

    # --- other processes ----------------------------------------------------------------------------------------------

    def _chunks(self, asks: Sequence[Ask], tokens: Sequence[tuple[int, ...]]) -> list[list[int]]:
        """What each call of a worker answers; nothing if this process answers alone."""
        n = 1 if self.address is None else n_processes(self.model.device)
        return [] if n == 1 else make_chunks(asks, tokens, n, overhead=pass_overhead(self.model.device))

    def _answer_elsewhere(self, asks: Sequence[Ask], chunks: Sequence[Sequence[int]], report: OnAnswer) -> None:
        assert self.address is not None
        for labels in {ask.labels for ask in asks if ask.kind == "label"}:
            self._entries(labels)  # what is wrong with them is said before anybody works
        items = [tuple(asks[position] for position in chunk) for chunk in chunks]
        with closing(spread(answer_chunk, items, self.address)) as arriving:
            for number, answers in arriving:
                _report_all(list(zip(chunks[number], answers, strict=True)), report)

    def _encode(self, asks: Sequence[Ask]) -> list[tuple[int, ...]]:
        """Each ask's token ids; every distinct prompt is rendered and tokenised once."""
        texts: dict[Prompt, str] = {}
        for ask in asks:
            if ask.prompt not in texts:
                texts[ask.prompt] = self.model.to_text(ask.prompt)
        distinct = list(dict.fromkeys(texts.values()))
        ids = {text: tuple(row) for text, row in zip(distinct, self.model.encode(distinct), strict=True)}
        return [ids[texts[ask.prompt]] for ask in asks]

    # --- label probabilities ------------------------------------------------------------------------------------------

    def _read_labels(
        self,
        passes: Passes,
        asks: Sequence[Ask],
        prompts: list[tuple[int, ...]],
        wanted: list[list[int]],
        report: OnAnswer,
    ) -> None:
        entries = {labels: self._entries(labels) for labels in {ask.labels for ask in asks if ask.kind == "label"}}
        for batch in passes.batches(prompts):
            found = {
                variant for row in batch.rows for p in wanted[row] for v in entries[asks[p].labels] for variant in v
            }
            state = passes.read(batch.prefix, _suffixes(batch, prompts), exact=sorted(found))
            normaliser = state.logits.logsumexp(dim=1)
            rows_of: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
            for i, row in enumerate(batch.rows):
                for position in wanted[row]:
                    rows_of[asks[position].labels].append((i, position))
            for labels, pairs in rows_of.items():
                index = torch.tensor([i for i, _ in pairs], device=state.logits.device)
                chosen = state.logits[index]
                per_label = torch.stack(
                    [chosen[:, list(variants)].logsumexp(dim=1) for variants in entries[labels]], dim=1
                )
                logprobs = (per_label - normaliser[index, None]).double().clamp_max(0.0).cpu().tolist()
                for (_, position), row in zip(pairs, logprobs, strict=True):
                    report(position, Answer(label_logprobs=tuple(row)))

    def _entries(self, labels: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        own = self.model.labels(len(labels))
        if own.letters != labels:
            raise ValueError(
                f"the labels of {len(labels)} options are {own.letters} with this model, the ask has {labels}: take "
                "them from labels(n_options)"
            )
        return own.variants

    # --- texts --------------------------------------------------------------------------------------------------------

    def _write_texts(
        self,
        passes: Passes,
        asks: Sequence[Ask],
        prompts: list[tuple[int, ...]],
        wanted: list[list[int]],
        report: OnAnswer,
    ) -> None:
        longest = max(asks[position].max_tokens for positions in wanted for position in positions)
        # More draws of one prompt than fit read it again; so do all where the state cannot be copied.
        most = [1 if passes.mode == "plain" else passes.most_copies(len(prompt) + longest) for prompt in prompts]
        parts = [
            (prompt, positions[start : start + fit])
            for prompt, positions, fit in zip(prompts, wanted, most, strict=True)
            for start in range(0, len(positions), fit)
        ]
        prompts, wanted = [prompt for prompt, _ in parts], [positions for _, positions in parts]
        for batch in passes.batches(prompts, [len(positions) for positions in wanted], longest):
            rows = [row for row in batch.rows for _ in wanted[row]]
            positions = [position for row in batch.rows for position in wanted[row]]
            state = passes.read(batch.prefix, _suffixes(batch, prompts), new_tokens=longest)
            if len(rows) > len(batch.rows):
                place = {row: i for i, row in enumerate(batch.rows)}
                state = state.select([place[row] for row in rows])
            answers = self._write(passes, state, [asks[p] for p in positions], [prompts[row] for row in rows])
            for position, answer in zip(positions, answers, strict=True):
                report(position, answer)

    def _write(self, passes: Passes, state: State, asks: list[Ask], prompts: list[tuple[int, ...]]) -> list[Answer]:
        """Write one text per row, until the turn ends or `max_tokens` are there; base models, until their line ends."""
        limits = [self._limit(ask, prompt) for ask, prompt in zip(asks, prompts, strict=True)]
        uniforms = np.stack([_uniforms(ask, prompt, max(limits)) for ask, prompt in zip(asks, prompts, strict=True)])
        ends = self._end_tokens()
        written: list[list[int]] = [[] for _ in asks]
        ended = [False] * len(asks)
        alive = list(range(len(asks)))  # the ask of each row of the state
        temperature = torch.tensor([ask.temperature for ask in asks], dtype=torch.float32, device=state.logits.device)
        for step in range(max(limits)):
            draws = torch.tensor(uniforms[alive, step], dtype=_precision(state.logits), device=state.logits.device)
            tokens = draw_tokens(state.logits, temperature[alive], draws)
            going = []
            for i, (ask, token) in enumerate(zip(alive, tokens.tolist(), strict=True)):
                if token in ends or len(written[ask]) >= limits[ask]:
                    ended[ask] |= token in ends and len(written[ask]) < limits[ask]
                    continue
                written[ask].append(token)
                ended[ask] = self._is_over(token, written[ask], asks[ask])
                if len(written[ask]) < limits[ask] and not ended[ask]:
                    going.append(i)
            if not going:
                break
            # Finished rows are carried along until half are: leaving them out copies the keys and values.
            if passes.mode != "plain" and len(going) <= len(alive) / 2:
                state = state.select(going)
                tokens = tokens[going]
                alive = [alive[i] for i in going]
            else:
                for i in set(range(len(alive))) - set(going):
                    limits[alive[i]] = 0
            state = passes.step(state, tokens)
        return [self._answer_of(ids, ask, over) for ids, ask, over in zip(written, asks, ended, strict=True)]

    def _is_over(self, token: int, written: list[int], ask: Ask) -> bool:
        """Whether a base model has come to the end of its answer with this token."""
        if self.model.is_chat or "\n" not in self._text_of([token]):
            return False
        return until_line_break(self._text_of(written), ask.labels) is not None

    def _answer_of(self, written: list[int], ask: Ask, over: bool) -> Answer:
        text = self._text_of(written)
        if not self.model.is_chat:
            answer = until_line_break(text, ask.labels, done=True)
            over |= answer != text
            text = str(answer)
        return Answer(text=text, ended="stop" if over else "length")

    def _text_of(self, ids: list[int]) -> str:
        return str(self.model.tokenizer.decode(ids, skip_special_tokens=True))

    def _limit(self, ask: Ask, prompt: Sequence[int]) -> int:
        room = ask.max_tokens if self.model.max_tokens is None else self.model.max_tokens - len(prompt)
        return max(1, min(ask.max_tokens, room))

    def _end_tokens(self) -> set[int]:
        """Tokens that end a turn, from wherever the model names them."""
        network = self.model.network
        configs = [getattr(network, "generation_config", None), network.config.get_text_config()]
        found: set[int] = set()
        for named in [
            *(getattr(config, "eos_token_id", None) for config in configs),
            self.model.tokenizer.eos_token_id,
        ]:
            if named is not None:
                found.update(named if isinstance(named, list | tuple) else [named])
        return found


def answer_chunk(model: LoadedModel, asks: Sequence[Ask]) -> list[Answer]:
    """What a worker does: answer a chunk of asks."""
    return LocalAnswerer(model).answer(asks)


def _report_all(answers: Sequence[tuple[int, Answer]], report: OnAnswer) -> None:
    """Report everything that has arrived: Ctrl-C waits until then, a second one does not."""
    interrupted: KeyboardInterrupt | None = None
    left = list(reversed(answers))
    while left:
        try:
            report(*left[-1])  # one that is interrupted is reported again
            left.pop()
        except KeyboardInterrupt as error:
            if interrupted is not None:
                raise
            interrupted = error
    if interrupted is not None:
        raise interrupted


def draw_tokens(logits: Tensor, temperature: Tensor, uniform: Tensor) -> Tensor:
    """Draw the next token of each row by inverting the cumulative distribution.

    Parameters
    ----------
    logits : float32 Tensor of shape (B, V)
    temperature : Tensor of shape (B,)
        0: the likeliest token.
    uniform : float64 Tensor of shape (B,)
        Random numbers in [0, 1). One a token suffices, and it is the same whatever the batch.

    Returns
    -------
    int Tensor of shape (B,)
    """
    likeliest = logits.argmax(dim=1)
    if not bool((temperature > 0).any()):
        return likeliest
    scaled = logits / torch.where(temperature > 0, temperature, 1.0)[:, None]
    cumulative = scaled.softmax(dim=1).cumsum(dim=1, dtype=_precision(logits))
    wanted = (uniform.to(cumulative.dtype) * cumulative[:, -1])[:, None]
    drawn = torch.searchsorted(cumulative, wanted, right=True)[:, 0].clamp_max(logits.shape[1] - 1)
    return torch.where(temperature > 0, drawn, likeliest)


def _precision(logits: Tensor) -> torch.dtype:
    """float64, so that sums over a large vocabulary do not shift what is drawn; Apple's devices have none."""
    return torch.float32 if logits.device.type == "mps" else torch.float64


def _uniforms(ask: Ask, prompt: Sequence[int], n: int) -> np.ndarray:
    """The random numbers of one draw: a stream that its prompt, seed and sample number name."""
    digest = hashlib.blake2b(f"{ask.seed}/{ask.sample}/".encode(), digest_size=16)
    digest.update(np.asarray(prompt, dtype=np.int64).tobytes())
    key: Any = np.frombuffer(digest.digest(), dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).random(n)


def _suffixes(batch: PassBatch, prompts: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [prompts[row][len(batch.prefix) :] for row in batch.rows]
