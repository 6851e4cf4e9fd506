"""Compiles the kernels: one shared library a target, in parallel, each there whole or not at all."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from toolkit.data.writing import atomic
from toolkit.errors import ConfigError, ToolkitError, nearest
from toolkit.kernels.native import FLAGS, TARGETS, Target, folder, here, sources
from toolkit.nn.execution import cores

COMPILERS = ("g++", "clang++", "c++")
PATIENCE = 600  # seconds for one target


class Built(NamedTuple):
    """What became of one target."""

    target: str
    seconds: float  # 0: was there already
    problem: str = ""  # the compiler's first complaint


def build(compiler: Sequence[str], targets: Sequence[Target], force: bool = False) -> Iterator[Built]:
    """Compile targets into ``native.folder()``; yields each as it is done. A target that fails is not the end of the others.

    Args:
        compiler: its words, from ``find_compiler``.
        force: also those that are there already.
    """
    if not any(path.suffix == ".cpp" for path in sources()):
        raise ToolkitError("build-kernels: the sources of the kernels are missing, got no .cpp file beside them; install the toolkit again")
    with ThreadPoolExecutor(max(1, min(len(targets), cores()))) as pool:
        tasks = [pool.submit(_build_one, compiler, target, force) for target in targets]
        for task in as_completed(tasks):
            yield task.result()


def find_compiler(wanted: str | None = None) -> list[str]:
    """The words of the command of a C++ compiler: the one that is named, ``$CXX``, or the first that is installed.

    Raises:
        ConfigError: the named one does not exist.
        ToolkitError: there is none; says what to install and what is lost without.
    """
    for where, command in (("--compiler", wanted), ("CXX", os.environ.get("CXX"))):
        if command:
            words = shlex.split(command)
            if not words or shutil.which(words[0]) is None:
                raise ConfigError(f"{where}: no such program, got {command!r}; known: {', '.join(_installed()) or '(none installed)'}")
            return words
    installed = _installed()
    if not installed:
        raise ToolkitError(
            "build-kernels: no C++ compiler, looked for $CXX, g++, clang++ and c++; install the package g++ (apt install g++,"
            " dnf install gcc-c++). Without kernels everything works, in torch: speaking is several times slower"
        )
    return installed[:1]


def choose_targets(names: Sequence[str]) -> list[Target]:
    """Targets by name; all that this kind of machine knows where none is named."""
    possible = {target.name: target for target in here()}
    for name in names:
        if name not in TARGETS:
            raise ConfigError(f"--targets: unknown target, got {name!r}; {nearest(name, possible)}")
        if name not in possible:
            raise ConfigError(f"--targets: not for this kind of machine, got {name!r}; known here: {', '.join(possible)}")
    return [possible[name] for name in names] if names else list(possible.values())


def compiler_version(compiler: Sequence[str]) -> str:
    """The first line that the compiler says about itself."""
    done = _run([*compiler, "--version"])
    return (done.stdout.splitlines() or [" ".join(compiler)])[0]


def _installed() -> list[str]:
    return [name for name in COMPILERS if shutil.which(name)]


def _build_one(compiler: Sequence[str], target: Target, force: bool) -> Built:
    path = folder() / f"{target.name}.so"
    if path.is_file() and not force:
        return Built(target.name, 0.0)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="toolkit-kernels-") as scratch:
        made = Path(scratch) / path.name
        files = [str(source) for source in sources() if source.suffix == ".cpp"]
        done = _run([*compiler, *FLAGS, *target.flags, *files, "-o", str(made)])
        if done.returncode != 0 or not made.is_file():
            return Built(target.name, time.perf_counter() - start, _complaint(done))
        with atomic(path) as file:
            file.write(made.read_bytes())
    return Built(target.name, time.perf_counter() - start)


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command; a command that cannot be started or does not end counts as failed."""
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The line that tells most: the first with ``error``, else the last."""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()] or lines[-1:]
    return telling[0] if telling else f"the compiler ended with {done.returncode} and made nothing"
