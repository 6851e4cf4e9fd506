"""The contract of discriminators."""

from typing import NamedTuple

from torch import Tensor, nn

from toolkit.errors import ConfigError
from toolkit.registry import Registry


class Judgement(NamedTuple):
    """What one of the nets of a discriminator says of each wave."""

    score: Tensor  # B ..., high for a recording
    features: list[Tensor]  # B ... each: the outputs of its layers, for feature matching


class Discriminator(nn.Module):
    """Waves -> judgements. ``weight`` is the share of each judgement in the losses of both sides.

    A row is judged by itself, whatever its batch, so losses of micro-batches add up.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise ConfigError(f"weight: of judgements, at least 0, got {weight:g}")
        self.weight = weight

    def forward(self, wave: Tensor) -> list[Judgement]:
        """Waves ``B N`` -> one judgement for each net of the part."""
        raise NotImplementedError


DISCRIMINATORS: Registry[Discriminator] = Registry("discriminator", Discriminator, wired=("sample_rate",))
