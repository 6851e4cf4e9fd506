"""Sines and cosines that tell a network without recurrence where in time it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from toolkit.errors import ConfigError, nearest
from toolkit.nn.dropout import Dropout

LONGEST = 10000.0  # wavelength of the slowest pair, over 2 pi
ADDED = ("scaled", "absolute")


def sinusoids(positions: Tensor, units: int) -> Tensor:
    """PE(p, 2i) = sin(p / 10000^(2i / units)), PE(p, 2i + 1) = cos of the same (Vaswani et al. 2017, section 3.5).

    Args:
        positions: floats, any shape; they may be negative.
        units: width, even.

    Returns:
        The shape of ``positions`` with ``units`` at its end.
    """
    pairs = torch.arange(0, units, 2, dtype=positions.dtype, device=positions.device)
    angles = positions[..., None] * torch.exp(pairs * (-math.log(LONGEST) / units))
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)


def check_positions(kind: str, known: Sequence[str]) -> None:
    """Refuse a kind of positions that a part does not have."""
    if kind not in known:
        raise ConfigError(f"positions: unknown, got {kind!r}; {nearest(kind, known)}")


class Positions(nn.Module):
    """Adds sinusoids to features, then dropout.

    Args:
        units: D, even.
        kind: ``absolute``, as they are; ``scaled`` by a trained alpha, which starts at 1 (Li et al. 2019, section 3.2: features
            of text and of frames have other scales).
        dropout: on the sum, in training.
    """

    def __init__(self, units: int, kind: str, dropout: float) -> None:
        super().__init__()
        check_positions(kind, ADDED)
        if units % 2:
            raise ConfigError(f"units: must be even, got {units}; nearest: {units + 1}")
        self.alpha = nn.Parameter(torch.ones(())) if kind == "scaled" else None
        self.dropout = Dropout(dropout)

    def forward(self, features: Tensor, start: int = 0) -> Tensor:
        """``B T D`` of times start .. start + T -> ``B T D``."""
        _, steps, units = features.shape
        places = torch.arange(start, start + steps, dtype=torch.promote_types(features.dtype, torch.float32), device=features.device)
        added = sinusoids(places, units).to(features.dtype)
        dropped: Tensor = self.dropout(features + (added if self.alpha is None else self.alpha * added))
        return dropped
