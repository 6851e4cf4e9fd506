"""The contract of encoders."""

from torch import Tensor, nn

from toolkit.nn.noise import Noise
from toolkit.registry import Registry


class Encoder(nn.Module):
    """Symbols -> memory.

    Wired: ``num_symbols`` and ``symbols``, the vocabulary by id. Attribute ``out_dim`` is the width D of the memory.
    """

    out_dim: int

    def forward(self, inputs: Tensor, lengths: Tensor, noise: Noise | None = None) -> Tensor:
        """``inputs`` int64 ``B S`` (0 is padding) or float ``B S F``, ``lengths`` ``B`` -> memory ``B S D``, 0 on padding."""
        raise NotImplementedError


ENCODERS: Registry[Encoder] = Registry("encoder", Encoder, wired=("num_symbols", "symbols"))
