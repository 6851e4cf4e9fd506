"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest
import torch

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
