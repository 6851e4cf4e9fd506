"""What speech depends on besides its text. It changes the memory after the encoder, so no encoder knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.errors import ConfigError, nearest
from toolkit.nn.multi_head_attention import check_heads
from toolkit.nn.style_tokens import StyleTokens

KINDS = ("speaker", "language", "vector", "style")
MERGES = ("concat", "add")
DEVIATION = 0.3  # of first embeddings, small beside what an encoder gives


@dataclass(frozen=True)
class Identity:
    """A vector of ``dim`` values for each name in the training data, learned with the rest."""

    dim: int = 64

    def __post_init__(self) -> None:
        _at_least_one("dim", self.dim)


@dataclass(frozen=True)
class Vector:
    """A vector of ``dim`` values that comes with each utterance, such as an x-vector of its speaker; made length 1 or left as it is."""

    dim: int
    normalise: bool = True

    def __post_init__(self) -> None:
        _at_least_one("dim", self.dim)


@dataclass(frozen=True)
class Style:
    """Global style tokens (Wang et al. 2018, arXiv 1803.09017), by default of the published sizes; the number of heads is ours."""

    dim: int = 256
    tokens: int = 10
    heads: int = 4
    channels: tuple[int, ...] = (32, 32, 64, 64, 128, 128)  # of the reference encoder's convolutions, each of stride 2
    units: int = 128  # of its GRU

    def __post_init__(self) -> None:
        for name in ("dim", "tokens", "units"):
            _at_least_one(name, getattr(self, name))
        check_heads(self.dim, self.heads)
        if not self.channels or min(self.channels) < 1:
            raise ConfigError(f"channels: of at least one convolution, each at least 1, got {list(self.channels)}")


@dataclass(frozen=True)
class ConditioningSettings:
    """What the memory is joined with, and how: side by side (``concat``), or projected to its width and added (``add``)."""

    speaker: Identity | None = None
    language: Identity | None = None
    vector: Vector | None = None
    style: Style | None = None
    merge: str = "concat"

    def __post_init__(self) -> None:
        if self.merge not in MERGES:
            raise ConfigError(f"merge: how conditions meet the memory, got {self.merge!r}; {nearest(self.merge, MERGES)}")
        if not self.widths:
            raise ConfigError("speaker: missing, and so are language, vector and style; give one, or set conditioning: null")

    @property
    def widths(self) -> dict[str, int]:
        """Values of each condition that there is."""
        parts = {"speaker": self.speaker, "language": self.language, "vector": self.vector, "style": self.style}
        return {kind: part.dim for kind, part in parts.items() if part is not None}


class Conditions(NamedTuple):
    """All optional. A model refuses those that it was not built for, and asks for those that it was."""

    speaker: Tensor | None = None  # int64 B
    language: Tensor | None = None  # int64 B
    vector: Tensor | None = None  # B E
    reference: Tensor | None = None  # B R M, normalised
    reference_lengths: Tensor | None = None  # B
    style: Tensor | None = None  # B K, weights of the style tokens, instead of a reference

    @property
    def kinds(self) -> list[str]:
        """Which are there, in the words of the configuration."""
        given = {"style" if name.startswith("reference") else name for name, value in self._asdict().items() if value is not None}
        return [kind for kind in KINDS if kind in given]

    def first(self) -> Conditions:
        """Those of the first row."""
        return Conditions(*(None if value is None else value[:1] for value in self))


class Conditioning(nn.Module):
    """Memory -> memory of width ``out_dim``. One speaker in one language needs none: the memory passes as it is.

    Args:
        memory_dim: D, the width of the encoder's memory.
        settings: None for no conditions.
        bins: M of the reference's frames.
        sizes: how many names ``speaker`` and ``language`` have.
    """

    def __init__(
        self, memory_dim: int, settings: ConditioningSettings | None = None, bins: int = 0, sizes: Mapping[str, int] | None = None
    ) -> None:
        super().__init__()
        self.settings, self.out_dim = settings, memory_dim
        if settings is None:
            return
        widths = settings.widths
        tables = {kind: nn.Embedding(count, widths[kind]) for kind, count in (sizes or {}).items()}
        for table in tables.values():
            nn.init.normal_(table.weight, std=DEVIATION)
        self.tables = nn.ModuleDict(tables)
        if style := settings.style:
            self.style = StyleTokens(bins, style.dim, style.tokens, style.heads, style.channels, style.units)
        if settings.merge == "concat":
            self.out_dim += sum(widths.values())
        else:
            self.projections = nn.ModuleDict({kind: nn.Linear(width, memory_dim, bias=False) for kind, width in widths.items()})

    def forward(self, memory: Tensor, mask: Tensor, conditions: Conditions) -> Tensor:
        """Memory ``B S D`` and its mask ``B S`` -> ``B S out_dim``, 0 on padding.

        Raises:
            ConfigError: a condition is given that the model has no place for, or one that it needs is not.
        """
        wanted = [] if self.settings is None else list(self.settings.widths)
        if conditions.kinds != wanted:
            given = ", ".join(conditions.kinds) or "none"
            if self.settings is None:
                raise ConfigError(f"this model is not conditioned, got {given}; leave it out")
            raise ConfigError(f"this model is conditioned on {', '.join(wanted)}, got {given}")
        if self.settings is None:
            return memory
        vectors = {kind: self._vector(kind, conditions) for kind in wanted}
        if self.settings.merge == "add":
            memory = memory + sum(self.projections[kind](vector)[:, None] for kind, vector in vectors.items())
        else:
            memory = torch.cat([memory, *(vector[:, None].expand(-1, memory.shape[1], -1) for vector in vectors.values())], 2)
        return memory.masked_fill(mask[..., None], 0.0)

    def _vector(self, kind: str, conditions: Conditions) -> Tensor:
        """``B E`` of one kind."""
        made: Tensor
        if kind == "style":
            given = conditions.style
            made = self.style(conditions.reference, conditions.reference_lengths) if given is None else self.style.mix(given)
        elif kind == "vector":
            assert self.settings is not None and self.settings.vector is not None and conditions.vector is not None
            made = F.normalize(conditions.vector) if self.settings.vector.normalise else conditions.vector
        else:
            made = self.tables[kind](conditions.speaker if kind == "speaker" else conditions.language)
        return made


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"{name}: must be at least 1, got {value}")
