"""How long each symbol lasts, from its linguistic context."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.nn.packing import over_lengths

UNIT = 20.0  # frames: about a phone, at 5 ms
LONGEST = 1000.0  # units


class DurationModel(nn.Module):
    """A bidirectional LSTM and a linear layer, trained with squared errors.

    WaveNet, appendix B, takes durations from an LSTM network trained so; sizes and scale are not published. Squared errors of
    frames, not of their logarithms, have the mean as their least: so that the symbols of a text last as long as it did when it
    was read, pauses too, which are there or not.

    Args:
        inputs: width of the contexts.
        units: of both directions together.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, units // 2, batch_first=True, bidirectional=True)
        self.last = nn.Linear(units, 1)

    def forward(self, contexts: Tensor, lengths: Tensor) -> Tensor:
        """``B S D``, symbols of each row ``B`` -> frames / UNIT ``B S``; what stands on padding means nothing."""
        made: Tensor = self.last(over_lengths(self.lstm, contexts, lengths))
        return made.squeeze(2)

    def frames(self, contexts: Tensor, lengths: Tensor, least: Tensor, speed: float = 1.0) -> Tensor:
        """Whole frames, int64 ``B S``, at least ``least`` ``B S``; ``speed`` times as fast."""
        predicted = UNIT / speed * self(contexts, lengths).clamp(max=LONGEST)
        return torch.maximum(predicted.round().long(), least)
