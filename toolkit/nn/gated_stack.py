"""The dilated stack of WaveNet over a whole crop at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.nn.gated_layer import RESIDUAL_SCALE, GatedLayer, linear


class FastSkips(Protocol):
    """``GatedStack.skips`` by other means."""

    def __call__(
        self, stack: GatedStack, x: Tensor, condition: Tensor, exists: Tensor | None, count: int, dtype: torch.dtype, /
    ) -> Tensor: ...


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
        residual_bias: whether the 1x1 convolution between layers has one.
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
        residual_bias: bool = False,
    ) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, residual)
        self.layers = nn.ModuleList(
            GatedLayer(kernel_size, dilation, residual, gate, skip, condition, i == len(dilations) - 1, residual_bias)
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

    def forward(
        self,
        inputs: Tensor,
        condition: Tensor,
        exists: Tensor | None = None,
        dtype: torch.dtype | None = None,
        fast: FastSkips | None = None,
    ) -> Tensor:
        """The outputs of the positions that see their whole receptive field.

        Args:
            inputs: ``B T I``; position t holds what is known before sample t.
            condition: ``B T C``.
            exists: bool ``B T``, False before the utterance. What layers hold there is zero, as in generation before its start.
            dtype: of the products inside the layers; sums over layers and the head stay as they are.
            fast: computes ``skips`` in its stead.

        Returns:
            ``B T-reach outputs``.
        """
        count = inputs.shape[1] - self.reach
        dtype = dtype or inputs.dtype
        x = self.first(inputs)
        skips = fast(self, x, condition, exists, count, dtype) if fast else self.skips(x, condition, exists, count, dtype)
        output: Tensor = self.last(F.relu(self.hidden(F.relu(skips * self.skip_scale))))
        return output

    def skips(self, x: Tensor, condition: Tensor, exists: Tensor | None, count: int, dtype: torch.dtype) -> Tensor:
        """Sum of the skips at the last ``count`` positions, ``B count skip``."""
        total, condition = x.new_zeros(()), condition.to(dtype)
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
