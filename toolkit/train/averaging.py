"""Averages of weights: the exponential moving one of a training, and the mean of several checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def decay_at(decay: float, step: int) -> float:
    """``min(decay, (1 + step) / (10 + step))``: the average soon forgets the random weights that it starts from.

    Tacotron 2, section 3.1, says 0.9999 and nothing of a rise. It is over at step 89,990 there, and without it the weights of
    the start would still hold e^-5 of the average at step 50,000.
    """
    return min(decay, (1 + step) / (10 + step))


class MovingAverage:
    """Exponential moving average of a module's parameters (Polyak & Juditsky 1992). Buffers are taken as they are.

    The decay rises to its value (``decay_at``).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.weights = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the present weights after update ``step``."""
        change = 1.0 - decay_at(self.decay, step)
        torch._foreach_lerp_(list(self.weights.values()), list(self.module.parameters()), change)

    def state(self) -> dict[str, Tensor]:
        """A whole state dict: averaged parameters, present buffers."""
        return {**self.module.state_dict(), **self.weights}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take the parameters of ``state()`` again."""
        for name, weight in self.weights.items():
            weight.copy_(state[name])


@contextmanager
def borrowed(module: nn.Module, state: Mapping[str, Tensor] | None) -> Iterator[None]:
    """Within the block the module has these weights (None: its own)."""
    if state is None:
        yield
        return
    own = {name: value.clone() for name, value in module.state_dict().items()}
    module.load_state_dict(state)
    try:
        yield
    finally:
        module.load_state_dict(own)


def mean(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Arithmetic mean of state dicts; what is not a floating-point number is taken from the last."""
    result = {}
    for name, last in states[-1].items():
        whole = torch.stack([state[name].double() for state in states]).mean(0).to(last.dtype) if last.is_floating_point() else last
        result[name] = whole
    return result
