"""How well a vocoder predicts recordings: nats a sample of each utterance, given one kind of conditioning frames or another.

The 16-bit sample is what is predicted, so vocoders of one sample rate compare, whatever their head scales or filters;
``ln 65536 = 11.09`` is knowing nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.data.batches import Counts, WaveBatch, to_device
from toolkit.data.dataset import WaveData
from toolkit.errors import ConfigError, DataError, nearest
from toolkit.tasks.mel2wav import Mel2Wav

CROP_SECONDS = 1.0
ROWS = 2  # crops worked on at once: the memory does not grow with the utterance


@torch.inference_mode()
def nats(
    task: Mel2Wav, split: Path, features: Path, ids: Sequence[str] | None = None, max_seconds: float | None = None
) -> dict[str, float]:
    """Mean negative log-likelihood of a recording's samples, in nats a sample, by utterance.

    Every sample is predicted from all the true samples before it that the vocoder can see; it equals the mean over the whole
    utterance (``WaveNet.log_likelihood``), computed in crops.

    Args:
        task: a trained vocoder whose loss is ``nll``, in eval mode.
        split: data directory of the recordings, such as ``DUMP/eval``.
        features: scp of the conditioning frames: ``DUMP/eval/feats.scp`` or the ground-truth-aligned ``EXP/gta/eval/feats.scp``.
        ids: utterances, all if None.
        max_seconds: of each utterance, from its start.

    Raises:
        ConfigError: the vocoder has no likelihood.
        DataError: an unknown utterance, or frames that do not fit the recording.
    """
    hop, rate, vocoder = task.system.features.hop, task.system.features.sample_rate, task.vocoder
    crop = math.ceil(CROP_SECONDS * rate / hop)
    data = WaveData(split, features, hop, crop, vocoder.context, vocoder.lookahead)
    places = {key: place for place, key in enumerate(data.ids)}
    unknown = [key for key in ids or [] if key not in places]
    if unknown:
        raise DataError(f"{split}: no such utterance, got {unknown[0]!r}; {nearest(unknown[0], data.ids[:20])}")
    limit = None if max_seconds is None else math.ceil(max_seconds * rate / hop)
    result = {}
    for key in data.ids if ids is None else ids:
        mel, wave = data.whole(places[key])
        result[key] = sum(_nll(task, crops) for crops in batches(mel, wave, limit or len(mel), data))
    return result


def batches(mel: NDArray[np.float32], wave: NDArray[np.float32], limit: int, data: WaveData) -> list[WaveBatch]:
    """The first ``limit`` frames of an utterance, ``T F`` with its ``T*hop`` samples, as crops side by side.

    Each counts as a part of the whole utterance, so that their losses add up to its mean.
    """
    frames, context, crop, hop = min(len(mel), limit), data.context, data.crop, data.hop
    held = np.pad(mel, ((context, data.lookahead + crop), (0, 0)), "edge")
    heard = np.pad(wave, (context * hop, crop * hop))
    counts = Counts(1, frames, frames * hop)
    return [
        WaveBatch(
            ids=[str(start) for start in starts],
            condition=torch.from_numpy(np.stack([held[start : start + context + crop + data.lookahead] for start in starts])),
            wave=torch.from_numpy(np.stack([heard[start * hop : (start + context + crop) * hop] for start in starts])),
            first=torch.tensor([start - context for start in starts]),
            ends=torch.tensor([(min(start + crop, frames) - start + context) * hop for start in starts]),
            context=context,
            counts=counts,
            key=(0, 0, 0),
        )
        for starts in (range(0, frames, crop)[place : place + ROWS] for place in range(0, -(-frames // crop), ROWS))
    ]


def _nll(task: Mel2Wav, batch: WaveBatch) -> float:
    device = next((parameter.device for parameter in task.parameters()), torch.device("cpu"))
    losses = task.losses(to_device(batch, device), "main") if task.vocoder.trainable else {}
    if set(losses) != {"nll"}:
        raise ConfigError(f"vocoder: {task.system.vocoder.name!r} has no likelihood; give a system with a wavenet")
    return float(losses["nll"])
