"""WaveNet's dilated stack with convolutions that look as far ahead as back."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from toolkit.nn.gated_layer import RESIDUAL_SCALE, linear
from toolkit.nn.gated_stack import GatedStack


class CentredStack(GatedStack):
    """As many outputs as inputs, zeros beyond the ends of each layer (Yamamoto et al. 2020, section 3.1: "non-causal")."""

    def skips(self, x: Tensor, condition: Tensor, exists: Tensor | None, count: int, dtype: torch.dtype) -> Tensor:
        """Sum of the skips at all positions, ``B T skip``; ``exists`` and ``count`` are of the causal stack."""
        total, condition = x.new_zeros(()), condition.to(dtype)
        for layer in self.each():
            side = layer.reach // 2
            z = layer(F.pad(self.dropout(x), (0, 0, side, side)), condition, dtype)
            total = total + linear(layer.skip, z, dtype).to(x.dtype)
            if layer.residual is not None:
                x = (x + linear(layer.residual, z, dtype)) * RESIDUAL_SCALE
        return total
