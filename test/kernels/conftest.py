"""The compiled kernels that the tests compare with their plain twins."""

import shutil
from pathlib import Path

import pytest

from toolkit.kernels import build, native


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A value for ``TOOLKIT_KERNEL_DIR`` with every target that this processor can run: the one in use, or one made for the tests."""
    targets = [target for target in native.here() if not native.lacking(target)]
    if all((native.folder() / f"{target.name}.so").is_file() for target in targets):
        return native.folder().parent
    if not any(map(shutil.which, build.COMPILERS)):
        pytest.skip("no C++ compiler here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(native.PLACE, str(tmp_path_factory.mktemp("kernels")))
        for built in build.build(build.find_compiler(), targets):
            assert not built.problem, f"{built.target}: {built.problem}"
        return native.folder().parent


@pytest.fixture(params=list(native.TARGETS))
def target(request: pytest.FixtureRequest, compiled: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each target in turn is the one that is loaded."""
    name: str = request.param
    if native.TARGETS[name] not in native.here() or native.lacking(native.TARGETS[name]):
        pytest.skip(f"this processor cannot run {name}")
    monkeypatch.setenv(native.PLACE, str(compiled))
    monkeypatch.setenv(native.CHOICE, name)
    return name
