"""Spectrum -> wave: the inverse of ``audio.mel.stft``, by overlapping windowed frames."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.audio.mel import BLOCK, Floats, MelSettings, hann


def istft(spectrum: NDArray[np.complex64], settings: MelSettings) -> Floats:
    """The wave of ``T x hop`` samples whose ``stft`` is nearest in the least-squares sense (Griffin & Lim 1984, eq. 6)."""
    blocks = (spectrum[start : start + BLOCK] for start in range(0, len(spectrum), BLOCK))
    return levelled(overlapped(blocks, len(spectrum), settings), settings)


def overlapped(blocks: Iterable[NDArray[np.complex64]], count: int, settings: MelSettings) -> Floats:
    """Spectrum of ``count`` frames in blocks -> sum of their windowed waves, in rows of one hop: ``count + window / hop`` rows."""
    total, start = np.zeros((count + overlap(settings), settings.hop), np.float32), 0
    for spectrum in blocks:
        frames = torch.fft.irfft(torch.from_numpy(spectrum), settings.n_fft).numpy()[:, : settings.window] * hann(settings)
        _overlap_add(frames, total[start : start + len(frames) + overlap(settings)])
        start += len(frames)
    return total


def overlap(settings: MelSettings) -> int:
    """Rows of one hop that a frame covers."""
    return -(-settings.window // settings.hop)


def levelled(rows: Floats, settings: MelSettings) -> Floats:
    """The wave in a sum of windowed frames: its edges cut off, its windows divided out."""
    count, left = len(rows) - overlap(settings), settings.window // 2 - settings.centre
    return np.asarray(rows.reshape(-1)[left : left + count * settings.hop] * _overlap_gain(count, settings), np.float32)


def _overlap_add(frames: NDArray[np.float32], total: Floats) -> None:
    """Add frames ``T x W`` that start a hop apart to a wave in rows of one hop."""
    count, hop = len(frames), total.shape[1]
    for chunk, first in enumerate(range(0, frames.shape[1], hop)):
        piece = frames[:, first : first + hop]
        total[chunk : chunk + count, : piece.shape[1]] += piece


@functools.lru_cache(64)
def _overlap_gain(count: int, settings: MelSettings) -> Floats:
    """One over the sum of squared windows, bounded where they barely reach."""
    rows = np.zeros((count + overlap(settings), settings.hop), np.float32)
    _overlap_add(np.tile(hann(settings) ** 2, (count, 1)), rows)
    total, left = rows.reshape(-1), settings.window // 2 - settings.centre
    return np.asarray(1.0 / np.maximum(total[left : left + count * settings.hop], 0.01 * total.max()), np.float32)
