"""Phases from magnitudes."""

import numpy as np
import pytest

from toolkit.audio.griffin_lim import griffin_lim
from toolkit.audio.istft import istft
from toolkit.audio.mel import MelSettings, stft

SETTINGS = MelSettings(8000, 100, 400, 512, 40, 60.0, 3800.0, 1e-3)


def chirps() -> np.ndarray:
    time = np.arange(4000) / 8000
    return (0.2 * np.sin(2 * np.pi * (200 * time + 300 * time**2)) + 0.1 * np.sin(2 * np.pi * 900 * time)).astype(np.float32)


def error(wave: np.ndarray, magnitude: np.ndarray) -> float:
    return float(np.linalg.norm(np.abs(stft(wave, SETTINGS)) - magnitude) / np.linalg.norm(magnitude))


def test_finds_a_wave_with_the_magnitude():
    magnitude = np.abs(stft(chirps(), SETTINGS))
    wave = griffin_lim(magnitude, SETTINGS, iterations=60)
    assert wave.shape == (4000,) and wave.dtype == np.float32
    assert error(wave, magnitude) < 0.12


def test_iterations_and_momentum_help():
    magnitude = np.abs(stft(chirps(), SETTINGS))
    plain = [error(griffin_lim(magnitude, SETTINGS, count, momentum=0.0), magnitude) for count in (1, 10, 40)]
    assert plain[0] > plain[1] > plain[2]
    assert error(griffin_lim(magnitude, SETTINGS, 40, momentum=0.99), magnitude) < plain[2]


def as_published(magnitude: np.ndarray, iterations: int, momentum: float) -> np.ndarray:
    """Perraudin, Balazs & Sondergaard 2013, algorithm 2, on whole spectra."""
    phase = np.random.default_rng(0).random(magnitude.shape, np.float32) * np.float32(2 * np.pi)
    estimate, previous = magnitude * np.exp(1j * phase), 0.0
    for _ in range(iterations):
        consistent = stft(istft(estimate, SETTINGS), SETTINGS)
        moved = consistent + momentum * (consistent - previous)
        estimate, previous = magnitude * moved / np.maximum(np.abs(moved), 1e-12), consistent
    return istft(estimate, SETTINGS)


@pytest.mark.parametrize("momentum", [0.0, 0.99])
def test_the_search_in_blocks_is_the_published_one(momentum: float):
    magnitude = np.abs(stft(np.tile(chirps(), 4), SETTINGS))
    fast = griffin_lim(magnitude, SETTINGS, 4, momentum, threads=2)
    np.testing.assert_allclose(fast, as_published(magnitude, 4, momentum), atol=1e-5)
    np.testing.assert_array_equal(fast, griffin_lim(magnitude, SETTINGS, 4, momentum, threads=1))


def test_the_seed_decides():
    magnitude = np.abs(stft(chirps(), SETTINGS))
    first, again, other = (griffin_lim(magnitude, SETTINGS, 3, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_one_frame_and_silence():
    assert griffin_lim(np.zeros((1, 257), np.float32), SETTINGS, 3).tolist() == [0.0] * 100
