"""The convolutional postnet of Tacotron 2."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.errors import ConfigError
from toolkit.nn.conv_norm import ConvNorm
from toolkit.postnets.base import POSTNETS, Postnet


@POSTNETS.register("conv")
class ConvPostnet(Postnet):
    """Convolutions with batch norm, tanh on all but the last (Tacotron 2, section 2.2).

    Args:
        layers, channels, kernel_size: the convolutions; the last one has as many channels as the mel has bins.
        dropout: after each convolution, in training.
        norm: batch norm ``before`` the activation, as published, or ``after`` it (``toolkit.nn.conv_norm``).
    """

    def __init__(
        self,
        n_mels: int,
        *,
        layers: int = 5,
        channels: int = 512,
        kernel_size: int = 5,
        dropout: float = 0.5,
        norm: str = "before",
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size: must be odd, got {kernel_size}; nearest: {kernel_size + 1}")
        if layers < 2:
            raise ConfigError(f"layers: must be at least 2, got {layers}")
        self.lookahead = layers * (kernel_size // 2)
        widths = [n_mels] + [channels] * (layers - 1)
        inner = [ConvNorm(a, b, kernel_size, torch.tanh, dropout, norm) for a, b in zip(widths, widths[1:], strict=False)]
        self.convolutions = nn.ModuleList([*inner, ConvNorm(channels, n_mels, kernel_size, None, dropout, norm)])

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        features = mel.transpose(1, 2).masked_fill(mask[:, None], 0.0)  # B M T
        for convolution in self.convolutions:
            features = convolution(features, mask)
        return features.transpose(1, 2)
