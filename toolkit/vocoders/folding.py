"""Folded generation: an utterance is cut into overlapping segments, which are spoken side by side as rows and joined again.

::

    frames     0 ......................................................... T
    segment 0  |=====================|
    segment 1              |.........ssss=================|
    segment 2                                  |.........ssss==============|
                            warm-up   seam

A segment starts from silence in its own memory and warms up over frames that the one before it speaks as well. Both take the
same random draws at the same samples, those of the row, so the two waves tend towards each other and where a trained net has
settled they are nearly one; where it has not, they are two takes of the same sound. The seam is laid where they differ least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from toolkit.nn.noise import Noise

SETTLE_FRAMES = 8  # of warm-up beyond the receptive field: about what two runs with the same draws need to meet
SEAM_FRAMES = 3  # at the end of an overlap, within which the seam is sought
MOVE = 8  # the end of a segment is moved by at most one part in so many of its length, to where it is quiet

Speak = Callable[[Tensor, Tensor, Noise | None], Tensor]


class Segment(NamedTuple):
    """Frames of a row that are spoken in one piece."""

    row: int
    start: int
    end: int  # one past the last


class SegmentNoise(Noise):
    """The draws of segments: those of their rows at the samples of the segments."""

    def __init__(self, noise: Noise, segments: Sequence[Segment], hop: int) -> None:
        streams = [(*noise.streams[0], segment.row) if noise.shared else noise.streams[segment.row] for segment in segments]
        super().__init__(streams, False, noise.device)
        starts = [segment.start * hop for segment in segments]
        self._each = [(Noise([stream], False, noise.device), start) for stream, start in zip(streams, starts, strict=True)]

    def uniform(self, name: str, start: int, count: int, rows: int, width: int) -> Tensor:
        """As of rows; ``start`` counts samples from the starts of the segments."""
        return torch.cat([noise.uniform(name, first + start, count, 1, width) for noise, first in self._each])


def overlap(receptive_field: int, hop: int) -> int:
    """Frames that neighbours share: a receptive field and what it takes to settle."""
    return -(-receptive_field // hop) + SETTLE_FRAMES


def cut(level: Sequence[float], folds: int, shared: int) -> list[tuple[int, int]]:
    """Start and end of each segment of an utterance.

    Segments are equally long but for the move of their ends, and there are fewer of them where more than half of each
    would be overlap.

    Args:
        level: how loud each frame is.
        folds: segments at most.
        shared: frames of overlap.
    """
    frames = len(level)
    folds = max(1, min(folds, frames // (2 * shared)))
    size = (frames + (folds - 1) * shared) / folds
    starts, ends = [0], []
    for fold in range(1, folds):
        nominal, reach = round(fold * (size - shared)) + shared, int(size - shared) // MOVE
        quiet = min(range(nominal - reach, min(nominal + reach, frames) + 1), key=lambda end: sum(level[end - SEAM_FRAMES : end]))
        ends.append(quiet)
        starts.append(quiet - shared)
    return list(zip(starts, [*ends, frames], strict=True))


def speak_folded(
    speak: Speak, held: Tensor, lengths: Tensor, noise: Noise | None, folds: int, shared: int, edges: tuple[int, int], hop: int
) -> Tensor:
    """Waves ``B T*hop`` of rows in up to ``folds`` segments each; a row that stays whole is as ``speak`` gives it.

    A row's segments and draws depend on nothing but the row. The level of a frame is the mean of its values: frames are
    logarithmic spectra.

    Args:
        speak: rows of frames with their neighbours, lengths and noise -> waves.
        held: frames with ``edges`` neighbours before and after, ``B before+T+after F``.
        lengths: frames of each row, ``B``.
        noise: of the rows.
        folds: segments of a row at most.
        shared: frames of overlap.
        edges: (before, after).
        hop: samples of a frame.
    """
    before, after = edges
    frames = held.shape[1] - before - after
    level = held[:, before : before + frames].mean(2).tolist()
    sizes = lengths.tolist()
    segments = [Segment(row, *part) for row, size in enumerate(sizes) for part in cut(level[row][:size], folds, shared)]
    longest = max(segment.end - segment.start for segment in segments)
    index = torch.tensor([segment.start for segment in segments], device=held.device)[:, None]
    index = index + torch.arange(before + longest + after, device=held.device)
    rows = torch.tensor([segment.row for segment in segments], device=held.device)
    pieces = held[rows[:, None], index.clamp_max(held.shape[1] - 1)]
    spoken = lengths.new_tensor([segment.end - segment.start for segment in segments])
    waves = speak(pieces, spoken, None if noise is None else SegmentNoise(noise, segments, hop))
    joined = waves.new_zeros(len(sizes), frames * hop)
    for segment, wave in zip(segments, waves, strict=True):
        _add(joined[segment.row], wave[: (segment.end - segment.start) * hop], segment, shared, hop)
    return joined


def _add(joined: Tensor, wave: Tensor, segment: Segment, shared: int, hop: int) -> None:
    """Lay a segment behind what stands in ``joined`` already; it begins to be heard at the seam."""
    start, end = segment.start * hop, segment.end * hop
    if start == 0:
        joined[:end] = wave
        return
    seam = slice((shared - SEAM_FRAMES) * hop, shared * hop)
    there, here = joined[start + seam.start : start + seam.stop], wave[seam]
    at = quietest_difference(there, here, hop)
    fade = slice(at, at + hop)
    joined[start + seam.start + at : end] = torch.cat([cross_fade(there[fade], here[fade]), wave[seam.start + at + hop :]])


def quietest_difference(old: Tensor, new: Tensor, size: int) -> int:
    """Where the ``size`` samples begin in which two waves of equal length differ least in energy."""
    energy = torch.cumsum((old - new).double().square(), 0)
    energy = torch.cat([energy.new_zeros(1), energy])
    return int(torch.argmin(energy[size:] - energy[:-size]))


def cross_fade(old: Tensor, new: Tensor) -> Tensor:
    """From one wave to another of the same length, with the level that the two have.

    With gains 1 - w and w, the power of a sum of two waves with correlation r is (1 - w)^2 + w^2 + 2 r w (1 - w); the gains
    are divided by its root, so equal waves fade linearly and independent ones at equal power.
    """
    share = (torch.arange(len(old), device=old.device, dtype=old.dtype) + 0.5) / len(old)
    power = (old.square().sum() * new.square().sum()).sqrt().clamp_min(torch.finfo(old.dtype).tiny)
    alike = ((old * new).sum() / power).clamp(0.0, 1.0)
    level = ((1 - share).square() + share.square() + 2 * alike * share * (1 - share)).sqrt()
    return (((1 - share) * old + share * new) / level).clamp(-1.0, 1.0)
