"""Material of a listening test: one sound file a system and sentence under names that tell nothing, and the manifest that does."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from toolkit.audio import wave as wave_files
from toolkit.audio.mel import Floats
from toolkit.data.writing import write_text
from toolkit.evaluate.ablation.scores import Scored
from toolkit.evaluate.material import read_rows
from toolkit.evaluate.scoring import RECORDING, load
from toolkit.infer.evaluation_set import write_wave

MANIFEST = "manifest.csv"
HEAD = ("file", "sentence", "text", "system", "experiment", "speech", "list")


class Sound(NamedTuple):
    """A system's speech of one sentence."""

    sentence: str
    text: str
    experiment: str
    speech: str
    source: str  # which list of sentences

    @property
    def system(self) -> str:
        return RECORDING if self.speech == RECORDING else f"{self.experiment}/{self.speech}"

    @property
    def file(self) -> str:
        """A name from which neither system nor sentence can be read."""
        return hashlib.sha256("\0".join(self).encode()).hexdigest()[:12] + ".wav"


class Heard(NamedTuple):
    """A sound and its samples."""

    sound: Sound
    wave: Floats
    sample_rate: int


def write_material(scored: Iterable[tuple[str, Scored]], lists: Iterable[tuple[str, str, Path]], out: Path) -> int:
    """Write ``out/CODE.wav`` and ``out/manifest.csv``; returns how many files.

    Args:
        scored: experiments by name. What stands in several tables is written once, recordings only once.
        lists: experiment, name of a list, and the folder where the experiment has spoken it.
    """
    sounds: dict[str, Sound] = {}
    for sound, wave, rate in chain(_evaluated(scored), _listed(lists)):
        if sound.file not in sounds:
            write_wave(out / sound.file, wave, rate)
        sounds[sound.file] = sound
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    for file, sound in sorted(sounds.items()):
        writer.writerow([file, sound.sentence, sound.text, sound.system, sound.experiment, sound.speech, sound.source])
    write_text(out / MANIFEST, text.getvalue())
    for stale in out.glob("*.wav"):
        if stale.name not in sounds:
            stale.unlink()
    return len(sounds)


def _evaluated(scored: Iterable[tuple[str, Scored]]) -> Iterator[Heard]:
    for name, found in scored:
        for utterance in found.experiment.utterances:
            for speech, audio in load(utterance).items():
                if speech in found.values:
                    owner = "" if speech == RECORDING else name
                    yield Heard(Sound(utterance.id, utterance.text, owner, speech, "eval"), audio.wave, audio.sample_rate)


def _listed(lists: Iterable[tuple[str, str, Path]]) -> Iterator[Heard]:
    for name, title, folder in lists:
        for row in read_rows(folder / "utterances.jsonl"):
            path = folder / f"{row['id']}.wav"
            sound = Sound(str(row["id"]), str(row["text"]), name, "free", title)
            yield Heard(sound, wave_files.read(path), wave_files.probe(path).sample_rate)
