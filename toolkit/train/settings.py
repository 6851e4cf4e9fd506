"""The part of a configuration that says how a task is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from toolkit.errors import ConfigError
from toolkit.registry import Part
from toolkit.train.optimisers import OPTIMISERS, Optimiser
from toolkit.train.schedules import SCHEDULES, Schedule

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")


@dataclass(frozen=True)
class Batch:
    """Utterances of one update. The micro-batch is the unit of work, of random numbers and of batch statistics."""

    global_: int = 64
    micro: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.micro <= self.global_ or self.global_ % self.micro:
            raise ConfigError(f"micro: must divide the global batch of {self.global_}, got {self.micro}")


@dataclass(frozen=True)
class Training:
    """One training. Intervals are in updates ("steps"). It ends after ``max_steps`` or, where that is sooner, ``max_minutes``.

    ``clip`` is the norm that gradients are scaled down to, None for none: now and then those of a recurrent net explode, and one
    such step undoes many; the paper of Tacotron 2 does not mention it. ``average`` is the decay of the exponential moving
    average of the weights, None for none; ``keep_best`` checkpoints by validation loss are kept and, where larger than one,
    averaged at the end. ``patience`` is a number of validations: that many in a row without a lower loss end the training too,
    None for never. ``freeze`` are words of weights' names, such as ``encoder`` or ``decoder.attention``, that are not trained:
    no gradient, no penalty, and their batch normalisation keeps its statistics; None for none. ``precision``: ``bf16`` and
    ``fp16`` are autocast; ``tf32`` lets matrix products of float32 use TensorFloat-32, which PyTorch does not by default (10
    bits instead of 23, GPUs only), and is float32 otherwise.
    """

    batch: Batch = field(default_factory=Batch)
    max_steps: int = 100_000
    max_minutes: float | None = None
    patience: int | None = None
    freeze: tuple[str, ...] | None = None
    optimiser: Annotated[Part[Optimiser], OPTIMISERS] = field(default_factory=lambda: OPTIMISERS.part("adam"))
    schedule: Annotated[Part[Schedule], SCHEDULES] = field(default_factory=lambda: SCHEDULES.part("constant"))
    clip: float | None = 1.0
    average: float | None = None
    precision: str = "fp32"
    save_every: int = 1000
    validate_every: int = 1000
    log_every: int = 50
    keep_best: int = 3
    threads: int | None = None

    def of(self, turn: str) -> Training:
        """The optimiser, schedule, clip and precision of one turn. Here all turns have the same."""
        return self

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision: unknown, got {self.precision!r}; known: {', '.join(PRECISIONS)}")
        for name in ("max_steps", "save_every", "validate_every", "log_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: must be at least 1, got {getattr(self, name)}")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise ConfigError(f"max_minutes: must be above 0, got {self.max_minutes!r}")
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"patience: validations without a lower loss, must be at least 1, got {self.patience}; null for never")
