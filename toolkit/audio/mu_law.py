"""Mu-law companding: the classes of a WaveNet that predicts a category for each sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def encode(wave: NDArray[np.float32], classes: int = 256) -> NDArray[np.int64]:
    """Samples in [-1, 1] (clipped) -> classes 0 .. classes - 1. WaveNet (van den Oord et al. 2016), section 2.2; ITU-T G.711."""
    mu = classes - 1
    clipped = np.clip(wave, -1, 1).astype(np.float64)
    compressed = np.sign(clipped) * np.log1p(mu * np.abs(clipped)) / np.log1p(mu)
    return np.asarray(np.floor((compressed + 1) / 2 * mu + 0.5), np.int64)


def decode(codes: NDArray[np.int64], classes: int = 256) -> NDArray[np.float32]:
    """The inverse of ``encode``: the sample in the middle of each class."""
    mu = classes - 1
    compressed = 2 * codes.astype(np.float64) / mu - 1
    return np.asarray(np.sign(compressed) * np.expm1(np.abs(compressed) * np.log1p(mu)) / mu, np.float32)
