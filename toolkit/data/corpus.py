"""Corpora in the shape of LJSpeech: ``metadata.csv`` with ``id|text`` or ``id|text|normalised text``, audio in ``wavs/`` or beside.

The first column may also name the file (``a.flac|text``). What is converted: a byte order mark and CRLF go, text becomes NFC, runs
of whitespace become one space. Quotes are text. Everything wrong is reported at once, by line.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from toolkit.audio import wave
from toolkit.data import kaldi
from toolkit.data.kaldi import ALLOWED, IDENTIFIER, Utterance
from toolkit.data.problems import examples, raise_all
from toolkit.data.writing import write_text
from toolkit.errors import DataError, nearest

METADATA = "metadata.csv"
LONGEST_LINE = 20_000  # characters
LISTS = ("dev.list", "eval.list")


@dataclass(frozen=True)
class Row:
    """One line of ``metadata.csv``: ``text`` is the normalised column where there is one."""

    line: int
    name: str  # the first column as it stands: an id or the name of a file
    text: str

    @property
    def id(self) -> str:
        stem, dot, suffix = self.name.rpartition(".")
        return stem if f"{dot}{suffix}".lower() in wave.SUFFIXES else self.name


class Corpus(NamedTuple):
    """What was found in a folder."""

    utterances: list[Utterance]  # sorted by id
    rates: Counter[int]  # sample rate -> files
    warnings: list[str]


def read_metadata(path: Path) -> tuple[list[Row], list[str]]:
    """The good rows of a ``metadata.csv`` and a line for every problem."""
    lines, problems = kaldi.read_lines(path)
    rows: list[Row] = []
    first: dict[str, int] = {}
    for number, line in lines:
        row, problem = _parse(number, line)
        if row is not None and row.id in first:
            problem = f"id stands twice, got {row.id!r}, first in line {first[row.id]}; remove or rename one"
        if problem:
            problems.append(f"{path}:{number}: {problem}")
        elif row is not None:
            first[row.id] = number
            rows.append(row)
    return rows, problems


def read(folder: Path | str, speaker: str) -> Corpus:
    """Read a corpus, probing the header of every recording.

    Raises:
        DataError: all that is wrong with ``metadata.csv`` and the recordings, one line each.
    """
    folder = Path(folder)
    kaldi.check_id(speaker, "--speaker")
    metadata = folder / METADATA
    if not metadata.exists():
        raise DataError(f"{metadata}: no such file; {_nearest_corpus(folder)}")
    rows, problems = read_metadata(metadata)
    recordings = _recordings(folder)
    utterances, rates, used = [], Counter[int](), set()
    for row in rows:
        where = f"{metadata}:{row.line}"
        found = recordings.get(row.id, [])
        exact = [path for path in found if path.name == row.name] or found
        used.add(row.id)
        if len(exact) != 1:
            problems.append(f"{where}: {_missing(row, exact, folder)}")
            continue
        try:
            info = wave.probe(exact[0])
            utterances.append(Utterance(row.id, kaldi.to_path(kaldi.from_path(exact[0])), row.text, speaker, info.seconds))
            rates[info.sample_rate] += 1
        except DataError as error:
            problems.append(f"{where}: {error}")
    if not rows and not problems:
        raise DataError(f"{metadata}: holds no lines; expected one 'id|text' a recording")
    raise_all(sorted(problems, key=lambda text: int(text.removeprefix(f"{metadata}:").partition(":")[0])))
    return Corpus(sorted(utterances, key=lambda u: u.id), rates, _warnings(sorted(set(recordings) - used), rates))


def prepare(folder: Path | str, out: Path | str, speaker: str) -> Corpus:
    """Write a corpus as a data directory; ``splits/dev.list`` and ``splits/eval.list`` of the corpus go with it."""
    folder, out = Path(folder), Path(out)
    corpus = read(folder, speaker)
    lists = {name: folder / "splits" / name for name in LISTS}
    kept = {name: read_list(path, {u.id for u in corpus.utterances}) for name, path in lists.items() if path.exists()}
    if len(kept) == 1:
        raise DataError(f"{folder / 'splits'}: {next(iter(kept))} stands alone; give both {' and '.join(LISTS)}, or none")
    kaldi.write(out, corpus.utterances)
    for name in LISTS:
        if name in kept:
            write_text(out / name, "".join(f"{key}\n" for key in kept[name]), point="data")
        else:
            (out / name).unlink(missing_ok=True)
    return corpus


def read_list(path: Path, known: set[str]) -> list[str]:
    """Ids, one a line, in the order of the file; all of them known, none twice."""
    lines, problems = kaldi.read_lines(path)
    ids: dict[str, int] = {}
    for number, key in lines:
        if key in ids:
            problems.append(f"{path}:{number}: id stands twice, got {key!r}")
        elif key not in known:
            problems.append(f"{path}:{number}: no utterance of this corpus, got {key[:80]!r}")
        ids.setdefault(key, number)
    raise_all(problems)
    return list(ids)


def _parse(number: int, line: str) -> tuple[Row | None, str]:
    """A row, or what is wrong with the line."""
    if len(line) > LONGEST_LINE:
        return None, f"line of {len(line)} characters, at most {LONGEST_LINE}; one utterance a line"
    columns = line.split("|")
    if len(columns) not in (2, 3):
        return None, f"expected 2 or 3 columns (id|text or id|text|normalised text), found {len(columns)}, got {line[:60]!r}"
    texts = [unicodedata.normalize("NFC", " ".join(column.split())) for column in columns[1:]]
    row = Row(number, columns[0], texts[-1] or texts[0])
    if not IDENTIFIER.fullmatch(row.id):
        return None, f"unsafe id, got {row.id[:80]!r}; allowed are {ALLOWED}: rename the recording and its line"
    if not row.text:
        return None, f"empty text of {row.id!r}; write what is said, or remove the line"
    return row, ""


def _recordings(folder: Path) -> dict[str, list[Path]]:
    """Stem -> audio files in ``wavs/``, or beside the metadata where there are none in it."""
    found: dict[str, list[Path]] = {}
    for place in (folder / "wavs", folder):
        names = sorted(os.listdir(place)) if place.is_dir() else []
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in wave.SUFFIXES and not name.startswith("."):
                found.setdefault(stem, []).append(place / name)
        if found:
            break
    return found


def _missing(row: Row, found: list[Path], folder: Path) -> str:
    if found:
        return f"{len(found)} recordings of {row.id!r}: {', '.join(path.name for path in found)}; keep one, or name it in the first column"
    place = folder / "wavs" if (folder / "wavs").is_dir() else folder
    return f"no recording of {row.id!r}: expected {place / row.id}.wav (or .flac, .ogg); add it, or remove the line"


def _warnings(unused: list[str], rates: Counter[int]) -> list[str]:
    warnings = []
    if unused:
        warnings.append(f"{len(unused)} recordings have no line in {METADATA} and are left out: {examples(unused)}")
    if len(rates) > 1:
        table = ", ".join(f"{rate} Hz: {count}" for rate, count in sorted(rates.items()))
        warnings.append(f"recordings differ in sample rate ({table}); all are resampled")
    return warnings


def _nearest_corpus(folder: Path) -> str:
    if not folder.is_dir():
        siblings = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
        return f"there is no folder {folder}; {nearest(folder.name, siblings)}"
    below = sorted(folder.glob(f"*/{METADATA}"))
    hint = f"; did you mean {below[0].parent}?" if below else ""
    return f"a corpus is a folder with {METADATA} (id|text) and wavs/{hint}"
