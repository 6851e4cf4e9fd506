"""The training card: every number that decides what a training does, computed from what runs, beside what the paper says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch

from toolkit.config import dump
from toolkit.tasks.card_lines import SYMBOLS, Task, card_lines
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.published import source
from toolkit.tasks.schema import System
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary
from toolkit.train.freezing import freeze

Facts = dict[str, Any]


class Row(NamedTuple):
    """A line of the card. ``source`` is where Tacotron 2 states the value, what it has instead, or that it is silent."""

    name: str
    value: str
    source: str = ""


def training_card(system: System, task: str, processes: int = 1, happened: Mapping[str, Any] | None = None) -> list[Row]:
    """Rows of one task.

    Args:
        task: ``text2mel`` or ``mel2wav``.
        processes: that share each global batch.
        happened: what a training has found or measured; it takes the place of a row of that name or is appended.
    """
    with torch.device("meta"):
        built: Task = Text2Mel(system, Vocabulary.made_up(SYMBOLS)) if task == "text2mel" else Mel2Wav(system)
    freeze(built, built.settings.freeze if any(True for _ in built.parameters()) else None)
    facts = _flat(dump(system)) | _derived(built, processes)
    rows = {line.name: Row(line.name, line.value, source(facts, _paths(facts, line.paths))) for line in card_lines(built, processes)}
    for key, value in (happened or {}).items():
        name = key.replace("_", " ").capitalize()
        rows[name] = rows.get(name, Row(name, ""))._replace(value=str(value))
    return list(rows.values())


def differing(rows: list[Row], other: list[Row]) -> list[Row]:
    """The rows whose values are not those of another card."""
    values = {row.name: row.value for row in other}
    return [row for row in rows if values.get(row.name) != row.value]


def as_markdown(title: str, rows: list[Row]) -> str:
    """The card as a Markdown table."""
    body = "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows)
    return f"# Training card: {title}\n\n" + (f"| | | Tacotron 2 |\n|---|---|---|\n{body}" if rows else "The same.\n")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Facts:
    """Nested mappings as dotted paths."""
    facts: Facts = {}
    for key, value in values.items():
        facts |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return facts


def _derived(built: Task, processes: int) -> Facts:
    """What follows from the configuration, under paths of its own."""
    mel = built.system.features
    return {
        "data": "",  # whatever it is, it is not the published corpus
        f"{built.name}.processes": processes,
        "features.hop_ms": 1000 * mel.hop / mel.sample_rate,
        "features.window_ms": 1000 * mel.window / mel.sample_rate,
        "vocoder.receptive_field": getattr(built.vocoder, "receptive_field", None) if isinstance(built, Mel2Wav) else None,
    }


def _paths(facts: Facts, wanted: tuple[str, ...]) -> Iterator[str]:
    """The paths that a line shows, those below ``x.`` one by one."""
    for path in wanted:
        yield from ([found for found in facts if found.startswith(path)] if path.endswith(".") else [path])
