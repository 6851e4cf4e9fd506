"""The speakers or languages that a model knows, and their ids: ``speakers.txt``, ``languages.txt``, one name a line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from toolkit.data import kaldi
from toolkit.data.writing import write_text
from toolkit.errors import ConfigError, DataError, nearest

MAPS = {"speaker": "utt2spk", "language": "utt2lang"}  # of a data directory
SHOWN = 20  # names that a message lists


class Names:
    """Names with fixed ids, in the order given; the line number in the file is the id.

    Args:
        kind: ``speaker`` or ``language``.
        where: stands before error messages about the names themselves.
    """

    def __init__(self, kind: str, names: Sequence[str], where: str = "names") -> None:
        self.kind, self.names = kind, tuple(names)
        for number, name in enumerate(self.names, 1):
            kaldi.check_id(name, f"{where}:{number}")
        if not self.names or len(set(self.names)) < len(self.names):
            raise DataError(f"{where}: one {kind} a line, none twice, got {len(self.names)} lines with {len(set(self.names))} names")

    @classmethod
    def found(cls, kind: str, data: Path) -> Names:
        """All that the utterances of a data directory have, sorted."""
        return cls(kind, sorted(set(read_kind(kind, data).values())), str(data / MAPS[kind]))

    @classmethod
    def load(cls, kind: str, folder: Path) -> Names:
        """Read the list that stands in an experiment."""
        path = folder / file_of(kind)
        try:
            return cls(kind, path.read_text(encoding="utf-8").split(), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: no list of {kind}s: {error}; train again, or bring the file along with the experiment") from error

    def save(self, folder: Path) -> None:
        """Write the list into an experiment."""
        write_text(folder / file_of(self.kind), "".join(f"{name}\n" for name in self.names))

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Names) and (self.kind, self.names) == (other.kind, other.names)

    def __hash__(self) -> int:
        return hash((self.kind, self.names))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    def id(self, name: str | None) -> int:
        """The id of a name. Where there is but one, it need not be said.

        Raises:
            ConfigError: unknown, with the nearest that is known; or not said although there are several.
        """
        if name is None and len(self) == 1:
            return 0
        if name is None:
            raise ConfigError(f"{self.kind}: this model has {len(self)}, say which; {self.advice('')}")
        if name not in self._ids:
            raise ConfigError(f"{self.kind}: unknown to this model, got {name!r}; {self.advice(name)}")
        return self._ids[name]

    def advice(self, name: str) -> str:
        """The end of a message about a name that is not here."""
        if len(self) <= SHOWN:
            return nearest(name, self.names)
        return f"{nearest(name, difflib.get_close_matches(name, self.names, n=5) or self.names[:5])}, of {len(self)}"


def file_of(kind: str) -> str:
    """The name of a list's file."""
    return f"{kind}s.txt"


def read_kind(kind: str, data: Path) -> dict[str, str]:
    """The speaker or language of each utterance of a data directory."""
    path = data / MAPS[kind]
    if not path.is_file():
        raise DataError(f"{path}: no such file, and this model is conditioned on the {kind}; write lines 'id {kind}', one an utterance")
    return kaldi.read_map(path)
