"""WaveNet, with a mixture of logistics as in Tacotron 2 or another distribution, and optionally on the residual of a linear predictor."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.audio.mel import MelSettings
from toolkit.data.batches import WaveBatch
from toolkit.errors import ConfigError
from toolkit.kernels import gated_layers
from toolkit.kernels import wavenet as native_wavenet
from toolkit.nn.gated_stack import FastSkips, GatedStack, dilation_cycles
from toolkit.nn.noise import Noise
from toolkit.vocoders.autoregressive import AutoregressiveVocoder, Speaking
from toolkit.vocoders.base import VOCODERS
from toolkit.vocoders.wavenet_generation import Generation


@VOCODERS.register("wavenet")
class WaveNet(AutoregressiveVocoder):
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
        upsample: ``transposed`` (learned, Tacotron 2), ``linear``, or ``smoothed``: repeated and filtered, as in Parallel WaveGAN.
        scales: of the transposed and the smoothed kind, their product is the hop.
        aux_context: frames on both sides that the smoothed kind's first convolution sees.
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
        aux_context: int = 2,
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
        _check(layers, cycles, kernel_size, precision)
        super().__init__(
            condition_dim, hop, features, head=head, mixtures=mixtures, condition=condition, condition_layers=condition_layers,
            upsample=upsample, scales=scales, target_scale=target_scale, log_scale_min=log_scale_min, pre_emphasis=pre_emphasis,
            lp_shift=lp_shift, lp_order=lp_order, input_scale=input_scale, temperature=temperature, aux_context=aux_context,
        )  # fmt: skip
        self.products = torch.bfloat16 if precision == "bf16" else None
        dilations = dilations or dilation_cycles(layers, cycles)
        widths = (residual, gate, skip)
        self.stack = GatedStack(self.shift.inputs, self.upsampling.channels, self.head.outputs, dilations, kernel_size, *widths, dropout)
        self.skips: FastSkips | None = gated_layers.skips  # None: the plain layers
        self.head.start(self.stack.last)
        self.remember(self.receptive_field + self.shift.order + 1)

    @property
    def receptive_field(self) -> int:
        """Past samples that the distribution of a sample depends on through the stack (6139 as published)."""
        return self.stack.reach + 1

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
        return self.crop_loss(outputs, target[:, scored], shift.gain[:, scored], batch)

    def predict(self, condition: Tensor, wave: Tensor, lengths: Tensor) -> Tensor:
        conditions, shift = self.conditions(self._held(condition, lengths))
        inputs, _ = self._signals(wave, shift)
        past = self.stack.reach
        exists = torch.arange(-past, wave.shape[1], device=wave.device)[None] >= 0
        edge = (0, 0, past, 0)
        outputs: Tensor = self.stack(nn.functional.pad(inputs, edge), nn.functional.pad(conditions, edge), exists, fast=self.skips)
        return outputs

    def path(self) -> str:
        reason = native_wavenet.supports(self, self.execution)
        return f"native {self.execution.precision}" if reason is None else f"torch: {reason}"

    def speaking(self, rows: int, noise: Noise | None) -> Speaking:
        """By the native kernel where there is one for this net."""
        return native_wavenet.generation(self, rows, noise, self.execution) or Generation(self, rows, noise, self.execution)


def _check(layers: int, cycles: int, kernel_size: int, precision: str) -> None:
    if cycles < 1 or layers % cycles:
        raise ConfigError(f"cycles: must divide layers = {layers}, got {cycles}")
    if kernel_size < 2:
        raise ConfigError(f"kernel_size: must be at least 2, got {kernel_size}")
    if precision not in ("fp32", "bf16"):
        raise ConfigError(f"precision: must be fp32 or bf16, got {precision!r}")
