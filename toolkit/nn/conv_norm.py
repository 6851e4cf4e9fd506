"""Convolution over time with batch norm, activation and dropout."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from toolkit.errors import ConfigError, nearest
from toolkit.nn.batch_norm import BatchNorm
from toolkit.nn.dropout import Dropout

NORMS = ("before", "after")


class ConvNorm(nn.Module):
    """Convolution, batch norm, activation, dropout. Padding stays zero.

    Args:
        channels_in, channels_out: features before and after.
        kernel_size: the length stays; an even one reaches further back than ahead.
        activation: None for none.
        dropout: probability in training.
        norm: ``before`` the activation, the order in which Tacotron 2, section 2.2, names them: its inputs are then centred,
            so that ReLU cuts about half of each channel. ``after`` it, as other implementations have it: what the next layer
            gets is then centred and has unit variance.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: int,
        activation: Callable[[Tensor], Tensor] | None,
        dropout: float,
        norm: str = "before",
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ConfigError(f"norm: of the batch, before or after the activation, got {norm!r}; {nearest(norm, NORMS)}")
        self.conv = nn.Conv1d(channels_in, channels_out, kernel_size, padding=kernel_size // 2)
        self.norm = BatchNorm(channels_out)
        self.activation, self.first = activation, norm == "before"
        self.dropout = Dropout(dropout)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """``B C T`` with mask ``B T`` -> ``B C' T``."""
        features = self.conv(features)[..., : features.shape[2]]
        if self.first:
            features = self.norm(features, mask)
        if self.activation is not None:
            features = self.activation(features)
        if not self.first:
            features = self.norm(features, mask)
        dropped: Tensor = self.dropout(features)
        return dropped.masked_fill(mask[:, None], 0.0)
