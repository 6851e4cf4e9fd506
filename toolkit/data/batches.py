"""What a loader hands to a task."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

B = TypeVar("B", bound="TextMelBatch | WaveBatch")


class Counts(NamedTuple):
    """What the *global* batch holds, known before any of it is loaded. Losses are sums divided by these."""

    utterances: int
    frames: int
    samples: int


class TextMelBatch(NamedTuple):
    """One micro-batch of the feature predictor."""

    ids: list[str]
    tokens: Tensor  # int64 B S, 0 on padding
    token_lengths: Tensor  # B
    mel: Tensor  # B T M, natural units, 0 on padding
    mel_lengths: Tensor  # B
    counts: Counts
    key: tuple[int, int, int]  # seed, step, micro-batch index: the address of its random draws
    durations: Tensor | None = None  # B S
    f0: Tensor | None = None  # B T, Hz, 0 where unvoiced
    energy: Tensor | None = None  # B T
    speaker: Tensor | None = None  # B
    language: Tensor | None = None  # B
    vector: Tensor | None = None  # B E


class WaveBatch(NamedTuple):
    """One micro-batch of crops for a vocoder. Frame 0 of a row is frame ``first`` of its utterance.

    A crop holds ``context`` earlier frames, the frames whose samples count, and ``lookahead`` later frames without samples.
    Where a row leaves its utterance (``first`` < 0, or past its end) the wave is zero and the edge frame is repeated.
    """

    ids: list[str]
    condition: Tensor  # B T F, T = context + crop + lookahead, natural units
    wave: Tensor  # B N, N = (context + crop) x hop, in [-1, 1]
    first: Tensor  # B, frames
    ends: Tensor  # B, samples: ``wave`` is padding from here on
    context: int  # frames; samples before context x hop are given, not scored
    counts: Counts
    key: tuple[int, int, int]
    speaker: Tensor | None = None  # B


def to_device(batch: B, device: torch.device | str) -> B:
    """The same batch with its tensors on the device."""
    moved: dict[str, Any] = {
        name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value for name, value in batch._asdict().items()
    }
    return type(batch)(**moved)
