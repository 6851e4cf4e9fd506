"""Convolution over time with batch norm, activation and dropout."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from toolkit.nn.batch_norm import BatchNorm
from toolkit.nn.dropout import Dropout


class ConvNorm(nn.Module):
    """Convolution, batch norm, activation, dropout, in the order of Tacotron 2, section 2.2. Padding stays zero.

    Args:
        channels_in, channels_out: features before and after.
        kernel_size: odd, so that the length stays.
        activation: applied after the norm, None for none.
        dropout: probability in training.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel_size: int, activation: Callable[[Tensor], Tensor] | None, dropout: float
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels_out, kernel_size, padding=kernel_size // 2)
        self.norm = BatchNorm(channels_out)
        self.activation = activation
        self.dropout = Dropout(dropout)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """``B C T`` with mask ``B T`` -> ``B C' T``."""
        features = self.norm(self.conv(features), mask)
        if self.activation is not None:
            features = self.activation(features)
        dropped: Tensor = self.dropout(features)
        return dropped.masked_fill(mask[:, None], 0.0)
