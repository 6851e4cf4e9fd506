"""Learning-rate schedules by name: pure functions of the step, so that resuming needs no state."""

import bisect
import math
from collections.abc import Sequence

from toolkit.errors import ConfigError
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


@SCHEDULES.register("noam")
class Noam(Schedule):
    """Linear rise over ``warm_up_steps``, then a fall with the inverse square root of the step (Vaswani et al. 2017, equation 3).

    There the rate is ``d^-0.5 min(step^-0.5, step warm_up_steps^-1.5)``. Here it is scaled so that the optimiser's learning rate
    is the highest one, reached at ``warm_up_steps``, whatever width d a model has.
    """

    def __init__(self, *, warm_up_steps: int = 4000) -> None:
        self.warm_up_steps = warm_up_steps

    def factor(self, step: int, max_steps: int) -> float:
        peak = max(1, self.warm_up_steps)
        return step / peak if step <= peak else math.sqrt(peak / step)


@SCHEDULES.register("step")
class Step(Schedule):
    """Constant for ``every`` updates, then multiplied by ``gamma`` for each ``every`` more, never below ``floor``.

    The defaults are those of the vocoders that halve their rate every 200,000 updates (Yamamoto et al. 2020, section 4.1).
    ``every`` below 1 is a share of the whole training.
    """

    def __init__(self, *, every: float = 200_000, gamma: float = 0.5, floor: float = 0.0, warm_up_steps: int = 0) -> None:
        if every <= 0:
            raise ConfigError(f"every: updates between two steps, must be above 0, got {every:g}")
        if not 0 < gamma <= 1:
            raise ConfigError(f"gamma: factor of a step, must be above 0 and at most 1, got {gamma:g}")
        self.every, self.gamma, self.floor, self.warm_up_steps = every, gamma, floor, warm_up_steps

    def factor(self, step: int, max_steps: int) -> float:
        every = max(1, round(self.every * max_steps)) if self.every < 1 else self.every
        fallen = self.gamma ** (max(0, step - 1) // every)
        return float(warm_up(step, self.warm_up_steps) * max(self.floor, fallen))


@SCHEDULES.register("piecewise")
class Piecewise(Schedule):
    """Constant between given updates: after ``at[i]`` updates the factor is ``factors[i]``, before the first it is 1.

    The defaults are those that dynamic convolution attention was trained with (Battenberg et al. 2020, section 3.1): 1e-3, then
    5e-4, 3e-4, 1e-4 and 5e-5 from 50,000, 100,000, 150,000 and 200,000 updates on.
    """

    def __init__(
        self, *, at: tuple[int, ...] = (50_000, 100_000, 150_000, 200_000), factors: tuple[float, ...] = (0.5, 0.3, 0.1, 0.05),
        warm_up_steps: int = 0,
    ) -> None:  # fmt: skip
        if list(at) != sorted(set(at)):
            raise ConfigError(f"at: updates in rising order, got {shown(at)}")
        if len(factors) != len(at):
            raise ConfigError(f"factors: one for each of the {len(at)} updates of at, got {shown(factors)}")
        self.at, self.factors, self.warm_up_steps = at, factors, warm_up_steps

    def factor(self, step: int, max_steps: int) -> float:
        passed = bisect.bisect_left(self.at, step)
        return warm_up(step, self.warm_up_steps) * (self.factors[passed - 1] if passed else 1.0)


def shown(numbers: Sequence[float]) -> str:
    """Numbers of a message."""
    return ", ".join(f"{number:g}" for number in numbers) or "none"
