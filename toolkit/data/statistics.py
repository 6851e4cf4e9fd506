"""Mean and standard deviation of each mel bin over a training set."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolkit.data.store import FeatureStore
from toolkit.data.writing import atomic
from toolkit.errors import DataError

LEAST_STD = 0.01  # of a bin that hardly moves, such as one above the band of the recordings


class Statistics(NamedTuple):
    """Per-bin statistics, each of ``M`` values in natural units."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]  # at least LEAST_STD
    frames: int
    utterances: int


def compute(store: FeatureStore, ids: Iterable[str]) -> Statistics:
    """One pass over the utterances in the order given, one in memory at a time.

    Moments are merged as in Chan, Golub & LeVeque 1979, in double precision.

    Raises:
        DataError: no utterances, or they differ in their number of bins.
    """
    frames = utterances = 0
    mean = squares = np.zeros(0)
    for key in ids:
        values = store.load(key).astype(np.float64)
        if values.ndim != 2 or (utterances and values.shape[1] != len(mean)):
            raise DataError(f"{store.scp}: {key}: expected T x {len(mean) or 'M'} features, got shape {values.shape}")
        count, own = len(values), values.mean(0)
        gap, total = own - (mean if utterances else own), frames + count
        spread = np.square(values - own).sum(0) + np.square(gap) * (frames * count / total)
        mean = mean + gap * (count / total) if utterances else own
        squares = squares + spread if utterances else spread
        frames, utterances = total, utterances + 1
    if not utterances:
        raise DataError(f"{store.scp}: no utterances to take statistics of")
    return Statistics(mean, np.maximum(np.sqrt(squares / frames), LEAST_STD), frames, utterances)


def save_statistics(path: Path | str, statistics: Statistics) -> None:
    """Write plain arrays as npz, atomically."""
    with atomic(path, "wb", point="statistics") as file:
        mean, std, frames, utterances = statistics
        np.savez(file, mean=mean, std=std, frames=frames, utterances=utterances)


def load_statistics(path: Path | str) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, each float32 of ``M`` bins, that ``save_statistics`` wrote.

    Raises:
        DataError: no such file, not such a file, or values that cannot be statistics.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as data:
            mean, std = np.asarray(data["mean"], np.float64), np.asarray(data["std"], np.float64)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run the statistics stage") from None
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a file of statistics: {error}") from error
    if mean.ndim != 1 or mean.shape != std.shape or not np.isfinite([mean, std]).all() or not (std > 0).all():
        raise DataError(f"{path}: damaged: mean and std are finite, of one length, and std above 0; run the statistics stage again")
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()
