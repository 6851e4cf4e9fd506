"""Distributions of the next sample: mass of all levels, likelihood against scipy, frequencies of draws, the mu-law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from toolkit.audio import mu_law
from toolkit.errors import ConfigError
from toolkit.nn.sample_heads import HALF_BIN, HEADS, SampleHead, sample_head

LEVELS = torch.arange(-(2**15), 2**15, dtype=torch.float64) / 2**15


def outputs_of(head: SampleHead, seed: int = 0) -> Tensor:
    return torch.randn(head.outputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def nats(head: SampleHead, outputs: Tensor, scale: float = 1.0) -> Tensor:
    """Of every level of a 16-bit file."""
    lowest, highest = LEVELS == LEVELS[0], LEVELS == LEVELS[-1]
    return head.log_likelihood(outputs.expand(len(LEVELS), -1), LEVELS * scale, HALF_BIN * scale, lowest, highest)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("seed", range(3))
def test_mass_of_all_levels_is_one(name: str, seed: int) -> None:
    head = sample_head(name, 3, -12.0)
    assert abs(nats(head, outputs_of(head, seed)).exp().sum().item() - 1) < 1e-9
    if name != "mulaw":
        assert abs(nats(head, outputs_of(head, seed), 127.5).exp().sum().item() - 1) < 1e-9


@pytest.mark.parametrize(("mean", "log_scale"), [(0.1, -1.0), (0.3, -6.0), (-0.2, -9.5), (0.9, -11.0), (5.0, 0.0), (0.0, -30.0)])
def test_gaussian_is_that_of_scipy(mean: float, log_scale: float) -> None:
    """Wide, as wide as a level, far outside, and below the least scale."""
    head = sample_head("gaussian", 1, -12.0)
    found = nats(head, torch.tensor([mean, log_scale], dtype=torch.float64))
    law = stats.norm(mean, math.exp(max(log_scale, -12.0)))
    near = (LEVELS - mean).abs() < 6 * law.std() + 2 * HALF_BIN
    near[0] = near[-1] = False
    levels = LEVELS[near].numpy()
    expected = np.log(np.maximum(law.cdf(levels + HALF_BIN) - law.cdf(levels - HALF_BIN), 1e-300))
    torch.testing.assert_close(found[near].exp(), torch.from_numpy(expected).exp(), atol=1e-10, rtol=2e-4)
    assert abs(found[0].exp().item() - law.cdf(-1 + HALF_BIN)) < 1e-12
    assert abs(found[-1].exp().item() - law.sf(LEVELS[-1].item() - HALF_BIN)) < 1e-12


@pytest.mark.parametrize("name", HEADS)
def test_draws_are_as_frequent_as_they_are_likely(name: str) -> None:
    head, count = sample_head(name, 3, -12.0), 40_000
    outputs = outputs_of(head, 5)
    if name != "mulaw":
        outputs[head.outputs // 3 * 2 if name == "mol" else 1 :] -= 2.0  # most of the mass within full scale
    uniforms = torch.rand(count, sum(head.draws), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    samples = head.pick(outputs.expand(count, -1), head.noise(uniforms)).clamp(-1.0, LEVELS[-1].item())
    mass = nats(head, outputs).exp().cumsum(0)
    edges = LEVELS[:: 2**12]
    found = torch.tensor([(samples <= edge + HALF_BIN).double().mean() for edge in edges])
    torch.testing.assert_close(found, mass[:: 2**12], atol=0.012, rtol=0)


@pytest.mark.parametrize("name", HEADS)
def test_without_noise_the_likeliest_is_taken(name: str) -> None:
    head = sample_head(name, 1, -12.0)
    outputs = outputs_of(head, 2)
    if name != "mulaw":
        outputs = torch.tensor([0.0, 0.25, -4.0] if name == "mol" else [0.25, -4.0], dtype=torch.float64)
    sample = head.pick(outputs, tuple(torch.zeros(width, dtype=torch.float64) for width in head.draws))
    likeliest = LEVELS[nats(head, outputs).argmax()]
    if name == "mulaw":
        assert mu_law.encode(sample) == outputs.argmax()
    else:
        assert abs(sample - likeliest) <= 2 * HALF_BIN


@pytest.mark.parametrize("name", HEADS)
def test_gradients_are_finite_in_float32(name: str) -> None:
    head = sample_head(name, 3, -16.0)
    outputs = (20 * torch.randn(500, head.outputs)).requires_grad_()
    target = torch.linspace(-1, 1, 500)
    total = head.log_likelihood(outputs, target, HALF_BIN, target < -0.999, target > 0.999).clamp(min=-1e4).sum()
    total.backward()
    assert outputs.grad is not None and bool(outputs.grad.isfinite().all())


@pytest.mark.parametrize("log_scale", [-16.0, -11.0, -7.0, 0.0])
def test_gaussian_pulls_the_mean_however_far_it_is(log_scale: float) -> None:
    """d nats / d mean is about (target - mean) / variance, or from the near edge of the bin, up to thousands of deviations in float32."""
    distance = torch.logspace(-3, 0, 40)[None] * torch.tensor([[1.0], [-1.0]])
    outputs = torch.stack([distance, torch.full_like(distance, log_scale)], -1).requires_grad_()
    no = torch.zeros_like(distance, dtype=torch.bool)
    sample_head("gaussian", 1, -16.0).log_likelihood(outputs, torch.zeros_like(distance), HALF_BIN, no, no).sum().backward()
    assert outputs.grad is not None
    variance = math.exp(2 * log_scale)
    edge = (distance.abs() - HALF_BIN) * distance.sign()  # the farther out, the more of the mass lies there
    low, high = -distance / variance, -edge / variance
    slope = outputs.grad[..., 0]
    assert bool((slope.abs() <= low.abs() * 1.02 + 1e-6).all()) and bool((slope.abs() >= high.abs() * 0.98 - 1e-6).all())
    assert bool((slope.sign() == -distance.sign()).all())


@pytest.mark.parametrize("deviations", [90.0, 99.9, 100.1, 150.0, 3000.0])
def test_gaussian_far_below_full_scale(deviations: float) -> None:
    """The open bin at the lower end holds all that lies below it; on both sides of where the series of the tail begins."""
    outputs = torch.tensor([deviations + HALF_BIN - 1.0, 0.0], dtype=torch.float64)  # its mean lies so far above the lowest level
    yes, no = torch.tensor(True), torch.tensor(False)
    found = sample_head("gaussian", 1, -16.0).log_likelihood(outputs, torch.tensor(-1.0, dtype=torch.float64), HALF_BIN, yes, no)
    assert found.item() == pytest.approx(stats.norm.logcdf(-deviations), abs=1e-4)


@pytest.mark.parametrize("name", ["mol", "gaussian"])
def test_no_scale_is_smaller_than_the_least(name: str) -> None:
    head = sample_head(name, 1, -3.0)
    least, smaller = (torch.tensor([0.0, 0.25, scale] if name == "mol" else [0.25, scale]) for scale in (-3.0, -9.0))
    noise = head.noise(torch.full((sum(head.draws),), 0.9))
    assert head.pick(least, noise) == head.pick(smaller, noise) != 0.25


def test_the_mu_law_by_hand() -> None:
    """f(x) = sgn x ln(1 + 255 |x|) / ln 256: half of the classes lie within 1/17 of full scale, and silence is exact."""
    assert mu_law.encode(torch.tensor([-1.0, 0.0, 1.0, 2.0])).tolist() == [0, 128, 255, 255]
    assert mu_law.decode(torch.tensor([0, 128])).tolist() == [-1.0, 0.0]
    torch.testing.assert_close(mu_law.decode(torch.tensor(192)).item(), 15 / 255)  # 256^(1/2) = 16
    counts = mu_law.levels()
    assert counts.sum() == 2**16 and counts[128] == 5  # the middle of silence reaches to (256^(1/256) - 1) / 255 = 2.8 levels
    assert counts[64:193].sum() == 2 * math.floor((256 ** (64.5 / 128) - 1) / 255 * 2**15) + 1


def test_every_class_comes_back_and_no_sample_is_further_off_than_half_a_class() -> None:
    classes = torch.arange(256)
    assert torch.equal(mu_law.encode(mu_law.decode(classes)), classes)
    wave = torch.linspace(-1, 1, 10_001, dtype=torch.float64)
    found = mu_law.encode(wave)
    width = mu_law.levels()[found] / 2**15
    inner = (found > 0) & (found < 255)  # the last ones reach to full scale
    assert bool(((mu_law.decode(found) - wave).abs() <= 0.52 * width + 2**-15)[inner].all())


def test_an_unknown_head_is_refused() -> None:
    with pytest.raises(ConfigError, match="head: unknown, got 'gaussiann'; did you mean 'gaussian'"):
        sample_head("gaussiann", 1, -7.0)
