"""Content-based attention."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from toolkit.attentions.base import ATTENTIONS, Attention
from toolkit.nn.additive_attention import AdditivePieces
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
        self.query = nn.Linear(query_dim, dim, bias=False)
        self.key = nn.Linear(memory_dim, dim)
        self.energy = nn.Linear(dim, 1, bias=False)

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, hard: bool = False) -> ContentState:
        return ContentState(memory, self.key(memory), mask)

    def forward(
        self, query: Tensor, output: Tensor, state: ContentState, allowed: Tensor | None = None
    ) -> tuple[Tensor, Tensor, ContentState]:
        energies = self.energy(torch.tanh(self.query(query)[:, None] + state.keys)).squeeze(2)  # B S
        mask = state.mask if allowed is None else state.mask | ~allowed
        weights = torch.softmax(energies.masked_fill(mask, float("-inf")), dim=1)
        context = torch.bmm(weights[:, None], state.memory).squeeze(1)  # B D
        return context, weights, state

    def pieces(self, state: ContentState) -> AdditivePieces:
        return AdditivePieces(state.memory, state.keys, state.mask, self.query.weight, self.energy.weight[0])
