"""Checkpoints of a run: sealed directories ``checkpoints/step-00001234``. Which one is the newest is computed, never noted down.

Each holds ``model.safetensors``, ``average.safetensors`` where there is a moving average, ``training.pt`` (state of the
optimisers: tensors and plain types) and ``meta.json`` (step, validation loss). ``checkpoints/average`` is the mean of the best.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from toolkit.errors import CheckpointError, nearest
from toolkit.train.averaging import mean
from toolkit.train.sealing import MANIFEST, seal, verify

logger = logging.getLogger(__name__)
AVERAGE = "average"
SEALED_KEPT = 2
PREFERENCES = ("best", "average", "newest", "ema")


class Saved(NamedTuple):
    """What a checkpoint holds."""

    model: dict[str, Tensor]
    average: dict[str, Tensor] | None
    training: dict[str, Any]
    meta: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: of the run.
        keep_best: how many of the lowest validation loss are kept beside the two newest.
    """

    def __init__(self, folder: Path, keep_best: int = 1) -> None:
        self.root, self.keep_best = Path(folder) / "checkpoints", keep_best

    def all(self) -> list[Path]:
        """Directories by step, oldest first, valid or not."""
        return sorted(p for p in self.root.glob("step-*") if p.name[5:].isdigit())

    def newest(self) -> Path | None:
        """The newest valid one; those that are not are named in a warning."""
        return next((path for path in reversed(self.all()) if _valid(path)), None)

    def best(self, count: int) -> list[Path]:
        """Up to ``count`` valid ones with the lowest validation loss, best first."""
        scored = sorted((loss, path) for path in self.all() if (loss := dev_loss(path)) < math.inf)
        found: list[Path] = []
        for _, path in scored:
            if len(found) < count and _valid(path):
                found.append(path)
        return found

    def save(self, saved: Saved) -> Path:
        """Write and seal a checkpoint of step ``saved.meta["step"]``, then delete those no longer wanted."""
        path = self.root / f"step-{saved.meta['step']:08d}"
        files = {"model.safetensors": _tensors(saved.model)}
        if saved.average is not None:
            files["average.safetensors"] = _tensors(saved.average)
        files["training.pt"] = lambda file: torch.save(saved.training, file)
        files["meta.json"] = _json(saved.meta)
        seal(path, files)
        self._prune(path)
        return path

    def _prune(self, new: Path) -> None:
        older = [path for path in reversed(self.all()) if path != new]
        second = next((path for path in older if _valid(path)), None)
        scored = sorted((dev_loss(path), path) for path in self.all())
        keep = {new, second, *(path for loss, path in scored[: self.keep_best] if loss < math.inf)}
        for path in older:
            if path not in keep:
                shutil.rmtree(path)

    def save_average(self, state: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Seal a mean of checkpoints as ``checkpoints/average``."""
        seal(self.root / AVERAGE, {"model.safetensors": _tensors(state), "meta.json": _json(meta)})

    def averaged(self) -> list[int]:
        """Steps of the checkpoints whose mean is sealed; empty where there is none."""
        path = self.root / AVERAGE
        return list(_meta(path)["steps"]) if path.is_dir() and _valid(path) else []

    def clear(self, after: int) -> None:
        """Remove what an interrupted save left, and set checkpoints later than a step aside in ``checkpoints.before-N``."""
        for path in self.root.glob(".*.tmp"):
            shutil.rmtree(path)
        later = [path for path in self.all() if int(path.name[5:]) > after]
        if not later:
            return
        number = 1 + len(list(self.root.parent.glob("checkpoints.before-*")))
        aside = self.root.with_name(f"checkpoints.before-{number}")
        aside.mkdir()
        for path in [*later, *self.root.glob(AVERAGE)]:
            path.rename(aside / path.name)
        logger.warning("%s: %d checkpoints after step %d are set aside here", aside, len(later), max(after, 0))


def find(path: Path) -> Path:
    """A checkpoint by its own directory or by that of its run, whose newest valid one it is."""
    if (path / MANIFEST).exists():
        return path
    found = Checkpoints(path).newest()
    if found is None:
        raise CheckpointError(f"--resume: neither a checkpoint nor a run with one, got {str(path)!r}; auto and never are known too")
    return found


def dev_loss(path: Path) -> float:
    """The validation loss of a checkpoint, infinity where it has none. The directory is not verified here."""
    try:
        loss = float(json.loads((path / "meta.json").read_bytes())["dev_loss"])
    except (OSError, ValueError, KeyError, TypeError):
        return math.inf
    return loss if math.isfinite(loss) else math.inf


def load(path: Path) -> Saved:
    """Verify and read a checkpoint.

    Raises:
        CheckpointError: damaged or incomplete; names the file.
    """
    verify(path)
    try:
        training = torch.load(path / "training.pt", map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: holds weights only and cannot be continued; name a directory step-*") from error
    except Exception as error:
        raise CheckpointError(f"{path / 'training.pt'}: cannot be read: {str(error).splitlines()[0]}") from error
    average = path / "average.safetensors"
    return Saved(_weights(path / "model.safetensors"), _weights(average) if average.exists() else None, training, _meta(path))


def fill(module: nn.Module, state: Mapping[str, Tensor], path: Path | str) -> None:
    """Give a module the weights that were read from ``path``, or raise a ``CheckpointError`` where names or sizes differ."""
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: does not fit this configuration: {' '.join(str(error).split())}") from error


def evaluated_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Verified weights of a checkpoint as they are used for inference (the moving average where there is one), and its meta data."""
    verify(path)
    average = path / "average.safetensors"
    return _weights(average if average.exists() else path / "model.safetensors"), _meta(path)


def best_weights(folder: Path, prefer: str = "best") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights of a trained run for inference, and meta data (``step``, ``dev_loss``, ``path``).

    Args:
        folder: of the run.
        prefer: ``best``: lowest validation loss, be it of a checkpoint or of the mean of the best; ``average``: that mean where
            it was made; ``newest``: the last weights as they are; ``ema``: the last moving average. ``best`` and ``average``
            fall back to the newest where nothing was validated.

    Raises:
        CheckpointError: there is no valid checkpoint.
    """
    if prefer not in PREFERENCES:
        raise CheckpointError(f"weights: unknown preference, got {prefer!r}; {nearest(prefer, PREFERENCES)}")
    checkpoints = Checkpoints(folder)
    chosen: Path | None = None
    if prefer in ("best", "average"):
        chosen = next(iter(checkpoints.best(1)), None)
        mean_of_best = checkpoints.root / AVERAGE
        better = prefer == "average" or chosen is None or dev_loss(mean_of_best) < dev_loss(chosen)
        if better and mean_of_best.is_dir() and _valid(mean_of_best):
            chosen = mean_of_best
    chosen = chosen or checkpoints.newest()
    if chosen is None:
        raise CheckpointError(f"{checkpoints.root}: no valid checkpoint; train first, or name another folder")
    if prefer == "newest":
        state, meta = _weights(chosen / "model.safetensors"), _meta(chosen)
    else:
        state, meta = evaluated_weights(chosen)
    return state, {**meta, "path": str(chosen)}


def average(checkpoints: Sequence[Path]) -> dict[str, Tensor]:
    """Arithmetic mean of the weights of several checkpoints, as they are used for inference."""
    return mean([evaluated_weights(path)[0] for path in checkpoints])


def _valid(path: Path) -> bool:
    try:
        verify(path)
    except CheckpointError as error:
        logger.warning("checkpoint skipped: %s", error)
        return False
    return True


def _tensors(state: Mapping[str, Tensor]) -> Any:
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    return lambda file: file.write(save_tensors(plain))


def _json(value: Mapping[str, Any]) -> Any:
    def write(file: IO[bytes]) -> None:
        file.write((json.dumps(value, indent=1) + "\n").encode())

    return write


def _weights(path: Path) -> dict[str, Tensor]:
    return load_tensors(path.read_bytes())


def _meta(path: Path) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads((path / "meta.json").read_bytes())
    return meta
