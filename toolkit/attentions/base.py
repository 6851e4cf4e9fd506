"""The contract of attention modules."""

from typing import Any

from torch import Tensor, nn

from toolkit.nn.additive_attention import AdditivePieces
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


ATTENTIONS: Registry[Attention] = Registry("attention", Attention, wired=("memory_dim", "query_dim", "output_dim"))
