"""The discretised mixture of logistics: mass, entropy, precision, gradient, sampling."""

import math

import pytest
import torch
from torch import Tensor

from toolkit.nn.mixture_of_logistics import CLIP, log_likelihood, sample

LEVELS = 2**16
HALF_BIN = 1 / (LEVELS - 1)


def all_levels(mixture: Tensor, scale: float = 1.0) -> Tensor:
    """Log mass of every 16-bit level, float64."""
    level = torch.arange(LEVELS)
    target = (-1 + 2 * HALF_BIN * level.double()) * scale
    return log_likelihood(mixture, target, HALF_BIN * scale, -50.0, level == 0, level == LEVELS - 1)


def one(mean: float, log_scale: float) -> Tensor:
    return torch.tensor([0.0, mean, log_scale], dtype=torch.float64)


@pytest.mark.parametrize(("mean", "log_scale"), [(0.0, -2.0), (0.9, -4.0), (0.99, -5.0), (1.0, -7.0), (-1.0, -16.0), (3.0, 0.0)])
def test_mass_of_all_levels_is_one(mean: float, log_scale: float) -> None:
    assert abs(all_levels(one(mean, log_scale)).exp().sum().item() - 1) < 1e-12


def test_mass_of_a_mixture_is_one() -> None:
    mixture = torch.randn(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert abs(all_levels(mixture).exp().sum().item() - 1) < 1e-12


@pytest.mark.parametrize(("log_scale", "entropy"), [(0, 6.1869), (-2, 10.3856), (-4, 8.3972), (-6, 6.3972), (-7, 5.3972), (-9, 3.3980)])
def test_entropy(log_scale: float, entropy: float) -> None:
    log_mass = all_levels(one(0.0, log_scale))
    assert -(log_mass.exp() * log_mass).sum().item() == pytest.approx(entropy, abs=1e-4)


@pytest.mark.parametrize("log_scale", range(-16, 1, 2))
def test_float32_is_exact_enough(log_scale: int) -> None:
    scale = math.exp(log_scale)
    target = (torch.linspace(-8, 8, 301) * scale).clamp(-1, 1)
    mixture = torch.tensor([0.0, 0.0, log_scale])
    error = log_likelihood(mixture, target, HALF_BIN, -16.0) - log_likelihood(mixture.double(), target.double(), HALF_BIN, -16.0)
    assert error.abs().max() < 4e-6


def test_scaled_targets_have_the_same_likelihood() -> None:
    mixture = torch.randn(1, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    logits, means, log_scales = mixture.chunk(3, -1)
    scaled = torch.cat([logits, means * 127.5, log_scales + math.log(127.5)], -1)
    torch.testing.assert_close(all_levels(mixture), all_levels(scaled, 127.5), rtol=0, atol=1e-6)


def test_half_bin_of_each_sample() -> None:
    mixture, target = torch.randn(5, 9, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    half_bins = torch.linspace(1e-4, 1e-2, 5, dtype=torch.float64)
    together = log_likelihood(mixture, target, half_bins, -7.0)
    alone = [log_likelihood(mixture[i], target[i], half_bins[i].item(), -7.0) for i in range(5)]
    torch.testing.assert_close(together, torch.stack(alone))


@pytest.mark.parametrize("log_scale", [-100.0, -16.0, 0.0, 120.0])
@pytest.mark.parametrize("target", [-1.0, 0.0, 1.0, 1e6])
def test_gradient_is_finite_at_extremes(log_scale: float, target: float) -> None:
    mixture = torch.tensor([0.0, -1.0, log_scale], requires_grad=True)
    value = log_likelihood(mixture, torch.tensor(target), HALF_BIN, -16.0)
    value.backward()
    assert value.isfinite() and mixture.grad is not None and mixture.grad.isfinite().all()


def test_samples_follow_the_mass() -> None:
    generator = torch.Generator().manual_seed(2)
    mixture = torch.tensor([0.0, 1.0, -0.5, -0.3, 0.4, 0.0, -3.0, -2.0, -4.0], dtype=torch.float64)
    count, bins = 200_000, 64
    drawn = sample(mixture.expand(count, -1), torch.rand(count, 4, generator=generator, dtype=torch.float64), -7.0).clamp(-1, 1)
    level = torch.arange(bins)
    half = 1 / (bins - 1)
    mass = log_likelihood(mixture, -1 + 2 * half * level.double(), half, -7.0, level == 0, level == bins - 1).exp()
    found = torch.bincount(((drawn + 1) / (2 * half)).round().long(), minlength=bins) / count
    assert (found - mass).abs().max() < 5 * math.sqrt(0.25 / count)


def test_scale_is_bounded_in_sampling_too() -> None:
    uniforms = torch.tensor([0.5, 1.0])
    drawn = sample(torch.tensor([0.0, 0.25, -100.0]), uniforms, -2.0)
    assert drawn.item() == pytest.approx(0.25 + math.exp(-2) * math.log((1 - CLIP) / CLIP), rel=1e-3)


def test_no_temperature_is_the_mean_of_the_most_probable() -> None:
    mixture = torch.tensor([0.0, 0.1, -0.5, 0.7, 0.0, 0.0])
    assert sample(mixture, torch.tensor([0.99, 0.01, 0.9]), -7.0, temperature=0.0).item() == pytest.approx(0.7)
