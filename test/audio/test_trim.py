"""Silence at the ends of a recording."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.audio.trim import Trim, trim_silence
from toolkit.errors import ConfigError, DataError

RATE = 8000


def speech(before: int, during: int, after: int, background: float = 1e-5) -> np.ndarray:
    rng = np.random.default_rng(0)
    loud = 0.3 * np.sin(2 * np.pi * 200 * np.arange(during) / RATE)
    quiet = background * rng.standard_normal(before + during + after)
    return (np.concatenate([np.zeros(before), loud, np.zeros(after)]) + quiet).astype(np.float32)


def test_keeps_the_speech_and_its_margins():
    start, stop = trim_silence(speech(4000, 8000, 6000), RATE, Trim(lead=0.03, tail=0.10))
    assert 4000 - 240 - 160 <= start <= 4000 - 240
    assert 12000 + 800 <= stop <= 12000 + 800 + 160


def test_a_constant_offset_is_no_sound():
    wave = speech(4000, 8000, 6000) + np.float32(0.05)
    start, _ = trim_silence(wave, RATE, Trim())
    assert start > 3000


def test_margins_end_with_the_recording():
    assert trim_silence(speech(0, 8000, 0), RATE, Trim()) == (0, 8000)
    assert trim_silence(speech(4000, 8000, 4000), RATE, Trim(enabled=False)) == (0, 16000)


@pytest.mark.parametrize("wave", [np.zeros(5000, np.float32), np.full(5000, 0.2, np.float32), np.full(5000, 1e-5, np.float32)])
@pytest.mark.parametrize("enabled", [True, False])
def test_silence_is_refused(wave, enabled):
    with pytest.raises(DataError, match="silent from beginning to end"):
        trim_silence(wave, RATE, Trim(enabled=enabled))


def test_an_empty_wave_is_refused():
    with pytest.raises(DataError):
        trim_silence(np.zeros(0, np.float32), RATE, Trim())


@given(st.integers(0, 3000), st.integers(2, 3000), st.integers(0, 3000))
def test_what_is_kept_lies_within_and_holds_the_peak(before, during, after):
    wave = np.zeros(before + during + after, np.float32)
    wave[before : before + during : 2] = 0.5
    start, stop = trim_silence(wave, RATE, Trim())
    assert 0 <= start < stop <= len(wave)
    assert start <= int(np.abs(wave).argmax()) < stop


@pytest.mark.parametrize("knobs", [{"threshold_db": 0.0}, {"threshold_db": -200.0}, {"lead": -0.1}, {"tail": float("nan")}])
def test_wrong_settings_are_refused(knobs):
    with pytest.raises(ConfigError, match=next(iter(knobs))):
        Trim(**knobs)
