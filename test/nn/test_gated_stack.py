"""The dilated stack of WaveNet."""

import pytest
import torch

from toolkit.nn.gated_stack import GatedStack, dilation_cycles


@pytest.mark.parametrize(("layers", "cycles", "field"), [(30, 3, 6139), (24, 4, 505), (12, 2, 253), (30, 30, 61)])
def test_receptive_fields_of_the_paper(layers: int, cycles: int, field: int) -> None:
    """Tacotron 2, table 4."""
    assert GatedStack(1, 1, 3, dilation_cycles(layers, cycles), 3, 1, 1, 1, 0.0).reach + 1 == field


def test_an_output_sees_exactly_its_receptive_field() -> None:
    stack = GatedStack(1, 2, 3, [1, 2, 1], 3, 4, 4, 4, 0.0).double()
    inputs = torch.randn(1, stack.reach + 1, 1, dtype=torch.float64, requires_grad=True)
    stack(inputs, torch.randn(1, stack.reach + 1, 2, dtype=torch.float64)).sum().backward()
    assert inputs.grad is not None and (inputs.grad != 0).all()


def test_before_the_start_layers_hold_zero() -> None:
    """A position that does not exist has no influence, whatever its inputs and conditions are."""
    stack = GatedStack(1, 2, 3, [1, 2], 2, 4, 4, 4, 0.0)
    inputs, condition = torch.randn(1, 9, 1), torch.randn(1, 9, 2)
    exists = torch.arange(9)[None] >= 4
    other = torch.where(exists[..., None], inputs, torch.randn(1, 9, 1))
    one, two = stack(inputs, condition, exists), stack(other, condition * exists[..., None], exists)
    assert torch.equal(one[:, 1:], two[:, 1:])  # outputs start at position 3


def test_precision_of_products() -> None:
    stack = GatedStack(1, 2, 3, [1, 2], 2, 4, 4, 4, 0.0)
    inputs, condition = torch.randn(1, 9, 1), torch.randn(1, 9, 2)
    exact, coarse = stack(inputs, condition), stack(inputs, condition, dtype=torch.bfloat16)
    assert coarse.dtype == torch.float32 and not torch.equal(exact, coarse)
    torch.testing.assert_close(exact, coarse, rtol=0, atol=0.05)
