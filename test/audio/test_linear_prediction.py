"""The predictor from a mel, on signals whose predictor is known."""

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from toolkit.audio.linear_prediction import levinson, predictor
from toolkit.audio.mel import MelSettings, log_mel

SETTINGS = MelSettings(16000, 200, 800, 1024, 80, 60.0, 7600.0, 1e-3, band_norm="sum")
FILTER = [1.0, -1.6, 0.8]


def resonance() -> np.ndarray:
    return (0.02 * lfilter([1.0], FILTER, np.random.default_rng(0).standard_normal(16000))).astype(np.float32)


def of_wave(wave: np.ndarray, **knobs) -> tuple[np.ndarray, np.ndarray]:
    mel = torch.from_numpy(log_mel(wave, SETTINGS))[None]
    coefficients, gain = predictor(mel, SETTINGS, **knobs)
    assert coefficients.dtype == gain.dtype == mel.dtype and coefficients.shape[:2] == gain.shape == mel.shape[:2]
    return coefficients[0].double().numpy(), gain[0].double().numpy()


def residual(wave: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    order = coefficients.shape[1]
    past = np.lib.stride_tricks.sliding_window_view(np.concatenate([np.zeros(order), wave[:-1]]), order)[:, ::-1]
    frame = np.minimum((np.arange(len(wave)) + 100) // 200, len(coefficients) - 1)
    return wave - (past * coefficients[frame]).sum(1)


@pytest.mark.parametrize("order", [1, 2, 5, 16])
def test_levinson_solves_the_normal_equations(order):
    power = torch.rand(3, 4, 33, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.01
    correlation = torch.fft.irfft(power)[..., : order + 1]
    lag = (torch.arange(order)[:, None] - torch.arange(order)).abs()
    expected = torch.linalg.solve(correlation[..., lag], correlation[..., 1:, None])[..., 0]
    coefficients, error = levinson(correlation)
    torch.testing.assert_close(coefficients, expected)
    torch.testing.assert_close(error, correlation[..., 0] - (expected * correlation[..., 1:]).sum(-1))


def test_envelope_of_a_known_filter():
    """The mean envelope lies within 2 dB of the filter's where there is power, 100 - 5000 Hz."""
    coefficients, gain = of_wave(resonance(), order=16, pre_emphasis=0.0)
    angle = 2 * np.pi * np.arange(100, 5000, 100) / 16000
    basis = np.exp(-1j * angle[:, None] * np.arange(1, 17))
    found = 20 * np.log10(np.exp(gain)[:, None] / np.abs(1 - coefficients @ basis.T)).astype(np.float64)[5:-5].mean(0)
    true = 20 * np.log10(0.02 / np.abs(np.exp(-1j * angle[:, None] * np.arange(3)) @ FILTER))
    assert np.abs(found - true).max() < 2 + 20 * np.log10(np.sqrt(4 / np.pi))


@pytest.mark.parametrize("emphasis", [0.0, 0.85])
def test_residual_is_smaller_than_the_signal_and_near_the_gain(emphasis):
    wave = lfilter([1, -emphasis], [1], resonance())
    coefficients, gain = of_wave(resonance(), order=16, pre_emphasis=emphasis)
    rest = residual(wave, coefficients)[2000:-2000]
    assert rest.var() < 0.6 * wave.var()
    assert 0.8 < rest.std() / np.exp(gain).mean() < 1.6


def test_any_mel_gives_a_stable_filter():
    generator = torch.Generator().manual_seed(1)
    mel = torch.cat([4 * torch.randn(40, 80, generator=generator), torch.full((2, 80), -6.9), torch.full((2, 80), 6.0)])
    coefficients, gain = predictor(mel[None], SETTINGS, order=16)
    assert torch.isfinite(coefficients).all() and torch.isfinite(gain).all()
    for row in coefficients[0].double().numpy():
        assert np.abs(np.roots([1.0, *-row])).max() < 1


def test_a_row_does_not_depend_on_its_batch_and_no_gradient_flows():
    mel = torch.randn(3, 7, 80, generator=torch.Generator().manual_seed(2), requires_grad=True)
    together, gains = predictor(mel, SETTINGS)
    alone, gain = predictor(mel[1:2, 2:5], SETTINGS)
    torch.testing.assert_close(together[1:2, 2:5], alone)
    torch.testing.assert_close(gains[1:2, 2:5], gain)
    assert not together.requires_grad


def test_louder_moves_the_gain_only():
    mel = torch.from_numpy(log_mel(resonance(), SETTINGS))[None]
    coefficients, gain = predictor(mel, SETTINGS)
    louder, louder_gain = predictor(mel + 1, SETTINGS)
    torch.testing.assert_close(louder_gain - gain, torch.ones_like(gain), atol=0.02, rtol=0)
    torch.testing.assert_close(louder, coefficients, atol=0.02, rtol=0)
