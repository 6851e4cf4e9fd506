"""Fundamental frequency and energy, one value for each mel frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from toolkit.audio.mel import Floats, MelSettings, frame_count, stft
from toolkit.errors import ConfigError

Doubles = NDArray[np.float64]

PERIODS = 3  # of the lowest pitch in a window
REFERENCE = 150.0  # Hz, the F0 whose logarithm parts that learn it count from
HIGHEST_USED = 4000.0  # Hz; what lies above is noise for this purpose
FINENESS = 4  # values of the autocorrelation for each sample
BLOCK = 128  # frames worked on at a time


@dataclass(frozen=True)
class F0Settings:
    """The range of voices, and the costs of Boersma 1993, section 3, with the values of its table for speech."""

    lowest: float = 60.0  # Hz
    highest: float = 500.0  # Hz
    candidates: int = 6  # voiced ones in a frame
    voicing: float = 0.45  # strength above which a frame is rather voiced
    silence: float = 0.03  # share of the loudest frame's amplitude below which it is rather unvoiced
    octave: float = 0.01  # in favour of the higher of two octaves
    jump: float = 0.35  # cost of a jump by an octave within 10 ms
    change: float = 0.14  # cost of a change between voiced and unvoiced

    def __post_init__(self) -> None:
        if not 20 <= self.lowest < self.highest <= 2000:
            raise ConfigError(f"lowest, highest: Hz, 20 <= lowest < highest <= 2000, got {self.lowest!r} and {self.highest!r}")


def f0(wave: Floats, features: MelSettings, settings: F0Settings | None = None) -> Floats:
    """Wave ``N`` in [-1, 1] -> Hz in each of the ``T`` frames of ``log_mel``, 0 where unvoiced.

    Boersma 1993, "Accurate short-term analysis of the fundamental frequency": peaks of the autocorrelation, divided by that
    of the window, are candidates; the path of least cost through them is the result.
    """
    settings = settings or F0Settings()
    count = frame_count(len(wave), features)
    width = round(PERIODS * features.sample_rate / settings.lowest)
    padded = np.pad(wave.astype(np.float32, copy=False), (width // 2, width))
    frames = np.lib.stride_tricks.sliding_window_view(padded, width)[:: features.hop][:count]
    loudness = np.abs(frames).max(1)
    blocks = [_candidates(frames[i : i + BLOCK], features.sample_rate, settings) for i in range(0, count, BLOCK)]
    hertz, strength = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    quiet = loudness / max(float(loudness.max()), 1e-9) / settings.silence * (1 + settings.voicing)
    unvoiced = settings.voicing + np.maximum(0.0, 2.0 - quiet)
    hertz = np.concatenate([np.zeros((count, 1)), hertz], 1)
    strength = np.concatenate([unvoiced[:, None], strength], 1)
    path = _best_path(hertz, strength, 0.010 * features.sample_rate / features.hop, settings)
    return hertz[np.arange(count), path].astype(np.float32)


def continuous_log_f0(hertz: Floats, reference: float) -> tuple[Floats, Floats]:
    """F0 of ``T`` frames, 0 where unvoiced -> ln(F0 / reference) of every frame, and 1 where voiced; each ``T``.

    Straight lines bridge what is unvoiced, and the first and last voiced value hold towards the ends. A voice that is never
    voiced is at the reference.
    """
    voiced = hertz > 0
    places = np.flatnonzero(voiced)
    if not len(places):
        return np.zeros(len(hertz), np.float32), np.zeros(len(hertz), np.float32)
    line = np.interp(np.arange(len(hertz)), places, np.log(hertz[places] / reference))
    return line.astype(np.float32), voiced.astype(np.float32)


def energy(wave: Floats, features: MelSettings) -> Floats:
    """Wave ``N`` -> Euclidean norm of the magnitude of each of the ``T`` frames (FastSpeech 2, section 2.3)."""
    return np.asarray(np.linalg.norm(stft(wave, features), axis=1), np.float32)


def _candidates(frames: Floats, sample_rate: int, settings: F0Settings) -> tuple[Doubles, Doubles]:
    """Hz and strength, each ``T x candidates``, of the highest peaks; Hz 0 and strength -inf where there are fewer."""
    width = frames.shape[1]
    window = np.hanning(width + 2)[1:-1].astype(np.float32)
    shortest, longest = sample_rate / settings.highest, sample_rate / settings.lowest
    lags = np.arange(int(FINENESS * shortest) - 1, int(FINENESS * longest) + 2)
    own = _autocorrelation(window[None], width, width, lags)  # of the window alone, all of its spectrum
    centred = (frames - frames.mean(1, keepdims=True)) * window
    curve = _autocorrelation(centred, width, int(HIGHEST_USED * scipy.fft.next_fast_len(2 * width) / sample_rate), lags) / own
    middle, before, after = curve[:, 1:-1], curve[:, :-2], curve[:, 2:]
    peak = (middle > before) & (middle >= after) & (middle > 0.5 * settings.voicing)
    bend = np.where(peak, before - 2 * middle + after, -1.0)
    shift = 0.5 * (before - after) / bend  # the parabola through three values
    height = middle - 0.25 * (before - after) * shift
    hertz = sample_rate * FINENESS / (lags[1:-1] + shift)
    strength = np.where(peak, np.minimum(height, 1.0) + settings.octave * np.log2(hertz / settings.lowest), -np.inf)
    best = np.argpartition(-strength, settings.candidates, axis=1)[:, : settings.candidates]
    strength = np.take_along_axis(strength, best, 1)
    return np.where(np.isfinite(strength), np.take_along_axis(hertz, best, 1), 0.0), strength


def _autocorrelation(frames: Floats, width: int, bins: int, lags: NDArray[np.int64]) -> Doubles:
    """Autocorrelation at ``lags / FINENESS`` samples relative to that at 0, from the first ``bins`` of the spectrum."""
    length = scipy.fft.next_fast_len(2 * width)
    spectrum = scipy.fft.rfft(frames, length, axis=1)
    power = np.square(np.abs(spectrum[:, : bins + 1]))
    correlation = scipy.fft.irfft(power, FINENESS * length, axis=1)
    return np.asarray(correlation[:, lags] / np.maximum(correlation[:, :1], 1e-12), np.float64)


def _best_path(hertz: Doubles, strength: Doubles, pace: float, settings: F0Settings) -> NDArray[np.int64]:
    """Index of the candidate of each frame: the most strength for the least change (Viterbi). Hz 0 is unvoiced."""
    count, choices = hertz.shape
    voiced = hertz > 0
    pitch = np.log2(np.maximum(hertz, 1.0))
    switch = voiced[:-1, :, None] != voiced[1:, None, :]
    both = voiced[:-1, :, None] & voiced[1:, None, :]
    jump = np.abs(pitch[:-1, :, None] - pitch[1:, None, :])
    cost = pace * (settings.change * switch + settings.jump * jump * both)
    back = np.zeros((count, choices), np.int64)
    score = strength[0]
    for frame in range(1, count):
        total = score[:, None] - cost[frame - 1]
        back[frame] = total.argmax(0)
        score = total.max(0) + strength[frame]
    path = np.empty(count, np.int64)
    path[-1] = score.argmax()
    for frame in range(count - 1, 0, -1):
        path[frame - 1] = back[frame, path[frame]]
    return path
