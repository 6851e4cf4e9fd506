"""How an autoregressive part runs at synthesis: arithmetic, threads, folding. Never what it computes, unless asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

from toolkit.errors import ConfigError, nearest

PRECISIONS = ("fp32", "bf16", "int8")
MOST_FOLDS = 256


class Execution(NamedTuple):
    """How ``generate`` of a decoder or vocoder runs.

    Fast paths of ``fp32`` and one fold equal the plain path, so they are taken without asking. The other precisions and
    more folds change the result a little and are only taken when asked for. A part that has no such path runs its plain one.
    """

    precision: str = "fp32"  # of weights and products: fp32 | bf16 | int8
    threads: int = 2  # at most; see ``workers``
    folds: int = 1  # segments of one utterance that a vocoder generates side by side and cross-fades; 1 is exact
    native: bool = True  # False: torch only

    @property
    def workers(self) -> int:
        """Threads to use: never more than the cores at hand."""
        return max(1, min(self.threads, cores()))

    def checked(self) -> Execution:
        """The same, or a ``ConfigError`` about the first value that cannot be."""
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision: unknown, got {self.precision!r}; {nearest(self.precision, PRECISIONS)}")
        for name, value, high in (("threads", self.threads, 1024), ("folds", self.folds, MOST_FOLDS)):
            if not 1 <= value <= high:
                raise ConfigError(f"{name}: must be from 1 to {high}, got {value}")
        return self


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Inside, torch computes with that many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
