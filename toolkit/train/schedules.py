"""Learning-rate schedules by name: pure functions of the step, so that resuming needs no state."""

import math

from toolkit.registry import Registry


class Schedule:
    """The factor on the optimiser's learning rate at a step."""

    def factor(self, step: int, max_steps: int) -> float:
        """``step`` counts updates from 1, ``max_steps`` is the length of the training."""
        raise NotImplementedError


SCHEDULES: Registry[Schedule] = Registry("schedule", Schedule)


def warm_up(step: int, steps: int) -> float:
    """Linear rise from 1/steps to 1."""
    return min(1.0, step / steps) if steps else 1.0


@SCHEDULES.register("constant")
class Constant(Schedule):
    """The same rate throughout, after an optional linear rise."""

    def __init__(self, *, warm_up_steps: int = 0) -> None:
        self.warm_up_steps = warm_up_steps

    def factor(self, step: int, max_steps: int) -> float:
        return warm_up(step, self.warm_up_steps)


@SCHEDULES.register("exponential")
class Exponential(Schedule):
    """Constant until ``start``, then exponential decay that reaches ``floor`` after ``decay_steps`` more and stays there.

    Tacotron 2, section 3.1: 1e-3 falling to 1e-5 from step 50,000; the decay constant is not stated. Ours is given as the
    ``decay_steps`` until the floor, as that is what a length of training can be planned with. ``start`` and
    ``decay_steps`` below 1 are shares of the whole training.
    """

    def __init__(self, *, start: float = 50_000, decay_steps: float = 100_000, floor: float = 0.01, warm_up_steps: int = 0) -> None:
        self.start, self.decay_steps, self.floor, self.warm_up_steps = start, decay_steps, floor, warm_up_steps

    def factor(self, step: int, max_steps: int) -> float:
        start = self.start * max_steps if self.start < 1 else self.start
        length = self.decay_steps * max_steps if self.decay_steps <= 1 else self.decay_steps
        passed = min(1.0, max(0.0, step - start) / length)
        return float(warm_up(step, self.warm_up_steps) * self.floor**passed)


@SCHEDULES.register("cosine")
class Cosine(Schedule):
    """Half a cosine from 1 to ``floor`` over the whole training, after an optional linear rise (Loshchilov & Hutter 2017)."""

    def __init__(self, *, floor: float = 0.02, warm_up_steps: int = 0) -> None:
        self.floor, self.warm_up_steps = floor, warm_up_steps

    def factor(self, step: int, max_steps: int) -> float:
        share = min(1.0, step / max_steps)
        return warm_up(step, self.warm_up_steps) * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * share)))
