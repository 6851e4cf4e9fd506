"""The contract of postnets."""

from torch import Tensor, nn

from toolkit.audio.mel import MelSettings
from toolkit.registry import Registry


class Postnet(nn.Module):
    """Decoded frames -> a residual that is added to them, or other frames in their place.

    Wired: ``n_mels``, the width F of the features, and ``features``, their definition. Attributes: ``lookahead`` is the number
    of later frames that a frame of the output depends on; ``residual`` is False where the output takes the frames' place.
    """

    lookahead: int
    residual: bool = True

    @classmethod
    def frame_dim(cls, features: MelSettings) -> int:
        """Width M of the frames that the decoder makes for this postnet."""
        return features.bins

    def frames_of(self, features: Tensor) -> Tensor:
        """What the decoder is to make of an utterance's features, both in natural units: ``B T F`` -> ``B T M``."""
        return features

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        """``mel`` ``B T M``, ``mask`` bool ``B T`` -> ``B T F``, 0 on padding."""
        raise NotImplementedError


POSTNETS: Registry[Postnet] = Registry("postnet", Postnet, wired=("n_mels", "features"))
