"""Dynamic convolution attention against its equations."""

from typing import Any

import pytest
import torch
from scipy.stats import betabinom

from toolkit.attentions import ATTENTIONS
from toolkit.attentions.dca import FLOOR, DynamicConvolutionAttention, beta_binomial
from toolkit.errors import ConfigError


def built(**knobs: Any) -> DynamicConvolutionAttention:
    torch.manual_seed(1)
    part = ATTENTIONS.part("dca", dim=3, static_filters=2, dynamic_filters=2, kernel_size=5, **knobs)
    attention = part.build(memory_dim=2, query_dim=4, output_dim=1)
    assert isinstance(attention, DynamicConvolutionAttention)
    return attention.double()


def test_the_prior_is_beta_binomial_and_steps_one_symbol_on_average() -> None:
    """Battenberg et al. 2020, section 2.3: n = 10, alpha = 0.1, beta = 0.9."""
    taps = beta_binomial(10, 0.1, 0.9)
    published = [0.7400, 0.0747, 0.0416, 0.0295, 0.0232, 0.0193, 0.0168, 0.0150, 0.0138, 0.0130, 0.0132]
    assert taps == pytest.approx(published, abs=5e-5)
    assert taps == pytest.approx(betabinom.pmf(range(11), 10, 0.1, 0.9).tolist())
    assert sum(k * tap for k, tap in enumerate(taps)) == pytest.approx(1.0)


def test_weights_by_hand() -> None:
    """Every sum written out, over three steps."""
    attention = built(prior_length=3)
    symbols, taps = 6, beta_binomial(2, 0.1, 0.9)
    memory, queries = torch.randn(1, symbols, 2).double(), torch.randn(3, 1, 4).double()
    state, last = attention.start(memory, torch.zeros(1, symbols, dtype=torch.bool), None), [1.0, 0, 0, 0, 0, 0]
    for query in queries:
        filters = attention.dynamic(torch.tanh(attention.query(query))).view(2, 5)
        energies = []
        for j in range(symbols):
            window = torch.tensor([last[i] if 0 <= i < symbols else 0.0 for i in range(j - 2, j + 3)]).double()
            static, dynamic = attention.static.weight @ window, filters @ window
            inner = attention.static_hidden.weight @ static + attention.dynamic_hidden.weight @ dynamic + attention.dynamic_hidden.bias
            reached = sum(tap * last[j - k] for k, tap in enumerate(taps) if j >= k)
            prior = torch.tensor(reached).double().log() if reached > 0 else torch.tensor(FLOOR)
            energies.append(attention.energy.weight[0] @ torch.tanh(inner) + prior)
        expected = torch.softmax(torch.stack(energies), 0)
        context, weights, state = attention(query, query, state)
        torch.testing.assert_close(weights[0], expected, rtol=1e-5, atol=1e-12)
        torch.testing.assert_close(context[0], weights[0] @ memory[0])
        last = weights[0].tolist()


def test_nobody_goes_back_or_further_than_the_prior() -> None:
    attention = built(prior_length=3)
    state = attention.start(torch.randn(1, 9, 2).double(), torch.zeros(1, 9, dtype=torch.bool), None)
    state = state._replace(weights=torch.eye(9)[None, 3].double())
    _, weights, _ = attention(torch.randn(1, 4).double(), torch.zeros(1, 1).double(), state)
    assert (weights[0] > 0).tolist() == [3 <= j <= 5 for j in range(9)]


def test_gradients_are_finite_over_many_steps_of_a_long_text() -> None:
    attention = built().float()
    memory = torch.randn(1, 200, 2, requires_grad=True)
    state, total = attention.start(memory, torch.zeros(1, 200, dtype=torch.bool), None), torch.zeros(())
    for query in torch.randn(60, 1, 4):
        context, _, state = attention(query, query, state)
        total = total + context.square().sum()
    total.backward()
    assert memory.grad is not None and memory.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in attention.parameters())


@pytest.mark.parametrize(("knobs", "message"), [({"kernel_size": 4}, "must be odd"), ({"prior_beta": 0.0}, "must be positive")])
def test_what_cannot_be_is_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ATTENTIONS.part("dca", **knobs).build(memory_dim=2, query_dim=4, output_dim=1)
