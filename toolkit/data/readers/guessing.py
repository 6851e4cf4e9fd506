"""Which reader a corpus is for, where nobody says it."""

from __future__ import annotations

from pathlib import Path

from toolkit.data.readers.base import READERS
from toolkit.errors import DataError, nearest

NEIGHBOURS = 50  # folders that are looked into for a better guess


def guess(source: Path) -> str:
    """The name of the one reader that sees a corpus of its own there.

    Raises:
        DataError: none does, or several; names them.
    """
    if not source.exists():
        siblings = [path.name for path in source.parent.iterdir()] if source.parent.is_dir() else []
        raise DataError(f"{source}: there is no folder or file of that name; {nearest(source.name, siblings[:NEIGHBOURS])}")
    seen = _seen(source)
    if len(seen) == 1:
        return seen[0]
    if seen:
        raise DataError(f"{source}: can be read in several ways; choose one with --reader: {_listed(seen)}")
    below = [path for path in sorted(source.iterdir())[:NEIGHBOURS] if path.is_dir() and _seen(path)] if source.is_dir() else []
    hint = f"did you mean {below[0]}? " if below else ""
    raise DataError(f"{source}: no layout that is known; {hint}known: {_listed(READERS.names())}")


def _seen(source: Path) -> list[str]:
    return [name for name in READERS.names() if READERS.part(name).build().sees(source)]


def _listed(names: list[str]) -> str:
    return "; ".join(f"{name} ({READERS.resolve(name).layout})" for name in names)
