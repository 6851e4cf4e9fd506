"""Vectors of speakers or utterances that were made elsewhere, such as x-vectors, into data directories."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data import kaldi
from toolkit.data.problems import raise_all
from toolkit.data.store import ArkWriter, FeatureStore, Floats, read_ark
from toolkit.data.voices import VECTORS
from toolkit.errors import DataError, nearest


class VectorSource:
    """Vectors by name: Kaldi's scp or ark, an npz file, or a folder of npy files. A name is an utterance's or a speaker's.

    Raises:
        DataError: the source cannot be read, or is none of these.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._load: Callable[[str], Any]
        if path.is_dir():
            files = {file.stem: file for file in sorted(path.glob("*.npy"))}
            self.names, self._load = list(files), lambda name: _numpy(files[name])
        elif path.suffix == ".scp":
            store = FeatureStore(path)
            self.names, self._load = store.ids, store.load
        elif path.suffix in (".ark", ".npz"):
            values = dict(read_ark(path) if path.suffix == ".ark" else _numpy(path).items())
            self.names, self._load = list(values), values.__getitem__
        else:
            raise DataError(f"{path}: no source of vectors; an scp, an ark, an npz file or a folder of npy files is")
        self._known = set(self.names)
        if not self.names:
            raise DataError(f"{path}: holds no vectors; an scp, an ark, an npz file or a folder of npy files does")

    def of(self, utterance: kaldi.Utterance) -> Floats:
        """The utterance's own vector, else that of its speaker."""
        found = next((name for name in (utterance.id, utterance.speaker) if name in self._known), None)
        if found is None:
            hint = nearest(utterance.speaker, self.names[:10])
            raise DataError(f"{self.path}: no vector of utterance {utterance.id} nor of its speaker, got {utterance.speaker!r}; {hint}")
        return flat(self._load(found), f"{self.path}: {found}")


def write_vectors(source: VectorSource, folder: Path) -> int:
    """Write ``vectors.ark`` and ``vectors.scp`` of all utterances of a data directory; returns the size of each.

    Raises:
        DataError: utterances without a vector, or whose vectors differ in size, one line each.
    """
    made: dict[str, Floats] = {}
    problems, size = list[str](), 0
    for utterance in kaldi.read(folder):
        try:
            made[utterance.id] = source.of(utterance)
        except DataError as error:
            problems.append(str(error))
            continue
        size = size or len(made[utterance.id])
        if len(made[utterance.id]) != size:
            problems.append(f"{source.path}: {utterance.id}: {size} values as those before, got {len(made[utterance.id])}")
    raise_all(problems)
    with ArkWriter(folder / "vectors.ark", folder / VECTORS) as writer:
        for key, values in made.items():
            writer.add(key, values)
    return size


def read_vector(path: Path) -> Floats:
    """The one vector of an npy file."""
    return flat(_numpy(path), str(path))


def flat(values: Any, where: str) -> Floats:
    """Values ``E``, also of those that were saved as ``1 x E``."""
    values = np.asarray(values)
    if values.size < 1 or values.size != max(values.shape, default=0) or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise DataError(f"{where}: a vector is a row of finite numbers, got {values.dtype} of shape {values.shape}")
    row: Floats = values.reshape(-1).astype(np.float32)
    return row


def _numpy(path: Path) -> Any:
    """What an npy or npz file holds, which is never a pickle."""
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: no numpy file that can be read: {error}") from error
