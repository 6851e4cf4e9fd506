"""The decoder that needs no attention: durations say which frames each symbol has.

::

    memory --> [duration model] --> frames of each symbol --------+
      |  \\--> [pitch], [energy] --> a value of each symbol        |
      |                                     |                     |
      +-----------------------------------> + --> [upsampling] <--+
                                                       |
                                 B T D, and where in its symbol a frame stands --> [body] --> frames
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from toolkit.audio.f0 import REFERENCE
from toolkit.decoders.base import DECODERS, Output, PlannedDecoder, Targets, planned_output
from toolkit.decoders.non_attentive_bodies import BodySizes, body_of
from toolkit.errors import ConfigError, nearest
from toolkit.nn.duration_model import UNIT, DurationModel
from toolkit.nn.durations import TIMING, GaussianUpsampling, Repetition, means_of_symbols, symbols_of_frames, timing
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.nn.variance_predictor import VariancePredictor

UPSAMPLINGS = ("gaussian", "repeat")
KERNEL = 3  # of the predictors of pitch and energy
SEMITONE = math.log(2.0) / 12.0


@DECODERS.register("non_attentive")
class NonAttentiveDecoder(PlannedDecoder):
    """Memory upsampled by durations, then layers that make all frames at once; there is no attention, and no stop rule is asked.

    With Gaussian upsampling and body ``lstm`` it is Non-Attentive Tacotron (Shen et al. 2020, arXiv 2010.04301) without its
    autoregression. With pitch, energy, ``upsampling: repeat`` and body ``transformer`` it is FastSpeech 2 (Ren et al. 2020, arXiv
    2006.04558); here a pitch and an energy belong to a symbol, not to a frame, and enter through a linear layer, not in 256
    levels. In both a frame is told where it stands in its symbol. Training takes durations, pitch and energy of the recording;
    free running predicts them. Durations are trained with squared errors of frames, as are those of ``linguistic``.

    Args:
        upsampling: ``gaussian``, with ranges from the memory, or ``repeat``.
        range_lstm, duration_lstm: units of both directions of what predicts ranges and durations.
        body: ``conv``, ``lstm`` or ``transformer``.
        layers, width, dropout: of the body.
        kernel_size: of its convolutions.
        heads, feed_forward: of body ``transformer``.
        pitch, energy: whether symbols have a pitch, the mean ln F0 of their voiced frames, and an energy, ln(1 + mean). They need
            ``extras: [f0, energy]``.
        predictor, predictor_dropout: channels and dropout of what predicts pitch and energy.
        duration_weight, pitch_weight, energy_weight: of the losses: squared errors of symbols, durations in units of 20 frames.
        speed, pitch_shift, energy_scale: of free running: times as fast, semitones up, times the energy.
    """

    def __init__(
        self,
        memory_dim: int,
        n_mels: int,
        reduction: int,
        *,
        upsampling: str = "gaussian",
        range_lstm: int = 128,
        duration_lstm: int = 128,
        body: str = "conv",
        layers: int = 6,
        width: int = 256,
        kernel_size: int = 5,
        heads: int = 2,
        feed_forward: int = 1024,
        dropout: float = 0.1,
        pitch: bool = False,
        energy: bool = False,
        predictor: int = 256,
        predictor_dropout: float = 0.5,
        duration_weight: float = 1.0,
        pitch_weight: float = 1.0,
        energy_weight: float = 1.0,
        speed: float = 1.0,
        pitch_shift: float = 0.0,
        energy_scale: float = 1.0,
    ) -> None:
        super().__init__(reduction)
        asked = [name for name, wanted in (("pitch", pitch), ("energy", energy)) if wanted]
        _check_units(range_lstm=range_lstm, duration_lstm=duration_lstm)
        _check_manner(asked, speed, pitch_shift, energy_scale)
        if upsampling not in UPSAMPLINGS:
            raise ConfigError(f"upsampling: unknown, got {upsampling!r}; {nearest(upsampling, UPSAMPLINGS)}")
        self.needs = ("durations", *["f0"] * pitch, *["energy"] * energy)
        self.scales = {"duration": duration_weight, "pitch": pitch_weight, "energy": energy_weight}
        self.speed, self.pitch_shift, self.energy_scale = speed, pitch_shift, energy_scale
        self.duration_model = DurationModel(memory_dim, duration_lstm)
        self.predictors = nn.ModuleDict({name: VariancePredictor(memory_dim, predictor, KERNEL, predictor_dropout) for name in asked})
        self.colours = nn.ModuleDict({name: nn.Linear(1, memory_dim) for name in asked})
        self.upsampling = GaussianUpsampling(memory_dim, range_lstm) if upsampling == "gaussian" else Repetition()
        self.first = nn.Linear(memory_dim + TIMING, width)
        self.body = body_of(body, BodySizes(layers, width, kernel_size, heads, feed_forward, dropout))
        self.last = nn.Linear(width, n_mels)

    def forward(
        self, memory: Tensor, mask: Tensor, targets: Targets, noise: Noise | None, teacher: float = 1.0, hard: bool = False
    ) -> Output:
        """Frames of a recording whose durations, pitch and energy are given, with what would have been predicted in ``extra``.

        Raises:
            ValueError: the targets lack durations, or F0 or energy where they are needed.
        """
        if targets.durations is None:
            raise ValueError("the non_attentive decoder is taught with durations of the recording, got none")
        at = symbols_of_frames(targets.durations, targets.mel.shape[1])
        true = {name: self._measured(name, targets, at).to(memory) for name in self.predictors}
        output = self._frames(self._coloured(memory, mask, true), mask, targets.durations, targets.lengths, at)
        extra = {name: predictor(memory, mask) for name, predictor in self.predictors.items()}
        extra["duration"] = self.duration_model(memory, (~mask).sum(1)).masked_fill(mask, 0.0)
        true["duration"] = targets.durations.to(memory) / UNIT
        return output._replace(extra=extra | {f"true_{name}": values for name, values in true.items()})

    def plan(self, memory: Tensor, mask: Tensor) -> Tensor:
        least = (torch.arange(mask.shape[1], device=mask.device) == 0).long()  # a text is never without a frame
        return self.duration_model.frames(memory, (~mask).sum(1), least, self.speed).masked_fill(mask, 0)

    def perform(self, memory: Tensor, mask: Tensor, durations: Tensor, lengths: Tensor) -> Output:
        values = {name: predictor(memory, mask) for name, predictor in self.predictors.items()}
        if self.pitch_shift:
            values["pitch"] = values["pitch"] + self.pitch_shift * SEMITONE
        if self.energy_scale != 1.0:
            values["energy"] = torch.log1p(self.energy_scale * torch.expm1(values["energy"].clamp(min=0.0)))
        at = symbols_of_frames(durations, int(lengths.max()))
        return self._frames(self._coloured(memory, mask, values), mask, durations, lengths, at)

    def losses(self, output: Output, targets: Targets) -> dict[str, Tensor]:
        """``duration``, and ``pitch`` and ``energy`` where they are predicted: weighted sums over the symbols of the batch."""
        extra = output.extra
        return {name: self.scales[name] * (extra[name] - extra[f"true_{name}"]).square().sum() for name in ("duration", *self.predictors)}

    def _measured(self, name: str, targets: Targets, at: Tensor) -> Tensor:
        """Pitch or energy of each symbol of a recording, ``B S``."""
        assert targets.durations is not None
        values, symbols = targets.f0 if name == "pitch" else targets.energy, targets.durations.shape[1]
        if values is None:
            raise ValueError(f"the non_attentive decoder is taught with {name} of the recording, got none")
        counted = ~padding_mask(targets.lengths, at.shape[1])
        if name == "energy":
            return torch.log1p(means_of_symbols(values, counted, at, symbols))
        return means_of_symbols(torch.log(values.clamp(min=1.0) / REFERENCE), counted & (values > 0), at, symbols)

    def _coloured(self, memory: Tensor, mask: Tensor, values: dict[str, Tensor]) -> Tensor:
        """Memory with pitch and energy of its symbols added."""
        for name, colour in self.colours.items():
            memory = memory + colour(values[name][..., None])
        return memory.masked_fill(mask[..., None], 0.0)

    def _frames(self, memory: Tensor, mask: Tensor, durations: Tensor, lengths: Tensor, at: Tensor) -> Output:
        weights = self.upsampling(memory, mask, durations, at)
        past = padding_mask(lengths.clamp(min=1), at.shape[1])
        x = self.first(torch.cat([weights @ memory, timing(durations, at).to(memory)], 2)).masked_fill(past[..., None], 0.0)
        return planned_output(self.last(self.body(x, past)), lengths, weights)


def _check_units(**units: int) -> None:
    for name, count in units.items():
        if count < 2 or count % 2:
            raise ConfigError(f"{name}: units of both directions, must be even, got {count}; nearest: {max(2, count + count % 2)}")


def _check_manner(asked: Sequence[str], speed: float, pitch_shift: float, energy_scale: float) -> None:
    """Refuse a manner of speaking that this voice cannot have."""
    for knob, value in (("speed", speed), ("energy_scale", energy_scale)):
        if value <= 0:
            raise ConfigError(f"{knob}: must be above 0, got {value:g}; 1 changes nothing")
    for knob, name, value, neutral in (("pitch_shift", "pitch", pitch_shift, 0.0), ("energy_scale", "energy", energy_scale, 1.0)):
        if value != neutral and name not in asked:
            raise ConfigError(f"{knob}: this decoder predicts no {name}, got {value:g}; train one with {name}: true")
