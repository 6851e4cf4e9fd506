"""A vocoder without training: inverted mel bands and the phases of Griffin and Lim."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from toolkit.audio.griffin_lim import griffin_lim
from toolkit.audio.mel import Floats, MelSettings, linear_magnitude, unemphasised
from toolkit.data.batches import WaveBatch
from toolkit.errors import ConfigError
from toolkit.nn.noise import Noise
from toolkit.vocoders.base import VOCODERS, Vocoder


@VOCODERS.register("griffin_lim")
class GriffinLim(Vocoder):
    """Pseudo-inverse of the mel bands, sharpened, then fast Griffin-Lim (Perraudin et al. 2013).

    Args:
        iterations: of the search for phases.
        momentum: 0 is Griffin & Lim 1984.
        power: exponent on the magnitude that deepens its valleys (Wang et al. 2017, Tacotron, section 3.4: 1.2).
        peak: to which each utterance is scaled; None keeps the level that its mel tells.
    """

    trainable = False

    def __init__(
        self,
        features: MelSettings,
        *,
        iterations: int = 60,
        momentum: float = 0.99,
        power: float = 1.2,
        peak: float | None = None,
    ) -> None:
        super().__init__()
        for name, value, low, high in (("iterations", iterations, 1, 10_000), ("momentum", momentum, 0, 2), ("power", power, 0.1, 4)):
            if not low <= value <= high:
                raise ConfigError(f"{name}: must be from {low} to {high}, got {value!r}")
        if peak is not None and not 0 < peak <= 1:
            raise ConfigError(f"peak: must be above 0 and at most 1, got {peak!r}")
        self.features, self.iterations, self.momentum, self.power, self.peak = features, iterations, momentum, power, peak

    def losses(self, batch: WaveBatch, turn: str) -> dict[str, Tensor]:
        raise ConfigError("vocoder: griffin_lim has nothing to train; leave its training out or choose wavenet")

    def generate(self, condition: Tensor, lengths: Tensor, noise: Noise | None, speaker: Tensor | None = None) -> Tensor:
        """Log-mel ``B T M`` in natural units -> wave ``B T x hop``. ``noise`` draws the first phases; None: always the same ones."""
        rows, frames, _ = condition.shape
        seeds = [0] * rows if noise is None else (noise.uniform("griffin_lim", 0, 1, rows, 1).flatten() * 2**24).int().tolist()
        wave = torch.zeros(rows, frames * self.features.hop)
        for row, (mel, length, seed) in enumerate(zip(condition.float().cpu(), lengths.tolist(), seeds, strict=True)):
            if length:
                wave[row, : length * self.features.hop] = torch.from_numpy(self._invert(mel[:length].numpy(), seed))
        return wave.to(condition.device)

    def stream(self, chunks: Iterable[Tensor], noise: Noise | None) -> Iterator[Tensor]:
        """One wave after the last chunk: every phase depends on all frames."""
        condition = torch.cat(list(chunks), 1)
        yield self.generate(condition, torch.tensor([condition.shape[1]]), noise)

    def _invert(self, mel: Floats, seed: int) -> Floats:
        magnitude = linear_magnitude(mel, self.features)
        sharp = magnitude**self.power
        sharp *= np.linalg.norm(magnitude) / np.linalg.norm(sharp)
        wave = griffin_lim(sharp, self.features, self.iterations, self.momentum, seed, self.execution.workers)
        wave = unemphasised(wave, self.features)
        return wave if self.peak is None else wave * np.float32(self.peak / max(float(np.abs(wave).max()), 1e-9))
