"""The contract of attention modules, and what those with sigmoids in place of a softmax share."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from toolkit.errors import ConfigError
from toolkit.nn.additive_attention import AdditiveEnergies, AdditivePieces
from toolkit.nn.attention_weights import at_first_symbol, context_of
from toolkit.nn.attention_window import confined
from toolkit.nn.monotonic import pointer
from toolkit.nn.noise import Noise
from toolkit.registry import Registry


class Attention(nn.Module):
    """One decoder query -> weights over the memory and their context.

    Wired: ``memory_dim``, ``query_dim``, ``output_dim`` (width P of what the decoder says about its last output).
    State is a NamedTuple that is passed, never kept in the module.
    """

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, hard: bool = False) -> Any:
        """The state before the first step.

        Args:
            memory: ``B S D``.
            mask: bool ``B S``, True on padding.
            noise: source of random draws, None switches them off.
            hard: the form that monotonic attentions take at synthesis and for ground-truth-aligned mels.
        """
        raise NotImplementedError

    def forward(self, query: Tensor, output: Tensor, state: Any, allowed: Tensor | None = None) -> tuple[Tensor, Tensor, Any]:
        """``query`` ``B D``, ``output`` ``B P``, ``allowed`` bool ``B S`` or None -> context ``B D``, weights ``B S``, state."""
        raise NotImplementedError

    def pieces(self, state: Any) -> AdditivePieces | None:
        """What the attention consists of from that first state on, so that a decoder may run all steps as one kernel; None: step by step.

        Only what ``forward`` does without ``allowed`` can be offered. A subclass that changes ``start`` or ``forward`` offers
        nothing until it defines this too; see ``offered``.
        """
        return None

    def offered(self, state: Any) -> AdditivePieces | None:
        """``pieces`` where they are those of this class's own ``start`` and ``forward``, not of a class it was derived from."""
        order = type(self).__mro__
        defined = {name: next(i for i, cls in enumerate(order) if name in vars(cls)) for name in ("pieces", "start", "forward")}
        return self.pieces(state) if defined["pieces"] <= min(defined.values()) else None


class MonotonicState(NamedTuple):
    """The memory, its projection and mask, where attention was last, and what the next step draws."""

    memory: Tensor  # B S D
    keys: Tensor  # B S A
    mask: Tensor  # B S
    weights: Tensor  # B S; float32 at least
    position: int  # of the step, the address of its random draws
    noise: Noise | None
    hard: bool


class SigmoidAttention(Attention):
    """Monotonic attention: a sigmoid of each energy says whether it stops or stays there, and at synthesis it is a pointer.

    e = g (v / |v|) tanh(W s + V h + b) + r (Raffel et al. 2017, section 2.4), with learned g and r.

    In training normal noise on the energies makes sigmoids saturate, so that the hard form, without noise, does the same.
    """

    def __init__(self, memory_dim: int, query_dim: int, dim: int, filters: int, kernel_size: int, deviation: float, offset: float) -> None:
        super().__init__()
        if deviation < 0:
            raise ConfigError(f"noise: deviation of the noise in training, must be at least 0, got {deviation:g}")
        self.deviation = deviation
        self.energies = AdditiveEnergies(memory_dim, query_dim, dim, filters, kernel_size)
        self.gain = nn.Parameter(torch.tensor(dim**-0.5))
        self.offset = nn.Parameter(torch.tensor(offset))

    def soft(self, energies: Tensor, before: Tensor, mask: Tensor) -> Tensor:
        """Energies, last weights and mask, each ``B S`` -> expected weights ``B S``."""
        raise NotImplementedError

    def place(self, energies: Tensor, before: Tensor, mask: Tensor) -> Tensor:
        """Of the hard form, int64 ``B``."""
        raise NotImplementedError

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, hard: bool = False) -> MonotonicState:
        return MonotonicState(memory, self.energies.key(memory), mask, at_first_symbol(memory), 0, noise, hard)

    def forward(
        self, query: Tensor, output: Tensor, state: MonotonicState, allowed: Tensor | None = None
    ) -> tuple[Tensor, Tensor, MonotonicState]:
        scale = self.gain / self.energies.energy.weight.norm()
        energies = (scale * self.energies(query, state.keys, state.weights[:, None]) + self.offset).to(state.weights.dtype)
        if state.hard:
            weights = pointer(self.place(energies, state.weights, state.mask), state.mask, allowed, state.weights)
        else:
            weights = confined(self.soft(energies + self._noise(state), state.weights, state.mask), allowed)
        shown = weights.to(state.memory.dtype)
        return context_of(shown, state.memory), shown, state._replace(weights=weights, position=state.position + 1)

    def _noise(self, state: MonotonicState) -> Tensor | float:
        if state.noise is None or not self.training or not self.deviation:
            return 0.0
        return self.deviation * state.noise.normal("attention", state.position, 1, *state.mask.shape)[:, 0]


ATTENTIONS: Registry[Attention] = Registry("attention", Attention, wired=("memory_dim", "query_dim", "output_dim"))
