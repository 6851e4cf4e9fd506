"""A tiny task with everything that has state: batch norm, dropout, noise, two terms, a moving average."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from toolkit.data.batches import Counts
from toolkit.nn.batch_norm import BatchNorm
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.train.distributed import Processes
from toolkit.train.optimisers import OPTIMISERS
from toolkit.train.protocol import Observation
from toolkit.train.settings import Batch, Training
from toolkit.train.trainer import Trainer

WIDTH = 4


class TinyBatch(NamedTuple):
    ids: list[str]
    frames: Tensor  # B T W
    lengths: Tensor
    counts: Counts
    key: tuple[int, int, int]


class TinyData:
    def __init__(self, size: int, first_seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        self.lengths = [3 + (7 * k) % 9 for k in range(size)]
        self.ids = [f"utt{k:02d}" for k in range(size)]
        self.frames = [
            torch.from_numpy(np.random.default_rng(first_seed + k).standard_normal((n, WIDTH))).to(dtype)
            for k, n in enumerate(self.lengths)
        ]

    def __len__(self) -> int:
        return len(self.ids)

    def counts(self, members, key) -> Counts:
        frames = sum(self.lengths[m] for m in members)
        return Counts(len(members), frames, frames)

    def load(self, members, counts, key) -> TinyBatch:
        frames = nn.utils.rnn.pad_sequence([self.frames[m] for m in members], batch_first=True)
        return TinyBatch([self.ids[m] for m in members], frames, torch.tensor([self.lengths[m] for m in members]), counts, key)


class TinyTask(nn.Module):
    """Predicts the running sum of frames."""

    name = "tiny"

    def __init__(self, batch_norm: bool = True, dropout: float = 0.1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(WIDTH, 6, 3, padding=1)
        self.norm = BatchNorm(6) if batch_norm else None
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(6, WIDTH)
        self.noise = dropout > 0
        self.updates: list[tuple[tuple[int, int, int], list[str], float]] = []

    def begin(self, step):
        return {}

    def turns(self, step):
        return ("main",)

    def parameters_of(self, turn):
        return self.named_parameters()

    def forward(self, batch, turn):
        return self.losses(batch, turn)

    def losses(self, batch, turn):
        mask = padding_mask(batch.lengths, batch.frames.shape[1])
        hidden = self.conv(batch.frames.transpose(1, 2))
        hidden = self.norm(hidden, mask) if self.norm is not None else hidden
        hidden = self.dropout(torch.tanh(hidden)).transpose(1, 2)
        if self.noise and self.training:
            rows, time = batch.frames.shape[:2]
            hidden = hidden + 0.1 * Noise.of_micro_batch(*batch.key).normal("hidden", 0, time, rows, 6).to(hidden.dtype)
        error = (self.out(hidden) - batch.frames.cumsum(1)).masked_fill(mask[..., None], 0.0)
        losses = {"square": error.square().sum() / batch.counts.frames, "absolute": error.abs().sum() / batch.counts.frames}
        if self.training:
            self.updates.append((batch.key, batch.ids, float(sum(losses.values()).detach())))
        return losses

    def observe(self, batch):
        image = np.zeros((4, 5, 3), np.uint8)
        return Observation({"width": float(WIDTH)}, {"square": lambda: image}, {"tone": (np.zeros(80, np.float32), 8000)})


SETTINGS = Training(
    batch=Batch(global_=4, micro=2), max_steps=10, optimiser=OPTIMISERS.part("adam", learning_rate=1e-2), average=0.9,
    save_every=2, validate_every=10, log_every=1, keep_best=2,
)  # fmt: skip


def trainer(folder: Path, task: nn.Module | None = None, process: Processes | None = None, **changes) -> Trainer:
    """A trainer of the tiny task; ``train``, ``dev``, ``identity`` and settings by keyword."""
    train, dev = changes.pop("train", TinyData(10)), changes.pop("dev", TinyData(5, 100))
    identity = changes.pop("identity", {"tiny": {"width": WIDTH}})
    return Trainer(task or TinyTask(), train, dev, replace(SETTINGS, **changes), folder, 7, identity, process or Processes())


def in_float64() -> dict:
    """Data in double precision, and six micro-batches an update for several processes to share."""
    train, dev = TinyData(10, dtype=torch.float64), TinyData(5, 100, torch.float64)
    return {"train": train, "dev": dev, "batch": Batch(global_=6, micro=1), "save_every": 3}


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def run_in_processes(folder: Path, code: str, environment: dict[str, str] | None = None, processes: int = 1) -> list[tuple[int, str]]:
    """Run code with the names of this file, without optional packages, in fresh processes: the ranks of one training.

    Returns exit codes and error output.
    """
    quick = "import runpy, sys; sys.modules.update(matplotlib=None, tensorboard=None)"
    start = f"{quick}; globals().update(runpy.run_path(sys.argv[1])); folder = Path(sys.argv[2])"
    ranks = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for rank in range(processes):
        joined = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": str(rank), "WORLD_SIZE": str(processes)}
        ranks.append(
            subprocess.Popen(
                [sys.executable, "-c", f"{start}\n{code}", __file__, str(folder)], stderr=subprocess.PIPE, text=True,
                env={**_clean_environment(), **joined, **(environment or {})},
            )
        )  # fmt: skip
    outputs = [rank.communicate(timeout=120)[1] for rank in ranks]
    return [(rank.returncode, output) for rank, output in zip(ranks, outputs, strict=True)]


def _clean_environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root, "TOOLKIT_TIMEOUT": "60"}


@pytest.fixture
def tiny(monkeypatch) -> SimpleNamespace:
    """The tiny task and how to train it: one thread, no curves, no wait for the disk."""
    torch.set_num_threads(1)
    monkeypatch.setattr("toolkit.train.pictures.losses", lambda curves: np.zeros((2, 2, 3), np.uint8))
    monkeypatch.setattr("os.fsync", lambda handle: None)
    run: Callable[..., list[tuple[int, str]]] = run_in_processes
    return SimpleNamespace(Task=TinyTask, Data=TinyData, trainer=trainer, metrics=metrics, processes=run, in_float64=in_float64)
