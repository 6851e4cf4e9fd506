"""WaveNet sample by sample: ring buffers instead of recomputation (Fast WaveNet, section 2), rows side by side.

The state lives in ``Generation``, outside the network. What earlier samples give to all layers is one batched product a step;
the loop over layers then has five operations, all into memory that is allocated once. A block of samples reads and writes only
such memory and never waits for the device, so on a GPU it is a CUDA graph::

    ring       slots of all layers, B C        what entered layer l at time t stands in slot offset[l] + t mod reach[l]
    entered    L, B C+Y                        what enters the layers at the present sample, copied to the ring after it; conditions
    gates      L B 2G  ->  units  B L*G        tanh and sigmoid; all units together give the skips
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Protocol

import torch
from torch import Tensor

from toolkit.kernels.cuda_graphs import Replay
from toolkit.nn.execution import Execution, torch_threads
from toolkit.nn.gated_layer import RESIDUAL_SCALE
from toolkit.nn.gated_stack import GatedStack
from toolkit.nn.lp_shift import PredictionShift, Shift, TargetScale
from toolkit.nn.noise import Noise
from toolkit.nn.sample_heads import SampleHead

LEVEL_MAX = 1.0 - 2.0**-15
PLAIN = Execution()
MOST_SAMPLES = 64  # of a block
MANY_VALUES = 2**13  # of all rows between two layers; with fewer, threads wait for each other


class Net(Protocol):
    """What generation needs to know of a WaveNet."""

    stack: GatedStack
    hop: int
    shift: PredictionShift | TargetScale
    head: SampleHead
    input_scale: float
    pre_emphasis: float
    temperature: float

    def conditions(self, frames: Tensor) -> tuple[Tensor, Shift]:
        """Frames with their neighbours -> upsampled conditions ``B N C`` and the shift of as many samples."""


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


class Generation:
    """Rows that are being spoken.

    With ``execution.precision`` ``bf16`` products inside layers and what is kept of earlier samples have eight bits; sums over
    layers, the input and the head do not. Any other precision is that of the net's weights. Many rows use several threads.

    Attributes:
        rows: numbers of the rows that still speak.
        trace: None, or a list that receives what the head says ``B P`` of each sample.
    """

    def __init__(self, net: Net, rows: int, noise: Noise | None, execution: Execution = PLAIN) -> None:
        self.net, self.noise, self.total, self.execution = net, noise, rows, execution
        like = net.stack.first.weight
        self.dtype = torch.bfloat16 if execution.precision == "bf16" and like.dtype == torch.float32 else like.dtype
        self.weights = _Weights(net.stack, self.dtype)
        self.rows = torch.arange(rows, device=like.device)
        self.position = 0
        self.trace: list[Tensor] | None = None
        layers = net.stack.each()
        self.sizes = self.rows.new_tensor([layer.reach for layer in layers])
        self.offsets = torch.cumsum(self.sizes, 0) - self.sizes
        self.dilations = self.rows.new_tensor([layer.dilation for layer in layers])
        self.ring = like.new_zeros(int(self.sizes.sum()), rows, self.weights.residual, dtype=self.dtype)  # all layers, one after the other
        self.signal = like.new_zeros(max(1, net.shift.order), rows)  # pre-emphasised, oldest first
        self.wave = like.new_zeros(rows)
        self.inputs = like.new_zeros(net.shift.inputs, rows)  # last sample, last residual, prediction
        self.block: _Block | None = None

    def keep(self, speaking: Tensor) -> None:
        """Drop the rows that are not in ``speaking``, bool over all rows of the start; on a GPU, for a new graph, once half are done."""
        kept = speaking[self.rows]
        left = int(kept.sum())
        if left == len(self.rows) or (self.rows.is_cuda and 2 * left > len(self.rows)):
            return
        self.rows = self.rows[kept]
        self.ring, self.signal = self.ring[:, kept], self.signal[:, kept]
        self.wave, self.inputs = self.wave[kept], self.inputs[:, kept]
        self.block = None

    def speak(self, frames: Tensor) -> Tensor:
        """``B before+T+lookahead F`` -> the next ``T hop`` samples of the rows, ``B T*hop``."""
        conditions, shift = self.net.conditions(frames)
        noise = self._draws(conditions.shape[1])
        self.block = self.block or _Block(self)
        size = self.block.count
        waves = []
        many = len(self.rows) * self.weights.residual >= MANY_VALUES
        with torch_threads(self.execution.workers) if many else nullcontext():
            for start in range(0, conditions.shape[1], size):
                part = slice(start, start + size)
                part_shift = Shift(shift.coefficients[:, part], shift.gain[:, part])
                waves.append(self.block(conditions[:, part], part_shift, [drawn[part] for drawn in noise]))
        return torch.cat(waves).T

    def _draws(self, count: int) -> list[Tensor]:
        """What the head draws the next samples with, each ``n B *``; zeros without noise."""
        head, like = self.net.head, self.wave
        if self.noise is None:
            return [like.new_zeros(count, len(self.rows), width) for width in head.draws]
        uniforms = self.noise.uniform("sample", self.position, count, self.total, sum(head.draws))[self.rows.to(self.noise.device)]
        return [drawn * self.net.temperature for drawn in head.noise(uniforms.transpose(0, 1).to(like))]


class _Block:
    """``count`` samples of the rows that speak now, through buffers that stay where they are. ``count`` divides the hop."""

    def __init__(self, state: Generation) -> None:
        net, weights, rows, like = state.net, state.weights, len(state.rows), state.wave
        self.state, self.net, self.weights = state, net, weights
        layers, width, taps, order = weights.layers, 2 * weights.gate, len(weights.past), net.shift.order
        self.count = max(size for size in range(1, MOST_SAMPLES + 1) if net.hop % size == 0)
        low = state.ring.new_empty
        self.reads = state.rows.new_empty(self.count, taps * layers)
        self.writes = state.rows.new_empty(self.count, layers)
        self.conditions = low(self.count, rows, len(weights.now[0]) - weights.residual)
        self.noise = [like.new_empty(self.count, rows, width) for width in net.head.draws]
        self.coefficients = like.new_empty(self.count, order, rows)
        self.gain, self.inverse = like.new_empty(self.count, rows), like.new_empty(self.count, rows)
        self.signal, self.wave = like.new_empty(len(state.signal) + self.count, rows), like.new_empty(1 + self.count, rows)
        self.outputs = like.new_empty(self.count, rows, net.head.outputs)
        self.past = low(taps * layers, rows, weights.residual)
        self.pasts = self.past.view(taps, layers, rows, -1).unbind()
        self.gates, self.both = low(layers, rows, width), low(layers, rows, len(weights.now[0]))
        self.entered, self.condition = self.both.tensor_split([weights.residual], 2)
        self.units = low(rows, layers * weights.gate)
        self.unit = self.units.view(rows, layers, weights.gate).unbind(1)
        self.skip, self.hidden = low(rows, weights.skip.shape[1]), like.new_empty(rows, weights.hidden.shape[1])
        self.layer = _Layers(self) if state.dtype == like.dtype else _LowLayers(self)
        self.run = Replay(self._samples, [state.ring, state.signal, state.wave, state.inputs], like.device)

    def __call__(self, conditions: Tensor, shift: Shift, noise: Sequence[Tensor]) -> Tensor:
        """Conditions ``B n C``, shift of as many samples and noise ``n B *`` -> wave ``n B``."""
        state, weights = self.state, self.weights
        times = torch.arange(state.position, state.position + self.count, device=self.reads.device)[:, None, None]
        back = torch.arange(len(weights.past), 0, -1, device=self.reads.device)[:, None] * state.dilations  # taps L
        self.reads.copy_(((times - back) % state.sizes + state.offsets).flatten(1))
        self.writes.copy_(times[:, 0] % state.sizes + state.offsets)
        self.conditions.copy_(conditions.transpose(0, 1))
        for held, drawn in zip(self.noise, noise, strict=True):
            held.copy_(drawn)
        self.coefficients.copy_(shift.coefficients.permute(1, 2, 0))
        self.gain.copy_(shift.gain.T)
        torch.reciprocal(self.gain, out=self.inverse)
        self.run()
        state.position += self.count
        if state.trace is not None:
            state.trace.extend(self.outputs.clone())
        return self.wave[1:].clone()

    def _samples(self) -> None:
        """The loop over the samples of a block; what it needs stands in the buffers."""
        state, net, inputs, order = self.state, self.net, self.state.inputs, self.net.shift.order
        signal, wave, history = self.signal, self.wave, len(self.state.signal)
        signal[:history].copy_(state.signal)
        wave[0].copy_(state.wave)
        for n in range(self.count):
            now, last = signal[history + n], signal[history + n - 1]
            torch.mul(last, net.input_scale, out=inputs[0])
            if order:
                prediction = torch.mul(signal[n : n + order], self.coefficients[n]).sum(0)
                torch.mul(prediction, net.input_scale, out=inputs[2])
            drawn = net.head.pick(self._outputs(n, inputs), tuple(noise[n] for noise in self.noise))
            torch.mul(drawn, self.gain[n], out=now)
            if order:
                now.add_(prediction)
            now.add_(wave[n], alpha=net.pre_emphasis).clamp_(-1.0, LEVEL_MAX)
            wave[n + 1] = now
            now.sub_(wave[n], alpha=net.pre_emphasis)
            if order:
                torch.sub(now, prediction, out=inputs[1])
                inputs[1].mul_(self.inverse[n])
        state.signal.copy_(signal[self.count :])
        state.wave.copy_(wave[self.count])

    def _outputs(self, n: int, inputs: Tensor) -> Tensor:
        """One sample of all rows through the stack: inputs ``I B`` of sample ``n`` -> what the head says of it, ``B P``."""
        w, ring, gates = self.weights, self.state.ring, self.weights.gates_bias
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
