"""WaveNet sample by sample: ring buffers instead of recomputation (Fast WaveNet, section 2), rows side by side.

The state lives in ``Generation``, outside the network. What earlier samples give to all layers is one batched product a step;
the loop over layers then has five operations, all into memory that is allocated once.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from toolkit.nn import mixture_of_logistics
from toolkit.nn.gated_layer import RESIDUAL_SCALE
from toolkit.nn.gated_stack import GatedStack
from toolkit.nn.lp_shift import PredictionShift, Shift, TargetScale
from toolkit.nn.noise import Noise

HALF_BIN = 2.0**-16  # levels of a 16-bit file lie 2^-15 apart, from -1
LEVEL_MAX = 1.0 - 2.0**-15
BLOCK_VALUES = 2**19  # projected conditions that are held at once, small enough for a cache


class Net(Protocol):
    """What generation needs to know of a WaveNet."""

    stack: GatedStack
    shift: PredictionShift | TargetScale
    mixtures: int
    log_scale_min: float
    input_scale: float
    pre_emphasis: float
    temperature: float

    def conditions(self, frames: Tensor) -> tuple[Tensor, Shift]:
        """Frames with their neighbours -> upsampled conditions ``B N C`` and the shift of as many samples."""


class _Weights:
    """The weights of a stack, cut and transposed as the loop over samples needs them."""

    def __init__(self, stack: GatedStack) -> None:
        layers = stack.each()
        self.layers, self.gate, self.residual = len(layers), layers[0].skip.in_features, stack.first.out_features
        width, taps = self.residual, layers[0].kernel_size
        gates = torch.stack([layer.gates.weight for layer in layers])  # L 2G kC+Y
        self.past = [gates[:, :, k * width : (k + 1) * width].transpose(1, 2).contiguous() for k in range(taps - 1)]  # L C 2G
        self.now = [weight.T.contiguous() for weight in gates[:, :, (taps - 1) * width : taps * width]]
        self.condition = gates[:, :, taps * width :].flatten(0, 1)  # L*2G Y
        self.condition_bias = torch.cat([layer.gates.bias for layer in layers])
        self.onward = [layer.residual.weight.T.contiguous() for layer in layers if layer.residual is not None]
        self.skip = torch.cat([layer.skip.weight for layer in layers], 1).T * stack.skip_scale  # L*G S
        self.skip_bias = torch.stack([layer.skip.bias for layer in layers]).sum(0) * stack.skip_scale
        self.first, self.first_bias = stack.first.weight.T.contiguous(), stack.first.bias
        self.hidden, self.hidden_bias = stack.hidden.weight.T.contiguous(), stack.hidden.bias
        self.last, self.last_bias = stack.last.weight.T.contiguous(), stack.last.bias


class Generation:
    """Rows that are being spoken.

    Attributes:
        rows: numbers of the rows that still speak.
        trace: None, or a list that receives the mixture ``B 3K`` of each sample.
    """

    def __init__(self, net: Net, rows: int, noise: Noise | None) -> None:
        self.net, self.noise, self.total = net, noise, rows
        self.weights = _Weights(net.stack)
        new = net.stack.first.weight.new_zeros
        self.rows = torch.arange(rows, device=net.stack.first.weight.device)
        self.position = 0
        self.trace: list[Tensor] | None = None
        layers = net.stack.each()
        self.sizes = self.rows.new_tensor([layer.reach for layer in layers])
        self.offsets = torch.cumsum(self.sizes, 0) - self.sizes
        self.dilations = self.rows.new_tensor([layer.dilation for layer in layers])
        self.ring = new(int(self.sizes.sum()), rows, self.weights.residual)  # all layers, one after the other
        self.signal = new(max(1, net.shift.order), rows)  # pre-emphasised, oldest first
        self.wave = new(rows)
        self.inputs = new(net.shift.inputs, rows)  # last sample, last residual, prediction

    def keep(self, speaking: Tensor) -> None:
        """Drop the rows that are not in ``speaking``, bool over all rows of the start."""
        kept = speaking[self.rows]
        if not bool(kept.all()):
            self.rows = self.rows[kept]
            self.ring, self.signal = self.ring[:, kept], self.signal[:, kept]
            self.wave, self.inputs = self.wave[kept], self.inputs[:, kept]

    def speak(self, frames: Tensor) -> Tensor:
        """``B before+T+lookahead F`` -> the next ``T hop`` samples of the rows, ``B T*hop``."""
        conditions, shift = self.net.conditions(frames)
        weights, samples = self.weights, conditions.shape[1]
        size = max(1, BLOCK_VALUES // (len(self.rows) * len(weights.condition_bias)))
        waves = []
        for start in range(0, samples, size):
            part = slice(start, min(start + size, samples))
            projected = torch.addmm(weights.condition_bias, conditions[:, part].transpose(0, 1).flatten(0, 1), weights.condition.T)
            projected = projected.view(-1, len(self.rows), weights.layers, 2 * weights.gate).transpose(1, 2)  # n L B 2G
            waves.append(self._block(projected, Shift(shift.coefficients[:, part], shift.gain[:, part])))
        return torch.cat(waves).T

    def _draws(self, count: int) -> tuple[Tensor, Tensor]:
        """Gumbel ``n B K`` and logistic ``n B 1`` draws of the next samples; zeros without noise."""
        k, like = self.net.mixtures, self.wave
        if self.noise is None:
            zeros = like.new_zeros(count, len(self.rows), k + 1)
            return zeros[..., :k], zeros[..., k:]
        uniforms = self.noise.uniform("sample", self.position, count, self.total, k + 1)[self.rows.to(self.noise.device)]
        gumbel, logistic = mixture_of_logistics.draws(uniforms.transpose(0, 1).to(like))
        return gumbel * self.net.temperature, logistic * self.net.temperature

    def _block(self, projected: Tensor, shift: Shift) -> Tensor:
        """``projected`` conditions ``n L B 2G`` -> wave ``n B``."""
        net, inputs, order = self.net, self.inputs, self.net.shift.order
        count, rows = len(projected), len(self.rows)
        gumbel, logistic = self._draws(count)
        coefficients = shift.coefficients.permute(1, 2, 0).contiguous()  # n O B
        gain = shift.gain.T.contiguous()
        inverse = 1 / gain
        signal = torch.cat([self.signal, gain.new_empty(count, rows)])
        wave = torch.cat([self.wave[None], gain.new_empty(count, rows)])
        history = len(self.signal)
        step = _Step(self, rows, count)
        for n in range(count):
            now, last = signal[history + n], signal[history + n - 1]
            torch.mul(last, net.input_scale, out=inputs[0])
            if order:
                prediction = torch.mul(signal[n : n + order], coefficients[n]).sum(0)
                torch.mul(prediction, net.input_scale, out=inputs[2])
            mixture = step(n, inputs, projected[n])
            if self.trace is not None:
                self.trace.append(mixture.clone())
            drawn = mixture_of_logistics.pick(mixture, gumbel[n], logistic[n], net.log_scale_min)[:, 0]
            torch.mul(drawn, gain[n], out=now)
            if order:
                now.add_(prediction)
            now.add_(wave[n], alpha=net.pre_emphasis).clamp_(-1.0, LEVEL_MAX)
            wave[n + 1] = now
            now.sub_(wave[n], alpha=net.pre_emphasis)
            if order:
                torch.sub(now, prediction, out=inputs[1])
                inputs[1].mul_(inverse[n])
        self.signal, self.wave, self.position = signal[-history:], wave[-1], self.position + count
        return wave[1:]


class _Step:
    """One sample of all rows through the stack; its buffers and index tables serve a block of ``count`` samples."""

    def __init__(self, state: Generation, rows: int, count: int) -> None:
        weights, new = state.weights, state.ring.new_empty
        taps, width = len(weights.past), 2 * weights.gate
        times = torch.arange(state.position, state.position + count, device=state.ring.device)[:, None, None]
        back = torch.arange(taps, 0, -1, device=state.ring.device)[:, None] * state.dilations  # taps L
        self.reads = ((times - back) % state.sizes + state.offsets).flatten(1)  # n taps*L
        self.writes = (times[:, 0] % state.sizes + state.offsets).tolist()
        self.weights, self.ring, self.slots = weights, state.ring, state.ring.unbind()
        self.past = new(taps * weights.layers, rows, weights.residual)
        self.pasts = self.past.view(taps, weights.layers, rows, -1).unbind()
        self.gates = new(weights.layers, rows, width)
        self.each = [(z, z[:, : weights.gate], z[:, weights.gate :]) for z in self.gates]
        self.units = new(rows, weights.layers * weights.gate)
        self.unit = self.units.view(rows, weights.layers, weights.gate).unbind(1)
        self.skip, self.hidden = new(rows, weights.skip.shape[1]), new(rows, weights.hidden.shape[1])
        self.mixture = new(rows, weights.last.shape[1])

    def __call__(self, n: int, inputs: Tensor, projected: Tensor) -> Tensor:
        """Sample ``n`` of the block: inputs ``I B`` and projected conditions ``L B 2G`` -> mixture ``B 3K``."""
        w, slots, write = self.weights, self.slots, self.writes[n]
        torch.index_select(self.ring, 0, self.reads[n], out=self.past)
        for past, weight in zip(self.pasts, w.past, strict=True):
            projected = torch.baddbmm(projected, past, weight, out=self.gates)
        x = torch.addmm(w.first_bias, inputs.T, w.first, out=slots[write[0]])
        for i, (z, filtered, gate) in enumerate(self.each):
            z.addmm_(x, w.now[i])
            unit = torch.mul(filtered.tanh_(), gate.sigmoid_(), out=self.unit[i])
            if i + 1 < w.layers:
                x = torch.addmm(x, unit, w.onward[i], beta=RESIDUAL_SCALE, alpha=RESIDUAL_SCALE, out=slots[write[i + 1]])
        skip = torch.addmm(w.skip_bias, self.units, w.skip, out=self.skip).relu_()
        hidden = torch.addmm(w.hidden_bias, skip, w.hidden, out=self.hidden).relu_()
        return torch.addmm(w.last_bias, hidden, w.last, out=self.mixture)
