"""The most probable monotonic path through a matrix of scores: how many frames each symbol has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import DataError
from toolkit.text.base import speakable
from toolkit.text.vocabulary import EOS_ID, PAD_ID, Vocabulary

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
LEAST = -1e4  # a score that is lower, such as the logarithm of 0, counts as this, so that a path is always found


def monotonic_path(scores: Floats, skippable: Bools, where: str = "alignment") -> Ints:
    """Frames of each symbol on the path whose scores add up to the most (Viterbi over symbols; one pass over the frames).

    Symbols follow each other in order and together cover all frames. A symbol has at least one frame, a skippable one (a
    space, a mark, the end of the sentence) may have none. Of equal paths, the one that stays longest with a symbol is taken.

    Args:
        scores: ``T S``, log probability of each symbol at each frame.
        skippable: ``S``.
        where: stands before messages.

    Returns:
        durations ``S``, whose sum is ``T``.

    Raises:
        DataError: fewer frames than symbols that must be heard, or a score is NaN.
    """
    frames, symbols = scores.shape
    if np.isnan(scores).any():
        raise DataError(f"{where}: a score is NaN; the network that made it is not trained")
    heard = int((~skippable).sum())
    if frames < max(1, heard):
        raise DataError(f"{where}: {frames} frames are fewer than its {heard} symbols that must be heard; check its text and its sound")
    scores = np.maximum(scores.astype(np.float64), LEAST)
    # reach[k]: symbol s can follow s - k - 1, as all k symbols between them are skippable
    between = _runs(skippable)
    reach = [np.flatnonzero(between >= k) for k in range(int(between.max(initial=0)) + 1)]
    best = np.where(between == np.arange(symbols), scores[0], -np.inf)  # before the first symbol only skippable ones
    steps = np.zeros((frames, symbols), np.int64)
    for t in range(1, frames):
        enter, step = best.copy(), steps[t]
        for k, places in enumerate(reach):
            places = places[places > k]
            candidate = best[places - k - 1]
            better = candidate > enter[places]
            enter[places[better]] = candidate[better]
            step[places[better]] = k + 1
        best = enter + scores[t]
    return _backwards(steps, int(_last(best, skippable)))


def skippable_ids(vocabulary: Vocabulary) -> Bools:
    """For each id whether the symbol may have no frame: padding, the end of the sentence, spaces and marks."""
    return np.array([index in (PAD_ID, EOS_ID) or not speakable([symbol]) for index, symbol in enumerate(vocabulary.symbols)])


def _runs(skippable: Bools) -> Ints:
    """How many skippable symbols stand right before each symbol."""
    places: Ints = np.arange(len(skippable), dtype=np.int64)
    last_heard: Ints = np.maximum.accumulate(np.where(skippable, -1, places))
    result: Ints = places - np.concatenate([[-1], last_heard[:-1]]) - 1
    return result


def _last(best: Floats, skippable: Bools) -> np.intp:
    """The best symbol to end with: only skippable ones may follow it."""
    allowed = ~np.logical_or.accumulate(~skippable[::-1])[::-1]  # all from here on are skippable
    may_end = np.concatenate([allowed[1:], [True]])
    return np.argmax(np.where(may_end, best, -np.inf))


def _backwards(steps: Ints, symbol: int) -> Ints:
    durations = np.zeros(steps.shape[1], np.int64)
    for step in steps[::-1]:
        durations[symbol] += 1
        symbol -= int(step[symbol])
    return durations
