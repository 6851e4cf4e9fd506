"""The post-processing net of Tacotron, from a mel to a linear spectrogram."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.audio.mel import MelSettings, filterbank, log_of_base
from toolkit.errors import ConfigError
from toolkit.nn.cbhg import CBHG
from toolkit.postnets.base import POSTNETS, Postnet

WHOLE_UTTERANCE = 2**31  # frames: more than any utterance has


@POSTNETS.register("cbhg")
class CBHGPostnet(Postnet):
    """Log-mel of the decoder -> CBHG -> linear layer -> log-linear spectrogram (Wang et al. 2017, Tacotron, section 3.4, table 1).

    The decoder makes the mel of that spectrogram. The GRU reads an utterance from both ends, so every frame depends on all.

    Args:
        banks, channels: the convolution bank, kernels of 1 to ``banks`` frames.
        projection: channels of the first convolution after it; the second has as many as the mel has bands.
        highways, highway: number and width of the highway layers.
        gru: units of each direction.

    Raises:
        ConfigError: the features are no linear spectrogram.
    """

    residual = False
    lookahead = WHOLE_UTTERANCE
    bank: Tensor

    def __init__(
        self,
        features: MelSettings,
        *,
        banks: int = 8,
        channels: int = 128,
        projection: int = 256,
        highways: int = 4,
        highway: int = 128,
        gru: int = 128,
    ) -> None:
        super().__init__()
        if features.kind != "linear":
            raise ConfigError(f"the postnet makes a linear spectrogram, features.kind is {features.kind!r}; linear, or postnet conv")
        self.features = features
        self.register_buffer("bank", torch.from_numpy(filterbank(features).T.copy()), persistent=False)  # bins x bands
        self.cbhg = CBHG(features.n_mels, banks, channels, projection, highways, highway, gru)
        self.linear = nn.Linear(self.cbhg.out_dim, features.bins)

    @classmethod
    def frame_dim(cls, features: MelSettings) -> int:
        return features.n_mels

    def frames_of(self, features: Tensor) -> Tensor:
        """Log-linear ``B T F`` -> log-mel ``B T M``: ``audio.mel.mel_of_linear`` in full precision, wherever the features are."""
        base = log_of_base(self.features)
        with torch.autocast(features.device.type, enabled=False):
            mel = torch.exp(features.to(self.bank.dtype) * base) @ self.bank
            return torch.log(mel.clamp_min(self.features.floor)) / base

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        spectrum: Tensor = self.linear(self.cbhg(mel, mask))
        return spectrum.masked_fill(mask[..., None], 0.0)
