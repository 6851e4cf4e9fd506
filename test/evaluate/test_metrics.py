"""Warping, cepstra and scores on cases that can be worked out by hand, and their invariances."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.errors import DataError
from toolkit.evaluate.cepstra import mel_cepstra
from toolkit.evaluate.metrics import METRICS, UtteranceAudio, aligned
from toolkit.evaluate.warping import distances, warping_path

RATE = 16000


def voice(seconds: float = 0.6, hertz: float = 120.0, stretch: float = 1.0) -> np.ndarray:
    """A gliding buzz under a moving formant: voiced, and different at every time."""
    time = np.arange(int(seconds * stretch * RATE)) / RATE / stretch
    phase = 2 * np.pi * np.cumsum(hertz * (1 + 0.2 * np.sin(5 * time))) / RATE
    wave = sum(np.cos(k * phase) * np.exp(-(((k * hertz - 800 - 1500 * time) / 600) ** 2)) for k in range(1, 30))
    return (0.2 * wave).astype(np.float32)


def score(name: str, reference: UtteranceAudio, candidate: UtteranceAudio) -> float | None:
    return METRICS.part(name).build()(reference, candidate)


def test_path_of_a_worked_example() -> None:
    cost = np.abs(np.array([0.0, 1, 1, 2])[:, None] - np.array([0.0, 1, 2, 2])[None])
    first, second = warping_path(cost)
    assert list(zip(first, second, strict=True)) == [(0, 0), (1, 1), (2, 1), (3, 2), (3, 3)]
    assert cost[first, second].sum() == 0


@given(rows=st.integers(1, 12), columns=st.integers(1, 12), seed=st.integers(0, 999))
def test_path_is_monotonic_complete_and_of_least_cost(rows: int, columns: int, seed: int) -> None:
    cost = np.random.default_rng(seed).random((rows, columns))
    first, second = warping_path(cost)
    assert (first[0], second[0], first[-1], second[-1]) == (0, 0, rows - 1, columns - 1)
    steps = set(zip(np.diff(first), np.diff(second), strict=True))
    assert steps <= {(0, 1), (1, 0), (1, 1)}
    table = np.full((rows, columns), np.inf)
    for i in range(rows):
        for j in range(columns):
            before = [table[i - a, j - b] for a, b in ((1, 1), (1, 0), (0, 1)) if i >= a and j >= b]
            table[i, j] = cost[i, j] + min(before, default=0.0)
    assert cost[first, second].sum() == pytest.approx(table[-1, -1])


def test_distances_are_euclidean() -> None:
    assert distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[5.0, 0.0]]


def test_distortion_of_a_known_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = UtteranceAudio(np.zeros(1), RATE), UtteranceAudio(np.zeros(1), RATE)
    first.cepstra = np.zeros((3, 14))  # type: ignore[misc]
    second.cepstra = np.zeros((3, 14))  # type: ignore[misc]
    second.cepstra[:, 0] = 9.0  # loudness does not count
    second.cepstra[:, 1:3] = 0.3, 0.4
    assert score("mel_cepstral_distortion", first, second) == pytest.approx(10 / math.log(10) * math.sqrt(2) * 0.5)


def test_an_utterance_equals_itself() -> None:
    audio = UtteranceAudio(voice(), RATE)
    same = UtteranceAudio(voice(), RATE)
    assert score("mel_cepstral_distortion", audio, same) == pytest.approx(0, abs=1e-6)
    assert score("log_f0_rmse", audio, same) == pytest.approx(0, abs=1e-6)
    assert score("duration_ratio", audio, same) == 1


@settings(max_examples=5)
@given(gain=st.floats(0.7, 2.0))
def test_loudness_is_in_c0_alone(gain: float) -> None:
    rng = np.random.default_rng(1)
    noise = (0.1 * rng.standard_normal(RATE // 4)).astype(np.float32)
    difference = mel_cepstra(noise * np.float32(gain), RATE) - mel_cepstra(noise, RATE)
    assert np.allclose(difference[:, 0], math.log(gain), atol=1e-3)
    assert np.allclose(difference[:, 1:], 0, atol=1e-3)


def test_slower_speech_costs_little_and_another_spectrum_much() -> None:
    audio = UtteranceAudio(voice(), RATE)
    slow = score("mel_cepstral_distortion", audio, UtteranceAudio(voice(stretch=1.3), RATE))
    noise = score("mel_cepstral_distortion", audio, UtteranceAudio(np.random.default_rng(0).standard_normal(9600).astype(np.float32), RATE))
    assert slow is not None and noise is not None
    assert slow < 2.5 < 8 < noise


def test_melody_is_compared_as_a_ratio() -> None:
    error = score("log_f0_rmse", UtteranceAudio(voice(), RATE), UtteranceAudio(voice(hertz=132.0), RATE))
    assert error == pytest.approx(math.log(1.1), abs=0.03)


def test_melody_of_whispers_is_not_defined() -> None:
    silence = UtteranceAudio(np.zeros(RATE // 2, np.float32), RATE)
    assert score("log_f0_rmse", UtteranceAudio(voice(), RATE), silence) is None


def test_alignment_scores_need_an_alignment() -> None:
    audio = UtteranceAudio(voice(), RATE)
    with_weights = UtteranceAudio(audio.wave, RATE, np.eye(8, dtype=np.float32))
    for name in ("alignment_focus", "alignment_diagonality"):
        assert score(name, audio, audio) is None
        assert score(name, audio, with_weights) == pytest.approx(1)


def test_other_sample_rates_are_refused() -> None:
    with pytest.raises(DataError, match="16000 Hz of the recording, got 8000"):
        aligned(UtteranceAudio(voice(), RATE), UtteranceAudio(voice(), 8000))


def test_every_metric_explains_itself() -> None:
    for name in METRICS.names():
        metric = METRICS.resolve(name)
        assert metric.title and metric.definition.endswith(".") and metric.better in ("lower", "higher", "one")
