"""Between symbols and frames: against values by hand and plain loops over the equations."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toolkit.nn.durations import GaussianUpsampling, Repetition, gaussian_weights, means_of_symbols, symbols_of_frames, timing
from toolkit.nn.masks import padding_mask

DURATIONS = torch.tensor([[1, 0, 2], [2, 1, 0]])
AT = torch.tensor([[0, 2, 2], [0, 0, 1]])


def normal(x: float, centre: float, deviation: float) -> float:
    return math.exp(-((x - centre) ** 2) / (2 * deviation**2)) / (deviation * math.sqrt(2 * math.pi))


def test_frames_past_the_durations_are_cut_or_go_on_with_the_last_symbol() -> None:
    assert torch.equal(symbols_of_frames(DURATIONS, 3), AT)
    assert symbols_of_frames(DURATIONS, 5).tolist() == [[0, 2, 2, 2, 2], [0, 0, 1, 2, 2]]
    assert symbols_of_frames(DURATIONS, 2).tolist() == [[0, 2], [0, 0]]


def test_where_a_frame_stands_by_hand() -> None:
    """Shares that end with it and begin with it, and the length: frame 1 of row 0 is the first of the two of symbol 2."""
    made = timing(DURATIONS, AT)
    one, two = math.log(2) / math.log(201), math.log(3) / math.log(201)
    expected = [[[1, 1, one], [0.5, 1, two], [1, 0.5, two]], [[0.5, 1, two], [1, 0.5, two], [1, 1, one]]]
    torch.testing.assert_close(made, torch.tensor(expected))


def test_repetition_is_exact() -> None:
    memory = torch.randn(2, 3, 4)
    weights = Repetition()(memory, padding_mask(torch.tensor([3, 3])), DURATIONS, AT)
    assert torch.equal(weights.sum(1).long(), DURATIONS)
    for row in range(2):
        assert torch.equal((weights @ memory)[row], memory[row].repeat_interleave(DURATIONS[row], 0))


def test_gaussian_weights_by_hand() -> None:
    """Symbols of 1 and 3 frames: centres 1/2 and 5/2; the first frame's middle is on the first centre."""
    weights = gaussian_weights(torch.tensor([[1, 3]]), torch.tensor([[0.5, 1.0]]), torch.zeros(1, 2, dtype=torch.bool), 4)[0]
    first, second = 1 / 0.5, math.exp(-2.0)  # densities at 0.5, times sqrt(2 pi)
    torch.testing.assert_close(weights[0], torch.tensor([first, second]) / (first + second))
    first, second = 2 * math.exp(-2.0), math.exp(-0.5)  # at 1.5
    torch.testing.assert_close(weights[1], torch.tensor([first, second]) / (first + second))
    assert weights.argmax(1).tolist() == [0, 1, 1, 1]


@given(
    durations=st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any),
    ranges=st.lists(st.floats(0.05, 9.0), min_size=6, max_size=6),
    extra=st.integers(0, 2),
)
def test_gaussian_weights_are_shares_of_densities(durations: list[int], ranges: list[float], extra: int) -> None:
    """c_i = sum of earlier durations + half its own, N(t; c_i, s_i) / sum of all, in plain loops; symbols of no frames too."""
    symbols, frames = len(durations), sum(durations)
    padded = torch.tensor([durations + [0] * extra])
    deviations = torch.tensor([(ranges * 2)[: symbols + extra]], dtype=torch.float64)
    weights = gaussian_weights(padded, deviations, padding_mask(torch.tensor([symbols]), symbols + extra), frames)[0]
    torch.testing.assert_close(weights.sum(1), torch.ones(frames, dtype=torch.float64))
    assert not weights[:, symbols:].any()
    for t in range(frames):
        densities = [normal(t + 0.5, sum(durations[:i]) + durations[i] / 2, ranges[i]) for i in range(symbols)]
        if sum(densities) > 1e-200:
            for i, density in enumerate(densities):
                assert abs(weights[t, i].item() - density / sum(densities)) < 1e-9


def test_narrow_ranges_of_equal_symbols_repeat_them() -> None:
    durations, memory = torch.tensor([[2, 2, 2]]), torch.randn(1, 3, 4)
    mask = padding_mask(torch.tensor([3]))
    narrow = gaussian_weights(durations, torch.full((1, 3), 0.05), mask, 6)
    torch.testing.assert_close(narrow, Repetition()(memory, mask, durations, symbols_of_frames(durations, 6)))


def test_half_precision_keeps_late_frames_apart() -> None:
    durations = torch.tensor([[1000, 2, 3]])
    ranges = torch.full((1, 3), 0.5, dtype=torch.bfloat16)
    weights = gaussian_weights(durations, ranges, padding_mask(torch.tensor([3])), 1005)
    torch.testing.assert_close(weights, gaussian_weights(durations, ranges.double(), padding_mask(torch.tensor([3])), 1005).float())


def test_ranges_are_learnt_from_frames_and_know_durations() -> None:
    torch.manual_seed(0)
    layer, memory, mask = GaussianUpsampling(4, 6), torch.randn(1, 3, 4), padding_mask(torch.tensor([3]))
    ranges = layer.ranges(memory, mask, torch.tensor([[2, 1, 3]]))
    assert bool((ranges > 0).all()) and not torch.equal(ranges, layer.ranges(memory, mask, torch.tensor([[9, 1, 3]])))
    durations = torch.tensor([[2, 1, 3]])
    (layer(memory, mask, durations, symbols_of_frames(durations, 6)) @ memory).square().sum().backward()
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in layer.parameters())


def test_means_by_hand() -> None:
    """The last frame of row 0 does not count; symbol 1 has no frame, and symbol 1 of row 1 none that counts."""
    values = torch.tensor([[3.0, 4.0, 8.0], [1.0, 2.0, 5.0]])
    counted = torch.tensor([[True, True, False], [True, True, False]])
    assert means_of_symbols(values, counted, AT, 3).tolist() == [[3.0, 0.0, 4.0], [1.5, 0.0, 0.0]]
    assert means_of_symbols(values, torch.ones_like(counted), AT, 3).tolist() == [[3.0, 0.0, 6.0], [1.5, 5.0, 0.0]]


@pytest.mark.parametrize("lengths", [[3, 3], [3, 2]])
def test_a_row_in_a_batch_is_the_row_alone(lengths: list[int]) -> None:
    torch.manual_seed(0)
    layer, memory, mask = GaussianUpsampling(4, 6).double(), torch.randn(2, 3, 4, dtype=torch.float64), padding_mask(torch.tensor(lengths))
    both = layer(memory, mask, DURATIONS, AT)
    size = lengths[1]
    alone = layer(memory[1:, :size], mask[1:, :size], DURATIONS[1:, :size], AT[1:])
    torch.testing.assert_close(both[1:, :, :size], alone)
