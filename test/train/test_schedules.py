"""Learning rates over time, and the optimisers that they multiply."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from toolkit.errors import ConfigError
from toolkit.train.optimisers import OPTIMISERS, has_word
from toolkit.train.schedules import SCHEDULES


@pytest.mark.parametrize(("step", "rate"), [(0, 1e-3), (50_000, 1e-3), (100_000, 1e-4), (150_000, 1e-5), (500_000, 1e-5)])
def test_the_published_rates(step, rate):
    """Tacotron 2, section 3.1: 1e-3 decaying exponentially to 1e-5 from step 50,000 on; 100,000 steps of decay are our choice."""
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


@pytest.mark.parametrize(("step", "factor"), [(1, 1 / 4000), (1000, 0.25), (4000, 1.0), (16_000, 0.5), (100_000, 0.2)])
def test_noam_by_hand(step, factor):
    """Vaswani et al. 2017, equation 3: min(step^-0.5, step w^-1.5), divided by its highest value w^-0.5."""
    assert SCHEDULES.part("noam").build().factor(step, 10) == pytest.approx(factor)
    assert factor == pytest.approx(4000**0.5 * min(step**-0.5, step * 4000**-1.5))


@pytest.mark.parametrize(("step", "factor"), [(1, 1.0), (10, 1.0), (11, 0.5), (20, 0.5), (21, 0.25), (31, 0.2), (500, 0.2)])
def test_step_by_hand(step, factor):
    assert SCHEDULES.part("step", every=10, floor=0.2).build().factor(step, 40) == pytest.approx(factor)
    assert SCHEDULES.part("step", every=0.25, floor=0.2).build().factor(step, 40) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("step", "rate"), [(1, 1e-3), (50_000, 1e-3), (50_001, 5e-4), (100_001, 3e-4), (150_001, 1e-4), (200_000, 1e-4), (200_001, 5e-5)]
)
def test_piecewise_is_that_of_dynamic_convolution_attention(step, rate):
    """Battenberg et al. 2020, section 3.1: 1e-3, reduced to 5e-4, 3e-4, 1e-4 and 5e-5 after 50k, 100k, 150k and 200k steps."""
    assert 1e-3 * SCHEDULES.part("piecewise").build().factor(step, 300_000) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("name", "knobs", "message"),
    [
        ("step", {"every": 0.0}, "every: updates between two steps, must be above 0, got 0"),
        ("step", {"gamma": 2.0}, "gamma: factor of a step, must be above 0 and at most 1, got 2"),
        ("piecewise", {"at": (5, 3), "factors": (0.5, 0.1)}, "at: updates in rising order, got 5, 3"),
        ("piecewise", {"at": (5,)}, "factors: one for each of the 1 updates of at, got 0.5, 0.3, 0.1, 0.05"),
    ],
)
def test_steps_that_make_no_sense_are_refused(name, knobs, message):
    with pytest.raises(ConfigError, match=message):
        SCHEDULES.part(name, **knobs).build()


def test_cosine_by_hand():
    """Loshchilov & Hutter 2017, equation 5, from the floor to 1: cos(pi/3) = 0.5, cos(pi/2) = 0."""
    schedule = SCHEDULES.part("cosine", floor=0.2, warm_up_steps=30).build()
    assert schedule.factor(20, 60) == pytest.approx((0.2 + 0.8 * 0.75) * 20 / 30)
    assert schedule.factor(30, 60) == pytest.approx(0.2 + 0.8 * 0.5)


def test_cosine_ends_at_its_floor():
    schedule = SCHEDULES.part("cosine", floor=0.1).build()
    assert schedule.factor(1000, 1000) == pytest.approx(0.1)
    assert schedule.factor(500, 1000) == pytest.approx(0.55)


def test_adam_has_the_published_constants():
    built = OPTIMISERS.part("adam").build().build([("weight", nn.Parameter(torch.zeros(1)))])
    group = built.param_groups[0]
    assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.999), 1e-6, 0.0)


def test_l2_is_a_gradient_term():
    weight = nn.Parameter(torch.tensor([2.0]))
    optimiser = OPTIMISERS.part("adam", l2=0.5).build().build([("weight", weight)])
    weight.grad = torch.tensor([-1.0])  # cancelled by 0.5 x 2
    optimiser.step()
    assert weight.item() == 2.0


def test_l2_goes_through_adams_moments():
    """Tacotron 2, section 3.1: L2 regularisation; its gradient l2 w is part of what the moments (Kingma & Ba 2015, algorithm 1) average."""
    weight, bias = nn.Parameter(torch.tensor([2.0], dtype=torch.float64)), nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    rate, (beta1, beta2), epsilon, l2 = 0.1, (0.9, 0.999), 1e-6, 0.3
    optimiser = OPTIMISERS.part("adam", learning_rate=rate, l2=l2).build().build([("a.weight", weight), ("a.bias", bias)])
    gradients = [0.5, -1.5, 0.25]
    for penalty, parameter in ((l2, weight), (0.0, bias)):  # the hand's values first
        value, first, second = 2.0, 0.0, 0.0
        for step, gradient in enumerate(gradients, start=1):
            g = gradient + penalty * value
            first, second = beta1 * first + (1 - beta1) * g, beta2 * second + (1 - beta2) * g * g
            value -= rate * (first / (1 - beta1**step)) / ((second / (1 - beta2**step)) ** 0.5 + epsilon)
        parameter.by_hand = value
    for gradient in gradients:
        weight.grad, bias.grad = torch.full((1,), gradient, dtype=torch.float64), torch.full((1,), gradient, dtype=torch.float64)
        optimiser.step()
    assert weight.item() == pytest.approx(weight.by_hand, rel=1e-10)
    assert bias.item() == pytest.approx(bias.by_hand, rel=1e-10)
    assert weight.item() != pytest.approx(bias.item(), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("encoder.lstm.bias_ih_l0", True), ("postnet.convolutions.0.norm.weight", True), ("layers.norm1.weight", True),
        ("decoder.stop.bias", True), ("encoder.lstm.weight_hh_l0_reverse", False), ("model.normaliser.scale", False),
        ("enormous.weight", False), ("embedding.weight", False),
    ],
)  # fmt: skip
def test_words_of_a_name_decide_what_l2_leaves_out(name, left_out):
    assert has_word(name, ("bias", "norm")) is left_out


def test_nothing_is_left_out_where_no_word_is_given():
    named = [("a.weight", nn.Parameter(torch.zeros(1))), ("a.bias", nn.Parameter(torch.zeros(1)))]
    groups = OPTIMISERS.part("adam", l2=1e-6, l2_excludes=()).build().build(named).param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(2, 1e-6)]
