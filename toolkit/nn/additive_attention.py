"""What an additive attention consists of, for code that computes it in another way than its ``forward``."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class AdditivePieces(NamedTuple):
    """``e_s = energy . tanh(query q + keys_s + (location * past)_s)``, weights = softmax of e where ``mask`` is False.

    Gradients flow back through every tensor, so a piece may itself be computed from parameters.
    """

    memory: Tensor  # B S D, what the context is the weighted sum of
    keys: Tensor  # B S A, its projection with the bias
    mask: Tensor  # bool B S, True on padding
    query: Tensor  # A Q
    energy: Tensor  # A
    location: Tensor | None = None  # A C K: taps over past weights, K odd; None where the past does not count
    previous: bool = False  # C = 2: channel 0 the last weights, 1 their sum over all steps; else C = 1: the sum alone

    def in_float32(self) -> AdditivePieces:
        """The same with every real tensor in float32, whatever autocast made of it."""
        location = None if self.location is None else self.location.float()
        return AdditivePieces(
            self.memory.float(), self.keys.float(), self.mask, self.query.float(), self.energy.float(), location, self.previous
        )
