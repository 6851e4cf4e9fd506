"""Monotonic attention."""

from __future__ import annotations

from torch import Tensor

from toolkit.attentions.base import ATTENTIONS, SigmoidAttention
from toolkit.nn.monotonic import hard_monotonic, soft_monotonic


@ATTENTIONS.register("monotonic")
class MonotonicAttention(SigmoidAttention):
    """Attention goes on from where it was, past any number of symbols, to the first at which it stops (Raffel et al. 2017).

    Training takes expected weights (section 2.3), synthesis and ground-truth alignment the hard form (algorithm 1). It always stops at the
    last symbol; there weights may fade away behind it instead.

    Args:
        dim: width A of the space where query, memory and location meet.
        filters, kernel_size: a convolution over the last weights in the energies; 0 for none.
        noise: deviation of the normal noise on energies in training.
        offset: the energies' before training; below 0, attention looks ahead at first.
    """

    def __init__(
        self, memory_dim: int, query_dim: int, output_dim: int, *,
        dim: int = 128, filters: int = 0, kernel_size: int = 31, noise: float = 1.0, offset: float = -1.0,
    ) -> None:  # fmt: skip
        super().__init__(memory_dim, query_dim, dim, filters, kernel_size, noise, offset)

    def soft(self, energies: Tensor, before: Tensor, mask: Tensor) -> Tensor:
        return soft_monotonic(energies, before, mask)

    def place(self, energies: Tensor, before: Tensor, mask: Tensor) -> Tensor:
        return hard_monotonic(energies, before, mask)
