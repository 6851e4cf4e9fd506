"""Losses against values computed by hand, and their independence of padding and of micro-batches."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.data.batches import Counts
from toolkit.decoders.base import Output, Targets
from toolkit.models.feature_predictor import Prediction
from toolkit.models.losses import LOSSES, guide


def example(frames: int, reduction: int, symbols: int = 4, rows: int = 2, seed: int = 0) -> tuple[Prediction, Targets, torch.Tensor]:
    torch.manual_seed(seed)
    steps = -(-frames // reduction)
    lengths = torch.tensor([frames, max(1, frames - 3)][:rows])
    mel, after = torch.randn(rows, frames, 3, dtype=torch.float64), torch.randn(rows, frames, 3, dtype=torch.float64)
    weights = torch.softmax(torch.randn(rows, steps, symbols, dtype=torch.float64), 2)
    weights[-1, :, symbols - 1 :] = 0.0 if rows > 1 else weights[-1, :, symbols - 1 :]  # none on padding
    output = Output(mel, lengths, torch.randn(rows, steps, dtype=torch.float64), weights)
    targets = Targets(torch.randn(rows, frames, 3, dtype=torch.float64), lengths)
    return Prediction(output, after), targets, torch.tensor([symbols, symbols - 1][:rows])


def value(name: str, prediction: Prediction, targets: Targets, token_lengths: torch.Tensor, counts: Counts, **knobs: float) -> float:
    return float(LOSSES.part(name, **knobs).build()(prediction, targets, token_lengths, counts))


def test_mse_and_mae_by_hand() -> None:
    prediction, targets, tokens = example(5, 1, rows=1)
    counts = Counts(1, 5, 0)
    before, after = prediction.output.mel - targets.mel, prediction.mel - targets.mel
    assert value("mse", prediction, targets, tokens, counts) == pytest.approx(float((before**2).mean() + (after**2).mean()))
    assert value("mae", prediction, targets, tokens, counts) == pytest.approx(float(before.abs().mean() + after.abs().mean()))


def test_stop_target_is_the_group_of_the_last_frame() -> None:
    prediction, targets, tokens = example(5, 2, rows=1)  # groups of frames 0-1, 2-3, 4
    logits = torch.tensor([[-1.0, -2.0, 3.0]], dtype=torch.float64)
    prediction = prediction._replace(output=prediction.output._replace(stop_logits=logits))
    entropies = [math.log1p(math.exp(-1)), math.log1p(math.exp(-2)), 4.0 * math.log1p(math.exp(-3))]
    got = value("stop", prediction, targets, tokens, Counts(1, 5, 0), positive_weight=4.0)
    assert got == pytest.approx(sum(entropies) * 2 / 5)


def test_padding_may_count() -> None:
    """Silence on padding, before and after the postnet; a stop target of 1 there."""
    prediction, targets, tokens = example(5, 1)  # rows of 5 and 2 frames
    unmasked = torch.randn(2, 5, 3, dtype=torch.float64)
    prediction = prediction._replace(output=prediction.output._replace(extra={"unmasked": unmasked}))
    counts, silence = Counts(2, 7, 0), targets.mel[1, :2].amin(0)
    for name, error in (("mse", torch.square), ("mae", torch.abs)):
        more = value(name, prediction, targets, tokens, counts, mask_padding=False) - value(name, prediction, targets, tokens, counts)
        assert more == pytest.approx(2 * float(error(unmasked[1, 2:] - silence).sum()) / (7 * 3))
    more = value("stop", prediction, targets, tokens, counts, mask_padding=False) - value("stop", prediction, targets, tokens, counts)
    assert more == pytest.approx(float(-torch.nn.functional.logsigmoid(prediction.output.stop_logits[1, 2:]).sum()) / 7)


def test_guide_is_zero_on_the_diagonal_and_uses_each_rows_lengths() -> None:
    penalty = guide(torch.tensor([4, 2]), torch.tensor([4, 2]), 4, 4, 0.2)
    assert torch.equal(penalty[0].diagonal(), torch.zeros(4)) and torch.equal(penalty[1, :2, :2].diagonal(), torch.zeros(2))
    assert float(penalty[0, 0, 2]) == pytest.approx(1 - math.exp(-(0.5**2) / (2 * 0.2**2)))
    assert float(penalty[1, 0, 1]) == pytest.approx(float(penalty[0, 0, 2]))


@pytest.mark.parametrize("name", LOSSES.names())
@settings(max_examples=15, deadline=None)
@given(frames=st.integers(5, 12), reduction=st.integers(1, 4), seed=st.integers(0, 5))
def test_padding_does_not_count_and_micro_batches_add_up(name: str, frames: int, reduction: int, seed: int) -> None:
    prediction, targets, tokens = example(frames, reduction, seed=seed)
    counts = Counts(2, int(targets.lengths.sum()), 0)
    whole = value(name, prediction, targets, tokens, counts)
    rows = []
    for row in range(2):
        length, symbols = int(targets.lengths[row]), int(tokens[row])
        steps, one = -(-length // reduction), slice(row, row + 1)
        output = Output(
            prediction.output.mel[one, :length], targets.lengths[one], prediction.output.stop_logits[one, :steps],
            prediction.output.weights[one, :steps, :symbols],
        )  # fmt: skip
        cut = Targets(targets.mel[one, :length], targets.lengths[one])
        if -(-length // steps) != reduction:
            return  # too short to tell the reduction factor from shapes alone
        rows.append(value(name, Prediction(output, prediction.mel[one, :length]), cut, tokens[one], counts))
    assert sum(rows) == pytest.approx(whole, rel=1e-9)


def test_entropy_of_attention_by_hand() -> None:
    """0 on one symbol, ln 2 on two, ln 4 on four; the step past the second row's end does not count; shares, not weights."""
    prediction, targets, tokens = example(2, 1)
    lengths = torch.tensor([2, 1])
    rows = [[[0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0]], [[0.1, 0.1, 0.1, 0.1], [0.5, 0.5, 0.0, 0.0]]]
    weights = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    prediction = prediction._replace(output=prediction.output._replace(weights=weights, lengths=lengths))
    loss = LOSSES.part("attention_entropy").build()(prediction, targets._replace(lengths=lengths), tokens, Counts(2, 3, 0))
    assert float(loss.detach()) == pytest.approx((math.log(2) + math.log(4)) / 3)
    loss.backward()
    assert torch.isfinite(weights.grad).all() and not weights.grad[1, 1].any()


def test_entropy_counts_frames_of_a_step() -> None:
    """Two steps of three frames each, uniform over four symbols: ln 4 per step."""
    prediction, targets, tokens = example(6, 3, rows=1)
    prediction = prediction._replace(output=prediction.output._replace(weights=torch.full((1, 2, 4), 0.25)))
    assert value("attention_entropy", prediction, targets, tokens, Counts(1, 6, 0)) == pytest.approx(math.log(4))


def test_mass_that_left_the_text_is_guided_back() -> None:
    """Steps of whole weights on the diagonal cost nothing; of half weights there a half, of none 1: there is nothing to gain outside."""
    prediction, targets, tokens = example(4, 1, rows=1)
    weights = torch.eye(4, dtype=torch.float64)[None] * torch.tensor([1.0, 1.0, 0.5, 0.0], dtype=torch.float64)[:, None]
    weights.requires_grad_()
    prediction = prediction._replace(output=prediction.output._replace(weights=weights))
    loss = LOSSES.part("guided_attention").build()(prediction, targets, tokens, Counts(1, 4, 0))
    assert float(loss.detach()) == pytest.approx(1.5 / 4)
    loss.backward()
    assert weights.grad is not None and bool((weights.grad[0].diagonal()[2:] == -0.25).all())


@pytest.mark.parametrize("name", ["guided_attention", "attention_entropy"])
def test_a_decoder_without_attention_cannot_be_guided(name: str) -> None:
    prediction, targets, tokens = example(5, 1)
    without = prediction._replace(output=prediction.output._replace(weights=None))
    with pytest.raises(ValueError, match=f"losses.{name}: this decoder has no attention"):
        value(name, without, targets, tokens, Counts(2, 7, 0))
