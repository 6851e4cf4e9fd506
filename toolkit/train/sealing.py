"""Sealed directories: files written first, their manifest last, the directory renamed into place when all of it is on disk."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from toolkit.data.writing import WriteError, atomic, explained, failpoint, sha256, sync_folder, system_error, write_json
from toolkit.errors import CheckpointError

MANIFEST = "MANIFEST.json"
POINT = "checkpoint"


def seal(directory: Path, files: Mapping[str, Callable[[IO[bytes]], object]]) -> None:
    """Write a directory of files that is there whole or not at all, and check what was written.

    Args:
        directory: where it is to be; what stands there is replaced.
        files: name -> what writes the open file.

    Raises:
        WriteError: the system refused; no part of the directory is left.
    """
    temporary = directory.with_name(f".{directory.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for name, write in files.items():
            with atomic(temporary / name, "wb", POINT) as file:
                write(file)
        written = {name: {"sha256": sha256(temporary / name), "bytes": (temporary / name).stat().st_size} for name in files}
        write_json(temporary / MANIFEST, {"files": written}, POINT)
        failpoint(f"{POINT}.seal")
        if directory.exists():
            shutil.rmtree(directory)
        os.replace(temporary, directory)
        sync_folder(directory.parent)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        system = system_error(error)
        if system is not None and not isinstance(error, WriteError):
            raise explained(directory, system) from error
        raise
    verify(directory)


def verify(directory: Path) -> None:
    """Raise a ``CheckpointError`` that names the first file which is not what was sealed."""
    path = directory / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        expected = {name: (str(entry["sha256"]), int(entry["bytes"])) for name, entry in manifest["files"].items()}
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: missing, the checkpoint was never finished; use another one") from error
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise CheckpointError(f"{path}: damaged; use another checkpoint") from error
    present = {p.name for p in directory.iterdir()} - {MANIFEST}
    for name in sorted(present ^ set(expected)):
        raise CheckpointError(f"{directory / name}: {'missing' if name in expected else 'not in the manifest'}; use another checkpoint")
    for name, (digest, size) in expected.items():
        if (directory / name).stat().st_size != size or sha256(directory / name) != digest:
            raise CheckpointError(f"{directory / name}: damaged, its sha256 is not the one in {MANIFEST}; use another checkpoint")
