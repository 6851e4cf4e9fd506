"""The hand-written gradient equals that of the plain layers."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from toolkit.nn.fused_gated_layers import gated_layers
from toolkit.nn.gated_stack import GatedStack


@pytest.mark.parametrize("kernel_size", [2, 3])
@pytest.mark.parametrize("starts", [False, True])
def test_equals_the_plain_layers(kernel_size: int, starts: bool) -> None:
    torch.manual_seed(0)
    stack = GatedStack(1, 3, 2, [1, 4, 2], kernel_size, 5, 4, 6, 0.0).double()
    size = stack.reach + 7
    x, condition = torch.randn(2, size, 5, dtype=torch.float64), torch.randn(2, size, 3, dtype=torch.float64)
    exists = torch.arange(size) >= torch.tensor([[0], [stack.reach + 2]]) if starts else None
    weight = torch.randn(2, 7, 6, dtype=torch.float64)
    found = []
    for fast in (False, True):
        leaves = [x.clone().requires_grad_(), condition.clone().requires_grad_(), *stack.layers.parameters()]
        if fast:
            units = gated_layers(stack.each(), leaves[0], leaves[1], exists, 7, torch.float64)
            skips = F.linear(
                units, torch.cat([layer.skip.weight for layer in stack.each()], 1), sum(layer.skip.bias for layer in stack.each())
            )
        else:
            skips = stack.skips(leaves[0], leaves[1], exists, 7, torch.float64)
        found.append([skips, *torch.autograd.grad((skips * weight).sum(), leaves)])
    for plain, quick in zip(*found, strict=True):
        torch.testing.assert_close(quick, plain)


def test_training_uses_it_and_evaluation_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = GatedStack(1, 3, 2, [1, 2], 2, 5, 4, 6, 0.0)
    inputs, condition = torch.randn(1, 9, 1), torch.randn(1, 9, 3)
    quick = stack(inputs, condition)
    with torch.no_grad():
        torch.testing.assert_close(stack(inputs, condition), quick.detach())
        monkeypatch.setattr(stack, "skips", None)
    torch.testing.assert_close(stack(inputs, condition), quick)
