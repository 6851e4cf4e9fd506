"""WaveNet sample by sample: ring buffers instead of recomputation (Fast WaveNet, section 2), rows side by side.

What earlier samples give to all layers is one batched product a step; the loop over layers then has five operations, all into
memory that is allocated once::

    ring       slots of all layers, B C        what entered layer l at time t stands in slot offset[l] + t mod reach[l]
    entered    L, B C+Y                        what enters the layers at the present sample, copied to the ring after it; conditions
    gates      L B 2G  ->  units  B L*G        tanh and sigmoid; all units together give the skips
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from toolkit.nn.execution import Execution
from toolkit.nn.gated_layer import RESIDUAL_SCALE
from toolkit.nn.gated_stack import GatedStack
from toolkit.nn.noise import Noise
from toolkit.vocoders.sample_loop import SampleBlock, SampleLoop, Speaker

PLAIN = Execution()


class Net(Speaker, Protocol):
    """What generation needs to know of a WaveNet."""

    stack: GatedStack


class _Weights:
    """The weights of a stack, cut and transposed as the loop over samples needs them; inside layers in ``dtype``."""

    def __init__(self, stack: GatedStack, dtype: torch.dtype) -> None:
        layers = stack.each()
        self.layers, self.gate, self.residual = len(layers), layers[0].skip.in_features, stack.first.out_features
        width, taps = self.residual, layers[0].kernel_size
        gates = torch.stack([layer.gates.weight for layer in layers]).to(dtype)  # L 2G kC+Y
        self.past = [gates[:, :, k * width : (k + 1) * width].transpose(1, 2).contiguous() for k in range(taps - 1)]  # L C 2G
        self.now = [weight.T.contiguous() for weight in gates[:, :, (taps - 1) * width :]]  # C+Y 2G
        self.gates_bias = torch.stack([layer.gates.bias for layer in layers])[:, None].to(dtype)  # L 1 2G
        self.onward = [layer.residual.weight.T.contiguous().to(dtype) for layer in layers if layer.residual is not None]
        self.skip = torch.cat([layer.skip.weight for layer in layers], 1).T.to(dtype) * stack.skip_scale  # L*G S
        self.skip_bias = (torch.stack([layer.skip.bias for layer in layers]).sum(0) * stack.skip_scale).to(dtype)
        self.first, self.first_bias = stack.first.weight.T.contiguous(), stack.first.bias
        self.hidden, self.hidden_bias = stack.hidden.weight.T.contiguous(), stack.hidden.bias
        self.last, self.last_bias = stack.last.weight.T.contiguous(), stack.last.bias


class Generation(SampleLoop):
    """Rows that are being spoken by a WaveNet.

    With ``execution.precision`` ``bf16`` products inside layers and what is kept of earlier samples have eight bits; sums over
    layers, the input and the head do not. Any other precision is that of the net's weights.
    """

    def __init__(self, net: Net, rows: int, noise: Noise | None, execution: Execution = PLAIN) -> None:
        like = net.stack.first.weight
        self.dtype = torch.bfloat16 if execution.precision == "bf16" and like.dtype == torch.float32 else like.dtype
        self.weights = _Weights(net.stack, self.dtype)
        super().__init__(net, rows, noise, execution, like, self.weights.residual)
        layers = net.stack.each()
        self.sizes = self.rows.new_tensor([layer.reach for layer in layers])
        self.offsets = torch.cumsum(self.sizes, 0) - self.sizes
        self.dilations = self.rows.new_tensor([layer.dilation for layer in layers])
        self.ring = like.new_zeros(int(self.sizes.sum()), rows, self.weights.residual, dtype=self.dtype)  # all layers, one after the other

    def keep_rows(self, kept: Tensor) -> None:
        self.ring = self.ring[:, kept]

    def new_block(self) -> SampleBlock:
        return _Block(self)


class _Block(SampleBlock):
    def __init__(self, state: Generation) -> None:
        weights, rows, like = state.weights, len(state.rows), state.wave
        super().__init__(state, [state.ring], len(weights.now[0]) - weights.residual, state.dtype)
        self.generation, self.weights = state, weights
        layers, width, taps = weights.layers, 2 * weights.gate, len(weights.past)
        low = state.ring.new_empty
        self.reads = state.rows.new_empty(self.count, taps * layers)
        self.writes = state.rows.new_empty(self.count, layers)
        self.past = low(taps * layers, rows, weights.residual)
        self.pasts = self.past.view(taps, layers, rows, -1).unbind()
        self.gates, self.both = low(layers, rows, width), low(layers, rows, len(weights.now[0]))
        self.entered, self.condition = self.both.tensor_split([weights.residual], 2)
        self.units = low(rows, layers * weights.gate)
        self.unit = self.units.view(rows, layers, weights.gate).unbind(1)
        self.skip, self.hidden = low(rows, weights.skip.shape[1]), like.new_empty(rows, weights.hidden.shape[1])
        self.layer = _Layers(self) if state.dtype == like.dtype else _LowLayers(self)

    def take(self, conditions: Tensor) -> None:
        super().take(conditions)
        state = self.generation
        times = torch.arange(state.position, state.position + self.count, device=self.reads.device)[:, None, None]
        back = torch.arange(len(self.weights.past), 0, -1, device=self.reads.device)[:, None] * state.dilations  # taps L
        self.reads.copy_(((times - back) % state.sizes + state.offsets).flatten(1))
        self.writes.copy_(times[:, 0] % state.sizes + state.offsets)

    def outputs_of(self, n: int, inputs: Tensor) -> Tensor:
        w, ring, gates = self.weights, self.generation.ring, self.weights.gates_bias
        torch.index_select(ring, 0, self.reads[n], out=self.past)
        for past, weight in zip(self.pasts, w.past, strict=True):
            gates = torch.baddbmm(gates, past, weight, out=self.gates)
        self.condition.copy_(self.conditions[n])
        self.layer.enter(torch.addmm(w.first_bias, inputs.T, w.first))
        for i in range(w.layers):
            self.layer(i)
        ring.index_copy_(0, self.writes[n], self.entered)
        skip = torch.addmm(w.skip_bias, self.units, w.skip, out=self.skip).relu_()
        hidden = torch.addmm(w.hidden_bias, skip.to(w.hidden.dtype), w.hidden, out=self.hidden).relu_()
        return torch.addmm(w.last_bias, hidden, w.last, out=self.outputs[n])


class _Layers:
    """What a layer does in a step, once its gates hold what conditions and earlier samples give."""

    def __init__(self, block: _Block) -> None:
        self.weights, self.both, self.entered, self.unit = block.weights, block.both.unbind(), block.entered.unbind(), block.unit
        self.gates = [(z, *z.chunk(2, 1)) for z in block.gates]

    def enter(self, x: Tensor) -> None:
        """Take what enters the first layer, ``B C``."""
        self.entered[0].copy_(x)

    def __call__(self, i: int) -> None:
        """From what enters layer ``i`` to its unit and to what enters the next."""
        z, filtered, gate = self.gates[i]
        z.addmm_(self.both[i], self.weights.now[i])
        torch.mul(filtered.tanh_(), gate.sigmoid_(), out=self.unit[i])
        if i + 1 < self.weights.layers:
            onward, scale = self.weights.onward[i], RESIDUAL_SCALE
            torch.addmm(self.entered[i], self.unit[i], onward, beta=scale, alpha=scale, out=self.entered[i + 1])


class _LowLayers(_Layers):
    """The same with products of eight bits; tanh, sigmoid and the sum over layers have all bits."""

    def __init__(self, block: _Block) -> None:
        super().__init__(block)
        wide = block.wave.new_empty
        self.z = wide(block.gates.shape[1:])
        self.filtered, self.gate = self.z.chunk(2, 1)
        self.x, self.product = wide(block.entered.shape[1:]), block.both.new_empty(block.entered.shape[1:])

    def enter(self, x: Tensor) -> None:
        self.x.copy_(x)
        self.entered[0].copy_(x)

    def __call__(self, i: int) -> None:
        self.z.copy_(self.gates[i][0].addmm_(self.both[i], self.weights.now[i]))
        self.unit[i].copy_(self.filtered.tanh_().mul_(self.gate.sigmoid_()))
        if i + 1 < self.weights.layers:
            torch.mm(self.unit[i], self.weights.onward[i], out=self.product)
            self.x.add_(self.product).mul_(RESIDUAL_SCALE)
            self.entered[i + 1].copy_(self.x)
