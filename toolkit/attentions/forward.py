"""Forward attention."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from toolkit.attentions.base import ATTENTIONS, Attention
from toolkit.errors import ConfigError
from toolkit.nn.additive_attention import AdditiveEnergies, AdditivePieces
from toolkit.nn.attention_weights import at_first_symbol, context_of
from toolkit.nn.monotonic import reweighted, shifted
from toolkit.nn.noise import Noise


class ForwardState(NamedTuple):
    """The memory, its projection and mask, and where attention was last."""

    memory: Tensor  # B S D
    keys: Tensor  # B S A
    mask: Tensor  # B S
    weights: Tensor  # B S; float32 at least


@ATTENTIONS.register("forward")
class ForwardAttention(Attention):
    """Attention that stays or moves one symbol on in a step (Zhang et al. 2018, arXiv 1807.06736).

    a'_t(n) = (a_{t-1}(n) + a_{t-1}(n-1)) y_t(n), scaled to a sum of 1; y_t is the softmax of additive energies, a_0 is the first
    symbol. A decoder step must not cover more than one symbol: with a large reduction factor some speech is too fast for it.

    Args:
        dim: width A of the space where query, memory and location meet.
        filters, kernel_size: a convolution over the last weights in the energies; without it, 0, speech was preferred there.
        least: of a weight before weights are scaled to a sum of 1. ESPnet's code has 1e-6, so that attention may leap a little;
            no kernel has it.
    """

    def __init__(
        self,
        memory_dim: int,
        query_dim: int,
        output_dim: int,
        *,
        dim: int = 128,
        filters: int = 0,
        kernel_size: int = 31,
        least: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0.0 <= least < 1.0:
            raise ConfigError(f"least: a weight, must be from 0 to below 1, got {least:g}; nearest: 1e-6")
        self.least = least
        self.energies = AdditiveEnergies(memory_dim, query_dim, dim, filters, kernel_size)

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, hard: bool = False) -> ForwardState:
        return ForwardState(memory, self.energies.key(memory), mask, at_first_symbol(memory))

    def forward(
        self, query: Tensor, output: Tensor, state: ForwardState, allowed: Tensor | None = None
    ) -> tuple[Tensor, Tensor, ForwardState]:
        energies = self.energies(query, state.keys, state.weights[:, None])
        weights = reweighted(energies, state.weights + shifted(state.weights), state.mask, allowed, self.least)
        shown = weights.to(state.memory.dtype)
        return context_of(shown, state.memory), shown, state._replace(weights=weights)

    def pieces(self, state: ForwardState) -> AdditivePieces | None:
        if self.energies.filters is not None or self.least:
            return None
        return self.energies.pieces(state.memory, state.keys, state.mask)._replace(forward=True)
