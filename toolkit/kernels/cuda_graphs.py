"""A function of no arguments over buffers that stay where they are: a CUDA graph on a GPU, a plain call elsewhere.

Plain twin: the function itself. A graph takes the many small kernels of a step from the host once and starts them as one, so the
host's time for each of them is gone. What a captured function may do (the CUDA Graphs section of PyTorch's CUDA semantics):
read and write the same tensors at every call, with the same shapes and the same values of Python's own; never wait for the
device (``item``, ``tolist``, ``nonzero``, a tensor in a condition). Callers fill the buffers before a call and read them after it.

``Places`` are such buffers for the rows of a longer tensor that a chunk of steps works on::

    rows of the whole   [ . . . . . . . . | start .. stop | . . . . ]
                             take: copied in |   ^ back: copied out
    place                                  [ 0 .. count ]                 the same memory for every chunk
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

WARM_UP = 3  # calls before the capture, as PyTorch's example has it: libraries choose algorithms and allocate in them
PASSED: dict[torch.device, torch.cuda.CUDAGraph] = {}  # the last graph that passes, kept for its memory


def captures(device: torch.device) -> bool:
    """Whether a ``Replay`` on this device is a graph."""
    return device.type == "cuda"


class Replay:
    """``run()`` again and again.

    On a GPU the first call runs it ``WARM_UP`` times, captures it and replays the graph; so ``state``, the tensors that it
    changes and reads again, is put back in between: after n calls it is as after n calls of ``run``.

    Args:
        run: reads and writes only tensors that outlive this object's calls, on one device.
        state: what ``run`` both reads and changes.
        device: of all of them.
        passing: it is over before the next one that passes begins on this device, which takes over its memory.
    """

    def __init__(self, run: Callable[[], None], state: Sequence[Tensor], device: torch.device, passing: bool = False) -> None:
        self._run, self._state, self._device, self._passing = run, state, device, passing
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        if not captures(self._device):
            self._run()
            return
        if self._graph is None:
            self._graph = self._captured()
        self._graph.replay()

    def _captured(self) -> torch.cuda.CUDAGraph:
        before = [tensor.clone() for tensor in self._state]
        before_this = PASSED.pop(self._device, None) if self._passing else None
        graph = recorded(self._run, self._device, before_this)
        if self._passing:
            PASSED[self._device] = graph
        for tensor, value in zip(self._state, before, strict=True):
            tensor.copy_(value)
        return graph


def recorded(run: Callable[[], None], device: torch.device, memory_of: torch.cuda.CUDAGraph | None = None) -> torch.cuda.CUDAGraph:
    """The graph of a call, after calls to warm up; its own tensors stand in the memory of another graph, which is over.

    ``torch.cuda.graph`` would wait for the device and empty the allocator's cache every time, too much for a graph of one batch;
    it would also forbid other threads, such as a loader that pins memory, to allocate meanwhile.
    """
    with torch.cuda.device(device):
        graph, side = torch.cuda.CUDAGraph(), _side_stream(device)
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                run()
            graph.capture_begin(None if memory_of is None else memory_of.pool(), capture_error_mode="thread_local")
            try:
                run()  # is recorded, computes nothing
            finally:
                graph.capture_end()
        torch.cuda.current_stream().wait_stream(side)
    return graph


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One stream for all captures, since the allocator keeps memory for each stream."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class Places:
    """Rows that a chunk of steps reads and writes: the rows themselves or, for a ``Replay``, copies in one place.

    Args:
        replayed: steps of a chunk that is replayed, of which there are at most one row more; 0 where none are.
    """

    def __init__(self, replayed: int) -> None:
        self.replayed = replayed
        self._taken: dict[str, tuple[Tensor, Tensor]] = {}  # rows and their place

    def take(self, name: str, rows: Tensor) -> Tensor:
        """Where the values of ``rows`` stand for the steps."""
        if not self.replayed:
            return rows
        place = self._taken[name][1] if name in self._taken else rows.new_empty(self.replayed + 1, *rows.shape[1:])
        self._taken[name] = rows, place
        return place[: len(rows)].copy_(rows)

    def back(self, *names: str) -> None:
        """After the steps: what they wrote is in the rows."""
        for name in names if self.replayed else ():
            rows, place = self._taken[name]
            rows.copy_(place[: len(rows)])
