"""Self-attention that knows how far away a position is, not where it stands."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.errors import ConfigError
from toolkit.nn.dropout import Dropout, check_probability
from toolkit.nn.multi_head_attention import SelfAttention, check_heads, split
from toolkit.nn.positions import sinusoids


class RelativeSelfAttention(nn.Module):
    """Energies ((q_i + u) k_j + (q_i + v) W r_{i-j}) / sqrt(C) in each head, r sinusoids of the distance.

    Dai et al. 2019 (Transformer-XL), section 3.3, as conformers use it (Gulati et al. 2020, section 2.1), in both directions.

    Args:
        units: D, even.
        heads: H, a divisor of ``units``; C = D / H.
        dropout: on the weights, in training.
    """

    def __init__(self, units: int, heads: int, dropout: float) -> None:
        super().__init__()
        check_heads(units, heads)
        check_probability("attention_dropout", dropout)
        if units % 2:
            raise ConfigError(f"units: must be even, got {units}; nearest: {units + 1}")
        self.heads = heads
        self.query, self.key, self.distance = (nn.Linear(units, units, bias=False) for _ in range(3))
        self.value, self.join = nn.Linear(units, units), nn.Linear(units, units)
        self.content_bias, self.distance_bias = (nn.Parameter(torch.zeros(heads, 1, units // heads)) for _ in range(2))  # u and v
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``B T D`` with mask ``B T`` (True on padding) -> ``B T D``."""
        steps, units = x.shape[1:]
        query, key, value = (split(layer(x), self.heads) for layer in (self.query, self.key, self.value))  # B H T C
        places = torch.arange(steps - 1, -steps, -1, dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
        distance = split(self.distance(sinusoids(places, units).to(x.dtype))[None], self.heads)  # 1 H 2T-1 C
        far = shifted((query + self.distance_bias) @ distance.transpose(2, 3)) / math.sqrt(query.shape[3])
        bias = far.masked_fill(mask[:, None, None], float("-inf"))
        share = self.dropout.probability if self.training else 0.0
        heads = F.scaled_dot_product_attention(query + self.content_bias, key, value, bias.to(key.dtype), share)
        made: Tensor = self.join(heads.transpose(1, 2).flatten(2))
        return made


def shifted(energies: Tensor) -> Tensor:
    """Energies of each query by distance, T-1 down to 1-T, ``B H T 2T-1`` -> by key, ``B H T T``: [i, j] is that of i - j.

    Row i is moved left by T-1-i places, all rows at once: one column more, and the same numbers read in rows of 2T-1.
    """
    rows, heads, steps, width = energies.shape
    moved = F.pad(energies, (1, 0)).view(rows, heads, width + 1, steps)[:, :, 1:]
    return moved.reshape(rows, heads, steps, width)[..., :steps]


def self_attention(units: int, heads: int, dropout: float, positions: str) -> SelfAttention | RelativeSelfAttention:
    """The self-attention that goes with positions which are ``relative``, or added to its input."""
    return (RelativeSelfAttention if positions == "relative" else SelfAttention)(units, heads, dropout)
