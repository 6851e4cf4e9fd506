"""Focus and diagonality on alignments whose values can be read off, and their invariances."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toolkit.nn.alignment_measures import diagonality, focus


def whole(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows, steps, symbols = weights.shape
    return torch.full((rows,), steps), torch.full((rows,), symbols)


def test_a_perfect_diagonal_is_one() -> None:
    weights = torch.eye(10)[None]
    assert focus(weights, *whole(weights)).item() == pytest.approx(1)
    assert diagonality(weights, *whole(weights)).item() == pytest.approx(1)


def test_focus_is_the_mean_of_the_largest_weights() -> None:
    weights = torch.tensor([[[0.7, 0.3], [0.5, 0.5], [0.1, 0.9]]])
    assert focus(weights, *whole(weights)).item() == pytest.approx((0.7 + 0.5 + 0.9) / 3)


def test_a_reversed_diagonal_is_sharp_but_not_diagonal() -> None:
    weights = torch.eye(20).flip(1)[None]
    assert focus(weights, *whole(weights)).item() == pytest.approx(1)
    assert diagonality(weights, *whole(weights)).item() == pytest.approx(4 / 20)  # |2t/T - 1| <= 0.2 holds for 4 of 20 centres


def test_uniform_attention_gives_the_area_of_the_band() -> None:
    weights = torch.full((1, 200, 100), 1 / 100)
    assert diagonality(weights, *whole(weights)).item() == pytest.approx(1 - 0.8**2, abs=0.01)
    assert focus(weights, *whole(weights)).item() == pytest.approx(1 / 100)


def test_a_stuck_attention_is_not_diagonal() -> None:
    weights = torch.zeros(1, 50, 25)
    weights[:, :, 0] = 1
    assert diagonality(weights, *whole(weights)).item() < 0.25


def test_rows_without_steps_or_attention_are_zero() -> None:
    weights = torch.zeros(2, 4, 3)
    steps, symbols = torch.tensor([0, 4]), torch.tensor([3, 3])
    assert focus(weights, steps, symbols).tolist() == [0, 0]
    assert diagonality(weights, steps, symbols).tolist() == [0, 0]


@given(steps=st.integers(1, 12), symbols=st.integers(1, 9), more=st.integers(0, 5), seed=st.integers(0, 1000))
def test_padding_changes_nothing(steps: int, symbols: int, more: int, seed: int) -> None:
    weights = torch.rand(1, steps, symbols, generator=torch.Generator().manual_seed(seed)).softmax(2)
    padded = torch.full((1, steps + more, symbols + more), 0.5)
    padded[:, :steps, :symbols] = weights
    lengths = whole(weights)
    for measure in (focus, diagonality):
        assert torch.allclose(measure(weights, *lengths), measure(padded, *lengths))
        assert 0 <= measure(weights, *lengths).item() <= 1 + 1e-6
