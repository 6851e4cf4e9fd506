"""Texts -> mels -> waves, in batches. A row's speech depends on its text and seed, not on its batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from toolkit.nn.noise import Noise
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.text2mel import Text2Mel

Array = NDArray[np.float32]


class SpokenMel(NamedTuple):
    """What the feature predictor made of one text."""

    mel: Array  # T M, natural units
    weights: Array | None  # T/r S
    stop: Array  # T/r, stop probability of each step
    stopped_by: str  # stop | limit
    symbols: list[str]


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for the products of single steps: they are so small that several threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
@torch.inference_mode()
def predict_mels(task: Text2Mel, texts: Sequence[str], seeds: Sequence[int], batch: int = 32) -> list[SpokenMel]:
    """Free-running prediction of each text with its own seed.

    Raises:
        DataError: a text has nothing to say, or symbols that the voice does not know.
    """
    encoded = [task.frontend(text) for text in texts]
    spoken: list[SpokenMel | None] = [None] * len(texts)
    device = next(task.parameters()).device
    for rows in _by_length([len(tokens) for tokens in encoded], batch):
        tokens = pad_sequence([torch.tensor(encoded[i]) for i in rows], batch_first=True).to(device)
        lengths = torch.tensor([len(encoded[i]) for i in rows], device=device)
        prediction = task.generate(tokens, lengths, Noise.of_rows([seeds[i] for i in rows], device))
        mels = task.model.normaliser.inverse(prediction.mel).cpu().numpy()
        output = prediction.output
        stop = torch.sigmoid(output.stop_logits).cpu().numpy()
        for place, i in enumerate(rows):
            frames, symbols = int(output.lengths[place]), len(encoded[i])
            steps = -(-frames // task.system.reduction)
            weights = None if output.weights is None else output.weights[place, :steps, :symbols].cpu().numpy()
            reason = output.stopped_by[place] if output.stopped_by else "stop"
            names = task.frontend.vocabulary.decode(encoded[i][:-1]) + ["<eos>"]
            spoken[i] = SpokenMel(mels[place, :frames], weights, stop[place, :steps], reason, names)
    return [result for result in spoken if result is not None]


@one_thread()
@torch.inference_mode()
def vocode(task: Mel2Wav, mels: Sequence[Array], seeds: Sequence[int], batch: int = 128) -> list[Array]:
    """Mels ``T M`` in natural units -> waves of T x hop samples, each with its own seed."""
    hop = task.system.features.hop
    waves: list[Array | None] = [None] * len(mels)
    device = next((p.device for p in task.parameters()), torch.device("cpu"))
    for rows in _by_length([len(mel) for mel in mels], batch):
        condition = pad_sequence([torch.from_numpy(mels[i]) for i in rows], batch_first=True).to(device)
        lengths = torch.tensor([len(mels[i]) for i in rows], device=device)
        generated = task.vocoder.generate(condition, lengths, Noise.of_rows([seeds[i] for i in rows], device)).cpu().numpy()
        for place, i in enumerate(rows):
            waves[i] = generated[place, : len(mels[i]) * hop]
    return [wave for wave in waves if wave is not None]


def _by_length(lengths: Sequence[int], batch: int) -> list[list[int]]:
    """Indices in batches of similar length."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    return [order[start : start + batch] for start in range(0, len(order), batch)]
