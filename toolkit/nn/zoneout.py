"""An LSTM cell whose units sometimes keep their previous value."""

from __future__ import annotations

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]


class ZoneoutLSTMCell(nn.LSTMCell):
    """LSTM cell with zoneout on hidden and cell state (Krueger et al. 2017).

    A unit keeps its previous value with probability ``zoneout``; without draws the expectation is taken, as at synthesis.
    """

    def __init__(self, input_size: int, hidden_size: int, zoneout: float) -> None:
        super().__init__(input_size, hidden_size)
        self.zoneout = zoneout

    def forward(self, inputs: Tensor, state: State, uniform: Tensor | None = None) -> State:  # type: ignore[override]
        """Inputs ``B D`` and state (hidden, cell) ``B H`` -> new state.

        Args:
            uniform: draws in [0, 1) ``B 2H`` for hidden and cell, or None for the expectation.
        """
        new = super().forward(inputs, state)
        if self.zoneout == 0.0:
            return new
        if uniform is None:
            return torch.lerp(new[0], state[0], self.zoneout), torch.lerp(new[1], state[1], self.zoneout)
        keep_hidden, keep_cell = (uniform < self.zoneout).chunk(2, dim=1)
        return torch.where(keep_hidden, state[0], new[0]), torch.where(keep_cell, state[1], new[1])
