"""The state of an optimiser is kept by the names of its weights, its constants come from the settings."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from toolkit.errors import CheckpointError
from toolkit.train.optimisers import OPTIMISERS
from toolkit.train.settings import Training
from toolkit.train.turn import Turn

SETTINGS = Training(optimiser=OPTIMISERS.part("adam", learning_rate=0.1, l2=0.01), clip=None)


def stepped(turn: Turn, times: int) -> None:
    for step in range(1, times + 1):
        for k, parameter in enumerate(turn.parameters):
            parameter.grad = torch.full_like(parameter, 0.3 * (k + 1) * step)
        turn.apply(turn.gradient_norm(), step)


def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


def moments(turn: Turn) -> dict[str, list[float]]:
    return {name: turn.optimiser.state[parameter]["exp_avg"].flatten().tolist() for name, parameter in turn.named.items()}


def test_moments_find_their_weights_however_they_are_grouped() -> None:
    """A fork may change what L2 leaves out: the groups are then others, the moments stay with their weights."""
    first = Turn(module().named_parameters(), SETTINGS)
    stepped(first, 3)
    together = replace(SETTINGS, optimiser=OPTIMISERS.part("adam", learning_rate=0.1, l2=0.01, l2_excludes=()))
    second = Turn(module().named_parameters(), together)
    assert [len(turn.optimiser.param_groups) for turn in (first, second)] == [2, 1]
    second.load(first.state())
    assert moments(second) == moments(first)
    assert {float(state["step"]) for state in second.optimiser.state.values()} == {3.0}


def test_constants_are_those_of_the_settings() -> None:
    first = Turn(module().named_parameters(), SETTINGS)
    stepped(first, 1)
    changed = replace(SETTINGS, optimiser=OPTIMISERS.part("adam", betas=(0.8, 0.99), l2=0.5))
    second = Turn(module().named_parameters(), changed)
    second.load(first.state())
    assert [(group["betas"], group["weight_decay"]) for group in second.optimiser.param_groups] == [((0.8, 0.99), 0.5), ((0.8, 0.99), 0.0)]


def test_a_state_of_other_weights_is_refused() -> None:
    first = Turn([("other.weight", nn.Parameter(torch.ones(2)))], SETTINGS)
    stepped(first, 1)
    with pytest.raises(CheckpointError, match="moved other weights, got other.weight; use --resume never"):
        Turn(module().named_parameters(), SETTINGS).load(first.state())


def test_a_fresh_optimiser_has_a_state_too() -> None:
    first, second = (Turn(module().named_parameters(), SETTINGS) for _ in range(2))
    second.load(first.state())
    stepped(second, 1)
    assert moments(second)["1.bias"] != [0.0]
