"""The one way files are written: temporary name, fsync, rename. A file is there whole or not at all.

Failpoints make its faults testable: ``TOOLKIT_FAIL=checkpoint.fsync:3:ENOSPC`` lets the third fsync of a checkpoint fail
with that error, ``...:KILL`` ends the process there as ``kill -9`` would. They are off unless the variable is set.
"""

from __future__ import annotations

import collections
import errno
import glob
import hashlib
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from toolkit.errors import ConfigError, ToolkitError

_hits: collections.Counter[str] = collections.Counter()


class WriteError(ToolkitError):
    """A file could not be written; what stood there before is untouched."""


def failpoint(name: str) -> None:
    """Fail here if ``TOOLKIT_FAIL`` names this point and it is passed for the n-th time: ``name:n:ERRNO`` or ``name:n:KILL``."""
    spec = os.environ.get("TOOLKIT_FAIL")
    if not spec:
        return
    parts = spec.split(":")
    if len(parts) != 3 or not parts[1].isdigit() or not (parts[2] == "KILL" or hasattr(errno, parts[2])):
        raise ConfigError(f"TOOLKIT_FAIL: expected POINT:N:ERRNO, got {spec!r}; such as checkpoint.fsync:3:ENOSPC")
    if parts[0] != name:
        return
    _hits[name] += 1
    if _hits[name] == int(parts[1]):
        if parts[2] == "KILL":
            os.kill(os.getpid(), signal.SIGKILL)
        number = getattr(errno, parts[2])
        raise OSError(number, os.strerror(number))


@contextmanager
def atomic(path: Path | str, mode: str = "wb", point: str = "file") -> Iterator[IO[Any]]:
    """Open a file for writing that appears under ``path`` only when the block ends without an error.

    Args:
        path: where the file is to be; missing parent folders are made.
        mode: ``wb`` or ``w`` (UTF-8, newline as given).
        point: name of its failpoints ``<point>.write``, ``<point>.fsync``, ``<point>.rename``.

    Raises:
        WriteError: the system refused; names the path and, on a full disk, the free bytes.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise explained(path, error) from error
    try:
        text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
        with os.fdopen(handle, mode, **text) as file:  # type: ignore[call-overload]
            yield file
            failpoint(f"{point}.write")
            file.flush()
            failpoint(f"{point}.fsync")
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        failpoint(f"{point}.rename")
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        system = system_error(error)
        ours = system is not None and system.filename in (None, temporary, str(path.parent))
        if system is None or not ours or isinstance(error, ToolkitError) or not isinstance(error, Exception):
            raise  # not about this file: the block read another one, or the user pressed a key
        raise explained(path, system) from error


def write_text(path: Path | str, text: str, point: str = "file") -> None:
    """Write UTF-8 text atomically."""
    with atomic(path, "w", point) as file:
        file.write(text)


def write_json(path: Path | str, value: object, point: str = "file") -> None:
    """Write JSON atomically, keys in the order given, with a newline at the end."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n", point)


def copy(source: Path, target: Path) -> None:
    """Copy a file atomically."""
    with atomic(target, "wb") as file:
        file.write(source.read_bytes())


def remove_leftovers(path: Path | str) -> None:
    """Remove what killed writers left of a file, or of the files in a folder and below. Nobody may be writing there."""
    path = Path(path)
    found = path.rglob(".*.tmp") if path.is_dir() else path.parent.glob(f".{glob.escape(path.name[:40])}.*.tmp")
    for leftover in found:
        leftover.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power loss."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path | str) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def system_error(error: BaseException | None) -> OSError | None:
    """The ``OSError`` in an exception's chain: libraries wrap a full disk in errors of their own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        error = error.__cause__ or error.__context__
    return None


def explained(path: Path, error: OSError) -> WriteError:
    """The error a user sees: the path, the reason and, on a full disk, the free space."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        folder = next(p for p in (path.parent, *path.parent.parents) if p.exists())
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        return WriteError(f"{path}: disk full, {free / 1e6:.0f} MB free; make room and run the same command again")
    return WriteError(f"{path}: cannot be written: {reason}; the file that stood there before is untouched")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
