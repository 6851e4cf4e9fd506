"""Attentions that only go forward: their recursions against values by hand and loops over the equations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from toolkit.attentions import ATTENTIONS
from toolkit.attentions.forward import ForwardAttention
from toolkit.attentions.forward_ta import ForwardTransitionAttention
from toolkit.attentions.monotonic import MonotonicAttention
from toolkit.errors import ConfigError
from toolkit.nn import monotonic
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise

OPEN = torch.zeros(1, 4, dtype=torch.bool)
LOGIT = torch.logit


def test_forward_by_hand() -> None:
    """Zhang et al. 2018: a' = (a(n) + a(n-1)) y(n), scaled; here y = 0.4, 0.3, 0.2, 0.1 and a = 0.5, 0.5, 0, 0."""
    before = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    energies = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    raw = torch.tensor([[0.5 * 0.4, 1.0 * 0.3, 0.5 * 0.2, 0.0]])
    weights = monotonic.reweighted(energies, before + monotonic.shifted(before), OPEN, None)
    torch.testing.assert_close(weights, raw / raw.sum())


def test_forward_by_hand_with_a_least_weight() -> None:
    """The same where no product is below 0.15; what is closed stays at zero."""
    before = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    attention = ATTENTIONS.part("forward", dim=1, least=0.15).build(memory_dim=1, query_dim=1, output_dim=1)
    with torch.no_grad():
        attention.energies.energy.weight.fill_(1.0)
        attention.energies.query.weight.zero_()
    keys = torch.atanh(torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log() + 1.5)[..., None]  # energies of softmax 0.4, 0.3, 0.2, 0.1
    state = attention.start(torch.zeros(1, 4, 1), OPEN, None)._replace(weights=before, keys=keys)
    weights = attention(torch.zeros(1, 1), torch.zeros(1, 1), state)[1]
    torch.testing.assert_close(weights, torch.tensor([[0.2, 0.3, 0.15, 0.15]]) / 0.8)
    allowed = torch.tensor([[True, True, True, False]])
    weights = attention(torch.zeros(1, 1), torch.zeros(1, 1), state, allowed)[1]
    torch.testing.assert_close(weights, torch.tensor([[2 / 9, 3 / 9, 0.15, 0.0]]) / (5 / 9 + 0.15))


def test_forward_where_one_energy_is_certain_moves_one_symbol_a_step() -> None:
    attention = ForwardAttention(4, 4, 1, dim=4).eval()
    state = attention.start(torch.randn(1, 4, 4), OPEN, None)
    for step in range(4):
        energies = torch.full((1, 4), -100.0)
        energies[0, step] = 0.0
        weights = monotonic.reweighted(energies, state.weights + monotonic.shifted(state.weights), OPEN, None)
        state = state._replace(weights=weights)
        assert weights.argmax() == step and weights.max() > 0.999


def test_the_agents_probability_is_that_of_moving() -> None:
    """The paper's sign: with u = 1 attention moves whatever the energies say, with u = 0 it stays, and u_0 is 0.5."""
    attention = ForwardTransitionAttention(3, 2, 1, dim=4, agent=4).eval()
    memory, query, output = torch.randn(1, 4, 3), torch.randn(1, 2), torch.randn(1, 1)
    state = attention.start(memory, OPEN, None)
    assert state.move.item() == 0.5
    moved = attention(query, output, state._replace(move=torch.ones(1, 1)))[1]
    torch.testing.assert_close(moved, torch.tensor([[0.0, 1.0, 0.0, 0.0]]))
    stayed = attention(query, output, state._replace(move=torch.zeros(1, 1)))[1]
    torch.testing.assert_close(stayed, torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    attention.speed_bias = 50.0
    assert attention(query, output, state)[2].move.item() == 1.0
    context, weights, _ = attention(query, output, state)
    y = torch.softmax(attention.energies(query, state.keys, state.weights[:, None]), 1)
    raw = torch.tensor([[0.5, 0.5, 0.0, 0.0]]) * y
    torch.testing.assert_close(weights, raw / raw.sum())
    torch.testing.assert_close(context, (weights[0, :, None] * memory[0]).sum(0)[None])


def test_monotonic_by_hand() -> None:
    """Raffel et al. 2017, section 2.3, of p = 0.5, 0.25, 0.5, and 1 at the last symbol, from a = 0.5, 0.5, 0, 0."""
    before = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    energies = LOGIT(torch.tensor([[0.5, 0.25, 0.5, 0.1]]))
    expected = [
        0.5 * 0.5,
        0.25 * (0.5 + 0.5 * 0.5),
        0.5 * (0.75 * (0.5 + 0.5 * 0.5)),
        1.0 * (0.5 * 0.75 * (0.5 + 0.5 * 0.5)),
    ]
    weights = monotonic.soft_monotonic(energies, before, OPEN)
    torch.testing.assert_close(weights, torch.tensor([expected]))
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0))


def plain_monotonic(energies: Tensor, before: Tensor, length: int) -> Tensor:
    """The sum as it stands, for one row."""
    p = torch.sigmoid(energies)
    p[length - 1] = 1.0
    weights = torch.zeros_like(p)
    for j in range(length):
        for k in range(j + 1):
            weights[j] += p[j] * before[k] * torch.prod(1 - p[k:j])
    return weights


@given(st.integers(1, 9), st.integers(0, 3), st.integers(0, 2**16), st.sampled_from([0.1, 1.0, 30.0]))
def test_monotonic_equals_its_sum(length: int, padding: int, seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    size = length + padding
    energies = scale * torch.randn(1, size, generator=generator, dtype=torch.float64)
    mask = padding_mask(torch.tensor([length]), size)
    before = torch.softmax(torch.randn(1, size, generator=generator, dtype=torch.float64).masked_fill(mask, -torch.inf), 1)
    weights = monotonic.soft_monotonic(energies, before, mask)
    torch.testing.assert_close(weights[0], plain_monotonic(energies[0], before[0], length), atol=1e-9, rtol=1e-7)


def test_stepwise_by_hand() -> None:
    """He et al. 2019, equation 8: what does not stay moves exactly one symbol on; the last symbol keeps all."""
    before = torch.tensor([[0.5, 0.25, 0.0, 0.25]])
    energies = LOGIT(torch.tensor([[0.8, 0.4, 0.5, 0.1]]))
    weights = monotonic.soft_stepwise(energies, before, OPEN)
    torch.testing.assert_close(weights, torch.tensor([[0.4, 0.25 * 0.4 + 0.5 * 0.2, 0.25 * 0.6, 0.25]]))


def test_hard_forms_by_hand() -> None:
    energies = torch.tensor([[-1.0, -1.0, 2.0, -1.0], [-1.0, 1.0, -1.0, -5.0], [-1.0, -1.0, -1.0, 9.0]])
    mask = padding_mask(torch.tensor([4, 4, 3]), 4)
    before = torch.eye(4)[[0, 1, 1]]
    assert monotonic.hard_monotonic(energies, before, mask).tolist() == [2, 1, 2]  # goes on to 2, stays, ends at its last symbol
    assert monotonic.hard_stepwise(energies, before, mask).tolist() == [1, 1, 2]
    assert monotonic.hard_stepwise(energies, torch.eye(4)[[2, 3, 2]], mask).tolist() == [2, 3, 2]  # the last symbol is never left


def test_a_pointer_goes_to_the_nearest_allowed_symbol() -> None:
    allowed = torch.tensor([[False, True, True, True, False]])
    mask = padding_mask(torch.tensor([3]), 5)
    like = torch.zeros(1)
    assert [monotonic.pointer(torch.tensor([p]), mask, allowed, like).argmax().item() for p in range(3)] == [1, 1, 2]
    assert monotonic.pointer(torch.tensor([4]), mask, allowed, like).argmax().item() == 2


@pytest.mark.parametrize("name", ["monotonic", "stepwise_monotonic"])
def test_hard_is_what_certain_energies_make_of_soft(name: str) -> None:
    torch.manual_seed(2)
    attention = ATTENTIONS.part(name).build(memory_dim=3, query_dim=2, output_dim=1).double().eval()
    with torch.no_grad():
        attention.gain.mul_(1e5)
    memory, mask = torch.randn(2, 6, 3, dtype=torch.float64), padding_mask(torch.tensor([6, 4]))
    soft, hard = attention.start(memory, mask, None), attention.start(memory, mask, None, hard=True)
    reached = torch.zeros(2, dtype=torch.long)
    for step in range(8):
        query = torch.randn(2, 2, dtype=torch.float64)
        expected, soft = attention(query, query, soft)[1:]
        weights, hard = attention(query, query, hard)[1:]
        torch.testing.assert_close(weights, expected, atol=1e-6, rtol=0, msg=f"step {step}")
        assert bool((weights.argmax(1) >= reached).all()), "never back"
        reached = weights.argmax(1)


def test_noise_is_drawn_in_training_only_and_anew_each_step() -> None:
    attention = MonotonicAttention(3, 2, 1, dim=4)
    memory, query = torch.randn(2, 4, 3), torch.randn(2, 2)
    mask = torch.zeros(2, 4, dtype=torch.bool)

    def weights(noise: Noise | None, position: int) -> Tensor:
        state = attention.start(memory, mask, noise)._replace(position=position)
        return attention(query, query, state)[1]

    drawn = [weights(Noise.of_micro_batch(1, 2, 3), position) for position in (0, 1)]
    assert not torch.equal(*drawn) and not torch.equal(drawn[0], weights(None, 0))
    assert torch.equal(drawn[0], weights(Noise.of_micro_batch(1, 2, 3), 0))
    attention.eval()
    assert torch.equal(weights(Noise.of_rows([1, 2]), 0), weights(None, 0))


@pytest.mark.parametrize("name", ["forward", "forward_ta", "monotonic", "stepwise_monotonic"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_long_texts_stay_finite_and_sum_to_one(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    attention = ATTENTIONS.part(name).build(memory_dim=3, query_dim=2, output_dim=2).to(dtype)
    memory = torch.randn(2, 100, 3, dtype=dtype)
    state = attention.start(memory, padding_mask(torch.tensor([100, 40])), Noise.of_micro_batch(1, 1, 1))
    for _ in range(150):
        query = 3 * torch.randn(2, 2, dtype=dtype)
        context, shown, state = attention(query, query, state)
    assert bool(context.isfinite().all())
    torch.testing.assert_close(state.weights.sum(1), torch.ones(2), atol=1e-3, rtol=0)
    state.weights.square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in attention.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("location_sensitive", {"sharpening": 0.0}, "sharpening: must be above 0, got 0"),
        ("location_sensitive", {"filters": 0}, "filters: must be at least 1, got 0; nearest: attention content"),
        ("forward", {"filters": 2, "kernel_size": 4}, "kernel_size: must be odd, got 4"),
        ("forward", {"least": -1e-6}, "least: a weight, must be from 0 to below 1, got -1e-06"),
        ("monotonic", {"noise": -1.0}, "noise: .*got -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name: str, settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ATTENTIONS.part(name, **settings).build(memory_dim=3, query_dim=2, output_dim=2)
