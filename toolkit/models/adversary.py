"""What discriminators say in the training of a vocoder: their own losses, and what they add to those of the vocoder."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812

from toolkit.discriminators import Discriminator, Judgement
from toolkit.nn.spectral_losses import at_least_float32, row_means
from toolkit.vocoders.base import Adversarial

Judged = Mapping[str, list[Judgement]]


class Adversary(nn.Module):
    """The discriminators of a training.

    All losses are means over the values of a row, summed over rows and divided by the utterances of the global batch. So those
    of micro-batches add up to that of the batch, and for crops of one length they are the published means.
    """

    def __init__(self, discriminators: Mapping[str, Discriminator], settings: Adversarial) -> None:
        super().__init__()
        self.parts, self.settings = nn.ModuleDict(discriminators), settings
        self.weights = {name: part.weight for name, part in discriminators.items()}

    def forward(self, wave: Tensor) -> dict[str, list[Judgement]]:
        """Waves ``B N`` -> judgements by discriminator."""
        return {name: part(wave) for name, part in self.parts.items()}

    def own_losses(self, made: Tensor, true: Tensor, utterances: int) -> dict[str, Tensor]:
        """Each discriminator's loss for waves ``B N`` of the vocoder, made without gradient, and of recordings."""
        true_judged, made_judged = self(true), self(made)
        losses = {}
        for name, weight in self.weights.items():
            both = zip(true_judged[name], made_judged[name], strict=True)
            rows = torch.stack([self._believed(t, True) + self._believed(m, False) for t, m in both]).sum(0)
            losses[name] = weight * rows.sum() / utterances
        return losses

    def vocoder_losses(self, made: Tensor, true: Tensor, utterances: int) -> dict[str, Tensor]:
        """``adversarial`` and ``features``, with their weights; the discriminators themselves get no gradient."""
        fixed = {name: parameter.detach() for name, parameter in self.named_parameters()}
        judged: Judged = functional_call(self, fixed, (made,))
        rows = self._weighted({name: [self._believed(m, True) for m in all_] for name, all_ in judged.items()})
        losses = {"adversarial": self.settings.weight * rows.sum() / utterances}
        if self.settings.feature_weight:
            with torch.no_grad():
                known: Judged = self(true)
            pairs = {name: zip(judged[name], known[name], strict=True) for name in self.weights}
            rows = self._weighted({name: [_differences(m, t) for m, t in both] for name, both in pairs.items()})
            losses["features"] = self.settings.feature_weight * rows.sum() / utterances
        return losses

    def _weighted(self, rows: Mapping[str, list[Tensor]]) -> Tensor:
        """A list of ``B`` for each discriminator -> their weighted sum ``B``."""
        return torch.stack([self.weights[name] * torch.stack(values).sum(0) for name, values in rows.items()]).sum(0)

    def _believed(self, judgement: Judgement, recorded: bool) -> Tensor:
        """How far scores are from those of a recording, or of a made wave, ``B``."""
        score = at_least_float32(judgement.score)
        if self.settings.criterion == "hinge":
            return row_means(F.relu(1 - score) if recorded else F.relu(1 + score))
        return row_means((1 - score).square() if recorded else score.square())


def _differences(made: Judgement, true: Judgement) -> Tensor:
    """Mean absolute differences of features, summed over layers (Kong et al. 2020, equation 4), ``B``."""
    pairs = zip(made.features, true.features, strict=True)
    return torch.stack([row_means(at_least_float32(m - t).abs()) for m, t in pairs]).sum(0)
