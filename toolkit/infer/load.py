"""An experiment's folder -> trained networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from torch import nn

from toolkit.decoders.base import StepDecoder
from toolkit.errors import CheckpointError, ConfigError
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import System, load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.train.checkpoint import best_weights, fill
from toolkit.vocoders import VOCODERS

CONFIG = "config.yaml"
T = TypeVar("T", bound=nn.Module)


def load_config(experiment: Path, assignments: Sequence[str] = ()) -> System:
    """The resolved configuration of an experiment, with assignments of the command line over it."""
    if not (experiment / CONFIG).is_file():
        raise CheckpointError(f"{experiment}: no {CONFIG}, so this is no experiment; train one first or give another --exp")
    return load_system(experiment / CONFIG, assignments)


def load_text2mel(experiment: Path, device: str = "cpu", assignments: Sequence[str] = ()) -> Text2Mel:
    """The trained feature predictor, in eval mode."""
    task = Text2Mel.from_folder(load_config(experiment, assignments), experiment)
    synthesis, decoder = task.system.synthesis, task.model.decoder
    decoder.execution = synthesis.execution
    if isinstance(decoder, StepDecoder):
        decoder.window = synthesis.window
    return _trained(task, experiment / Text2Mel.name, device)


def load_mel2wav(experiment: Path, device: str = "cpu", assignments: Sequence[str] = ()) -> Mel2Wav:
    """The vocoder, in eval mode; trained where there is something to train."""
    task = Mel2Wav.from_folder(load_config(experiment, assignments), experiment, judged=False)
    task.vocoder.execution = task.system.synthesis.execution
    if not task.vocoder.trainable:
        return task.to(device).eval()
    return _trained(task, experiment / Mel2Wav.name, device)


def default_model() -> Path:
    """The experiment that ``say`` uses when none is named: the one that the default recipe leaves in this checkout."""
    folder = Path(__file__).parents[2] / "recipes" / "ljspeech" / "exp" / "mini"
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"{folder}: no voice there yet; run recipes/ljspeech/run.sh, or give --model EXP")
    return folder


def griffin_lim(system: System) -> Mel2Wav:
    """Griffin-Lim for the same features, so that every system can be heard without a vocoder.

    Raises:
        ConfigError: the predictor makes no spectrum.
    """
    if not system.decoder.cls.makes_spectrum:
        raise ConfigError(f"vocoder: Griffin-Lim needs a spectrum, decoder {system.decoder.name!r} makes none; use the trained one")
    return Mel2Wav(replace(system, vocoder=VOCODERS.part("griffin_lim"))).eval()


def _trained(task: T, folder: Path, device: str) -> T:
    weights, meta = best_weights(folder)
    fill(task, {name: weight for name, weight in weights.items() if not name.startswith(Mel2Wav.training_only)}, meta["path"])
    return task.to(device).eval()
