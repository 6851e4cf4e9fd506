"""Arithmetic of averages of weights."""

import pytest
import torch
from torch import nn

from toolkit.train.averaging import MovingAverage, borrowed, decay_at, mean


def layer(value):
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, value)
    return module


def test_the_decay_rises_to_its_value():
    module = layer(0.0)
    average = MovingAverage(module, 0.9)
    expected = 0.0
    for step in range(1, 200):
        nn.init.constant_(module.weight, float(step))
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        assert float(average.weights["weight"]) == pytest.approx(expected, rel=1e-5)
    assert decay == 0.9
    assert module.weight.item() == 199.0


def test_three_steps_by_hand():
    """Tacotron 2, section 3.1: the average a <- d a + (1 - d) w after each update, d 0.9999; until step 89,990 our d is smaller."""
    module = layer(1.0)
    average = MovingAverage(module, 0.9999)
    for step, weight, expected in ((1, 2.0, 20 / 11), (2, 4.0, 38 / 11), (3, 0.0, 152 / 143)):  # d is 2/11, 3/12, 4/13
        nn.init.constant_(module.weight, weight)
        average.update(step)
        assert float(average.weights["weight"]) == pytest.approx(expected, rel=1e-6)
    before = float(average.weights["weight"])
    average.update(100_000)
    assert float(average.weights["weight"]) == pytest.approx(0.9999 * before, rel=1e-6)


def test_the_rise_of_the_decay_ends():
    assert decay_at(0.9999, 89_989) < 0.9999
    assert decay_at(0.9999, 89_990) == 0.9999 == decay_at(0.9999, 500_000)


def test_buffers_are_the_present_ones():
    module = nn.BatchNorm1d(2)
    average = MovingAverage(module, 0.9)
    nn.init.constant_(module.weight, 3.0)
    module.running_mean.fill_(5.0)
    assert average.state()["weight"].tolist() == [1.0, 1.0]
    assert average.state()["running_mean"].tolist() == [5.0, 5.0]
    module.load_state_dict(average.state())
    MovingAverage(module, 0.9).load(average.state())


def test_borrowed_weights_are_given_back_also_after_an_error():
    module = layer(2.0)
    with pytest.raises(RuntimeError, match="inside"), borrowed(module, {"weight": torch.full((1, 1), 7.0)}):
        assert module.weight.item() == 7.0
        raise RuntimeError("inside")
    assert module.weight.item() == 2.0
    with borrowed(module, None):
        assert module.weight.item() == 2.0


def test_mean_of_states():
    states = [
        {"weight": torch.tensor([1.0, 2.0]), "count": torch.tensor(3)},
        {"weight": torch.tensor([3.0, 6.0]), "count": torch.tensor(5)},
    ]
    result = mean(states)
    assert result["weight"].tolist() == [2.0, 4.0]
    assert result["count"] == 5
