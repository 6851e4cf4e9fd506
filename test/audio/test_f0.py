"""Fundamental frequency on signals whose pitch is known, and energy."""

import numpy as np
import pytest

from toolkit.audio.f0 import F0Settings, continuous_log_f0, energy, f0
from toolkit.audio.mel import MelSettings, log_mel
from toolkit.errors import ConfigError

FEATURES = MelSettings(16000, 200, 800, 1024, 80, 60.0, 7600.0, 1e-3, band_norm="sum")
TIME = np.arange(16000) / 16000


def voice(hertz: np.ndarray | float, harmonics: int = 20) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hertz, TIME.shape)) / 16000
    highest = int(min(harmonics, 7900 // np.max(hertz)))
    return (0.1 * sum(np.sin(k * phase + k * k) / k for k in range(1, highest + 1))).astype(np.float32)


def white(level: float) -> np.ndarray:
    return (level * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)


@pytest.mark.parametrize("harmonics", [1, 3, 20])
@pytest.mark.parametrize("hertz", [65, 80, 110, 155.5, 220, 330, 490])
def test_tones_within_one_per_cent(hertz, harmonics):
    inner = f0(voice(hertz, harmonics), FEATURES)[4:-4]
    assert np.abs(inner / hertz - 1).max() < 0.01


def test_without_its_fundamental():
    wave = voice(120) - (0.1 * np.sin(2 * np.pi * 120 * (TIME + 1 / 16000) + 1)).astype(np.float32)
    assert np.abs(f0(wave, FEATURES)[4:-4] / 120 - 1).max() < 0.01


def test_glide_in_noise():
    hertz = 140 * 2 ** (0.5 * np.sin(2 * np.pi * TIME))
    found = f0(voice(hertz) + white(0.01), FEATURES)[4:-4]
    assert np.abs(found / hertz[::200][4:-4] - 1).max() < 0.02


def test_silence_and_noise_are_unvoiced():
    assert not f0(np.zeros(16000, np.float32), FEATURES).any()
    assert np.count_nonzero(f0(white(0.1), FEATURES)) <= 1
    half = np.where(TIME < 0.5, voice(200), white(0.05))
    found = f0(half.astype(np.float32), FEATURES)
    assert (found[4:36] > 0).all() and not found[46:].any()


@pytest.mark.parametrize("samples", [1, 199, 200, 201, 5000])
def test_one_value_for_each_frame(samples):
    wave = voice(200)[:samples]
    assert len(f0(wave, FEATURES)) == len(energy(wave, FEATURES)) == len(log_mel(wave, FEATURES))


def test_energy_is_proportional_to_the_wave():
    np.testing.assert_allclose(energy(2 * voice(100), FEATURES), 2 * energy(voice(100), FEATURES), rtol=1e-5)
    expected = np.linalg.norm(np.abs(np.fft.rfft(voice(100)[7600:8400] * np.hanning(801)[:-1], 1024)))
    np.testing.assert_allclose(energy(voice(100), FEATURES)[40], expected, rtol=1e-4)


def test_a_wrong_range_is_refused():
    with pytest.raises(ConfigError, match="lowest"):
        F0Settings(lowest=300, highest=200)


def test_continuous_log_f0_bridges_what_is_unvoiced() -> None:
    line, voiced = continuous_log_f0(np.array([0, 100, 0, 0, 0, 200, 0], np.float32), 100.0)
    assert voiced.tolist() == [0, 1, 0, 0, 0, 1, 0]
    assert np.allclose(line, np.log(2) * np.array([0, 0, 0.25, 0.5, 0.75, 1, 1]), atol=1e-6)
    line, voiced = continuous_log_f0(np.zeros(3, np.float32), 150.0)
    assert line.tolist() == voiced.tolist() == [0, 0, 0]
