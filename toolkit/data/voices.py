"""How an utterance is to sound beside its text: who speaks, in which language, with which vector or style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from toolkit.data.names import MAPS, Names, read_kind
from toolkit.data.store import FeatureStore, Floats
from toolkit.errors import DataError

VECTORS = "vectors.scp"  # of a data directory: a vector of each utterance


class Voice(NamedTuple):
    """What is None is left open; a model asks for what it cannot do without."""

    speaker: str | None = None
    language: str | None = None
    vector: Floats | None = None  # E
    reference: Floats | None = None  # T M, natural units: whose style is taken
    style: tuple[float, ...] | None = None  # weights of the style tokens, instead of a reference

    def named(self) -> dict[str, str]:
        """The names in it."""
        return {kind: name for kind, name in (("speaker", self.speaker), ("language", self.language)) if name is not None}

    def over(self, other: Voice) -> Voice:
        """This one, with ``other`` where it leaves something open."""
        return other._replace(**{name: value for name, value in self._asdict().items() if value is not None})


class Voices:
    """The voice of each utterance of a data directory, as far as a model asks for it.

    Args:
        folder: a data directory with ``utt2spk``, and ``utt2lang`` and ``vectors.scp`` where they are asked for.
        ids: of the utterances, in order.
        tables: names that the model knows, by kind: ``speaker``, ``language``.
        vector: values of each vector, None where none is asked for.

    Raises:
        DataError: a file or an utterance lacks what is asked for, or has a name that the model does not know.
    """

    def __init__(self, folder: Path, ids: Sequence[str], tables: Mapping[str, Names], vector: int | None) -> None:
        self.ids, self.tables, self.size = ids, tables, vector
        self.names = {kind: _names(folder, ids, table) for kind, table in tables.items()}
        self.store: FeatureStore | None = None
        if vector is not None:
            if not (folder / VECTORS).is_file():
                raise DataError(f"{folder}: has no {VECTORS}, and this model is conditioned on vectors; run: toolkit vectors")
            self.store = FeatureStore(folder / VECTORS)
            self._vector(ids[0])  # of another size than all, most often

    def voice(self, index: int) -> Voice:
        """That of one utterance."""
        named = {kind: names[index] for kind, names in self.names.items()}
        vector = None if self.store is None else self._vector(self.ids[index])
        return Voice(named.get("speaker"), named.get("language"), vector)

    def tensors(self, members: Sequence[int]) -> dict[str, Tensor]:
        """Those of a batch, under the names that it has for them: ids ``B``, vectors ``B E``."""
        made = {kind: torch.tensor([table.id(self.names[kind][i]) for i in members]) for kind, table in self.tables.items()}
        if self.store is not None:
            made["vector"] = torch.stack([torch.from_numpy(self._vector(self.ids[i])) for i in members])
        return made

    def _vector(self, key: str) -> Floats:
        assert self.store is not None
        values = self.store.load(key)
        if values.shape != (self.size,):
            shape = " x ".join(map(str, values.shape))
            raise DataError(f"{self.store.scp}: {key}: vectors of {self.size} values are asked for by conditioning.vector.dim, got {shape}")
        return values


def _names(folder: Path, ids: Sequence[str], table: Names) -> list[str]:
    """The name of each utterance, all of them known."""
    found, path = read_kind(table.kind, folder), folder / MAPS[table.kind]
    lacking = [key for key in ids if key not in found]
    if lacking:
        raise DataError(f"{path}: has no line for {len(lacking)} utterances, such as {lacking[0]}; add 'id {table.kind}'")
    strange = [key for key in ids if found[key] not in table]
    if strange:
        name = found[strange[0]]
        whose = f"{len(strange)} utterances of a {table.kind} that the model does not know, such as {strange[0]}"
        raise DataError(f"{path}: {whose}, got {name!r}; {table.advice(name)}")
    return [found[key] for key in ids]
