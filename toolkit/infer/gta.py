"""Ground-truth-aligned mels: what the frozen predictor says when it is fed the true previous frame.

Frame t is predicted from true frames before t, so its time is exactly that of the recording (Tacotron 2, section 3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.audio.wave import probe
from toolkit.data import kaldi
from toolkit.data.batches import to_device
from toolkit.data.dataset import TextMelData
from toolkit.data.store import ArkWriter, FeatureStore
from toolkit.data.writing import write_json
from toolkit.errors import DataError
from toolkit.infer.speak import predict_mels, threads_for
from toolkit.nn.execution import torch_threads
from toolkit.nn.noise import utterance_seed
from toolkit.tasks.text2mel import Text2Mel

SPLITS = ("train", "dev", "eval")
BATCH = 32


def write_gta(task: Text2Mel, data: Path, out: Path) -> dict[str, float]:
    """Write ``out/<split>/feats.scp`` for each split, an index of them all, and the gap to free running on dev, which it returns."""
    index: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        source = task.data(data / split)
        mels = {key: forced.mel for key, forced in force(task, source).items()}
        with ArkWriter(out / split / "mel.ark", out / split / "feats.scp") as writer:
            for key, mel in mels.items():
                writer.add(key, mel)
        index[split] = {key: len(mel) for key, mel in mels.items()}
        _check_lengths(data / split, index[split], task.system.features.hop)
    write_json(out / "index.json", {"splits": index, "hop": task.system.features.hop, "reduction": task.system.reduction})
    measured = gap(task, task.data(data / "dev"), FeatureStore(out / "dev" / "feats.scp"))
    write_json(out / "gap.json", measured)
    return measured


class Forced(NamedTuple):
    """A teacher-forced prediction of one utterance."""

    mel: NDArray[np.float32]  # T M after the postnet, natural units, as long as the recording's
    weights: NDArray[np.float32] | None  # T/r S


@torch.inference_mode()
def force(task: Text2Mel, data: TextMelData, members: Sequence[int] | None = None) -> dict[str, Forced]:
    """Teacher-forced predictions by id, of some utterances or of all.

    Eval mode: prenet dropout on with the utterance's own seed, zoneout as its expectation, attention in its synthesis form.
    """
    device = next(task.parameters()).device
    order = sorted(range(len(data)) if members is None else members, key=lambda i: data.lengths[i])
    results: dict[str, Forced] = {}
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        batch = to_device(data.load(rows, data.counts(rows, (0, 0, 0)), (0, 0, 0)), device)
        with torch_threads(threads_for(task.model.decoder, task.system.synthesis.execution)):
            prediction = task.force(batch)
        natural = task.model.natural(prediction.mel).cpu().numpy()
        weights = prediction.output.weights
        for row, key in enumerate(batch.ids):
            frames, symbols = int(batch.mel_lengths[row]), int(batch.token_lengths[row])
            steps = -(-frames // task.system.reduction)
            aligned = None if weights is None else weights[row, :steps, :symbols].cpu().numpy()
            results[key] = Forced(natural[row, :frames], aligned)
    return dict(sorted(results.items()))


def gap(task: Text2Mel, data: TextMelData, forced: FeatureStore) -> dict[str, float]:
    """How far free running is from teacher forcing on dev: error of the forced frames, and both lengths."""
    keys, texts = [u.id for u in data.utterances], [u.text for u in data.utterances]
    seeds, voices = [utterance_seed(task.system.seed, key) for key in keys], [data.voice(i) for i in range(len(data))]
    free = predict_mels(task, texts, seeds, voices=voices)
    ratios = [len(spoken.mel) / data.lengths[i] for i, spoken in enumerate(free)]
    measured = {
        "utterances": len(keys),
        "free_running_duration_ratio": float(np.mean(ratios)),
        "free_running_stopped_by_limit": sum(spoken.stopped_by == "limit" for spoken in free),
    }
    if task.model.decoder.makes_spectrum:
        errors = [float(np.abs(forced.load(key) - data.mel(i)).mean()) for i, key in enumerate(keys)]
        measured["forced_mean_absolute_error"] = float(np.mean(errors))
    return measured


def _check_lengths(folder: Path, frames: dict[str, int], hop: int) -> None:
    """frames x hop == samples, for every utterance."""
    for key, path in kaldi.read_map(folder / "wav.scp").items():
        samples = probe(kaldi.to_path(path)).samples
        if frames.get(key, 0) * hop != samples:
            raise DataError(f"{key}: {frames.get(key, 0)} frames x hop {hop} is not its {samples} samples; extract features again")
