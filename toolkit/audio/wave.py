"""Audio files in and out: WAV, FLAC and Ogg, checked strictly, as mono float32.

What is converted: several channels are averaged; 8 to 32-bit integers, floats, A-law and mu-law become float32 in [-1, 1] (floats
beyond are clipped); another sample rate is resampled with ``scipy.signal.resample_poly`` and its default filter. Nothing else is.
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from toolkit.audio import riff
from toolkit.errors import DataError

SUFFIXES = (".wav", ".flac", ".ogg")
MIN_RATE, MAX_RATE = 4000, 192000
MAX_SECONDS = 3600
LOUDEST_FLOAT = 8.0  # above it a float file does not hold audio in [-1, 1] but integers stored as floats


class WaveInfo(NamedTuple):
    """What the header of an audio file says."""

    sample_rate: int  # Hz
    channels: int
    samples: int  # of one channel
    format: str  # such as "WAV PCM_16"

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate


def probe(path: Path | str) -> WaveInfo:
    """Rate, channels and length from the header, after the checks that need no decoding.

    Only regular files are opened, so a named pipe never hangs. A WAV or an Ogg file that was cut off is found here, a FLAC
    file only by ``read``.

    Raises:
        DataError: one line ``path: reason``.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise DataError(f"{path}: not a regular file but a {_kind(mode)}")
        with open(path, "rb") as file:
            header = _check_container(file, path)
        info = soundfile.info(os.fsencode(path))
    except FileNotFoundError:
        what = f"a link to {os.readlink(path)}, which does not exist" if path.is_symlink() else "no such file"
        raise DataError(f"{path}: {what}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except soundfile.LibsndfileError as error:
        raise DataError(f"{path}: damaged: {error.error_string}") from error
    result = WaveInfo(info.samplerate, info.channels, info.frames, f"{info.format} {info.subtype}")
    if header is not None and header != result[:3]:
        raise DataError(f"{path}: damaged: the header says {header}, the decoder {riff.Riff(*result[:3])}")
    if result.samples <= 0:
        raise DataError(f"{path}: holds no samples; leave the recording out or replace it")
    if not MIN_RATE <= result.sample_rate <= MAX_RATE:
        raise DataError(f"{path}: sample rate from {MIN_RATE} to {MAX_RATE} Hz is read, got {result.sample_rate}")
    if result.seconds > MAX_SECONDS:
        raise DataError(f"{path}: at most {MAX_SECONDS} seconds are read, got {result.seconds:.0f}; cut it into utterances")
    return result


def read(path: Path | str, sample_rate: int | None = None) -> NDArray[np.float32]:
    """The samples, N in [-1, 1], mono, at ``sample_rate`` Hz (or the rate of the file where it is None).

    Raises:
        DataError: as ``probe``, and for audio that ends early, cannot be decoded or holds NaN or infinity.
    """
    info = probe(path)
    try:
        wave, _ = soundfile.read(os.fsencode(path), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise DataError(f"{path}: damaged: {getattr(error, 'error_string', error)}") from error
    if len(wave) != info.samples:
        raise DataError(f"{path}: truncated: the header announces {info.samples} samples, got {len(wave)}")
    peak = float(np.abs(wave).max())
    if not math.isfinite(peak):
        raise DataError(f"{path}: {np.count_nonzero(~np.isfinite(wave))} samples are NaN or infinite")
    if peak > LOUDEST_FLOAT:
        raise DataError(f"{path}: float samples stand in [-1, 1], got a peak of {peak:g}; integers stored as floats? divide them")
    mono = wave[:, 0] if info.channels == 1 else wave.mean(axis=1, dtype=np.float32)
    return np.clip(resample(mono, info.sample_rate, sample_rate or info.sample_rate), -1, 1)


def resample(wave: NDArray[np.float32], old_rate: int, new_rate: int) -> NDArray[np.float32]:
    """N samples at ``old_rate`` -> ceil(N x new_rate / old_rate) at ``new_rate`` Hz."""
    if old_rate == new_rate:
        return wave
    from scipy.signal import resample_poly

    common = math.gcd(old_rate, new_rate)
    return np.asarray(resample_poly(wave, new_rate // common, old_rate // common), dtype=np.float32)


def write(file: Path | str | IO[bytes], wave: NDArray[np.floating], sample_rate: int) -> None:
    """Write N samples in [-1, 1] as 16-bit mono WAV. Files of a stage go through ``data.writing.atomic``: pass its handle.

    Sample values of a 16-bit file survive ``read`` and ``write`` unchanged; values beyond [-1, 1] are clipped.
    """
    if wave.ndim != 1 or not np.isfinite(wave).all():
        raise DataError(f"a wave to write is one row of finite samples, got shape {wave.shape}")
    whole = np.clip(np.round(wave.astype(np.float64) * 32768), -32768, 32767).astype(np.int16)
    soundfile.write(os.fsencode(file) if isinstance(file, (str, Path)) else file, whole, sample_rate, subtype="PCM_16", format="WAV")


def _check_container(file: IO[bytes], path: Path) -> riff.Riff | None:
    """Refuse what is no WAV, FLAC or Ogg file by its first bytes; names are not trusted."""
    start = file.read(12)
    if not start:
        raise DataError(f"{path}: empty file; leave the recording out or replace it")
    if start[:4] == b"RIFF" and start[8:] == b"WAVE":
        return riff.read_header(file, path)
    if start[:4] == b"OggS":
        _check_ogg_end(file, path)
    elif start[:4] != b"fLaC":
        looks = " (it looks like MP3)" if start[:3] == b"ID3" or (start[0] == 0xFF and start[1:2] >= b"\xe0") else ""
        raise DataError(f"{path}: not a WAV, FLAC or Ogg file{looks}, it starts with {start[:4]!r}; convert it to 16-bit WAV")
    return None


def _check_ogg_end(file: IO[bytes], path: Path) -> None:
    """The last page of a whole Ogg file is complete and marked as the end of the stream (RFC 3533, section 6)."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - 65307)  # the largest page
    file.seek(start)
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :] if b"OggS" in tail else b""
    lacing = page[27 : 27 + page[26]] if len(page) > 27 else b""
    whole = bool(lacing) and len(page) == 27 + len(lacing) + sum(lacing)
    if not whole or not page[5] & 4:
        raise DataError(f"{path}: truncated: the last page of the Ogg stream is missing or cut off")


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "folder"
    return "named pipe" if stat.S_ISFIFO(mode) else "device or socket"
