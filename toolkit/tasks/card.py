"""The training card: every number that decides what a training does, computed from the configuration that runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from toolkit.audio.mel import MelSettings
from toolkit.registry import Part
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import System
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary
from toolkit.train.settings import Training

SYMBOLS = 70  # of a vocabulary that is not known yet; only the embedding's size depends on it
Row = tuple[str, str]


def training_card(system: System, task: str, processes: int = 1, happened: Mapping[str, Any] | None = None) -> list[Row]:
    """Rows (name, value) of one task.

    Args:
        task: ``text2mel`` or ``mel2wav``.
        processes: that share each global batch.
        happened: what a finished training measured, appended as rows.
    """
    settings: Training = getattr(system, task)
    rows = [("Audio", _audio(system)), ("Features", _features(system.features)), ("Normalisation", system.normalise)]
    rows += _text2mel(system) if task == "text2mel" else _mel2wav(system)
    rows += _training(settings, processes)
    rows.append(("Seed", str(system.seed)))
    return rows + [(name.replace("_", " ").capitalize(), str(value)) for name, value in (happened or {}).items()]


def as_markdown(task: str, rows: list[Row]) -> str:
    """The card as a Markdown table."""
    body = "".join(f"| {name} | {value.replace('|', '/')} |\n" for name, value in rows)
    return f"# Training card: {task}\n\n| | |\n|---|---|\n{body}"


def _audio(system: System) -> str:
    limits = system.limits
    level = "as recorded" if system.level is None else f"peak scaled to {system.level:g}"
    return (
        f"{system.features.sample_rate} Hz; {level}; silence trimmed: {_knobs(vars(system.trim))}; kept: {limits.min_seconds:g} to"
        f" {limits.max_seconds:g} s, at most {limits.max_characters} characters; extras: {', '.join(system.extras) or 'none'}"
    )


def _features(mel: MelSettings) -> str:
    hop, window = (f"{size} samples ({1000 * size / mel.sample_rate:g} ms)" for size in (mel.hop, mel.window))
    others = {name: getattr(mel, name) for name in ("log_base", "mel_scale", "band_norm")}
    bands = f"{mel.n_mels} mel bands {mel.f_min:g} to {mel.f_max:g} Hz"
    what = f"{bands} of" if mel.kind == "mel" else f"{mel.bins} linear bins, or {bands} where a part asks for its mel, of"
    return f"{what} a {mel.n_fft}-point spectrum; window {window}, hop {hop}; clipped at {mel.floor:g}; {_knobs(others)}"


def _text2mel(system: System) -> list[Row]:
    with torch.device("meta"):
        model = Text2Mel(system, Vocabulary.made_up(SYMBOLS))
    return [
        ("Text", f"{_part(system.cleaner)}; {_part(system.tokenizer)}"),
        ("Encoder", _part(system.encoder)),
        ("Attention", _part(system.attention)),
        ("Decoder", _part(system.decoder)),
        ("Frames a step", str(system.reduction)),
        ("Postnet", _part(system.postnet)),
        ("Parameters", f"{_parameters(model) / 1e6:.2f} M with {SYMBOLS} symbols"),
        ("Losses", "; ".join(_part(part) for part in system.losses)),
    ]


def _mel2wav(system: System) -> list[Row]:
    with torch.device("meta"):
        model = Mel2Wav(system)
    crop = system.crops.frames
    return [
        ("Vocoder", _part(system.vocoder)),
        ("Parameters", f"{_parameters(model) / 1e6:.2f} M"),
        ("Context", f"{model.vocoder.context} frames before, {model.vocoder.lookahead} after a crop"),
        ("Crop", f"{crop} frames, {crop * system.features.hop} samples"),
        ("Input", "ground-truth-aligned mels of the frozen predictor" if system.crops.input == "gta" else "mels of recordings"),
    ]


def _training(settings: Training, processes: int) -> list[Row]:
    batch, optimiser = settings.batch, settings.optimiser
    per = batch.global_ // batch.micro
    split = f"{per} micro-batches of {batch.micro} shared by {processes} process{'es' if processes > 1 else ''}"
    others = {key: value for key, value in optimiser.knobs.items() if key not in ("learning_rate", "l2")}
    return [
        ("Batch", f"{batch.global_} utterances: {split}"),
        ("Optimiser", f"{optimiser.name} ({_knobs(others)})"),
        ("Learning rate", _learning_rate(settings)),
        ("L2", f"{optimiser.knobs.get('l2', 0):g}, as a gradient term before the moments"),
        ("Gradient clipping", "none" if settings.clip is None else f"norm {settings.clip:g}"),
        ("Weight average", "none" if settings.average is None else f"exponential, decay {settings.average:g}, used for synthesis"),
        ("Best checkpoints averaged", str(settings.keep_best)),
        ("Precision", settings.precision),
        ("Length", f"{settings.max_steps} steps"),
        ("Intervals", f"validation {settings.validate_every}, checkpoint {settings.save_every}, log {settings.log_every} steps"),
        ("Threads", "all" if settings.threads is None else str(settings.threads)),
    ]


def _learning_rate(settings: Training) -> str:
    """The schedule's name and the rate at a few steps, from the very objects that training uses."""
    rate: Callable[[int], float] = lambda step: (  # noqa: E731
        settings.optimiser.build().learning_rate * settings.schedule.build().factor(step, settings.max_steps)
    )
    steps = sorted({1, *(max(1, settings.max_steps * share // 4) for share in range(1, 5))})
    values = ", ".join(f"{rate(step):.3g} at step {step}" for step in steps)
    return f"{settings.optimiser.build().learning_rate:g}, {_part(settings.schedule)}: {values}"


def _part(part: Part[Any]) -> str:
    return f"{part.name} ({_knobs(part.knobs)})" if part.knobs else part.name


def _knobs(knobs: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {_value(value)}" for key, value in knobs.items())


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "/".join(_value(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
