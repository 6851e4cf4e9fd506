"""The inverse short-time Fourier transform as a layer: as many hops of samples as there are frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.nn.reach import Reach

ENVELOPE_FLOOR = 1e-8


class InverseSTFT(nn.Module):
    """Overlap and add with a Hann window, divided by the sum of its squares. Frame t is centred on sample t x hop.

    Args:
        n_fft: size of the transform and of the window, even and at least two hops.
        hop: samples between two frames.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    @property
    def reach(self) -> Reach:
        """Frames that a sample depends on."""
        half = self.n_fft // 2
        return Reach(-(-half // self.hop) - 1, (self.hop - 1 + half) // self.hop)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Complex ``B T n_fft/2+1`` -> waves ``B T*hop``."""
        frames = torch.fft.irfft(spectrum, self.n_fft) * self.window
        squares = self.window.square()[None, None].expand(1, frames.shape[1], -1)
        return self._added(frames) / self._added(squares).clamp(min=ENVELOPE_FLOOR)

    def _added(self, frames: Tensor) -> Tensor:
        count = frames.shape[1]
        size = ((count - 1) * self.hop + self.n_fft, 1)
        whole = F.fold(frames.transpose(1, 2), size, (self.n_fft, 1), stride=(self.hop, 1))[:, 0, :, 0]
        start = self.n_fft // 2
        return whole[:, start : start + count * self.hop]
