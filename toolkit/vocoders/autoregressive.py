"""What vocoders have in common that speak sample by sample: conditions, the target, the likelihood, and speech in rows and chunks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from toolkit.audio.mel import MelSettings
from toolkit.data.batches import WaveBatch
from toolkit.errors import ConfigError
from toolkit.nn.frame_network import FrameNetwork
from toolkit.nn.lp_shift import PredictionShift, Shift, TargetScale, delayed, predict
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.nn.normaliser import Normaliser
from toolkit.nn.sample_heads import HALF_BIN, sample_head
from toolkit.nn.smoothed_upsampling import SmoothedUpsampling
from toolkit.nn.upsampling import LinearUpsampling, TransposedUpsampling, Upsampling, default_scales, hold_edges, upsampling_rates
from toolkit.vocoders import folding
from toolkit.vocoders.base import Vocoder
from toolkit.vocoders.sample_loop import LEVEL_MAX

BLOCK_FRAMES = 4  # frames of conditions that generation holds at once


class Speaking(Protocol):
    """Rows that are being spoken."""

    rows: Tensor

    def keep(self, speaking: Tensor) -> None:
        """Drop the rows that are not in ``speaking``, bool over all rows of the start."""

    def speak(self, frames: Tensor) -> Tensor:
        """``B before+T+lookahead F`` -> the next ``T hop`` samples of the rows, ``B T*hop``."""


class AutoregressiveVocoder(Vocoder):
    """A vocoder that says of each 16-bit sample how it is distributed, given the samples before it and the frames.

    The target is ``(x - p) / g`` with a shift p and a gain g that are known before the sample. A part gives ``predict``,
    ``losses`` and ``speaking``, and calls ``remember``. A speaker is not used.

    Attributes:
        before, lookahead: frames that the conditions of a frame depend on, before and after it.
        memory: samples after which it matters no more that there was silence before.
    """

    def __init__(
        self,
        condition_dim: int,
        hop: int,
        features: MelSettings,
        *,
        head: str,
        mixtures: int,
        condition: int,
        condition_layers: int,
        upsample: str,
        scales: list[int] | None,
        target_scale: float,
        log_scale_min: float,
        pre_emphasis: float,
        lp_shift: bool,
        lp_order: int,
        input_scale: float,
        temperature: float,
        aux_context: int = 2,
    ) -> None:
        super().__init__()
        if lp_shift and target_scale != 1.0:
            raise ConfigError(f"target_scale: must be 1.0 with lp_shift, whose gain scales the target, got {target_scale}")
        if lp_shift and (condition_dim, hop) != (features.n_mels, features.hop):
            raise ConfigError(f"lp_shift: needs mels of {features.n_mels} bands as the condition, got {condition_dim}; set lp_shift false")
        if head == "mulaw" and (lp_shift or pre_emphasis or target_scale != 1.0):
            raise ConfigError("head: mulaw has classes of the wave itself; set lp_shift false, pre_emphasis 0 and target_scale 1")
        self.hop, self.pre_emphasis, self.temperature, self.input_scale = hop, pre_emphasis, temperature, input_scale
        self.head = sample_head(head, mixtures, log_scale_min + math.log(target_scale))
        self.normaliser = Normaliser(condition_dim)
        self.frame_network = FrameNetwork(condition_dim, condition, condition_layers)
        self.upsampling = _upsampling(upsample, self.frame_network.channels, condition, hop, scales, aux_context)
        self.shift: PredictionShift | TargetScale = (
            PredictionShift(hop, features, lp_order, pre_emphasis) if lp_shift else TargetScale(hop, target_scale)
        )
        self.before = self.frame_network.reach + self.upsampling.before
        self.lookahead = max(self.frame_network.reach + self.upsampling.after, self.shift.after)

    def remember(self, samples: int) -> None:
        """Set ``memory``, at least what the target is made of, and ``context``."""
        self.memory = max(samples, self.shift.order + 1)
        self.context = self.before + -(-self.memory // self.hop)

    def use_statistics(self, mean: Tensor, std: Tensor) -> None:
        self.normaliser.set(mean, std)

    def conditions(self, frames: Tensor) -> tuple[Tensor, Shift]:
        """``B before+T+lookahead F`` in natural units -> upsampled conditions ``B T*hop C`` and the shift of as many samples."""
        hidden, shift = self.frame_conditions(frames)
        return self.upsampling(hidden), shift

    def frame_conditions(self, frames: Tensor) -> tuple[Tensor, Shift]:
        """As ``conditions``, but before upsampling: ``B before+T+after C``, the neighbours being those of the upsampling."""
        end = frames.shape[1] - self.lookahead
        shift = self.shift(frames[:, self.before : end + self.shift.after])
        hidden = self.frame_network(self.normaliser(frames))
        return hidden[:, : self.upsampling.before + end - self.before + self.upsampling.after], shift

    def predict(self, condition: Tensor, wave: Tensor, lengths: Tensor) -> Tensor:
        """What the head says of every sample given those before it: ``B T F``, ``B T*hop``, frames ``B`` -> ``B T*hop P``."""
        raise NotImplementedError

    def log_likelihood(self, condition: Tensor, wave: Tensor, lengths: Tensor) -> Tensor:
        """Mean nats a sample of whole utterances ``B``: ``condition`` ``B T F``, ``wave`` ``B T*hop``, ``lengths`` frames ``B``."""
        return self.score(self.predict(condition, wave, lengths), condition, wave, lengths)

    def score(self, outputs: Tensor, condition: Tensor, wave: Tensor, lengths: Tensor) -> Tensor:
        """Mean nats a sample ``B`` of a wave ``B T*hop`` under the ``B T*hop P`` that something predicted for it."""
        nats = self._nats(outputs, *self._targets(condition, wave, lengths), wave)
        return nats.masked_fill(padding_mask(lengths * self.hop, wave.shape[1]), 0.0).sum(1) / (lengths * self.hop)

    def crop_loss(self, outputs: Tensor, target: Tensor, gain: Tensor, batch: WaveBatch) -> dict[str, Tensor]:
        """``nll``: nats of the scored samples over the samples of the global batch; outputs ``B crop*hop P``, the others ``B crop*hop``."""
        start = batch.context * self.hop
        nats = self._nats(outputs, target, gain, batch.wave[:, start:])
        padding = padding_mask(batch.ends - start, nats.shape[1])
        return {"nll": -nats.masked_fill(padding, 0.0).sum() / batch.counts.samples}

    def _targets(self, condition: Tensor, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Target and gain of all samples, each ``B T*hop``."""
        _, shift = self.frame_conditions(self._held(condition, lengths))
        return self._signals(wave, shift)[1], shift.gain

    def _held(self, condition: Tensor, lengths: Tensor) -> Tensor:
        """Frames with their neighbours, ``B T F`` -> ``B before+T+lookahead F``."""
        return hold_edges(condition, torch.zeros_like(lengths), lengths, self.before, self.lookahead)

    def _signals(self, wave: Tensor, shift: Shift) -> tuple[Tensor, Tensor]:
        """``B N`` -> what enters the net before each sample ``B N I``, and the target ``B N`` in its units."""
        signal = wave - self.pre_emphasis * delayed(wave)
        past = delayed(signal) * self.input_scale
        prediction = predict(signal, shift.coefficients)
        target = (signal - prediction) / shift.gain
        if self.shift.order == 0:
            return past[..., None], target
        return torch.stack([past, delayed(target), prediction * self.input_scale], -1), target

    def _nats(self, outputs: Tensor, target: Tensor, gain: Tensor, wave: Tensor) -> Tensor:
        lowest, highest = wave <= -1 + HALF_BIN, wave >= LEVEL_MAX - HALF_BIN
        return self.head.log_likelihood(outputs, target, HALF_BIN / gain, lowest, highest)

    def speaking(self, rows: int, noise: Noise | None) -> Speaking:
        """So many rows before their first sample."""
        raise NotImplementedError

    @torch.inference_mode()
    def generate(self, condition: Tensor, lengths: Tensor, noise: Noise | None, speaker: Tensor | None = None) -> Tensor:
        """Sampled wave; ``noise`` None takes the likeliest at each, of a mixture the mean of its likeliest component.

        With ``execution.folds`` above 1 an utterance of more than two overlaps is spoken in segments (see ``folding``):
        what is said and how is the same, the samples are not.
        """
        held = self._held(condition, lengths)
        if self.execution.folds == 1:
            return self._speak_rows(held, lengths, noise)
        shared, edges = folding.overlap(self.memory, self.hop), (self.before, self.lookahead)
        return folding.speak_folded(self._speak_rows, held, lengths, noise, self.execution.folds, shared, edges, self.hop)

    def _speak_rows(self, held: Tensor, lengths: Tensor, noise: Noise | None) -> Tensor:
        """``held`` ``B before+T+lookahead F`` -> wave ``B T*hop``, 0 past the length."""
        rows, frames = held.shape[0], held.shape[1] - self.before - self.lookahead
        wave = held.new_zeros(rows, frames * self.hop)
        speaking = self.speaking(rows, noise)
        for start in range(0, int(lengths.max()), BLOCK_FRAMES):
            speaking.keep(lengths > start)
            size = min(BLOCK_FRAMES, frames - start)
            block = held[speaking.rows, start : start + self.before + size + self.lookahead]
            wave[speaking.rows, start * self.hop : (start + size) * self.hop] = speaking.speak(block)
        return wave.masked_fill(padding_mask(lengths * self.hop, wave.shape[1]), 0.0)

    @torch.inference_mode()
    def stream(self, chunks: Iterable[Tensor], noise: Noise | None) -> Iterator[Tensor]:
        """Speaks as far as the frames that came allow: ``lookahead`` frames behind them."""
        speaking, held = self.speaking(1, noise), None
        for chunk in chunks:
            held = torch.cat([chunk[:, :1].expand(-1, self.before, -1) if held is None else held, chunk], 1)
            ready = held.shape[1] - self.before - self.lookahead
            if ready > 0:
                yield speaking.speak(held)
                held = held[:, ready:]
        if held is not None:
            yield speaking.speak(torch.cat([held, held[:, -1:].expand(-1, self.lookahead, -1)], 1))


def _upsampling(kind: str, in_channels: int, channels: int, hop: int, scales: list[int] | None, aux_context: int) -> Upsampling:
    if kind == "linear":
        return LinearUpsampling(in_channels, hop)
    if kind == "transposed":
        return TransposedUpsampling(in_channels, channels, hop, scales or default_scales(hop))
    if kind == "smoothed":
        return SmoothedUpsampling(in_channels, hop, aux_context, scales or upsampling_rates(hop))
    raise ConfigError(f"upsample: must be transposed, linear or smoothed, got {kind!r}")
