"""Parallel WaveGAN: a non-causal WaveNet turns noise into a wave, taught by spectra and, later, by a discriminator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from toolkit.audio.mel import MelSettings
from toolkit.errors import ConfigError
from toolkit.nn.centred_stack import CentredStack
from toolkit.nn.dropout import check_probability
from toolkit.nn.gated_stack import dilation_cycles
from toolkit.nn.noise import Noise
from toolkit.nn.normaliser import Normaliser
from toolkit.nn.reach import Reach
from toolkit.nn.smoothed_upsampling import SmoothedFrames
from toolkit.nn.spectral_losses import STFTDistance
from toolkit.nn.upsampling import upsampling_rates
from toolkit.vocoders.base import VOCODERS, Adversarial, ParallelVocoder

RESOLUTIONS = [[1024, 120, 600], [2048, 240, 1200], [512, 50, 240]]
PUBLISHED_SCALES = {256: [4, 4, 4, 4]}
DRAWN = "parallel_wavegan"


@VOCODERS.register("parallel_wavegan")
class ParallelWaveGAN(ParallelVocoder):
    """Yamamoto et al. 2020, arXiv 1910.11480. The defaults are published; what the paper leaves open is that of its open code.

    Args:
        layers, cycles: dilations 2^(k mod layers/cycles).
        kernel_size: taps of a layer, odd.
        residual, gate, skip: channels between layers, of the gated unit, of the head.
        aux_context: frames on both sides that the first convolution over frames sees.
        scales: of the upsampling of frames, their product is the hop; null: 4, 4, 4, 4 for 256, else the hop's factors.
        dropout: on the input of layers, in training.
        resolutions: of the distance of spectra, each transform, hop and window in samples.
        stft_weight: of that distance in the loss.
        adversarial_from: updates before the discriminator joins; null: never.
        adversarial_weight: of its judgements in the loss.
        feature_weight: of feature matching, which is not published.
        criterion: least_squares or hinge.
        hold_edges: an utterance goes on with its first and last frame beyond its ends; false: with zeros in every layer.
    """

    published_with = {"parallel_wavegan": {}}

    def __init__(
        self,
        condition_dim: int,
        hop: int,
        features: MelSettings,
        *,
        layers: int = 30,
        cycles: int = 3,
        kernel_size: int = 3,
        residual: int = 64,
        gate: int = 64,
        skip: int = 64,
        aux_context: int = 2,
        scales: list[int] | None = None,
        dropout: float = 0.0,
        resolutions: list[list[int]] | None = None,
        stft_weight: float = 1.0,
        adversarial_from: int | None = 100_000,
        adversarial_weight: float = 4.0,
        feature_weight: float = 0.0,
        criterion: str = "least_squares",
        hold_edges: bool = True,
    ) -> None:
        super().__init__()
        scales, resolutions = scales or PUBLISHED_SCALES.get(hop) or upsampling_rates(hop), resolutions or RESOLUTIONS
        widths = (residual, gate, skip)
        _check(hop, layers, cycles, kernel_size, widths, aux_context, scales, resolutions)
        check_probability("dropout", dropout)
        self.hop, self.hold_edges, self.stft_weight = hop, hold_edges, stft_weight
        self.adversarial = Adversarial(adversarial_from, adversarial_weight, feature_weight, criterion).checked()
        self.normaliser = Normaliser(condition_dim)
        self.upsample_net = SmoothedFrames(condition_dim, aux_context, scales)
        self.stack = CentredStack(1, condition_dim, 1, dilation_cycles(layers, cycles), kernel_size, *widths, dropout, residual_bias=True)
        _start(self.stack, kernel_size * residual)
        self.stft = STFTDistance([cast(tuple[int, int, int], tuple(sizes)) for sizes in resolutions])
        side = self.stack.reach // 2
        self.context, self.lookahead = self.upsample_net.reach(Reach(side, side))

    def draws(self, noise: Noise | None, position: int, frames: int, like: Tensor) -> Tensor:
        """Standard normal, one for each sample; zeros without ``noise``."""
        if noise is None:
            return like.new_zeros(like.shape[0], frames * self.hop, 1)
        return noise.normal(DRAWN, position * self.hop, frames * self.hop, like.shape[0], 1).to(like)

    def forward(self, frames: Tensor, draws: Tensor | None) -> Tensor:
        conditions = self.upsample_net(frames)
        return cast(Tensor, self.stack(draws, conditions))[..., 0]

    def distances(self, made: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Equation 6, in two terms."""
        convergence, logarithmic = self.stft(made, true)
        return {"convergence": self.stft_weight * convergence, "log_magnitude": self.stft_weight * logarithmic}


def _start(stack: CentredStack, taps: int) -> None:
    """First weights as published, and weight norm. Gates are products with taps and condition side by side: two convolutions."""
    gates = [layer.gates for layer in stack.each()]
    for part in stack.modules():
        if isinstance(part, nn.Linear):
            weight = part.weight.detach()
            for columns in (weight[:, :taps], weight[:, taps:]) if part in gates else (weight,):
                nn.init.kaiming_normal_(columns, nonlinearity="relu")
            nn.init.zeros_(part.bias)
            weight_norm(part)


def _check(
    hop: int, layers: int, cycles: int, kernel_size: int, widths: Sequence[int], aux_context: int, scales: Sequence[int],
    resolutions: Sequence[Sequence[int]],
) -> None:  # fmt: skip
    if math.prod(scales) != hop or min(scales) < 1:
        raise ConfigError(f"scales: {list(scales)} make {math.prod(scales)} but hop is {hop}; e.g. {upsampling_rates(hop)}")
    if layers < 1 or cycles < 1 or layers % cycles:
        raise ConfigError(f"cycles: must divide layers = {layers}, got {cycles}")
    if min(*widths, aux_context + 1) < 1:
        raise ConfigError(f"residual, gate, skip, aux_context: at least 1, 1, 1 and 0, got {', '.join(map(str, (*widths, aux_context)))}")
    if kernel_size < 3 or kernel_size % 2 == 0:
        raise ConfigError(f"kernel_size: must be odd and at least 3, got {kernel_size}")
    if any(len(sizes) != 3 or not 0 < sizes[1] <= sizes[2] <= sizes[0] for sizes in resolutions):
        raise ConfigError(f"resolutions: transform, hop and window each, hop <= window <= transform, got {[list(r) for r in resolutions]}")
