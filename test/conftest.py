"""Fixtures that every test may use."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from toolkit.kernels import cuda_graphs

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests run on one thread, so that they are repeatable and do not fight for cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real LJSpeech clips and texts; tests that need it are skipped elsewhere."""
    folder = Path(os.environ.get("TOOLKIT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real speech data at {folder}; set TOOLKIT_TEST_DATA")
    return folder


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))])
def device(request: pytest.FixtureRequest) -> str:
    """Each kind of device in turn; those that are not here are skipped."""
    name: str = request.param
    return name


class Recording(TorchDispatchMode):
    """What a CUDA graph is, on a CPU: the operations of one call, done again on the same tensors with the same other arguments."""

    def __init__(self, run: Callable[[], None]) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0
        with self:
            run()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert function is not torch.ops.aten._local_scalar_dense.default, "a graph cannot wait for the device"
        result = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        """What an operation made in the first call is replaced by what it makes in this one."""
        made: dict[int, torch.Tensor] = {}

        def now(value: Any) -> Any:
            return made.get(id(value), value)

        for function, args, kwargs, result in self.operations:
            new = function(*tree_map(now, args), **tree_map(now, kwargs))
            for before, after in zip(tree_flatten(result)[0], tree_flatten(new)[0], strict=True):
                if isinstance(before, torch.Tensor):
                    made[id(before)] = after
        self.replays += 1


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[Recording]:
    """Graphs are captured on this device, which has none, too: as recordings, which are listed here."""
    made: list[Recording] = []

    def recorded(run: Callable[[], None], device: torch.device, memory_of: Recording | None) -> Recording:
        for _ in range(cuda_graphs.WARM_UP):
            run()
        made.append(Recording(run))
        return made[-1]

    monkeypatch.setattr(cuda_graphs, "captures", lambda device: True)
    monkeypatch.setattr(cuda_graphs, "recorded", recorded)
    monkeypatch.setattr(cuda_graphs, "PASSED", {})
    return made
