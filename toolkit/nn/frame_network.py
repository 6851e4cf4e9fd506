"""Convolutions over frames of conditioning, before they are brought to the rate of samples."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

KERNEL = 3


class FrameNetwork(nn.Module):
    """``layers`` convolutions of 3 frames with ReLU between them; none leaves the frames as they are.

    It uses no padding: ``reach`` frames more are needed on both sides than come out.
    """

    def __init__(self, in_channels: int, channels: int, layers: int) -> None:
        super().__init__()
        widths = [in_channels] + [2 * channels] * (layers - 1) + [channels] if layers else [in_channels]
        self.channels, self.reach = widths[-1], layers * (KERNEL // 2)
        self.layers = nn.ModuleList(nn.Conv1d(widths[i], widths[i + 1], KERNEL) for i in range(layers))

    def forward(self, frames: Tensor) -> Tensor:
        """``B reach+T+reach C`` -> ``B T channels``."""
        x = frames.transpose(1, 2)
        for i, layer in enumerate(self.layers):
            x = layer(F.relu(x) if i else x)
        return x.transpose(1, 2)
