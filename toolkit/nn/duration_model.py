"""How long each symbol lasts, from its linguistic context."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.nn.packing import over_lengths


class DurationModel(nn.Module):
    """A bidirectional LSTM and a linear layer, trained with squared errors of ln(1 + frames).

    WaveNet, appendix B, takes durations from an LSTM network trained so; its sizes are not published.

    Args:
        inputs: width of the contexts.
        units: of both directions together.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, units // 2, batch_first=True, bidirectional=True)
        self.last = nn.Linear(units, 1)

    def forward(self, contexts: Tensor, lengths: Tensor) -> Tensor:
        """``B S D``, symbols of each row ``B`` -> ln(1 + frames) ``B S``; what stands on padding means nothing."""
        made: Tensor = self.last(over_lengths(self.lstm, contexts, lengths))
        return made.squeeze(2)

    def frames(self, contexts: Tensor, lengths: Tensor, least: Tensor) -> Tensor:
        """Whole frames, int64 ``B S``, at least ``least`` ``B S``."""
        predicted = torch.expm1(self(contexts, lengths).clamp(max=10.0))
        return torch.maximum(predicted.round().long(), least)
