"""Optimisers by name."""

import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from toolkit.registry import Registry

Named = Iterable[tuple[str, nn.Parameter]]


class Optimiser:
    """A recipe for a ``torch.optim.Optimizer``; ``learning_rate`` is the rate that the schedule multiplies."""

    learning_rate: float

    def build(self, parameters: Named) -> torch.optim.Optimizer:
        """The optimiser of these weights, which come with their names in the module."""
        raise NotImplementedError


OPTIMISERS: Registry[Optimiser] = Registry("optimiser", Optimiser)


@OPTIMISERS.register("adam")
class Adam(Optimiser):
    """Adam (Kingma & Ba 2015). Tacotron 2, section 3.1, states the constants.

    Args:
        l2: the gradient of a weight w becomes g + l2 w before Adam's moments see it: the penalty l2 / 2 |w|^2 in the loss,
            not decoupled decay. Tacotron 2, section 3.1: 1e-6.
        l2_excludes: words; a weight that has one of them in its name is left out of the penalty. The paper does not say
            what it penalises. Ours are biases and the scales of normalisations: they are offsets and units, they hold no
            function that could be too steep, and a penalty would only pull them to values that mean nothing.
    """

    def __init__(
        self,
        *,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-6,
        l2: float = 0.0,
        l2_excludes: tuple[str, ...] = ("bias", "norm"),
    ) -> None:
        self.learning_rate, self.betas, self.epsilon, self.l2 = learning_rate, betas, epsilon, l2
        self.l2_excludes = l2_excludes

    def build(self, parameters: Named) -> torch.optim.Optimizer:
        groups = _groups(parameters, self.l2, self.l2_excludes)
        return torch.optim.Adam(groups, lr=self.learning_rate, betas=self.betas, eps=self.epsilon, fused=True)


@OPTIMISERS.register("adamw")
class AdamW(Optimiser):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), as HiFi-GAN and Vocos are trained with.

    Args:
        decay: after each update a weight w loses learning rate x decay x w.
        decay_excludes: words; a weight that has one of them in its name does not.
    """

    def __init__(
        self,
        *,
        learning_rate: float = 2e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        decay: float = 0.01,
        decay_excludes: tuple[str, ...] = (),
    ) -> None:
        self.learning_rate, self.betas, self.epsilon, self.decay = learning_rate, betas, epsilon, decay
        self.decay_excludes = decay_excludes

    def build(self, parameters: Named) -> torch.optim.Optimizer:
        groups = _groups(parameters, self.decay, self.decay_excludes)
        return torch.optim.AdamW(groups, lr=self.learning_rate, betas=self.betas, eps=self.epsilon, fused=True)


@OPTIMISERS.register("radam")
class RAdam(Optimiser):
    """Rectified Adam (Liu et al. 2020), as Parallel WaveGAN is trained with (section 4.1: epsilon 1e-6)."""

    def __init__(self, *, learning_rate: float = 1e-4, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-6) -> None:
        self.learning_rate, self.betas, self.epsilon = learning_rate, betas, epsilon

    def build(self, parameters: Named) -> torch.optim.Optimizer:
        weights = [parameter for _, parameter in parameters]
        return torch.optim.RAdam(weights, lr=self.learning_rate, betas=self.betas, eps=self.epsilon)


def _groups(parameters: Named, decay: float, excludes: Iterable[str]) -> list[dict[str, Any]]:
    """Weights that are penalised and weights that are not."""
    penalised, excluded, words = list[nn.Parameter](), list[nn.Parameter](), tuple(excludes)
    for name, parameter in parameters:
        (excluded if has_word(name, words) else penalised).append(parameter)
    groups = [{"params": penalised, "weight_decay": decay}, {"params": excluded, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def has_word(name: str, words: Iterable[str]) -> bool:
    """Whether one of the words stands in a dotted name: ``norm`` does in ``layers.0.norm.weight``, ``bias`` in ``bias_ih_l0``."""
    return not set(words).isdisjoint(re.split(r"[^a-z]+", name.lower()))
