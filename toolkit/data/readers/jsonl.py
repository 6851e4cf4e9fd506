"""Manifests of JSON lines, as NVIDIA NeMo has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolkit.data.readers.base import READERS, Findings, Reader, Recording, ids_of
from toolkit.errors import DataError, nearest

SUFFIXES = (".jsonl", ".json")


@READERS.register("jsonl")
class JsonLines(Reader):
    """A JSON object a line, such as ``{"audio_filepath": "a.wav", "text": "hello", "speaker": 3, "duration": 1.2}`` (NeMo).

    The manifest itself is given, or a folder with just one. Relative paths start at its folder. Speaker and language may be left
    out; the duration is taken from the recording. A part of a recording (``offset``) is refused.

    Args:
        audio: key of the path.
        text: key of what is said, such as text_normalized.
        speaker: key of who speaks, a name or a number.
        language: key of the language.
        id: key of the id; without it the file's name is the id, with its folders' where names are the same.
    """

    layout = "a manifest *.jsonl or *.json of lines with audio_filepath and text"

    def __init__(
        self, *, audio: str = "audio_filepath", text: str = "text", speaker: str = "speaker", language: str = "lang", id: str = "id"
    ) -> None:
        self.audio, self.text, self.speaker, self.language, self.id = audio, text, speaker, language, id

    def sees(self, source: Path) -> bool:
        return len(_manifests(source)) == 1

    def recordings(self, source: Path, findings: Findings) -> Iterator[Recording]:
        manifests = _manifests(source)
        if len(manifests) != 1:
            findings.add(source, 0, f"one manifest *.jsonl, got {len(manifests)}; give its path")
            return
        found, ids = list[Recording](), list[str]()
        for number, line in findings.lines(manifests[0]):
            try:
                recording = self._recording(manifests[0], number, line)
            except DataError as error:
                findings.add(manifests[0], number, str(error))
                continue
            found.append(recording)
        ids = ids_of([recording.wav for recording in found if recording.wav])
        for recording, key in zip(found, ids, strict=True):
            yield recording if recording.id else recording._replace(id=key)

    def _recording(self, file: Path, number: int, line: str) -> Recording:
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON: {error}, got {line[:60]!r}") from error
        if not isinstance(data, dict):
            raise DataError(f"expected an object {{...}}, got {line[:60]!r}")
        if data.get("offset"):
            raise DataError(f"parts of recordings are not cut, got offset {data['offset']!r}; write each utterance to a file of its own")
        audio, text = _word(data, self.audio, "audio"), _word(data, self.text, "text")
        named = {kind: _word(data, key, kind) for kind, key in (("speaker", self.speaker), ("language", self.language)) if key in data}
        return Recording(file, number, _word(data, self.id, "id") if self.id in data else "", file.parent / audio, text, **named)


def _word(data: dict[str, Any], key: str, knob: str) -> str:
    if key not in data:
        raise DataError(f"no key {key!r}; {nearest(key, data)}; another one: --reader-conf '{{{knob}: KEY}}'")
    value = data[key]
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise DataError(f"{key}: expected a word, got {value!r}")
    return str(value)


def _manifests(source: Path) -> list[Path]:
    if source.is_dir():
        return sorted([*source.glob("*.jsonl"), *source.glob("*manifest*.json")])
    return [source] if source.suffix in SUFFIXES else []
