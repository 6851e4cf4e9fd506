"""What a reader is: a corpus as it lies on the disk -> recordings, and everything that is wrong with it by file and line."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from toolkit.data import kaldi
from toolkit.data.problems import examples, raise_all
from toolkit.errors import DataError
from toolkit.registry import Registry

LONGEST_LINE = 20_000  # characters


class Recording(NamedTuple):
    """What a corpus says of one recording, before its id is checked and its audio opened."""

    file: Path  # where it is said
    line: int  # in that file, 0 where the whole file is about this recording
    id: str
    wav: Path | None
    text: str
    speaker: str | None = None
    language: str | None = None
    missing: str = ""  # why there is no ``wav``


class Findings:
    """What is wrong with a corpus, in the order of its files and lines, and what is only worth knowing."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._files: dict[Path, int] = {}
        self._problems: list[tuple[int, int, str]] = []

    def __bool__(self) -> bool:
        return bool(self._problems)

    def add(self, file: Path, line: int, why: str) -> None:
        """A problem; ``line`` is 0 where it is one of the whole file."""
        self._problems.append((self._place(file), line, f"{file}:{line}: {why}" if line else f"{file}: {why}"))

    def raise_all(self) -> None:
        """One ``DataError`` with a line for each problem; nothing if there are none."""
        raise_all([text for *_, text in sorted(self._problems, key=lambda problem: problem[:2])])

    def left_out(self, names: Sequence[str], why: str) -> None:
        """Warn of recordings or texts that are not used, with some of their names."""
        if names:
            self.warnings.append(f"{len(names)} {why} and are left out: {examples(names)}")

    def lines(self, file: Path) -> list[tuple[int, str]]:
        """The lines of a text file that are not blank, by number; those that are no text are problems."""
        self._place(file)
        try:
            lines, problems = kaldi.read_lines(file)
        except DataError as error:
            lines, problems = [], [str(error)]
        for text in problems:
            self._keep(file, text)
        for number, line in lines:
            if len(line) > LONGEST_LINE:
                self.add(file, number, f"line of {len(line)} characters, at most {LONGEST_LINE}; one utterance a line")
        return [(number, line) for number, line in lines if len(line) <= LONGEST_LINE]

    def text(self, file: Path) -> str | None:
        """The whole of a small text file on one line, None where it is no text."""
        before = len(self._problems)
        lines = [line for _, line in self.lines(file)]
        return " ".join(lines) if len(self._problems) == before else None

    def map(self, file: Path) -> dict[str, str]:
        """The lines ``id value`` of a file; those that are none are problems."""
        self._place(file)
        try:
            return kaldi.read_map(file)
        except DataError as error:
            for text in str(error).splitlines():
                self._keep(file, text)
            return {}

    def _keep(self, file: Path, text: str) -> None:
        number = text.removeprefix(f"{file}:").partition(":")[0]
        self._problems.append((self._place(file), int(number) if number.isdecimal() else 0, text))

    def _place(self, file: Path) -> int:
        return self._files.setdefault(file, len(self._files))


class Reader:
    """Reads corpora of one layout. ``layout`` says in a few words what that looks like."""

    layout: str

    def sees(self, source: Path) -> bool:
        """Whether this folder or file looks like one of its corpora. Quick: no audio is opened."""
        raise NotImplementedError

    def recordings(self, source: Path, findings: Findings) -> Iterator[Recording]:
        """All recordings in a fixed order. What is wrong goes to ``findings``, so that all of it is said at once."""
        raise NotImplementedError


READERS: Registry[Reader] = Registry("reader", Reader)


def spoken(text: str) -> str:
    """A text as it is kept: NFC, single spaces."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def ids_of(files: Sequence[Path]) -> list[str]:
    """Ids for recordings that have none: names of files, with as many of their folders before them as tell all apart, three at most."""
    ids: list[str] = []
    for depth in range(1, 5):
        ids = ["-".join(file.with_suffix("").parts[-depth:]) for file in files]
        if len(set(ids)) == len(set(files)):
            break
    return ids
