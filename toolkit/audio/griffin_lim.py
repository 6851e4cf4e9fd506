"""Phases for a magnitude spectrogram: the fast Griffin-Lim algorithm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolkit.audio.mel import Floats, MelSettings, istft, stft


def griffin_lim(magnitude: Floats, settings: MelSettings, iterations: int = 60, momentum: float = 0.99, seed: int = 0) -> Floats:
    """Magnitude ``T x (n_fft / 2 + 1)`` -> wave of ``T x hop`` samples with nearly that magnitude.

    Griffin & Lim 1984, with the momentum of Perraudin, Balazs & Sondergaard 2013, algorithm 2; 0 is the original.

    Args:
        seed: of the phases that the search starts from.
    """
    phase = np.random.default_rng(seed).random(magnitude.shape, np.float32) * np.float32(2 * np.pi)
    estimate = magnitude * np.exp(1j * phase)
    previous = np.zeros_like(estimate)
    # t_n = c_n + momentum (c_n - c_(n-1)); only its phase matters, so it is divided by 1 + momentum
    weight = np.float32(momentum / (1 + momentum))
    for _ in range(iterations):
        consistent = stft(istft(estimate, settings), settings)
        estimate = _with_phase(magnitude, consistent - weight * previous)
        previous = consistent
    return istft(estimate, settings)


def _with_phase(magnitude: Floats, spectrum: NDArray[np.complex64]) -> NDArray[np.complex64]:
    return np.asarray(spectrum * (magnitude / np.maximum(np.abs(spectrum), np.float32(1e-12))), np.complex64)
