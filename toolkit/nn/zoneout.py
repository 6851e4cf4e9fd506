"""LSTMs whose units sometimes keep their previous value."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.nn.masks import padding_mask

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


def bidirectional(lstm: nn.LSTM, features: Tensor, lengths: Tensor, zoneout: float, uniform: Tensor | None = None) -> Tensor:
    """A bidirectional LSTM layer with zoneout, both directions in one loop.

    The backward direction reads each row from its own end, so both meet padding last and nothing of it comes back.

    Args:
        lstm: one layer whose weights are used.
        features: ``B T C``.
        lengths: int64 ``B``.
        zoneout: probability that a unit of h or c keeps its value.
        uniform: draws in [0, 1) ``B T 4H``, h and c of each direction at its own steps, or None for the expectation.

    Returns:
        ``B T 2H``, 0 on padding.
    """
    rows, time, _ = features.shape
    mask, step = padding_mask(lengths, time), torch.arange(time, device=features.device)[None]
    order = torch.where(mask, step, lengths[:, None] - 1 - step)[..., None]  # its own inverse
    both = torch.stack([features, features.gather(1, order.expand_as(features))])  # 2 B T C
    outside, inside, *_ = (torch.stack(pair) for pair in zip(*lstm.all_weights, strict=True))  # of both directions
    bias = torch.stack([weights[2] + weights[3] for weights in lstm.all_weights])  # summed first: gradients must not share memory
    known = torch.baddbmm(bias[:, None], both.flatten(1, 2), outside.transpose(1, 2))
    gates_of = known.view(2, rows, time, -1).unbind(2)  # T of 2 B 4H
    inside = inside.transpose(1, 2)
    hidden = cell = inside.new_zeros(2, rows, lstm.hidden_size)
    keep = None if uniform is None else (uniform < zoneout).view(rows, time, 2, 2, -1).permute(1, 3, 2, 0, 4)  # T, h and c, 2 B H
    made = []
    for t, gates in enumerate(gates_of):
        i, f, candidate, o = torch.baddbmm(gates, hidden, inside).to(cell.dtype).chunk(4, 2)
        new_cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(candidate)
        new_hidden = torch.sigmoid(o) * torch.tanh(new_cell)
        if keep is None:
            hidden, cell = torch.lerp(new_hidden, hidden, zoneout), torch.lerp(new_cell, cell, zoneout)
        else:
            hidden, cell = torch.where(keep[t, 0], hidden, new_hidden), torch.where(keep[t, 1], cell, new_cell)
        made.append(hidden)
    forward, backward = torch.stack(made, 2)  # each B T H
    back = backward.gather(1, order.expand_as(backward))
    return torch.cat([forward, back], 2).masked_fill(mask[..., None], 0.0)
