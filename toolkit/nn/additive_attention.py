"""Additive energies of an attention, and what they consist of for code that computes them in another way."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from toolkit.errors import ConfigError


class AdditivePieces(NamedTuple):
    """``e_s = energy . tanh(query q + keys_s + (location * past)_s)``, weights = softmax of e where ``mask`` is False.

    With ``forward`` they are softmax(e + log r), r_s = a_s + a_{s-1} of the last step's weights a, which begin at the first symbol;
    see ``monotonic.reweighted``.

    Gradients flow back through every tensor, so a piece may itself be computed from parameters.
    """

    memory: Tensor  # B S D, what the context is the weighted sum of
    keys: Tensor  # B S A, its projection with the bias
    mask: Tensor  # bool B S, True on padding
    query: Tensor  # A Q
    energy: Tensor  # A
    location: Tensor | None = None  # A C K: taps over past weights, K odd; None where the past does not count
    previous: bool = False  # C = 2: channel 0 the last weights, 1 their sum over all steps; else C = 1: the sum alone
    forward: bool = False

    def in_float32(self) -> AdditivePieces:
        """The same with every real tensor in float32, whatever autocast made of it."""
        location = None if self.location is None else self.location.float()
        memory, keys, query, energy = self.memory.float(), self.keys.float(), self.query.float(), self.energy.float()
        return self._replace(memory=memory, keys=keys, query=query, energy=energy, location=location)


class AdditiveEnergies(nn.Module):
    """e_s = v tanh(W q + V h_s + U f_s + b), f = F * past (Bahdanau et al. 2015; Chorowski et al. 2015, equations 8-9).

    Args:
        memory_dim, query_dim: D and Q.
        dim: width A of the space where query, memory and location meet.
        filters: of the convolution F over past weights; 0 leaves U f out, so that only content counts.
        kernel_size: of F.
        channels: C, past weights side by side.
    """

    def __init__(self, memory_dim: int, query_dim: int, dim: int, filters: int = 0, kernel_size: int = 31, channels: int = 1) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size: must be odd, got {kernel_size}; nearest: {kernel_size + 1}")
        self.query = nn.Linear(query_dim, dim, bias=False)
        self.key = nn.Linear(memory_dim, dim)
        self.filters = nn.Conv1d(channels, filters, kernel_size, padding=kernel_size // 2, bias=False) if filters else None
        self.location = nn.Linear(filters, dim, bias=False) if filters else None
        self.energy = nn.Linear(dim, 1, bias=False)

    def forward(self, query: Tensor, keys: Tensor, past: Tensor | None = None) -> Tensor:
        """Query ``B Q``, keys ``B S A`` that ``key`` made of the memory, past weights ``B C S`` -> energies ``B S``."""
        inner = self.query(query)[:, None] + keys
        if self.filters is not None and self.location is not None and past is not None:
            inner = inner + self.location(self.filters(past.to(query.dtype)).transpose(1, 2))
        energies: Tensor = self.energy(torch.tanh(inner))
        return energies.squeeze(2)

    def pieces(self, memory: Tensor, keys: Tensor, mask: Tensor) -> AdditivePieces:
        """What they consist of; convolution and projection of the past are one tensor."""
        if self.filters is None or self.location is None:
            return AdditivePieces(memory, keys, mask, self.query.weight, self.energy.weight[0])
        taps = torch.einsum("af,fck->ack", self.location.weight, self.filters.weight)
        return AdditivePieces(memory, keys, mask, self.query.weight, self.energy.weight[0], taps, self.filters.in_channels == 2)
