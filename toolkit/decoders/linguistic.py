"""The decoder of the parametric baseline: not a spectrum, but what a vocoder needs to know of each frame instead.

::

    contexts of symbols --> [duration model] --> frames of each symbol
             |                                           |
             +--------------- repeated ------------------+--> contexts, position, duration --+--> conditions of the vocoder
                                                                            |                |
                                                                            +--> [F0 model] -+   (log F0, voicing)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from toolkit.audio.f0 import REFERENCE, continuous_log_f0
from toolkit.audio.mel import MelSettings
from toolkit.decoders.base import DECODERS, Output, PlannedDecoder, Targets, planned_output
from toolkit.errors import ConfigError
from toolkit.nn.duration_model import UNIT, DurationModel
from toolkit.nn.durations import TIMING, symbols_of_frames, timing
from toolkit.nn.f0_model import F0Model
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.text.linguistic import COLUMN, PAUSE, WIDTH

MELODY = 2  # values of a frame beside its symbol's context and its timing
PAUSE_COLUMN = COLUMN[f"this.{PAUSE}"]


@DECODERS.register("linguistic")
class LinguisticDecoder(PlannedDecoder):
    """Linguistic contexts, durations and log F0 of frames, as WaveNet was conditioned on (WaveNet, appendix B).

    A frame is its symbol's context; its position in the symbol, counted from both ends as shares of the duration; ln(1 +
    duration); ln F0, bridged where unvoiced; and 1 where voiced. Training and ground-truth alignment take durations and F0 from
    the recording; free running predicts both, durations in whole frames, at least one for a phone, and ends when they do.
    There is no attention, and the stop rule is not asked. Sizes of both models are ours, the source has none.

    Args:
        duration_lstm: units of both directions of the duration model.
        f0_layers, f0_cycles, f0_channels: of the F0 model.
        f0_lag: frames between a frame and the latest melody that the F0 model knows.
        duration_weight, f0_weight, voicing_weight: of the losses: squared error of the duration in units of 20 frames, of
            ln F0, cross entropy.
    """

    needs = ("durations", "f0")
    makes_spectrum = False
    memory_width = WIDTH

    def __init__(
        self,
        memory_dim: int,
        reduction: int,
        *,
        duration_lstm: int = 128,
        f0_layers: int = 12,
        f0_cycles: int = 2,
        f0_channels: int = 64,
        f0_lag: int = 20,
        duration_weight: float = 1.0,
        f0_weight: float = 1.0,
        voicing_weight: float = 1.0,
    ) -> None:
        super().__init__(reduction)
        if memory_dim != WIDTH:
            raise ConfigError(f"the linguistic decoder reads a memory of {WIDTH} values, got {memory_dim}; set encoder: linguistic")
        if duration_lstm % 2:
            raise ConfigError(f"duration_lstm: units of both directions, must be even, got {duration_lstm}; nearest: {duration_lstm + 1}")
        if f0_cycles < 1 or f0_layers % f0_cycles:
            raise ConfigError(f"f0_cycles: must divide f0_layers = {f0_layers}, got {f0_cycles}")
        if f0_lag < 1:
            raise ConfigError(f"f0_lag: frames, must be at least 1, got {f0_lag}")
        self.scales = {"duration": duration_weight, "f0": f0_weight, "voicing": voicing_weight}
        self.duration_model = DurationModel(WIDTH, duration_lstm)
        self.f0_model = F0Model(WIDTH + TIMING, f0_layers, f0_cycles, f0_channels, f0_lag)

    @classmethod
    def condition_dim(cls, features: MelSettings) -> int:
        return WIDTH + TIMING + MELODY

    def forward(
        self, memory: Tensor, mask: Tensor, targets: Targets, noise: Noise | None, teacher: float = 1.0, hard: bool = False
    ) -> Output:
        """Conditions ``B T F`` of the recording, with the predictions of both models in ``extra``.

        Raises:
            ValueError: the targets lack durations or F0.
        """
        if targets.durations is None or targets.f0 is None:
            raise ValueError("the linguistic decoder is taught with durations and F0 of the recording, got none")
        contexts, weights = spread(memory, targets.durations, targets.mel.shape[1])
        melody = _melody(targets.f0, targets.lengths).to(contexts)  # B T 2
        f0, voicing = self.f0_model(contexts, melody)
        durations = self.duration_model(memory, (~mask).sum(1)).masked_fill(mask, 0.0)
        true = targets.durations.to(durations) / UNIT
        extra = {"durations": durations, "true_durations": true, "f0": f0, "voicing": voicing, "melody": melody}
        return planned_output(torch.cat([contexts, melody], 2), targets.lengths, weights)._replace(extra=extra)

    def plan(self, memory: Tensor, mask: Tensor) -> Tensor:
        least = (memory[..., PAUSE_COLUMN] < 0.5).long()
        return self.duration_model.frames(memory, (~mask).sum(1), least).masked_fill(mask, 0)

    def perform(self, memory: Tensor, mask: Tensor, durations: Tensor, lengths: Tensor) -> Output:
        contexts, weights = spread(memory, durations, int(lengths.max()))
        melody = torch.stack(self.f0_model.generate(contexts), 2)
        return planned_output(torch.cat([contexts, melody], 2), lengths, weights)

    def losses(self, output: Output, targets: Targets) -> dict[str, Tensor]:
        """``duration`` over symbols, ``f0`` and ``voicing`` over frames: weighted sums over the batch."""
        extra = output.extra
        f0, voiced = extra["melody"].unbind(2)
        keep = ~padding_mask(targets.lengths, f0.shape[1])
        errors = {
            "duration": (extra["durations"] - extra["true_durations"]).square(),
            "f0": (extra["f0"] - f0).square() * keep,
            "voicing": F.binary_cross_entropy_with_logits(extra["voicing"], voiced, reduction="none") * keep,
        }
        return {name: self.scales[name] * error.sum() for name, error in errors.items()}


def spread(memory: Tensor, durations: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Every symbol for as many frames as it lasts.

    Args:
        memory: ``B S D``.
        durations: int64 ``B S``.
        frames: T; what lasts longer is cut off, what ends sooner goes on with its last symbol.

    Returns:
        ``B T D+3``: contexts and ``timing``; and 1 where a frame belongs to a symbol, ``B T S``.
    """
    at = symbols_of_frames(durations, frames)
    contexts = memory.gather(1, at[..., None].expand(-1, -1, memory.shape[2]))
    weights = F.one_hot(at, memory.shape[1]).to(memory.dtype)
    return torch.cat([contexts, timing(durations, at).to(memory.dtype)], 2), weights


def _melody(hertz: Tensor, lengths: Tensor) -> Tensor:
    """F0 ``B T`` -> ln F0 and voicing ``B T 2`` on the CPU, 0 on padding."""
    melody = torch.zeros(*hertz.shape, MELODY)
    for row, (values, length) in enumerate(zip(hertz.float().cpu(), lengths.tolist(), strict=True)):
        melody[row, :length] = torch.from_numpy(np.stack(continuous_log_f0(values[:length].numpy(), REFERENCE), 1))
    return melody
