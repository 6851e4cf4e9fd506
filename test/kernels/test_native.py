"""Which library is loaded: the environment decides, stale and broken ones are refused, and each absence is one line."""

import shutil
from pathlib import Path

import pytest

from toolkit.bin.main import main
from toolkit.errors import ConfigError, ToolkitError
from toolkit.kernels import build, native

CODE = 'extern "C" int answer() {\n#ifdef __AVX2__\n  return 2;\n#else\n  return 1;\n#endif\n}\n'
needs_compiler = pytest.mark.skipif(not any(map(shutil.which, build.COMPILERS)), reason="no C++ compiler here")


@pytest.fixture(autouse=True)
def own_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small sources and an empty place for libraries, so that neither the real ones nor the user's are touched."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "answer.cpp").write_text(CODE)
    monkeypatch.setattr(native, "SOURCE", source)
    monkeypatch.setattr(native, "_loaded", {})
    monkeypatch.setenv(native.PLACE, str(tmp_path / "kernels"))
    for name in (native.CHOICE, "CXX"):
        monkeypatch.delenv(name, raising=False)
    return source


def shell_compiler(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def one_line(text: str) -> str:
    assert text and "\n" not in text
    return text


def test_nothing_is_built_by_looking_for_it(tmp_path: Path) -> None:
    assert native.library() is None
    assert one_line(native.why_not()) == f"not built: {native.folder()} holds no kernels; run toolkit build-kernels"
    assert not (tmp_path / "kernels").exists()


@needs_compiler
def test_what_was_built_is_loaded_and_the_environment_chooses(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build-kernels"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("is used on this machine")
    best = native.library()
    assert best is not None and native.why_not() == "" and not native.lacking(native.TARGETS[best.target])
    assert native.library() is best
    monkeypatch.setenv(native.CHOICE, "portable")
    plain = native.library()
    assert plain is not None and plain.target == "portable" and plain.cdll.answer() == 1
    assert native.library(best.target) is best
    monkeypatch.setenv(native.CHOICE, "none")
    assert native.library() is None and one_line(native.why_not()) == "TOOLKIT_KERNELS=none switches them off"
    assert main(["build-kernels", "--targets", "portable"]) == 0
    assert "portable: is there; runs on this processor" in capsys.readouterr().out


def test_a_wrong_target_is_named_with_the_nearest_right_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="^kernels: unknown target, got 'avx5'; did you mean 'avx512'"):
        native.library("avx5")
    monkeypatch.setenv(native.CHOICE, "portabl")
    with pytest.raises(ConfigError, match="^TOOLKIT_KERNELS: unknown target, got 'portabl'; did you mean 'portable'"):
        native.why_not()
    assert main(["build-kernels", "--targets", "amy"]) == 2
    assert one_line(capsys.readouterr().err.rstrip()).startswith("error: --targets: unknown target, got 'amy'; did you mean 'amx'?")


def test_a_processor_that_lacks_something_takes_the_next_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "cpu_flags", lambda: frozenset({"avx2"}))
    assert one_line(native.why_not("avx2")) == "avx2: this processor has no f16c, fma; name another target or none"
    native.folder().mkdir(parents=True)
    (native.folder() / "avx2.so").write_bytes(b"never opened")
    assert native.library() is None
    assert one_line(native.why_not()) == "avx2: this processor has no f16c, fma"


@needs_compiler
def test_libraries_of_other_sources_are_never_loaded(own_sources: Path) -> None:
    list(build.build(build.find_compiler(), build.choose_targets(["portable"])))
    assert native.library() is not None
    (own_sources / "answer.cpp").write_text(CODE.replace("return 1", "return 7"))
    assert native.library() is None
    assert "(those beside it are of other sources)" in one_line(native.why_not())
    list(build.build(build.find_compiler(), build.choose_targets(["portable"])))
    fresh = native.library()
    assert fresh is not None and fresh.cdll.answer() == 7


def test_a_damaged_library_is_one_line(tmp_path: Path) -> None:
    native.folder().mkdir(parents=True)
    (native.folder() / "portable.so").write_bytes(b"\x7fELF cut off")
    assert native.library() is None
    assert one_line(native.why_not()).endswith("; run toolkit build-kernels --force") and "cannot be loaded" in native.why_not()


def test_no_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["build-kernels"]) == 1
    assert "install the package g++" in one_line(capsys.readouterr().err.rstrip())
    assert main(["build-kernels", "--compiler", "clang++-99"]) == 2
    assert one_line(capsys.readouterr().err.rstrip()) == "error: --compiler: no such program, got 'clang++-99'; known: (none installed)"
    monkeypatch.setenv("CXX", "ccache no-such")
    with pytest.raises(ConfigError, match="^CXX: no such program, got 'ccache no-such'"):
        build.find_compiler()


def test_a_broken_compiler_is_a_line_a_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = shell_compiler(tmp_path / "broken", 'echo "cc1plus: error: out of tea" >&2\nexit 1')
    assert main(["build-kernels", "--compiler", broken, "--targets", "portable"]) == 1
    assert capsys.readouterr().out.splitlines()[0] == "portable: not built: cc1plus: error: out of tea"
    silent = shell_compiler(tmp_path / "silent", "exit 0")
    assert main(["build-kernels", "--compiler", silent, "--targets", "portable"]) == 1
    assert capsys.readouterr().out.startswith("portable: not built: the compiler ended with 0 and made nothing")
    assert not native.folder().exists()


@needs_compiler
@pytest.mark.skipif(len(native.here()) == 1, reason="one target only")
def test_a_target_that_the_compiler_does_not_know_is_not_the_end_of_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = shutil.which(build.find_compiler()[0])
    old = f'case "$*" in *-mamx*) echo "error: unrecognized option -mamx-tile" >&2; exit 1;; esac\nexec {real} "$@"'
    assert main(["build-kernels", "--compiler", shell_compiler(tmp_path / "old", old), "--targets", "amx", "portable"]) == 0
    lines = sorted(capsys.readouterr().out.splitlines()[:2])
    assert lines[0] == "amx: not built: error: unrecognized option -mamx-tile" and lines[1].startswith("portable: built in ")
    assert [path.name for path in native.folder().iterdir()] == ["portable.so"]


def test_other_machines_build_the_portable_target_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native.platform, "machine", lambda: "aarch64")
    assert [target.name for target in build.choose_targets([])] == ["portable"]
    with pytest.raises(ConfigError, match="^--targets: not for this kind of machine, got 'avx2'; known here: portable"):
        build.choose_targets(["avx2"])


def test_a_full_disk_leaves_no_half_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    maker = shell_compiler(tmp_path / "maker", 'while [ "$1" != -o ]; do shift; done; echo lib > "$2"')
    monkeypatch.setenv("TOOLKIT_FAIL", "file.fsync:1:ENOSPC")
    with pytest.raises(ToolkitError, match="disk full"):
        list(build.build([maker], [native.TARGETS["portable"]]))
    assert not list(native.folder().iterdir())


def test_sources_that_are_not_there(own_sources: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (own_sources / "answer.cpp").unlink()
    assert main(["build-kernels", "--compiler", shell_compiler(tmp_path / "any", "exit 0")]) == 1
    assert "the sources of the kernels are missing" in one_line(capsys.readouterr().err.rstrip())
