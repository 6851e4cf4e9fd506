"""Tables with a recording a line, such as file lists of NVIDIA's Tacotron 2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from toolkit.data.kaldi import IDENTIFIER
from toolkit.data.readers.base import READERS, Findings, Reader, Recording, ids_of
from toolkit.data.readers.metadata import METADATA
from toolkit.errors import ConfigError, nearest

SUFFIXES = (".txt", ".csv", ".tsv", ".psv")
COLUMNS = ("id", "file", "speaker", "language", "text")
IGNORED = "-"
LOOKED_AT = 100  # lines


@READERS.register("table")
class Table(Reader):
    """Lines ``file|speaker|text`` without a header, in any file; of a folder, in its ``metadata.csv``. Quotes are text.

    Relative paths start at the folder of the table. A delimiter inside a text is an error, as nothing says that it is one.

    Args:
        columns: what stands in each: id, file, speaker, language, text, or - for one that is not used.
        delimiter: the character between them.
    """

    layout = "a table *.txt, *.csv, *.tsv or *.psv of lines file|speaker|text"

    def __init__(self, *, columns: tuple[str, ...] = ("file", "speaker", "text"), delimiter: str = "|") -> None:
        wrong = [name for name in columns if name not in (*COLUMNS, IGNORED)]
        if wrong:
            raise ConfigError(f"columns: unknown, got {wrong[0]!r}; {nearest(wrong[0], (*COLUMNS, IGNORED))}")
        named = [name for name in columns if name != IGNORED]
        if len(set(named)) < len(named) or not {"file", "text"} <= set(named):
            raise ConfigError(f"columns: file and text, each name once, got {', '.join(columns)}")
        if len(delimiter) != 1 or delimiter.isalnum():
            raise ConfigError(f"delimiter: one character that is no letter or digit, got {delimiter!r}")
        self.columns, self.delimiter = columns, delimiter

    def sees(self, source: Path) -> bool:
        """A file, by its ending; or a ``metadata.csv`` whose second of three columns is one word, and the same one in several lines."""
        if not source.is_dir():
            return source.suffix in SUFFIXES
        lines = Findings().lines(source / METADATA)[:LOOKED_AT] if (source / METADATA).is_file() else []
        rows = [line.split(self.delimiter) for _, line in lines]
        words = [row[1] for row in rows if len(row) == 3 and IDENTIFIER.fullmatch(row[1])]
        return len(words) == len(rows) > len(set(words))

    def recordings(self, source: Path, findings: Findings) -> Iterator[Recording]:
        table = source / METADATA if source.is_dir() else source
        rows = [(number, row) for number, line in findings.lines(table) if (row := self._row(table, number, line, findings))]
        files = [table.parent / row["file"] for _, row in rows]
        for (number, row), file, key in zip(rows, files, ids_of(files), strict=True):
            yield Recording(table, number, row.get("id") or key, file, row["text"], row.get("speaker") or None, row.get("language") or None)

    def _row(self, table: Path, number: int, line: str, findings: Findings) -> dict[str, str]:
        """The columns by name; empty where the line is wrong."""
        values = [value.strip() for value in line.split(self.delimiter)]
        form = self.delimiter.join(self.columns)
        if len(values) != len(self.columns):
            inside = f"; a {self.delimiter!r} inside the text?" if len(values) > len(self.columns) else ""
            findings.add(table, number, f"expected {len(self.columns)} columns ({form}), found {len(values)}, got {line[:60]!r}{inside}")
            return {}
        row = dict(zip(self.columns, values, strict=True))
        empty = next((name for name, value in row.items() if not value and name not in ("text", IGNORED)), None)
        if empty:
            findings.add(table, number, f"nothing in column {empty!r} of {form}, got {line[:60]!r}")
            return {}
        return row
