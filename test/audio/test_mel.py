"""The definition of the mel: its numbers, its lengths, its settings and its fingerprint."""

import dataclasses
import hashlib
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.audio.istft import istft
from toolkit.audio.mel import (
    MelSettings,
    filterbank,
    fingerprint,
    frame_count,
    hann,
    linear_magnitude,
    log_mel,
    log_spectrum,
    mel_of_linear,
    mismatch,
    padded_samples,
    stft,
    unemphasised,
)
from toolkit.errors import ConfigError, DataError

SMALL = MelSettings(sample_rate=8000, hop=50, window=200, n_fft=256, n_mels=20, f_min=60.0, f_max=3800.0, floor=1e-3, band_norm="sum")


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@pytest.mark.parametrize(
    ("change", "knob"),
    [
        ({"hop": 201}, "hop"),
        ({"hop": 0}, "hop"),
        ({"n_fft": 128}, "n_fft"),
        ({"f_max": 4001.0}, "f_max"),
        ({"f_min": 3800.0}, "f_min"),
        ({"f_min": -1.0}, "f_min"),
        ({"floor": 0.0}, "floor"),
        ({"floor": math.nan}, "floor"),
        ({"log_base": "2"}, "log_base"),
        ({"band_norm": "area"}, "band_norm"),
        ({"n_mels": 200}, "n_mels"),
        ({"pre_emphasis": 1.0}, "pre_emphasis"),
        ({"centre": 101}, "centre"),
        ({"edges": "mirror"}, "edges"),
    ],
)
def test_wrong_settings_are_refused_by_name(change, knob):
    with pytest.raises(ConfigError, match=f"^{knob}: .*got"):
        dataclasses.replace(SMALL, **change)


@pytest.mark.parametrize("samples", [1, 50, 51, 20_001])
def test_blocks_of_frames_and_bands_change_nothing(samples):
    plain = np.log(np.maximum(np.abs(stft(noise(samples), SMALL)) @ filterbank(SMALL).T, SMALL.floor))
    np.testing.assert_allclose(log_mel(noise(samples), SMALL), plain, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 2000), st.sampled_from([(50, 200, 256), (64, 200, 256), (200, 200, 200), (33, 101, 128), (70, 151, 200)]))
def test_frames_times_hop_is_the_padded_length(samples, sizes):
    hop, window, n_fft = sizes
    chosen = dataclasses.replace(SMALL, hop=hop, window=window, n_fft=n_fft, n_mels=8)
    mel = log_mel(noise(samples), chosen)
    assert mel.shape == (math.ceil(samples / hop), 8) and mel.dtype == np.float32
    assert len(mel) * hop == padded_samples(samples, chosen) and len(mel) == frame_count(samples, chosen)
    assert len(stft(noise(samples), chosen)) == len(mel)
    padded = np.pad(noise(samples), (0, padded_samples(samples, chosen) - samples))
    np.testing.assert_array_equal(log_mel(padded, chosen), mel)


def test_equals_the_written_definition():
    wave = noise(1234)
    padded = np.pad(wave.astype(np.float64), (100, 1000))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 200)
    rows = []
    for frame in range(25):
        magnitude = np.abs(np.fft.rfft(padded[frame * 50 : frame * 50 + 200] * window, 256))
        rows.append(np.log(np.maximum(filterbank(SMALL) @ magnitude, SMALL.floor)))
    np.testing.assert_allclose(log_mel(wave, SMALL), rows, atol=2e-5)
    ten = dataclasses.replace(SMALL, log_base="10")
    np.testing.assert_allclose(log_mel(wave, ten) * math.log(10), rows, atol=2e-5)


def test_a_tone_peaks_in_its_band_and_silence_is_the_floor():
    wave = np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000).astype(np.float32)
    mel = log_mel(wave, SMALL)
    bins = np.arange(129) * 8000 / 256
    assert abs(bins[filterbank(SMALL)[mel[40].argmax()].argmax()] - 1000) < 60
    np.testing.assert_array_equal(log_mel(np.zeros(500, np.float32), SMALL), np.full((10, 20), np.log(np.float32(1e-3))))


def test_an_empty_wave_is_refused():
    with pytest.raises(DataError, match="no samples"):
        log_mel(np.zeros(0, np.float32), SMALL)


def test_filterbank_of_two_bands_by_hand():
    """Bins at 0, 100 .. 400 Hz; HTK edges that are given by their own formula."""
    chosen = MelSettings(800, 4, 8, 8, 2, 0.0, 400.0, mel_scale="htk")
    top = 2595 * math.log10(1 + 400 / 700)
    first, second = (700 * (10 ** (top * part / 3 / 2595) - 1) for part in (1, 2))
    expected = [
        [0, 100 / first, (second - 200) / (second - first), 0, 0],
        [0, 0, (200 - first) / (second - first), (400 - 300) / (400 - second), 0],
    ]
    np.testing.assert_allclose(filterbank(chosen), expected, atol=1e-6)
    np.testing.assert_allclose(filterbank(dataclasses.replace(chosen, band_norm="sum")).sum(1), 1, atol=1e-6)
    areas = filterbank(dataclasses.replace(chosen, band_norm="slaney")) / filterbank(chosen).clip(1e-9)
    np.testing.assert_allclose(areas.max(1), [2 / second, 2 / (400 - first)], rtol=1e-5)


def test_slaney_scale_is_linear_below_1000_hertz():
    """Eight bands to 600 Hz on a linear scale: peaks 600 / 9 Hz apart."""
    chosen = MelSettings(1200, 500, 1800, 1800, 8, 0.0, 600.0)
    peaks = filterbank(chosen).argmax(1) * 1200 / 1800
    np.testing.assert_allclose(peaks, 600 / 9 * np.arange(1, 9), atol=0.34)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("norm", ["none", "slaney"])
def test_filterbank_equals_librosa(scale, norm):
    librosa = pytest.importorskip("librosa", reason="librosa is not installed")
    chosen = MelSettings(22050, 275, 1100, 2048, 80, 125.0, 7600.0, mel_scale=scale, band_norm=norm)
    theirs = librosa.filters.mel(
        sr=22050, n_fft=2048, n_mels=80, fmin=125.0, fmax=7600.0, htk=scale == "htk", norm="slaney" if norm == "slaney" else None
    )
    np.testing.assert_allclose(filterbank(chosen), theirs, atol=2e-6)


@pytest.mark.parametrize("sizes", [(50, 200, 256), (64, 200, 256), (33, 101, 128)])
def test_istft_inverts_stft(sizes):
    hop, window, n_fft = sizes
    chosen = dataclasses.replace(SMALL, hop=hop, window=window, n_fft=n_fft, n_mels=8)
    wave = noise(20 * hop)
    np.testing.assert_allclose(istft(stft(wave, chosen), chosen), wave, atol=1e-5)


@pytest.mark.parametrize("base", ["e", "10"])
def test_linear_magnitude_has_the_mel_it_came_from(base):
    chosen = dataclasses.replace(SMALL, log_base=base)
    wave = np.convolve(noise(3000), [1, 1, 1, 1], "same").astype(np.float32)
    mel = log_mel(wave, chosen)
    magnitude = linear_magnitude(mel, chosen)
    assert magnitude.shape == (60, 129) and magnitude.min() > 0
    again = np.log(np.maximum(magnitude @ filterbank(chosen).T, chosen.floor)) / (math.log(10) if base == "10" else 1)
    assert np.abs(again - mel).mean() < 0.05


def test_every_field_moves_the_fingerprint_and_is_named():
    assert fingerprint(SMALL) == fingerprint(dataclasses.replace(SMALL)) and len(fingerprint(SMALL)) == 12
    changes = dict(sample_rate=8001, hop=49, window=201, n_fft=258, n_mels=19, f_min=61.0, f_max=3799.0, floor=1e-4)
    changes |= dict(log_base="10", mel_scale="htk", band_norm="none", kind="linear", pre_emphasis=0.5, centre=1, edges="reflect")
    assert changes.keys() == {field.name for field in dataclasses.fields(MelSettings)}
    others = [dataclasses.replace(SMALL, **{name: value}) for name, value in changes.items()]
    assert len({fingerprint(other) for other in [SMALL, *others]}) == len(others) + 1
    assert [mismatch(SMALL, other)[0].partition(":")[0] for other in others] == list(changes)
    assert mismatch(MelSettings(), dataclasses.replace(MelSettings(), f_min=0.0)) == ["f_min: 125 here, 0 there"]
    assert mismatch(SMALL, SMALL) == []


def test_a_mel_of_other_toolkits_is_that_of_the_wave_made_so_beforehand() -> None:
    """Pre-emphasis, frames that begin half a hop later, and mirrored edges, each against the plain definition on a wave made by hand."""
    wave = noise(1000)
    emphasised = dataclasses.replace(SMALL, pre_emphasis=0.9)
    np.testing.assert_allclose(log_mel(wave, emphasised), log_mel(wave - 0.9 * np.append(np.float32(0), wave[:-1]), SMALL), atol=1e-5)
    np.testing.assert_allclose(unemphasised(wave - 0.9 * np.append(np.float32(0), wave[:-1]), emphasised), wave, atol=1e-6)
    later = dataclasses.replace(SMALL, centre=25)
    np.testing.assert_allclose(log_mel(wave, later)[3:15], log_mel(wave[25:], SMALL)[3:15], atol=1e-5)
    mirrored = dataclasses.replace(SMALL, edges="reflect")
    long = np.concatenate([wave[100:0:-1], wave, wave[-2:-102:-1]])
    np.testing.assert_allclose(log_mel(wave, mirrored), log_mel(long, SMALL)[2:22], atol=1e-5)
    np.testing.assert_allclose(log_mel(wave, mirrored)[3:15], log_mel(wave, SMALL)[3:15], atol=1e-5)
    assert not np.allclose(log_mel(wave, mirrored)[0], log_mel(wave, SMALL)[0], atol=0.01)


@pytest.mark.parametrize("centre", [0, 25, 100])
def test_istft_inverts_wherever_frames_are_centred(centre: int) -> None:
    sizes, wave = dataclasses.replace(SMALL, centre=centre), noise(1000)
    np.testing.assert_allclose(istft(stft(wave, sizes), sizes)[150:-150], wave[150:-150], atol=1e-4)


def test_what_other_toolkits_add_left_the_fingerprint_of_those_who_do_not_use_it() -> None:
    stated = {k: v for k, v in dataclasses.asdict(SMALL).items() if k not in ("pre_emphasis", "centre", "edges")}
    facts = {**stated, "definition": 1, "resampling": "resample_poly"}
    assert fingerprint(SMALL) == hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def test_window_is_periodic():
    assert hann(SMALL)[0] == 0 and hann(SMALL)[100] == 1
    np.testing.assert_allclose(hann(SMALL)[1:], hann(SMALL)[1:][::-1], atol=1e-6)


def test_a_linear_spectrum_is_the_magnitude_of_every_bin() -> None:
    linear = dataclasses.replace(SMALL, kind="linear")
    wave = noise(500)
    frames = log_spectrum(wave, linear)
    assert frames.shape == (10, linear.bins) == (10, SMALL.n_fft // 2 + 1) and SMALL.bins == SMALL.n_mels
    np.testing.assert_allclose(frames, np.log(np.maximum(np.abs(stft(wave, SMALL)), SMALL.floor)), atol=1e-5)
    np.testing.assert_allclose(linear_magnitude(frames, linear), np.exp(frames), rtol=1e-5)
    np.testing.assert_allclose(mel_of_linear(frames, linear), log_mel(wave, SMALL), atol=2e-3)  # the floor lifts quiet bins
    assert fingerprint(linear) != fingerprint(SMALL)
