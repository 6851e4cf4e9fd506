"""Losses of the feature predictor by name. Each is a sum over the micro-batch divided by counts of the global batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from toolkit.data.batches import Counts
from toolkit.decoders.base import Targets
from toolkit.errors import ConfigError
from toolkit.models.feature_predictor import Prediction
from toolkit.nn.masks import padding_mask
from toolkit.registry import Registry


class Loss:
    """One term of the loss. Knob ``weight`` scales it; at 0 it is left out."""

    weight: float

    def __call__(self, prediction: Prediction, targets: Targets, token_lengths: Tensor, counts: Counts) -> Tensor:
        """A scalar; padding does not count."""
        raise NotImplementedError


TINY = 1e-8  # a share of attention that is as good as none
LOSSES: Registry[Loss] = Registry("loss", Loss)


def group_lengths(prediction: Prediction, targets: Targets) -> tuple[Tensor, int]:
    """Decoder steps of each row ``B``, and the reduction factor r."""
    reduction = -(-targets.mel.shape[1] // prediction.output.stop_logits.shape[1])
    return (targets.lengths + reduction - 1) // reduction, reduction


def sum_of_errors(
    prediction: Prediction, targets: Targets, counts: Counts, error: Callable[[Tensor], Tensor], mask_padding: bool
) -> Tensor:
    """Mean error per bin before the postnet plus that after it, each of the difference from its own target.

    Args:
        error: of a difference, element by element.
        mask_padding: padding does not count. False: there the decoder is to make silence, the least value of each bin of the
            utterance; a postnet's residual is 0 there. The sum is still divided by the valid frames, so that micro-batches add
            up, but how much padding there is depends on which utterances share one. The paper does not say which; masking is
            the default because otherwise a short utterance counts by what the longest beside it happens to be.
    """
    if not mask_padding:
        return sum_of_errors(prediction, targets, counts, error, True) + error_on_padding(prediction, targets, counts, error)
    keep = ~padding_mask(targets.lengths, targets.mel.shape[1])[..., None]
    after = targets.mel if targets.features is None else targets.features
    means = [
        (error(made - true) * keep).sum() / (counts.frames * true.shape[2])
        for made, true in ((prediction.output.mel, targets.mel), (prediction.mel, after))
    ]
    return means[0] + means[1]


def error_on_padding(prediction: Prediction, targets: Targets, counts: Counts, error: Callable[[Tensor], Tensor]) -> Tensor:
    """Error of the frames past each utterance's end, which are to be silent; with a residual postnet both before and after it."""
    padding = padding_mask(targets.lengths, targets.mel.shape[1])[..., None]
    silence = targets.mel.masked_fill(padding, float("inf")).amin(1, keepdim=True)
    errors = (error(prediction.output.extra["unmasked"] - silence) * padding).sum() / (counts.frames * targets.mel.shape[2])
    return errors * 2 if targets.features is None else errors


@LOSSES.register("mse")
class MeanSquaredError(Loss):
    """Squared error per bin, before and after the postnet, summed (Tacotron 2, section 2.2).

    Args:
        mask_padding: see ``sum_of_errors``.
    """

    def __init__(self, *, weight: float = 1.0, mask_padding: bool = True) -> None:
        self.weight, self.mask_padding = weight, mask_padding

    def __call__(self, prediction: Prediction, targets: Targets, token_lengths: Tensor, counts: Counts) -> Tensor:
        return sum_of_errors(prediction, targets, counts, torch.square, self.mask_padding)


@LOSSES.register("mae")
class MeanAbsoluteError(Loss):
    """Absolute error per bin, before and after the postnet, summed.

    Args:
        mask_padding: see ``sum_of_errors``.
    """

    def __init__(self, *, weight: float = 1.0, mask_padding: bool = True) -> None:
        self.weight, self.mask_padding = weight, mask_padding

    def __call__(self, prediction: Prediction, targets: Targets, token_lengths: Tensor, counts: Counts) -> Tensor:
        return sum_of_errors(prediction, targets, counts, torch.abs, self.mask_padding)


@LOSSES.register("stop")
class StopToken(Loss):
    """Cross entropy of the stop token, whose target is 1 on the group of the last valid frame.

    Args:
        positive_weight: of the groups whose target is 1; without padding that is one among many.
        mask_padding: padding does not count. False: its target is 1 too, as in ESPnet, so that stopping is learnt from as many
            frames as a micro-batch is padded with; the sum is still divided by the valid frames. The paper does not say.
    """

    def __init__(self, *, weight: float = 1.0, positive_weight: float = 1.0, mask_padding: bool = True) -> None:
        self.weight, self.positive_weight, self.mask_padding = weight, positive_weight, mask_padding

    def __call__(self, prediction: Prediction, targets: Targets, token_lengths: Tensor, counts: Counts) -> Tensor:
        groups, reduction = group_lengths(prediction, targets)
        logits = prediction.output.stop_logits  # B T/r
        steps = torch.arange(logits.shape[1], device=logits.device)[None]
        target = (steps >= groups[:, None] - 1).to(logits.dtype)
        positive = logits.new_tensor(self.positive_weight)
        entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=positive)
        counted = steps < groups[:, None] if self.mask_padding else torch.ones_like(target)
        return (entropy * counted).sum() * reduction / counts.frames


@LOSSES.register("guided_attention")
class GuidedAttention(Loss):
    """Attention mass away from the diagonal, per decoder step (Tachibana et al. 2018, section 4.1, there averaged over all cells).

    What weights lack of a sum of 1 counts as mass that is as far away as can be. Else Gaussians would please this loss most where
    they have left the text.

    Args:
        sigma: width g of the corridor, as a share of the text.
    """

    def __init__(self, *, weight: float = 1.0, sigma: float = 0.2) -> None:
        if sigma <= 0:
            raise ConfigError(f"sigma: must be positive, got {sigma}")
        self.weight, self.sigma = weight, sigma

    def __call__(self, prediction: Prediction, targets: Targets, token_lengths: Tensor, counts: Counts) -> Tensor:
        weights = attention_weights(prediction, "guided_attention")
        groups, reduction = group_lengths(prediction, targets)
        steps = torch.arange(weights.shape[1], device=weights.device)[None]
        penalty = guide(groups, token_lengths, weights.shape[1], weights.shape[2], self.sigma)
        away = (weights * penalty).sum(2) + (1.0 - weights.sum(2)).clamp(min=0.0)
        return (away * (steps < groups[:, None])).sum() * reduction / counts.frames


@LOSSES.register("attention_entropy")
class AttentionEntropy(Loss):
    """Entropy of the attention weights in nats, per decoder step: -sum_n a ln a (Shannon 1948, section 6).

    It is 0 where each step reads one symbol and ln N where it reads all N alike: sharp alignments, which may stand anywhere.
    Weights that do not add up to 1, such as those of mixtures, count as shares of their sum.
    """

    def __init__(self, *, weight: float = 1.0) -> None:
        self.weight = weight

    def __call__(self, prediction: Prediction, targets: Targets, token_lengths: Tensor, counts: Counts) -> Tensor:
        weights = attention_weights(prediction, "attention_entropy")  # B T/r S, 0 on padded symbols
        groups, reduction = group_lengths(prediction, targets)
        shares = weights / weights.sum(2, keepdim=True).clamp(min=TINY)
        entropy = -(shares * torch.log(shares.clamp(min=TINY))).sum(2)  # bounded, so that a weight of 0 has a finite gradient
        steps = torch.arange(weights.shape[1], device=weights.device)[None]
        return (entropy * (steps < groups[:, None])).sum() * reduction / counts.frames


def attention_weights(prediction: Prediction, loss: str) -> Tensor:
    """Alignments ``B T/r S``, or a ``ConfigError`` where the decoder has none."""
    if prediction.output.weights is None:
        raise ConfigError(f"losses.{loss}: this decoder has no attention; leave it out")
    return prediction.output.weights


def guide(groups: Tensor, token_lengths: Tensor, steps: int, symbols: int, sigma: float) -> Tensor:
    """``W = 1 - exp(-(n/N - t/T)^2 / (2 g^2))`` with each row's own N and T, ``B T/r S``."""
    t = torch.arange(steps, device=groups.device)[None, :, None] / groups[:, None, None]
    n = torch.arange(symbols, device=groups.device)[None, None] / token_lengths[:, None, None]
    return 1.0 - torch.exp(-((n - t) ** 2) / (2 * sigma**2))
