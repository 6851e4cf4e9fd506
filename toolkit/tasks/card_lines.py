"""The lines of the training card: what each says of a built task, and which settings it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from toolkit.audio.mel import MelSettings
from toolkit.registry import Part
from toolkit.tasks.built import constants, dropouts, frozen, parameters, penalty
from toolkit.tasks.conditions import described
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.published import shown
from toolkit.tasks.schema import System, TeacherForcing
from toolkit.tasks.text2mel import Text2Mel
from toolkit.train.averaging import decay_at
from toolkit.train.settings import Training
from toolkit.train.turn import Turn

SYMBOLS = 70  # of a vocabulary that is not known yet; only the embedding's size depends on it
Task = Text2Mel | Mel2Wav


class Line(NamedTuple):
    """A line before its source is looked up: the settings that it shows, as dotted paths; ``x.`` is everything below x."""

    name: str
    value: str
    paths: tuple[str, ...]


def card_lines(built: Task, processes: int) -> list[Line]:
    """All lines of a task whose global batches ``processes`` share. Signal processing is not trained and has fewer."""
    own = _text2mel(built) if isinstance(built, Text2Mel) else _mel2wav(built)
    return [*_data(built.system), *own, *(_training(built, processes) if parameters(built) else [])]


def _data(system: System) -> list[Line]:
    limits, mel = system.limits, system.features
    level = "as recorded" if system.level is None else f"peak scaled to {system.level:g}"
    audio = (
        f"{mel.sample_rate} Hz; {level}; silence trimmed: {_knobs(vars(system.trim))}; kept: {limits.min_seconds:g} to"
        f" {limits.max_seconds:g} s, at most {limits.max_characters} characters; extras: {', '.join(system.extras) or 'none'}"
    )
    known = ("features.kind", "features.n_mels", "features.f_min", "features.f_max", "features.n_fft", "features.window_ms")
    return [
        Line("Data", "what the recipe is given; counted when a training begins", ("data",)),
        Line("Audio", audio, ("features.sample_rate", "level", "trim.", "limits.", "extras")),
        Line("Features", _features(mel), (*known, "features.hop_ms", "features.floor", *(f"features.{name}" for name in _others(mel)))),
        Line("Normalisation", system.normalise, ("normalise",)),
    ]


def _others(mel: MelSettings) -> dict[str, Any]:
    words = ("kind", "sample_rate", "hop", "window", "n_fft", "n_mels", "f_min", "f_max", "floor")
    return {key: value for key, value in vars(mel).items() if key not in words}


def _features(mel: MelSettings) -> str:
    hop, window = (f"{size} samples ({1000 * size / mel.sample_rate:g} ms)" for size in (mel.hop, mel.window))
    bands = f"{mel.n_mels} mel bands {mel.f_min:g} to {mel.f_max:g} Hz"
    what = f"{bands} of" if mel.kind == "mel" else f"{mel.bins} linear bins, or {bands} where a part asks for its mel, of"
    return f"{what} a {mel.n_fft}-point spectrum; window {window}, hop {hop}; clipped at {mel.floor:g}; {_knobs(_others(mel))}"


def _text2mel(built: Text2Mel) -> list[Line]:
    system = built.system
    parts: dict[str, Part[Any] | None] = {
        "encoder": system.encoder,
        "attention": system.attention,
        "decoder": system.decoder,
        "postnet": system.postnet,
    }
    text = ("cleaner", "cleaner_conf.", "tokenizer", "tokenizer_conf.")
    sizes = [f"{SYMBOLS} symbols", *(f"{len(table)} {kind}s" for kind, table in built.tables.items())]
    return [
        Line("Text", f"{_part(system.cleaner)}; {_part(system.tokenizer)}", text),
        *(Line(kind.capitalize(), _part(part) if part else "no part", (kind, f"{kind}_conf.")) for kind, part in parts.items()),
        *([Line("Conditioned on", described(asked, {}), ("conditioning",))] if (asked := system.conditioning) else []),
        Line("Frames a step", str(system.reduction), ("reduction",)),
        *([Line("Gradual reduction", _gradual(system), ("gradual_reduction",))] if system.gradual_reduction else []),
        *([Line("Teacher forcing", _forcing(forcing), ("teacher_forcing",))] if (forcing := system.teacher_forcing) else []),
        Line("Parameters", f"{parameters(built) / 1e6:.2f} M with {' and '.join(sizes)}", ("parameters",)),
        Line("Losses", "; ".join(_part(part) for part in system.losses) or "the decoder's own", ("losses.mse.weight", "losses.")),
    ]


def _gradual(system: System) -> str:
    """The frames of all updates, from the very function that trains."""
    until = system.gradual_reduction.until if system.gradual_reduction else ()
    early = ", ".join(f"{system.reduction_at(step)} frames a step until update {step}" for step in until)
    return f"{early}, then {system.reduction_at(until[-1] + 1)}; fewer are the first of {system.reduction_at(1)}"


def _forcing(forcing: TeacherForcing) -> str:
    """The share of true frames at a few steps, from the very object that trains."""
    steps = (forcing.from_step, (forcing.from_step + forcing.to_step) // 2, forcing.to_step)
    return "share of true previous frames " + ", ".join(f"{forcing.share(step):.3g} at step {step}" for step in steps)


def _mel2wav(built: Mel2Wav) -> list[Line]:
    system, vocoder = built.system, built.vocoder
    crop, scale, reach = system.crops.frames, system.vocoder.knobs.get("target_scale", 1.0), getattr(vocoder, "receptive_field", None)
    field = "" if reach is None else f"receptive field {reach} samples ({1000 * reach / system.features.sample_rate:.1f} ms); "
    scaled = f"x {scale:g}; what is sampled is divided by it before it is fed back" if scale != 1.0 else "none"
    aligned = "ground-truth-aligned frames of the frozen predictor" if system.crops.input == "gta" else "frames of recordings"
    return [
        Line("Vocoder", _part(system.vocoder), ("vocoder", "vocoder_conf.")),
        Line("Parameters", f"{parameters(vocoder) / 1e6:.2f} M", ("parameters",)),
        Line("Context", f"{field}{vocoder.context} frames before, {vocoder.lookahead} after a crop", ("vocoder.receptive_field",)),
        Line("Target scaling", scaled, ("vocoder_conf.target_scale",)),
        Line("Crop", f"{crop} frames, {crop * system.features.hop} samples", ("crops.frames",)),
        Line("Input", aligned, ("crops.input",)),
        *_judges(built),
    ]


def _judges(built: Mel2Wav) -> list[Line]:
    """Discriminators and their own turn, of an adversarial vocoder."""
    adversary, prefix = built.adversary, f"{built.name}.discriminator"
    if adversary is None:
        return []
    asked, settings = adversary.settings, built.settings.of("discriminator")
    turn = Turn(built.parameters_of("discriminator"), settings)
    parts = "; ".join(_part(part) for part in built.system.discriminators)
    who = f"{parts}; {parameters(adversary) / 1e6:.2f} M, {asked.criterion.replace('_', ' ')}, from step {(asked.from_step or 0) + 1} on"
    how = f"{constants(turn.optimiser)}; clip {'none' if settings.clip is None else f'{settings.clip:g}'}"
    return [
        Line("Discriminators", who, (f"{prefix}.parts",)),
        Line("Discriminator's optimiser", how, (f"{prefix}.optimiser", f"{prefix}.clip")),
        Line("Discriminator's learning rate", _rates(turn, settings), (f"{prefix}.schedule",)),
    ]


def _training(built: Task, processes: int) -> list[Line]:
    name, settings = built.name, built.settings
    batch, per = settings.batch, settings.batch.global_ // settings.batch.micro
    split = f"{per} micro-batches of {batch.micro} shared by {processes} process{'es' if processes > 1 else ''}"

    def within(*paths: str) -> tuple[str, ...]:
        return tuple(f"{name}.{path}" for path in paths)

    minutes = "" if settings.max_minutes is None else f", or {settings.max_minutes:g} minutes"
    patience = "" if settings.patience is None else f", or until {settings.patience} validations bring no lower loss"
    rise = () if settings.average is None else ("rise of the decay",)
    return [
        Line("Batch", f"{batch.global_} utterances: {split}", within("batch.global", "batch.micro", "processes")),
        *_optimisation(built),
        *([Line("Frozen", frozen(built), within("freeze"))] if settings.freeze else []),
        Line("Gradient clipping", "none" if settings.clip is None else f"norm {settings.clip:g}", within("clip")),
        Line("Weight average", _average(settings.average), (*within("average"), *rise)),
        Line("Best checkpoints averaged", str(settings.keep_best), within("keep_best")),
        Line("Precision", settings.precision, within("precision")),
        Line("Steps", f"{settings.max_steps}{minutes}{patience}, of {batch.global_} utterances each", within("max_steps")),
        Line(
            "Intervals", f"validation {settings.validate_every}, checkpoint {settings.save_every}, log {settings.log_every} steps",
            within("save_every"),
        ),
        Line("Hardware", f"{processes} process{'es' if processes > 1 else ''}, with a GPU each where there are any", within("processes")),
        Line("Threads", "all" if settings.threads is None else str(settings.threads), within("threads")),
        Line("Seed", str(built.system.seed), ("seed",)),
    ]  # fmt: skip


def _optimisation(built: Task) -> list[Line]:
    """Optimiser, rate and penalties, by the optimiser that a training would build."""
    prefix, schedule = f"{built.name}.optimiser", f"{built.name}.schedule"
    settings, last = built.settings, built.turns(built.settings.max_steps)[-1]
    turn = Turn(built.parameters_of(last), settings.of(last))
    constant = [f"{prefix}_conf.{knob}" for knob in settings.optimiser.knobs if knob != "learning_rate" and not knob.startswith("l2")]
    l2 = [f"{prefix}_conf.{knob}" for knob in settings.optimiser.knobs if knob.startswith("l2")]
    parts = ("encoder", "decoder", "postnet") if isinstance(built, Text2Mel) else ("vocoder",)
    drawn = [
        f"{kind}_conf.{knob}"
        for kind in parts
        for knob in getattr(built.system, kind).knobs
        if knob.endswith(("dropout", "zoneout"))
    ]  # fmt: skip
    return [
        Line("Optimiser", constants(turn.optimiser), (prefix, *constant)),
        Line("Learning rate", _rates(turn, settings), (f"{prefix}_conf.learning_rate", schedule, f"{schedule}_conf.")),
        Line(
            "Regularisation", "; ".join([penalty(turn.optimiser, settings.optimiser.knobs.get("l2_excludes", ())), *dropouts(built)]),
            (*l2, *drawn),
        ),
    ]  # fmt: skip


def _rates(turn: Turn, settings: Training) -> str:
    """The schedule's name and the rate at a few steps, from the very object that trains."""
    steps = sorted({settings.max_steps * share // 4 for share in range(5)})
    values = ", ".join(f"{turn.learning_rate(step):.3g} at step {step}" for step in steps)
    return f"{turn.recipe.learning_rate:g}, {_part(settings.schedule)}: {values}"


def _average(decay: float | None) -> str:
    if decay is None:
        return "none"
    first = decay_at(decay, 1)
    return f"exponential, decay {decay:g}, used for synthesis; it rises from {first:.2f} at step 1 as (1 + step) / (10 + step)"


def _part(part: Part[Any]) -> str:
    return f"{part.name} ({_knobs(part.knobs)})" if part.knobs else part.name


def _knobs(knobs: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {shown(value)}" for key, value in knobs.items())
