"""Stamps of finished stages: hashes of what a stage read and wrote. Contents decide, never the time of a file.

A stage whose stamp is valid is skipped; a killed one has no stamp yet and is run again.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from toolkit.data.writing import sha256, write_json
from toolkit.errors import DataError

MISSING = "missing"


def tree_hash(path: Path | str) -> str:
    """Hash of a file's bytes, or of the names and contents of all files in a folder; ``missing`` if there is nothing.

    Hidden files (stamps, unfinished writes) do not count. Links are followed, a circle of them once.
    """
    path = Path(path)
    if not path.exists():
        return MISSING
    if not path.is_dir():
        return _file_hash(path)
    digest = hashlib.sha256()
    for name, file in _files(path, b"", set()):
        digest.update(hashlib.sha256(name).digest() + bytes.fromhex(_file_hash(file)))
    return digest.hexdigest()


def fingerprints(paths: Iterable[Path | str], values: Mapping[str, str]) -> dict[str, str]:
    """What a stage depends on, by name: the hash of each path, and values such as a section of the configuration."""
    return {**{f"input {path}": tree_hash(path) for path in paths}, **{f"value {key}": value for key, value in values.items()}}


def stamp_valid(path: Path | str, inputs: Mapping[str, str]) -> list[str]:
    """Why a stage must run: one reason each, none if its stamp is valid and everything it wrote is as it left it."""
    path = Path(path)
    if not path.exists():
        return ["not finished before"]
    try:
        stamp = json.loads(path.read_text(encoding="utf-8"))
        before, outputs = dict(stamp["inputs"]), dict(stamp["outputs"])
    except (OSError, ValueError, KeyError, TypeError):
        return [f"{path}: the stamp cannot be read"]
    reasons = [f"{name} is {MISSING}" for name, now in inputs.items() if now == MISSING]
    reasons += [f"{name} changed" for name, now in inputs.items() if now != before.get(name, now) and now != MISSING]
    reasons += [f"{name} is new" for name in inputs if name not in before]
    reasons += [f"{name} is no longer used" for name in before if name not in inputs]
    return reasons or [f"output {name} is missing or changed" for name, old in outputs.items() if tree_hash(name) != old]


def write_stamp(path: Path | str, inputs: Mapping[str, str], outputs: Iterable[Path | str]) -> None:
    """Mark a stage as finished, after everything else is written.

    Raises:
        DataError: an input or output does not exist.
    """
    written = {str(output): tree_hash(output) for output in outputs}
    absent = [name for name, value in [*inputs.items(), *written.items()] if value == MISSING]
    if absent:
        raise DataError(f"{path}: a finished stage has all its files, missing: {', '.join(absent)}")
    write_json(path, {"inputs": dict(inputs), "outputs": written}, point="stamp")


def _files(folder: Path, prefix: bytes, seen: set[str]) -> Iterable[tuple[bytes, Path]]:
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    for name in sorted(os.listdir(folder), key=os.fsencode):
        if name.startswith("."):
            continue
        path, key = folder / name, prefix + os.fsencode(name)
        if path.is_dir():
            yield from _files(path, key + b"/", seen)
        elif path.exists():
            yield key, path


def _file_hash(path: Path) -> str:
    if not stat.S_ISREG(path.stat().st_mode):
        raise DataError(f"{path}: neither a file nor a folder")
    try:
        return sha256(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
