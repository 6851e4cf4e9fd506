"""Leading and trailing silence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ConfigError, DataError

WINDOW = 0.020  # seconds over which loudness is taken
INAUDIBLE_DB = -75.0  # of the loudest window, relative to a square wave at full scale


@dataclass(frozen=True)
class Trim:
    """What counts as silence at both ends, and how much of it is kept."""

    enabled: bool = True
    threshold_db: float = -42.0  # relative to the loudest window
    lead: float = 0.03  # seconds kept before the first window above the threshold
    tail: float = 0.10  # seconds kept after the last one

    def __post_init__(self) -> None:
        if not -100 <= self.threshold_db < 0:
            raise ConfigError(f"threshold_db: must be below 0 and at least -100, got {self.threshold_db!r}")
        for name in ("lead", "tail"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name}: seconds, must not be negative, got {getattr(self, name)!r}")


def trim_silence(wave: NDArray[np.float32], sample_rate: int, settings: Trim) -> tuple[int, int]:
    """First sample and the one after the last that are kept of a wave of ``N`` samples in [-1, 1].

    Raises:
        DataError: the whole wave is silent.
    """
    decibels = _loudness(wave, max(1, round(WINDOW * sample_rate)))
    loudest = float(decibels.max(initial=-math.inf))
    if loudest < INAUDIBLE_DB:
        raise DataError(f"silent from beginning to end, got {loudest:.0f} dB at its loudest; speech is above {INAUDIBLE_DB:.0f} dB")
    if not settings.enabled:
        return 0, len(wave)
    heard = np.flatnonzero(decibels > loudest + settings.threshold_db)
    start = heard[0] - round(settings.lead * sample_rate)
    stop = heard[-1] + 1 + round(settings.tail * sample_rate)
    return max(0, int(start)), min(len(wave), int(stop))


def _loudness(wave: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    """Power in decibels of a window centred on each sample, without the constant part of the wave."""
    if len(wave) == 0:
        return np.empty(0)
    power = wave - wave.mean(dtype=np.float64)
    total = np.concatenate([[0.0], np.cumsum(np.square(power, out=power))])
    edged = np.pad(total, (width // 2, width), "edge")  # windows are cut off at both ends
    loudness = edged[width : width + len(wave)] - edged[: len(wave)]
    loudness /= width
    np.log10(np.maximum(loudness, 1e-20, out=loudness), out=loudness)
    return np.asarray(np.multiply(loudness, 10, out=loudness))
