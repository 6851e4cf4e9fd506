"""Distances between waves by their spectra. All give a number a row, so that micro-batches add up to the same gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from toolkit.audio.mel import MelSettings, filterbank

POWER_FLOOR = 1e-7  # of Parallel WaveGAN's published code


def at_least_float32(x: Tensor) -> Tensor:
    """Half precisions have no Fourier transform."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def magnitude(wave: Tensor, n_fft: int, hop: int, window: Tensor, floor: float = POWER_FLOOR) -> Tensor:
    """Magnitudes ``B bins frames`` of waves ``B N``. Frame t is centred on sample t x hop, outside the wave there are zeros.

    Their squares are clipped at ``floor``, because the slope of the square root has no bound at 0.
    """
    with torch.autocast(wave.device.type, enabled=False):
        spectrum = torch.stft(
            at_least_float32(wave), n_fft, hop, len(window), window, center=True, pad_mode="constant", return_complex=True
        )  # fmt: skip
        return (spectrum.real.square() + spectrum.imag.square()).clamp(min=floor).sqrt()


def row_means(values: Tensor) -> Tensor:
    """``B ...`` -> ``B``."""
    return values.flatten(1).mean(1)


class MelDistance(nn.Module):
    """Mean absolute difference of log-mels over the whole band (Kong et al. 2020, equation 3; Siuzdak 2023, section 3).

    Hop, window and number of bands are those of the features. Whatever those say, the bands reach from 0 Hz to half the
    sample rate and have equal areas, and the logarithm is natural and clipped at ``floor``, as in the published loss.
    """

    bank: Tensor
    window: Tensor

    def __init__(self, features: MelSettings, floor: float = 1e-5) -> None:
        super().__init__()
        self.n_fft, self.hop, self.floor = features.n_fft, features.hop, floor
        whole = replace(features, kind="mel", f_min=0.0, f_max=features.sample_rate / 2, band_norm="slaney")
        self.register_buffer("bank", torch.from_numpy(filterbank(whole).copy()), persistent=False)
        self.register_buffer("window", torch.hann_window(features.window), persistent=False)

    def log_mel(self, wave: Tensor) -> Tensor:
        """Waves ``B N`` -> ``B M frames``."""
        spectrum = magnitude(wave, self.n_fft, self.hop, self.window, self.floor**2)  # so low that the clip below decides
        with torch.autocast(wave.device.type, enabled=False):
            return (self.bank @ spectrum).clamp(min=self.floor).log()

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        """Waves ``B N`` -> ``B``."""
        return row_means((self.log_mel(made) - self.log_mel(true)).abs())


class STFTDistance(nn.Module):
    """Spectral convergence and log magnitudes, averaged over resolutions (Yamamoto et al. 2020, equations 3 to 6).

    The convergence is that of each utterance, not of the batch as one matrix.

    Args:
        resolutions: size of the transform, hop and window, in samples.
    """

    def __init__(self, resolutions: Sequence[tuple[int, int, int]]) -> None:
        super().__init__()
        self.resolutions = tuple(resolutions)
        for i, (_, _, window) in enumerate(self.resolutions):
            self.register_buffer(f"window{i}", torch.hann_window(window), persistent=False)

    def forward(self, made: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """Waves ``B N`` -> spectral convergence ``B`` and distance of log magnitudes ``B``."""
        convergence, logarithmic = list[Tensor](), list[Tensor]()
        for i, (n_fft, hop, _) in enumerate(self.resolutions):
            window = cast(Tensor, getattr(self, f"window{i}"))
            ours, theirs = (magnitude(wave, n_fft, hop, window) for wave in (made, true))
            convergence.append((theirs - ours).flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1))
            logarithmic.append(row_means((theirs.log() - ours.log()).abs()))
        return torch.stack(convergence).mean(0), torch.stack(logarithmic).mean(0)
