"""A linear predictor and its gain in closed form from a mel: the spectral envelope as a short recursive filter."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from toolkit.audio.mel import MelSettings, hann, inverse_filterbank, log_of_base

WHITE_NOISE = 3e-4  # share of the power that is added as white noise, -35 dB
LAG_WINDOW_HZ = 30.0  # width of the Gaussian that smooths the power spectrum


def predictor(mel: Tensor, settings: MelSettings, order: int = 16, pre_emphasis: float = 0.85) -> tuple[Tensor, Tensor]:
    """Log-mel ``B T M`` in natural units -> coefficients ``B T order`` and log gain ``B T``.

    With ``y_t = x_t - pre_emphasis x_(t-1)`` the prediction is ``sum_k coefficients[k] y_(t-1-k)``, and ``exp(log gain)``
    is the standard deviation that its error has, for a wave in [-1, 1].

    Power spectrum of the mel -> autocorrelation -> normal equations (Markel & Gray 1976, chapters 2-3), with the white-noise
    correction and lag window of speech codecs. From the acoustic features of a vocoder: LPCNet (Valin & Skoglund 2019,
    section 2.2), LP-WaveNet (Hwang et al. 2018). The filter is stable for any mel. No gradient flows to the mel.
    """
    inverse, to_autocorrelation, floor = _constants(settings, order, pre_emphasis, mel.device)
    with torch.no_grad():
        magnitude = (torch.exp(mel.double() * log_of_base(settings)) @ inverse).clamp_min(floor)
        coefficients, error = levinson(magnitude.square() @ to_autocorrelation)
        return coefficients.to(mel.dtype), (0.5 * error.log()).to(mel.dtype)


def levinson(correlation: Tensor) -> tuple[Tensor, Tensor]:
    """Autocorrelations ``... order + 1`` of lags 0 .. order -> predictor ``... order`` and the power of its error ``...``.

    Levinson-Durbin recursion: Markel & Gray 1976, section 3.3.
    """
    error = correlation[..., 0]
    predictor_ = correlation[..., :0]
    for lag in range(1, correlation.shape[-1]):
        past = correlation[..., 1:lag].flip(-1)
        reflection = ((correlation[..., lag] - (predictor_ * past).sum(-1)) / error)[..., None]
        predictor_ = torch.cat([predictor_ - reflection * predictor_.flip(-1), reflection], -1)
        error = error * (1.0 - reflection[..., 0].square())
    return predictor_, error


@functools.lru_cache(8)
def _constants(settings: MelSettings, order: int, pre_emphasis: float, device: torch.device) -> tuple[Tensor, Tensor, float]:
    """Inverse bands ``M F``, the matrix ``F order + 1`` from power to corrected autocorrelation per sample, the least magnitude."""
    inverse, floor = inverse_filterbank(settings)
    lags = np.arange(order + 1)
    angle = 2 * np.pi * np.arange(settings.n_fft // 2 + 1) / settings.n_fft
    response = np.abs(1 - pre_emphasis * np.exp(-1j * angle)) ** 2
    fold = np.full(len(angle), 2.0)  # a bin stands for itself and its mirror image,
    fold[0] = 1.0  # but zero frequency and, in an even FFT, the last one stand alone
    fold[-1] -= settings.n_fft % 2 == 0
    correction = np.exp(-0.5 * (2 * np.pi * LAG_WINDOW_HZ / settings.sample_rate * lags) ** 2)
    correction[0] += WHITE_NOISE
    matrix = (fold * response)[:, None] * np.cos(angle[:, None] * lags) * correction
    matrix /= settings.n_fft * float(np.square(hann(settings), dtype=np.float64).sum())
    return torch.from_numpy(inverse.copy()).to(device), torch.from_numpy(matrix).to(device), floor
