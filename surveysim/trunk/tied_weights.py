"""Weights of trained blocks that other parts of a model use, too: a copy would be trained separately from them."""

from __future__ import annotations

from torch import nn

from surveysim.models.anatomy import Anatomy, UnfitModelError

__all__ = ["refuse_tied_blocks"]


def refuse_tied_blocks(network: nn.Module, anatomy: Anatomy, n_blocks: int) -> None:
    """Refuse a model whose last blocks share weights with other blocks, as Zamba's do, or with anything else.

    Parameters
    ----------
    network : Module
        The model.
    anatomy : Anatomy
        Its parts.
    n_blocks : int
        How many of its last blocks are trained.

    Raises
    ------
    UnfitModelError
        Naming a shared weight in both places.
    """
    (blocks,) = [name for name, module in network.named_modules() if module is anatomy.blocks]
    first = len(anatomy.blocks) - n_blocks
    places: dict[int, dict[int | None, str]] = {}  # of each weight: in which block it is, by what name
    for name, parameter in network.named_parameters(remove_duplicate=False):
        number = name.removeprefix(f"{blocks}.").partition(".")[0] if name.startswith(f"{blocks}.") else ""
        places.setdefault(id(parameter), {})[int(number) if number else None] = name
    for owners in places.values():
        trained = [name for block, name in owners.items() if block is not None and block >= first]
        others = [name for name in owners.values() if name not in trained[:1]]
        if trained and others:
            raise UnfitModelError(
                f"{type(network).__name__} uses one weight in several places, as {others[0]} and as {trained[0]}, "
                f"which is among what n_blocks={n_blocks} trains: a copy of its last blocks would be trained "
                "separately from the rest. Choose another model"
            )
