"""Training of WaveNet's gated layers with a hand-written gradient. Plain twin: ``GatedStack.skips``.

Two ways, chosen by what there is. Native, ``source/gated_layers.cpp``, whose first comment draws the layout: CPUs, channels in
multiples of 32, fp32, and bf16 where the processor multiplies it in tiles. Products, non-linearities and gradients of a block of
positions follow one another while it is in cache, and of each layer only its inputs, tanh and sigmoid are kept, in the type of the
products. In torch: everything else. Autograd of the plain form fills and adds a whole tensor for every slice (three taps, the residual,
the condition, both halves of the gates, the skip); here each gradient is written where it belongs. Kept by torch for a layer:

    columns  B N taps*R+C   taps side by side, oldest first, then the condition        filtered, passed, z  B N G

In torch the units z of all layers come side by side, ``B count L*G``, and one product with all skip weights follows.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_int32, c_void_p
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812

from toolkit.kernels.native import Library, library
from toolkit.nn.gated_layer import RESIDUAL_SCALE, GatedLayer
from toolkit.nn.gated_stack import GatedStack

EDGE, BLOCK, TILE = 32, 32, 16  # as in the source


def skips(stack: GatedStack, x: Tensor, condition: Tensor, exists: Tensor | None, count: int, dtype: torch.dtype) -> Tensor:
    """As ``GatedStack.skips``, and that itself where no gradient is wanted or dropout stands between the layers."""
    if not torch.is_grad_enabled() or (stack.training and stack.dropout.p):
        return stack.skips(x, condition, exists, count, dtype)
    layers = stack.each()
    found = native_for(layers, x, dtype)
    if found is not None:
        total = _native_skips(found, layers, x, condition, exists, count, dtype)
    else:
        weight = torch.cat([layer.skip.weight for layer in layers], 1).to(dtype)
        total = F.linear(_units(layers, x, condition, exists, count, dtype), weight).to(x.dtype)
    return total + sum((layer.skip.bias for layer in layers), x.new_zeros(()))  # the rows of a stack would share one gradient in memory


def native_for(layers: Sequence[GatedLayer], x: Tensor, dtype: torch.dtype) -> Library | None:
    """The compiled kernels if they take these layers."""
    found = library()
    gate, skip = layers[0].gates.out_features // 2, layers[0].skip.out_features
    if found is None or x.device.type != "cpu" or x.dtype != torch.float32 or x.shape[2] % BLOCK or gate % BLOCK or skip % BLOCK:
        return None
    takes = dtype == torch.float32 or (dtype == torch.bfloat16 and bool(found.cdll.gated_layers_has_bf16()))
    return found if takes else None


# ---------------------------------------------------------------------------------------------------------------------------
# Native


_SIZES = ("rows", "positions", "count", "layers", "taps", "residual", "gate", "skip", "condition", "bf16", "threads")


class _Sizes(ctypes.Structure):
    _fields_ = [*((name, c_int32) for name in _SIZES), ("dilations", ctypes.POINTER(c_int32))]


_FORWARD = ("x", "condition", "exists", "inputs", "gates", "skips", "into_gates", "bias", "onward", "into_skips")
_BACKWARD = (
    *("to_skips", "exists", "condition", "inputs", "gates", "to_x", "to_x_low", "to_condition"),
    *("from_gates", "from_onward", "from_skips", "to_weights", "to_onward", "to_into_skips", "to_bias"),
)


class _Forward(ctypes.Structure):
    _fields_ = [(name, c_void_p) for name in _FORWARD]


class _Backward(ctypes.Structure):
    _fields_ = [(name, c_void_p) for name in _BACKWARD]


class _Facts(NamedTuple):
    """What the backward pass must know besides tensors."""

    dilations: list[int]
    rows: int
    positions: int
    last: int  # positions with skips
    taps: int
    residual: int
    gate: int
    skip: int
    condition: int  # channels as they are
    dtype: torch.dtype

    @property
    def padded(self) -> int:
        """Channels of conditions in the kernel."""
        return -(-self.condition // BLOCK) * BLOCK

    @property
    def columns(self) -> int:
        """Inputs of a layer's gates in the kernel."""
        return self.taps * self.residual + self.padded

    @property
    def threads(self) -> int:
        return max(1, min(torch.get_num_threads(), self.rows))

    def sizes(self) -> _Sizes:
        widths = (self.taps, self.residual, self.gate, self.skip, self.padded, int(self.dtype == torch.bfloat16), self.threads)
        dilations = (c_int32 * len(self.dilations))(*self.dilations)
        return _Sizes(self.rows, self.positions, self.last, len(self.dilations), *widths, dilations)

    def places(self, channels: int, dtype: torch.dtype | None = None) -> Tensor:
        """Room for all positions and the edges, not set."""
        return torch.empty(self.rows, self.positions + 2 * EDGE, channels, dtype=dtype or self.dtype)


def _native_skips(
    found: Library, layers: Sequence[GatedLayer], x: Tensor, condition: Tensor, exists: Tensor | None, count: int, dtype: torch.dtype
) -> Tensor:
    """Sum of the skips without their biases, ``B count skip``."""
    gates, dilations = [layer.gates for layer in layers], [layer.dilation for layer in layers]
    onward = [layer.residual.weight for layer in layers if layer.residual is not None]
    weights = [torch.stack([gate.weight for gate in gates]), torch.stack([gate.bias for gate in gates])]
    weights.append(torch.stack(onward) if onward else x.new_zeros(0, x.shape[2], gates[0].out_features // 2))
    weights.append(torch.stack([layer.skip.weight for layer in layers]))
    total: Tensor = _NativeLayers.apply(x, condition, exists, dilations, count, dtype, found.cdll, *weights)  # type: ignore[no-untyped-call]
    return total


class _NativeLayers(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        condition: Tensor,
        exists: Tensor | None,
        dilations: list[int],
        count: int,
        dtype: torch.dtype,
        cdll: ctypes.CDLL,
        weight: Tensor,
        bias: Tensor,
        onward: Tensor,
        into_skips: Tensor,
    ) -> Tensor:
        depth, gate, skip = len(dilations), weight.shape[1] // 2, into_skips.shape[1]
        taps = (weight.shape[2] - condition.shape[2]) // x.shape[2]
        facts = _Facts(dilations, x.shape[0], x.shape[1], count, taps, x.shape[2], gate, skip, condition.shape[2], dtype)
        conditions = _inside(condition, facts.places(facts.padded))
        weight = F.pad(weight, (0, facts.padded - facts.condition)).to(dtype)
        in_turns = weight.view(depth, 2, gate // TILE, TILE, facts.columns).transpose(1, 2).reshape(weight.shape)
        exists = None if exists is None else exists.expand(x.shape[:2]).to(torch.uint8).contiguous()
        inputs = [facts.places(facts.residual) for _ in dilations]
        gates = [facts.places(2 * gate) for _ in dilations]
        skips = x.new_zeros(len(x), EDGE + count, skip)
        onward, into_skips = onward.to(dtype), into_skips.to(dtype)
        memory = [_inside(x, facts.places(facts.residual, x.dtype)), conditions, exists, inputs, gates, skips]
        operands = [_right(in_turns), bias.to(dtype).float().contiguous(), _right(onward), _right(into_skips)]
        _call(cdll.gated_layers_forward, facts, _Forward, [*memory, *operands])
        ctx.save_for_backward(conditions, exists, weight, onward, into_skips, *inputs, *gates)
        ctx.cdll, ctx.facts, ctx.kind = cdll, facts, condition.dtype
        return skips[:, EDGE:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_skips: Tensor) -> tuple[Tensor | None, ...]:
        facts: _Facts = ctx.facts
        conditions, exists, weight, onward, into_skips, *kept = ctx.saved_tensors
        depth, gate, residual, skip = len(facts.dilations), facts.gate, facts.residual, facts.skip
        to_x = facts.places(residual, torch.float32).zero_()
        to_condition = facts.places(facts.padded, torch.float32).zero_()
        sizes = (2 * gate * facts.columns, residual * gate, skip * gate, 2 * gate)
        found = [torch.zeros(facts.threads, depth, size) for size in sizes]
        low = F.pad(to_skips.to(facts.dtype), (0, 0, EDGE, 0))
        memory = [low, exists, conditions, kept[:depth], kept[depth:], to_x, facts.places(residual), to_condition]
        operands = [_right(matrix.transpose(1, 2)) for matrix in (weight, onward, into_skips)]
        _call(ctx.cdll.gated_layers_backward, facts, _Backward, [*memory, *operands, *found])
        of_gates, of_onward, of_skips, of_bias = (each.sum(0) for each in found)
        of_gates = _whole(of_gates, 2 * gate, facts.columns)[..., : facts.taps * residual + facts.condition]
        of_weights = (of_gates, of_bias, _whole(of_onward[: depth - 1], residual, gate), _whole(of_skips, skip, gate))
        of_condition = to_condition[:, EDGE:-EDGE, : facts.condition].to(ctx.kind)
        return to_x[:, EDGE:-EDGE], of_condition, None, None, None, None, None, *of_weights


def _call(function: Any, facts: _Facts, kind: type[ctypes.Structure], memory: Sequence[Tensor | Sequence[Tensor] | None]) -> None:
    """The kernel with addresses of tensors, of lists of tensors, and null for None."""
    addresses: list[object] = []
    for piece in memory:
        if piece is None or isinstance(piece, Tensor):
            addresses.append(None if piece is None else piece.data_ptr())
        else:
            addresses.append(ctypes.cast((c_void_p * len(piece))(*(each.data_ptr() for each in piece)), c_void_p))
    function.restype, function.argtypes = None, [c_void_p, c_void_p]
    function(ctypes.byref(facts.sizes()), ctypes.byref(kind(*addresses)))


def _inside(values: Tensor, places: Tensor) -> Tensor:
    """Values between edges, and before further channels, of zeros."""
    end = EDGE + values.shape[1]
    places[:, :EDGE].zero_()
    places[:, end:].zero_()
    places[:, EDGE:end, values.shape[2] :].zero_()
    places[:, EDGE:end, : values.shape[2]] = values
    return places


def _right(matrices: Tensor) -> Tensor:
    """``L outputs inputs`` -> right operands, packed as the source draws them."""
    depth, outputs, inputs = matrices.shape
    in_word = 4 // matrices.element_size()
    pieces = matrices.reshape(depth, outputs // BLOCK, 2, TILE, inputs // (TILE * in_word), TILE, in_word)
    return pieces.permute(0, 1, 4, 2, 5, 3, 6).contiguous()


def _whole(blocks: Tensor, outputs: int, inputs: int) -> Tensor:
    """``L`` times blocks of 32 x 32 -> ``L outputs inputs``."""
    pieces = blocks.view(-1, outputs // BLOCK, inputs // BLOCK, BLOCK, BLOCK)
    return pieces.transpose(2, 3).reshape(-1, outputs, inputs)


# ---------------------------------------------------------------------------------------------------------------------------
# Torch


def _units(layers: Sequence[GatedLayer], x: Tensor, condition: Tensor, exists: Tensor | None, count: int, dtype: torch.dtype) -> Tensor:
    """Units z of all layers at the last ``count`` positions, side by side: ``B count L*G``, of type ``dtype``."""
    weights = [layer.gates.weight for layer in layers] + [layer.gates.bias for layer in layers]
    weights += [layer.residual.weight for layer in layers if layer.residual is not None]
    units: Tensor = _TorchLayers.apply(  # type: ignore[no-untyped-call]
        x, condition.to(dtype), exists, [layer.dilation for layer in layers], count, *(w.to(dtype) for w in weights)
    )
    return units


class _TorchLayers(torch.autograd.Function):
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
