"""How far a sample sees, followed from the output of a net back to its input."""

from __future__ import annotations

from typing import NamedTuple


class Reach(NamedTuple):
    """Positions before and after one's own that an output depends on, at the rate that has been come back to."""

    before: int = 0
    after: int = 0

    def convolved(self, kernel: int, dilation: int = 1) -> Reach:
        """Back through a centred convolution."""
        side = (kernel - 1) // 2 * dilation
        return Reach(self.before + side, self.after + side)

    def upsampled(self, rate: int, kernel: int, cut: int) -> Reach:
        """Back through a transposed convolution of which ``cut`` outputs are dropped in front; position q becomes q x rate onwards.

        Repeating each position ``rate`` times is one with ``kernel = rate`` and ``cut = 0``.
        """
        return Reach((self.before + kernel - 1 - cut) // rate, (self.after + rate - 1 + cut) // rate)
