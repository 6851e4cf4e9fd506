"""The multi-scale discriminator of MelGAN as HiFi-GAN has it: the wave and averages of it at lower rates."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import weight_norm

from toolkit.discriminators.base import DISCRIMINATORS, Discriminator, Judgement
from toolkit.errors import ConfigError
from toolkit.nn.spectral_norm import spectral_norm

SLOPE = 0.1
# channels in widths, kernel, stride, groups
LAYERS = ((1, 15, 1, 1), (1, 41, 2, 4), (2, 41, 2, 16), (4, 41, 4, 16), (8, 41, 4, 16), (8, 41, 1, 16), (8, 5, 1, 1))


@DISCRIMINATORS.register("multi_scale")
class MultiScale(Discriminator):
    """Grouped convolutions with large kernels at the full rate, half of it, and so on (Kong et al. 2020, section 2.3).

    As published the net of the full rate has spectral norm, those of lower rates weight norm.

    Args:
        scales: nets, each at half the rate of the one before.
        width: channels of the first layer; the widest has eight times as many.
        weight: of each judgement in the losses.
    """

    def __init__(self, *, scales: int = 3, width: int = 128, weight: float = 1.0) -> None:
        super().__init__(weight)
        if scales < 1 or width < 1:
            raise ConfigError(f"scales, width: must be at least 1, got {scales} and {width}")
        self.discriminators = nn.ModuleList(_Scale(width, spectral=i == 0) for i in range(scales))
        self.pool = nn.AvgPool1d(4, 2, padding=2)

    def forward(self, wave: Tensor) -> list[Judgement]:
        x, found = wave[:, None], list[Judgement]()
        for i, part in enumerate(self.discriminators):
            x = self.pool(x) if i else x
            found.append(part(x))
        return found


class _Scale(nn.Module):
    def __init__(self, width: int, spectral: bool) -> None:
        super().__init__()
        norm, layers, before = spectral_norm if spectral else weight_norm, list[nn.Module](), 1
        for times, kernel, stride, groups in LAYERS:
            shared = math.gcd(groups, math.gcd(before, times * width))
            layers.append(norm(nn.Conv1d(before, times * width, kernel, stride, padding=kernel // 2, groups=shared)))
            before = times * width
        self.convs = nn.ModuleList(layers)
        self.conv_post = norm(nn.Conv1d(before, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Judgement:
        features = []
        for layer in self.convs:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        score = self.conv_post(x)
        return Judgement(score.flatten(1), [*features, score])
