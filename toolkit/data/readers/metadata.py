"""``metadata.csv`` of LJSpeech and of M-AILABS: ``id|text`` or ``id|text|normalised text``, no header, quotes are text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolkit.audio import wave
from toolkit.data.readers.base import Findings, spoken

METADATA = "metadata.csv"


@dataclass(frozen=True)
class Row:
    """One line: ``text`` is the normalised column where there is one."""

    line: int
    name: str  # the first column as it stands: an id or the name of a file
    text: str

    @property
    def id(self) -> str:
        stem, dot, suffix = self.name.rpartition(".")
        return stem if f"{dot}{suffix}".lower() in wave.SUFFIXES else self.name


def read_metadata(file: Path, findings: Findings) -> list[Row]:
    """Its rows; a line with another number of columns is a problem."""
    rows = []
    for number, line in findings.lines(file):
        columns = line.split("|")
        if len(columns) in (2, 3):
            rows.append(Row(number, columns[0], spoken(columns[-1]) or spoken(columns[1])))
        else:
            what = "expected 2 or 3 columns (id|text or id|text|normalised text)"
            findings.add(file, number, f"{what}, found {len(columns)}, got {line[:60]!r}")
    if not rows and not findings:
        findings.add(file, 0, "holds no lines; expected one 'id|text' a recording")
    return rows
