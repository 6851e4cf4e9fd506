"""What stands behind a cell: how long its networks were trained, whether that was long enough, their size and their speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from toolkit.data.store import FeatureStore
from toolkit.evaluate.material import Experiment
from toolkit.evaluate.timing import interleaved
from toolkit.infer.speak import vocode
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.train.clock import FILE
from toolkit.train.clock import read as read_seconds
from toolkit.vocoders.wavenet import WaveNet

TAIL = 0.1  # of the steps
MOST_FALL = 0.01  # of the dev loss, over the tail of a training that has converged
TIMED_SECONDS = 0.5


class TrainingFacts(NamedTuple):
    """One training. ``unfinished`` says why it cannot be called converged; empty where it can."""

    steps: int
    max_steps: int
    seconds: float
    parameters: int
    unfinished: str


class VocoderFacts(NamedTuple):
    """Seconds of computing a second of speech, one utterance of half a second; reach in samples and ms, of a WaveNet only."""

    rtf: float
    receptive_field: int | None
    milliseconds: float | None


def training_facts(experiment: Experiment, name: str, module: nn.Module) -> TrainingFacts | None:
    """Facts of the training ``text2mel`` or ``mel2wav``; None where nothing was trained."""
    rows = experiment.rows(name)
    if not rows:
        return None
    last = max(int(row["step"]) for row in rows)
    settings: Mapping[str, Any] = experiment.config[name]
    seconds = read_seconds(experiment.folder / name / FILE)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    reason = _ended_early(last, settings) or still_falling(rows)
    return TrainingFacts(last, int(settings["max_steps"]), seconds, parameters, reason)


def _ended_early(last: int, settings: Mapping[str, Any]) -> str:
    if last >= settings["max_steps"]:
        return ""
    budget = f", its budget of {settings['max_minutes']:g} minutes was over" if settings.get("max_minutes") else ""
    return f"ended at step {last} of {settings['max_steps']}{budget}"


def still_falling(rows: Sequence[Mapping[str, Any]]) -> str:
    """Whether the dev loss fell over the last tenth of the steps by more than a hundredth, in words; empty where it did not."""
    dev = [(int(row["step"]), float(row["loss"])) for row in rows if row.get("split") == "dev" and "loss" in row]
    last = max((step for step, _ in dev), default=0)
    before = [loss for step, loss in dev if step <= (1 - TAIL) * last]
    if not before:
        return "validated too rarely to tell"
    fall = (min(before) - min(loss for _, loss in dev)) / max(abs(min(before)), 1e-12)
    return f"dev loss still fell by {100 * fall:.1f} % over the last tenth" if fall > MOST_FALL else ""


def vocoder_facts(task: Mel2Wav, conditions: Path) -> VocoderFacts:
    """Time the vocoder on the first half second of an utterance.

    Args:
        conditions: scp of frames that it is conditioned on.
    """
    features, store = task.system.features, FeatureStore(conditions)
    mel = store.load(next(iter(store.ids)))[: round(TIMED_SECONDS * features.sample_rate / features.hop)]
    seconds = interleaved({"vocoder": lambda: vocode(task, [mel], [1])}, rounds=3)["vocoder"]
    rtf = seconds * features.sample_rate / (len(mel) * features.hop)
    if not isinstance(task.vocoder, WaveNet):
        return VocoderFacts(rtf, None, None)
    reach = task.vocoder.receptive_field
    return VocoderFacts(rtf, reach, 1000 * reach / features.sample_rate)
