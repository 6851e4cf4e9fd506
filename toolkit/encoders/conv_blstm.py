"""Convolutions and a bidirectional LSTM: the encoder of Tacotron 2."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.encoders.base import ENCODERS, Encoder
from toolkit.errors import ConfigError
from toolkit.nn.conv_norm import ConvNorm
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.nn.packing import over_lengths
from toolkit.nn.zoneout import bidirectional


@ENCODERS.register("conv_blstm")
class ConvBLSTM(Encoder):
    """Embedding, convolutions with batch norm and ReLU, one bidirectional LSTM (Tacotron 2, section 2.2).

    Args:
        embedding: width of the symbol embedding.
        layers, channels, kernel_size: the convolutions.
        lstm: units of both directions together; the width D of the memory.
        dropout: after each convolution, in training.
        zoneout: of both directions of the LSTM; drawn in training, the expectation otherwise. Tacotron 2, section 2.2,
            regularises its LSTM layers so with 0.1 and exempts none. The weights are the same at any value.
        norm: batch norm ``before`` the activation, as published, or ``after`` it (``toolkit.nn.conv_norm``).
    """

    def __init__(
        self,
        num_symbols: int,
        *,
        embedding: int = 512,
        layers: int = 3,
        channels: int = 512,
        kernel_size: int = 5,
        lstm: int = 512,
        dropout: float = 0.5,
        zoneout: float = 0.0,
        norm: str = "before",
    ) -> None:
        super().__init__()
        if not 0.0 <= zoneout < 1.0:
            raise ConfigError(f"zoneout: a probability below 1, got {zoneout}; nearest: 0.1")
        if kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size: must be odd, got {kernel_size}; nearest: {kernel_size + 1}")
        if lstm % 2:
            raise ConfigError(f"lstm: units of both directions, must be even, got {lstm}; nearest: {lstm + 1}")
        self.out_dim = lstm
        self.embedding = nn.Embedding(num_symbols, embedding, padding_idx=0)
        widths = [embedding] + [channels] * layers
        self.convolutions = nn.ModuleList(
            ConvNorm(a, b, kernel_size, torch.relu, dropout, norm) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.zoneout = zoneout
        self.lstm = nn.LSTM(widths[-1], lstm // 2, batch_first=True, bidirectional=True)

    def forward(self, inputs: Tensor, lengths: Tensor, noise: Noise | None = None) -> Tensor:
        mask = padding_mask(lengths, inputs.shape[1])
        features = self.embedding(inputs).transpose(1, 2)  # B D S
        for convolution in self.convolutions:
            features = convolution(features, mask)
        features = features.transpose(1, 2)
        if not self.zoneout:
            return over_lengths(self.lstm, features, lengths)
        rows, symbols = inputs.shape[:2]
        drawn = noise if self.training else None
        draws = None if drawn is None else drawn.uniform("encoder.zoneout", 0, symbols, rows, 2 * self.out_dim)
        return bidirectional(self.lstm, features, lengths, self.zoneout, draws)
