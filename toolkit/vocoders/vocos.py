"""Vocos: blocks of ConvNeXt at the rate of frames, then the inverse Fourier transform of what they say of each frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.audio.mel import MelSettings
from toolkit.errors import ConfigError
from toolkit.nn.inverse_stft import InverseSTFT
from toolkit.nn.normaliser import Normaliser
from toolkit.nn.spectral_losses import MelDistance, at_least_float32
from toolkit.vocoders.base import VOCODERS, Adversarial, ParallelVocoder

KERNEL, EPSILON, DEVIATION = 7, 1e-6, 0.02
LARGEST = 100.0  # magnitude, as published
FLOOR = 1e-7  # of the mels that are compared, as published


@VOCODERS.register("vocos")
class Vocos(ParallelVocoder):
    """Siuzdak 2023, arXiv 2306.00814. Its work is done at the rate of frames, so it is the one that trains on a CPU.

    The published transform has 1024 points at a hop of 256; ours has four hops too, whatever the hop. Frame t is centred on
    sample t x hop as in our mels, and there are exactly hop samples for each frame.

    Args:
        layers: blocks.
        width: channels of a block.
        hidden: inside of it, between its two products.
        n_fft: points of the inverse transform, even; null: four hops.
        mel_weight: of the distance of log-mels in the loss.
        adversarial_from: updates before the discriminators join; null: never.
        adversarial_weight: of their judgements in the loss.
        feature_weight: of feature matching.
        criterion: hinge or least_squares.
        hold_edges: an utterance goes on with its first and last frame beyond its ends; false: with zeros in every layer.
    """

    # the mean over the nets of each kind, and a tenth for resolutions
    published_with = {"multi_period": {"weight": 0.2}, "multi_resolution": {"weight": 0.1 / 3}}

    def __init__(
        self,
        condition_dim: int,
        hop: int,
        features: MelSettings,
        *,
        layers: int = 8,
        width: int = 512,
        hidden: int = 1536,
        n_fft: int | None = None,
        mel_weight: float = 45.0,
        adversarial_from: int | None = 0,
        adversarial_weight: float = 1.0,
        feature_weight: float = 1.0,
        criterion: str = "hinge",
        hold_edges: bool = True,
    ) -> None:
        super().__init__()
        n_fft = n_fft or 4 * hop
        if n_fft % 2 or n_fft < 2 * hop:
            raise ConfigError(f"n_fft: must be even and at least two hops of {hop}, got {n_fft}; e.g. {4 * hop}")
        for name, value in (("layers", layers), ("width", width), ("hidden", hidden)):
            if value < 1:
                raise ConfigError(f"{name}: must be at least 1, got {value}")
        self.hop, self.hold_edges, self.mel_weight = hop, hold_edges, mel_weight
        self.adversarial = Adversarial(adversarial_from, adversarial_weight, feature_weight, criterion).checked()
        self.normaliser = Normaliser(condition_dim)
        self.embed = nn.Conv1d(condition_dim, width, KERNEL, padding=KERNEL // 2)
        self.norm = nn.LayerNorm(width, EPSILON)
        self.convnext = nn.ModuleList(_Block(width, hidden, 1 / layers) for _ in range(layers))
        self.final_layer_norm = nn.LayerNorm(width, EPSILON)
        self.out = nn.Linear(width, n_fft + 2)
        self.istft = InverseSTFT(n_fft, hop)
        self.mel = MelDistance(features, FLOOR)
        for part in self.modules():
            if isinstance(part, (nn.Conv1d, nn.Linear)) and part is not self.out:
                nn.init.trunc_normal_(part.weight, std=DEVIATION)
                nn.init.zeros_(part.bias)  # type: ignore[arg-type]
        side, reach = (1 + layers) * (KERNEL // 2), self.istft.reach
        self.context, self.lookahead = side + reach.before, side + reach.after

    def forward(self, frames: Tensor, draws: Tensor | None = None) -> Tensor:
        """Section 3: magnitude exp(m) and phase p of each bin, as M (cos p + j sin p)."""
        x = self.norm(self.embed(frames.transpose(1, 2)).transpose(1, 2))
        for block in self.convnext:
            x = block(x)
        with torch.autocast(x.device.type, enabled=False):  # eight bits are too few for a phase
            log_magnitude, phase = self.out(at_least_float32(self.final_layer_norm(x))).chunk(2, -1)
            wave: Tensor = self.istft(torch.polar(log_magnitude.exp().clamp(max=LARGEST), phase))
        return wave

    def distances(self, made: Tensor, true: Tensor) -> dict[str, Tensor]:
        """``mel``: section 3, with its weight."""
        return {"mel": self.mel_weight * self.mel(made, true)}


class _Block(nn.Module):
    """ConvNeXt in one dimension (Liu et al. 2022): depthwise convolution, norm, two products, a learned scale, residual."""

    def __init__(self, width: int, hidden: int, scale: float) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width, EPSILON)
        self.pwconv1 = nn.Linear(width, hidden)
        self.pwconv2 = nn.Linear(hidden, width)
        self.gamma = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.pwconv1(self.norm(self.dwconv(x.transpose(1, 2)).transpose(1, 2)))
        changed: Tensor = x + self.gamma * self.pwconv2(nn.functional.gelu(inner))
        return changed
