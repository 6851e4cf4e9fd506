"""The M-AILABS speech dataset: audio books of many languages and readers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from toolkit.data.readers.base import READERS, Findings, Reader, Recording
from toolkit.data.readers.metadata import METADATA, read_metadata

BOOKS = "by_book"
LANGUAGE = re.compile(r"[a-z]{2}_[A-Z]{2}")


class Place(NamedTuple):
    """What the folders above a ``metadata.csv`` say."""

    language: str | None
    speaker: str | None


@READERS.register("m_ailabs")
class MAILabs(Reader):
    """``de_DE/by_book/female/NAME/BOOK/`` with ``metadata.csv`` and ``wavs/``: all languages, one, or one reader.

    Ids are those of the corpus with the reader's name before them, as several readers have read the same book. Books under ``mix``
    do not say who reads: they are left out. Lines without a recording are in the corpus as it was published, and left out too.
    """

    layout = "by_book/female|male/NAME/BOOK/metadata.csv with wavs/, also for several languages such as de_DE/"

    def sees(self, source: Path) -> bool:
        inside = BOOKS in source.absolute().parts and not (source / METADATA).exists()
        return inside or any(source.glob(f"{BOOKS}/*/*")) or any(source.glob(f"*/{BOOKS}"))

    def recordings(self, source: Path, findings: Findings) -> Iterator[Recording]:
        absent, mixed = list[str](), list[str]()
        for metadata in sorted(source.rglob(METADATA)):
            place, rows = _place(metadata), read_metadata(metadata, findings)
            if place.speaker is None:
                mixed += [row.id for row in rows]
                continue
            for row in rows:
                wav, key = metadata.parent / "wavs" / f"{row.id}.wav", f"{place.speaker}-{row.id}"
                if wav.exists():
                    yield Recording(metadata, row.line, key, wav, row.text, place.speaker, place.language)
                else:
                    absent.append(key)
        findings.left_out(absent, f"lines of {METADATA} have no recording")
        findings.left_out(mixed, "recordings are of nobody in particular (mix)")


def _place(metadata: Path) -> Place:
    above = metadata.absolute().parts[:-1]
    if BOOKS not in above:
        return Place(None, None)
    at = len(above) - 1 - above[::-1].index(BOOKS)
    language = above[at - 1] if LANGUAGE.fullmatch(above[at - 1]) else None
    named = len(above) > at + 2 and above[at + 1] in ("female", "male")
    return Place(language, above[at + 2] if named else None)
