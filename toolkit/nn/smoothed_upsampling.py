"""From frames to samples by repetition: each frame repeated and smoothed along time, once for each scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import weight_norm

from toolkit.errors import ConfigError
from toolkit.nn.reach import Reach
from toolkit.nn.upsampling import Upsampling, upsampling_rates


class SmoothedFrames(nn.Module):
    """A convolution over frames, then each frame repeated and smoothed along time (Yamamoto et al. 2020, section 4.1).

    Args:
        channels: F, of the frames and of what comes out.
        aux_context: frames on both sides that the first convolution sees.
        scales: their product is the hop.
    """

    def __init__(self, channels: int, aux_context: int, scales: Sequence[int]) -> None:
        super().__init__()
        self.scales, self.kernel = tuple(scales), 2 * aux_context + 1
        self.conv_in = nn.Conv1d(channels, channels, self.kernel, bias=False)
        nn.init.kaiming_normal_(self.conv_in.weight, nonlinearity="relu")
        weight_norm(self.conv_in)
        self.up_layers = nn.ModuleList(weight_norm(_smoothing(scale)) for scale in scales)

    def reach(self, reach: Reach) -> Reach:
        """Frames that a sample depends on which depends on ``reach`` samples of this output."""
        for scale in reversed(self.scales):
            reach = reach.convolved(2 * scale + 1).upsampled(scale, scale, 0)
        return reach.convolved(self.kernel)

    def forward(self, frames: Tensor) -> Tensor:
        """``B T F`` -> ``B T*hop F``. The first convolution goes on with the first and last frame, smoothing with zeros."""
        side = self.kernel // 2
        x = self.conv_in(F.pad(frames.transpose(1, 2), (side, side), "replicate"))[:, None]
        for scale, layer in zip(self.scales, self.up_layers, strict=True):
            x = layer(x.repeat_interleave(scale, -1))
        return cast(Tensor, x[:, 0].transpose(1, 2))


class SmoothedUpsampling(Upsampling):
    """The same where the frames beyond an edge are given: no sample depends on what the edges are padded with.

    Raises:
        ConfigError: the scales do not multiply to the hop.
    """

    def __init__(self, channels: int, hop: int, aux_context: int, scales: Sequence[int]) -> None:
        super().__init__()
        if math.prod(scales) != hop or min(scales) < 1:
            raise ConfigError(f"upsample scales {[*scales]} = {math.prod(scales)} but hop is {hop}; e.g. {upsampling_rates(hop)}")
        if aux_context < 0:
            raise ConfigError(f"aux_context: must be at least 0, got {aux_context}")
        self.channels, self.hop = channels, hop
        self.frames = SmoothedFrames(channels, aux_context, scales)
        self.before, self.after = self.frames.reach(Reach())

    def forward(self, frames: Tensor) -> Tensor:
        """``B before+T+after F`` -> ``B T*hop F``."""
        samples: Tensor = self.frames(frames)
        return samples[:, self.before * self.hop : samples.shape[1] - self.after * self.hop]


def _smoothing(scale: int) -> nn.Conv2d:
    """One filter for all channels, a mean at first."""
    layer = nn.Conv2d(1, 1, (1, 2 * scale + 1), padding=(0, scale), bias=False)
    nn.init.constant_(layer.weight, 1 / (2 * scale + 1))
    return layer
