"""Optimisers by name."""

from collections.abc import Iterable

import torch
from torch import Tensor

from toolkit.registry import Registry


class Optimiser:
    """A recipe for a ``torch.optim.Optimizer``; ``learning_rate`` is the rate that the schedule multiplies."""

    learning_rate: float

    def build(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        raise NotImplementedError


OPTIMISERS: Registry[Optimiser] = Registry("optimiser", Optimiser)


@OPTIMISERS.register("adam")
class Adam(Optimiser):
    """Adam (Kingma & Ba 2015). ``l2`` is a gradient term before the moments, not decoupled decay (Tacotron 2, section 3.1)."""

    def __init__(
        self, *, learning_rate: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-6, l2: float = 0.0
    ) -> None:
        self.learning_rate, self.betas, self.epsilon, self.l2 = learning_rate, betas, epsilon, l2

    def build(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.learning_rate, betas=self.betas, eps=self.epsilon, weight_decay=self.l2, fused=True)
