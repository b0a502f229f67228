"""The five ways to elicit a distribution from a language model, as data: what each asks for and how often."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "METHODS",
    "Method",
    "MethodName",
    "OnFailure",
    "Refusals",
    "check_elicited_by",
    "get_method",
    "percentage_schema",
]

MethodName = Literal["verbalized", "logprob", "sampled", "paraphrased", "sequence"]
OnFailure = Literal["raise", "nan"]
Refusals = Literal["drop", "keep"]


@dataclass(frozen=True)
class Method:
    """One way to elicit.

    Attributes
    ----------
    name : str
    kind : {"label", "text"}
        What a model is asked for: label probabilities, or a text.
    n_samples : int
        Default number of answers per cell; for ``"sequence"`` the number of draws that one answer lists.
    temperature : float
        Default.
    sampling : bool
        Whether the distribution is a frequency of draws, and so is smoothed.
    """

    name: str
    kind: Literal["label", "text"]
    n_samples: int
    temperature: float
    sampling: bool

    def max_tokens(self, n_options: int, n_draws: int) -> int:
        """How long a text may become: the answer itself and a sentence before it."""
        if self.name == "verbalized":
            return 48 + 12 * n_options
        return 24 + 3 * n_draws if self.name == "sequence" else 24


# Temperatures: percentages are to be well-formed, and 0.7 keeps them so while samples still differ (Kambhatla et al.
# sample at 0.7 as well); draws are to follow the model's own distribution, which is that at 1.
METHODS = {
    method.name: method
    for method in (
        Method("verbalized", "text", 3, 0.7, False),
        Method("logprob", "label", 1, 1.0, False),
        Method("sampled", "text", 30, 1.0, True),
        Method("paraphrased", "text", 1, 1.0, True),
        Method("sequence", "text", 30, 1.0, True),
    )
}


def get_method(name: object) -> Method:
    """A method by name.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if not isinstance(name, str) or name not in METHODS:
        raise ValueError(f"method must be one of {list(METHODS)}, got {name!r}")
    return METHODS[name]


def check_elicited_by(name: object) -> None:
    """Refuse what is neither the name of a method nor None, for distributions of which nothing is known.

    Raises
    ------
    ValueError
    """
    if name is not None and name not in METHODS:
        raise ValueError(f"elicited_by must be one of {list(METHODS)} or None, got {name!r}")


def percentage_schema(labels: Sequence[str]) -> str:
    """The JSON schema of verbalised percentages: one whole number for each label, nothing else."""
    schema = {
        "type": "object",
        "properties": {label: {"type": "integer"} for label in labels},
        "required": list(labels),
        "additionalProperties": False,
    }
    return json.dumps(schema, separators=(",", ":"))
