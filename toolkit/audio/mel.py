"""The one definition of the spectrogram, mel or linear, with its STFT and its fingerprint."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.errors import ConfigError, DataError

Floats = NDArray[np.float32]

DEFINITION = 1  # moves when the same settings would give other numbers
CHOICES = {
    "kind": ("mel", "linear"), "log_base": ("e", "10"), "mel_scale": ("slaney", "htk"), "band_norm": ("none", "slaney", "sum"),
    "edges": ("zeros", "reflect"),
}  # fmt: skip
NEUTRAL = {"pre_emphasis": 0.0, "centre": 0, "edges": "zeros"}  # change nothing, so they are no part of the fingerprint
BLOCK = 64  # frames worked on at a time: they stay in the cache
GROUPS = 5  # of mel bands; a group's product leaves out the bins that none of its bands holds


@dataclass(frozen=True)
class MelSettings:
    """How a spectrogram is made. Sizes are whole samples.

    Tacotron 2, section 2.2: Hann window of 50 ms, hop 12.5 ms, 80 bands 125-7600 Hz on the magnitude, clipped at 0.01,
    then log. ``kind`` ``linear`` leaves the bands out (section 3.3.2: 1025 bins of 2048 points).
    """

    sample_rate: int = 24000
    hop: int = 300
    window: int = 1200
    n_fft: int = 2048
    n_mels: int = 80
    f_min: float = 125.0
    f_max: float = 7600.0
    floor: float = 0.01
    log_base: str = "e"  # e | 10
    mel_scale: str = "slaney"  # slaney | htk
    band_norm: str = "none"  # none: peaks of 1 | slaney: constant area | sum: each band is a mean of the magnitude
    kind: str = "mel"  # mel | linear
    pre_emphasis: float = 0.0  # the spectrum is that of x_t - pre_emphasis x_(t-1); Tacotron has 0.97
    centre: int = 0  # samples from t x hop to the centre of frame t; half a hop in HiFi-GAN's code
    edges: str = "zeros"  # what a wave is before it begins and after its end: zeros, or mirrored: reflect

    def __post_init__(self) -> None:
        for name in ("sample_rate", "hop", "window", "n_fft", "n_mels", "floor"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ConfigError(f"{name}: must be above 0, got {getattr(self, name)!r}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"{name}: must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.hop > self.window:
            raise ConfigError(f"hop: must be at most window = {self.window}, got {self.hop}")
        if self.n_fft < self.window:
            raise ConfigError(f"n_fft: must be at least window = {self.window}, got {self.n_fft}")
        self._check_signal()
        if not 0 < self.f_max <= self.sample_rate / 2:
            raise ConfigError(f"f_max: must be at most half of sample_rate, {self.sample_rate / 2:g}, got {self.f_max!r}")
        if not 0 <= self.f_min < self.f_max:
            raise ConfigError(f"f_min: must be from 0 to below f_max = {self.f_max:g}, got {self.f_min!r}")
        filterbank(self)  # refuses bands that are too narrow for the FFT

    def _check_signal(self) -> None:
        if not 0 <= self.pre_emphasis < 1:
            raise ConfigError(f"pre_emphasis: must be from 0 to below 1, got {self.pre_emphasis!r}")
        if not 0 <= self.centre <= self.window // 2:
            raise ConfigError(f"centre: must be from 0 to window / 2 = {self.window // 2}, got {self.centre!r}")

    @property
    def bins(self) -> int:
        """Width F of a frame: the mel bands, or all bins of the FFT."""
        return self.n_mels if self.kind == "mel" else self.n_fft // 2 + 1


def log_spectrum(wave: Floats, settings: MelSettings) -> Floats:
    """Wave of ``N`` samples in [-1, 1] -> frames ``T x bins`` of the kind that the settings say."""
    return log_mel(wave, settings) if settings.kind == "mel" else log_linear(wave, settings)


def log_linear(wave: Floats, settings: MelSettings) -> Floats:
    """As ``log_mel``, but of every bin of the FFT: ``T x (n_fft / 2 + 1)``."""
    frames = np.empty((frame_count(len(wave), settings), settings.n_fft // 2 + 1), np.float32)
    for rows, spectrum in spectra(framed(emphasised(wave, settings), settings), settings):
        np.abs(spectrum, out=frames[rows])
    return _clipped_log(frames, settings)


def log_mel(wave: Floats, settings: MelSettings) -> Floats:
    """Wave of ``N`` samples in [-1, 1] -> log-mel ``T x M``, ``T = ceil(N / hop)``.

    The wave is zero-padded at its end to ``T x hop`` samples. Frame ``t`` is centred on sample ``t x hop + centre``; what it
    covers outside the wave is zero, or the wave mirrored.

    Raises:
        DataError: the wave is empty.
    """
    groups = _band_groups(settings)
    lowest, highest = groups[0][0].start, groups[-1][0].stop
    mel = np.empty((frame_count(len(wave), settings), settings.n_mels), np.float32)
    for rows, spectrum in spectra(framed(emphasised(wave, settings), settings), settings):
        magnitude = np.abs(spectrum[:, lowest:highest])
        for bins, bands, weights in groups:
            np.matmul(magnitude[:, bins.start - lowest : bins.stop - lowest], weights, out=mel[rows, bands])
    return _clipped_log(mel, settings)


def emphasised(wave: Floats, settings: MelSettings) -> Floats:
    """The wave whose spectrum is taken: ``x_t - pre_emphasis x_(t-1)``."""
    if settings.pre_emphasis == 0:
        return wave
    return np.concatenate([wave[:1], wave[1:] - np.float32(settings.pre_emphasis) * wave[:-1]])


def unemphasised(wave: Floats, settings: MelSettings) -> Floats:
    """The wave that ``emphasised`` makes this of."""
    if settings.pre_emphasis == 0:
        return wave
    from scipy.signal import lfilter  # heavy, and seldom needed

    return np.asarray(lfilter([1.0], [1.0, -settings.pre_emphasis], wave), np.float32)


def _clipped_log(magnitude: Floats, settings: MelSettings) -> Floats:
    """In place: clipped at the floor, then the logarithm."""
    np.maximum(magnitude, np.float32(settings.floor), out=magnitude)
    logarithm = np.log if settings.log_base == "e" else np.log10
    return np.asarray(logarithm(magnitude, out=magnitude), np.float32)


def frame_count(samples: int, settings: MelSettings) -> int:
    """Frames of a wave of that many samples."""
    return -(-samples // settings.hop)


def padded_samples(samples: int, settings: MelSettings) -> int:
    """Samples after zero-padding to whole frames: ``frames x hop``."""
    return frame_count(samples, settings) * settings.hop


def stft(wave: Floats, settings: MelSettings) -> NDArray[np.complex64]:
    """Wave ``N``, emphasised already -> spectrum ``T x (n_fft / 2 + 1)`` of ``log_mel``'s frames, phases relative to a frame's start."""
    whole = np.empty((frame_count(len(wave), settings), settings.n_fft // 2 + 1), np.complex64)
    for rows, spectrum in spectra(framed(wave, settings), settings):
        whole[rows] = spectrum
    return whole


def framed(wave: Floats, settings: MelSettings) -> Floats:
    """Wave ``N`` -> what each frame covers, ``T x window``: a view on the wave with what is beyond its ends."""
    mode: Literal["constant", "reflect"] = "constant" if settings.edges == "zeros" else "reflect"
    padded = np.pad(wave.astype(np.float32, copy=False), _edges(len(wave), settings), mode)
    return np.lib.stride_tricks.sliding_window_view(padded, settings.window)[:: settings.hop]


def spectra(frames: Floats, settings: MelSettings) -> Iterator[tuple[slice, NDArray[np.complex64]]]:
    """The spectrum of frames ``T x window`` in blocks: which frames, and theirs.

    The FFT is torch's, which takes half the time of scipy's.
    """
    block = np.zeros((min(BLOCK, len(frames)), settings.n_fft), np.float32)  # zeros behind the window: the FFT is faster without padding
    for start in range(0, len(frames), BLOCK):
        part = frames[start : start + BLOCK]
        np.multiply(part, hann(settings), out=block[: len(part), : settings.window])
        yield slice(start, start + len(part)), torch.fft.rfft(torch.from_numpy(block[: len(part)])).numpy()


@functools.lru_cache(8)
def hann(settings: MelSettings) -> Floats:
    """The periodic Hann window, ``window`` samples."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(settings.window) / settings.window)).astype(np.float32)


@functools.lru_cache(8)
def filterbank(settings: MelSettings) -> Floats:
    """Triangular bands ``M x (n_fft / 2 + 1)`` that are equally wide on the mel scale and overlap by half.

    Raises:
        ConfigError: a band lies between two FFT bins.
    """
    low, high = _to_mel(np.array([settings.f_min, settings.f_max]), settings.mel_scale)
    edges = _to_hertz(np.linspace(low, high, settings.n_mels + 2), settings.mel_scale)[:, None]
    bins = np.arange(settings.n_fft // 2 + 1) * settings.sample_rate / settings.n_fft
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0.0, np.minimum(rising, falling))
    empty = np.flatnonzero(bank.sum(1) == 0)
    if len(empty):
        raise ConfigError(
            f"n_mels: band {empty[0]} ({edges[empty[0], 0]:.0f}-{edges[empty[0] + 2, 0]:.0f} Hz) holds no FFT bin,"
            f" got {settings.n_mels} bands at n_fft = {settings.n_fft}; fewer bands or a larger n_fft"
        )
    if settings.band_norm == "slaney":
        bank *= 2.0 / (edges[2:] - edges[:-2])
    elif settings.band_norm == "sum":
        bank /= bank.sum(1, keepdims=True)
    return bank.astype(np.float32)


@functools.lru_cache(8)
def _band_groups(settings: MelSettings) -> list[tuple[slice, slice, Floats]]:
    """The filterbank in parts: which bins, which bands, and their weights ``bins x bands``."""
    bank, groups = filterbank(settings), []
    for bands in np.array_split(np.arange(settings.n_mels), min(GROUPS, settings.n_mels)):
        used = np.flatnonzero(bank[bands].any(0))
        bins = slice(int(used[0]), int(used[-1]) + 1)
        groups.append((bins, slice(int(bands[0]), int(bands[-1]) + 1), np.ascontiguousarray(bank[bands, bins].T)))
    return groups


@functools.lru_cache(8)
def inverse_filterbank(settings: MelSettings) -> tuple[NDArray[np.float64], float]:
    """Pseudo-inverse ``M x (n_fft / 2 + 1)`` of the bands, and the smallest magnitude that an inverted mel may hold.

    That magnitude is 20 dB below a flat spectrum whose mel is just at the floor.
    """
    bank = filterbank(settings).astype(np.float64)
    return np.asarray(np.linalg.pinv(bank).T, np.float64), 0.1 * settings.floor / float(bank.sum(1).mean())


def linear_magnitude(frames: Floats, settings: MelSettings) -> Floats:
    """Frames ``T x bins`` -> magnitude ``T x (n_fft / 2 + 1)``; a mel goes through the pseudo-inverse of its bands, floored."""
    magnitude = np.exp(frames * log_of_base(settings))
    if settings.kind == "mel":
        inverse, floor = inverse_filterbank(settings)
        magnitude = np.maximum(magnitude @ inverse.astype(np.float32), floor)
    return np.asarray(magnitude, np.float32)


def mel_of_linear(frames: Floats, settings: MelSettings) -> Floats:
    """Frames of kind ``linear`` ``T x (n_fft / 2 + 1)`` -> log-mel ``T x M`` of the same settings."""
    return _clipped_log(np.asarray(linear_magnitude(frames, settings) @ filterbank(settings).T, np.float32), settings)


def log_of_base(settings: MelSettings) -> float:
    """``exp(mel x this)`` is the mel before its logarithm."""
    return 1.0 if settings.log_base == "e" else math.log(10.0)


def fingerprint(settings: MelSettings) -> str:
    """Twelve hex digits that are equal where two mels may be mixed."""
    stated = {name: value for name, value in dataclasses.asdict(settings).items() if NEUTRAL.get(name) != value}
    facts = {**stated, "definition": DEFINITION, "resampling": "resample_poly"}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def mismatch(here: MelSettings, there: MelSettings) -> list[str]:
    """``f_min: 125 here, 0 there`` for every field in which two settings differ."""
    pairs = [(f.name, getattr(here, f.name), getattr(there, f.name)) for f in dataclasses.fields(MelSettings)]
    return [f"{name}: {_plain(a)} here, {_plain(b)} there" for name, a, b in pairs if a != b]


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _edges(samples: int, settings: MelSettings) -> tuple[int, int]:
    """Samples before and after a wave so that frame ``t`` is centred on ``t x hop + centre`` and there are exactly ``T``."""
    if samples == 0:
        raise DataError("wave: holds no samples")
    left = settings.window // 2 - settings.centre
    last = (frame_count(samples, settings) - 1) * settings.hop - left + settings.window
    return left, max(0, last - samples)


def _to_mel(hertz: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    """HTK's formula, or Slaney's: linear below 1000 Hz (3 mel for 200 Hz), then 27 mel for each factor of 6.4."""
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hertz / 700.0))
    return np.where(hertz < 1000.0, hertz * 3 / 200, 15 + 27 * np.log(np.maximum(hertz, 1000.0) / 1000.0) / math.log(6.4))


def _to_hertz(mel: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
    return np.where(mel < 15, mel * 200 / 3, 1000.0 * np.exp((np.maximum(mel, 15) - 15) * math.log(6.4) / 27))
