"""The dilated stack of WaveNet over a whole crop at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.nn.fused_gated_layers import gated_layers
from toolkit.nn.gated_layer import RESIDUAL_SCALE, GatedLayer, linear


class GatedStack(nn.Module):
    """Inputs ``B T I`` and conditions ``B T C`` -> outputs of the last positions.

    Args:
        inputs: I.
        condition: C.
        outputs: width of the output, after ReLU, 1x1, ReLU, 1x1 over the sum of the skips.
        dilations: one for each layer.
        kernel_size: taps of a layer.
        residual: channels between layers.
        gate: channels of z.
        skip: channels of the skips and of the head.
        dropout: on what enters a layer, in training.
    """

    def __init__(
        self,
        inputs: int,
        condition: int,
        outputs: int,
        dilations: Sequence[int],
        kernel_size: int,
        residual: int,
        gate: int,
        skip: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, residual)
        self.layers = nn.ModuleList(
            GatedLayer(kernel_size, dilation, residual, gate, skip, condition, last=i == len(dilations) - 1)
            for i, dilation in enumerate(dilations)
        )
        self.hidden = nn.Linear(skip, skip)
        self.last = nn.Linear(skip, outputs)
        self.dropout = nn.Dropout(dropout)
        self.skip_scale = math.sqrt(1 / len(dilations))

    def each(self) -> list[GatedLayer]:
        """The layers, from the input on."""
        return cast(list[GatedLayer], list(self.layers))

    @property
    def reach(self) -> int:
        """Earlier positions that one output depends on; with its own, the receptive field is one more."""
        return sum(layer.reach for layer in self.each())

    def forward(self, inputs: Tensor, condition: Tensor, exists: Tensor | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """The outputs of the positions that see their whole receptive field.

        Args:
            inputs: ``B T I``; position t holds what is known before sample t.
            condition: ``B T C``.
            exists: bool ``B T``, False before the utterance. What layers hold there is zero, as in generation before its start.
            dtype: of the products inside the layers; sums over layers and the head stay as they are.

        Returns:
            ``B T-reach outputs``.
        """
        count = inputs.shape[1] - self.reach
        dtype = dtype or inputs.dtype
        x, condition = self.first(inputs), condition.to(dtype)
        if torch.is_grad_enabled() and not (self.training and self.dropout.p):
            units = gated_layers(self.each(), x, condition, exists, count, dtype)
            skip = torch.cat([layer.skip.weight for layer in self.each()], 1).to(dtype)
            skips = F.linear(units, skip).to(x.dtype) + torch.stack([layer.skip.bias for layer in self.each()]).sum(0)
        else:
            skips = self.skips(x, condition, exists, count, dtype)
        output: Tensor = self.last(F.relu(self.hidden(F.relu(skips * self.skip_scale))))
        return output

    def skips(self, x: Tensor, condition: Tensor, exists: Tensor | None, count: int, dtype: torch.dtype) -> Tensor:
        """Sum of the skips at the last ``count`` positions, ``B count skip``. In training ``fused_gated_layers`` does it faster."""
        total = x.new_zeros(())
        for layer in self.each():
            if exists is not None:
                x = x * exists[:, -x.shape[1] :, None]
            z = layer(self.dropout(x), condition, dtype)
            total = total + linear(layer.skip, z[:, -count:], dtype).to(x.dtype)
            if layer.residual is not None:
                x = (x[:, layer.reach :] + linear(layer.residual, z, dtype)) * RESIDUAL_SCALE
        return total


def dilation_cycles(layers: int, cycles: int) -> list[int]:
    """Dilations 1, 2, 4, ... that start again ``cycles`` times. Tacotron 2, section 2.3: 2^(k mod 10) for 30 layers in 3 cycles."""
    return [2 ** (k % (layers // cycles)) for k in range(layers)]
