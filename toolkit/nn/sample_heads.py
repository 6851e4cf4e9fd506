"""What an autoregressive vocoder says of its next sample: a distribution, its likelihood, and a draw from it.

Whatever the head, a likelihood is that of one level of a 16-bit file, in nats, so that losses of heads may be compared.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.audio import mu_law
from toolkit.errors import ConfigError, nearest
from toolkit.nn import mixture_of_logistics

HEADS = ("mol", "gaussian", "mulaw")
HALF_BIN = 2.0**-16  # levels of a 16-bit file lie 2^-15 apart, from -1
NARROW = 0.02  # half a bin, in deviations, where the density is as good as the mass
FAR = 100.0  # deviations, where the first term of the tail's series is exact to 1e-4 nats and float32 has no more to say


class SampleHead:
    """A family of distributions.

    Attributes:
        outputs: P, what the network gives of each sample.
        draws: widths of the tensors of random numbers that a draw takes; together as many uniform numbers.
    """

    outputs: int
    draws: tuple[int, ...]

    def start(self, last: nn.Linear) -> None:
        """Set the first weights of the layer that gives the outputs."""
        with torch.no_grad():
            last.weight.mul_(0.3)

    def noise(self, uniforms: Tensor) -> tuple[Tensor, ...]:
        """Uniform numbers ``... sum(draws)`` in [0, 1) -> tensors of the widths ``draws``; all zero gives the likeliest sample."""
        raise NotImplementedError

    def pick(self, outputs: Tensor, noise: tuple[Tensor, ...]) -> Tensor:
        """A sample of ``... P`` from ready noise, in the units of the target, not clamped: ``...``."""
        raise NotImplementedError

    def log_likelihood(self, outputs: Tensor, target: Tensor, half_bin: Tensor | float, lowest: Tensor, highest: Tensor) -> Tensor:
        """Nats of a level: ``... P`` and arguments as of ``mixture_of_logistics.log_likelihood`` -> ``...``."""
        raise NotImplementedError


class Logistics(SampleHead):
    """A mixture of K logistics (Tacotron 2, section 2.3)."""

    def __init__(self, mixtures: int, log_scale_min: float) -> None:
        self.mixtures, self.log_scale_min = mixtures, log_scale_min
        self.outputs, self.draws = 3 * mixtures, (mixtures, 1)

    def start(self, last: nn.Linear) -> None:
        """Means spread over the units of the net, so that components differ from the first step."""
        super().start(last)
        k = self.mixtures
        with torch.no_grad():
            last.bias[:k] = 0
            last.bias[k : 2 * k] = torch.linspace(-1, 1, k)
            last.bias[2 * k :] = -1

    def noise(self, uniforms: Tensor) -> tuple[Tensor, ...]:
        return mixture_of_logistics.draws(uniforms)

    def pick(self, outputs: Tensor, noise: tuple[Tensor, ...]) -> Tensor:
        return mixture_of_logistics.pick(outputs, noise[0], noise[1], self.log_scale_min)[..., 0]

    def log_likelihood(self, outputs: Tensor, target: Tensor, half_bin: Tensor | float, lowest: Tensor, highest: Tensor) -> Tensor:
        return mixture_of_logistics.log_likelihood(outputs, target, half_bin, self.log_scale_min, lowest, highest)


class Gaussian(SampleHead):
    """One Gaussian (Ping et al. 2019, ClariNet, section 3.1): mean and logarithm of the deviation."""

    outputs, draws = 2, (1,)

    def __init__(self, log_scale_min: float) -> None:
        self.log_scale_min = log_scale_min

    def start(self, last: nn.Linear) -> None:
        super().start(last)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([0.0, -1.0]))

    def noise(self, uniforms: Tensor) -> tuple[Tensor, ...]:
        clip = mixture_of_logistics.CLIP
        return (torch.special.ndtri(uniforms.clamp(clip, 1 - clip)),)

    def pick(self, outputs: Tensor, noise: tuple[Tensor, ...]) -> Tensor:
        return torch.addcmul(outputs[..., 0], outputs[..., 1].clamp_min(self.log_scale_min).exp(), noise[0][..., 0])

    def log_likelihood(self, outputs: Tensor, target: Tensor, half_bin: Tensor | float, lowest: Tensor, highest: Tensor) -> Tensor:
        """The mass of the bin; where it is narrow, its width times the density, which is then as exact and does not cancel."""
        mean, log_scale = outputs[..., 0], outputs[..., 1].clamp_min(self.log_scale_min)
        inverse = torch.exp(-log_scale)
        centre, half = (target - mean) * inverse, half_bin * inverse
        width = torch.log(half_bin) if isinstance(half_bin, Tensor) else math.log(half_bin)
        density = -0.5 * centre.square() - 0.5 * math.log(math.pi / 2) + width - log_scale
        top, bottom = _log_cdf(half - centre.abs()), _log_cdf(-half - centre.abs())
        mass = top + torch.log(-torch.expm1(torch.clamp(bottom - top, max=-torch.finfo(top.dtype).eps)))
        nats = torch.where(half < NARROW, density, mass)
        nats = torch.where(lowest, _log_cdf(centre + half), nats)
        return torch.where(highest, _log_cdf(half - centre), nats)


def _log_cdf(x: Tensor) -> Tensor:
    """ln of the standard normal distribution, with gradients that stay right however far out ``x`` lies."""
    out = x.clamp(max=-FAR)
    tail = -0.5 * out.square() - torch.log(-out) - 0.5 * math.log(2 * math.pi)
    return torch.where(x < -FAR, tail, torch.special.log_ndtr(x.clamp(min=-FAR)))


class MuLaw(SampleHead):
    """Classes of the mu-law (van den Oord et al. 2016, section 2.2), each one's mass spread evenly over its levels."""

    outputs, draws = mu_law.CLASSES, (mu_law.CLASSES,)

    def noise(self, uniforms: Tensor) -> tuple[Tensor, ...]:
        clip = mixture_of_logistics.CLIP
        return (-torch.log(-torch.log(uniforms.clamp(clip, 1 - clip))),)

    def pick(self, outputs: Tensor, noise: tuple[Tensor, ...]) -> Tensor:
        return mu_law.decode(torch.argmax(outputs + noise[0], -1)).to(outputs)

    def log_likelihood(self, outputs: Tensor, target: Tensor, half_bin: Tensor | float, lowest: Tensor, highest: Tensor) -> Tensor:
        classes = mu_law.encode(target)
        levels = torch.log(mu_law.levels().double()).to(outputs)
        logits = F.log_softmax(outputs, -1).expand(*classes.shape, -1)
        return logits.gather(-1, classes[..., None])[..., 0] - levels[classes]


def sample_head(name: str, mixtures: int, log_scale_min: float) -> SampleHead:
    """The head of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in HEADS:
        raise ConfigError(f"head: unknown, got {name!r}; {nearest(name, HEADS)}")
    if name == "mol":
        return Logistics(mixtures, log_scale_min)
    return Gaussian(log_scale_min) if name == "gaussian" else MuLaw()
