"""The contract of importers, and how the pieces of a checkpoint become those of our parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from toolkit.errors import CheckpointError, ConfigError, nearest
from toolkit.registry import Registry


class Imported(NamedTuple):
    """A published model in our terms.

    Attributes:
        system: what a YAML would say of it: ``features``, its parts and their settings.
        weights: by the names that they have here. A weight that is normalised here is given whole, as ``NAME.weight``.
        statistics: mean and deviation of the frames ``F``; None where they are not normalised.
        symbols: of a feature predictor, by id; the first two are ``<pad>`` and ``<eos>``.
        remarks: in what its use here differs from its use there, a line each.
    """

    system: dict[str, Any]
    weights: dict[str, Tensor]
    statistics: tuple[Tensor, Tensor] | None = None
    symbols: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class Source(NamedTuple):
    """What was found of a published model.

    Attributes:
        weights: plain: where it normalises weights, these are the products.
        settings: of its own configuration file, empty where there is none.
        statistics: mean and deviation ``F`` of its frames, where they stand in a file of their own.
    """

    weights: dict[str, Tensor]
    settings: Mapping[str, Any]
    statistics: tuple[Tensor, Tensor] | None = None


class Importer:
    """One kind of published model.

    Attributes:
        task: the side of the system that it is: ``text2mel`` or ``mel2wav``.
        places: keys in the checkpoint under which the weights may stand, from the outermost in, the likeliest first.
        needs_settings: its configuration file must be given.
    """

    task: ClassVar[str]
    places: ClassVar[tuple[tuple[str, ...], ...]] = ((),)
    needs_settings: ClassVar[bool] = False

    def convert(self, source: Source) -> Imported:
        """Everything in ``source.weights`` that is used is taken out of it; what stays is refused by who asked.

        Raises:
            CheckpointError: weights are missing, or of another shape than the settings say.
            ConfigError: a setting is there that has no counterpart here.
        """
        raise NotImplementedError


class Taken:
    """The weights of a checkpoint, taken out one by one, so that none is forgotten."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self.weights = weights

    def __call__(self, name: str, *shape: int | None) -> Tensor:
        """A weight by its name; of that shape, where None is any size."""
        if name not in self.weights:
            raise CheckpointError(f"{name}: no such weight in the checkpoint; {nearest(name, self.weights)}")
        found = self.weights.pop(name)
        if shape and (found.dim() != len(shape) or any(want not in (None, size) for want, size in zip(shape, found.shape, strict=True))):
            expected = " x ".join("any" if want is None else str(want) for want in shape)
            raise CheckpointError(f"{name}: expected {expected}, got {' x '.join(map(str, found.shape))}; is the configuration its own?")
        return found

    def has(self, name: str) -> bool:
        """Whether a weight is there."""
        return name in self.weights

    def ignore(self, *beginnings: str) -> None:
        """Drop weights that mean nothing here: those whose names begin so."""
        for name in [name for name in self.weights if name.startswith(beginnings)]:
            del self.weights[name]

    def renamed(self, names: Mapping[str, str]) -> dict[str, Tensor]:
        """Weights by their names there -> by their names here."""
        return {here: self(there) for there, here in names.items()}

    def count(self, pattern: str) -> int:
        """How many there are of ``pattern.format(0)``, ``pattern.format(1)`` and so on."""
        number = 0
        while self.has(pattern.format(number)):
            number += 1
        return number


def setting(settings: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """A setting of the published configuration by its dotted name.

    Raises:
        ConfigError: it is not there and there is no default.
    """
    value: Any = settings
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is None:
        value = default
    if value is None:
        raise ConfigError(f"--config: {name} is missing; give the configuration that came with the checkpoint")
    return value


IMPORTERS: Registry[Importer] = Registry("importer", Importer)
