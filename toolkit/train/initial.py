"""First weights of a training from what another one left: a checkpoint, a run, an experiment or a safetensors file."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from toolkit.data.writing import write_text
from toolkit.errors import CheckpointError, ConfigError, nearest
from toolkit.train.checkpoint import Checkpoints, best_weights, evaluated_weights
from toolkit.train.freezing import prefixes, stands_in
from toolkit.train.sealing import MANIFEST

logger = logging.getLogger(__name__)
NOTE = "initial_weights.txt"  # in the folder of a run: where its first weights are from


class Source(NamedTuple):
    """``PATH:source:target:excludes``: weights of a path whose names begin with ``source``, which becomes ``target``."""

    path: Path
    source: str = ""
    target: str = ""
    excludes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Source:
        """All but the path may be left out; excluded words are separated by commas."""
        path, *rest = text.split(":")
        if not path or len(rest) > 3:
            raise ConfigError(f"--init-param: expected PATH:SOURCE:TARGET:EXCLUDES, got {text!r}")
        source, target, excludes = (*rest, "", "", "")[:3]
        return cls(Path(path), source.strip("."), target.strip("."), tuple(word for word in excludes.split(",") if word))


def first_weights(module: nn.Module, task: str, folder: Path, wanted: Sequence[str], resume: str, write: bool) -> str:
    """Give a module the wanted weights where its training begins; one that goes on has all of its own.

    Args:
        folder: of the run, where a note is left of what was taken.
        write: whether this process writes the note.

    Returns:
        What was taken when the training began, empty where nothing was.
    """
    note = folder / NOTE
    if resume not in ("auto", "never") or (resume == "auto" and Checkpoints(folder).newest()):
        if wanted:
            logger.warning("--init-param: ignored, since %s goes on from a checkpoint; --resume never begins anew", folder)
        return note.read_text(encoding="utf-8").strip() if note.exists() else ""
    said = initialise(module, [Source.parse(text) for text in wanted], task)
    if write and (said or note.exists()):
        write_text(note, said + "\n")
    return said


def initialise(module: nn.Module, sources: Sequence[Source], task: str) -> str:
    """Give a module the weights of all sources, later ones over earlier ones, or change nothing.

    Returns:
        How many tensors came from where.

    Raises:
        CheckpointError: a path cannot be read; a weight has no place, or another shape there. Names and shapes stand in it.
        ConfigError: no weight of a source is chosen.
    """
    own, taken, said = module.state_dict(), dict[str, Tensor](), list[str]()
    for source in sources:
        found = chosen(_weights(source.path, task), source)
        check_places(found, own, source.path)
        taken |= found
        whence, whither = (f" {name}" if name else "" for name in (source.source, source.target))
        said.append(f"{len(found)} of {len(own)} tensors from {source.path}{whence}{' as' + whither if whence != whither else ''}")
    module.load_state_dict({**own, **taken})
    return "; ".join(said)


def chosen(weights: Mapping[str, Tensor], source: Source) -> dict[str, Tensor]:
    """The weights that a source names, under their new names."""
    found = {}
    for name, weight in weights.items():
        inside = not source.source or f"{name}.".startswith(f"{source.source}.")
        if inside and not any(stands_in(word, name) for word in source.excludes):
            rest = name[len(source.source) :].lstrip(".")
            found[".".join(part for part in (source.target, rest) if part)] = weight
    if not found:
        without = f" without {', '.join(source.excludes)}" if source.excludes else ""
        known = nearest(source.source, prefixes(weights))
        raise ConfigError(f"--init-param: {source.path}: no weight begins with {source.source!r}{without}; {known}")
    return found


def check_places(found: Mapping[str, Tensor], own: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that the module lacks or has in another shape, one line for each."""
    lines = []
    for name, weight in found.items():
        if name not in own:
            lines.append(f"no weight {name!r} here; {nearest(name, prefixes(own, 2))}")
        elif weight.shape != own[name].shape:
            there, here = ("x".join(map(str, shape)) or "one number" for shape in (weight.shape, own[name].shape))
            lines.append(f"{name}: shape {there} there, {here} here; exclude it with a word of its name")
    if lines:
        listed = "\n  ".join(lines[:10] + ([f"and {len(lines) - 10} more"] if len(lines) > 10 else []))
        raise CheckpointError(f"--init-param: {path}: does not fit this model, nothing was loaded\n  {listed}")


def _weights(path: Path, task: str) -> dict[str, Tensor]:
    """Those of a sealed checkpoint, of a run's or experiment's best one, or of a safetensors file."""
    if path.is_file():
        try:
            return load_tensors(path.read_bytes())
        except SafetensorError as error:
            raise CheckpointError(f"--init-param: {path}: is no safetensors file: {error}") from error
    if (path / MANIFEST).exists():
        return evaluated_weights(path)[0]
    runs = [folder for folder in (path, path / task) if (folder / "checkpoints").is_dir()]
    if not runs:
        raise CheckpointError(f"--init-param: neither a checkpoint, a run, an experiment nor a safetensors file, got {str(path)!r}")
    return best_weights(runs[0])[0]
