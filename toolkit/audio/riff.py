"""The header of a WAV file, read strictly: what the usual readers accept in silence is refused here.

They return a shorter signal for a truncated file and another sample rate for a damaged header. Layout: Microsoft and IBM,
Multimedia Programming Interface and Data Specifications 1.0; WAVE_FORMAT_EXTENSIBLE as in Microsoft's ksmedia.h.
"""

from __future__ import annotations

import os
import struct
from typing import IO, NamedTuple

from toolkit.errors import DataError

CODECS = {1: "PCM", 3: "float", 6: "A-law", 7: "mu-law"}
EXTENSIBLE = 0xFFFE
UNKNOWN_SIZE = 0xFFFFFFFF
BITS = {"PCM": (8, 16, 24, 32), "float": (32, 64), "A-law": (8,), "mu-law": (8,)}


class Riff(NamedTuple):
    """What the header says, after it was found to agree with itself and with the size of the file."""

    sample_rate: int
    channels: int
    samples: int


def read_header(file: IO[bytes], path: object) -> Riff:
    """Walk the chunks up to ``data``.

    Chunks of odd size are padded to even; unknown ones (LIST, bext, ...) are skipped; the size in the RIFF header itself is
    ignored, because streaming writers leave it 0 or 0xFFFFFFFF while that of ``data`` is right.

    Raises:
        DataError: no fmt or data chunk, an unknown codec, numbers that contradict one another, audio shorter than announced.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(12)
    form = None
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise DataError(f"{path}: WAV without a {'data' if form else 'fmt'} chunk, {size} bytes; it is cut off or damaged")
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            break
        if name == b"fmt ":
            if form is not None:
                raise DataError(f"{path}: WAV with two fmt chunks; it is damaged")
            form = _format(file.read(length + length % 2) if length <= 4096 else b"", path)
        else:
            file.seek(length + length % 2, os.SEEK_CUR)
    if form is None:
        raise DataError(f"{path}: WAV with data before its fmt chunk; it is damaged")
    rate, channels, block = form
    there = size - file.tell()
    if length == UNKNOWN_SIZE or (length == 0 and there > 0):
        raise DataError(f"{path}: WAV header does not say how long the audio is (a stream that was never closed); rewrite the file")
    if length > there:
        raise DataError(f"{path}: truncated: the header announces {length} bytes of audio, got {there}")
    if length % block:
        raise DataError(f"{path}: ends within a sample: {length} bytes of audio in blocks of {block}")
    return Riff(rate, channels, length // block)


def _format(chunk: bytes, path: object) -> tuple[int, int, int]:
    """Sample rate, channels and bytes of one sample of all channels."""
    if len(chunk) < 16:
        raise DataError(f"{path}: WAV with a fmt chunk of {len(chunk)} bytes, needs 16; it is damaged")
    tag, channels, rate, speed, block, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == EXTENSIBLE:
        if len(chunk) < 40:
            raise DataError(f"{path}: extensible WAV with a fmt chunk of {len(chunk)} bytes, needs 40; it is damaged")
        (tag,) = struct.unpack_from("<H", chunk, 24)
    codec = CODECS.get(tag)
    if codec is None:
        raise DataError(f"{path}: WAV with codec 0x{tag:04x}; read are {', '.join(CODECS.values())}; convert it to 16-bit PCM")
    if bits not in BITS[codec]:
        raise DataError(f"{path}: WAV with {bits}-bit {codec}; read are {', '.join(map(str, BITS[codec]))} bits")
    if channels == 0 or block != channels * bits // 8 or speed != rate * block:
        raise DataError(
            f"{path}: WAV header contradicts itself: {channels} channels x {bits} bits at {rate} Hz,"
            f" got {block} bytes a sample and {speed} bytes a second; it is damaged"
        )
    return rate, channels, block
