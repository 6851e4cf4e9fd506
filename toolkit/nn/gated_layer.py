"""One layer of WaveNet's dilated stack: causal and gated, with residual and skip connections."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

RESIDUAL_SCALE = math.sqrt(0.5)  # keeps the variance from growing with depth; not in the paper, common in open code


class GatedLayer(nn.Module):
    """z = tanh(W_f * x + V_f y) sigmoid(W_g * x + V_g y); x' = (x + 1x1(z)) sqrt(1/2); skip = 1x1(z). WaveNet, section 2.5.

    Convolutions are products of one weight with the taps side by side, oldest first, then the condition.
    """

    def __init__(
        self, kernel_size: int, dilation: int, residual: int, gate: int, skip: int, condition: int, last: bool, bias: bool = False
    ) -> None:  # fmt: skip
        super().__init__()
        self.dilation, self.kernel_size = dilation, kernel_size
        self.gates = nn.Linear(kernel_size * residual + condition, 2 * gate)
        self.skip = nn.Linear(gate, skip)
        self.residual = None if last else nn.Linear(gate, residual, bias=bias)

    @property
    def reach(self) -> int:
        """Earlier positions that one output depends on."""
        return (self.kernel_size - 1) * self.dilation

    def forward(self, x: Tensor, condition: Tensor, dtype: torch.dtype) -> Tensor:
        """``B T residual`` and ``B >=T condition``, which end together -> z ``B T-reach gate``."""
        size = x.shape[1] - self.reach
        x = x.to(dtype)
        taps = [x[:, k * self.dilation : k * self.dilation + size] for k in range(self.kernel_size)]
        gates = linear(self.gates, torch.cat([*taps, condition[:, -size:]], -1), dtype)
        filtered, gate = gates.chunk(2, -1)
        return torch.tanh(filtered) * torch.sigmoid(gate)


def linear(layer: nn.Linear, x: Tensor, dtype: torch.dtype) -> Tensor:
    """The layer with its product in another precision."""
    return F.linear(x, layer.weight.to(dtype), None if layer.bias is None else layer.bias.to(dtype))
