"""Convolution over time with layer normalisation."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.nn.dropout import Dropout


class ConvLayer(nn.Module):
    """Convolution over time, ReLU, layer normalisation, dropout. Padding stays zero.

    Args:
        channels_in, channels_out: features before and after.
        kernel_size: odd; the length stays.
        dropout: probability in training.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels_out, kernel_size, padding=kernel_size // 2)
        self.norm = nn.LayerNorm(channels_out)
        self.dropout = Dropout(dropout)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """``B T C``, 0 on padding, with mask ``B T`` -> ``B T C'``."""
        made = F.relu(self.conv(features.transpose(1, 2))).transpose(1, 2)
        return cast(Tensor, self.dropout(self.norm(made))).masked_fill(mask[..., None], 0.0)
