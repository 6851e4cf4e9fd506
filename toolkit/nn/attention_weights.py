"""From energies to weights and context, as every attention needs it."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_softmax(energies: Tensor, mask: Tensor, allowed: Tensor | None) -> Tensor:
    """Energies ``B S`` -> weights ``B S``, 0 where ``mask`` is True or ``allowed`` is False, and 0 in a row where nothing is left."""
    closed = mask if allowed is None else mask | ~allowed
    weights = torch.softmax(energies.masked_fill(closed, float("-inf")), dim=1)
    return weights if allowed is None else weights.masked_fill(closed.all(1, keepdim=True), 0.0)


def context_of(weights: Tensor, memory: Tensor) -> Tensor:
    """Weights ``B S``, memory ``B S D`` -> context ``B D``."""
    return torch.bmm(weights[:, None], memory).squeeze(1)


def at_first_symbol(memory: Tensor) -> Tensor:
    """Weights ``B S`` that are 1 at the first symbol of ``B S D``; float32 at least, since later ones are products of them."""
    weights = memory.new_zeros(memory.shape[:2], dtype=torch.promote_types(memory.dtype, torch.float32))
    weights[:, 0] = 1.0
    return weights
