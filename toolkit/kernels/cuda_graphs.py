"""A function of no arguments over buffers that stay where they are: a CUDA graph on a GPU, a plain call elsewhere.

Plain twin: the function itself. A graph takes the many small kernels of a step from the host once and starts them as one, so the
host's time for each of them is gone. What a captured function may do (the CUDA Graphs section of PyTorch's CUDA semantics):
read and write the same tensors at every call, with the same shapes and the same values of Python's own; never wait for the
device (``item``, ``tolist``, ``nonzero``, a tensor in a condition). Callers fill the buffers before a call and read them after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

WARM_UP = 3  # calls before the capture, as PyTorch's example has it: libraries choose algorithms and allocate in them


class Replay:
    """``run()`` again and again.

    On a GPU the first call runs it ``WARM_UP`` times, captures it and replays the graph; so ``state``, the tensors that it
    changes and reads again, is put back in between: after n calls it is as after n calls of ``run``.

    Args:
        run: reads and writes only tensors that outlive this object's calls, on one device.
        state: what ``run`` both reads and changes.
        device: of all of them.
    """

    def __init__(self, run: Callable[[], None], state: Sequence[Tensor], device: torch.device) -> None:
        self._run, self._state, self._device = run, state, device
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        if self._device.type != "cuda":
            self._run()
            return
        if self._graph is None:
            self._graph = self._captured()
        self._graph.replay()

    def _captured(self) -> torch.cuda.CUDAGraph:
        with torch.cuda.device(self._device):
            before = [tensor.clone() for tensor in self._state]
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    self._run()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):  # records, computes nothing
                self._run()
            for tensor, value in zip(self._state, before, strict=True):
                tensor.copy_(value)
        return graph
