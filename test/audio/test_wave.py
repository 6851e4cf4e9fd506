"""Audio files: what is converted, and what is refused with which reason."""

import os
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit.audio import riff, wave
from toolkit.errors import DataError


def tone(rate=16000, seconds=0.25):
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def riff_bytes(data=b"\0\0" * 100, tag=1, channels=1, rate=16000, bits=16, before=b"", after=b"", extra=b"", size=None, total=None):
    block = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits) + extra
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(fmt)) + fmt + before
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data + after
    return b"RIFF" + struct.pack("<I", len(body) if total is None else total) + body


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_formats_are_read_as_mono_float(tmp_path, subtype, container, channels):
    expected = tone()
    soundfile.write(tmp_path / "a.wav", np.stack([expected] * channels, axis=1), 16000, subtype=subtype, format=container)
    read = wave.read(tmp_path / "a.wav")
    assert read.dtype == np.float32 and read.shape == expected.shape
    assert np.abs(read - expected).max() < (0.03 if subtype in ("PCM_U8", "ULAW", "ALAW") else 1e-4)
    info = wave.probe(tmp_path / "a.wav")
    assert (info.sample_rate, info.channels, info.samples) == (16000, channels, 4000)
    assert info.seconds == 0.25


@pytest.mark.parametrize("suffix", ["flac", "ogg"])
def test_compressed_files_are_read_whatever_their_name(tmp_path, suffix):
    soundfile.write(tmp_path / f"a.{suffix}", tone(), 16000)
    os.rename(tmp_path / f"a.{suffix}", tmp_path / "a.wav")
    assert len(wave.read(tmp_path / "a.wav")) == 4000


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_resampling_keeps_time_and_level(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(rate), rate)
    read, expected = wave.read(tmp_path / "a.wav", 16000), tone()
    assert abs(len(read) - len(expected)) <= 1
    middle = slice(500, 3500)
    assert np.abs(read[middle] - expected[middle]).max() < 0.01


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([tone(), -tone()], axis=1), 16000, subtype="FLOAT")
    assert np.abs(wave.read(tmp_path / "a.wav")).max() == 0


@pytest.mark.parametrize(
    "data",
    [
        riff_bytes(before=b"LIST" + struct.pack("<I", 4) + b"INFO"),
        riff_bytes(before=b"odd " + struct.pack("<I", 3) + b"abc\0"),
        riff_bytes(after=b"LIST" + struct.pack("<I", 4) + b"INFO"),
        riff_bytes(total=0),
        riff_bytes(total=0xFFFFFFFF),
        riff_bytes(data=b"\0\0" * 100),  # silence is audio
        riff_bytes(data=b"\xff\x7f" * 100),  # and so is clipping
    ],
)
def test_unusual_but_whole_headers_are_read(tmp_path, data):
    (tmp_path / "a.wav").write_bytes(data)
    assert len(wave.read(tmp_path / "a.wav")) == 100


BAD = {
    "data longer than the file": (riff_bytes(size=1000), "truncated: the header announces 1000 bytes of audio, got 200"),
    "data size unknown": (riff_bytes(size=0xFFFFFFFF), "does not say how long"),
    "data size left at 0": (riff_bytes(size=0), "does not say how long"),
    "no samples": (riff_bytes(data=b""), "no samples"),
    "odd bytes": (riff_bytes(data=b"\0" * 101), "ends within a sample"),
    "no data": (riff_bytes()[:36], "without a data chunk"),
    "nothing after the start": (riff_bytes()[:12], "without a fmt chunk"),
    "short fmt": (b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0abcddata\0\0\0\0", "fmt chunk of 4 bytes"),
    "short extensible fmt": (riff_bytes(tag=0xFFFE), "extensible WAV with a fmt chunk of 16 bytes"),
    "codec": (riff_bytes(tag=0x55), "codec 0x0055"),
    "bits": (riff_bytes(bits=12), "12-bit PCM"),
    "channels": (riff_bytes(channels=0), "contradicts itself"),
    "rate flipped": (riff_bytes().replace(struct.pack("<I", 16000), struct.pack("<I", 22050), 1), "contradicts itself"),
    "rate": (riff_bytes(rate=1000), "from 4000 to 192000 Hz"),
    "empty": (b"", "empty file"),
    "mp3": (b"\xff\xfb\x90\x64" + b"\0" * 400, "not a WAV, FLAC or Ogg file (it looks like MP3)"),
    "tagged mp3": (b"ID3\x03" + b"\0" * 400, "it looks like MP3"),
    "text": (b"hello, this is text", "not a WAV, FLAC or Ogg file, it starts with b'hell'"),
    "flac in name only": (b"fLaC" + b"\0" * 100, "damaged"),
    "nan": (riff_bytes(np.array([0, np.nan, 0], "<f4").tobytes(), tag=3, bits=32), "1 samples are NaN or infinite"),
    "infinite": (riff_bytes(np.array([0, np.inf, np.inf], "<f4").tobytes(), tag=3, bits=32), "2 samples are NaN or infinite"),
    "integers as floats": (riff_bytes(np.array([0, 12345], "<f4").tobytes(), tag=3, bits=32), "peak of 12345"),
}


@pytest.mark.parametrize("name", BAD)
def test_damage_is_refused_with_the_path_and_a_reason(tmp_path, name):
    data, reason = BAD[name]
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        wave.read(path)
    assert str(caught.value).startswith(f"{path}: ") and reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_fmt_chunks_and_late_fmt_are_refused(tmp_path):
    whole = riff_bytes()
    fmt = whole[12:36]
    (tmp_path / "two.wav").write_bytes(whole[:36] + fmt + whole[36:])
    with pytest.raises(DataError, match="two fmt chunks"):
        wave.probe(tmp_path / "two.wav")
    (tmp_path / "late.wav").write_bytes(whole[:12] + whole[36:] + fmt)
    with pytest.raises(DataError, match="data before its fmt"):
        wave.probe(tmp_path / "late.wav")


def test_only_regular_files_are_opened(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "nowhere.wav")
    for name, reason in {"folder": "a folder", "pipe": "a named pipe", "link": "a link to .*nowhere.wav", "gone": "no such file"}.items():
        with pytest.raises(DataError, match=reason):
            wave.probe(tmp_path / f"{name}.wav")


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0, 0.999))
def test_no_truncation_is_accepted(tmp_path, suffix, part):
    path = tmp_path / f"whole.{suffix}"
    if not path.exists():
        soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 30000).astype(np.float32), 16000)
    data = path.read_bytes()
    (tmp_path / "cut").write_bytes(data[: int(part * len(data))])
    with pytest.raises(DataError):
        wave.read(tmp_path / "cut")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(0, 44 * 8 - 1), extensible=st.booleans())
def test_a_flipped_header_bit_is_harmless_or_refused(tmp_path, bit, extensible):
    path = tmp_path / f"whole{extensible}.wav"
    if not path.exists():
        soundfile.write(path, tone(), 16000, format="WAVEX" if extensible else "WAV", subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    (tmp_path / "flipped").write_bytes(data)
    try:
        info = wave.probe(tmp_path / "flipped")
        read = wave.read(tmp_path / "flipped")
    except DataError:
        return
    assert info.sample_rate == 16000 and len(read) == info.samples and np.isfinite(read).all()


@given(values=st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sixteen_bits_survive_reading_and_writing(tmp_path, values):
    expected = np.array(values, dtype=np.float32) / 32768
    wave.write(tmp_path / "a.wav", expected, 16000)
    assert np.array_equal(wave.read(tmp_path / "a.wav"), expected)


def test_writing_clips_and_takes_a_handle(tmp_path):
    with open(tmp_path / "a.wav", "wb") as file:
        wave.write(file, np.array([2.0, -2.0, 0.0], np.float32), 8000)
    assert np.allclose(wave.read(tmp_path / "a.wav"), [1, -1, 0], atol=1e-4)


@pytest.mark.parametrize("bad", [np.array([np.nan], np.float32), np.zeros((2, 3), np.float32)])
def test_writing_refuses_what_is_no_wave(tmp_path, bad):
    with pytest.raises(DataError, match="one row of finite samples"):
        wave.write(tmp_path / "a.wav", bad, 8000)
    assert not (tmp_path / "a.wav").exists()


def test_header_reader_agrees_with_the_decoder_on_a_real_writer(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), 16000)
    with open(tmp_path / "a.wav", "rb") as file:
        assert riff.read_header(file, "a.wav") == (16000, 1, 4000)
