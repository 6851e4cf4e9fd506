"""What a sample's distribution is measured against: a shift and a gain known before the sample.

The network models y = (x - p) / g, and the mass of the 16-bit sample x is that of a bin of width / g around y.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.audio.linear_prediction import predictor
from toolkit.audio.mel import MelSettings
from toolkit.errors import ConfigError
from toolkit.nn.upsampling import interpolate


class Shift(NamedTuple):
    """Sample by sample."""

    coefficients: Tensor  # B N O: the prediction is their product with the last O samples, oldest first
    gain: Tensor  # B N


class TargetScale(nn.Module):
    """No prediction, and a constant gain: y = x scale. Tacotron 2, section 3.1, scales targets by 127.5."""

    inputs, order, after = 1, 0, 0

    def __init__(self, hop: int, scale: float) -> None:
        super().__init__()
        self.hop, self.scale = hop, scale

    def forward(self, frames: Tensor) -> Shift:
        """``B T F`` -> shift of ``T hop`` samples."""
        rows, samples = frames.shape[0], frames.shape[1] * self.hop
        return Shift(frames.new_zeros(rows, samples, 0), frames.new_full((rows, samples), 1 / self.scale))


class PredictionShift(nn.Module):
    """A linear predictor and its gain from the mel itself; the network models the rest.

    As in LP-WaveNet (Hwang et al. 2018) and LPCNet (Valin & Skoglund 2019). Predictors change half-way between frames, the log
    gain is interpolated. One learned number corrects all gains, since a smooth envelope leaves out the fine structure.
    """

    inputs, after = 3, 1

    def __init__(self, hop: int, features: MelSettings, order: int, pre_emphasis: float) -> None:
        super().__init__()
        if features.pre_emphasis or features.centre:
            raise ConfigError("lp_shift: reads the envelope from the mel, set features.pre_emphasis and features.centre to 0")
        self.hop, self.features, self.order, self.pre_emphasis = hop, features, order, pre_emphasis
        self.log_gain_offset = nn.Parameter(torch.zeros(()))

    def forward(self, frames: Tensor) -> Shift:
        """``B T+1 M`` in natural units -> shift of ``T hop`` samples."""
        coefficients, log_gain = predictor(frames, self.features, self.order, self.pre_emphasis)
        nearest = coefficients.flip(-1).repeat_interleave(self.hop, 1)
        half = self.hop // 2
        gain = torch.exp(interpolate(log_gain[..., None], self.hop)[..., 0] + self.log_gain_offset)
        return Shift(nearest[:, half : half + gain.shape[1]], gain)


def predict(signal: Tensor, coefficients: Tensor) -> Tensor:
    """``B N`` and ``B N O`` -> each sample's prediction from the O before it, ``B N``; before the start there are zeros."""
    order = coefficients.shape[-1]
    if order == 0:
        return torch.zeros_like(signal)
    padded = F.pad(signal, (order, 0))
    return (padded.unfold(1, order, 1)[:, :-1] * coefficients).sum(-1)


def delayed(signal: Tensor) -> Tensor:
    """``B N`` one sample later, zero first."""
    return F.pad(signal, (1, 0))[:, :-1]
