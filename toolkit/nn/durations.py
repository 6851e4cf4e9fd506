"""Between symbols and frames, by how many frames each symbol has.

::

    symbols   h0   h1        h2        durations 1 3 2
              |    |          \\
    frames    0    1 2 3    4 5        at: 0 1 1 1 2 2, centres: 0.5 2.5 5
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.nn.duration_model import UNIT
from toolkit.nn.packing import over_lengths

TIMING = 3  # values that say where a frame stands in its symbol
LONGEST = math.log1p(200.0)  # of the duration's value, which is 1 for 200 frames
NARROWEST = 0.05  # frames, so that nothing is divided by 0


def symbols_of_frames(durations: Tensor, frames: int) -> Tensor:
    """The symbol that each frame belongs to.

    Args:
        durations: int64 ``B S``, frames of each symbol.
        frames: T; what lasts longer is cut off, what ends sooner goes on with its last symbol.

    Returns:
        int64 ``B T``.
    """
    ends = durations.cumsum(1)
    time = torch.arange(frames, device=durations.device).expand(len(ends), -1).contiguous()
    return torch.searchsorted(ends, time, right=True).clamp(max=ends.shape[1] - 1)


def timing(durations: Tensor, at: Tensor) -> Tensor:
    """Where each frame stands in its symbol: shares of it that end with this frame and that begin with it, and how long it is.

    Args:
        durations: int64 ``B S``.
        at: the symbol of each frame, ``B T``.

    Returns:
        float32 ``B T 3``; the third is ln(1 + duration) in units of LONGEST.
    """
    lasts = durations.gather(1, at)
    passed = torch.arange(at.shape[1], device=at.device) - (durations.cumsum(1).gather(1, at) - lasts)
    shares = torch.stack([passed + 1, lasts - passed], 2) / lasts.clamp(min=1)[..., None]
    return torch.cat([shares, torch.log1p(lasts)[..., None] / LONGEST], 2)


def means_of_symbols(values: Tensor, counted: Tensor, at: Tensor, symbols: int) -> Tensor:
    """Mean of each symbol's frames.

    Args:
        values: ``B T``.
        counted: bool ``B T``; other frames are left out.
        at: the symbol of each frame, ``B T``.
        symbols: S.

    Returns:
        ``B S``, 0 where a symbol has no frame that counts.
    """
    nothing = values.new_zeros(values.shape[0], symbols)
    sums = nothing.scatter_add(1, at, values.masked_fill(~counted, 0.0))
    return sums / nothing.scatter_add(1, at, counted.to(values)).clamp(min=1.0)


def gaussian_weights(durations: Tensor, ranges: Tensor, mask: Tensor, frames: int) -> Tensor:
    """Shares of the symbols in each frame (Shen et al. 2020, arXiv 2010.04301, "Gaussian upsampling").

    A symbol is centred on ``c_i = d_i / 2 + sum_(j<i) d_j``. Frame t, whose middle is t + 1/2, takes from symbol i
    ``N(t + 1/2; c_i, s_i) / sum_j N(t + 1/2; c_j, s_j)``. A symbol of no frames has a centre too, between its neighbours.

    Args:
        durations: int64 ``B S``.
        ranges: standard deviations s in frames, ``B S``.
        mask: ``B S``.
        frames: T.

    Returns:
        ``B T S``; each row adds up to 1.
    """
    ranges = ranges.to(torch.promote_types(ranges.dtype, torch.float32))  # half precision has no thousandth frame
    centres = durations.cumsum(1).to(ranges) - durations / 2
    middles = torch.arange(frames, device=ranges.device, dtype=ranges.dtype) + 0.5
    distances = (middles[:, None] - centres[:, None]) / ranges[:, None]  # B T S
    return torch.softmax((-0.5 * distances.square() - torch.log(ranges)[:, None]).masked_fill(mask[:, None], -math.inf), 2)


class Repetition(nn.Module):
    """Each frame is its symbol (FastSpeech, Ren et al. 2019, section 3.2)."""

    def forward(self, memory: Tensor, mask: Tensor, durations: Tensor, at: Tensor) -> Tensor:
        """Memory ``B S D``, mask and durations ``B S``, symbols of frames ``B T`` -> weights ``B T S``, 0 or 1."""
        return F.one_hot(at, memory.shape[1]).to(memory.dtype)


class GaussianUpsampling(nn.Module):
    """Each frame is a mix of the symbols around it, each of which reaches as far as its range says.

    Non-Attentive Tacotron (Shen et al. 2020, arXiv 2010.04301) predicts ranges with a bidirectional LSTM from the memory beside
    the durations; a softplus keeps them positive. They are learnt from the frames alone.

    Args:
        memory_dim: D.
        units: of both directions together.
    """

    def __init__(self, memory_dim: int, units: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(memory_dim + 1, units // 2, batch_first=True, bidirectional=True)
        self.last = nn.Linear(units, 1)

    def ranges(self, memory: Tensor, mask: Tensor, durations: Tensor) -> Tensor:
        """Standard deviations in frames, ``B S``."""
        lasts = (durations / UNIT).to(memory)[..., None]
        made = over_lengths(self.lstm, torch.cat([memory, lasts], 2), (~mask).sum(1))
        return F.softplus(self.last(made).squeeze(2)) + NARROWEST

    def forward(self, memory: Tensor, mask: Tensor, durations: Tensor, at: Tensor) -> Tensor:
        """Memory ``B S D``, mask and durations ``B S``, symbols of frames ``B T`` -> weights ``B T S``."""
        return gaussian_weights(durations, self.ranges(memory, mask, durations), mask, at.shape[1])
