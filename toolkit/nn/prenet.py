"""The bottleneck that the previous frame passes on its way into the decoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from toolkit.nn.noise import Noise


class Prenet(nn.Module):
    """Fully connected ReLU layers with dropout that stays on at synthesis (Tacotron 2, section 2.2).

    Args:
        n_mels: M.
        sizes: width of each layer; the last is P.
        dropout: probability; the draws come from ``Noise`` and there are none without it.
    """

    def __init__(self, n_mels: int, sizes: Sequence[int], dropout: float) -> None:
        super().__init__()
        widths = [n_mels, *sizes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.dropout = dropout
        self.out_dim = widths[-1]

    def forward(self, frames: Tensor, noise: Noise | None, start: int) -> Tensor:
        """Frames ``B T M`` of steps start .. start + T -> ``B T P``."""
        rows, steps, _ = frames.shape
        for index, layer in enumerate(self.layers):
            frames = torch.relu(layer(frames))
            if noise is not None and self.dropout:
                frames = frames * noise.keep(f"prenet.{index}", start, steps, rows, frames.shape[2], self.dropout).to(frames.dtype)
        return frames
