"""The multi-period discriminator of HiFi-GAN: samples that are some period apart, each period by a net of its own."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import weight_norm

from toolkit.discriminators.base import DISCRIMINATORS, Discriminator, Judgement
from toolkit.errors import ConfigError

SLOPE, KERNEL, STRIDE = 0.1, 5, 3


@DISCRIMINATORS.register("multi_period")
class MultiPeriod(Discriminator):
    """Every p-th sample, folded into rows and seen by 2-D convolutions along time (Kong et al. 2020, section 2.3).

    Args:
        periods: a net for each; primes, so that they overlap as little as possible.
        channels: of the layers of a net.
        weight: of each judgement in the losses.
    """

    def __init__(
        self,
        *,
        periods: tuple[int, ...] = (2, 3, 5, 7, 11),
        channels: tuple[int, ...] = (32, 128, 512, 1024, 1024),
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        if not periods or min(periods) < 1:
            raise ConfigError(f"periods: samples between two that are seen together, at least 1 each, got {list(periods)}")
        if not channels or min(channels) < 1:
            raise ConfigError(f"channels: of each layer, at least 1, got {list(channels)}")
        self.discriminators = nn.ModuleList(_Period(period, channels) for period in periods)

    def forward(self, wave: Tensor) -> list[Judgement]:
        return [part(wave) for part in self.discriminators]


class _Period(nn.Module):
    """All layers but the last keep one sample in three."""

    def __init__(self, period: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.period = period
        strides = [STRIDE] * (len(channels) - 1) + [1]
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, (KERNEL, 1), (stride, 1), padding=(KERNEL // 2, 0)))
            for (before, after), stride in zip(pairwise((1, *channels)), strides, strict=True)
        )
        self.conv_post = weight_norm(nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, wave: Tensor) -> Judgement:
        missing = -wave.shape[1] % self.period
        x = F.pad(wave[:, None], (0, missing), "reflect") if missing else wave[:, None].contiguous()
        x, features = x.view(*x.shape[:2], -1, self.period), list[Tensor]()
        for layer in self.convs:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        score = self.conv_post(x)
        return Judgement(score.flatten(1), [*features, score])
