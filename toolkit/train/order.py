"""Which utterances make up which update: arithmetic, no state.

The order is an endless row of permutations, one an epoch, cut into global batches. So it depends on the seed, the number
of utterances and the global batch only, and resuming at a step needs nothing but its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import DataError
from toolkit.nn.noise import seed_of
from toolkit.train.settings import Batch


@lru_cache(maxsize=2)
def permutation(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    """The order of ``size`` utterances within an epoch, epochs counted from 0."""
    return np.random.Generator(np.random.PCG64(seed_of(seed, "order", epoch))).permutation(size)


def by_length(members: Sequence[int], lengths: Sequence[int] | None, micro: int) -> list[list[int]]:
    """Members sorted by length (ties by index) and cut into micro-batches, so that they hold little padding."""
    ordered = sorted(members, key=lambda m: (lengths[m], m)) if lengths is not None else list(members)
    return [ordered[start : start + micro] for start in range(0, len(ordered), micro)]


class Order:
    """The global batches of a training.

    Args:
        seed: of the training.
        size: number of utterances.
        batch: its global and micro size.
        lengths: of the utterances in any unit, or None: micro-batches are then cut in the order drawn.
    """

    def __init__(self, seed: int, size: int, batch: Batch, lengths: Sequence[int] | None = None) -> None:
        if size < 1:
            raise DataError("training set: no utterances, got 0; loosen the limits or check the data directory")
        self.seed, self.size, self.batch, self.lengths = seed, size, batch, lengths

    def members(self, step: int) -> list[int]:
        """Utterances of an update in the order drawn; steps count from 1."""
        start = (step - 1) * self.batch.global_
        places = range(start, start + self.batch.global_)
        return [int(permutation(self.seed, place // self.size, self.size)[place % self.size]) for place in places]

    def micro_batches(self, step: int) -> list[list[int]]:
        """The update's micro-batches in index order."""
        return by_length(self.members(step), self.lengths, self.batch.micro)
