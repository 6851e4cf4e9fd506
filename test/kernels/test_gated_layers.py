"""The hand-written gradients equal those of the plain layers, in torch and in the compiled kernel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from toolkit.kernels import gated_layers
from toolkit.kernels.native import library, why_not
from toolkit.nn.gated_stack import GatedStack


def found(stack: GatedStack, x: Tensor, condition: Tensor, exists: Tensor | None, dtype: torch.dtype, fast: bool) -> list[Tensor]:
    """Skips and the gradients of their random sum."""
    count = x.shape[1] - stack.reach
    leaves = [x.clone().requires_grad_(), condition.clone().requires_grad_(), *stack.layers.parameters()]
    arguments = (leaves[0], leaves[1], exists, count, dtype)
    skips = gated_layers.skips(stack, *arguments) if fast else stack.skips(*arguments)
    weight = torch.randn(skips.shape, generator=torch.Generator().manual_seed(1)).to(skips)
    return [skips.detach(), *torch.autograd.grad((skips * weight).sum(), leaves)]


def made_up(stack: GatedStack, rows: int, count: int, condition: int, starts: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Input of the first layer, conditions, and where rows exist: half of them start late."""
    size = count + stack.reach
    weight = stack.layers[0].skip.weight
    residual = (stack.layers[0].gates.in_features - condition) // stack.layers[0].kernel_size
    x, conditions = torch.randn(rows, size, residual).to(weight), torch.randn(rows, size, condition).to(weight)
    late = torch.arange(rows) % 2 * (stack.reach // 2 + 1)
    return x, conditions, torch.arange(size) >= late[:, None] if starts else None


def compare(plain: list[Tensor], fast: list[Tensor], forward: float, gradients: float) -> None:
    """Errors relative to the largest value, or to 1e-3 where all are smaller."""
    for i, (one, two) in enumerate(zip(plain, fast, strict=True)):
        assert one.shape == two.shape
        assert (one - two).abs().max() <= (gradients if i else forward) * one.abs().max().clamp_min(1e-3)


@pytest.mark.parametrize("kernel_size", [2, 3])
@pytest.mark.parametrize("starts", [False, True])
def test_torch_equals_the_plain_layers(kernel_size: int, starts: bool, device: str) -> None:
    torch.manual_seed(0)
    stack = GatedStack(1, 3, 2, [1, 4, 2], kernel_size, 5, 4, 6, 0.0).double()
    x, condition, exists = made_up(stack, 2, 7, 3, starts)
    stack, exists = stack.to(device), None if exists is None else exists.to(device)
    arguments = (stack, x.to(device), condition.to(device), exists, torch.float64)
    for plain, quick in zip(found(*arguments, False), found(*arguments, True), strict=True):
        torch.testing.assert_close(quick, plain)


native = pytest.mark.skipif(library() is None, reason=f"no compiled kernels: {why_not()}")


shapes = st.fixed_dictionaries(
    {
        "kernel_size": st.integers(2, 3),
        "dilations": st.lists(st.sampled_from([1, 2, 3, 8, 64]), min_size=1, max_size=4),
        "residual": st.sampled_from([32, 64]),
        "gate": st.sampled_from([32, 96]),
        "condition": st.sampled_from([1, 32, 40]),
        "skip": st.sampled_from([32, 64]),
        "rows": st.integers(1, 3),
        "count": st.integers(1, 80),
        "starts": st.booleans(),
    }
)


def stack_of(shape: dict[str, object]) -> tuple[GatedStack, tuple[Tensor, Tensor, Tensor | None]]:
    torch.manual_seed(0)
    names = ("dilations", "kernel_size", "residual", "gate", "skip")
    stack = GatedStack(1, shape["condition"], 2, *(shape[name] for name in names), 0.0)  # type: ignore[arg-type]
    return stack, made_up(stack, shape["rows"], shape["count"], shape["condition"], shape["starts"])  # type: ignore[arg-type]


@native
@settings(max_examples=40, deadline=None)
@given(shape=shapes)
def test_native_equals_the_plain_layers(shape: dict[str, object]) -> None:
    stack, made = stack_of(shape)
    assert gated_layers.native_for(stack.each(), made[0], torch.float32)
    compare(found(stack, *made, torch.float32, False), found(stack, *made, torch.float32, True), 1e-5, 1e-3)


CANCELLING = {
    "kernel_size": 2, "dilations": [2], "residual": 32, "gate": 96, "condition": 1, "skip": 32, "rows": 1, "count": 1, "starts": False
}  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(shape=shapes)
@example(shape=CANCELLING)
def test_bf16_is_close(shape: dict[str, object]) -> None:
    """Native where the processor has it, torch elsewhere: errors are at most twice those of the plain layers in bf16.

    Those may be nearly 0 by chance, so an error is also allowed that 8 roundings to bf16, of 2^-9 each, make of the largest value: an
    input, a weight, a bias, a tanh, a sigmoid, their product, a gradient from above and one of the gates. The gradients of x and of the
    condition are columns of one product, so what is large in the one is large for the other. In the example the condition is a single
    number: 192 terms as large as those of x, whose largest sum is 0.23, cancel to 0.005.
    """
    stack, made = stack_of(shape)
    exact, plain, fast = (
        found(stack, *made, dtype, quick) for dtype, quick in ((torch.float32, False), (torch.bfloat16, False), (torch.bfloat16, True))
    )
    largest = [one.abs().max() for one in exact]
    largest[1] = largest[2] = torch.maximum(largest[1], largest[2])  # of x, of the condition
    for one, two, three, size in zip(exact, plain, fast, largest, strict=True):
        assert (one - three).abs().max() <= torch.maximum(2 * (one - two).abs().max(), 8 * 2**-9 * size)


@native
def test_long_crops_and_threads() -> None:
    """More positions than a weight gradient takes at a time, and rows that threads share unevenly."""
    torch.manual_seed(0)
    stack = GatedStack(1, 8, 2, [1, 2, 256], 3, 32, 32, 32, 0.0)
    made = made_up(stack, 3, 1100, 8, True)
    plain = found(stack, *made, torch.float32, False)
    alone = found(stack, *made, torch.float32, True)
    torch.set_num_threads(2)
    try:
        shared = found(stack, *made, torch.float32, True)
    finally:
        torch.set_num_threads(1)
    compare(plain, alone, 1e-5, 1e-3)
    compare(plain, shared, 1e-5, 1e-3)


def test_training_uses_it_and_evaluation_and_dropout_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Tensor:
        raise AssertionError("not here")

    for dropout in (0.0, 0.5):
        stack = GatedStack(1, 3, 2, [1, 2], 2, 5, 4, 6, dropout)
        inputs, condition = torch.randn(1, 9, 1), torch.randn(1, 9, 3)
        with monkeypatch.context() as patch:
            patch.setattr(gated_layers if dropout else stack, "native_for" if dropout else "skips", refuse)
            stack(inputs, condition, fast=gated_layers.skips)
        with monkeypatch.context() as patch, torch.no_grad():
            patch.setattr(gated_layers, "native_for", refuse)
            stack(inputs, condition, fast=gated_layers.skips)


@native
def test_other_shapes_take_the_torch_path() -> None:
    stack = GatedStack(1, 3, 2, [1, 2], 2, 24, 32, 32, 0.0)
    x = torch.randn(1, 9, 24)
    assert not gated_layers.native_for(stack.each(), x, torch.float32)
    assert not gated_layers.native_for(GatedStack(1, 3, 2, [1], 2, 32, 32, 32, 0.0).double().each(), x.double(), torch.float64)
