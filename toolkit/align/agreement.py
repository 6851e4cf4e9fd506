"""How far two alignments of the same utterances are apart: differences of their boundaries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.align.results import DURATIONS, FACTS, SPLITS, WORDS, intervals_in
from toolkit.align.times import Interval
from toolkit.data.store import FeatureStore
from toolkit.errors import DataError

HALF_FRAME = 1e-3  # seconds; half of a short one


class Agreement(NamedTuple):
    """Absolute differences of boundaries, in milliseconds; ``shift_ms`` is the median of second minus first."""

    boundaries: int
    median_ms: float
    percentile_90_ms: float
    within_20_ms: float  # share
    within_50_ms: float
    shift_ms: float

    def __str__(self) -> str:
        return (
            f"{self.boundaries} boundaries: median {self.median_ms:.1f} ms, 90th percentile {self.percentile_90_ms:.1f} ms, "
            f"within 20 ms {self.within_20_ms:.1%}, within 50 ms {self.within_50_ms:.1%}; the second is {self.shift_ms:+.1f} ms later"
        )


def of_differences(seconds: NDArray[np.float64]) -> Agreement:
    """Measures of differences "second minus first" in seconds."""
    if not len(seconds):
        raise DataError("--compare: no boundary that both alignments have")
    apart = np.abs(seconds) * 1000
    within_20, within_50 = (float((apart <= limit + 1e-6).mean()) for limit in (20, 50))
    middle, most = np.percentile(apart, [50, 90]).tolist()
    return Agreement(len(apart), middle, most, within_20, within_50, float(np.median(seconds)) * 1000)


def compare(first: Path, second: Path) -> dict[str, Agreement]:
    """Agreement over the boundaries of ``symbols`` and ``words`` of the utterances that both folders of alignments have.

    A symbol's boundary is its beginning, where it has frames in both; a word's are its beginning and, where the next word does not
    follow at once, its end. The beginning of the first and the end of the last do not count.

    Raises:
        DataError: a folder holds no alignments, or of other texts.
    """
    hops = [_hop(folder) for folder in (first, second)]
    symbols: list[NDArray[np.float64]] = []
    words: list[NDArray[np.float64]] = []
    for split in SPLITS:
        stores = [FeatureStore(folder / split / DURATIONS) for folder in (first, second)]
        times = [intervals_in(folder / split / WORDS) for folder in (first, second)]
        for key in [key for key in stores[0].ids if key in stores[1]]:
            frames = [store.load(key).astype(np.float64) for store in stores]
            symbols.append(_between_symbols(frames[0] * hops[0], frames[1] * hops[1], key))
            words.append(_between_words(times[0].get(key, []), times[1].get(key, []), key))
    together = {"symbols": symbols, "words": words}
    return {name: of_differences(np.concatenate([np.zeros(0), *parts])) for name, parts in together.items()}


def _between_symbols(first: NDArray[np.float64], second: NDArray[np.float64], key: str) -> NDArray[np.float64]:
    if len(first) != len(second):
        raise DataError(f"{key}: {len(first)} symbols in the first alignment, {len(second)} in the second; align the same texts")
    starts = [np.cumsum(seconds) - seconds for seconds in (first, second)]
    both = (first > 0) & (second > 0) & (starts[0] > 0) & (starts[1] > 0)
    difference: NDArray[np.float64] = (starts[1] - starts[0])[both]
    return difference


def _between_words(first: Sequence[Interval], second: Sequence[Interval], key: str) -> NDArray[np.float64]:
    if [word.label for word in first] != [word.label for word in second]:
        raise DataError(f"{key}: other words in the second alignment than in the first; align the same texts")
    starts = np.array([[word.start for word in words[1:]] for words in (first, second)])
    ends = np.array([[word.start + word.seconds for word in words[:-1]] for words in (first, second)])
    parted = (starts - ends > HALF_FRAME).any(0)
    return np.concatenate([starts[1] - starts[0], (ends[1] - ends[0])[parted]])


def _hop(folder: Path) -> float:
    try:
        return float(json.loads((folder / FACTS).read_text(encoding="utf-8"))["hop_seconds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: no alignments here: {error}; make them with: toolkit align --out {folder}") from error
