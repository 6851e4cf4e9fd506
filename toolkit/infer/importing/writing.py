"""An imported model -> an experiment: the folder that synthesis, fine-tuning and ``--init-param`` take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from toolkit.audio.mel import mismatch
from toolkit.config import load_yaml, merge, override, read
from toolkit.data.statistics import Statistics, save_statistics
from toolkit.data.writing import write_text
from toolkit.errors import ConfigError
from toolkit.infer.importing.base import Imported, Importer
from toolkit.infer.importing.loading import placed
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import System, as_saved
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.frontend import TOKENS
from toolkit.text.vocabulary import Vocabulary
from toolkit.train.checkpoint import Checkpoints, fill

CONFIG, STATISTICS = "config.yaml", "stats.npz"
PREDICTOR = ("tokenizer", "cleaner", "encoder", "attention", "decoder", "postnet")
OTHER_SIDE = {  # what stands for a side that was not imported yet
    "encoder": "conv_blstm",
    "attention": "location_sensitive",
    "decoder": "tacotron2",
    "postnet": "conv",
    "vocoder": "griffin_lim",
    "losses": {"mse": {"weight": 1.0}, "stop": {"weight": 1.0}},
}


def write_experiment(imported: Imported, importer: type[Importer], experiment: Path, settings: Sequence[str]) -> System:
    """Write one side of an experiment; the other one may be there already, if it has the same features.

    Raises:
        ConfigError: this side is there already, or the two sides have different features or statistics.
        CheckpointError: weights do not fit what the settings build.
    """
    task = importer.task
    if any((experiment / task / "checkpoints").glob("*")):
        raise ConfigError(f"--exp: {experiment / task} holds a model already; name another folder")
    there = load_yaml(experiment / CONFIG) if (experiment / CONFIG).is_file() else None
    system = read(System, override(_both(imported.system, task, there), settings))
    if there is not None and (differs := mismatch(system.features, read(System, there).features)):
        raise ConfigError(f"--exp: {experiment} has other features: {'; '.join(differs)}; name another folder")
    built = _build(imported, task, system)
    own = built.state_dict()
    missing = {name: own[name] for name in own if name.startswith(("model.normaliser.", "vocoder.normaliser."))}
    fill(built, {**missing, **placed(imported.weights, own)}, "the checkpoint")
    if imported.symbols:
        write_text(experiment / TOKENS, Vocabulary(imported.symbols).to_text())
    _write_statistics(imported, experiment / STATISTICS, system.condition_dim)
    write_text(experiment / CONFIG, as_saved(system))
    Checkpoints(experiment / task).save_average(built.state_dict(), {"step": 0, "steps": [], "dev_loss": None})
    return system


def _both(new: dict[str, Any], task: str, there: dict[str, Any] | None) -> dict[str, Any]:
    """The settings of both sides: a new one over what is there, or over what stands for it."""
    if there is None:
        return merge(OTHER_SIDE, new)
    kept = dict(there)
    for kind in ("vocoder",) if task == Mel2Wav.name else PREDICTOR:
        kept.pop(f"{kind}_conf", None)
    return merge(kept, new)


def _build(imported: Imported, task: str, system: System) -> nn.Module:
    """The task with the imported statistics. First weights do not matter, all of them are replaced."""
    if task == Text2Mel.name:
        predictor = Text2Mel(system, Vocabulary(imported.symbols))
        if imported.statistics is not None:
            predictor.model.normaliser.set(*imported.statistics)
        return predictor.eval()
    vocoder = Mel2Wav(system, judged=False)
    if imported.statistics is not None:
        vocoder.vocoder.use_statistics(*imported.statistics)
    return vocoder.eval()


def _write_statistics(imported: Imported, path: Path, size: int) -> None:
    """Those of the frames; of the first side that has some, as each side's own are stored with its weights."""
    if imported.statistics is None and path.is_file():
        return
    mean, std = imported.statistics or (torch.zeros(size), torch.ones(size))
    save_statistics(path, Statistics(mean.double().numpy(), std.double().numpy(), 0, 0))
