"""Distances of spectra against plain loops, the inverse transform, and rates of upsampling."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from toolkit.audio.mel import MelSettings, filterbank, log_mel
from toolkit.nn.inverse_stft import InverseSTFT
from toolkit.nn.reach import Reach
from toolkit.nn.spectral_losses import MelDistance, STFTDistance, magnitude
from toolkit.nn.upsampling import upsampling_rates

FEATURES = MelSettings(sample_rate=8000, hop=20, window=80, n_fft=128, n_mels=5, f_min=60.0, f_max=3800.0, floor=1e-3)


def plain_magnitude(wave: np.ndarray, n_fft: int, hop: int, window: int) -> np.ndarray:
    """One frame after the other: ``frames x bins``."""
    padded = np.concatenate([np.zeros(n_fft // 2), wave, np.zeros(n_fft // 2)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    left = (n_fft - window) // 2
    rows = []
    for start in range(0, len(wave) + 1, hop):
        frame = np.zeros(n_fft)
        frame[left : left + window] = hann * padded[start + left : start + left + window]
        rows.append(np.abs(np.fft.rfft(frame)))
    return np.sqrt(np.maximum(np.stack(rows) ** 2, 1e-7))


def waves(rows: int = 2, samples: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(4)
    made, true = (torch.randn(rows, samples, dtype=torch.float64, generator=draw) * 0.2 for _ in range(2))
    return made, true


def test_stft_distance_is_that_of_the_paper() -> None:
    """Equations 4 and 5, each resolution, in numpy."""
    resolutions = [(64, 16, 48), (32, 8, 32)]
    made, true = waves()
    convergence, logarithmic = STFTDistance(resolutions).double()(made, true)
    for row in range(2):
        expected = []
        for sizes in resolutions:
            ours, theirs = (plain_magnitude(wave[row].numpy(), *sizes) for wave in (made, true))
            frobenius = np.sqrt(((theirs - ours) ** 2).sum()) / np.sqrt((theirs**2).sum())
            expected.append((frobenius, np.abs(np.log(theirs) - np.log(ours)).mean()))
        assert [float(convergence[row]), float(logarithmic[row])] == pytest.approx(np.mean(expected, 0).tolist(), rel=1e-5)


def test_mel_distance_is_the_mean_of_absolute_differences() -> None:
    made, true = waves()
    bank = filterbank(dataclasses.replace(FEATURES, f_min=0.0, f_max=4000.0, band_norm="slaney")).astype(np.float64)
    found = MelDistance(FEATURES).double()(made, true)
    for row in range(2):
        mels = [np.log(np.maximum(plain_magnitude(w[row].numpy(), 128, 20, 80) @ bank.T, 1e-5)) for w in (made, true)]
        assert float(found[row]) == pytest.approx(np.abs(mels[0] - mels[1]).mean(), rel=1e-5)


@pytest.mark.parametrize("floor", [1e-5, 1e-7])
def test_what_is_quiet_is_clipped_by_the_mel_alone(floor: float) -> None:
    """Vocos clips at 1e-7, HiFi-GAN at 1e-5: magnitudes below hold nothing back that the clip would let through."""
    wave = waves(1)[0] * 1e-5
    distance = MelDistance(FEATURES, floor).double()
    spectrum = torch.stft(wave, 128, 20, 80, distance.window, center=True, pad_mode="constant", return_complex=True).abs()
    assert torch.allclose(distance.log_mel(wave), (distance.bank @ spectrum).clamp(min=floor).log(), atol=1e-6)
    assert bool((distance.log_mel(wave) > math.log(floor)).any()) == (floor == 1e-7)


def test_its_mel_is_ours_but_for_bands_and_floor() -> None:
    """With our bands and floor it gives the numbers of ``log_mel``, frame by frame."""
    _, true = waves(1)
    distance = MelDistance(FEATURES, floor=FEATURES.floor).double()
    distance.bank = torch.from_numpy(filterbank(FEATURES)).double()
    ours = log_mel(true[0].numpy().astype(np.float32), FEATURES)
    assert torch.allclose(distance.log_mel(true)[0, :, : len(ours)].T, torch.from_numpy(ours).double(), atol=1e-4)


def test_rows_do_not_depend_on_their_batch_and_silence_has_a_gradient() -> None:
    made, true = waves()
    both = STFTDistance([(64, 16, 64)]).double()
    assert torch.allclose(torch.stack(both(made[1:], true[1:]))[:, 0], torch.stack(both(made, true))[:, 1])
    silent = torch.zeros(1, 200, dtype=torch.float64, requires_grad=True)
    (MelDistance(FEATURES).double()(silent, true[:1]) + sum(both(silent, true[:1]))).sum().backward()
    assert silent.grad is not None and bool(silent.grad.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_half_precision_is_compared_in_single(dtype: torch.dtype) -> None:
    made, true = (wave.to(dtype) for wave in waves())
    with torch.autocast("cpu", torch.bfloat16):
        assert MelDistance(FEATURES)(made, true).dtype == torch.float32
        assert magnitude(made, 64, 16, torch.hann_window(64)).dtype == torch.float32


@pytest.mark.parametrize(("hop", "n_fft"), [(20, 80), (275, 1100), (300, 1200), (25, 128)])
def test_the_inverse_gives_back_a_wave_of_whole_hops(hop: int, n_fft: int) -> None:
    wave = torch.randn(2, 7 * hop, dtype=torch.float64)
    window = torch.hann_window(n_fft, dtype=torch.float64)
    spectrum = torch.stft(wave, n_fft, hop, n_fft, window, center=True, pad_mode="constant", return_complex=True)
    back = InverseSTFT(n_fft, hop).double()(spectrum.transpose(1, 2)[:, :7])
    assert back.shape == wave.shape
    assert torch.allclose(back[:, : 5 * hop], wave[:, : 5 * hop])  # the last frames lack their neighbours


@pytest.mark.parametrize(
    ("hop", "rates"),
    [(275, [11, 5, 5]), (300, [5, 5, 4, 3]), (200, [5, 5, 4, 2]), (256, [4, 4, 4, 4]), (20, [5, 2, 2]), (7, [7]), (1, [1])],
)
def test_rates_multiply_to_the_hop(hop: int, rates: list[int]) -> None:
    assert upsampling_rates(hop) == rates


def test_reach_by_hand() -> None:
    """A transposed convolution of rate 2 and kernel 4, one output cut: output 2q sees q - 1 and q, output 2q + 1 sees q and q + 1."""
    assert Reach().upsampled(2, 4, 1) == (1, 1)
    assert Reach(5, 5).upsampled(5, 5, 0) == (1, 1) and Reach(6, 4).upsampled(5, 5, 0) == (2, 1)
    assert Reach(1, 2).convolved(3, 4) == (5, 6)
