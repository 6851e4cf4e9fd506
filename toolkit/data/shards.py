"""One shard of recordings -> trimmed 16-bit waves of whole frames and their features. The work of one process at a time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from toolkit.audio import wave as wave_files
from toolkit.audio.f0 import energy, f0
from toolkit.audio.mel import Floats, MelSettings, fingerprint, log_spectrum, padded_samples
from toolkit.audio.trim import Trim, trim_silence
from toolkit.data.kaldi import Utterance
from toolkit.data.stamps import fingerprints, stamp_valid, write_stamp
from toolkit.data.store import ArkWriter
from toolkit.data.writing import atomic, write_json
from toolkit.errors import ConfigError, DataError, nearest

FEATURES: dict[str, Callable[[Floats, MelSettings], Floats]] = {"mel": log_spectrum, "f0": f0, "energy": energy}
EXTRAS = ("f0", "energy")


@dataclass(frozen=True)
class Extraction:
    """What is made of each recording."""

    features: MelSettings
    trim: Trim
    level: float | None = None  # peak to which each recording is scaled, None leaves it
    extras: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.level is not None and not 0 < self.level <= 1:
            raise ConfigError(f"level: must be above 0 and at most 1, got {self.level!r}")
        for name in self.extras:
            if name not in EXTRAS:
                raise ConfigError(f"extras: unknown feature, got {name!r}; {nearest(name, EXTRAS)}")

    @property
    def names(self) -> tuple[str, ...]:
        return ("mel", *self.extras)

    def facts(self) -> dict[str, Any]:
        """Plain data for ``features.json``."""
        return {"fingerprint": fingerprint(self.features), **dataclasses.asdict(self)}


class Row(NamedTuple):
    """What became of one recording; samples are at the sample rate of the features."""

    frames: int
    start: int  # first sample kept
    stop: int  # the one after the last
    samples: int  # before trimming


class Shard(NamedTuple):
    """The work of one process at a time."""

    number: int
    utterances: list[Utterance]
    out: Path

    @property
    def stamp(self) -> Path:
        return self.out / "arks" / f".{self.number}.stamp"

    @property
    def table(self) -> Path:
        return self.out / "arks" / f"table.{self.number}.json"

    def ark(self, feature: str) -> Path:
        return self.out / "arks" / f"{feature}.{self.number}.ark"

    def scp(self, feature: str) -> Path:
        return self.ark(feature).with_suffix(".scp")

    def wav(self, key: str) -> Path:
        return self.out / "wav" / f"{key}.wav"

    def outputs(self, extraction: Extraction) -> list[Path]:
        arks = [path for name in extraction.names for path in (self.ark(name), self.scp(name))]
        return [*arks, self.table, *(self.wav(u.id) for u in self.utterances)]


def extract_shard(shard: Shard, extraction: Extraction) -> tuple[dict[str, Row], list[str]]:
    """Make one shard, unless it is finished. Returns what became of its utterances, and a line for each bad one."""
    inputs = None
    if all(u.wav.is_file() for u in shard.utterances):
        values = {"settings": json.dumps(extraction.facts()), "ids": " ".join(u.id for u in shard.utterances)}
        inputs = fingerprints([u.wav for u in shard.utterances], values)
        if not stamp_valid(shard.stamp, inputs):
            return {key: Row(*row) for key, row in json.loads(shard.table.read_text(encoding="utf-8")).items()}, []
    waves: dict[str, Floats] = {}
    rows: dict[str, Row] = {}
    problems: list[str] = []
    for utterance in shard.utterances:
        try:
            waves[utterance.id], rows[utterance.id] = _prepare(utterance.wav, extraction)
        except DataError as error:
            text = str(error)
            problems.append(text if text.startswith(str(utterance.wav)) else f"{utterance.wav}: {text}")
    if not problems and inputs is not None:
        _write_shard(shard, waves, rows, extraction)
        write_stamp(shard.stamp, inputs, shard.outputs(extraction))
    return rows, problems


def features_of(path: Path, extraction: Extraction) -> Floats:
    """The frames ``T M`` of one recording, as extraction would make them.

    Raises:
        DataError: the recording cannot be used.
    """
    return FEATURES["mel"](_prepare(path, extraction)[0], extraction.features)


def _prepare(path: Path, extraction: Extraction) -> tuple[Floats, Row]:
    """The wave that is kept of a recording: trimmed, scaled, zero-padded to whole frames, with values of 16-bit samples."""
    features = extraction.features
    wave = wave_files.read(path, features.sample_rate)
    start, stop = trim_silence(wave, features.sample_rate, extraction.trim)
    kept = wave[start:stop]
    if extraction.level is not None:
        kept = kept * np.float32(extraction.level / float(np.abs(kept).max()))
    size = padded_samples(len(kept), features)
    padded = np.pad(kept, (0, size - len(kept)))
    whole = np.clip(np.round(padded * 32768), -32768, 32767).astype(np.float32) / np.float32(32768)
    return whole, Row(size // features.hop, start, stop, len(wave))


def _write_shard(shard: Shard, waves: dict[str, Floats], rows: dict[str, Row], extraction: Extraction) -> None:
    settings = extraction.features
    for key, wave in waves.items():
        with atomic(shard.wav(key), "wb", point="wave") as file:
            wave_files.write(file, wave, settings.sample_rate)
    for name in extraction.names:
        with ArkWriter(shard.ark(name), shard.scp(name)) as writer:
            for key, wave in waves.items():
                values = FEATURES[name](wave, settings)
                if len(values) != rows[key].frames or len(wave) != len(values) * settings.hop:
                    raise AssertionError(f"{key}: {len(values)} frames of {name} x hop {settings.hop} is not {len(wave)} samples")
                writer.add(key, values)
    write_json(shard.table, rows)
