"""The contract of postnets."""

from torch import Tensor, nn

from toolkit.registry import Registry


class Postnet(nn.Module):
    """Decoded frames -> a residual that is added to them.

    Wired: ``n_mels``. Attribute ``lookahead`` is the number of later frames that a frame of the residual depends on.
    """

    lookahead: int

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        """``mel`` ``B T M``, ``mask`` bool ``B T`` -> residual ``B T M``, 0 on padding."""
        raise NotImplementedError


POSTNETS: Registry[Postnet] = Registry("postnet", Postnet, wired=("n_mels",))
