"""What an experiment folder holds for the eye and the ear: read as far as it exists, so that a half-done run has a report too."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.config import load_yaml
from toolkit.data import kaldi
from toolkit.errors import DataError

UNSAFE = re.compile(r"[^A-Za-z0-9._-]|^\.")


class SpeechKind(NamedTuple):
    """One way of making speech, judged against the recording."""

    title: str
    chain: str
    weights: str | None  # name of its alignment among the arrays


SYSTEMS = {
    "copy": SpeechKind("Copy synthesis", "mel of the recording → vocoder", None),
    "forced": SpeechKind("Teacher-forced", "text and the true previous frames → mel → vocoder", "weights_forced"),
    "free": SpeechKind("Free running", "text → mel → vocoder", "weights_free"),
    "free_griffin_lim": SpeechKind("Free, Griffin-Lim", "text → mel → Griffin-Lim", "weights_free"),
}
TRAININGS = {"text2mel": "Feature predictor (text2mel)", "mel2wav": "Vocoder (mel2wav)"}


@dataclass(frozen=True)
class Utterance:
    """One sentence of the evaluation: where its recording, its syntheses and its arrays stand, and what synthesis reported."""

    id: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    recording: Path | None = None
    speech: Mapping[str, Path] = field(default_factory=dict)  # by name of SYSTEMS
    archive: Path | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """``mel_free``, ``weights_free``, ``symbols``, ... as far as synthesis kept them."""
        if self.archive is None:
            return {}
        try:
            with np.load(self.archive, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"{self.archive}: damaged: {error}; run the synthesize stage again") from error


@dataclass(frozen=True)
class Experiment:
    """An experiment folder as it stands."""

    folder: Path
    config: Mapping[str, Any]
    utterances: tuple[Utterance, ...]
    corpus: str = ""

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def sample_rate(self) -> int:
        return int(self.config.get("features", {}).get("sample_rate", 0))

    @property
    def hop_seconds(self) -> float:
        features = self.config.get("features", {})
        return float(features.get("hop", 1)) / float(features.get("sample_rate", 1))

    @property
    def step_seconds(self) -> float:
        """Length of a decoder step."""
        return self.hop_seconds * int(self.config.get("reduction", 1))

    def rows(self, training: str) -> list[dict[str, Any]]:
        """``metrics.jsonl`` of a training, empty before it started."""
        return read_rows(self.folder / training / "metrics.jsonl")

    def card(self, training: str) -> str | None:
        """The training card as Markdown."""
        path = self.folder / training / "training_card.md"
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def gap(self) -> Mapping[str, Any]:
        """Free-running against teacher-forced mels of the dev set, as the gta stage measured it."""
        path = self.folder / "gta" / "gap.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def read_experiment(folder: Path, data: Path | None = None) -> Experiment:
    """The experiment in a folder; recordings are found through ``data/eval/wav.scp``.

    Raises:
        DataError: the folder is no experiment, or a file in it is damaged.
    """
    if not (folder / "config.yaml").is_file():
        raise DataError(f"{folder}: no experiment there, config.yaml is missing; give the folder that training wrote")
    spoken = folder / "speech" / "eval"
    scp = data / "eval" / "wav.scp" if data else None
    recordings = {key: kaldi.to_path(value) for key, value in kaldi.read_map(scp).items()} if scp and scp.is_file() else {}
    rows = read_rows(spoken / "utterances.jsonl")
    utterances = tuple(_utterance(row, spoken, recordings) for row in rows)
    return Experiment(folder, load_yaml(folder / "config.yaml"), utterances, data.resolve().name if data else "")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file. A last line that was cut off by a killed process is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                break
            raise DataError(f"{path}:{number}: not JSON, got {line[:60]!r}; run the stage that writes it again") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: expected an object, got {line[:60]!r}; run the stage that writes it again")
        rows.append(row)
    return rows


def _utterance(row: Mapping[str, Any], spoken: Path, recordings: Mapping[str, Path]) -> Utterance:
    key = str(row.get("id", ""))
    if not key or UNSAFE.search(key):
        raise DataError(f"{spoken / 'utterances.jsonl'}: unsafe id, got {key[:80]!r}; run the synthesize stage again")
    speech = {name: spoken / name / f"{key}.wav" for name in SYSTEMS}
    archive = spoken / "arrays" / f"{key}.npz"
    return Utterance(
        key,
        str(row.get("text", "")),
        row,
        recordings.get(key) if recordings.get(key, spoken / "").is_file() else None,
        {name: path for name, path in speech.items() if path.is_file()},
        archive if archive.is_file() else None,
    )
