"""Parts of a model that a training leaves as they are, chosen by words of their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from toolkit.errors import ConfigError, nearest
from toolkit.nn.batch_norm import BatchNorm

DEPTH = 3  # levels of names that a message lists


def stands_in(word: str, name: str) -> bool:
    """Whether a dotted word is a run of whole parts of a dotted name: ``encoder`` and ``encoder.lstm`` of ``model.encoder.lstm.bias``."""
    return f".{word}." in f".{name}."


def prefixes(names: Iterable[str], depth: int = DEPTH) -> list[str]:
    """The first levels of dotted names, for messages: ``model``, ``model.encoder``, ..."""
    split = [name.split(".") for name in names]
    return sorted({".".join(parts[:level]) for parts in split for level in range(1, min(depth, len(parts)) + 1)})


def freeze(module: nn.Module, words: Sequence[str] | None) -> None:
    """Take weights out of the training: no gradient, no penalty, and batch normalisation keeps and uses its running statistics.

    Dropout and zoneout inside stay on. Call it before the optimiser is built and the module is wrapped.

    Args:
        words: dotted, of whole parts of names (``stands_in``); None for none.

    Raises:
        ConfigError: a word is in no name, or nothing would be left to train.
    """
    if not words:
        return
    named = dict(module.named_parameters())
    for word in words:
        found = [parameter for name, parameter in named.items() if stands_in(word, name)]
        if not found:
            raise ConfigError(f"freeze: in the name of no weight, got {word!r}; {nearest(word, _known(named))}")
        for parameter in found:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in named.values()):
        raise ConfigError(f"freeze: nothing is left to train, got {', '.join(words)}; leave one out")
    for part in module.modules():
        if isinstance(part, BatchNorm) and not part.weight.requires_grad:
            part.frozen = True


def _known(names: Iterable[str]) -> set[str]:
    """Prefixes, and what follows the first level, as one would type it."""
    found = prefixes(names)
    return {*found, *(prefix.partition(".")[2] for prefix in found if "." in prefix)}
