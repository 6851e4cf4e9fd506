"""What holds of every attention by whatever name: weights where they are allowed, and long runs in low precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from toolkit.attentions import ATTENTIONS, Attention
from toolkit.nn.additive_attention import AdditivePieces
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise

PARTS = [pytest.param(ATTENTIONS.part(name), id=name) for name in ATTENTIONS.names()]
PARTS += [
    pytest.param(ATTENTIONS.part("location_sensitive", previous=True, smoothing=True, sharpening=4.0), id="smoothed"),
    pytest.param(ATTENTIONS.part("location_sensitive", previous=True, sharpening=4.0), id="sharpened"),
    pytest.param(ATTENTIONS.part("location_sensitive", even_start=True), id="even start"),
    pytest.param(ATTENTIONS.part("forward", filters=4, kernel_size=3), id="forward with filters"),
    pytest.param(ATTENTIONS.part("forward", least=1e-6), id="forward at least"),
]
OFFERING = ("content", "location_sensitive", "sharpened", "forward")  # what kernels can run
LENGTHS = torch.tensor([7, 4])
MASK = padding_mask(LENGTHS)


def built(part: Any, scale: float = 1.0) -> Attention:
    torch.manual_seed(5)
    attention: Attention = part.build(memory_dim=3, query_dim=2, output_dim=2)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.mul_(scale)
    return attention.eval()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_what_is_allowed_takes_all_weight_row_by_row(part: Any, hard: bool) -> None:
    attention = built(part).double()
    memory, query = torch.randn(2, 7, 3).double(), torch.randn(2, 2).double()
    state = attention.start(memory, MASK, None, hard)
    for _ in range(2):
        context, weights, state = attention(query, query, state)
    free = attention(query, query, state)[1]
    allowed = torch.zeros(2, 7, dtype=torch.bool)
    allowed[0, :3] = allowed[1, 1:6] = True  # the second reaches into padding
    context, weights, after = attention(query, query, state, allowed)
    assert not bool(weights[~allowed | MASK].any())
    torch.testing.assert_close(weights.sum(1), free.sum(1))
    torch.testing.assert_close(context, (weights[..., None] * memory).sum(1))
    one = attention.start(memory[:1], MASK[:1], None, hard)
    for _ in range(2):
        one = attention(query[:1], query[:1], one)[2]
    torch.testing.assert_close(attention(query[:1], query[:1], one, allowed[:1])[1], weights[:1])
    assert bool(attention(query, query, after)[1].isfinite().all())


@pytest.mark.parametrize("part", PARTS)
def test_nothing_allowed_is_never_undefined_and_no_matter_of_other_rows(part: Any) -> None:
    attention = built(part)
    memory, query = torch.randn(2, 7, 3), torch.randn(2, 2)
    state = attention.start(memory, MASK, None)
    allowed = torch.tensor([[False] * 7, [True] * 7])
    context, weights, after = attention(query, query, state, allowed)
    assert bool(context.isfinite().all()) and not bool(weights[0].any())
    torch.testing.assert_close(weights[1], attention(query, query, state)[1][1])
    for _ in range(3):
        _, weights, after = attention(query, query, after)
    assert bool(weights.isfinite().all())


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_thousand_steps_stay_finite(part: Any, dtype: torch.dtype) -> None:
    """With large energies, so that sigmoids and softmaxes saturate, and past the end of the shorter text."""
    attention = built(part, 6.0).to(dtype)
    memory, noise = 3 * torch.randn(2, 7, 3).to(dtype), Noise.of_micro_batch(1, 1, 1)
    state, shown = attention.train().start(memory, MASK, noise), torch.zeros(())
    with torch.no_grad():
        for query in 3 * torch.randn(1000, 2, 2).to(dtype):
            context, weights, state = attention(query, query, state)
            assert weights.dtype == dtype
            shown = shown + context.float().square().sum() + weights.float().sum()
    assert bool(shown.isfinite()) and not bool(weights[MASK].any())
    sums = weights.float().sum(1)
    assert bool((sums <= 1.01).all() and (sums >= (0.0 if "means" in state._fields else 0.98)).all())


def test_smoothed_weights_of_energies_that_are_all_low() -> None:
    """Sigmoids that underflow have a sum of 0, their quotients do not."""
    part = ATTENTIONS.part("location_sensitive", dim=1, smoothing=True, sharpening=500.0)
    attention = part.build(memory_dim=3, query_dim=2, output_dim=2)
    with torch.no_grad():
        attention.energies.key.bias.fill_(9.0)
        attention.energies.energy.weight.fill_(-1.0)
    weights = attention(torch.zeros(2, 2), torch.zeros(2, 2), attention.start(torch.zeros(2, 7, 3), MASK, None))[1]
    torch.testing.assert_close(weights, (~MASK) / LENGTHS[:, None])


@pytest.mark.parametrize("part", PARTS)
def test_the_hard_form_differs_from_the_soft_one_only_where_attention_is_monotonic(part: Any) -> None:
    """There it points at one symbol and never goes back; elsewhere it is the same."""
    attention = built(part)
    memory, query = torch.randn(2, 7, 3), torch.randn(2, 2)
    soft, hard = attention.start(memory, MASK, None), attention.start(memory, MASK, None, hard=True)
    places = torch.zeros(2, dtype=torch.int64)
    for _ in range(9):
        expected, soft = attention(query, query, soft)[1:]
        weights, hard = attention(query, query, hard)[1:]
        if "monotonic" in part.name:
            assert bool(((weights == 0) | (weights == 1)).all()) and weights.sum(1).tolist() == [1, 1]
            assert bool((weights.argmax(1) >= places).all())
            places = weights.argmax(1)
        else:
            torch.testing.assert_close(weights, expected)


def weights_of(pieces: AdditivePieces, query: Tensor, past: list[Tensor]) -> Tensor:
    """The next weights as the pieces define them, one symbol at a time."""
    rows, symbols, _ = pieces.keys.shape
    last, total = (past[-1], sum(past)) if past else (torch.zeros(rows, symbols),) * 2
    channels, energies = [last, total] if pieces.previous else [total], torch.zeros(rows, symbols)
    for row in range(rows):
        for s in range(symbols):
            inner = pieces.query @ query[row] + pieces.keys[row, s]
            for c, channel in enumerate(channels if pieces.location is not None else []):
                half = pieces.location.shape[2] // 2
                for k in range(max(0, s - half), min(symbols, s + half + 1)):
                    inner = inner + pieces.location[:, c, k - s + half] * channel[row, k]
            energies[row, s] = pieces.energy @ torch.tanh(inner)
    shares = energies.exp().masked_fill(pieces.mask, 0.0)
    if pieces.forward:
        last = last if past else torch.eye(symbols)[:1].expand(rows, -1)
        shares = shares * (last + torch.cat([torch.zeros(rows, 1), last[:, :-1]], 1))
    return shares / shares.sum(1, keepdim=True)


@pytest.mark.parametrize("part", PARTS)
def test_pieces_are_the_attention_or_there_are_none(part: Any, request: pytest.FixtureRequest) -> None:
    attention = built(part)
    state = attention.start(torch.randn(2, 7, 3), MASK, None)
    pieces = attention.offered(state)
    assert (pieces is not None) == (request.node.callspec.id in OFFERING)
    past: list[Tensor] = []
    for query in torch.randn(4 if pieces else 0, 2, 2):
        assert pieces is not None
        _, weights, state = attention(query, query, state)
        torch.testing.assert_close(weights_of(pieces, query, past), weights)
        past.append(weights)
