"""LJSpeech's layout, which piper and others have taken over."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from toolkit.audio import wave
from toolkit.data.names import MAPS
from toolkit.data.problems import examples
from toolkit.data.readers.base import READERS, Findings, Reader, Recording
from toolkit.data.readers.metadata import METADATA, Row, read_metadata


@READERS.register("ljspeech")
class LJSpeech(Reader):
    """``metadata.csv`` with ``id|text`` or ``id|text|normalised text``, audio in ``wavs/`` or beside (LJSpeech-1.1, piper).

    The first column may also name the file (``a.flac|text``). Files ``utt2spk`` and ``utt2lang`` beside the metadata, lines ``id
    name``, say who speaks and in which language.
    """

    layout = "metadata.csv with id|text, and wavs/"

    def sees(self, source: Path) -> bool:
        return (source / METADATA).exists()

    def recordings(self, source: Path, findings: Findings) -> Iterator[Recording]:
        metadata, found = source / METADATA, _audio(source)
        rows = read_metadata(metadata, findings)
        maps = {kind: findings.map(source / name) if (source / name).exists() else None for kind, name in MAPS.items()}
        for row in rows:
            speaker, language = ((maps[kind] or {}).get(row.id) for kind in ("speaker", "language"))
            files = found.get(row.id, [])
            exact = [path for path in files if path.name == row.name] or files
            missing = "" if len(exact) == 1 else _missing(row, exact, source)
            yield Recording(metadata, row.line, row.id, None if missing else exact[0], row.text, speaker, language, missing)
        for kind, values in maps.items():
            lacking = [] if values is None else [row.id for row in rows if row.id not in values]
            if lacking:
                findings.add(source / MAPS[kind], 0, f"has no line for {len(lacking)} recordings: {examples(lacking)}; add 'id name'")
        findings.left_out(_unused(found, rows), f"recordings have no line in {METADATA}")


def _audio(folder: Path) -> dict[str, list[Path]]:
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


def _unused(found: dict[str, list[Path]], rows: Sequence[Row]) -> list[str]:
    return sorted(set(found) - {row.id for row in rows})


def _missing(row: Row, found: list[Path], folder: Path) -> str:
    if found:
        return f"{len(found)} recordings of {row.id!r}: {', '.join(path.name for path in found)}; keep one, or name it in the first column"
    place = folder / "wavs" if (folder / "wavs").is_dir() else folder
    return f"no recording of {row.id!r}: expected {place / row.id}.wav (or .flac, .ogg); add it, or remove the line"
