"""Mappings of the variables of named surveys to their roles, in TOML files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd

__all__ = ["ANY_ROUND", "MAPPINGS", "Entry", "entries_of", "list_readers", "load_mapping"]

MAPPINGS = ("ess", "wvs", "gss", "cgss", "cfps", "wellcome", "pew_atp")
"""Surveys with a mapping, files of ``surveysim/datasets/surveys``."""

ANY_ROUND = "*"


@dataclass(frozen=True)
class Entry:
    """One variable of a mapping, for one round.

    `names` are alternatives, the first of which that the file has is taken; `checked` is the source against which the
    name was checked, or None.
    """

    names: tuple[str, ...]
    role: str
    alias: str | None = None
    kind: str | None = None
    ordinal: bool | None = None
    optional: bool = False
    default: bool = True
    checked: str | None = None
    is_pattern: bool = False

    @property
    def name(self) -> str:
        return self.names[0]


@cache
def load_mapping(survey: str) -> dict[str, Any]:
    """The TOML file of a survey."""
    text = resources.files("surveysim.datasets").joinpath("surveys", f"{survey}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def entries_of(mapping: Mapping[str, Any], round: str) -> list[Entry]:
    """The variables of one round."""
    only = mapping["rounds"].get(round, {}).get("only", False)
    found = []
    for group in mapping["variables"]:
        if round not in group.get("rounds", [] if only else [round]):
            continue
        checked = group.get("checked", {}).get(round)
        settings: dict[str, Any] = {
            "role": group["role"],
            "alias": group.get("as"),
            "kind": group.get("kind"),
            "ordinal": group.get("ordinal"),
            "optional": group.get("optional", False),
            "default": group.get("default", True),
            "checked": None if checked is None else mapping["sources"][checked],
        }
        if "pattern" in group:
            found.append(Entry((group["pattern"].replace("{round}", re.escape(round)),), is_pattern=True, **settings))
        for names in group.get("names", []):
            found.append(Entry(tuple(names.replace("{round}", round).split("|")), **settings))
    return found


def list_readers() -> pd.DataFrame:
    """List every variable that the readers of named surveys know, and whether its name was checked.

    Returns
    -------
    DataFrame
        ``reader``, ``survey``, ``round``, ``variable``, ``role``, ``name`` (the name that the background gets),
        ``required`` (an error where the file lacks it), ``checked`` (against which file, or "unchecked").

    Notes
    -----
    *Checked* means: the name, and the codes that the reader relies on, were found in that file. *Unchecked* names come
    from published documentation and public code, and no file was at hand; the reader says so in ``.report``.

    Examples
    --------
    >>> from surveysim.datasets import list_readers
    >>> known = list_readers()
    >>> known.loc[known["variable"] == "lrscale", ["reader", "round"]].to_numpy().tolist()
    [['read_ess', '9'], ['read_ess', '10'], ['read_ess', '11']]
    """
    rows = []
    for survey in MAPPINGS:
        mapping = load_mapping(survey)
        for round in mapping["rounds"]:
            for entry in entries_of(mapping, "<wave>" if round == ANY_ROUND else round):
                rows.append(
                    {
                        "reader": mapping["reader"],
                        "survey": mapping["title"],
                        "round": "any" if round == ANY_ROUND else round,
                        "variable": " or ".join(entry.names),
                        "role": entry.role,
                        "name": entry.alias or "",
                        "required": entry.default and not entry.optional and not entry.is_pattern,
                        "checked": entry.checked or "unchecked",
                    }
                )
    return pd.DataFrame(rows)
