"""How symbols enter an encoder that has no recurrence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.errors import ConfigError
from toolkit.nn.conv_norm import ConvNorm
from toolkit.nn.dropout import Dropout
from toolkit.nn.positions import ADDED, Positions, check_positions

KINDS = (*ADDED, "relative")


class SymbolEmbedding(nn.Module):
    """Embedding, convolutions with batch norm and ReLU, a linear layer, positions (Li et al. 2019, sections 3.2 and 3.3).

    The linear layer centres what ReLU left positive, as sinusoids are centred; without convolutions there is none.

    Args:
        num_symbols: size of the vocabulary; id 0 is padding.
        units: D, width of the embedding and of everything after it.
        layers, kernel_size, dropout: of the convolutions.
        positions: ``absolute`` or ``scaled`` sinusoids are added, see ``Positions``; ``relative`` ones are the attention's affair.
        positions_dropout: after them, in training.
    """

    def __init__(
        self, num_symbols: int, units: int, layers: int, kernel_size: int, dropout: float, positions: str, positions_dropout: float
    ) -> None:
        super().__init__()
        check_positions(positions, KINDS)
        if layers < 0:
            raise ConfigError(f"prenet_layers: convolutions, 0 for none, got {layers}")
        if kernel_size % 2 == 0:
            raise ConfigError(f"prenet_kernel_size: must be odd, got {kernel_size}; nearest: {kernel_size + 1}")
        self.embedding = nn.Embedding(num_symbols, units, padding_idx=0)
        self.convolutions = nn.ModuleList(ConvNorm(units, units, kernel_size, torch.relu, dropout) for _ in range(layers))
        self.centre = nn.Linear(units, units) if layers else nn.Identity()
        relative = positions == "relative"
        self.positions = Dropout(positions_dropout) if relative else Positions(units, positions, positions_dropout)

    def forward(self, symbols: Tensor, mask: Tensor) -> Tensor:
        """Symbols int64 ``B S`` with mask ``B S`` -> ``B S D``."""
        features = self.embedding(symbols).transpose(1, 2)  # B D S
        for convolution in self.convolutions:
            features = convolution(features, mask)
        embedded: Tensor = self.positions(self.centre(features.transpose(1, 2)))
        return embedded
