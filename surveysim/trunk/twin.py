"""Twins: separate module trees over the weights of a shared model, which is never written to.

Whatever has to be run in another way - with another attention function, with adapters, without its blocks - is run in a
twin. Its modules and its configuration are copies; its weights lie where the model's lie.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from surveysim.models.anatomy import Anatomy, UnfitModelError

__all__ = ["HandOn", "hollow", "states_among", "twin_of"]

Module = TypeVar("Module", bound=nn.Module)


def twin_of(module: Module) -> Module:
    """A copy of a module, its submodules and their configuration that shares the memory of all weights.

    Parameters
    ----------
    module : Module
        Stays as it is, whatever happens to its twin: not even a flag of a parameter is shared.

    Returns
    -------
    Module
        Takes a few kilobytes, whatever the model's size.
    """
    shared: dict[int, Any] = {id(buffer): buffer for buffer in module.buffers()}
    for parameter in module.parameters():
        known = type(parameter) is nn.Parameter  # a quantised one is more than its values
        shared[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False) if known else parameter
    return copy.deepcopy(module, shared)


class HandOn(nn.Module):
    """Stands in for a block, and passes on the states that it is given.

    Parameters
    ----------
    block : Module
        What a decoder looks up of its blocks (which kind of attention one has) is looked up there.
    width : int
        Size of a state.
    in_tuple : bool
        Whether the block answers with a tuple.
    """

    def __init__(self, block: nn.Module, width: int, in_tuple: bool) -> None:
        super().__init__()
        self._outside = (block,)  # in a tuple: not a submodule
        self._width = width
        self._in_tuple = in_tuple

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_outside"][0], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The states among the arguments."""
        states, *_ = states_among(args, kwargs, self._width)
        return (states,) if self._in_tuple else states


def hollow(anatomy: Anatomy, in_tuple: bool) -> None:
    """Take the blocks out of a twin: what it hands to each of them is known without running any."""
    width = anatomy.width
    for i, block in enumerate(anatomy.blocks):
        anatomy.blocks[i] = HandOn(block, width, in_tuple)


def states_among(
    args: tuple[Any, ...], kwargs: dict[str, Any], width: int
) -> tuple[Tensor, tuple[Any, ...], dict[str, Any], str | None]:
    """Tell a block's hidden states from all else that it is called with, by their shape.

    Parameters
    ----------
    args, kwargs
        What the block is called with.
    width : int
        Size of a state.

    Returns
    -------
    states : Tensor of shape (rows, tokens, width)
    args, kwargs
        The rest.
    name : str or None
        The states' keyword; None: they come first.
    """
    if args and _is_states(args[0], width):
        return args[0], args[1:], kwargs, None
    names = [name for name, value in kwargs.items() if _is_states(value, width)]
    if args or len(names) != 1:
        raise UnfitModelError("a block is called without hidden states that can be told apart from its other arguments")
    return kwargs[names[0]], (), {name: value for name, value in kwargs.items() if name != names[0]}, names[0]


def _is_states(value: Any, width: int) -> bool:
    return isinstance(value, Tensor) and torch.is_floating_point(value) and value.ndim == 3 and value.shape[-1] == width
