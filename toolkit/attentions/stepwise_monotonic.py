"""Stepwise monotonic attention."""

from __future__ import annotations

from torch import Tensor

from toolkit.attentions.base import ATTENTIONS, SigmoidAttention
from toolkit.nn.monotonic import hard_stepwise, soft_stepwise


@ATTENTIONS.register("stepwise_monotonic")
class StepwiseMonotonicAttention(SigmoidAttention):
    """Attention stays or moves exactly one symbol on, so that none is skipped (He et al. 2019).

    Training takes expected weights (equation 8), synthesis and ground-truth alignment the hard form. It stays at the last symbol. A decoder
    step must not cover more than one symbol: with a large reduction factor some speech is too fast for it.

    Args:
        dim: width A of the space where query, memory and location meet.
        filters, kernel_size: a convolution over the last weights in the energies; 0 for none.
        noise: deviation of the normal noise on energies in training.
        offset: the energies' before training; above 0, attention stays at first.
    """

    def __init__(
        self, memory_dim: int, query_dim: int, output_dim: int, *,
        dim: int = 128, filters: int = 0, kernel_size: int = 31, noise: float = 2.0, offset: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(memory_dim, query_dim, dim, filters, kernel_size, noise, offset)

    def soft(self, energies: Tensor, before: Tensor, mask: Tensor) -> Tensor:
        return soft_stepwise(energies, before, mask)

    def place(self, energies: Tensor, before: Tensor, mask: Tensor) -> Tensor:
        return hard_stepwise(energies, before, mask)
