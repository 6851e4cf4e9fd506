"""Learning rates over time, and the optimisers that they multiply."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from toolkit.train.optimisers import OPTIMISERS
from toolkit.train.schedules import SCHEDULES


@pytest.mark.parametrize(("step", "rate"), [(0, 1e-3), (50_000, 1e-3), (100_000, 1e-4), (150_000, 1e-5), (500_000, 1e-5)])
def test_the_published_rates(step, rate):
    optimiser, schedule = OPTIMISERS.part("adam").build(), SCHEDULES.part("exponential").build()
    assert optimiser.learning_rate * schedule.factor(step, 200_000) == pytest.approx(rate)


def test_shares_of_the_training_equal_steps():
    shares, steps = SCHEDULES.part("exponential", start=0.25, decay_steps=0.5), SCHEDULES.part("exponential", start=25, decay_steps=50)
    for step in range(1, 101):
        assert shares.build().factor(step, 100) == pytest.approx(steps.build().factor(step, 100))


@pytest.mark.parametrize("name", SCHEDULES.names())
@given(step=st.integers(1, 1000), warm_up=st.integers(0, 100))
def test_factors_lie_in_the_unit_interval_and_rise_during_warm_up(name, step, warm_up):
    schedule = SCHEDULES.part(name, warm_up_steps=warm_up).build()
    assert 0 < schedule.factor(step, 1000) <= 1
    if step <= warm_up:
        assert schedule.factor(step, 1000) <= step / warm_up


def test_cosine_ends_at_its_floor():
    schedule = SCHEDULES.part("cosine", floor=0.1).build()
    assert schedule.factor(1000, 1000) == pytest.approx(0.1)
    assert schedule.factor(500, 1000) == pytest.approx(0.55)


def test_adam_has_the_published_constants():
    built = OPTIMISERS.part("adam").build().build([nn.Parameter(torch.zeros(1))])
    group = built.param_groups[0]
    assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.999), 1e-6, 0.0)


def test_l2_is_a_gradient_term():
    weight = nn.Parameter(torch.tensor([2.0]))
    optimiser = OPTIMISERS.part("adam", l2=0.5).build().build([weight])
    weight.grad = torch.tensor([-1.0])  # cancelled by 0.5 x 2
    optimiser.step()
    assert weight.item() == 2.0
