"""Dot-product attention."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from toolkit.attentions.base import ATTENTIONS, Attention
from toolkit.nn.attention_weights import context_of, masked_softmax
from toolkit.nn.noise import Noise


class DotState(NamedTuple):
    """The memory, its projection and its mask."""

    memory: Tensor  # B S D
    keys: Tensor  # B S A
    mask: Tensor  # B S


@ATTENTIONS.register("dot")
class DotAttention(Attention):
    """Scaled dot products, e = (W s) . (V h) / sqrt(A) (Vaswani et al. 2017, section 3.2.1, with one head).

    Args:
        dim: width A of the space where query and memory meet.
    """

    def __init__(self, memory_dim: int, query_dim: int, output_dim: int, *, dim: int = 128) -> None:
        super().__init__()
        self.query = nn.Linear(query_dim, dim, bias=False)
        self.key = nn.Linear(memory_dim, dim, bias=False)  # a bias would add the same to all energies

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, hard: bool = False) -> DotState:
        return DotState(memory, self.key(memory), mask)

    def forward(self, query: Tensor, output: Tensor, state: DotState, allowed: Tensor | None = None) -> tuple[Tensor, Tensor, DotState]:
        scaled = self.query(query) * state.keys.shape[2] ** -0.5
        energies = torch.bmm(state.keys, scaled[:, :, None]).squeeze(2)
        weights = masked_softmax(energies, state.mask, allowed)
        return context_of(weights, state.memory), weights, state
