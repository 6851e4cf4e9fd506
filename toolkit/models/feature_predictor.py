"""Text -> mel: encoder, conditioning, decoder with attention, postnet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from toolkit.attentions.base import Attention
from toolkit.audio.mel import MelSettings
from toolkit.decoders.base import Decoder, Output, StopRule, Targets
from toolkit.encoders.base import Encoder
from toolkit.models.conditioning import Conditioning, Conditions
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.nn.normaliser import Normaliser
from toolkit.postnets.base import Postnet
from toolkit.registry import Part


class Prediction(NamedTuple):
    """Frames before the postnet stand in ``output.mel``, after it in ``mel``; both normalised, 0 on padding.

    ``output.extra["unmasked"]`` are those before the postnet as the decoder made them, on padding too.
    """

    output: Output
    mel: Tensor  # B T F


class FeaturePredictor(nn.Module):
    """The recurrent sequence-to-sequence feature prediction network (Tacotron 2, section 2.2), of any parts."""

    def __init__(
        self,
        symbols: Sequence[str],
        features: MelSettings,
        reduction: int,
        encoder: Part[Encoder],
        decoder: Part[Decoder],
        postnet: Part[Postnet],
        attention: Part[Attention] | None,
        conditioning: Callable[[int], Conditioning] = Conditioning,  # by the width of the encoder's memory
    ) -> None:
        super().__init__()
        self.normaliser = Normaliser(features.bins)
        self.encoder = encoder.build(num_symbols=len(symbols), symbols=tuple(symbols))
        self.conditioning = conditioning(self.encoder.out_dim)
        width = postnet.cls.frame_dim(features)
        self.decoder = decoder.build(memory_dim=self.conditioning.out_dim, n_mels=width, attention=attention, reduction=reduction)
        self.postnet = postnet.build(n_mels=features.bins, features=features)

    def encode(self, tokens: Tensor, lengths: Tensor, conditions: Conditions, noise: Noise | None) -> tuple[Tensor, Tensor]:
        """Symbols ``B S`` -> memory ``B S D`` and its mask ``B S``."""
        mask = padding_mask(lengths, tokens.shape[1])
        return self.conditioning(self.encoder(tokens, lengths, noise), mask, conditions), mask

    def forward(
        self, tokens: Tensor, lengths: Tensor, targets: Targets, conditions: Conditions, noise: Noise | None, hard: bool = False,
        teacher: float = 1.0,
    ) -> Prediction:  # fmt: skip
        """Teacher-forced prediction. ``targets.mel`` ``B T M`` is normalised; ``teacher`` is the share of true previous frames."""
        memory, mask = self.encode(tokens, lengths, conditions, noise)
        return self._refine(self.decoder(memory, mask, targets, noise, teacher, hard))

    def generate(
        self,
        tokens: Tensor,
        lengths: Tensor,
        limit: Tensor,
        stop_rule: StopRule,
        conditions: Conditions,
        noise: Noise | None,
        on_frames: Callable[[Tensor], None] | None = None,
    ) -> Prediction:
        """Free-running prediction; ``limit`` ``B`` is the largest number of frames."""
        memory, mask = self.encode(tokens, lengths, conditions, noise)
        return self._refine(self.decoder.generate(memory, mask, limit, stop_rule, noise, on_frames))

    def natural(self, frames: Tensor) -> Tensor:
        """Predicted frames ``... F`` in natural units. Conditions that are no spectrum have no others."""
        return self.normaliser.inverse(frames) if self.decoder.makes_spectrum else frames

    def _refine(self, output: Output) -> Prediction:
        mask = padding_mask(output.lengths, output.mel.shape[1])
        mel = output.mel.masked_fill(mask[..., None], 0.0)
        refined = self.postnet(mel, mask)
        output = output._replace(mel=mel, extra={**output.extra, "unmasked": output.mel})
        return Prediction(output, mel + refined if self.postnet.residual else refined)
