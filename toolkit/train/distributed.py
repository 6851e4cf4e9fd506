"""The processes of one training: no-ops where there is one, torchrun and DDP where there are several."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from toolkit.errors import ConfigError, TrainingError

DEFAULT_TIMEOUT = 300


@dataclass(frozen=True)
class Processes:
    """Who this process is among those that share the micro-batches."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")

    @classmethod
    def start(cls, device: str = "auto") -> Processes:
        """Join the processes that torchrun started, or be the only one.

        Args:
            device: ``auto`` takes a GPU where there is one, ``cpu`` never does. ``TOOLKIT_TIMEOUT`` (seconds) bounds how long
                a lost process is waited for.
        """
        if device not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"--device: unknown, got {device!r}; known: auto, cpu, cuda")
        if device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("--device: no GPU is visible here, got 'cuda'; use auto or cpu")
        gpu = device != "cpu" and torch.cuda.is_available()
        rank, world, local = (int(os.environ.get(key, default)) for key, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
        chosen = torch.device("cuda", local) if gpu else torch.device("cpu")
        if gpu:
            torch.cuda.set_device(chosen)
        if world > 1:
            timeout = timedelta(seconds=float(os.environ.get("TOOLKIT_TIMEOUT", DEFAULT_TIMEOUT)))
            dist.init_process_group("nccl" if gpu else "gloo", timeout=timeout)
        return cls(rank, world, chosen)

    @property
    def main(self) -> bool:
        """True in the process that writes files."""
        return self.rank == 0

    def mine(self, micro_batches: int) -> range:
        """Indices of the micro-batches of an update that this process works on."""
        if micro_batches % self.world:
            raise ConfigError(
                f"batch: {micro_batches} micro-batches an update cannot be shared evenly, got {self.world} processes;"
                f" nearest: {max(n for n in range(1, self.world) if micro_batches % n == 0)}"
            )
        return range(self.rank, micro_batches, self.world)

    def in_order(self, rows: Tensor) -> Tensor:
        """Rows of this process's micro-batches -> rows of all micro-batches in index order, the same everywhere."""
        if self.world == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.world)]
        dist.all_gather(parts, rows.contiguous())
        return torch.stack(parts, 1).flatten(0, 1)

    def most(self, value: int) -> int:
        """The largest value that any process brings."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return int(shared)

    def barrier(self) -> None:
        """Wait for all."""
        self.most(0)

    def wrap(self, module: nn.Module, some_unused: bool = False) -> nn.Module:
        """The module with its gradients averaged over processes. Its buffers are its own: all processes compute the same."""
        if self.world == 1:
            return module
        return DistributedDataParallel(module, broadcast_buffers=False, find_unused_parameters=some_unused)

    def sync(self, module: nn.Module, last: bool) -> AbstractContextManager[None]:
        """The context of one backward pass: gradients travel with the last micro-batch only."""
        hold: Callable[[], AbstractContextManager[None]] | None = getattr(module, "no_sync", None)
        return nullcontext() if last or hold is None else hold()

    @contextmanager
    def naming(self, step: int, indices: range, utterances: Callable[[int, range], str]) -> Iterator[None]:
        """Where there are several processes, a failure within the block names process, step and the utterances of its micro-batches."""
        try:
            yield
        except RuntimeError as error:
            if self.world == 1:
                raise
            cause = (str(error) or type(error).__name__).splitlines()[0]
            raise TrainingError(
                f"process {self.rank} of {self.world}, step {step}: {cause}; utterances {utterances(step, indices)}"
            ) from error

    def stop(self) -> None:
        """Leave the others in good order."""
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()
            gc.collect()  # the group's threads end with its last owner, and one that outlives the interpreter aborts the process
