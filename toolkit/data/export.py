"""Features for other programs: Kaldi's ark and scp, npy files, HDF5, with the settings that they were made with beside them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from toolkit.data import kaldi
from toolkit.data.stamps import tree_hash
from toolkit.data.store import ArkWriter, FeatureStore
from toolkit.data.writing import atomic, explained, sync_folder, write_text
from toolkit.errors import ConfigError, DataError, MissingExtraError, nearest

NAMES = ("feats", "f0", "energy")
SETTINGS = "features.json"


def export(source: Path, form: str, out: Path) -> dict[str, int]:
    """Write the features of a data directory, of all sets of a folder of features, or the aligned mels of an experiment.

    Each set has a folder of its own name; those of a single data directory stand in ``out`` itself. The whole folder appears at once.

    Args:
        form: ``kaldi``: ``feats.ark`` and ``feats.scp``; ``npy``: ``feats/ID.npy``; ``hdf5``: ``feats.h5`` with a dataset for each
            id. All are float32, ``T x M`` in natural units; F0 (Hz) and energy are ``T``, where they were extracted.
        out: new or empty, or what the same export made before.

    Returns:
        How many utterances each set has.

    Raises:
        ConfigError: the format is unknown, or ``out`` holds something else.
        DataError: the source has no features, or none that can be read.
        MissingExtraError: hdf5 without h5py.
    """
    if form not in FORMATS:
        raise ConfigError(f"--format: unknown, got {form!r}; {nearest(form, FORMATS)}")
    sets, settings = _sets(source), _settings(source)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name[:40]}.", suffix=".tmp", dir=out.parent) as temporary:
        made, counts = Path(temporary) / "made", dict[str, int]()
        made.mkdir()
        for name, folder in sets.items():
            for feature in (feature for feature in NAMES if (folder / f"{feature}.scp").is_file()):
                store = FeatureStore(folder / f"{feature}.scp")
                FORMATS[form](store, made / name / feature, out.absolute() / name / feature)
                counts.setdefault(name, len(store))
        write_text(made / SETTINGS, settings)
        _put(made, out)
    return counts


def _sets(source: Path) -> dict[str, Path]:
    """The data directories in a source by name; of a single one the name is empty."""
    if (source / "feats.scp").is_file():
        return {"": source}
    for place in (source, source / "gta"):
        folders = {scp.parent.name: scp.parent for scp in sorted(place.glob("*/feats.scp"))}
        if folders:
            return folders
    raise DataError(
        f"{source}: no features: neither feats.scp nor */feats.scp nor gta/*/feats.scp; run the recipe's stages up to stats or gta"
    )


def _settings(source: Path) -> str:
    """What ``features.json`` says; it stands in a folder of features or an experiment, and so above their sets."""
    place = next((folder for folder in (source, *source.absolute().parents[:2]) if (folder / SETTINGS).is_file()), None)
    if place is None:
        raise DataError(f"{source}: no {SETTINGS} there or above, which says how the features were made; extract them again")
    return (place / SETTINGS).read_text(encoding="utf-8")


def _put(made: Path, out: Path) -> None:
    """Give a finished folder its place, unless the same is there."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if tree_hash(made) != tree_hash(out):
            raise ConfigError(f"--out: holds something else, got {out}; choose another folder, or remove what is there")
        return
    try:
        os.replace(made, out)
        sync_folder(out.parent)
    except OSError as error:
        raise explained(out, error) from error


def _kaldi(store: FeatureStore, path: Path, final: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ark, scp = path.with_suffix(".ark"), path.with_suffix(".scp")
    with ArkWriter(ark, scp) as writer:
        for key in sorted(store):
            writer.add(key, store.load(key))
    here, there = (kaldi.from_path(place.with_suffix(".ark")) for place in (path, final))
    kaldi.write_map(scp, {key: there + place.removeprefix(here) for key, place in kaldi.read_map(scp).items()})


def _npy(store: FeatureStore, path: Path, final: Path) -> None:
    for key in store:
        with atomic(path / f"{key}.npy", "wb", point="export") as file:
            np.save(file, store.load(key), allow_pickle=False)


def _hdf5(store: FeatureStore, path: Path, final: Path) -> None:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("--format hdf5", "export", "h5py") from error
    with atomic(path.with_suffix(".h5"), "wb", point="export") as file, h5py.File(file, "w") as data:
        for key in sorted(store):
            data[key] = store.load(key)


FORMATS: dict[str, Callable[[FeatureStore, Path, Path], None]] = {"kaldi": _kaldi, "npy": _npy, "hdf5": _hdf5}
