"""What training a vocoder on predicted mels is worth: likelihood and distortion, on predicted and on recorded mels, with intervals.

Tacotron 2, section 3.3.1 (Table 2), judges the same four cells by mean opinion scores.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from toolkit.audio import wave as wave_files
from toolkit.data import kaldi
from toolkit.data.store import FeatureStore
from toolkit.data.writing import write_json, write_text
from toolkit.errors import ConfigError, DataError
from toolkit.evaluate.bootstrap import Interval, interval, paired
from toolkit.evaluate.likelihood import nats
from toolkit.evaluate.metrics import MelCepstralDistortion, UtteranceAudio
from toolkit.evaluate.results import markdown_table
from toolkit.infer.evaluation_set import choose
from toolkit.infer.load import load_mel2wav
from toolkit.infer.speak import vocode
from toolkit.nn.noise import utterance_seed
from toolkit.tasks.mel2wav import Mel2Wav

logger = logging.getLogger(__name__)
TRAINED = {"predicted": "gta", "natural": "natural"}  # kind of mels: how crops.input calls it
TITLES = {"nats": "nats a sample", "distortion": "mel-cepstral distortion (dB)"}
NOTE = (
    "Means over utterances with 95 % intervals (percentile bootstrap over utterances). Predicted mels are ground-truth-aligned."
    " Nats: of recorded samples. Distortion: of the generated wave against the recording. Lower is better for both. The difference is"
    " of the same utterances; what another seed of the training would change is not in its interval: see the trainings' own means."
)

Values = dict[str, float]  # by utterance
Cell = tuple[str, str]  # measure, mels it was given


class Effect(NamedTuple):
    """Means of each cell by what the vocoder was trained on, the paired differences, and the means of each single training."""

    means: dict[str, dict[Cell, Interval]]
    differences: dict[Cell, Interval]  # trained on predicted minus trained on natural
    trainings: dict[str, dict[Cell, list[float]]]
    utterances: dict[str, int]  # by measure


def gta_effect(predicted: Sequence[Path], natural: Sequence[Path], data: Path, utterances: int = 0, spoken: int = 60) -> Effect:
    """Measure experiments that differ in ``crops.input``, several of each for several seeds, whose values are averaged.

    Args:
        predicted, natural: experiments by what their vocoders were trained on. The first one's ``gta/eval`` are the predicted mels.
        data: folder of features with ``eval/``.
        utterances: of which the likelihood is taken, spread over the set; 0 for all.
        spoken: of which the distortion is taken.

    Raises:
        ConfigError: an experiment's vocoder was trained on the other kind, or its mels are defined otherwise.
    """
    mels = {"predicted": predicted[0] / "gta" / "eval" / "feats.scp", "natural": data / "eval" / "feats.scp"}
    ids = [utterance.id for utterance in kaldi.read(data / "eval")]
    chosen = {name: [ids[i] for i in choose(len(ids), count)] for name, count in (("nats", utterances), ("distortion", spoken))}
    tasks = {kind: [_task(folder, kind) for folder in folders] for kind, folders in zip(TRAINED, (predicted, natural), strict=True)}
    features = {task.system.features for group in tasks.values() for task in group}
    if len(features) > 1:
        raise ConfigError(f"--natural: its features are not those of --gta, got {len(features)} definitions; compare vocoders of one")
    found = {kind: [_measured(task, data / "eval", mels, chosen) for task in group] for kind, group in tasks.items()}
    return summarise(found)


def _task(folder: Path, kind: str) -> Mel2Wav:
    task = load_mel2wav(folder)
    if (given := task.system.crops.input) != TRAINED[kind]:
        raise ConfigError(f"{folder}: crops.input: must be {TRAINED[kind]!r} of a vocoder trained on {kind} mels, got {given!r}")
    return task


def _measured(task: Mel2Wav, split: Path, mels: Mapping[str, Path], chosen: Mapping[str, Sequence[str]]) -> dict[Cell, Values]:
    """Both measures on both kinds of mels."""
    result = {}
    for name, features in mels.items():
        logger.info("%s: %d utterances given %s mels", task.folder, len(chosen["nats"]), name)
        result["nats", name] = nats(task, split, features, chosen["nats"])
        result["distortion", name] = distortions(task, split, features, chosen["distortion"])
    return result


def distortions(task: Mel2Wav, split: Path, features: Path, ids: Sequence[str]) -> Values:
    """Mel-cepstral distortion in dB of the vocoder's speech against the recording, by utterance; each speaks with its own seed."""
    store, recordings, rate = FeatureStore(features), kaldi.read_map(split / "wav.scp"), task.system.features.sample_rate
    metric = MelCepstralDistortion()
    waves = vocode(task, [store.load(key) for key in ids], [utterance_seed(task.system.seed, key) for key in ids])
    return {
        key: metric(UtteranceAudio(wave_files.read(kaldi.to_path(recordings[key]), rate), rate), UtteranceAudio(wave, rate))
        for key, wave in zip(ids, waves, strict=True)
    }


def summarise(found: Mapping[str, Sequence[Mapping[Cell, Values]]]) -> Effect:
    """Values by kind, training, cell and utterance -> means, differences and intervals. Trainings of a kind are averaged first."""
    measured = found["predicted"][0]
    if any(list(training[cell]) != list(measured[cell]) for trainings in found.values() for training in trainings for cell in measured):
        raise DataError("gta-effect: trainings were measured on different utterances; measure the same ones")
    averages = {
        kind: {cell: np.mean([list(training[cell].values()) for training in trainings], 0) for cell in measured}
        for kind, trainings in found.items()
    }
    first, second = (averages[kind] for kind in TRAINED)
    return Effect(
        {kind: {cell: interval(values) for cell, values in row.items()} for kind, row in averages.items()},
        {cell: paired(first[cell], second[cell]) for cell in first},
        {kind: {cell: [float(np.mean(list(t[cell].values()))) for t in trainings] for cell in first} for kind, trainings in found.items()},
        {measure: len(first[measure, "natural"]) for measure in TITLES},
    )


def as_markdown(effect: Effect) -> str:
    """A table with a row for each kind of training and one for their difference, and what it says."""
    cells = list(effect.differences)
    head = ["vocoder trained on", *(f"{TITLES[measure]}, {mels} mels" for measure, mels in cells)]
    rows = [[f"{kind} mels", *(_shown(row[cell]) for cell in cells)] for kind, row in effect.means.items()]
    rows.append(["difference", *(_shown(effect.differences[cell]) for cell in cells)])
    for kind, row in effect.trainings.items():
        rows.append([f"{kind} mels, each training", *(" ".join(f"{mean:.3f}" for mean in row[cell]) for cell in cells)])
    counts = ", ".join(f"{TITLES[name]} {count}" for name, count in effect.utterances.items())
    return f"{markdown_table(head, rows)}\n\nUtterances: {counts}. {NOTE}\n"


def write(effect: Effect, out: Path) -> None:
    """``gta_effect.md`` and ``gta_effect.json`` in a folder."""
    data = {
        "trained_on": {kind: _plain(row) for kind, row in effect.means.items()},
        "difference": _plain(effect.differences),
        "each_training": {kind: {", ".join(cell): means for cell, means in row.items()} for kind, row in effect.trainings.items()},
        "utterances": effect.utterances,
    }
    write_text(out / "gta_effect.md", as_markdown(effect))
    write_json(out / "gta_effect.json", data)


def _plain(row: Mapping[Cell, Interval]) -> dict[str, dict[str, float]]:
    return {", ".join(cell): value._asdict() for cell, value in row.items()}


def _shown(value: Interval) -> str:
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"
