"""Ground-truth-aligned mels: what the frozen predictor says when it is fed the true previous frame.

Frame t is predicted from true frames before t, so its time is exactly that of the recording (Tacotron 2, section 3.1).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.audio.wave import probe
from toolkit.data import kaldi
from toolkit.data.dataset import TextMelData
from toolkit.data.store import ArkWriter, FeatureStore
from toolkit.data.writing import write_json
from toolkit.errors import DataError
from toolkit.infer.speak import predict_mels
from toolkit.nn.noise import Noise, seed_of
from toolkit.tasks.text2mel import Text2Mel

SPLITS = ("train", "dev", "eval")
BATCH = 32


def write_gta(task: Text2Mel, data: Path, out: Path) -> dict[str, float]:
    """Write ``out/<split>/feats.scp`` for each split, an index of them all, and the gap to free running on dev, which it returns."""
    index: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        source = task.data(data / split)
        mels = forced_mels(task, source)
        with ArkWriter(out / split / "mel.ark", out / split / "feats.scp") as writer:
            for key, mel in mels.items():
                writer.add(key, mel)
        index[split] = {key: len(mel) for key, mel in mels.items()}
        _check_lengths(data / split, index[split], task.system.features.hop)
    write_json(out / "index.json", {"splits": index, "hop": task.system.features.hop, "reduction": task.system.reduction})
    measured = gap(task, task.data(data / "dev"), FeatureStore(out / "dev" / "feats.scp"))
    write_json(out / "gap.json", measured)
    return measured


@torch.inference_mode()
def forced_mels(task: Text2Mel, data: TextMelData) -> dict[str, NDArray[np.float32]]:
    """Teacher-forced mels after the postnet, in natural units, by id; each as long as its recording's.

    Eval mode: prenet dropout on with the utterance's own seed, zoneout as its expectation, attention in its synthesis form.
    """
    device = next(task.parameters()).device
    order = sorted(range(len(data)), key=lambda i: data.lengths[i])
    mels: dict[str, NDArray[np.float32]] = {}
    for start in range(0, len(order), BATCH):
        members = order[start : start + BATCH]
        batch = data.load(members, data.counts(members, (0, 0, 0)), (0, 0, 0))
        noise = Noise.of_rows([utterance_seed(task.system.seed, key) for key in batch.ids], device)
        prediction, _ = task.predict(batch, noise, hard=True)
        natural = task.model.normaliser.inverse(prediction.mel).cpu().numpy()
        mels |= {key: natural[row, : int(batch.mel_lengths[row])] for row, key in enumerate(batch.ids)}
    return dict(sorted(mels.items()))


def utterance_seed(seed: int, key: str) -> int:
    """The seed of an utterance's random draws, whatever batch it stands in."""
    return seed_of(seed, "utterance", key)


def gap(task: Text2Mel, data: TextMelData, forced: FeatureStore) -> dict[str, float]:
    """How far free running is from teacher forcing on dev: error of the forced frames, and both lengths."""
    keys, texts = [u.id for u in data.utterances], [u.text for u in data.utterances]
    free = predict_mels(task, texts, [utterance_seed(task.system.seed, key) for key in keys])
    errors = [float(np.abs(forced.load(key) - data.mel(i)).mean()) for i, key in enumerate(keys)]
    ratios = [len(spoken.mel) / data.lengths[i] for i, spoken in enumerate(free)]
    return {
        "utterances": len(keys),
        "forced_mean_absolute_error": float(np.mean(errors)),
        "free_running_duration_ratio": float(np.mean(ratios)),
        "free_running_stopped_by_limit": sum(spoken.stopped_by == "limit" for spoken in free),
    }


def _check_lengths(folder: Path, frames: dict[str, int], hop: int) -> None:
    """frames x hop == samples, for every utterance."""
    for key, path in kaldi.read_map(folder / "wav.scp").items():
        samples = probe(kaldi.to_path(path)).samples
        if frames.get(key, 0) * hop != samples:
            raise DataError(f"{key}: {frames.get(key, 0)} frames x hop {hop} is not its {samples} samples; extract features again")
