"""Attention weights against their equations, written out."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from toolkit.attentions import ATTENTIONS
from toolkit.attentions.content import ContentAttention
from toolkit.attentions.location_sensitive import LocationSensitiveAttention
from toolkit.errors import ConfigError


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    return torch.randn(3, 1, 5, dtype=torch.float64), torch.randn(1, 6, 4, dtype=torch.float64), torch.zeros(1, 6, dtype=torch.bool)


@pytest.mark.parametrize("previous", [False, True])
@pytest.mark.parametrize("smoothing", [False, True])
@pytest.mark.parametrize("even", [False, True])
def test_location_sensitive_sees_the_sum_of_all_past_weights(previous: bool, smoothing: bool, even: bool) -> None:
    """e_ij = w tanh(W s_i + V h_j + U f_ij + b), f_i = F * sum of past weights (Chorowski et al. 2015, eq. 8-9; Tacotron 2, 2.2).

    Sharpened by 2.5 (softmax of the multiplied energies) or smoothed (sigmoids scaled to a sum of 1), ibid. section 2.3.
    With an even start the first step sees weights that are all the same, and no other step does.
    """
    queries, memory, mask = inputs()
    knobs = {"previous": previous, "sharpening": 2.5, "smoothing": smoothing, "even_start": even}
    part = ATTENTIONS.part("location_sensitive", dim=3, filters=2, kernel_size=3, **knobs)
    attention = part.build(memory_dim=4, query_dim=5, output_dim=1).double()
    assert isinstance(attention, LocationSensitiveAttention)
    net = attention.energies
    state, past = attention.start(memory, mask, None), [torch.zeros(6, dtype=torch.float64)]
    for query in queries:
        _, weights, state = attention(query, query, state)
        channels = torch.stack([past[-1], sum(past)] if previous else [sum(past)])
        if even and len(past) == 1:
            channels = torch.full_like(channels, 1 / 6)
        located = F.conv1d(channels[None], net.filters.weight, padding=1)[0].T @ net.location.weight.T
        inner = query @ net.query.weight.T + memory[0] @ net.key.weight.T + net.key.bias + located
        energies = 2.5 * torch.tanh(inner) @ net.energy.weight[0]
        expected = torch.sigmoid(energies) / torch.sigmoid(energies).sum() if smoothing else torch.softmax(energies, 0)
        assert torch.allclose(weights[0], expected)
        past.append(weights[0])


def test_content_is_additive_attention() -> None:
    """e_ij = v tanh(W s_i + V h_j + b) (Bahdanau et al. 2015), and the context is the weighted sum of the memory."""
    queries, memory, mask = inputs()
    attention = ATTENTIONS.part("content", dim=3).build(memory_dim=4, query_dim=5, output_dim=1).double()
    assert isinstance(attention, ContentAttention)
    context, weights, _ = attention(queries[0], queries[0], attention.start(memory, mask, None))
    net = attention.energies
    inner = queries[0] @ net.query.weight.T + memory[0] @ net.key.weight.T + net.key.bias
    expected = torch.softmax(torch.tanh(inner) @ net.energy.weight[0], 0)
    assert torch.allclose(weights[0], expected) and torch.allclose(context[0], expected @ memory[0])


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ConfigError, match="location_sensitive_conf: kernel_size: must be odd, got 4; nearest: 5"):
        ATTENTIONS.part("location_sensitive", kernel_size=4).build(memory_dim=4, query_dim=5, output_dim=1)
