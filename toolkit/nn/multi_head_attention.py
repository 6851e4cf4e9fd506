"""Dot-product attention in several heads."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.errors import ConfigError
from toolkit.nn.dropout import Dropout, check_probability


class KeysValues(NamedTuple):
    """What H heads of size C may look at."""

    keys: Tensor  # B H S C
    values: Tensor  # B H S C

    def then(self, later: KeysValues) -> KeysValues:
        """These, followed by later ones."""
        return KeysValues(torch.cat([self.keys, later.keys], 2), torch.cat([self.values, later.values], 2))


class MultiHeadAttention(nn.Module):
    """softmax(Q K' / sqrt(C)) V in each head, side by side and projected (Vaswani et al. 2017, section 3.2).

    Keys have no bias: it would add the same to all energies of a query.

    Args:
        units: D, of all heads together and of the result.
        heads: H, a divisor of ``units``.
        dropout: on the weights, in training.
        memory_dim, query_dim: widths of what is looked at and of who looks; ``units`` by default.
    """

    def __init__(self, units: int, heads: int, dropout: float, memory_dim: int | None = None, query_dim: int | None = None) -> None:
        super().__init__()
        check_heads(units, heads)
        check_probability("attention_dropout", dropout)
        memory_dim, query_dim = memory_dim or units, query_dim or units
        self.heads = heads
        self.query = nn.Linear(query_dim, units)
        self.key = nn.Linear(memory_dim, units, bias=False)
        self.value = nn.Linear(memory_dim, units)
        self.join = nn.Linear(units, units)
        self.dropout = Dropout(dropout)

    def known(self, memory: Tensor) -> KeysValues:
        """Keys and values of ``B S memory_dim``."""
        return KeysValues(split(self.key(memory), self.heads), split(self.value(memory), self.heads))

    def attend(self, x: Tensor, known: KeysValues, hidden: Tensor | None = None, causal: bool = False) -> Tensor:
        """Queries of ``B T query_dim`` -> ``B T D``.

        Args:
            hidden: bool that broadcasts to ``B H T S``, True where nobody looks.
            causal: query t looks at keys 0 to t.
        """
        seen = None if hidden is None else ~hidden
        share = self.dropout.probability if self.training else 0.0
        return self.joined(F.scaled_dot_product_attention(split(self.query(x), self.heads), *known, seen, share, causal))

    def weigh(self, x: Tensor, known: KeysValues, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The same where the weights are wanted -> ``B T D``, and ``B H T S`` before their dropout."""
        query = split(self.query(x), self.heads)
        energies = query @ known.keys.transpose(2, 3) / math.sqrt(query.shape[3])
        weights = torch.softmax(energies.masked_fill(hidden, float("-inf")), 3)
        return self.joined(self.dropout(weights) @ known.values), weights

    def joined(self, heads: Tensor) -> Tensor:
        """``B H T C`` -> ``B T D``."""
        made: Tensor = self.join(heads.transpose(1, 2).flatten(2))
        return made


class SelfAttention(MultiHeadAttention):
    """Every position looks at all valid ones."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``B T D`` with mask ``B T`` (True on padding) -> ``B T D``."""
        return self.attend(x, self.known(x), mask[:, None, None])


def split(x: Tensor, heads: int) -> Tensor:
    """``B T D`` -> ``B H T D/H``."""
    rows, steps, _ = x.shape
    return x.view(rows, steps, heads, -1).transpose(1, 2)


def check_heads(units: int, heads: int) -> None:
    """Refuse heads that do not share the units."""
    if min(heads, units) < 1 or units % heads:
        fitting = min((n for n in range(1, units + 1) if units % n == 0), key=lambda n: abs(n - heads), default=1)
        raise ConfigError(f"heads: must divide units = {units}, got {heads}; nearest: {fitting}")
