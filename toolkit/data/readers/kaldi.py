"""Data directories of Kaldi and ESPnet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from toolkit.data import kaldi
from toolkit.data.names import MAPS
from toolkit.data.problems import examples
from toolkit.data.readers.base import READERS, Findings, Reader, Recording

SCP, SEGMENTS = "wav.scp", "segments"


@READERS.register("kaldi")
class KaldiDirectory(Reader):
    """``wav.scp`` and ``text``, ``utt2spk`` and ``utt2lang`` where they are there.

    Commands in ``wav.scp`` are never run and ``segments`` never cut: both are refused. Relative paths are those of the folder one
    is in, as in Kaldi, or else of the directory.
    """

    layout = "wav.scp, text and utt2spk"

    def sees(self, source: Path) -> bool:
        return (source / SCP).is_file() and (source / "text").is_file()

    def recordings(self, source: Path, findings: Findings) -> Iterator[Recording]:
        if (source / SEGMENTS).exists():
            findings.add(source / SEGMENTS, 0, "parts of recordings are not cut; write each utterance to a file of its own")
            return
        paths, texts = findings.map(source / SCP), findings.map(source / "text")
        maps = {kind: findings.map(source / name) for kind, name in MAPS.items() if (source / name).exists()}
        for name, values in (("text", texts), *((MAPS[kind], values) for kind, values in maps.items())):
            lacking = sorted(paths.keys() - values.keys())
            if lacking and values:
                findings.add(source / name, 0, f"has no line for {len(lacking)} recordings: {examples(lacking)}; add 'id value'")
        findings.left_out(sorted(texts.keys() - paths.keys()), f"texts have no line in {SCP}")
        numbers = {line.split(maxsplit=1)[0]: number for number, line in findings.lines(source / SCP)} if paths else {}
        for key in sorted(paths.keys() & texts.keys()):
            speaker, language = (maps.get(kind, {}).get(key) for kind in ("speaker", "language"))
            yield Recording(source / SCP, numbers[key], key, _found(kaldi.to_path(paths[key]), source), texts[key], speaker, language)


def _found(path: Path, folder: Path) -> Path:
    return path if path.is_absolute() or path.exists() else folder / path
