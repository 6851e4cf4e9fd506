"""WaveNet, with a mixture of logistics as in Tacotron 2 or another distribution, and optionally on the residual of a linear predictor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from toolkit.audio.mel import MelSettings
from toolkit.data.batches import WaveBatch
from toolkit.errors import ConfigError
from toolkit.kernels import gated_layers
from toolkit.kernels import wavenet as native_wavenet
from toolkit.kernels.wavenet import NativeGeneration
from toolkit.nn.frame_network import FrameNetwork
from toolkit.nn.gated_stack import FastSkips, GatedStack, dilation_cycles
from toolkit.nn.lp_shift import PredictionShift, Shift, TargetScale, delayed, predict
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.nn.normaliser import Normaliser
from toolkit.nn.sample_heads import HALF_BIN, sample_head
from toolkit.nn.upsampling import LinearUpsampling, TransposedUpsampling, default_scales, hold_edges
from toolkit.vocoders import wavenet_folding
from toolkit.vocoders.base import VOCODERS, Vocoder
from toolkit.vocoders.wavenet_generation import LEVEL_MAX, Generation

BLOCK_FRAMES = 4  # frames of conditions that generation holds at once


@VOCODERS.register("wavenet")
class WaveNet(Vocoder):
    """Autoregressive vocoder on 16-bit samples with the exact discretised likelihood.

    The defaults have the published depth; the paper does not state widths. A speaker is not used.

    Args:
        layers, cycles: dilations 2^(k mod layers/cycles); or ``dilations``, one for each layer.
        kernel_size: taps, 2 or 3 (3 follows from the published receptive field of 6139 samples).
        residual, gate, skip: channels between layers, of the gated unit, of the head. Time and weights grow with their products.
        head: what is said of a sample: ``mol``, a mixture of logistics, as published; ``gaussian``, one Gaussian, for which ClariNet
            has a log_scale_min of -7; ``mulaw``, the 256 classes of the first WaveNet, for a wave that is modelled as it is.
        mixtures: logistics.
        condition: channels of the upsampled conditions. condition_layers: convolutions over 3 frames before upsampling.
        upsample: ``transposed`` (learned, Tacotron 2) or ``linear``. scales: of the transposed kind, their product is the hop.
        target_scale: 127.5 in the paper. log_scale_min: least log-scale, for a wave in [-1, 1] that is not scaled.
        pre_emphasis: the net sees and models x_t - pre_emphasis x_(t-1).
        lp_shift: model the error of a linear predictor of ``lp_order`` from the mel, in units of its gain.
        input_scale: factor on the wave where it enters the net.
        temperature: of sampling. dropout: on the input of layers, in training.
        precision: ``fp32``, or ``bf16`` for the products of training.
    """

    def __init__(
        self,
        condition_dim: int,
        hop: int,
        features: MelSettings,
        *,
        layers: int = 30,
        cycles: int = 3,
        dilations: list[int] | None = None,
        kernel_size: int = 3,
        residual: int = 128,
        gate: int = 128,
        skip: int = 128,
        head: str = "mol",
        mixtures: int = 10,
        condition: int = 80,
        condition_layers: int = 0,
        upsample: str = "transposed",
        scales: list[int] | None = None,
        target_scale: float = 1.0,
        log_scale_min: float = -16.0,
        pre_emphasis: float = 0.0,
        lp_shift: bool = False,
        lp_order: int = 16,
        input_scale: float = 1.0,
        temperature: float = 1.0,
        dropout: float = 0.0,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        _check(layers, cycles, kernel_size, upsample, precision)
        if lp_shift and target_scale != 1.0:
            raise ConfigError(f"target_scale: must be 1.0 with lp_shift, whose gain scales the target, got {target_scale}")
        if lp_shift and (condition_dim, hop) != (features.n_mels, features.hop):
            raise ConfigError(f"lp_shift: needs mels of {features.n_mels} bands as the condition, got {condition_dim}; set lp_shift false")
        self.hop, self.pre_emphasis, self.temperature, self.input_scale = hop, pre_emphasis, temperature, input_scale
        if head == "mulaw" and (lp_shift or pre_emphasis or target_scale != 1.0):
            raise ConfigError("head: mulaw has classes of the wave itself; set lp_shift false, pre_emphasis 0 and target_scale 1")
        self.head = sample_head(head, mixtures, log_scale_min + math.log(target_scale))
        self.products = torch.bfloat16 if precision == "bf16" else None
        self.normaliser = Normaliser(condition_dim)
        self.frame_network = FrameNetwork(condition_dim, condition, condition_layers)
        self.upsampling: LinearUpsampling | TransposedUpsampling = (
            LinearUpsampling(self.frame_network.channels, hop)
            if upsample == "linear"
            else TransposedUpsampling(self.frame_network.channels, condition, hop, scales or default_scales(hop))
        )
        self.shift: PredictionShift | TargetScale = (
            PredictionShift(hop, features, lp_order, pre_emphasis) if lp_shift else TargetScale(hop, target_scale)
        )
        dilations = dilations or dilation_cycles(layers, cycles)
        widths = (residual, gate, skip)
        self.stack = GatedStack(self.shift.inputs, self.upsampling.channels, self.head.outputs, dilations, kernel_size, *widths, dropout)
        self.skips: FastSkips | None = gated_layers.skips  # None: the plain layers
        self.head.start(self.stack.last)
        self.before = self.frame_network.reach
        self.lookahead = max(self.frame_network.reach + self.upsampling.after, self.shift.after)
        self.context = self.before + -(-(self.receptive_field + self.shift.order + 1) // hop)

    @property
    def receptive_field(self) -> int:
        """Past samples that the distribution of a sample depends on through the stack (6139 as published)."""
        return self.stack.reach + 1

    def use_statistics(self, mean: Tensor, std: Tensor) -> None:
        self.normaliser.set(mean, std)

    def conditions(self, frames: Tensor) -> tuple[Tensor, Shift]:
        """``B before+T+lookahead F`` in natural units -> upsampled conditions ``B T*hop C`` and the shift of as many samples."""
        hidden, shift = self.frame_conditions(frames)
        return self.upsampling(hidden), shift

    def frame_conditions(self, frames: Tensor) -> tuple[Tensor, Shift]:
        """As ``conditions``, but before upsampling: ``B T+after C``."""
        end = frames.shape[1] - self.lookahead
        shift = self.shift(frames[:, self.before : end + self.shift.after])
        hidden = self.frame_network(self.normaliser(frames))
        return hidden[:, : end - self.before + self.upsampling.after], shift

    def losses(self, batch: WaveBatch, turn: str) -> dict[str, Tensor]:
        """``nll``: nats of the scored samples over the samples of the global batch."""
        edge = batch.condition[:, :1].expand(-1, self.before, -1)  # out of reach of the samples that are scored
        conditions, shift = self.conditions(torch.cat([edge, batch.condition], 1))
        inputs, target = self._signals(batch.wave, shift)
        scored = slice(batch.context * self.hop, None)
        start = batch.context * self.hop - self.stack.reach
        exists = None
        if bool((batch.first < 0).any()):
            exists = torch.arange(start, batch.wave.shape[1], device=batch.wave.device) >= (-batch.first * self.hop)[:, None]
        outputs = self.stack(inputs[:, start:], conditions[:, start:], exists, self.products if self.training else None, self.skips)
        nats = self._nats(outputs, target[:, scored], shift.gain[:, scored], batch.wave[:, scored])
        padding = padding_mask(batch.ends - batch.context * self.hop, nats.shape[1])
        return {"nll": -nats.masked_fill(padding, 0.0).sum() / batch.counts.samples}

    def predict(self, condition: Tensor, wave: Tensor, lengths: Tensor) -> Tensor:
        """What the head says of every sample given those before it: ``B T F``, ``B T*hop``, frames ``B`` -> ``B T*hop P``."""
        conditions, shift = self.conditions(self._held(condition, lengths))
        inputs, _ = self._signals(wave, shift)
        past = self.stack.reach
        exists = torch.arange(-past, wave.shape[1], device=wave.device)[None] >= 0
        edge = (0, 0, past, 0)
        outputs: Tensor = self.stack(nn.functional.pad(inputs, edge), nn.functional.pad(conditions, edge), exists, fast=self.skips)
        return outputs

    def log_likelihood(self, condition: Tensor, wave: Tensor, lengths: Tensor) -> Tensor:
        """Mean nats a sample of whole utterances ``B``: ``condition`` ``B T F``, ``wave`` ``B T*hop``, ``lengths`` frames ``B``."""
        return self.score(self.predict(condition, wave, lengths), condition, wave, lengths)

    def score(self, outputs: Tensor, condition: Tensor, wave: Tensor, lengths: Tensor) -> Tensor:
        """Mean nats a sample ``B`` of a wave ``B T*hop`` under the ``B T*hop P`` that something predicted for it."""
        nats = self._nats(outputs, *self._targets(condition, wave, lengths), wave)
        return nats.masked_fill(padding_mask(lengths * self.hop, wave.shape[1]), 0.0).sum(1) / (lengths * self.hop)

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

    @torch.inference_mode()
    def generate(self, condition: Tensor, lengths: Tensor, noise: Noise | None, speaker: Tensor | None = None) -> Tensor:
        """Sampled wave; ``noise`` None takes the likeliest at each, of a mixture the mean of its likeliest component.

        With ``execution.folds`` above 1 an utterance of more than two overlaps is spoken in segments (see ``wavenet_folding``):
        what is said and how is the same, the samples are not.
        """
        held = self._held(condition, lengths)
        if self.execution.folds == 1:
            return self._speak_rows(held, lengths, noise)
        shared = wavenet_folding.overlap(self.receptive_field + self.shift.order + 1, self.hop)
        edges = (self.before, self.lookahead)
        return wavenet_folding.speak_folded(self._speak_rows, held, lengths, noise, self.execution.folds, shared, edges, self.hop)

    def path(self) -> str:
        reason = native_wavenet.supports(self, self.execution)
        return f"native {self.execution.precision}" if reason is None else f"torch: {reason}"

    def _start(self, rows: int, noise: Noise | None) -> Generation | NativeGeneration:
        """Rows to be spoken, by the native kernel where there is one for this net."""
        return native_wavenet.generation(self, rows, noise, self.execution) or Generation(self, rows, noise, self.execution)

    def _speak_rows(self, held: Tensor, lengths: Tensor, noise: Noise | None) -> Tensor:
        """``held`` ``B before+T+lookahead F`` -> wave ``B T*hop``, 0 past the length."""
        rows, frames = held.shape[0], held.shape[1] - self.before - self.lookahead
        wave = held.new_zeros(rows, frames * self.hop)
        generation = self._start(rows, noise)
        for start in range(0, int(lengths.max()), BLOCK_FRAMES):
            generation.keep(lengths > start)
            size = min(BLOCK_FRAMES, frames - start)
            block = held[generation.rows, start : start + self.before + size + self.lookahead]
            wave[generation.rows, start * self.hop : (start + size) * self.hop] = generation.speak(block)
        return wave.masked_fill(padding_mask(lengths * self.hop, wave.shape[1]), 0.0)

    @torch.inference_mode()
    def stream(self, chunks: Iterable[Tensor], noise: Noise | None) -> Iterator[Tensor]:
        """Speaks as far as the frames that came allow: ``lookahead`` frames behind them."""
        generation, held = self._start(1, noise), None
        for chunk in chunks:
            held = torch.cat([chunk[:, :1].expand(-1, self.before, -1) if held is None else held, chunk], 1)
            ready = held.shape[1] - self.before - self.lookahead
            if ready > 0:
                yield generation.speak(held)
                held = held[:, ready:]
        if held is not None:
            yield generation.speak(torch.cat([held, held[:, -1:].expand(-1, self.lookahead, -1)], 1))


def _check(layers: int, cycles: int, kernel_size: int, upsample: str, precision: str) -> None:
    if cycles < 1 or layers % cycles:
        raise ConfigError(f"cycles: must divide layers = {layers}, got {cycles}")
    if kernel_size < 2:
        raise ConfigError(f"kernel_size: must be at least 2, got {kernel_size}")
    if upsample not in ("transposed", "linear"):
        raise ConfigError(f"upsample: must be transposed or linear, got {upsample!r}")
    if precision not in ("fp32", "bf16"):
        raise ConfigError(f"precision: must be fp32 or bf16, got {precision!r}")
