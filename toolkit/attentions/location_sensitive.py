"""Location-sensitive attention."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from toolkit.attentions.base import ATTENTIONS, Attention
from toolkit.errors import ConfigError
from toolkit.nn.additive_attention import AdditivePieces
from toolkit.nn.noise import Noise


class LocationState(NamedTuple):
    """The memory, its projection and mask, and where attention has been."""

    memory: Tensor  # B S D
    keys: Tensor  # B S A
    mask: Tensor  # B S
    previous: Tensor  # B S, weights of the last step
    cumulative: Tensor  # B S, their sum over all steps


@ATTENTIONS.register("location_sensitive")
class LocationSensitiveAttention(Attention):
    """Additive attention that also sees where it has been, e = v tanh(W s + V h + U f + b), f = F * sum of past weights.

    Chorowski et al. 2015, equations 8-9, with cumulative weights as in Tacotron 2, section 2.2.

    Args:
        dim: width A of the space where query, memory and location meet.
        filters, kernel_size: the convolution over past weights.
        previous: let the convolution see the last step's weights beside the cumulative ones.
    """

    def __init__(
        self,
        memory_dim: int,
        query_dim: int,
        output_dim: int,
        *,
        dim: int = 128,
        filters: int = 32,
        kernel_size: int = 31,
        previous: bool = False,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size: must be odd, got {kernel_size}; nearest: {kernel_size + 1}")
        self.previous = previous
        self.query = nn.Linear(query_dim, dim, bias=False)
        self.key = nn.Linear(memory_dim, dim)
        self.filters = nn.Conv1d(2 if previous else 1, filters, kernel_size, padding=kernel_size // 2, bias=False)
        self.location = nn.Linear(filters, dim, bias=False)
        self.energy = nn.Linear(dim, 1, bias=False)

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, hard: bool = False) -> LocationState:
        nowhere = memory.new_zeros(mask.shape)
        return LocationState(memory, self.key(memory), mask, nowhere, nowhere)

    def forward(
        self, query: Tensor, output: Tensor, state: LocationState, allowed: Tensor | None = None
    ) -> tuple[Tensor, Tensor, LocationState]:
        past = torch.stack([state.previous, state.cumulative], 1) if self.previous else state.cumulative[:, None]
        location = self.location(self.filters(past).transpose(1, 2))  # B S A
        energies = self.energy(torch.tanh(self.query(query)[:, None] + state.keys + location)).squeeze(2)  # B S
        mask = state.mask if allowed is None else state.mask | ~allowed
        weights = torch.softmax(energies.masked_fill(mask, float("-inf")), dim=1)
        context = torch.bmm(weights[:, None], state.memory).squeeze(1)  # B D
        return context, weights, state._replace(previous=weights, cumulative=state.cumulative + weights)

    def pieces(self, state: LocationState) -> AdditivePieces:
        taps = torch.einsum("af,fck->ack", self.location.weight, self.filters.weight)  # convolution and projection in one
        return AdditivePieces(state.memory, state.keys, state.mask, self.query.weight, self.energy.weight[0], taps, self.previous)
