"""The tokens that stand for a question's options in one model's vocabulary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from surveysim.prompts import candidate_labels

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Labels", "find_labels", "index_vocabulary"]

# Longer texts are no labels; leaving them out keeps the index small.
_LONGEST = 4


@dataclass(frozen=True)
class Labels:
    """The labels of K options, in the order of the places where the options are shown.

    Attributes
    ----------
    letters : tuple of K str
        What a prompt writes.
    variants : tuple of K tuples of int
        All vocabulary entries that mean each label, such as ``"A"`` and ``" A"``. An option's probability is the sum
        over its variants.

    Examples
    --------
    >>> from surveysim.models import Labels
    >>> labels = Labels(letters=("A", "B"), variants=((32, 362), (33, 426)))
    >>> len(labels.letters)
    2
    """

    letters: tuple[str, ...]
    variants: tuple[tuple[int, ...], ...]


def index_vocabulary(tokenizer: PreTrainedTokenizerBase, size: int) -> dict[str, tuple[int, ...]]:
    """Vocabulary entries by their text without surrounding spaces, for texts of at most four characters.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizer
    size : int
        Rows of the model's output layer; entries beyond are left out, and so are special tokens.
    """
    special = set(tokenizer.all_special_ids)
    ids = sorted(i for i in set(tokenizer.get_vocab().values()) - special if i < size)
    if tokenizer.is_fast:
        texts = tokenizer.backend_tokenizer.decode_batch([[i] for i in ids], skip_special_tokens=False)
    else:
        texts = [tokenizer.decode([i]) for i in ids]
    index = defaultdict(list)
    for i, text in zip(ids, texts, strict=True):
        stripped = text.strip()
        if 0 < len(stripped) <= _LONGEST:
            index[stripped].append(i)
    return {text: tuple(entries) for text, entries in index.items()}


def find_labels(
    n_options: int,
    *,
    context: str,
    encode: Callable[[Sequence[str]], list[list[int]]],
    index: Mapping[str, tuple[int, ...]],
    name: str,
) -> Labels:
    """The first alphabet with K different labels that are one token each where the model's answer begins.

    Parameters
    ----------
    n_options : int
        Number of options K.
    context : str
        A prompt's text up to where the answer begins.
    encode : callable
        From texts to token ids, as the model reads them.
    index : mapping
        From `index_vocabulary`.
    name : str
        The model's name, for the message.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        If the tokenizer has no K such labels; the message names how many it has.
    """
    before = encode([context])[0]
    found: dict[str, int | None] = {}

    def token_of(label: str) -> int | None:
        # With and without a space: which one a tokenizer merges into what stands before depends on its rules.
        if label not in found:
            found[label] = None
            for ids in encode([context + label, context + " " + label]):
                if len(ids) == len(before) + 1 and ids[:-1] == before and ids[-1] in index.get(label, ()):
                    found[label] = ids[-1]
                    break
        return found[label]

    for alphabet in candidate_labels(n_options):
        tokens = [token_of(label) for label in alphabet]
        if None not in tokens and len(set(tokens)) == n_options:
            return Labels(alphabet, tuple(index[label] for label in alphabet))
    limit = max(
        sum(token_of(label) is not None for label in alphabet)
        for n in {n_options, min(n_options, 52)}
        for alphabet in candidate_labels(n)
    )
    raise ValueError(
        f"{n_options} options need as many labels of one token each, but the tokenizer of {name!r} has {limit}: "
        f"ask with at most {limit} options, for instance with the rarest ones put together"
    )
