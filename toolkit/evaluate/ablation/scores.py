"""Scores of an experiment's speech for the tables of an ablation: by kind of speech, measure and sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from toolkit.errors import DataError
from toolkit.evaluate.ablation.training import TrainingFacts, VocoderFacts, training_facts, vocoder_facts
from toolkit.evaluate.judge import choose_judge
from toolkit.evaluate.likelihood import nats
from toolkit.evaluate.material import Experiment, read_experiment
from toolkit.evaluate.scoring import RECORDING, Column, columns, score
from toolkit.infer.load import griffin_lim, load_mel2wav, load_text2mel
from toolkit.tasks.mel2wav import Mel2Wav

DATA = Path(".stages", "data")
GRIFFIN_LIM = "free_griffin_lim"
LIKELIHOOD = Column(
    "NLL", "nats a sample", "lower", 3,
    "Negative log-likelihood of the recording's samples by the vocoder, given ground-truth-aligned predicted frames where speech is"
    " synthesised from predicted ones, and the recording's own frames where from those.",
)  # fmt: skip
CHOSEN = ("mel_cepstral_distortion", "log_f0_rmse", "duration_ratio", "word_error_rate", "character_error_rate")

Values = dict[str, dict[str, float]]  # by measure and sentence


class Scored(NamedTuple):
    """An experiment: its scores by kind of speech, and what stands behind them."""

    experiment: Experiment
    values: Mapping[str, Values]
    predictor: TrainingFacts | None
    vocoder: TrainingFacts | None
    speed: Mapping[str, VocoderFacts]  # by kind of speech
    recogniser: str


def measures() -> dict[str, Column]:
    """What the tables show, by name."""
    known = columns()
    return {name: known[name] for name in CHOSEN} | {"nats": LIKELIHOOD}


def data_folder(folder: Path, work: Path) -> Path:
    """The folder of features that the recipe noted for an experiment.

    Raises:
        DataError: the recipe has not run.
    """
    path = folder / DATA
    if not path.is_file():
        raise DataError(f"{path}: missing, so the recipe has not run for this experiment; run ablation.sh")
    return work / path.read_text(encoding="utf-8").strip()


def measure(folder: Path, work: Path, kinds: Collection[str], asr: str, seconds: float) -> Scored:
    """Score what an experiment has spoken.

    Args:
        work: folder with ``exp/`` and ``dump/``.
        kinds: of speech, those of ``SYSTEMS`` and ``recording``.
        asr: as ``choose_judge`` takes it.
        seconds: of each utterance whose likelihood is taken, from its start.

    Raises:
        DataError: the experiment, or a kind of its speech, does not exist.
    """
    data = data_folder(folder, work)
    found = read_experiment(folder, data)
    spoken = {kind for utterance in found.utterances for kind in (*utterance.speech, *([RECORDING] if utterance.recording else []))}
    absent = sorted(set(kinds) - spoken)
    if absent:
        raise DataError(f"{folder}: has no speech {absent[0]!r}; run its stage speak")
    utterances = tuple(dataclasses.replace(u, speech={k: path for k, path in u.speech.items() if k in kinds}) for u in found.utterances)
    experiment = dataclasses.replace(found, utterances=utterances)
    judge = choose_judge(asr, experiment)
    scores = score(experiment, judge.recogniser, judge.name)
    values = {kind: _by_measure({u.id: dict(scores.of(kind, u.id)) for u in utterances}) for kind in kinds}
    for kind in kinds:
        values[kind]["duration_ratio"] = _durations(experiment) if kind.startswith("free") else {}
    task, text2mel = load_mel2wav(folder), load_text2mel(folder)
    ids, conditions = [u.id for u in utterances], {"free": folder / "gta" / "eval" / "feats.scp", "copy": data / "eval" / "feats.scp"}
    if task.vocoder.trainable:
        for kind in set(kinds) & set(conditions):
            values[kind]["nats"] = nats(task, data / "eval", conditions[kind], ids, seconds)
    vocoders: dict[str, Mel2Wav] = {k: griffin_lim(task.system) if k == GRIFFIN_LIM else task for k in kinds if k != RECORDING}
    speed = {kind: vocoder_facts(vocoder, conditions["free"]) for kind, vocoder in vocoders.items()}
    facts = training_facts(found, "text2mel", text2mel), training_facts(found, "mel2wav", task)
    return Scored(experiment, values, *facts, speed, judge.name)


def _by_measure(rows: Mapping[str, Mapping[str, float]]) -> Values:
    """By sentence and measure -> by measure and sentence, those that the tables show."""
    return {name: {key: row[name] for key, row in rows.items() if name in row} for name in CHOSEN}


def _durations(experiment: Experiment) -> dict[str, float]:
    """Length of the whole predicted utterance over that of the recording, also where its wave was cut off."""
    return {u.id: float(u.facts["seconds"]) / float(u.facts["reference_seconds"]) for u in experiment.utterances}
