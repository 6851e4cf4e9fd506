"""Training of WaveNet's gated layers with a hand-written gradient. Its plain twin is ``GatedStack.skips``.

Autograd of the plain form fills and adds a whole tensor for every slice (three taps, the residual, the condition, both halves
of the gates, the skip). Here each gradient is written where it belongs, and all conditions share one gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812

from toolkit.nn.gated_layer import RESIDUAL_SCALE, GatedLayer


def gated_layers(
    layers: Sequence[GatedLayer], x: Tensor, condition: Tensor, exists: Tensor | None, count: int, dtype: torch.dtype
) -> Tensor:
    """Units z of all layers at the last ``count`` positions, side by side.

    Args:
        layers: L layers of the same widths.
        x: ``B T residual``, input of the first layer.
        condition: ``B T C``, of type ``dtype``.
        exists: bool ``B T`` or None.
        count: T less the reach of all layers.
        dtype: of the products.

    Returns:
        ``B count L*gate``, of type ``dtype``.
    """
    weights = [layer.gates.weight for layer in layers] + [layer.gates.bias for layer in layers]
    weights += [layer.residual.weight for layer in layers if layer.residual is not None]
    dilations = [layer.dilation for layer in layers]
    units: Tensor = _GatedLayers.apply(x, condition, exists, dilations, count, *(w.to(dtype) for w in weights))  # type: ignore[no-untyped-call]
    return units


class _GatedLayers(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, condition: Tensor, exists: Tensor | None, dilations: list[int], count: int, *weights: Tensor
    ) -> Tensor:
        depth, dtype = len(dilations), condition.dtype
        channels, gate = x.shape[2], weights[0].shape[0] // 2
        taps = (weights[0].shape[1] - condition.shape[2]) // channels
        units = condition.new_empty(len(x), count, depth * gate)
        kept = []
        for i, dilation in enumerate(dilations):
            if exists is not None:
                x = x * exists[:, -x.shape[1] :, None]
            size = x.shape[1] - (taps - 1) * dilation
            low = x.to(dtype)
            columns = torch.cat([low[:, k * dilation : k * dilation + size] for k in range(taps)] + [condition[:, -size:]], -1)
            filtered, passed = F.linear(columns, weights[i], weights[depth + i]).chunk(2, -1)
            filtered = torch.tanh(filtered.to(x.dtype)).to(dtype)  # tanh is faster in float32 than in bfloat16
            passed = torch.sigmoid(passed)
            z = filtered * passed
            units[..., i * gate : (i + 1) * gate] = z[:, -count:]
            kept += [columns, filtered, passed, z]
            if i + 1 < depth:
                onward = F.linear(z, weights[2 * depth + i])
                x = torch.add(x[:, -size:], onward).mul_(RESIDUAL_SCALE)
        ctx.save_for_backward(*kept, *weights)
        ctx.facts = dilations, exists, condition.shape, channels, taps, x.dtype
        return units

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_units: Tensor) -> tuple[Tensor | None, ...]:
        dilations, exists, shape, channels, taps, master = ctx.facts
        depth, count = len(dilations), to_units.shape[1]
        kept, weights = ctx.saved_tensors[: 4 * depth], ctx.saved_tensors[4 * depth :]
        gate = weights[0].shape[0] // 2
        to_condition = to_units.new_zeros(shape)
        to_weights = list(weights)
        to_x: Tensor | None = None
        for i in reversed(range(depth)):
            columns, filtered, passed, z = kept[4 * i : 4 * i + 4]
            to_z = to_units[..., i * gate : (i + 1) * gate]
            if to_x is not None:
                low = to_x.mul_(RESIDUAL_SCALE).to(z.dtype)
                to_weights[2 * depth + i] = low.flatten(0, 1).T @ z.flatten(0, 1)
                onward = low @ weights[2 * depth + i]
                onward[:, -count:] += to_z
                to_z = onward
            to_gates = _to_gates(to_z, filtered, passed)
            flat = to_gates.flatten(0, 1)
            to_weights[i], to_weights[depth + i] = flat.T @ columns.flatten(0, 1), flat.sum(0)
            each = [w.expand(len(z), -1, -1) for w in weights[i].split([channels] * taps + [shape[2]], 1)]
            to_condition[:, -z.shape[1] :].baddbmm_(to_gates, each[-1])
            to_x = _to_input(to_x, to_gates, each[:-1], dilations[i], master)
            if exists is not None:
                to_x *= exists[:, -to_x.shape[1] :, None]
        return to_x, to_condition, None, None, None, *to_weights


def _to_gates(to_z: Tensor, filtered: Tensor, passed: Tensor) -> Tensor:
    gate = filtered.shape[-1]
    to_gates = torch.empty(*filtered.shape[:-1], 2 * gate, dtype=filtered.dtype, device=filtered.device)
    torch.ops.aten.tanh_backward.grad_input(to_z * passed, filtered, grad_input=to_gates[..., :gate])
    torch.ops.aten.sigmoid_backward.grad_input(to_z * filtered, passed, grad_input=to_gates[..., gate:])
    return to_gates


def _to_input(to_output: Tensor | None, to_gates: Tensor, taps: list[Tensor], dilation: int, master: torch.dtype) -> Tensor:
    """The gradient of a layer's input through its taps and past it."""
    rows, size = to_gates.shape[:2]
    total = to_gates.new_zeros(rows, size + (len(taps) - 1) * dilation, taps[0].shape[2])
    for k, weight in enumerate(taps):
        total[:, k * dilation : k * dilation + size].baddbmm_(to_gates, weight)
    to_x = total.to(master)
    if to_output is not None:
        to_x[:, -size:] += to_output
    return to_x
