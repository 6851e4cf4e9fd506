"""From frames to samples: frame t is centred on sample t x hop, so sample n lies between frames n // hop and n // hop + 1.

All kinds take ``after`` frames more than they give, and most no earlier ones: ``B before+T+after C`` -> ``B T*hop channels``.
A chunk of a stream needs ``after`` frames of lookahead and no state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.errors import ConfigError

LEAK = 0.4  # ClariNet, section 3.1


def interpolate(frames: Tensor, hop: int) -> Tensor:
    """Linear interpolation between frame centres, ``B T+1 C`` -> ``B T*hop C``. It commutes with any 1x1 convolution."""
    rows, count, channels = frames.shape
    start = frames[:, :-1, None]  # B T 1 C
    slope = frames[:, 1:, None] - start
    share = torch.arange(hop, device=frames.device, dtype=frames.dtype) / hop
    return (start + share[:, None] * slope).reshape(rows, (count - 1) * hop, channels)


def hold_edges(frames: Tensor, start: Tensor, end: Tensor, before: int, after: int) -> Tensor:
    """Frames of rows that exist from ``start`` to ``end`` only, the first and last of them held outside.

    Args:
        frames: ``B T C``.
        start: ``B``, the first true frame of each row.
        end: ``B``, one past the last true frame.
        before: frames added in front.
        after: frames added at the end.

    Returns:
        ``B before+T+after C``.
    """
    index = torch.arange(-before, frames.shape[1] + after, device=frames.device)[None]
    index = torch.maximum(torch.minimum(index, end[:, None] - 1), start[:, None])
    return frames.gather(1, index[..., None].expand(-1, -1, frames.shape[2]))


class Upsampling(nn.Module):
    """A kind. Attributes: ``channels`` that it gives, ``before`` and ``after`` as above."""

    channels: int
    before: int = 0
    after: int


class LinearUpsampling(Upsampling):
    """Interpolation of each channel, without parameters."""

    after = 1

    def __init__(self, in_channels: int, hop: int) -> None:
        super().__init__()
        self.channels, self.hop = in_channels, hop

    def forward(self, frames: Tensor) -> Tensor:
        """``B T+1 C`` -> ``B T*hop C``."""
        return interpolate(frames, self.hop)


class TransposedUpsampling(Upsampling):
    """A transposed convolution for each scale, leaky ReLU after each but the last.

    Tacotron 2, section 2.3: two such layers for a hop of 12.5 ms; the scales 15 and 20 and kernels of twice the scale are
    those of ClariNet, section 3.1. A kernel starts as a random mix of the channels times the triangle that interpolates
    linearly, so there is no checkerboard to unlearn.

    Raises:
        ConfigError: the scales do not multiply to the hop.
    """

    def __init__(self, in_channels: int, channels: int, hop: int, scales: Sequence[int]) -> None:
        super().__init__()
        if math.prod(scales) != hop or min(scales) < 1:
            shown = list(scales)
            raise ConfigError(f"upsample scales {shown} = {math.prod(scales)} but hop is {hop}; e.g. {default_scales(hop)}")
        self.channels, self.scales = channels, tuple(scales)
        layers = []
        for scale in scales:
            layers.append(nn.ConvTranspose1d(in_channels, channels, 2 * scale, stride=scale))
            _start_linear(layers[-1], scale)
            in_channels = channels
        self.layers = nn.ModuleList(layers)
        self.after = 0  # a layer needs one step ahead at its own rate: in frames 1 + 1/s1 + 1/(s1 s2) + ..., rounded up
        for scale in reversed(self.scales):
            self.after = -(-self.after // scale) + 1

    def forward(self, frames: Tensor) -> Tensor:
        """``B T+after C`` -> ``B T*hop channels``."""
        x = frames.transpose(1, 2)
        for i, (layer, scale) in enumerate(zip(self.layers, self.scales, strict=True)):
            # The centre of a kernel is ``scale`` past its start; outputs that lack a neighbour are cut.
            x = layer(F.leaky_relu(x, LEAK) if i else x)[..., scale:-scale]
        samples = (frames.shape[1] - self.after) * math.prod(self.scales)
        return x[..., :samples].transpose(1, 2)


def default_scales(hop: int) -> list[int]:
    """Two scales as equal as the hop allows: 300 -> [15, 20]."""
    small = max(scale for scale in range(1, math.isqrt(hop) + 1) if hop % scale == 0)
    return [small, hop // small]


def upsampling_rates(hop: int, most: int = 4) -> list[int]:
    """At most ``most`` factors of the hop, largest first and as equal as its primes allow: 275 -> [11, 5, 5], 300 -> [5, 5, 4, 3]."""
    factors, rest, prime = list[int](), hop, 2
    while rest > 1:
        while rest % prime == 0:
            factors.append(prime)
            rest //= prime
        prime += 1
    while len(factors) > most:
        factors.sort(reverse=True)
        factors.append(factors.pop() * factors.pop())
    return sorted(factors, reverse=True) or [1]


def _start_linear(layer: nn.ConvTranspose1d, scale: int) -> None:
    triangle = 1 - (torch.arange(2 * scale) - scale).abs() / scale
    mix = torch.empty(layer.out_channels, layer.in_channels)
    nn.init.kaiming_uniform_(mix, a=math.sqrt(5))
    with torch.no_grad():
        layer.weight.copy_(mix.T[:, :, None] * triangle)
    nn.init.zeros_(cast(Tensor, layer.bias))
