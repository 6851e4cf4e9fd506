"""Mixtures of Gaussians against their equations."""

import math
from typing import Any

import pytest
import torch

from toolkit.attentions import ATTENTIONS
from toolkit.attentions.gmm import GmmAttention
from toolkit.errors import ConfigError
from toolkit.nn.attention_window import confined

VERSIONS = ["v0", "v1", "v2b"]


def built(version: str, **knobs: Any) -> GmmAttention:
    attention = ATTENTIONS.part("gmm", version=version, dim=3, **knobs).build(memory_dim=2, query_dim=4, output_dim=1)
    assert isinstance(attention, GmmAttention)
    return attention.double()


@pytest.mark.parametrize("version", VERSIONS)
def test_weights_by_hand(version: str) -> None:
    """Battenberg et al. 2020, table 1, one number at a time; places count from 1."""
    torch.manual_seed(2)
    attention = built(version, mixtures=2)
    memory, queries = torch.randn(1, 6, 2).double(), torch.randn(3, 1, 4).double()
    state, means = attention.start(memory, torch.zeros(1, 6, dtype=torch.bool), None), [0.0, 0.0]
    for query in queries:
        raw = attention.last(torch.tanh(attention.hidden(query)))[0].tolist()
        shares = [math.exp(value) for value in raw[:2]]
        if version != "v0":
            shares = [share / sum(shares) for share in shares]
        smooth = math.exp if version != "v2b" else lambda value: math.log1p(math.exp(value))
        means = [mean + smooth(value) for mean, value in zip(means, raw[2:4], strict=True)]
        wide = {"v0": lambda s: math.sqrt(math.exp(-s) / 2), "v1": lambda s: math.sqrt(math.exp(s)), "v2b": smooth}[version]
        widths = [wide(value) for value in raw[4:]]
        constants = [1.0 if version == "v0" else math.sqrt(2 * math.pi * width**2) for width in widths]
        expected = [
            sum(w / z * math.exp(-((j - m) ** 2) / (2 * s**2)) for w, z, m, s in zip(shares, constants, means, widths, strict=True))
            for j in range(1, 7)
        ]
        context, weights, state = attention(query, query, state)
        torch.testing.assert_close(weights[0], torch.tensor(expected).double(), rtol=1e-6, atol=0)
        torch.testing.assert_close(context[0], weights[0] @ memory[0])


def test_the_first_step_of_v2b_is_one_symbol_and_ten_wide() -> None:
    attention = built("v2b")
    with torch.no_grad():
        attention.last.weight.zero_()
    _, steps, widths = attention._mixture(torch.randn(1, 4).double(), torch.float64)
    assert torch.allclose(steps, torch.ones(1, 5).double(), atol=1e-6) and torch.allclose(
        widths, torch.full((1, 5), 10.0).double(), atol=1e-5
    )


def test_means_of_low_precision_stay_exact() -> None:
    """Sums over a thousand steps; in bfloat16 they would stop at 256."""
    attention = ATTENTIONS.part("gmm", dim=3).build(memory_dim=2, query_dim=4, output_dim=1).bfloat16()
    with torch.no_grad():
        attention.last.weight.zero_()
    state = attention.start(torch.zeros(1, 5, 2, dtype=torch.bfloat16), torch.zeros(1, 5, dtype=torch.bool), None)
    for _ in range(1000):
        _, weights, state = attention(torch.zeros(1, 4, dtype=torch.bfloat16), torch.zeros(1, 1), state)
    assert state.means.dtype == torch.float32 and weights.dtype == torch.bfloat16
    assert state.means[0, 0].item() == pytest.approx(1000, rel=0.01)


def test_a_window_keeps_the_mass() -> None:
    weights = torch.tensor([[0.1, 0.2, 0.3], [0.5, 0.0, 0.0]])
    allowed = torch.tensor([[False, True, True], [False, True, True]])
    torch.testing.assert_close(confined(weights, allowed), torch.tensor([[0.0, 0.24, 0.36], [0.0, 0.0, 0.0]]))
    assert confined(weights, None) is weights


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(ConfigError, match="gmm_conf: version: unknown, got 'v2'"):
        built("v2")
