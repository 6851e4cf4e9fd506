"""Spectral norm: against singular values, once an update, and with the trainer's moment for it."""

import pytest
import torch
from torch import nn

from toolkit.nn.spectral_norm import normed, spectral_norm
from toolkit.train.distributed import Processes
from toolkit.train.running_statistics import fold


def layer() -> nn.Conv1d:
    torch.manual_seed(0)
    return spectral_norm(nn.Conv1d(6, 4, 3, groups=2).double())


def largest(weight: torch.Tensor) -> float:
    return float(torch.linalg.svdvals(weight.detach().flatten(1))[0])


def test_it_divides_by_the_largest_singular_value() -> None:
    conv = layer()
    ((norm, original),) = normed(conv)
    for _ in range(500):
        norm.refine(original)
    assert largest(original) != pytest.approx(1.0, abs=0.1)
    assert torch.allclose(conv.weight, original / largest(original))
    assert largest(conv.weight) == pytest.approx(1.0)


def test_its_gradient_is_that_of_the_divided_weight_with_the_estimate_held() -> None:
    """Miyato et al. 2018, equation 12: of sum(G * W / s) it is (G - (sum(G * W) / s) u v') / s."""
    conv = layer()
    ((norm, original),) = normed(conv)
    given = torch.randn_like(original)
    (given * conv.weight).sum().backward()
    matrix, g = original.detach().flatten(1), given.flatten(1)
    v = matrix.T @ norm.u
    sigma, v = v.norm(), v / v.norm()
    expected = (g - (g * matrix).sum() / sigma * torch.outer(norm.u, v)) / sigma
    assert original.grad is not None and torch.allclose(original.grad.flatten(1), expected)


def test_the_estimate_moves_once_an_update_and_never_in_a_pass() -> None:
    conv = layer().train()
    ((norm, original),) = normed(conv)
    with torch.no_grad():
        original.copy_(torch.randn_like(original))
    before = norm.u.clone()
    for _ in range(3):
        conv(torch.randn(1, 6, 9, dtype=torch.float64))
    assert torch.equal(norm.u, before)
    fold(conv, Processes(), 1)
    v = original.detach().flatten(1).T @ before
    once = original.detach().flatten(1) @ (v / v.norm())
    assert torch.allclose(norm.u, once / once.norm()) and not torch.allclose(norm.u, before)


def test_half_precision_leaves_the_estimate_alone() -> None:
    conv = layer().float()
    expected = conv.weight
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(conv.weight, expected) and conv.weight.dtype == torch.float32
