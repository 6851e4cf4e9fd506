"""Confidence intervals of means over utterances by the percentile bootstrap (Efron 1979): no assumption about the distribution.

A difference between two systems is judged on the same utterances (``paired``), because utterances differ more than systems do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import DataError

CHUNK = 1_000_000  # drawn values held at once


class Interval(NamedTuple):
    """A mean over utterances and the limits of its confidence interval, in the values' unit."""

    mean: float
    low: float
    high: float

    def excludes(self, value: float = 0.0) -> bool:
        """Whether the value lies outside: of a paired difference and 0, whether an order may be claimed."""
        return not self.low <= value <= self.high


def interval(values: Sequence[float] | NDArray[np.floating], level: float = 0.95, draws: int = 10000, seed: int = 1) -> Interval:
    """The mean of independent values, one an utterance, and its percentile interval; the same for the same arguments.

    The interval is a little too narrow for few values: of ten normal ones it holds the mean about nine times in ten at 0.95.

    Raises:
        DataError: fewer than two values, or one that is not finite. A level outside (0, 1).
    """
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or len(numbers) < 2:
        raise DataError(f"bootstrap: at least 2 values needed, got {numbers.size}; judge more utterances")
    if not np.isfinite(numbers).all():
        raise DataError(f"bootstrap: values must be finite, got {numbers[~np.isfinite(numbers)][0]}; leave such utterances out by name")
    if not 0 < level < 1:
        raise DataError(f"bootstrap: level must lie between 0 and 1, got {level}; usual is 0.95")
    generator, count = np.random.default_rng(seed), len(numbers)
    rows = max(1, CHUNK // count)
    sizes = [min(rows, draws - start) for start in range(0, draws, rows)]
    means = np.concatenate([numbers[generator.integers(count, size=(size, count))].mean(1) for size in sizes])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(numbers.mean()), float(low), float(high))


def paired(
    first: Sequence[float] | NDArray[np.floating],
    second: Sequence[float] | NDArray[np.floating],
    level: float = 0.95,
    draws: int = 10000,
    seed: int = 1,
) -> Interval:
    """The mean of ``first - second`` over the same utterances in the same order.

    Raises:
        DataError: as ``interval``, or different numbers of values.
    """
    if len(first) != len(second):
        raise DataError(f"bootstrap: pairs needed, got {len(first)} and {len(second)} values; give both systems the same utterances")
    return interval(np.asarray(first, np.float64) - np.asarray(second, np.float64), level, draws, seed)
