"""Dynamic convolution attention."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.attentions.base import ATTENTIONS, Attention
from toolkit.errors import ConfigError
from toolkit.nn.attention_weights import at_first_symbol, context_of, masked_softmax
from toolkit.nn.noise import Noise

FLOOR = -1e6  # of the logarithm of the prior: nobody gets there


class DcaState(NamedTuple):
    """The memory, its mask, and where attention was last."""

    memory: Tensor  # B S D
    mask: Tensor  # B S
    weights: Tensor  # B S; float32 at least


@ATTENTIONS.register("dca")
class DynamicConvolutionAttention(Attention):
    """Location-relative attention by static and dynamic filters over the last weights, and a prior that only moves forward.

    e = v tanh(U f + T g + b) + p, with f = F * a, g = G(q) * a and p = log(P * a) of the last step's weights a, which begin at the
    first symbol; G(q) = V tanh(W q + b) makes filters of the query. P is causal, the beta-binomial distribution of 0 .. n symbols
    forward. Nothing depends on the memory's content (Battenberg et al. 2020, section 2.3, equations 9-12).

    Args:
        dim: width of the hidden layers.
        static_filters, dynamic_filters, kernel_size: of F and G.
        prior_length: n + 1.
        prior_alpha, prior_beta: of the beta distribution; the mean step is n alpha / (alpha + beta), 1 symbol by default, which
            was chosen for a decoder that makes two frames a step.
    """

    prior: Tensor

    def __init__(
        self,
        memory_dim: int,
        query_dim: int,
        output_dim: int,
        *,
        dim: int = 128,
        static_filters: int = 8,
        dynamic_filters: int = 8,
        kernel_size: int = 21,
        prior_length: int = 11,
        prior_alpha: float = 0.1,
        prior_beta: float = 0.9,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size: must be odd, got {kernel_size}; nearest: {kernel_size + 1}")
        if min(prior_alpha, prior_beta) <= 0:
            raise ConfigError(f"prior_alpha, prior_beta: must be positive, got {prior_alpha} and {prior_beta}")
        self.kernel_size = kernel_size
        self.static = nn.Linear(kernel_size, static_filters, bias=False)
        self.static_hidden = nn.Linear(static_filters, dim, bias=False)
        self.query = nn.Linear(query_dim, dim)
        self.dynamic = nn.Linear(dim, dynamic_filters * kernel_size, bias=False)
        self.dynamic_hidden = nn.Linear(dynamic_filters, dim)
        self.energy = nn.Linear(dim, 1, bias=False)
        taps = beta_binomial(prior_length - 1, prior_alpha, prior_beta)
        self.register_buffer("prior", torch.tensor(taps[::-1]), persistent=False)  # the last tap sees the same symbol

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, hard: bool = False) -> DcaState:
        return DcaState(memory, mask, at_first_symbol(memory))

    def forward(self, query: Tensor, output: Tensor, state: DcaState, allowed: Tensor | None = None) -> tuple[Tensor, Tensor, DcaState]:
        half = self.kernel_size // 2
        seen = F.pad(state.weights, (half, half)).unfold(1, self.kernel_size, 1)  # B S kernel
        filters = self.dynamic(torch.tanh(self.query(query))).view(len(query), -1, self.kernel_size).to(seen.dtype)
        moved = torch.bmm(seen, filters.transpose(1, 2))  # B S dynamic
        hidden = torch.tanh(self.static_hidden(self.static(seen.to(query.dtype))) + self.dynamic_hidden(moved.to(query.dtype)))
        energies = self.energy(hidden).squeeze(2).to(seen.dtype) + self._log_prior(state.weights)
        weights = masked_softmax(energies, state.mask, allowed)
        shown = weights.to(state.memory.dtype)
        return context_of(shown, state.memory), shown, state._replace(weights=weights)

    def _log_prior(self, weights: Tensor) -> Tensor:
        """Last weights ``B S`` -> log of where the prior alone would go, ``B S``."""
        prior = self.prior.to(weights.dtype)
        reached = F.pad(weights, (len(prior) - 1, 0)).unfold(1, len(prior), 1) @ prior
        tiny = torch.finfo(weights.dtype).tiny
        return torch.where(reached > tiny, reached.clamp(min=tiny).log(), FLOOR)


def beta_binomial(n: int, alpha: float, beta: float) -> list[float]:
    """Probabilities of 0 .. n."""

    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    return [math.comb(n, k) * math.exp(log_beta(k + alpha, n - k + beta) - log_beta(alpha, beta)) for k in range(n + 1)]
