"""What speech depends on besides its text. It changes the memory after the encoder, so no encoder knows of it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class Conditions(NamedTuple):
    """All optional. A model refuses those that it was not built for."""

    speaker: Tensor | None = None  # int64 B
    language: Tensor | None = None  # int64 B
    vector: Tensor | None = None  # B E
    reference: Tensor | None = None  # B R M
    reference_lengths: Tensor | None = None  # B


class Conditioning(nn.Module):
    """Memory -> memory of width ``out_dim``. One speaker in one language needs none: the memory passes as it is."""

    def __init__(self, memory_dim: int) -> None:
        super().__init__()
        self.out_dim = memory_dim

    def forward(self, memory: Tensor, mask: Tensor, conditions: Conditions) -> Tensor:
        """Memory ``B S D`` -> ``B S out_dim``.

        Raises:
            ValueError: a condition is given that the model has no place for.
        """
        given = [name for name, value in conditions._asdict().items() if value is not None]
        if given:
            raise ValueError(f"this model is not conditioned, got {', '.join(given)}; leave it out")
        return memory
