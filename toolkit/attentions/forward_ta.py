"""Forward attention with a transition agent."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from toolkit.attentions.base import ATTENTIONS, Attention
from toolkit.nn.additive_attention import AdditiveEnergies
from toolkit.nn.attention_weights import at_first_symbol, context_of
from toolkit.nn.monotonic import reweighted, shifted
from toolkit.nn.noise import Noise


class TransitionState(NamedTuple):
    """The memory, its projection and mask, where attention was last, and how likely it moves."""

    memory: Tensor  # B S D
    keys: Tensor  # B S A
    mask: Tensor  # B S
    weights: Tensor  # B S; float32 at least
    move: Tensor  # B 1, as precise


@ATTENTIONS.register("forward_ta")
class ForwardTransitionAttention(Attention):
    """Forward attention where a network says how likely attention moves on (Zhang et al. 2018, arXiv 1807.06736).

    a'_t(n) = ((1 - u_{t-1}) a_{t-1}(n) + u_{t-1} a_{t-1}(n-1)) y_t(n), scaled to a sum of 1, with u_0 = 0.5 and
    u_t = sigmoid(DNN(c_t, o_{t-1}, q_t)) of the context, the prenet's output and the query. u is the probability to move, as in
    the paper; some code has it the other way round.

    Args:
        dim: width A of the space where query, memory and location meet.
        filters, kernel_size: a convolution over the last weights in the energies; 0 for none.
        agent: units of the agent's hidden layer.
        speed_bias: added before the agent's sigmoid: speech is faster above 0, slower below; meant for synthesis.
    """

    def __init__(
        self,
        memory_dim: int,
        query_dim: int,
        output_dim: int,
        *,
        dim: int = 128,
        filters: int = 0,
        kernel_size: int = 31,
        agent: int = 128,
        speed_bias: float = 0.0,
    ) -> None:
        super().__init__()
        self.speed_bias = speed_bias
        self.energies = AdditiveEnergies(memory_dim, query_dim, dim, filters, kernel_size)
        self.agent = nn.Sequential(nn.Linear(memory_dim + output_dim + query_dim, agent), nn.Tanh(), nn.Linear(agent, 1))

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, hard: bool = False) -> TransitionState:
        weights = at_first_symbol(memory)
        return TransitionState(memory, self.energies.key(memory), mask, weights, weights.new_full((len(memory), 1), 0.5))

    def forward(
        self, query: Tensor, output: Tensor, state: TransitionState, allowed: Tensor | None = None
    ) -> tuple[Tensor, Tensor, TransitionState]:
        energies = self.energies(query, state.keys, state.weights[:, None])
        reached = (1.0 - state.move) * state.weights + state.move * shifted(state.weights)
        weights = reweighted(energies, reached, state.mask, allowed)
        shown = weights.to(state.memory.dtype)
        context = context_of(shown, state.memory)
        move = torch.sigmoid(self.agent(torch.cat([context, output, query], 1)) + self.speed_bias)
        return context, shown, state._replace(weights=weights, move=move.to(weights.dtype))
