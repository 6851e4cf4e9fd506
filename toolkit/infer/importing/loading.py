"""Files of published models: weights, settings, statistics. Nothing in them is run, unless the user trusts a pickle."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from toolkit.errors import CheckpointError, ConfigError, nearest
from toolkit.infer.importing.base import Importer

SIDES = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))
STATISTICS = (("mean", "scale"), ("mean", "std"))  # what deviations are called


def read_weights(path: Path, importer: type[Importer], trusted: bool) -> dict[str, Tensor]:
    """The plain weights of a checkpoint.

    Raises:
        CheckpointError: it cannot be read, or holds no weights where this kind of model has them; or it holds objects and is not trusted.
    """
    found = _read(path, trusted)
    for place in importer.places:
        inner: Any = found
        for key in place:
            inner = inner.get(key) if isinstance(inner, Mapping) else None
        if isinstance(inner, Mapping) and inner and all(isinstance(value, Tensor) for value in inner.values()):
            return plain({str(name).removeprefix("module."): value.float() for name, value in inner.items()})
    held = ", ".join(map(str, list(found)[:5])) if isinstance(found, Mapping) else type(found).__name__
    places = " or ".join(".".join(place) or "the top" for place in importer.places)
    raise CheckpointError(f"{path}: no weights at {places}, got {held}; is it another kind of checkpoint?")


def _read(path: Path, trusted: bool) -> Any:
    if not path.is_file():
        siblings = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        raise CheckpointError(f"{path}: no such file; {nearest(path.name, siblings)}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of odd pickles: they are read, or refused below
            return torch.load(path, map_location="cpu", weights_only=not trusted)
    except pickle.UnpicklingError as error:
        if trusted:
            raise CheckpointError(f"{path}: no checkpoint of torch, got {str(error).splitlines()[0][:100]}") from error
        raise CheckpointError(
            f"{path}: holds more than tensors and plain values, and reading that runs its code; --trust-pickle, if you trust who made it"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read: {str(error).splitlines()[0][:150]}") from error


def plain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of which those that are kept as length and direction (Salimans & Kingma 2016) are multiplied out."""
    made = dict(weights)
    for length_name, direction_name in SIDES:
        for name in [name for name in made if name.endswith(f".{length_name}")]:
            stem = name.removesuffix(length_name)
            length, direction = made.pop(name), made.pop(stem + direction_name)
            size = torch.linalg.vector_norm(direction, dim=tuple(range(1, direction.dim())), keepdim=True)
            made[f"{stem}weight"] = direction * (length / size)
    return made


def placed(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Plain weights by the names that a module has them under: where it normalises them, as length and direction."""
    length_name, direction_name = SIDES[1]
    made = dict(weights)
    for name in [name for name in made if name.endswith("weight") and name not in own]:
        stem = name.removesuffix("weight")
        if stem + length_name in own:
            weight = made.pop(name)
            made[stem + length_name] = torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.dim())), keepdim=True)
            made[stem + direction_name] = weight
    return made


def read_settings(path: Path | None, importer: type[Importer]) -> Mapping[str, Any]:
    """The published configuration, JSON or YAML; empty where none is given and none is needed."""
    if path is None:
        if importer.needs_settings:
            raise ConfigError("--config: this importer needs the configuration that came with the checkpoint (.json or .yml)")
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"--config: {path}: cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"--config: {path}: expected settings by name, got {type(found).__name__}")
    return found


def read_statistics(path: Path | None) -> tuple[Tensor, Tensor] | None:
    """Mean and deviation of frames ``F``: ParallelWaveGAN's ``stats.h5`` or ``.npy``, or an npz with ``mean``, and ``scale`` or ``std``."""
    if path is None:
        return None
    try:
        arrays = _arrays(path)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"--statistics: {path}: cannot be read: {str(error).splitlines()[0]}") from error
    for names in STATISTICS:
        if all(name in arrays for name in names):
            mean, std = (torch.from_numpy(np.asarray(arrays[name], np.float32).reshape(-1)) for name in names)
            return mean, std
    raise CheckpointError(f"--statistics: {path}: expected mean and scale, got {', '.join(arrays) or 'nothing'}")


def _arrays(path: Path) -> dict[str, Any]:
    if path.suffix in (".h5", ".hdf5"):
        try:
            import h5py
        except ImportError as error:
            raise CheckpointError(f"--statistics: {path}: reading HDF5 needs h5py; pip install 'toolkit[export]'") from error
        with h5py.File(path, "r") as file:
            return {name: file[name][()] for name in file}
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return dict(zip(("mean", "scale"), loaded, strict=True)) if loaded.ndim == 2 and len(loaded) == 2 else {}
    return dict(loaded)
