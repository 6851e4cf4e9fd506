"""Feed-forward layers that learn how much of their input passes unchanged."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CARRY = -1.0  # bias of the gates at the start: most of the input passes (section 2.2 of the source)


class Highway(nn.Module):
    """y = T(x) H(x) + (1 - T(x)) x with H a ReLU layer and T a sigmoid gate (Srivastava et al. 2015, Highway Networks, eq. 3).

    Args:
        width: of input and output.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.both = nn.Linear(width, 2 * width)  # H, then the gates of T: one product
        nn.init.constant_(self.both.bias[width:], CARRY)

    def forward(self, x: Tensor) -> Tensor:
        """``... width`` -> ``... width``."""
        transformed, gate = self.both(x).chunk(2, -1)
        return torch.lerp(x, torch.relu(transformed), torch.sigmoid(gate))
