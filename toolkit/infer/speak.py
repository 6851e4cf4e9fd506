"""Texts -> mels -> waves, in batches. A row's speech depends on its text and seed, not on its batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from toolkit.data.voices import Voice
from toolkit.nn.execution import Execution, torch_threads
from toolkit.nn.noise import Noise
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.text2mel import Text2Mel

Array = NDArray[np.float32]
LARGE = 4_000_000  # parameters


class SpokenMel(NamedTuple):
    """What the feature predictor made of one text."""

    mel: Array  # T M, natural units
    weights: Array | None  # T/r S
    stop: Array  # T/r, stop probability of each step
    stopped_by: str  # stop | limit
    symbols: list[str]


def threads_for(part: nn.Module, execution: Execution) -> int:
    """Threads that torch uses for a part's steps. The products of a small one are so small that several only wait for each other.

    Native kernels have threads of their own.
    """
    size = sum(parameter.numel() for parameter in part.parameters())
    return min(execution.workers, torch.get_num_threads()) if size >= LARGE else 1


def predict_mels(
    task: Text2Mel, texts: Sequence[str], seeds: Sequence[int], batch: int = 32, voices: Sequence[Voice] | None = None
) -> list[SpokenMel]:
    """Free-running prediction of each text with its own seed, in its own voice where the model has several.

    Raises:
        DataError: a text has nothing to say, or symbols that the voice does not know.
        ConfigError: a voice is none of the model's.
    """
    with torch_threads(threads_for(task.model.decoder, task.model.decoder.execution)):
        return _predict(task, texts, seeds, batch, [Voice()] * len(texts) if voices is None else voices)


@torch.inference_mode()
def _predict(task: Text2Mel, texts: Sequence[str], seeds: Sequence[int], batch: int, voices: Sequence[Voice]) -> list[SpokenMel]:
    encoded = [task.frontend(text) for text in texts]
    spoken: list[SpokenMel | None] = [None] * len(texts)
    device = next(task.parameters()).device
    for rows in _by_length([len(tokens) for tokens in encoded], batch):
        tokens = pad_sequence([torch.tensor(encoded[i]) for i in rows], batch_first=True).to(device)
        lengths = torch.tensor([len(encoded[i]) for i in rows], device=device)
        conditions = task.conditions([voices[i] for i in rows])
        prediction = task.generate(tokens, lengths, Noise.of_rows([seeds[i] for i in rows], device), conditions)
        mels = task.model.natural(prediction.mel).cpu().numpy()
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


@torch_threads(1)
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
