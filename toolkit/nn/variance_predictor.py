"""One value of each symbol, such as its pitch, from the memory."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from toolkit.nn.conv_layer import ConvLayer


class VariancePredictor(nn.Module):
    """Two convolutions and a linear layer, trained with squared errors (FastSpeech 2, Ren et al. 2020, section 2.3).

    Args:
        inputs: width of the memory.
        channels, kernel_size, dropout: of the convolutions; published are 256, 3 and 0.5.
    """

    def __init__(self, inputs: int, channels: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConvLayer(width, channels, kernel_size, dropout) for width in (inputs, channels))
        self.last = nn.Linear(channels, 1)

    def forward(self, memory: Tensor, mask: Tensor) -> Tensor:
        """``B S D`` with mask ``B S`` -> ``B S``, 0 on padding."""
        for layer in self.layers:
            memory = layer(memory, mask)
        return cast(Tensor, self.last(memory)).squeeze(2).masked_fill(mask, 0.0)
