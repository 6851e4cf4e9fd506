"""Checks of a data directory before anything is computed from it: all problems in one go, errors apart from warnings."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.audio import wave
from toolkit.data import kaldi
from toolkit.data.problems import examples
from toolkit.errors import DataError

SHORT, LONG = 0.3, 20.0  # seconds; outside a warning, the limits of the configuration decide
FASTEST = 50.0  # characters a second that nobody can speak; LJSpeech has 14
UNUSUAL = 3.0  # times faster or slower than the median utterance
DURATION_TOLERANCE = 0.002  # seconds between utt2dur and the header


@dataclass
class Report:
    """What was found. The directory is usable when ``errors`` is empty."""

    summary: str = ""
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def validate(folder: Path | str) -> Report:
    """Check files, ids, order, text, audio headers and durations of a data directory."""
    folder, report = Path(folder), Report()
    maps = {}
    for name in kaldi.FILES:
        try:
            maps[name] = kaldi.read_map(folder / name)
            report.errors += _order(folder / name)
        except DataError as error:
            report.errors += str(error).splitlines()
    report.errors += [f"{folder / name}: empty file" for name, values in maps.items() if not values]
    report.errors += kaldi.same_ids(folder, {name: values for name, values in maps.items() if name != "spk2utt"})
    if "utt2spk" in maps and "spk2utt" in maps:
        inverse = {speaker: " ".join(ids) for speaker, ids in kaldi.by_speaker(maps["utt2spk"]).items()}
        if inverse != maps["spk2utt"]:
            report.errors.append(f"{folder / 'spk2utt'}: is not the inverse of utt2spk; write both again")
    text = maps.get("text", {})
    report.errors += [f"{folder / 'text'}: {key}: {why}" for key, value in text.items() if (why := _unprintable(value))]
    infos = _audio(folder, maps.get("wav.scp", {}), report)
    _durations(folder, maps.get("utt2dur", {}), infos, report)
    _pace(folder, text, infos, report)
    minutes = sum(info.seconds for info in infos.values()) / 60
    report.summary = f"{folder}: {len(infos)} utterances, {minutes:.1f} min, {len(maps.get('spk2utt', {}))} speakers"
    return report


def _order(path: Path) -> list[str]:
    keys = [(number, line.split()[0]) for number, line in kaldi.read_lines(path)[0]]
    for (_, before), (number, key) in zip(keys, keys[1:], strict=False):
        if key < before:
            return [f"{path}:{number}: not sorted by the bytes of the id, got {key!r} after {before!r}; sort with LC_ALL=C"]
    return []


def _unprintable(text: str) -> str:
    odd = next((character for character in text if not character.isprintable()), None)
    return f"character that is not printable, got U+{ord(odd):04X}; remove it" if odd else ""


def _audio(folder: Path, paths: Mapping[str, str], report: Report) -> dict[str, wave.WaveInfo]:
    infos = {}
    for key, path in paths.items():
        try:
            infos[key] = wave.probe(kaldi.to_path(path))
        except DataError as error:
            report.errors.append(f"{folder / 'wav.scp'}: {key}: {error}")
    for name, values in (("Hz", [i.sample_rate for i in infos.values()]), ("channels", [i.channels for i in infos.values()])):
        counts = Counter(values)
        if len(counts) > 1:
            table = ", ".join(f"{value} {name}: {count}" for value, count in sorted(counts.items()))
            report.warnings.append(f"{folder / 'wav.scp'}: recordings differ ({table}); all are converted when features are extracted")
    return infos


def _durations(folder: Path, texts: Mapping[str, str], infos: Mapping[str, wave.WaveInfo], report: Report) -> None:
    path = folder / "utt2dur"
    seconds = kaldi.read_seconds(texts, path, report.errors)
    for key, info in infos.items():
        if key in seconds and abs(seconds[key] - info.seconds) > DURATION_TOLERANCE:
            report.errors.append(f"{path}: {key}: the recording changed: {info.seconds:.3f} s, got {seconds[key]:.3f}; prepare again")
    for label, ids in (
        (f"shorter than {SHORT:g} s", [key for key, info in infos.items() if info.seconds < SHORT]),
        (f"longer than {LONG:g} s", [key for key, info in infos.items() if info.seconds > LONG]),
    ):
        if ids:
            report.warnings.append(f"{path}: {len(ids)} utterances are {label}: {examples(ids)}")


def _pace(folder: Path, text: Mapping[str, str], infos: Mapping[str, wave.WaveInfo], report: Report) -> None:
    """Text and audio that do not belong together show in the characters spoken a second."""
    paces = {key: len(text[key]) / infos[key].seconds for key in text if key in infos}
    if not paces:
        return
    median = statistics.median(paces.values())
    path = folder / "text"
    for key, pace in paces.items():
        if pace > FASTEST:
            report.errors.append(f"{path}: {key}: {len(text[key])} characters in {infos[key].seconds:.2f} s; text or recording is wrong")
    for label, ids in (
        ("faster", [key for key, pace in paces.items() if UNUSUAL * median < pace <= FASTEST]),
        ("slower", [key for key, pace in paces.items() if pace < median / UNUSUAL]),
    ):
        if ids:
            report.warnings.append(f"{path}: {len(ids)} utterances are spoken {UNUSUAL:g} times {label} than the median: {examples(ids)}")
