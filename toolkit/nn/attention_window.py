"""Attention inside a window of the text: which places it covers, and weights that are no softmax confined to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from toolkit.errors import ConfigError


@dataclass(frozen=True)
class Window:
    """Where attention may look at synthesis: symbols around the one that it looked at most in the step before.

    The inference-time window of Deep Voice 3 (Ping et al. 2018) begins at the first symbol and lets attention neither
    jump ahead nor turn back. ``backward: 0, forward: null`` is a mask that only forbids to turn back. Training has no window.

    Args:
        backward: symbols before that one.
        forward: symbols after it, None for all.
    """

    backward: int = 1
    forward: int | None = 3

    def __post_init__(self) -> None:
        if self.backward < 0:
            raise ConfigError(f"backward: symbols, must be at least 0, got {self.backward}")
        if self.forward is not None and self.forward < 1:
            raise ConfigError(f"forward: symbols, must be at least 1 or attention never moves, got {self.forward}; null for all")

    def around(self, places: Tensor, symbols: int) -> Tensor:
        """Places int64 ``B`` -> what is allowed, bool ``B S``."""
        distance = torch.arange(symbols, device=places.device)[None] - places[:, None]
        allowed = distance >= -self.backward
        return allowed if self.forward is None else allowed & (distance <= self.forward)


def attended(weights: Tensor, before: Tensor) -> Tensor:
    """The symbol of each row with the largest weight, int64 ``B``; the one ``before`` where all weights ``B S`` are 0."""
    most, places = weights.max(1)
    return torch.where(most > 0, places, before)


def confined(weights: Tensor, allowed: Tensor | None) -> Tensor:
    """Weights ``B S`` where ``allowed``, bool ``B S``, scaled to the sum that they had; None leaves them as they are."""
    if allowed is None:
        return weights
    inside = weights * allowed
    tiny = torch.finfo(weights.dtype).tiny
    return inside * (weights.sum(1, keepdim=True) / inside.sum(1, keepdim=True).clamp(min=tiny))
