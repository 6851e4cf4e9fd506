"""Mel cepstra of a wave: what the spectral metric compares, the same for every experiment whatever its own features."""

from __future__ import annotations

import functools

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from toolkit.audio.mel import Floats, MelSettings, log_mel

BANDS = 80
ORDER = 13


@functools.lru_cache(8)
def analysis(sample_rate: int) -> MelSettings:
    """50 ms Hann window, 12.5 ms hop, 80 bands from 125 to 7600 Hz (or to just below half the rate), floor 0.01."""
    return MelSettings(
        sample_rate=sample_rate,
        hop=round(0.0125 * sample_rate),
        window=round(0.05 * sample_rate),
        n_fft=max(1024, 1 << (round(0.085 * sample_rate) - 1).bit_length()),
        n_mels=BANDS,
        f_max=min(7600.0, 0.475 * sample_rate),
    )


def mel_cepstra(wave: Floats, sample_rate: int) -> NDArray[np.float64]:
    """Wave ``N`` -> cepstral coefficients c0..c13, ``T x 14``.

    The spectrum is ``log|X(k)| = c0 + sum_m c_m cos(pi m (k + 1/2) / 80)`` over mel bands k, so a difference in c_m alone is a
    ripple of that amplitude and the distortion formula gives the spectrum's root-mean-square difference in dB.
    """
    mel = log_mel(wave, analysis(sample_rate)).astype(np.float64)
    coefficients = scipy.fft.dct(mel, type=2, axis=1)[:, : ORDER + 1] / BANDS
    coefficients[:, 0] /= 2
    return np.asarray(coefficients)
