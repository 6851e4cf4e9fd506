"""Location-sensitive attention."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from toolkit.attentions.base import ATTENTIONS, Attention
from toolkit.errors import ConfigError
from toolkit.nn.additive_attention import AdditiveEnergies, AdditivePieces
from toolkit.nn.attention_weights import context_of, masked_softmax
from toolkit.nn.noise import Noise


class LocationState(NamedTuple):
    """The memory, its projection and mask, and where attention has been."""

    memory: Tensor  # B S D
    keys: Tensor  # B S A
    mask: Tensor  # B S
    previous: Tensor  # B S, weights of the last step
    cumulative: Tensor  # B S, their sum over all steps
    opening: Tensor | None  # B S, what the first step sees in their place


@ATTENTIONS.register("location_sensitive")
class LocationSensitiveAttention(Attention):
    """Additive attention that also sees where it has been, e = v tanh(W s + V h + U f + b), f = F * sum of past weights.

    Chorowski et al. 2015, equations 8-9, with cumulative weights as in Tacotron 2, section 2.2.

    Args:
        dim: width A of the space where query, memory and location meet.
        filters, kernel_size: the convolution over past weights.
        previous: let the convolution see the last step's weights beside the cumulative ones.
        sharpening: factor on the energies; above 1 weights gather on fewer symbols (Chorowski et al. 2015, section 2.3).
        smoothing: weights are sigmoid(e), scaled to a sum of 1, in place of a softmax: they spread over more symbols (ibid.).
        even_start: the first step sees the same weight on all symbols as its past, as in ESPnet, and not zeros. No kernel has it.
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
        sharpening: float = 1.0,
        smoothing: bool = False,
        even_start: bool = False,
    ) -> None:
        super().__init__()
        if filters < 1:
            raise ConfigError(f"filters: must be at least 1, got {filters}; nearest: attention content, which has none")
        if not sharpening > 0:
            raise ConfigError(f"sharpening: must be above 0, got {sharpening:g}")
        self.previous, self.sharpening, self.smoothing, self.even_start = previous, sharpening, smoothing, even_start
        self.energies = AdditiveEnergies(memory_dim, query_dim, dim, filters, kernel_size, 2 if previous else 1)

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, hard: bool = False) -> LocationState:
        nowhere = memory.new_zeros(mask.shape)
        opening = F.normalize((~mask).to(memory.dtype), p=1.0, dim=1) if self.even_start else None
        return LocationState(memory, self.energies.key(memory), mask, nowhere, nowhere, opening)

    def forward(
        self, query: Tensor, output: Tensor, state: LocationState, allowed: Tensor | None = None
    ) -> tuple[Tensor, Tensor, LocationState]:
        past = torch.stack([state.previous, state.cumulative], 1) if self.previous else state.cumulative[:, None]
        if state.opening is not None:
            past = state.opening[:, None].expand_as(past)
        energies = self.sharpening * self.energies(query, state.keys, past)
        if self.smoothing:
            energies = F.logsigmoid(energies)  # whose softmax is sigmoids scaled to a sum of 1
        weights = masked_softmax(energies, state.mask, allowed)
        state = state._replace(previous=weights, cumulative=state.cumulative + weights, opening=None)
        return context_of(weights, state.memory), weights, state

    def pieces(self, state: LocationState) -> AdditivePieces | None:
        if self.smoothing or self.even_start:
            return None
        pieces = self.energies.pieces(state.memory, state.keys, state.mask)
        return pieces._replace(energy=pieces.energy * self.sharpening)
