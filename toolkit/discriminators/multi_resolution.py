"""The multi-resolution discriminator of UnivNet in the form that Vocos has it: magnitudes of several Fourier transforms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import weight_norm

from toolkit.discriminators.base import DISCRIMINATORS, Discriminator, Judgement
from toolkit.errors import ConfigError
from toolkit.nn.spectral_losses import magnitude

SLOPE = 0.1
LAYERS = (((7, 5), (2, 2)), ((5, 3), (2, 1)), ((5, 3), (2, 2)), ((3, 3), (2, 1)), ((3, 3), (2, 2)))  # kernel, stride over bins and frames


@DISCRIMINATORS.register("multi_resolution")
class MultiResolution(Discriminator):
    """2-D convolutions over a magnitude spectrogram, one net a resolution (Jang et al. 2021; Siuzdak 2023, section 3).

    Args:
        sizes: of the transforms; a quarter of each is its hop. The window is rectangular.
        channels: of all layers.
        weight: of each judgement in the losses.
    """

    def __init__(self, *, sizes: tuple[int, ...] = (1024, 2048, 512), channels: int = 64, weight: float = 1.0) -> None:
        super().__init__(weight)
        if not sizes or min(sizes) < 4:
            raise ConfigError(f"sizes: of Fourier transforms, at least 4 each, got {list(sizes)}")
        if channels < 1:
            raise ConfigError(f"channels: of all layers, at least 1, got {channels}")
        self.discriminators = nn.ModuleList(_Resolution(size, channels) for size in sizes)

    def forward(self, wave: Tensor) -> list[Judgement]:
        return [part(wave) for part in self.discriminators]


class _Resolution(nn.Module):
    window: Tensor

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("window", torch.ones(size), persistent=False)
        widths = [1] + [channels] * (len(LAYERS) - 1)
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(before, channels, kernel, stride, padding=(kernel[0] // 2, kernel[1] // 2)))
            for before, (kernel, stride) in zip(widths, LAYERS, strict=True)
        )
        self.conv_post = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, wave: Tensor) -> Judgement:
        x, features = magnitude(wave, self.size, self.size // 4, self.window)[:, None], list[Tensor]()
        for layer in self.convs:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        score = self.conv_post(x)
        return Judgement(score.flatten(1), [*features, score])
