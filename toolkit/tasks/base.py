"""What the tasks have in common: a configuration, one optimiser, and losses as the forward pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from toolkit.config import dump
from toolkit.tasks.schema import System
from toolkit.train.settings import Training


class SystemTask(nn.Module):
    """A task of a system. ``name`` is its section of the configuration; ``sections`` are all that its training depends on."""

    name: str
    sections: tuple[str, ...]

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system

    @property
    def settings(self) -> Training:
        section: Training = getattr(self.system, self.name)
        return section

    @classmethod
    def identity(cls, system: System) -> dict[str, Any]:
        """The configuration that this training depends on, as plain data."""
        return {key: value for key, value in dump(system).items() if key.removesuffix("_conf") in cls.sections}

    def begin(self, step: int) -> dict[str, float]:
        """Nothing follows from the step."""
        return {}

    def turns(self, step: int) -> tuple[str, ...]:
        """One optimiser moves all weights."""
        return ("main",)

    def parameters_of(self, turn: str) -> Iterable[tuple[str, nn.Parameter]]:
        """The weights that this turn's optimiser moves, with their names."""
        return self.named_parameters()

    def forward(self, batch: Any, turn: str) -> dict[str, Tensor]:
        """What DDP wraps: the losses."""
        return self.losses(batch, turn)

    def losses(self, batch: Any, turn: str) -> dict[str, Tensor]:
        """Scalars that add up to the loss: sums over the micro-batch divided by the counts of the global batch."""
        raise NotImplementedError
