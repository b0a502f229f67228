"""Parts of whole blocks that are run once for prompts that begin alike, and what tells them."""

from __future__ import annotations

import torch

from surveysim.trunk.block_parts import OncePerBeginning, distinct_beginnings


def test_positions_with_the_same_tokens_up_to_there_are_one():
    ids = torch.tensor([[5, 6, 7, 0], [5, 6, 0, 0], [5, 6, 8, 7], [9, 6, 7, 0]])
    found = distinct_beginnings(ids, torch.tensor([3, 2, 4, 3]))
    which = found.which.view(4, 4)
    assert which[0, :2].tolist() == which[1, :2].tolist() == which[2, :2].tolist()
    assert which[0, 2] != which[3, 2]  # 7 after other tokens
    assert len({int(which[0, 2]), int(which[1, 2]), int(which[2, 2])}) == 3  # padding is no token 0
    assert torch.equal(which.ravel()[found.first], torch.arange(len(found.first)))


def test_a_part_sees_each_beginning_once_and_gradients_are_the_same():
    generator = torch.Generator().manual_seed(0)
    found = distinct_beginnings(torch.tensor([[5, 6, 7], [5, 6, 8]]), torch.tensor([3, 3]))
    values = torch.randn(4, 3, generator=generator)
    states = values[found.which].view(2, 3, 3)
    layer = torch.nn.Linear(3, 2)
    torch.nn.init.constant_(layer.weight, 0.5)
    expected = layer(states)
    (expected_gradient,) = torch.autograd.grad(expected.square().sum(), layer.weight)
    once, seen = OncePerBeginning([layer]), []
    layer.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    with once.of(found):
        result = layer(states)
    assert seen == [(1, 4, 3)]
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(torch.autograd.grad(result.square().sum(), layer.weight)[0], expected_gradient)
