"""What a built model and a built optimiser say of themselves, for the training card."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from toolkit.nn.dropout import Dropout
from toolkit.nn.prenet import Prenet
from toolkit.tasks.published import shown

OWN_ROWS = ("params", "lr", "initial_lr", "weight_decay")  # of a parameter group, that stand elsewhere on the card


def parameters(module: nn.Module) -> int:
    """Number of weights."""
    return sum(parameter.numel() for parameter in module.parameters())


def frozen(module: nn.Module) -> str:
    """Which places hold weights that are not trained, and how many weights that is."""
    names = {name: parameter for name, parameter in module.named_parameters() if not parameter.requires_grad}
    places = dict.fromkeys(".".join(name.removeprefix("model.").split(".")[:2]) for name in names)
    return f"{sum(p.numel() for p in names.values()) / 1e6:.2f} of {parameters(module) / 1e6:.2f} M weights: {', '.join(places)}"


def constants(optimiser: torch.optim.Optimizer) -> str:
    """The class of an optimiser and its options that are not off."""
    options = {key: value for key, value in optimiser.param_groups[0].items() if key not in OWN_ROWS and value not in (None, False)}
    words = [key if value is True else f"{key} {shown(value)}" for key, value in options.items()]
    return f"{type(optimiser).__name__} ({', '.join(words)})"


def penalty(optimiser: torch.optim.Optimizer, excludes: Iterable[str]) -> str:
    """L2 regularisation: its weight, how it acts, and how many of the tensors it takes."""
    groups = optimiser.param_groups
    penalised = [group for group in groups if group["weight_decay"]]
    if not penalised:
        return "no L2"
    kind = "decoupled from" if any(group.get("decoupled_weight_decay") for group in groups) else "as a gradient term before"
    taken, all_ = ([p for group in some for p in group["params"]] for some in (penalised, groups))
    millions = " of ".join(f"{sum(p.numel() for p in some) / 1e6:.2f} M" for some in (taken, all_))
    left_out = f"; left out: names with {', '.join(excludes)}" if len(taken) < len(all_) else ""
    return f"L2 {penalised[0]['weight_decay']:g} {kind} the moments, on {len(taken)} of {len(all_)} tensors ({millions} weights{left_out})"


def dropouts(module: nn.Module) -> list[str]:
    """``dropout 0.5 in encoder.convolutions (3), ...`` and ``zoneout 0.1 in ...``: every place that draws in training."""
    places: dict[str, dict[str, int]] = {}
    for path, part in module.named_modules():
        probability = part.probability if isinstance(part, Dropout) else part.p if isinstance(part, nn.Dropout) else 0.0
        for kind, value in (("dropout", probability or _dropout_of(part)), ("zoneout", getattr(part, "zoneout", 0.0))):
            if value:
                counts = places.setdefault(f"{kind} {value:g}", {})
                counts[_place(path, kind)] = counts.get(_place(path, kind), 0) + 1
    return [f"{what} in {', '.join(f'{at} ({n})' if n > 1 else at for at, n in counts.items())}" for what, counts in places.items()]


def _dropout_of(part: nn.Module) -> float:
    return part.dropout if isinstance(part, Prenet) else 0.0


def _place(path: str, kind: str) -> str:
    """``model.encoder.convolutions.0.dropout`` -> ``encoder.convolutions``."""
    return ".".join(word for word in path.split(".") if word not in ("model", kind) and not word.isdigit())
