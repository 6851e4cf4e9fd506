"""The discretised mixture of logistics: exact likelihood of a quantised sample, and sampling.

A mixture of K components is a tensor ``... 3K``: K logits, K means, K log-scales. Tacotron 2, section 2.3; PixelCNN++.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

CLIP = 1e-5  # uniform draws keep this distance from 0 and 1, which cuts the tails beyond 11.51 scales


def log_likelihood(
    mixture: Tensor,
    target: Tensor,
    half_bin: Tensor | float,
    log_scale_min: float,
    lowest: Tensor | None = None,
    highest: Tensor | None = None,
) -> Tensor:
    """Log of the mixture's mass in the bin ``target - half_bin .. target + half_bin``.

    The mass of a component is s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)), s the sigmoid, which has no cancellation: there is
    no switch to a density in thin bins, and float32 is exact to about 1e-6 nats.

    Args:
        mixture: ``... 3K``.
        target: ``...``, centres of the bins.
        half_bin: half the width of a bin, one for all or ``...``.
        log_scale_min: smaller log-scales count as this.
        lowest: bool ``...``, the target is the lowest level there is: its bin is open below.
        highest: bool ``...``, the target is the highest level there is: its bin is open above.

    Returns:
        nats, ``...``.
    """
    logits, means, log_scales = mixture.chunk(3, -1)
    inverse = torch.exp(-log_scales.clamp_min(log_scale_min))
    centre = (target[..., None] - means) * inverse
    half = (half_bin[..., None] if isinstance(half_bin, Tensor) else half_bin) * inverse
    below_top = F.logsigmoid(centre + half)
    above_bottom = F.logsigmoid(half - centre)
    within = -torch.expm1(-2 * half)
    mass = below_top + above_bottom + torch.log(within.clamp_min(torch.finfo(within.dtype).tiny))
    if lowest is not None:
        mass = torch.where(lowest[..., None], below_top, mass)
    if highest is not None:
        mass = torch.where(highest[..., None], above_bottom, mass)
    return torch.logsumexp(F.log_softmax(logits, -1) + mass, -1)


def draws(uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Uniform draws ``... K+1`` -> standard Gumbel draws ``... K`` and standard logistic draws ``... 1``."""
    clipped = uniforms.clamp(CLIP, 1 - CLIP)
    gumbel = -torch.log(-torch.log(clipped[..., :-1]))
    return gumbel, torch.logit(clipped[..., -1:])


def pick(mixture: Tensor, gumbel: Tensor, logistic: Tensor, log_scale_min: float) -> Tensor:
    """A sample ``... 1`` of the mixture ``... 3K`` from ready draws: the component by Gumbel-max, then mean + scale x logistic."""
    k = gumbel.shape[-1]
    component = torch.argmax(mixture[..., :k] + gumbel, -1, keepdim=True)
    mean = mixture[..., k : 2 * k].gather(-1, component)
    log_scale = mixture[..., 2 * k :].gather(-1, component)
    return torch.addcmul(mean, log_scale.clamp_min_(log_scale_min).exp_(), logistic)


def sample(mixture: Tensor, uniforms: Tensor, log_scale_min: float, temperature: float = 1.0) -> Tensor:
    """Samples of the mixture, not clamped.

    Args:
        mixture: ``... 3K``.
        uniforms: ``... K+1`` in [0, 1): K for the choice of a component, one for the draw from it.
        log_scale_min: as in the likelihood.
        temperature: multiplies both kinds of noise; at 0 the result is the mean of the most probable component.

    Returns:
        ``...``.
    """
    gumbel, logistic = draws(uniforms)
    return pick(mixture, gumbel * temperature, logistic * temperature, log_scale_min)[..., 0]
