"""Dynamic time warping: which frame of one utterance stands for which frame of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


def distances(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Euclidean distances between rows, ``T x D`` and ``T' x D`` -> ``T x T'``."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * first @ second.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def warping_path(cost: NDArray[np.float64]) -> tuple[Indices, Indices]:
    """The monotonic path of least total cost from the first to the last pair of frames.

    Steps go one frame on in one or both utterances, all with weight 1 (Sakoe & Chiba 1978, without a slope constraint). The
    table is filled along its anti-diagonals, whose cells do not depend on one another.

    Args:
        cost: ``T x T'``, not negative.

    Returns:
        Frame numbers of both utterances along the path, each ``L``, ``max(T, T') <= L < T + T'``.
    """
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for diagonal in range(rows + columns - 1):
        i = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        j = diagonal - i
        before = np.minimum(np.minimum(total[i, j + 1], total[i + 1, j]), total[i, j])
        total[i + 1, j + 1] = cost[i, j] + before
    return _traced(total)


def _traced(total: NDArray[np.float64]) -> tuple[Indices, Indices]:
    """Walk back through the accumulated cost; of equal ways the diagonal one is taken."""
    i, j = total.shape[0] - 1, total.shape[1] - 1
    path = [(i, j)]
    while (i, j) != (1, 1):
        steps = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
        i, j = min(steps, key=lambda cell: float(total[cell]))
        path.append((i, j))
    cells = np.array(path[::-1], dtype=np.intp) - 1
    return cells[:, 0], cells[:, 1]
