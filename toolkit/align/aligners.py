"""Two ways to align: with the attention of a trained feature predictor, and with a search aligner trained for nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.align.path import Ints, monotonic_path, skippable_ids
from toolkit.align.training import AlignerTask
from toolkit.data.batches import TextMelBatch, to_device
from toolkit.data.dataset import TextMelData
from toolkit.errors import ConfigError
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary

BATCH = 32
LEAST = 1e-8  # attention below this is noise of float32
Scores = Callable[[TextMelBatch], list[NDArray[np.float32]]]  # log probabilities T S of each row


def align(scores: Scores, data: TextMelData, vocabulary: Vocabulary, device: torch.device) -> dict[str, Ints]:
    """Durations by id: frames of each symbol, ``<eos>`` among them; together the frames of the utterance.

    Raises:
        DataError: an utterance has more symbols than frames.
    """
    order = sorted(range(len(data)), key=lambda i: data.lengths[i])
    skippable = skippable_ids(vocabulary)
    found: dict[str, Ints] = {}
    for rows in (order[start : start + BATCH] for start in range(0, len(order), BATCH)):
        batch = data.load(rows, data.counts(rows, (0, 0, 0)), (0, 0, 0))
        for row, (key, matrix) in enumerate(zip(batch.ids, scores(to_device(batch, device)), strict=True)):
            tokens = batch.tokens[row, : matrix.shape[1]].numpy()
            found[key] = monotonic_path(matrix, skippable[tokens], key)
    return dict(sorted(found.items()))


def searched(task: AlignerTask) -> Scores:
    """Scores of the search aligner."""

    @torch.inference_mode()
    def scores(batch: TextMelBatch) -> list[NDArray[np.float32]]:
        return list(_rows(task.scores(batch).cpu().numpy(), batch))

    return scores


def attended(task: Text2Mel) -> Scores:
    """Scores from teacher-forced attention: the weights of a decoder step stand in the middle of its frames, between them lines.

    Raises:
        ConfigError: the predictor has no attention.
    """
    refusal = ConfigError(f"--exp: decoder {task.system.decoder.name!r} has no attention to align with; use --method monotonic")
    if "durations" in task.model.decoder.needs:
        raise refusal

    @torch.inference_mode()
    def scores(batch: TextMelBatch) -> list[NDArray[np.float32]]:
        weights = task.force(batch).output.weights
        if weights is None:
            raise refusal
        frames = by_frame(weights.cpu().numpy(), task.system.reduction, batch.mel.shape[1])
        return [np.log(np.maximum(row, LEAST)) for row in _rows(frames, batch)]

    return scores


def by_frame(weights: NDArray[np.float32], reduction: int, frames: int) -> NDArray[np.float32]:
    """Attention ``B T/r S`` of decoder steps -> ``B T S`` of frames, linear between the middles of the steps."""
    middles = (np.arange(weights.shape[1]) + 0.5) * reduction - 0.5
    place = np.clip(np.interp(np.arange(frames), middles, np.arange(len(middles))), 0, len(middles) - 1)
    below = np.floor(place).astype(int)
    share = (place - below).astype(np.float32)[None, :, None]
    above = np.minimum(below + 1, len(middles) - 1)
    between: NDArray[np.float32] = (1 - share) * weights[:, below] + share * weights[:, above]
    return between


def _rows(matrices: NDArray[np.float32], batch: TextMelBatch) -> Iterator[NDArray[np.float32]]:
    for matrix, frames, symbols in zip(matrices, batch.mel_lengths.tolist(), batch.token_lengths.tolist(), strict=True):
        yield matrix[:frames, :symbols]
