"""Features in Kaldi's ark/scp files: float32 matrices ``T x M`` and vectors ``T``, one record an utterance.

kaldiio and Kaldi read what is written here. Reading is stricter than theirs: an scp line names a file and an offset, never a
command, a record is a matrix or a vector, never a pickle, and its size is checked before anything is allocated.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from numpy.typing import NDArray

from toolkit.data import kaldi
from toolkit.data.writing import atomic
from toolkit.errors import DataError, nearest

Floats = NDArray[np.float32]

LONGEST_KEY = 200  # bytes
TYPES = {b"\0BFM ": (2, "<f4"), b"\0BFV ": (1, "<f4"), b"\0BDM ": (2, "<f8"), b"\0BDV ": (1, "<f8")}  # dimensions, values


class ArkWriter:
    """Writes an ark and its scp. Both appear when the ``with`` block ends without an error, the scp last.

    The scp holds the absolute path of the ark.
    """

    def __init__(self, ark: Path, scp: Path) -> None:
        self.ark, self.scp = ark.absolute(), scp

    def __enter__(self) -> ArkWriter:
        self._lines: dict[str, str] = {}
        self._stack = ExitStack()
        self._file: IO[bytes] = self._stack.enter_context(atomic(self.ark, "wb", point="ark"))
        return self

    def add(self, key: str, values: Floats) -> None:
        """Append a matrix ``T x M`` or a vector ``T``.

        Raises:
            DataError: the id is unsafe or stands twice, the values are empty or not finite.
        """
        kaldi.check_id(key, str(self.ark))
        if key in self._lines:
            raise DataError(f"{self.ark}: id stands twice, got {key!r}; ids are unique")
        if values.ndim not in (1, 2) or values.size == 0 or not np.isfinite(values).all():
            raise DataError(f"{self.ark}: {key}: features are finite numbers T x M or T, got shape {values.shape} or NaN")
        self._file.write(key.encode() + b" ")
        self._lines[key] = f"{kaldi.from_path(self.ark)}:{self._file.tell()}"
        sizes = b"".join(struct.pack("<Bi", 4, size) for size in values.shape)
        self._file.write((b"\0BFM " if values.ndim == 2 else b"\0BFV ") + sizes + values.astype("<f4").tobytes())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.scp.unlink(missing_ok=True)  # an old one must not point into the new ark
        self._stack.__exit__(kind, error, trace)
        if kind is None:
            kaldi.write_map(self.scp, self._lines)


def write_features(folder: Path, name: str, features: Mapping[str, Floats]) -> None:
    """Write ``<folder>/<name>.ark`` and ``<folder>/feats.scp``, utterances in the order given."""
    with ArkWriter(folder / f"{name}.ark", folder / "feats.scp") as writer:
        for key, values in features.items():
            writer.add(key, values)


class FeatureStore:
    """Reads the features that an scp lists. Opens nothing until asked and keeps nothing open: safe in threads and processes.

    Raises:
        DataError: the scp cannot be read, or its lines are not ``id path:offset``.
    """

    def __init__(self, scp: Path | str) -> None:
        self.scp = Path(scp)
        self._places = {key: _place(self.scp, key, value) for key, value in kaldi.read_map(self.scp).items()}

    @property
    def ids(self) -> list[str]:
        return list(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def load(self, key: str) -> Floats:
        """The matrix ``T x M`` or vector ``T`` of an utterance.

        Raises:
            DataError: no such id, or the record is damaged; names the ark and the offset.
        """
        if key not in self._places:
            raise DataError(f"{self.scp}: no such id, got {key!r}; {nearest(key, self.ids[:1000])}")
        path, offset = self._places[key]
        where = f"{path}:{offset}: features of {key}"
        try:
            with open(path, "rb") as file:
                file.seek(offset)
                return _read_record(file, where)
        except OSError as error:
            raise DataError(f"{where}: cannot be read: {error.strerror or error}") from error


def read_ark(path: Path | str) -> Iterator[tuple[str, Floats]]:
    """All records of an ark without its scp, in their order.

    Raises:
        DataError: a record is damaged, or no matrix or vector of floats; names the ark and the offset.
    """
    try:
        with open(path, "rb") as file:
            while first := file.read(1):
                key = first
                while len(key) < LONGEST_KEY and (byte := file.read(1)) not in (b" ", b""):
                    key += byte
                where = f"{path}:{file.tell()}"
                name = key.decode("utf-8", "replace")
                kaldi.check_id(name, where)
                yield name, _read_record(file, f"{where}: features of {name}")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_record(file: IO[bytes], where: str) -> Floats:
    kind = file.read(5)
    if kind not in TYPES:
        raise DataError(f"{where}: not a matrix or vector of floats, got {kind!r}; compressed and text records are not read")
    dimensions, dtype = TYPES[kind]
    header = file.read(5 * dimensions)
    if len(header) < 5 * dimensions or any(header[5 * i] != 4 for i in range(dimensions)):
        raise DataError(f"{where}: damaged header, got {header!r}")
    shape = [struct.unpack_from("<i", header, 5 * i + 1)[0] for i in range(dimensions)]
    size = int(np.prod([int(n) for n in shape], dtype=object)) * np.dtype(dtype).itemsize
    left = os.fstat(file.fileno()).st_size - file.tell()
    if min(shape) < 1 or size > left:
        raise DataError(f"{where}: damaged: a shape of {' x '.join(map(str, shape))} needs {size} bytes, {left} are left in the file")
    values = np.frombuffer(bytearray(file.read(size)), dtype).reshape(shape).astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise DataError(f"{where}: damaged: holds NaN or infinity")
    return values


def _place(scp: Path, key: str, value: str) -> tuple[Path, int]:
    path, _, offset = value.rpartition(":")
    if not path or not (offset.isascii() and offset.isdigit() and len(offset) < 19):
        raise DataError(f"{scp}: {key}: expected path:offset, got {value[:120]!r}")
    return kaldi.to_path(path), int(offset)
