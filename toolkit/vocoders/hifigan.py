"""HiFi-GAN: transposed convolutions, and residual blocks of several widths at each rate, against two kinds of discriminators."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import weight_norm

from toolkit.audio.mel import MelSettings
from toolkit.errors import ConfigError
from toolkit.nn.normaliser import Normaliser
from toolkit.nn.reach import Reach
from toolkit.nn.spectral_losses import MelDistance
from toolkit.nn.upsampling import upsampling_rates
from toolkit.vocoders.base import VOCODERS, Adversarial, ParallelVocoder

SLOPE, LAST_SLOPE, EDGE_KERNEL, DEVIATION = 0.1, 0.01, 7, 0.01
PUBLISHED_RATES = {256: [8, 8, 2, 2]}


@VOCODERS.register("hifigan")
class HiFiGAN(ParallelVocoder):
    """Kong et al. 2020, arXiv 2010.05646. The defaults are V1; weights have the names of the published code.

    V2 is ``channels: 128``; V3 ``channels: 256``, ``rates: [8, 8, 4]``, ``resblock: 2``, ``block_kernels: [3, 5, 7]`` and
    ``block_dilations: [[1, 2], [2, 6], [3, 12]]``.

    Args:
        channels: after the first convolution; each upsampling halves them.
        rates: of the upsamplings, their product is the hop; null: 8, 8, 2, 2 for 256, else the hop's factors, e.g. 11, 5, 5.
        kernels: of the upsamplings; null: twice the rates.
        resblock: 1: pairs of convolutions, the second without dilation; 2: single ones.
        block_kernels: a residual block for each at every rate; their outputs are averaged.
        block_dilations: of each block's convolutions; null: 1, 3, 5 for all.
        mel_weight: of the distance of log-mels in the loss.
        adversarial_from: updates before the discriminators join; null: never.
        adversarial_weight: of their judgements in the loss.
        feature_weight: of feature matching.
        criterion: least_squares or hinge.
        hold_edges: an utterance goes on with its first and last frame beyond its ends; false: with zeros in every layer.
    """

    published_with = {"multi_period": {}, "multi_scale": {}}

    def __init__(
        self,
        condition_dim: int,
        hop: int,
        features: MelSettings,
        *,
        channels: int = 512,
        rates: list[int] | None = None,
        kernels: list[int] | None = None,
        resblock: int = 1,
        block_kernels: tuple[int, ...] = (3, 7, 11),
        block_dilations: list[list[int]] | None = None,
        mel_weight: float = 45.0,
        adversarial_from: int | None = 0,
        adversarial_weight: float = 1.0,
        feature_weight: float = 2.0,
        criterion: str = "least_squares",
        hold_edges: bool = True,
    ) -> None:
        super().__init__()
        rates = rates or PUBLISHED_RATES.get(hop) or upsampling_rates(hop)
        kernels = kernels or [2 * rate for rate in rates]
        dilations = block_dilations or [[1, 3, 5]] * len(block_kernels)
        _check(hop, channels, rates, kernels, resblock, block_kernels, dilations)
        self.hop, self.hold_edges, self.mel_weight = hop, hold_edges, mel_weight
        self.adversarial = Adversarial(adversarial_from, adversarial_weight, feature_weight, criterion).checked()
        self.normaliser = Normaliser(condition_dim)
        self.conv_pre = weight_norm(nn.Conv1d(condition_dim, channels, EDGE_KERNEL, padding=EDGE_KERNEL // 2))
        widths = [channels >> i for i in range(len(rates) + 1)]
        self.ups = nn.ModuleList(_Upsampling(widths[i], widths[i + 1], rate, kernels[i]) for i, rate in enumerate(rates))
        block = _PairedBlock if resblock == 1 else _SingleBlock
        self.blocks = len(block_kernels)
        self.resblocks = nn.ModuleList(
            block(width, kernel, own) for width in widths[1:] for kernel, own in zip(block_kernels, dilations, strict=True)
        )
        self.conv_post = weight_norm(_started(nn.Conv1d(widths[-1], 1, EDGE_KERNEL, padding=EDGE_KERNEL // 2)))
        self.mel = MelDistance(features)
        self.context, self.lookahead = self._reach(rates, kernels)

    def _reach(self, rates: Sequence[int], kernels: Sequence[int]) -> Reach:
        """Frames around its own that a sample depends on, from the last layer to the first."""
        reach = Reach().convolved(EDGE_KERNEL)
        for i in reversed(range(len(rates))):
            blocks = self.resblocks[i * self.blocks : (i + 1) * self.blocks]
            side = max(int(block.side) for block in blocks)  # type: ignore[arg-type]
            reach = Reach(reach.before + side, reach.after + side).upsampled(rates[i], kernels[i], _cut(rates[i], kernels[i]))
        return reach.convolved(EDGE_KERNEL)

    def forward(self, frames: Tensor, draws: Tensor | None = None) -> Tensor:
        x = self.conv_pre(frames.transpose(1, 2))
        for i, upsampling in enumerate(self.ups):
            x = upsampling(F.leaky_relu(x, SLOPE))
            blocks = self.resblocks[i * self.blocks : (i + 1) * self.blocks]
            x = torch.stack([block(x) for block in blocks]).mean(0)
        return torch.tanh(self.conv_post(F.leaky_relu(x, LAST_SLOPE)))[:, 0]

    def distances(self, made: Tensor, true: Tensor) -> dict[str, Tensor]:
        """``mel``: equation 3 with its weight."""
        return {"mel": self.mel_weight * self.mel(made, true)}


class _Upsampling(nn.ConvTranspose1d):
    """A transposed convolution whose output is exactly ``rate`` times as long, cut on both sides as published."""

    def __init__(self, before: int, after: int, rate: int, kernel: int) -> None:
        super().__init__(before, after, kernel, rate)
        self.cut = _cut(rate, kernel)
        nn.init.normal_(self.weight, 0.0, DEVIATION)
        weight_norm(self)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(x)[..., self.cut : self.cut + x.shape[-1] * self.stride[0]]


class _PairedBlock(nn.Module):
    """Residual pairs: a dilated convolution, then one without dilation (figure 1, V1 and V2)."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_conv(channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_conv(channels, kernel, 1) for _ in dilations)
        self.side = kernel // 2 * (sum(dilations) + len(dilations))

    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(F.leaky_relu(first(F.leaky_relu(x, SLOPE)), SLOPE))
        return x


class _SingleBlock(nn.Module):
    """Residual dilated convolutions (V3)."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_conv(channels, kernel, dilation) for dilation in dilations)
        self.side = kernel // 2 * sum(dilations)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.convs:
            x = x + layer(F.leaky_relu(x, SLOPE))
        return x


def _conv(channels: int, kernel: int, dilation: int) -> nn.Module:
    layer: nn.Module = weight_norm(_started(nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=kernel // 2 * dilation)))
    return layer


def _started(layer: nn.Conv1d) -> nn.Conv1d:
    nn.init.normal_(layer.weight, 0.0, DEVIATION)
    return layer


def _cut(rate: int, kernel: int) -> int:
    return (kernel - rate) // 2


def _check(
    hop: int, channels: int, rates: Sequence[int], kernels: Sequence[int], resblock: int, block_kernels: Sequence[int],
    dilations: Sequence[Sequence[int]],
) -> None:  # fmt: skip
    if math.prod(rates) != hop or min(rates) < 1:
        raise ConfigError(f"rates: {list(rates)} make {math.prod(rates)} but hop is {hop}; e.g. {upsampling_rates(hop)}")
    if len(kernels) != len(rates) or any(kernel < rate for kernel, rate in zip(kernels, rates, strict=False)):
        raise ConfigError(f"kernels: one for each of rates {list(rates)} and no smaller, got {list(kernels)}")
    if channels >> len(rates) < 1:
        raise ConfigError(f"channels: halved {len(rates)} times, must be at least {2 ** len(rates)}, got {channels}")
    if resblock not in (1, 2):
        raise ConfigError(f"resblock: 1 or 2, got {resblock}")
    if not block_kernels or any(kernel < 1 or kernel % 2 == 0 for kernel in block_kernels):
        raise ConfigError(f"block_kernels: odd numbers, got {list(block_kernels)}")
    if len(dilations) != len(block_kernels) or not all(own and min(own) >= 1 for own in dilations):
        raise ConfigError(f"block_dilations: a list for each of block_kernels {list(block_kernels)}, got {dilations}")
