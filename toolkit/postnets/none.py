"""No postnet: the decoder's frames are the result."""

from __future__ import annotations

import torch
from torch import Tensor

from toolkit.postnets.base import POSTNETS, Postnet


@POSTNETS.register("none")
class NoPostnet(Postnet):
    """A residual of zeros, without parameters (Tacotron 2, section 3.3.3: a model without a postnet)."""

    lookahead = 0

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        return torch.zeros_like(mel)
