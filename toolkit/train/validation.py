"""Losses of a task over the dev set, and what it shows of itself there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn

from toolkit.data.batches import to_device
from toolkit.train.averaging import borrowed
from toolkit.train.distributed import Processes
from toolkit.train.order import by_length
from toolkit.train.protocol import Data, Observation, Task
from toolkit.train.settings import Training


def losses_of(module: nn.Module, batch: Any, turn: str, process: Processes, precision: str) -> Mapping[str, Tensor]:
    """The terms of the loss of one micro-batch, computed on the process's device in ``fp32``, ``bf16`` or ``fp16``."""
    low = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    with torch.autocast(process.device.type, low) if low else nullcontext():
        return cast(Mapping[str, Tensor], module(to_device(batch, process.device), turn))


@contextmanager
def evaluating(module: nn.Module, state: Mapping[str, Tensor] | None) -> Iterator[None]:
    """Within the block: these weights (None: its own), eval mode, no gradients."""
    with borrowed(module, state), torch.no_grad():
        module.eval()
        try:
            yield
        finally:
            module.train()


class Validation:
    """The dev set in micro-batches with fixed keys ``(seed, 0, index)``, shared by the processes. Use it within ``evaluating``."""

    def __init__(self, module: nn.Module, dev: Data, settings: Training, seed: int, process: Processes) -> None:
        self.module, self.task, self.dev, self.seed, self.process = module, cast(Task, module), dev, seed, process
        self.precision = settings.precision
        self.micro_batches = by_length(range(len(dev)), getattr(dev, "lengths", None), settings.batch.micro)

    def _load(self, index: int) -> Any:
        key = (self.seed, 0, index)
        return self.dev.load(self.micro_batches[index], self.dev.counts(range(len(self.dev)), (self.seed, 0, 0)), key)

    def losses(self, step: int) -> dict[str, float]:
        """``loss`` and its terms, sums over the whole set divided by its counts; the same numbers in every process.

        They are those of the step's last turn: a discriminator's own loss says nothing of what it judges.
        """
        self.task.begin(step)
        world, count = self.process.world, len(self.micro_batches)
        turn = self.task.turns(step)[-1]
        rows, terms = [], list[str]()
        for place in range(self.process.rank, -(-count // world) * world, world):
            # the last round may lack micro-batches: a repeated one keeps processes in step and is cut off below
            terms_of = losses_of(self.module, self._load(place % count), turn, self.process, self.precision)
            terms = list(terms_of)
            rows.append(torch.stack([value.double() for value in terms_of.values()]))
        sums = dict(zip(terms, self.process.in_order(torch.stack(rows))[:count].sum(0).tolist(), strict=True))
        return {"loss": sum(sums.values()), **sums}

    def observe(self) -> Observation:
        """What the task shows of a micro-batch of middle length."""
        return self.task.observe(to_device(self._load(len(self.micro_batches) // 2), self.process.device))
