"""Attention by a mixture of Gaussians that move along the text."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.attentions.base import ATTENTIONS, Attention
from toolkit.errors import ConfigError, nearest
from toolkit.nn.attention_weights import context_of
from toolkit.nn.attention_window import confined
from toolkit.nn.noise import Noise

VERSIONS = ("v0", "v1", "v2b")
FIRST_STEP, FIRST_WIDTH = 1.0, 10.0  # symbols, of v2b before training


class GmmState(NamedTuple):
    """The memory, its mask, and where the Gaussians are."""

    memory: Tensor  # B S D
    mask: Tensor  # B S
    means: Tensor  # B K, in symbols, the first one is at 1; float32 at least, since they are sums over all steps


@ATTENTIONS.register("gmm")
class GmmAttention(Attention):
    """Weights are a mixture of K Gaussians over places in the text, whose means only move forward (Graves 2013, equations 48-51).

    (w^, d^, s^) = V tanh(W q + b); mu_i = mu_{i-1} + d; weight of place j = sum_k w_k / Z_k exp(-(j - mu_k)^2 / 2 s_k^2), which
    sum to about 1 where the Gaussians lie inside the text, and are not normalised. Neither the memory's content nor past
    weights count, so texts may be longer than any in training (Battenberg et al. 2020, section 2.2 and table 1):

        v0    w = exp w^        Z = 1                 d = exp d^         s = sqrt(exp(-s^) / 2)
        v1    w = softmax w^    Z = sqrt(2 pi s^2)    d = exp d^         s = sqrt(exp s^)
        v2b   w = softmax w^    Z = sqrt(2 pi s^2)    d = softplus d^    s = softplus s^, biases for d = 1 and s = 10 at first

    Args:
        mixtures: K.
        dim: width of the hidden layer.
        version: one of the three.
    """

    def __init__(
        self, memory_dim: int, query_dim: int, output_dim: int, *, mixtures: int = 5, dim: int = 128, version: str = "v2b"
    ) -> None:
        super().__init__()
        if version not in VERSIONS:
            raise ConfigError(f"version: unknown, got {version!r}; {nearest(version, VERSIONS)}")
        self.mixtures, self.version = mixtures, version
        self.hidden = nn.Linear(query_dim, dim)
        self.last = nn.Linear(dim, 3 * mixtures)
        if version == "v2b":
            with torch.no_grad():
                self.last.bias[mixtures : 2 * mixtures] = math.log(math.expm1(FIRST_STEP))
                self.last.bias[2 * mixtures :] = math.log(math.expm1(FIRST_WIDTH))

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, hard: bool = False) -> GmmState:
        wide = torch.promote_types(memory.dtype, torch.float32)
        return GmmState(memory, mask, memory.new_zeros(memory.shape[0], self.mixtures, dtype=wide))

    def forward(self, query: Tensor, output: Tensor, state: GmmState, allowed: Tensor | None = None) -> tuple[Tensor, Tensor, GmmState]:
        shares, steps, widths = self._mixture(query, state.means.dtype)
        means = state.means + steps
        places = torch.arange(1, state.mask.shape[1] + 1, device=means.device, dtype=means.dtype)
        distances = (places - means[..., None]) / widths[..., None]  # B K S
        weights = (shares[..., None] * torch.exp(-0.5 * distances.square())).sum(1).masked_fill(state.mask, 0.0)
        weights = confined(weights, allowed).to(state.memory.dtype)
        return context_of(weights, state.memory), weights, state._replace(means=means)

    def _mixture(self, query: Tensor, wide: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Shares w / Z, steps d and widths s, each ``B K``."""
        share, step, width = self.last(torch.tanh(self.hidden(query))).to(wide).chunk(3, 1)
        if self.version == "v0":
            return share.exp(), step.exp(), (0.5 * torch.exp(-width)).sqrt()
        steps, widths = (step.exp(), (0.5 * width).exp()) if self.version == "v1" else (F.softplus(step), F.softplus(width))
        return torch.softmax(share, 1) / (math.sqrt(2 * math.pi) * widths), steps, widths
