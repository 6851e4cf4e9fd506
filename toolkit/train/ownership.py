"""A run's folder belongs to one training at a time and to one configuration."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolkit.config import difference
from toolkit.data.writing import write_json
from toolkit.errors import ConfigError, TrainingError

# may change between resumes
FREE = frozenset({"max_steps", "max_minutes", "patience", "save_every", "log_every", "validate_every", "keep_best", "threads"})


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. It ends with the process that holds it, however that process ends.

    Raises:
        TrainingError: another process trains there; names its id and host.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise TrainingError(f"{folder}: another training writes here, got {holder}; wait for it or end it") from error
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def check_identity(folder: Path, identity: Mapping[str, Any]) -> None:
    """Refuse to go on from the checkpoints of a folder with another configuration than theirs.

    Raises:
        ConfigError: with one line for each difference.
    """
    path = folder / "identity.json"
    if not path.exists() or not any(folder.glob("checkpoints/step-*")):
        return
    lines = difference(json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(identity)))
    changed = [line for line in lines if line.split(":")[0].rpartition(".")[2] not in FREE]
    if changed:
        listed = "\n  ".join(changed)
        raise ConfigError(f"{folder}: begun with another configuration; use --fork NAME or --resume never\n  {listed}")


def write_identity(folder: Path, identity: Mapping[str, Any]) -> None:
    """Note the configuration that the folder belongs to."""
    write_json(folder / "identity.json", identity)
