"""Phases for a magnitude spectrogram: the fast Griffin-Lim algorithm."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from toolkit.audio.istft import istft, levelled, overlap, overlapped
from toolkit.audio.mel import Floats, MelSettings, framed, spectra

PARTS = 2  # of an utterance, always: so the sums are the same with one thread


def griffin_lim(
    magnitude: Floats, settings: MelSettings, iterations: int = 60, momentum: float = 0.99, seed: int = 0, threads: int = 1
) -> Floats:
    """Magnitude ``T x (n_fft / 2 + 1)`` -> wave of ``T x hop`` samples with nearly that magnitude.

    Griffin & Lim 1984, with the momentum of Perraudin, Balazs & Sondergaard 2013, algorithm 2; 0 is the original.

    Args:
        seed: of the phases that the search starts from.
        threads: one or two; the wave does not depend on it.
    """
    phase = np.random.default_rng(seed).random(magnitude.shape, np.float32) * np.float32(2 * np.pi)
    estimate = np.empty(magnitude.shape, np.complex64)
    estimate.real, estimate.imag = magnitude * np.cos(phase), magnitude * np.sin(phase)
    wave, before = istft(estimate, settings), np.zeros_like(estimate)
    # t_n = c_n + momentum (c_n - c_(n-1)); only its phase matters, so it is divided by 1 + momentum
    weight = np.float32(momentum / (1 + momentum))
    edges = [len(magnitude) * part // PARTS for part in range(PARTS + 1)]
    parts = [slice(start, stop) for start, stop in zip(edges, edges[1:], strict=False) if start < stop]
    with ThreadPoolExecutor(min(threads, PARTS)) as pool:
        for _ in range(iterations):
            frames, rows = framed(wave, settings), np.zeros((len(magnitude) + overlap(settings), settings.hop), np.float32)

            def improve(part: slice, frames: Floats = frames) -> Floats:
                blocks = _improved(frames[part], magnitude[part], before[part], weight, settings)
                return overlapped(blocks, part.stop - part.start, settings)

            for part, waves in zip(parts, pool.map(improve, parts), strict=True):
                rows[part.start : part.stop + overlap(settings)] += waves
            wave = levelled(rows, settings)
    return wave


def _improved(
    frames: Floats, magnitude: Floats, before: NDArray[np.complex64], weight: np.float32, settings: MelSettings
) -> Iterator[NDArray[np.complex64]]:
    """The next estimate in blocks that stay in the cache; ``before`` becomes this one's consistent spectrum times ``weight``."""
    for rows, consistent in spectra(frames, settings):
        moved = consistent - before[rows]
        np.multiply(consistent, weight, out=before[rows])
        size = np.abs(moved)
        np.divide(magnitude[rows], np.maximum(size, np.float32(1e-12), out=size), out=size)
        yield np.multiply(moved, size, out=moved)
