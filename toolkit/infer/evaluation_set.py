"""Speaking the evaluation set: from text alone, and the ways in between that show which part is to blame."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from toolkit.audio import wave as wave_files
from toolkit.data.voices import Voice
from toolkit.data.writing import atomic, write_text
from toolkit.infer.gta import Forced, force
from toolkit.infer.load import griffin_lim
from toolkit.infer.speak import Array, SpokenMel, predict_mels, vocode
from toolkit.nn.noise import utterance_seed
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.text2mel import Text2Mel


def choose(count: int, wanted: int) -> list[int]:
    """Indices of the utterances that are spoken: spread evenly over the set; 0 means all."""
    if wanted in (0, count) or wanted > count:
        return list(range(count))
    return [i * count // wanted for i in range(wanted)]


def speak_evaluation_set(
    text2mel: Text2Mel, mel2wav: Mel2Wav | None, data: Path, out: Path, utterances: int, voice: Voice | None = None
) -> list[str]:
    """Write waves of every system, the arrays that pictures need, and ``utterances.jsonl``; returns lines that sum it up.

    ``free``: text -> mel -> vocoder; ``free_griffin_lim`` the same through Griffin-Lim; ``forced``: teacher-forced mel ->
    vocoder; ``copy``: the recording's mel -> vocoder. Where the predictor makes no spectrum but other conditions, there is
    neither Griffin-Lim nor a copy. Waves end after ``synthesis.max_seconds``. Free running has the speaker, language and vector
    of each recording, and where ``voice`` says something, that.
    """
    source = text2mel.data(data)
    chosen = choose(len(source), utterances)
    keys = [source.utterances[i].id for i in chosen]
    texts = [source.utterances[i].text for i in chosen]
    seeds = [utterance_seed(text2mel.system.seed, key) for key in keys]
    voices = [(voice or Voice()).over(source.voice(i)) for i in chosen]
    begin = time.perf_counter()
    spoken = predict_mels(text2mel, texts, seeds, voices=voices)
    mel_seconds = time.perf_counter() - begin
    forced = force(text2mel, source, chosen)
    free, true, lines = [s.mel for s in spoken], [source.mel(i) for i in chosen], list[str]()
    spectrum, settings = text2mel.model.decoder.makes_spectrum, text2mel.system.synthesis
    if spectrum:
        lines.append(_write_waves(griffin_lim(text2mel.system), out, {"free_griffin_lim": free}, keys, seeds, settings.max_seconds))
    if mel2wav is not None:
        systems = {"free": free, "forced": [forced[key].mel for key in keys]} | ({"copy": true} if spectrum else {})
        lines.append(_write_waves(mel2wav, out, systems, keys, seeds, settings.max_seconds))
    for key, result, mel in zip(keys, spoken, true, strict=True):
        _write_arrays(out / "arrays" / f"{key}.npz", result, mel, forced[key], spectrum)
    features = text2mel.system.features
    rate = features.hop / features.sample_rate
    how = {"precision": settings.precision, "folds": settings.folds, "max_seconds": settings.max_seconds}
    rows = [
        {"id": key, "text": text, "stopped_by": result.stopped_by, "frames": len(result.mel), "seconds": len(result.mel) * rate,
         "reference_seconds": len(mel) * rate, "seed": seed, **how, **voice.named()}
        for key, text, result, mel, seed, voice in zip(keys, texts, spoken, true, seeds, voices, strict=True)
    ]  # fmt: skip
    write_text(out / "utterances.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    missed = sum(result.stopped_by == "limit" for result in spoken)
    seconds = sum(len(mel) for mel in free) * rate
    return [f"{len(keys)} utterances, {missed} without a stop, mel RTF {mel_seconds / seconds:.3f}", *lines]


def _write_waves(
    task: Mel2Wav, out: Path, systems: Mapping[str, Sequence[Array]], keys: Sequence[str], seeds: Sequence[int], most: float | None
) -> str:
    """All systems through one vocoder in one go, because a larger batch is cheaper for each."""
    rate = task.system.features.sample_rate
    frames = None if most is None else math.ceil(most * rate / task.system.features.hop)
    mels = [mel[:frames] for system in systems.values() for mel in system]
    begin = time.perf_counter()
    waves = iter(vocode(task, mels, list(seeds) * len(systems)))
    elapsed = time.perf_counter() - begin
    for name in systems:
        for key in keys:
            write_wave(out / name / f"{key}.wav", next(waves), rate)
    seconds = sum(len(mel) for mel in mels) * task.system.features.hop / rate
    return f"{task.system.vocoder.name}: {len(mels)} waves, {seconds:.0f} s of speech in {elapsed:.0f} s, RTF {elapsed / seconds:.3f}"


def write_wave(path: Path, wave: Array, sample_rate: int) -> None:
    """A 16-bit wave file, whole or not at all."""
    with atomic(path, "wb", "wave") as file:
        wave_files.write(file, wave, sample_rate)


def _write_arrays(path: Path, spoken: SpokenMel, true: Array, forced: Forced, spectrum: bool) -> None:
    arrays = {
        "mel_true": true, "mel_free": spoken.mel if spectrum else None, "mel_forced": forced.mel if spectrum else None,
        "stop_free": spoken.stop, "weights_free": spoken.weights, "weights_forced": forced.weights,
        "symbols": np.array(spoken.symbols),
    }  # fmt: skip
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{name: array for name, array in arrays.items() if array is not None})
    with atomic(path, "wb", "wave") as file:
        file.write(buffer.getvalue())
