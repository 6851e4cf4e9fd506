"""A vocoder sample by sample, rows side by side: what is known before a sample, the draw from what the net says, and what follows.

The state lives in ``SampleLoop``, outside the network. A block of samples reads and writes only memory that is allocated once
and never waits for the device, so on a GPU it is a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Protocol

import torch
from torch import Tensor

from toolkit.kernels.cuda_graphs import Replay
from toolkit.nn.execution import Execution, torch_threads
from toolkit.nn.lp_shift import PredictionShift, Shift, TargetScale
from toolkit.nn.noise import Noise
from toolkit.nn.sample_heads import SampleHead

LEVEL_MAX = 1.0 - 2.0**-15
MOST_SAMPLES = 64  # of a block
MANY_VALUES = 2**13  # of all rows between two layers; with fewer, threads wait for each other


class Speaker(Protocol):
    """What the loop needs to know of a vocoder."""

    hop: int
    shift: PredictionShift | TargetScale
    head: SampleHead
    input_scale: float
    pre_emphasis: float
    temperature: float

    def conditions(self, frames: Tensor) -> tuple[Tensor, Shift]:
        """Frames with their neighbours -> upsampled conditions ``B N C`` and the shift of as many samples."""


class SampleLoop:
    """Rows that are being spoken. A part gives ``keep_rows`` and ``new_block``. Many rows use several threads.

    Args:
        net: the vocoder.
        rows: how many.
        noise: None takes the likeliest sample.
        execution: how it runs.
        like: a weight, of whose type and device the wave is.
        width: of what passes from layer to layer.

    Attributes:
        rows: numbers of the rows that still speak.
        trace: None, or a list that receives what the head says ``B P`` of each sample.
    """

    def __init__(self, net: Speaker, rows: int, noise: Noise | None, execution: Execution, like: Tensor, width: int) -> None:
        self.speaker, self.noise, self.total, self.execution, self.width = net, noise, rows, execution, width
        self.rows = torch.arange(rows, device=like.device)
        self.position = 0
        self.trace: list[Tensor] | None = None
        self.signal = like.new_zeros(max(1, net.shift.order), rows)  # pre-emphasised, oldest first
        self.wave = like.new_zeros(rows)
        self.inputs = like.new_zeros(net.shift.inputs, rows)  # last sample, last residual, prediction
        self.block: SampleBlock | None = None

    def keep_rows(self, kept: Tensor) -> None:
        """Of what the net remembers, keep these rows, bool over those that spoke."""
        raise NotImplementedError

    def new_block(self) -> SampleBlock:
        """Buffers for the rows that speak now."""
        raise NotImplementedError

    def keep(self, speaking: Tensor) -> None:
        """Drop the rows that are not in ``speaking``, bool over all rows of the start; on a GPU, for a new graph, once half are done."""
        kept = speaking[self.rows]
        left = int(kept.sum())
        if left == len(self.rows) or (self.rows.is_cuda and 2 * left > len(self.rows)):
            return
        self.rows, self.signal = self.rows[kept], self.signal[:, kept]
        self.wave, self.inputs = self.wave[kept], self.inputs[:, kept]
        self.keep_rows(kept)
        self.block = None

    def speak(self, frames: Tensor) -> Tensor:
        """``B before+T+lookahead F`` -> the next ``T hop`` samples of the rows, ``B T*hop``."""
        conditions, shift = self.speaker.conditions(frames)
        noise = self._draws(conditions.shape[1])
        self.block = self.block or self.new_block()
        size = self.block.count
        waves = []
        many = len(self.rows) * self.width >= MANY_VALUES
        with torch_threads(self.execution.workers) if many else nullcontext():
            for start in range(0, conditions.shape[1], size):
                part = slice(start, start + size)
                part_shift = Shift(shift.coefficients[:, part], shift.gain[:, part])
                waves.append(self.block(conditions[:, part], part_shift, [drawn[part] for drawn in noise]))
        return torch.cat(waves).T

    def _draws(self, count: int) -> list[Tensor]:
        """What the head draws the next samples with, each ``n B *``; zeros without noise."""
        head, like = self.speaker.head, self.wave
        if self.noise is None:
            return [like.new_zeros(count, len(self.rows), width) for width in head.draws]
        uniforms = self.noise.uniform("sample", self.position, count, self.total, sum(head.draws))[self.rows.to(self.noise.device)]
        return [drawn * self.speaker.temperature for drawn in head.noise(uniforms.transpose(0, 1).to(like))]


class SampleBlock:
    """``count`` samples of the rows that speak now, through buffers that stay where they are. ``count`` divides the hop.

    A part gives ``outputs_of``.

    Args:
        state: of the rows.
        remembered: what the net reads of earlier samples and changes.
        width: of what is kept of a sample's conditions. dtype: of that.
    """

    def __init__(self, state: SampleLoop, remembered: Sequence[Tensor], width: int, dtype: torch.dtype) -> None:
        net, rows, like = state.speaker, len(state.rows), state.wave
        self.state, self.speaker, order = state, net, net.shift.order
        self.count = max(size for size in range(1, MOST_SAMPLES + 1) if net.hop % size == 0)
        self.conditions = like.new_empty(self.count, rows, width, dtype=dtype)
        self.noise = [like.new_empty(self.count, rows, width) for width in net.head.draws]
        self.coefficients = like.new_empty(self.count, order, rows)
        self.gain, self.inverse = like.new_empty(self.count, rows), like.new_empty(self.count, rows)
        self.signal, self.wave = like.new_empty(len(state.signal) + self.count, rows), like.new_empty(1 + self.count, rows)
        self.outputs = like.new_empty(self.count, rows, net.head.outputs)
        self.run = Replay(self._samples, [*remembered, state.signal, state.wave, state.inputs], like.device)

    def outputs_of(self, n: int, inputs: Tensor) -> Tensor:
        """One sample of all rows through the net: inputs ``I B`` of sample ``n`` -> what the head says of it, ``B P``, in ``outputs``."""
        raise NotImplementedError

    def take(self, conditions: Tensor) -> None:
        """Make ready for the next samples, whose conditions are ``n B C``."""
        self.conditions.copy_(conditions)

    def __call__(self, conditions: Tensor, shift: Shift, noise: Sequence[Tensor]) -> Tensor:
        """Conditions ``B n C``, shift of as many samples and noise ``n B *`` -> wave ``n B``."""
        state = self.state
        self.take(conditions.transpose(0, 1))
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
        state, net, inputs, order = self.state, self.speaker, self.state.inputs, self.speaker.shift.order
        signal, wave, history = self.signal, self.wave, len(self.state.signal)
        signal[:history].copy_(state.signal)
        wave[0].copy_(state.wave)
        for n in range(self.count):
            now, last = signal[history + n], signal[history + n - 1]
            torch.mul(last, net.input_scale, out=inputs[0])
            if order:
                prediction = torch.mul(signal[n : n + order], self.coefficients[n]).sum(0)
                torch.mul(prediction, net.input_scale, out=inputs[2])
            drawn = net.head.pick(self.outputs_of(n, inputs), tuple(noise[n] for noise in self.noise))
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
