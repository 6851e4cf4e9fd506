"""What the trainer knows of a task: this and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from toolkit.data.batches import Counts


class Observation(NamedTuple):
    """What a task shows of itself at a validation."""

    numbers: dict[str, float]  # such as alignment focus
    images: dict[str, Callable[[], Any]]  # name -> draws an H x W x 3 uint8 array; where nothing can draw, nobody asks
    audio: dict[str, tuple[Any, int]]  # name -> float32 samples, sample rate


class Data(Protocol):
    """Items of one split. Loads nothing until a micro-batch is asked for.

    It may also have ``lengths`` (micro-batches then hold utterances of similar length) and ``ids`` (messages then name them).
    """

    def __len__(self) -> int:
        """Number of utterances."""

    def counts(self, members: Sequence[int], key: tuple[int, int, int]) -> Counts:
        """Totals of a global batch, from the index alone."""

    def load(self, members: Sequence[int], counts: Counts, key: tuple[int, int, int]) -> Any:
        """One micro-batch: these utterances, the counts of the global batch, the address of its random numbers."""


class Task(Protocol):
    """A model with its losses. It is an ``nn.Module`` whose ``forward`` is ``losses``: what DDP wraps."""

    name: str

    def begin(self, step: int) -> Mapping[str, float]:
        """Take up what else follows from the step. Returns it as numbers for the log.

        It is called before the losses of an update and of a validation after it.
        """

    def turns(self, step: int) -> tuple[str, ...]:
        """The optimisers that take a step, in order: ``("main",)``, or ``("discriminator", "generator")``. The last one's is the loss."""

    def parameters_of(self, turn: str) -> Iterable[tuple[str, nn.Parameter]]:
        """The weights that this turn's optimiser moves, with their names."""

    def losses(self, batch: Any, turn: str) -> Mapping[str, Tensor]:
        """Scalars that add up to the loss: sums over the micro-batch divided by the counts of the global batch.

        In eval mode only those that can be compared over a whole training: not what discriminators say, as they change.
        """

    def observe(self, batch: Any) -> Observation:
        """Pictures, sounds and numbers for the log, in eval mode."""
