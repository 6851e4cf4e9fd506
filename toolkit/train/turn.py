"""One optimiser with the weights it moves: gradient norm, clipping, learning rate, step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from toolkit.errors import CheckpointError
from toolkit.train.optimisers import Named
from toolkit.train.settings import Training


class Turn:
    """One of the optimisers that take turns in a training.

    Args:
        parameters: the weights that it moves, with their names.
        settings: optimiser, schedule, clip and precision.
    """

    def __init__(self, parameters: Named, settings: Training) -> None:
        self.settings = settings
        every = dict(parameters)
        self.frozen = {name for name, parameter in every.items() if not parameter.requires_grad}
        self.named = {name: parameter for name, parameter in every.items() if parameter.requires_grad}
        self.parameters = list(self.named.values())
        self.recipe = settings.optimiser.build()
        self.schedule = settings.schedule.build()
        self.optimiser = self.recipe.build(self.named.items())
        self.scaler = torch.amp.GradScaler("cuda", enabled=settings.precision == "fp16")

    def learning_rate(self, step: int) -> float:
        """The rate of an update; steps count from 1."""
        return self.recipe.learning_rate * self.schedule.factor(step, self.settings.max_steps)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of one micro-batch."""
        torch.autograd.backward(self.scaler.scale(loss))

    def gradient_norm(self) -> Tensor:
        """Euclidean norm over all gradients, before clipping."""
        self.scaler.unscale_(self.optimiser)
        return torch.nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])

    def apply(self, norm: Tensor, step: int) -> None:
        """Clip to ``settings.clip``, set the learning rate, move the weights."""
        if self.settings.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.settings.clip, norm)
        rate = self.learning_rate(step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.scaler.step(self.optimiser)
        self.scaler.update()

    def skip(self) -> None:
        """Leave the weights as they are; half precision lowers its loss scale."""
        if self.scaler.is_enabled():
            self.scaler.update()

    def state(self) -> dict[str, Any]:
        """What resuming needs, as tensors and plain types: the moments of each weight by its name, and the loss scale."""
        moments = {name: dict(self.optimiser.state[p]) for name, p in self.named.items() if p in self.optimiser.state}
        return {"moments": moments, "scaler": self.scaler.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Take a ``state()`` again. Constants such as betas stay those of the settings; moments of frozen weights are dropped.

        Raises:
            CheckpointError: it has moments of other weights.
        """
        moments: dict[str, Any] = state.get("moments", {"(no names)": {}})
        unknown = sorted(moments.keys() - self.named.keys() - self.frozen)
        if unknown:
            raise CheckpointError(f"training.pt: the optimiser moved other weights, got {unknown[0]}; use --resume never")
        own = self.optimiser.state_dict()
        order: list[nn.Parameter] = [p for group in self.optimiser.param_groups for p in group["params"]]
        names = {parameter: name for name, parameter in self.named.items()}
        held = {i: moments[names[p]] for i, p in enumerate(order) if names[p] in moments}
        self.optimiser.load_state_dict({"state": held, "param_groups": own["param_groups"]})
        self.scaler.load_state_dict(state["scaler"])
