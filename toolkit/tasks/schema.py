"""The configuration of a system: one YAML file from audio to speech. Shared numbers stand here once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from toolkit.attentions import ATTENTIONS, Attention
from toolkit.audio.mel import MelSettings
from toolkit.audio.trim import Trim
from toolkit.config import load_yaml, origins, override, read, to_yaml
from toolkit.data.shards import EXTRAS
from toolkit.decoders import DECODERS, Decoder
from toolkit.decoders.base import StepDecoder
from toolkit.discriminators import DISCRIMINATORS, Discriminator
from toolkit.encoders import ENCODERS, Encoder
from toolkit.errors import ConfigError
from toolkit.models.conditioning import ConditioningSettings
from toolkit.models.losses import LOSSES, Loss
from toolkit.nn.attention_window import Window
from toolkit.nn.execution import Execution
from toolkit.postnets import POSTNETS, Postnet
from toolkit.registry import Part, UnknownPartError, wired_names
from toolkit.tasks.gradual_reduction import GradualReduction
from toolkit.text.base import Cleaner, Tokenizer
from toolkit.text.cleaners import CLEANERS
from toolkit.text.tokenizers import TOKENIZERS
from toolkit.train.optimisers import OPTIMISERS, Optimiser
from toolkit.train.schedules import SCHEDULES, Schedule
from toolkit.train.settings import Batch, Training
from toolkit.vocoders import VOCODERS, Vocoder
from toolkit.vocoders.base import ParallelVocoder

NORMALISATIONS = ("none", "per_bin")
PLUGINS = "plugins"  # key of a saved configuration: which part came from which plugin


@dataclass(frozen=True)
class Limits:
    """Which utterances are kept for training."""

    min_seconds: float = 0.3
    max_seconds: float = 20.0
    max_characters: int = 400


@dataclass(frozen=True)
class Crops:
    """What a vocoder is trained on.

    ``frames`` are scored in each crop; the frames that its receptive field needs before them are read too, so that a short crop
    costs more reading for each scored sample and a long one has fewer voices and phones in a batch. The paper does not say.
    """

    frames: int = 32
    input: str = "gta"  # gta | natural

    def __post_init__(self) -> None:
        if self.input not in ("gta", "natural"):
            raise ConfigError(f"input: what the vocoder is trained on, got {self.input!r}; known: gta, natural")


@dataclass(frozen=True)
class TeacherForcing:
    """Share of true previous frames that the decoder is fed in training, row by row (Bengio et al. 2015, scheduled sampling).

    ``start`` until ``from_step``, from there on a straight line to ``end`` at ``to_step``. Validation and ground-truth alignment
    feed true frames only. Below 1 a training goes step by step and takes longer.
    """

    start: float = 1.0
    end: float = 0.5
    from_step: int = 10_000
    to_step: int = 50_000

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: share of true frames, must be within 0 and 1, got {getattr(self, name):g}")
        if not 0 <= self.from_step < self.to_step:
            raise ConfigError(f"to_step: must be above from_step of {self.from_step}, got {self.to_step}")

    def share(self, step: int) -> float:
        """The share of an update."""
        passed = min(1.0, max(0.0, (step - self.from_step) / (self.to_step - self.from_step)))
        return self.start + (self.end - self.start) * passed


@dataclass(frozen=True)
class AlignerTraining(Training):
    """As any training, with defaults of its own, also for what a configuration leaves out."""

    batch: Batch = field(default_factory=lambda: Batch(16, 16))
    max_steps: int = 600
    optimiser: Annotated[Part[Optimiser], OPTIMISERS] = field(default_factory=lambda: OPTIMISERS.part("adam", learning_rate=2e-3))
    schedule: Annotated[Part[Schedule], SCHEDULES] = field(default_factory=lambda: SCHEDULES.part("cosine", warm_up_steps=50))
    save_every: int = 200
    validate_every: int = 200
    keep_best: int = 1


@dataclass(frozen=True)
class Judging:
    """Which discriminators judge an adversarial vocoder, and how they are trained.

    Without ``parts`` they are those that the vocoder was published with; without an optimiser or a schedule they have the
    vocoder's. ``clip`` is the norm of their gradients. Vocoders that are not adversarial have no use for any of this.
    """

    parts: Annotated[tuple[Part[Discriminator], ...], DISCRIMINATORS] = ()
    optimiser: Annotated[Part[Optimiser] | None, OPTIMISERS] = None
    schedule: Annotated[Part[Schedule] | None, SCHEDULES] = None
    clip: float | None = 1.0


@dataclass(frozen=True)
class VocoderTraining(Training):
    """As any training. ``discriminator``: of an adversarial vocoder; None: as published, trained as the vocoder is."""

    discriminator: Judging | None = None

    def of(self, turn: str) -> Training:
        """What a turn's optimiser is built by."""
        own = self.discriminator if turn == "discriminator" else None
        if own is None:
            return self
        return replace(self, optimiser=own.optimiser or self.optimiser, schedule=own.schedule or self.schedule, clip=own.clip)


@dataclass(frozen=True)
class Aligner:
    """Size and training of the monotonic-search aligner, for decoders that are trained on durations."""

    channels: int = 128
    training: AlignerTraining = field(default_factory=AlignerTraining)

    def __post_init__(self) -> None:
        if self.channels < 2:
            raise ConfigError(f"channels: width of the convolutions, must be at least 2, got {self.channels}")


@dataclass(frozen=True)
class Synthesis:
    """How speech is made from text."""

    stop_threshold: float = 0.5
    window: Window | None = None  # of attention, around the symbol of the step before
    frames_per_symbol: float = 25.0  # bound on the length: this times symbols, plus one second
    utterances: int = 24  # of the eval set that stage 8 speaks, 0 for all
    max_seconds: float | None = None  # of each of them that is made a wave of; None for whole ones
    batch: int = 32
    precision: str = "fp32"  # fp32 | bf16 | int8, where a part has a fast path of it; see egs_docs/speed.md
    threads: int = 2  # at most, for one utterance or batch
    folds: int = 1  # segments of an utterance that an autoregressive vocoder makes side by side; 1 is exact

    def __post_init__(self) -> None:
        self.execution.checked()
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ConfigError(f"max_seconds: must be above 0, got {self.max_seconds!r}")

    @property
    def execution(self) -> Execution:
        """What the decoder and the vocoder are told."""
        return Execution(self.precision, self.threads, self.folds)


@dataclass(frozen=True)
class System:
    """Everything that a YAML may say. Sections are typed; parts are chosen by name, their knobs beside them in ``*_conf``."""

    encoder: Annotated[Part[Encoder], ENCODERS]
    attention: Annotated[Part[Attention] | None, ATTENTIONS]  # null where the decoder takes none
    decoder: Annotated[Part[Decoder], DECODERS]
    postnet: Annotated[Part[Postnet], POSTNETS]
    vocoder: Annotated[Part[Vocoder], VOCODERS]
    losses: Annotated[tuple[Part[Loss], ...], LOSSES]
    cleaner: Annotated[Part[Cleaner], CLEANERS] = field(default_factory=lambda: CLEANERS.part("english"))
    tokenizer: Annotated[Part[Tokenizer], TOKENIZERS] = field(default_factory=lambda: TOKENIZERS.part("char"))
    seed: int = 1
    features: MelSettings = field(default_factory=MelSettings)
    extras: tuple[str, ...] = ()  # f0, energy
    trim: Trim = field(default_factory=Trim)
    level: float | None = None  # peak to which each recording is scaled, None leaves it
    limits: Limits = field(default_factory=Limits)
    normalise: str = "none"  # none | per_bin: mean and variance of each mel bin
    reduction: int = 1  # frames a decoder step emits
    gradual_reduction: GradualReduction | None = None  # None: as many from the first update on
    teacher_forcing: TeacherForcing | None = None  # None: always
    conditioning: ConditioningSettings | None = None  # on speaker, language, vector or style; None: on the text alone
    aligner: Aligner = field(default_factory=Aligner)
    text2mel: Training = field(default_factory=Training)
    crops: Crops = field(default_factory=Crops)
    mel2wav: VocoderTraining = field(default_factory=VocoderTraining)
    synthesis: Synthesis = field(default_factory=Synthesis)

    def __post_init__(self) -> None:
        if self.normalise not in NORMALISATIONS:
            raise ConfigError(f"normalise: unknown, got {self.normalise!r}; known: {', '.join(NORMALISATIONS)}")
        if self.reduction < 1:
            raise ConfigError(f"reduction: frames a step emits, must be at least 1, got {self.reduction}")
        self._check_gradual_reduction()
        self._check_attention()
        if self.conditioning is not None and self.decoder.cls.memory_width is not None:
            raise ConfigError(f"conditioning: decoder {self.decoder.name!r} reads contexts of symbols alone; set it to null")
        if self.teacher_forcing is not None and not issubclass(self.decoder.cls, StepDecoder):
            raise ConfigError(f"teacher_forcing: decoder {self.decoder.name!r} is fed no frames; set teacher_forcing: null")
        if self.synthesis.window is not None and not issubclass(self.decoder.cls, StepDecoder):
            raise ConfigError(f"synthesis.window: decoder {self.decoder.name!r} does not attend step by step; set it to null")
        if not self.decoder.cls.makes_spectrum:
            self._check_conditions()
        elif not any(part.name in ("mse", "mae") for part in self.losses):
            raise ConfigError("losses: none of them compares frames; known: mse, mae")

    def _check_gradual_reduction(self) -> None:
        gradual, decoder = self.gradual_reduction, f"decoder {self.decoder.name!r}"
        if gradual is None:
            return
        if gradual.frames[-1] <= self.reduction:
            raise ConfigError(f"gradual_reduction.frames: must be above reduction of {self.reduction}, got {list(gradual.frames)}")
        if not issubclass(self.decoder.cls, StepDecoder):
            raise ConfigError(f"gradual_reduction: {decoder} makes every frame; set gradual_reduction: null")

    def _check_attention(self) -> None:
        """A decoder that takes an attention has one; another, which attends by itself or not at all, would ignore it silently."""
        decoder, taken = f"decoder {self.decoder.name!r}", "attention" in wired_names(self.decoder.cls)
        if taken and self.attention is None:
            raise ConfigError(f"attention: {decoder} needs one, got null; known: {', '.join(ATTENTIONS.names())}")
        if not taken and self.attention is not None:
            raise ConfigError(f"attention: {decoder} takes none, got {self.attention.name!r}; set attention: null")

    def _check_conditions(self) -> None:
        """What only a spectrum allows is refused where the decoder makes other conditions."""
        decoder = f"decoder {self.decoder.name!r}"
        if self.losses:
            raise ConfigError(f"losses: {decoder} has its own, got {self.losses[0].name}; set losses: {{}}")
        if self.crops.input == "natural":
            raise ConfigError(f"crops.input: recordings have none of the conditions of {decoder}, got 'natural'; gta")
        if self.postnet.name != "none":
            raise ConfigError(f"postnet: {decoder} makes no spectrum to refine, got {self.postnet.name!r}; none")
        if self.normalise != "none":
            raise ConfigError(f"normalise: {decoder} makes no spectrum, got {self.normalise!r}; none")
        if not self.vocoder.cls.trainable:
            raise ConfigError(f"vocoder: {decoder} makes no spectrum, got {self.vocoder.name!r}, which needs one; wavenet")

    @property
    def discriminators(self) -> tuple[Part[Discriminator], ...]:
        """Those that the vocoder is trained against; none where they never join."""
        if not issubclass(self.vocoder.cls, ParallelVocoder) or self.vocoder.knobs.get("adversarial_from", 0) is None:
            return ()
        published = self.vocoder.cls.published_with.items()
        chosen = self.mel2wav.discriminator.parts if self.mel2wav.discriminator else ()
        return chosen or tuple(DISCRIMINATORS.part(name, **knobs) for name, knobs in published)

    def check_extras(self, needs: Sequence[str]) -> None:
        """Refuse a decoder that is trained on more than is extracted."""
        if lacking := [name for name in needs if name in EXTRAS and name not in self.extras]:
            decoder, given = self.decoder.name, ", ".join([*self.extras, *lacking])
            raise ConfigError(f"extras: decoder {decoder!r} is trained on {' and '.join(lacking)}, got {[*self.extras]}; set [{given}]")

    def reduction_at(self, step: int) -> int:
        """Frames that a decoder step emits in an update."""
        return self.reduction if self.gradual_reduction is None else self.gradual_reduction.at(step, self.reduction)

    @property
    def condition_dim(self) -> int:
        """Width F of the frames that the vocoder is conditioned on."""
        return self.decoder.cls.condition_dim(self.features)


def load_system(path: Path | str, assignments: Sequence[str] = ()) -> System:
    """A preset or the resolved configuration of an experiment, with assignments of the command line over it.

    Raises:
        ConfigError: a setting is wrong. Where the part of a plugin is not here, it says which plugin is missing.
    """
    data = override(load_yaml(path), assignments)
    noted = data.pop(PLUGINS, {})
    try:
        return read(System, data)
    except ConfigError as error:
        missing = error.__cause__
        if isinstance(missing, UnknownPartError) and isinstance(noted, dict):
            origin = str(noted.get(f"{missing.kind}.{missing.name}", ""))
            if re.fullmatch(r"[\w.+() -]{1,100}", origin):  # it may have come with a model from elsewhere
                what = f"{missing.kind} {missing.name!r} comes from plugin {origin}"
                raise ConfigError(f"{path}: {what}; give --plugin {origin.partition(' ')[0]}") from missing
        raise


def as_saved(system: System) -> str:
    """The resolved configuration as YAML text, with a note of the plugins that it needs."""
    found = origins(system)
    return to_yaml(system) + (to_yaml({PLUGINS: found}) if found else "")
