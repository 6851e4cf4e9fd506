"""Everything that is wrong with a corpus is said at once: problems are collected as lines and raised as one error."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.errors import DataError

SHOWN = 50


def raise_all(problems: Sequence[str]) -> None:
    """Raise one ``DataError`` with a line for each problem, the first 50 of them; nothing if there are none."""
    if problems:
        more = len(problems) - SHOWN
        raise DataError("\n".join([*problems[:SHOWN], *([f"... and {more} more"] if more > 0 else [])]))


def examples(names: Sequence[str], limit: int = 3) -> str:
    """A few of many names, for a message: ``a, b, c, ...``."""
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
