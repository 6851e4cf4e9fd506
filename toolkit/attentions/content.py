"""Content-based attention."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from toolkit.attentions.base import ATTENTIONS, Attention
from toolkit.nn.additive_attention import AdditiveEnergies, AdditivePieces
from toolkit.nn.attention_weights import context_of, masked_softmax
from toolkit.nn.noise import Noise


class ContentState(NamedTuple):
    """The memory, its projection and its mask."""

    memory: Tensor  # B S D
    keys: Tensor  # B S A
    mask: Tensor  # B S


@ATTENTIONS.register("content")
class ContentAttention(Attention):
    """Additive attention on content alone, e = v tanh(W s + V h + b) (Bahdanau et al. 2015).

    Args:
        dim: width A of the space where query and memory meet.
    """

    def __init__(self, memory_dim: int, query_dim: int, output_dim: int, *, dim: int = 128) -> None:
        super().__init__()
        self.energies = AdditiveEnergies(memory_dim, query_dim, dim)

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, hard: bool = False) -> ContentState:
        return ContentState(memory, self.energies.key(memory), mask)

    def forward(
        self, query: Tensor, output: Tensor, state: ContentState, allowed: Tensor | None = None
    ) -> tuple[Tensor, Tensor, ContentState]:
        energies = self.energies(query, state.keys)
        weights = masked_softmax(energies, state.mask, allowed)
        return context_of(weights, state.memory), weights, state

    def pieces(self, state: ContentState) -> AdditivePieces:
        return self.energies.pieces(state.memory, state.keys, state.mask)
