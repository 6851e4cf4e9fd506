"""Kaldi-style data directories: one file a property, one line an utterance, sorted by the bytes of the id.

``wav.scp`` (path), ``text``, ``utt2spk``, ``spk2utt``, ``utt2dur`` (seconds); stages add maps such as ``feats.scp`` and
``utt2num_frames``. Every file is UTF-8 and independent of the locale; a key ends at the first whitespace, the rest of the line
is its value, so paths may hold spaces. Commands (``sox ... |``) are never run: they are refused.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.data.problems import examples, raise_all
from toolkit.data.writing import write_text
from toolkit.errors import DataError

FILES = ("wav.scp", "text", "utt2spk", "spk2utt", "utt2dur")
IDENTIFIER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
ALLOWED = "letters A-Z a-z, digits, '.', '_' and '-', not starting with '.' or '-', at most 200"
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Utterance:
    """One recording and what is said in it."""

    id: str
    wav: Path
    text: str
    speaker: str
    seconds: float


def read(folder: Path | str) -> list[Utterance]:
    """The utterances of a data directory, sorted by id.

    Raises:
        DataError: every wrong line of every file, or ids that are not the same in all files.
    """
    folder = Path(folder)
    problems: list[str] = []
    maps = {name: _collect(folder / name, problems) for name in FILES if name != "spk2utt"}
    problems += same_ids(folder, maps)
    seconds = read_seconds(maps["utt2dur"], folder / "utt2dur", problems)
    raise_all(problems)
    return [
        Utterance(key, to_path(path), maps["text"][key], maps["utt2spk"][key], seconds[key])
        for key, path in sorted(maps["wav.scp"].items())
    ]


def write(folder: Path | str, utterances: Sequence[Utterance]) -> None:
    """Write the five files, sorted, with absolute paths, each of them atomically.

    Raises:
        DataError: an id or speaker with unsafe characters, an id that stands twice, a path or text that does not fit on a line.
    """
    folder = Path(folder)
    doubles = len(utterances) - len({u.id for u in utterances})
    if doubles:
        raise DataError(f"{folder}: {doubles} ids stand twice; ids are unique")
    write_map(folder / "wav.scp", {u.id: from_path(u.wav) for u in utterances})
    write_map(folder / "text", {u.id: u.text for u in utterances})
    write_speakers(folder, {u.id: u.speaker for u in utterances})
    write_map(folder / "utt2dur", {u.id: f"{u.seconds:.6f}" for u in utterances})


def write_speakers(folder: Path, speaker_of: Mapping[str, str]) -> None:
    """``utt2spk`` and its inverse ``spk2utt``."""
    for name in set(speaker_of.values()):
        check_id(name, f"{folder / 'utt2spk'}: speaker")
    write_map(folder / "utt2spk", speaker_of)
    write_map(folder / "spk2utt", {speaker: " ".join(ids) for speaker, ids in by_speaker(speaker_of).items()})


def by_speaker(speaker_of: Mapping[str, str]) -> dict[str, list[str]]:
    """Speaker -> ids, sorted."""
    result: dict[str, list[str]] = {}
    for key, speaker in sorted(speaker_of.items()):
        result.setdefault(speaker, []).append(key)
    return result


def subset(source: Path | str, target: Path | str, ids: Iterable[str]) -> None:
    """Copy every map of a data directory (``text``, ``*.scp``, ``utt2*``) for some of its ids."""
    source, target, wanted = Path(source), Path(target), sorted(ids)
    for path in sorted(source.iterdir()):
        if path.name != "text" and path.suffix != ".scp" and not path.name.startswith("utt2"):
            continue
        values = read_map(path)
        missing = [key for key in wanted if key not in values]
        if missing:
            raise DataError(f"{path}: has no line for {len(missing)} ids: {examples(missing)}; run the stage that makes it again")
        chosen = {key: values[key] for key in wanted}
        if path.name == "utt2spk":
            write_speakers(target, chosen)
        else:
            write_map(target / path.name, chosen)


def read_map(path: Path | str) -> dict[str, str]:
    """A file of ``key value`` lines. In a ``.scp`` file a value that is a command is refused.

    Raises:
        DataError: every wrong line, as ``path:line: reason``.
    """
    path = Path(path)
    lines, problems = read_lines(path)
    result: dict[str, str] = {}
    for number, line in lines:
        key, *rest = re.split("[ \t]", line, maxsplit=1)
        value = rest[0].strip() if rest else ""
        where = f"{path}:{number}"
        if not IDENTIFIER.fullmatch(key):
            problems.append(f"{where}: unsafe id, got {key[:80]!r}; allowed are {ALLOWED}")
        elif not value:
            problems.append(f"{where}: expected 'id value', got the id {key!r} alone")
        elif key in result:
            problems.append(f"{where}: id stands twice, got {key!r}; ids are unique")
        elif path.suffix == ".scp" and (value.endswith("|") or value.startswith("|")):
            problems.append(f"{where}: commands are not run, got {value[:80]!r}; write the audio to a file and give its path")
        else:
            result[key] = value
    raise_all(problems)
    return result


def write_map(path: Path | str, values: Mapping[str, str]) -> None:
    """Write ``key value`` lines sorted by key, atomically."""
    for key, value in values.items():
        check_id(key, str(path))
        if not value or value != value.strip() or CONTROL.search(value):
            raise DataError(f"{path}: {key}: does not fit on a line, got {value[:80]!r}; no line breaks, no outer spaces, not empty")
    write_text(path, "".join(f"{key} {values[key]}\n" for key in sorted(values)), point="data")


def read_lines(path: Path) -> tuple[list[tuple[int, str]], list[str]]:
    """Numbered lines that are not blank, and a problem for every line that is not UTF-8 text.

    A byte order mark and the line ends of all systems are accepted.
    """
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such file" if not path.exists() else f"{path}: not a regular file")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}: UTF-16 text; save the file as UTF-8")
    lines, problems = [], []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            line = raw.decode("utf-8").rstrip()
        except UnicodeDecodeError as error:
            byte, column = raw[error.start], error.start + 1
            problems.append(f"{path}:{number}: not UTF-8, got byte 0x{byte:02x} at byte {column}; save the file as UTF-8 (latin-1 now?)")
            continue
        control = CONTROL.search(line)
        if control:
            code = ord(control[0])
            problems.append(f"{path}:{number}: control character, got U+{code:04X} at character {control.start() + 1}; remove it")
        elif line:
            lines.append((number, line))
    return lines, problems


def same_ids(folder: Path, maps: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Problems: ids that stand in some of the maps only."""
    every = set().union(*maps.values())
    gaps = {name: sorted(every - set(values)) for name, values in maps.items()}
    found = [(folder / name, ids) for name, ids in gaps.items() if ids and maps[name]]  # an empty map was reported before
    return [f"{path}: lacks {len(ids)} ids of the other files: {examples(ids)}" for path, ids in found]


def read_seconds(durations: Mapping[str, str], path: Path, problems: list[str]) -> dict[str, float]:
    """Seconds as numbers; what is no positive number is added to ``problems``."""
    result = {}
    for key, text in durations.items():
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value) and value > 0:
            result[key] = value
        else:
            problems.append(f"{path}: {key}: seconds are a number above 0, got {text[:80]!r}")
    return result


def check_id(name: str, where: str) -> None:
    """Refuse an id or a speaker's name that could mislead a file system, a shell or an option parser."""
    if not IDENTIFIER.fullmatch(name):
        raise DataError(f"{where}: unsafe name, got {name[:80]!r}; allowed are {ALLOWED}")


def from_path(path: Path) -> str:
    """A path as text: absolute, UTF-8 whatever the locale."""
    try:
        return os.fsencode(path.absolute()).decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path!r}: the name of this file is not UTF-8; rename it") from None


def to_path(text: str) -> Path:
    """The inverse of ``from_path``."""
    return Path(os.fsdecode(text.encode("utf-8")))


def _collect(path: Path, problems: list[str]) -> dict[str, str]:
    try:
        values = read_map(path)
    except DataError as error:
        problems.extend(str(error).splitlines())
        return {}
    if not values:
        problems.append(f"{path}: empty file")
    return values
