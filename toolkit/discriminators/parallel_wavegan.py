"""The discriminator of Parallel WaveGAN: dilated convolutions that judge every sample."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import weight_norm

from toolkit.discriminators.base import DISCRIMINATORS, Discriminator, Judgement
from toolkit.errors import ConfigError

SLOPE, KERNEL = 0.2, 3


@DISCRIMINATORS.register("parallel_wavegan")
class ParallelWaveGANDiscriminator(Discriminator):
    """Ten non-causal convolutions with dilations 1, 1, 2, ... 8 and 1 (Yamamoto et al. 2020, section 3.1).

    Args:
        layers: with the first and the last.
        channels: between them.
        weight: of the judgement in the losses.
    """

    def __init__(self, *, layers: int = 10, channels: int = 64, weight: float = 1.0) -> None:
        super().__init__(weight)
        if layers < 2 or channels < 1:
            raise ConfigError(f"layers, channels: must be at least 2 and 1, got {layers} and {channels}")
        dilations = [max(1, i) for i in range(layers - 1)]
        self.convs = nn.ModuleList(_conv(channels if i else 1, channels, dilation) for i, dilation in enumerate(dilations))
        self.conv_post = _conv(channels, 1, 1)

    def forward(self, wave: Tensor) -> list[Judgement]:
        x, features = wave[:, None], list[Tensor]()
        for layer in self.convs:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        return [Judgement(self.conv_post(x).flatten(1), features)]


def _conv(before: int, after: int, dilation: int) -> nn.Conv1d:
    """First weights are those of the published code."""
    layer = nn.Conv1d(before, after, KERNEL, padding=dilation, dilation=dilation)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(cast(Tensor, layer.bias))
    return cast(nn.Conv1d, weight_norm(layer))
