"""Convolution bank, highway layers and a bidirectional GRU: the feature extractor of Tacotron.

::

    x -+-> [conv 1 | conv 2 | ... | conv K] -> max-pool -> conv 3 -> conv 3 -> + -> highways -> BiGRU
       |                                                                       |
       +-----------------------------------------------------------------------+
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.errors import ConfigError
from toolkit.nn.conv_norm import ConvNorm
from toolkit.nn.highway import Highway
from toolkit.nn.packing import over_lengths

POOL = 2
KERNEL = 3  # of the projections


class CBHG(nn.Module):
    """1-D convolution bank + highway network + bidirectional GRU (Wang et al. 2017, Tacotron, section 3.1, figure 2).

    Every convolution has batch norm; no dropout. Where input and highways differ in width a linear layer stands between
    them, of which the source says nothing.

    Args:
        in_dim: width C of the input, and so of the second projection, which is added to it.
        banks: K; kernels of 1 to K steps.
        channels: filters of each kernel.
        projection: channels of the first projection.
        highways: number of highway layers.
        highway: their width.
        gru: units of each direction; ``out_dim`` is twice that.

    Raises:
        ConfigError: a number is below 1.
    """

    def __init__(self, in_dim: int, banks: int, channels: int, projection: int, highways: int, highway: int, gru: int) -> None:
        super().__init__()
        sizes = {"banks": banks, "channels": channels, "projection": projection, "highways": highways, "highway": highway, "gru": gru}
        for name, value in sizes.items():
            if value < 1:
                raise ConfigError(f"{name}: must be at least 1, got {value}")
        self.bank = nn.ModuleList(ConvNorm(in_dim, channels, size, torch.relu, 0.0) for size in range(1, banks + 1))
        self.projections = nn.ModuleList(
            [ConvNorm(banks * channels, projection, KERNEL, torch.relu, 0.0), ConvNorm(projection, in_dim, KERNEL, None, 0.0)]
        )
        self.widen = nn.Identity() if in_dim == highway else nn.Linear(in_dim, highway)
        self.highways = nn.Sequential(*(Highway(highway) for _ in range(highways)))
        self.gru = nn.GRU(highway, gru, batch_first=True, bidirectional=True)
        self.out_dim = 2 * gru

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """``B T C`` with mask ``B T`` (True on padding) -> ``B T out_dim``, 0 on padding."""
        x = features.transpose(1, 2).masked_fill(mask[:, None], 0.0)
        bank = torch.cat([convolution(x, mask) for convolution in self.bank], 1)
        pooled = F.max_pool1d(bank, POOL, stride=1, padding=POOL // 2)[..., : bank.shape[2]]  # a step and the one before it
        y = pooled.masked_fill(mask[:, None], 0.0)
        for projection in self.projections:
            y = projection(y, mask)
        highways = self.highways(self.widen((x + y).transpose(1, 2)))
        lengths = (~mask).sum(1).clamp_min(1)
        return over_lengths(self.gru, highways, lengths).masked_fill(mask[..., None], 0.0)
