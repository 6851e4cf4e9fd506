"""Scores of an experiment: every metric on every utterance of every kind of speech, and their mean and standard deviation."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from toolkit.audio import wave
from toolkit.evaluate.material import SYSTEMS, Experiment, Utterance
from toolkit.evaluate.metrics import METRICS, Metric, UtteranceAudio
from toolkit.evaluate.recognition import Errors, Recogniser, character_error_rate, spoken_words, total, word_errors

RECORDING = "recording"


class Column(NamedTuple):
    """How a score is shown. ``better`` is ``lower``, ``higher`` or ``one``."""

    title: str
    unit: str
    better: str
    digits: int
    definition: str


ERROR_COLUMNS = {
    "word_error_rate": Column("WER", "%", "lower", 1, "Word errors of a speech recogniser over the words of the text."),
    "character_error_rate": Column("CER", "%", "lower", 1, "Character errors of that recogniser over the characters of the text."),
}


@dataclass
class Scores:
    """Values by kind of speech, utterance and metric; word errors summed over sentences; what the recogniser heard."""

    values: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    errors: dict[str, Errors] = field(default_factory=dict)
    heard: dict[str, dict[str, str]] = field(default_factory=dict)
    recogniser: str = "none"

    def of(self, system: str, key: str) -> Mapping[str, float]:
        """The scores of one utterance, empty where it was not made."""
        return self.values.get(system, {}).get(key, {})

    def summary(self, system: str) -> dict[str, Summary]:
        """Mean, standard deviation and count of each metric. The word error rate is that of all words together."""
        rows = self.values.get(system, {}).values()
        result = {name: summarise(row[name] for row in rows if name in row) for name in columns()}
        if system in self.errors and (pooled := result.get("word_error_rate")):
            result["word_error_rate"] = pooled._replace(mean=100 * self.errors[system].rate)
        return {name: summary for name, summary in result.items() if summary.utterances}


class Summary(NamedTuple):
    """Over utterances; ``deviation`` is that of a sample, 0 for a single one."""

    mean: float
    deviation: float
    utterances: int


def summarise(values: Iterable[float]) -> Summary:
    """Mean and standard deviation."""
    numbers = list(values)
    if not numbers:
        return Summary(0.0, 0.0, 0)
    return Summary(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else 0.0, len(numbers))


def columns() -> dict[str, Column]:
    """All scores by name in the order in which they are shown."""
    parts = sorted(((name, METRICS.resolve(name)) for name in METRICS.names()), key=lambda part: part[1].rank)
    return {name: Column(cls.title, cls.unit, cls.better, cls.digits, cls.definition) for name, cls in parts} | ERROR_COLUMNS


def score(experiment: Experiment, recogniser: Recogniser | None = None, recogniser_name: str = "none") -> Scores:
    """Score what the experiment has spoken against its recordings. Speech that was cut off has no word errors.

    Raises:
        DataError: a sound file is damaged or has another sample rate than its recording.
    """
    metrics = {name: METRICS.part(name).build() for name in METRICS.names()}
    scores = Scores(recogniser=recogniser_name)
    heard: dict[str, list[Errors]] = {}
    for utterance in experiment.utterances:
        spoken = load(utterance)
        for system, audio in spoken.items():
            values = {} if system == RECORDING else _measured(metrics, spoken.get(RECORDING), audio)
            if recogniser is not None and utterance.facts.get("max_seconds") is None and spoken_words(utterance.text):
                text = recogniser.transcribe(audio.wave, audio.sample_rate)
                scores.heard.setdefault(system, {})[utterance.id] = text
                heard.setdefault(system, []).append(word_errors(utterance.text, text))
                values["word_error_rate"] = 100 * heard[system][-1].rate
                values["character_error_rate"] = 100 * character_error_rate(utterance.text, text)
            scores.values.setdefault(system, {})[utterance.id] = values
    scores.errors = {system: total(rows) for system, rows in heard.items()}
    return scores


def load(utterance: Utterance) -> dict[str, UtteranceAudio]:
    """The recording and every kind of speech that exists, with the alignments they were made with.

    Where speech was cut off (``synthesis.max_seconds``) so is the recording.
    """
    most = utterance.facts.get("max_seconds")
    arrays = {name: array for name, array in utterance.arrays().items() if array.size}  # a system without attention keeps an empty one
    paths = {RECORDING: utterance.recording, **utterance.speech}
    kinds = {name: SYSTEMS[name].weights if name in SYSTEMS else None for name in paths}
    rates = {name: wave.probe(path).sample_rate for name, path in paths.items() if path is not None}
    return {
        name: UtteranceAudio(
            wave.read(path)[: None if most is None else math.ceil(most * rates[name])], rates[name], arrays.get(kinds[name] or "")
        )
        for name, path in paths.items()
        if path is not None
    }


def _measured(metrics: Mapping[str, Metric], reference: UtteranceAudio | None, candidate: UtteranceAudio) -> dict[str, float]:
    """The metrics that are defined for this pair."""
    if reference is None:
        return {}
    found = {name: metric(reference, candidate) for name, metric in metrics.items()}
    return {name: value for name, value in found.items() if value is not None}
