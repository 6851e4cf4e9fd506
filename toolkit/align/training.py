"""Trains the monotonic-search aligner on a corpus by itself, with the trainer of every other network, so that it can go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.align.forward_sum import forward_sum
from toolkit.align.network import AlignerNetwork, diagonal_prior
from toolkit.align.path import skippable_ids
from toolkit.config import dump
from toolkit.data.batches import TextMelBatch
from toolkit.data.dataset import TextMelData
from toolkit.data.statistics import load_statistics
from toolkit.tasks.schema import Aligner, System
from toolkit.text.frontend import TextFrontend
from toolkit.text.vocabulary import Vocabulary
from toolkit.train import pictures
from toolkit.train.checkpoint import best_weights
from toolkit.train.distributed import Processes
from toolkit.train.protocol import Observation
from toolkit.train.trainer import Trainer


class AlignerTask(nn.Module):
    """The aligner as the trainer sees it."""

    name = "aligner"

    def __init__(self, vocabulary: Vocabulary, bins: int, settings: Aligner) -> None:
        super().__init__()
        self.network = AlignerNetwork(torch.from_numpy(skippable_ids(vocabulary)), bins, settings.channels)

    def begin(self, step: int) -> dict[str, float]:
        """Nothing follows from the step."""
        return {}

    def turns(self, step: int) -> tuple[str, ...]:
        """One optimiser moves all weights."""
        return ("main",)

    def parameters_of(self, turn: str) -> Iterable[tuple[str, nn.Parameter]]:
        """The weights that this turn's optimiser moves, with their names."""
        return self.named_parameters()

    def forward(self, batch: TextMelBatch, turn: str) -> dict[str, Tensor]:
        """What DDP wraps: the losses."""
        return self.losses(batch, turn)

    def scores(self, batch: TextMelBatch) -> Tensor:
        """Log score ``B T S`` of each symbol at each frame, with the prior."""
        scores: Tensor = self.network(batch.tokens, batch.token_lengths, batch.mel)
        return scores + diagonal_prior(batch.token_lengths, batch.mel_lengths, scores.shape[2], scores.shape[1])

    def losses(self, batch: TextMelBatch, turn: str) -> dict[str, Tensor]:
        """Minus the log density of a frame, over all monotonic paths."""
        sums = forward_sum(self.scores(batch), self.network.skippable[batch.tokens], batch.token_lengths, batch.mel_lengths)
        return {"forward_sum": sums.sum() / batch.counts.frames}

    @torch.no_grad()
    def observe(self, batch: TextMelBatch) -> Observation:
        """The first utterance's scores as a picture."""
        symbols, frames = int(batch.token_lengths[0]), int(batch.mel_lengths[0])
        shown = self.scores(batch)[0, :frames, :symbols].softmax(-1).cpu().numpy()
        return Observation({}, {"scores": partial(pictures.alignment, shown)}, {})


def trained_aligner(system: System, frontend: TextFrontend, data: Path, out: Path, inputs: Mapping[str, str], device: str) -> AlignerTask:
    """The aligner of a corpus, trained now as far as it is not yet; in eval mode.

    Args:
        data: folder with ``train/``, ``dev/`` and ``stats.npz``.
        out: its training stands below, in ``aligner-HASH``, of which the settings and inputs make the name.
        inputs: fingerprints of what it is trained on.
    """
    settings, seed = system.aligner, system.seed
    identity: dict[str, Any] = {**dump(settings), "seed": seed, "inputs": dict(inputs)}
    folder = out / f"aligner-{hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]}"
    torch.manual_seed(seed)  # of the first weights
    task = AlignerTask(frontend.vocabulary, system.features.bins, settings)
    task.network.normaliser.set(*load_statistics(data / "stats.npz"))
    train, dev = (TextMelData(data / split, frontend, system.features.hop) for split in ("train", "dev"))
    process = Processes.start(device)
    Trainer(task, train, dev, settings.training, folder, seed, identity, process).run()
    task.load_state_dict(best_weights(folder)[0])
    return task.eval()
