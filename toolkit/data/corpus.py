"""Corpora of any layout that a reader knows -> data directories. Everything that is wrong is reported at once, by file and line.

What is converted: text becomes NFC, runs of whitespace become one space, a byte order mark and CRLF go. Nothing else is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from toolkit.audio import wave
from toolkit.data import kaldi
from toolkit.data.kaldi import ALLOWED, CONTROL, IDENTIFIER, Utterance
from toolkit.data.names import MAPS
from toolkit.data.problems import examples, raise_all
from toolkit.data.readers import READERS, Findings, Reader, Recording
from toolkit.data.readers.base import spoken
from toolkit.data.readers.guessing import guess
from toolkit.data.writing import write_text
from toolkit.errors import DataError, nearest
from toolkit.registry import Part

LISTS = ("dev.list", "eval.list")


class Corpus(NamedTuple):
    """What was found in a folder."""

    utterances: list[Utterance]  # sorted by id
    languages: dict[str, str]  # by id; empty where no language is said
    rates: Counter[int]  # sample rate -> files
    warnings: list[str]
    reader: str  # its name, and the layout in a few words
    every: frozenset[str]  # ids, also of speakers who were not asked for


def read(
    source: Path | str, speaker: str, reader: Part[Reader] | None = None, language: str | None = None, speakers: Sequence[str] = ()
) -> Corpus:
    """Read a corpus, probing the header of every recording.

    Args:
        speaker: who speaks, where the corpus does not say.
        reader: of its layout; None to find out.
        language: which one it is, where the corpus does not say; None leaves it open.
        speakers: whose recordings are kept; none given, all are.

    Raises:
        DataError: all that is wrong with texts and recordings, one line each.
    """
    source = Path(source)
    kaldi.check_id(speaker, "--speaker")
    if language is not None:
        kaldi.check_id(language, "--language")
    part, findings = reader or READERS.part(guess(source)), Findings()
    recordings = [
        found._replace(text=spoken(found.text), speaker=found.speaker or speaker, language=found.language or language)
        for found in part.build().recordings(source, findings)
    ]
    chosen = _of(speakers, recordings)
    utterances, rates = _checked(chosen, findings)
    if not chosen and not findings:
        findings.add(source, 0, f"no recordings with texts found by reader {part.name!r} ({part.cls.layout})")
    findings.raise_all()
    if len(rates) > 1:
        table = ", ".join(f"{rate} Hz: {count}" for rate, count in sorted(rates.items()))
        findings.warnings.append(f"recordings differ in sample rate ({table}); all are resampled")
    return Corpus(
        sorted(utterances, key=lambda u: u.id), _languages(source, chosen), rates, findings.warnings,
        f"{part.name} ({part.cls.layout})", frozenset(recording.id for recording in recordings),
    )  # fmt: skip


def prepare(
    source: Path | str,
    out: Path | str,
    speaker: str,
    reader: Part[Reader] | None = None,
    language: str | None = None,
    speakers: Sequence[str] = (),
) -> Corpus:
    """Write a corpus as a data directory; ``splits/dev.list`` and ``splits/eval.list`` of the corpus go with it. As ``read`` else."""
    source, out = Path(source), Path(out)
    corpus = read(source, speaker, reader, language, speakers)
    ids = {u.id for u in corpus.utterances}
    lists = {name: source / "splits" / name for name in LISTS}
    kept = {name: [key for key in read_list(path, corpus.every) if key in ids] for name, path in lists.items() if path.exists()}
    if len(kept) == 1:
        raise DataError(f"{source / 'splits'}: {next(iter(kept))} stands alone; give both {' and '.join(LISTS)}, or none")
    kaldi.write(out, corpus.utterances)
    if corpus.languages:
        kaldi.write_map(out / MAPS["language"], corpus.languages)
    else:
        (out / MAPS["language"]).unlink(missing_ok=True)
    for name in LISTS:
        if name in kept:
            write_text(out / name, "".join(f"{key}\n" for key in kept[name]), point="data")
        else:
            (out / name).unlink(missing_ok=True)
    return corpus


def read_list(path: Path, known: set[str] | frozenset[str]) -> list[str]:
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


def _of(speakers: Sequence[str], recordings: list[Recording]) -> list[Recording]:
    """The recordings of these speakers, all of whom are there."""
    if not speakers:
        return recordings
    known = {recording.speaker or "" for recording in recordings}
    for name in speakers:
        if name not in known:
            raise DataError(f"--speakers: nobody of this corpus, got {name!r}; {nearest(name, known)}")
    return [recording for recording in recordings if recording.speaker in speakers]


def _checked(recordings: Sequence[Recording], findings: Findings) -> tuple[list[Utterance], Counter[int]]:
    """The utterances that are fit for use, and how many have each sample rate."""
    utterances, rates = list[Utterance](), Counter[int]()
    first: dict[str, Recording] = {}
    for recording in recordings:
        wrong = _wrong(recording, first.setdefault(recording.id, recording))
        if wrong or recording.wav is None:
            findings.add(recording.file, recording.line, wrong)
            continue
        try:
            info = wave.probe(recording.wav)
            path = kaldi.to_path(kaldi.from_path(recording.wav))
            utterances.append(Utterance(recording.id, path, recording.text, recording.speaker or "", info.seconds))
            rates[info.sample_rate] += 1
        except DataError as error:
            findings.add(recording.file, recording.line, str(error))
    return utterances, rates


def _wrong(recording: Recording, first: Recording) -> str:
    """What is wrong with a recording as far as one sees without opening it, empty if nothing is."""
    if not IDENTIFIER.fullmatch(recording.id):
        return f"unsafe id, got {recording.id[:80]!r}; allowed are {ALLOWED}: rename the recording and its line"
    for kind, name in (("speaker", recording.speaker), ("language", recording.language)):
        if name is not None and not IDENTIFIER.fullmatch(name):
            return f"unsafe {kind}, got {name[:80]!r}; allowed are {ALLOWED}"
    if not recording.text:
        return f"empty text of {recording.id!r}; write what is said, or remove the line"
    if odd := CONTROL.search(f"{recording.text}{recording.wav or ''}"):
        return f"control character in {recording.id!r}, got U+{ord(odd[0]):04X}; remove it"
    if first is not recording:
        place = f"line {first.line}" if first.file == recording.file else f"{first.file}{f':{first.line}' * bool(first.line)}"
        return f"id stands twice, got {recording.id!r}, first in {place}; remove or rename one"
    return recording.missing


def _languages(source: Path, recordings: Sequence[Recording]) -> dict[str, str]:
    """The language of each recording, or of none."""
    lacking = [recording.id for recording in recordings if recording.language is None]
    if lacking and len(lacking) < len(recordings):
        raise DataError(f"{source}: {len(lacking)} recordings have no language, others do: {examples(lacking)}; give --language")
    return {recording.id: recording.language for recording in recordings if recording.language is not None}
