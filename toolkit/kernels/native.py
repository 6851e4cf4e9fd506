"""The compiled kernels: for which processors there are some, where they lie, and which one is loaded here. Nothing is built here.

One shared library a target, all from the same sources. Its folder is named after the sources, the flags and the kind of machine, so a
library that other sources made is never loaded:

    ~/.cache/toolkit/kernels/<hash>/amx.so  avx512.so  avx2.so  portable.so
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from toolkit.errors import ConfigError, nearest

SOURCE = Path(__file__).with_name("source")
FLAGS = ("-O3", "-std=c++17", "-fPIC", "-shared", "-pthread", "-fno-math-errno", "-fno-trapping-math")
CHOICE, PLACE = "TOOLKIT_KERNELS", "TOOLKIT_KERNEL_DIR"
X86 = ("x86_64", "AMD64")
REQUEST_XCOMP = (158, 0x1023, 18)  # arch_prctl(ARCH_REQ_XCOMP_PERM, tile data): Linux grants tiles to those who ask


class Target(NamedTuple):
    """A kind of processor that kernels are compiled for."""

    name: str
    flags: tuple[str, ...] = ()  # of the compiler
    needs: frozenset[str] = frozenset()  # instruction sets as /proc/cpuinfo names them


AVX2 = Target("avx2", ("-mavx2", "-mfma", "-mf16c"), frozenset({"avx2", "fma", "f16c"}))
AVX512 = Target(
    "avx512",
    ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni", "-mavx512bf16", "-mfma", "-mf16c"),
    AVX2.needs | {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16"},
)
AMX = Target("amx", (*AVX512.flags, "-mamx-tile", "-mamx-int8", "-mamx-bf16"), AVX512.needs | {"amx_tile", "amx_int8", "amx_bf16"})
TARGETS = {target.name: target for target in (AMX, AVX512, AVX2, Target("portable"))}  # best first


@dataclass(frozen=True, eq=False)
class Library:
    """Compiled kernels that are loaded."""

    target: str
    cdll: ctypes.CDLL
    path: Path


def library(target: str | None = None) -> Library | None:
    """The kernels for this processor, or None; ``why_not`` then says why. Cheap after the first call.

    Args:
        target: amx | avx512 | avx2 | portable, or None for the best one that was built; ``TOOLKIT_KERNELS`` says it for all.

    Raises:
        ConfigError: there is no target of that name.
    """
    return _search(_wanted(target))[0]


def why_not(target: str | None = None) -> str:
    """One line: why ``library`` gives None; empty where it gives one."""
    return _search(_wanted(target))[1]


def summary() -> str:
    """For people: which library runs here, or why none does and what that costs."""
    loaded = library()
    cost = "speaking takes the torch path, several times slower; toolkit bench measures it"
    return f"{loaded.target}, in {loaded.path.parent}" if loaded else f"none: {why_not()}; {cost}"


def folder() -> Path:
    """Where the libraries of these sources lie, or would. ``TOOLKIT_KERNEL_DIR`` moves it."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = os.environ.get(PLACE)
    return (Path(place).expanduser().absolute() if place else caches / "toolkit" / "kernels") / fingerprint()


def sources() -> list[Path]:
    """The files that every library is made of."""
    return sorted(path for path in SOURCE.glob("*") if path.suffix in (".cpp", ".hpp"))


def fingerprint() -> str:
    """Twelve hex digits of the sources, the compiler's flags and the kind of machine."""
    return _fingerprint(tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in sources()))


@functools.lru_cache(2)
def _fingerprint(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Of files with their times and sizes: they are not read again for every net."""
    flags = repr((FLAGS, [tuple(target)[:2] for target in TARGETS.values()], platform.system(), platform.machine()))
    return hashlib.sha256(b"\0".join([flags.encode(), *(path.read_bytes() for path, *_ in files)])).hexdigest()[:12]


def here() -> list[Target]:
    """The targets that a compiler of this kind of machine can build, best first."""
    return [target for target in TARGETS.values() if not target.needs or platform.machine() in X86]


def lacking(target: Target) -> list[str]:
    """Instruction sets that a target needs and this processor does not have."""
    return sorted(target.needs - cpu_flags())


@functools.lru_cache(1)
def cpu_flags() -> frozenset[str]:
    """Instruction sets of this processor that its system lets programs use; empty where they cannot be read."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features"))), []))


def _wanted(target: str | None) -> str:
    """The name that was asked for; empty for the best there is."""
    word = target if target is not None else os.environ.get(CHOICE, "")
    if word and word != "none" and word not in TARGETS:
        where = "kernels" if target is not None else CHOICE
        raise ConfigError(f"{where}: unknown target, got {word!r}; {nearest(word, [*TARGETS, 'none'])}")
    return word


def _search(word: str) -> tuple[Library | None, str]:
    """The library, or a line about its absence."""
    if word == "none":
        return None, f"{CHOICE}=none switches them off"
    asked = [TARGETS[word]] if word else here()
    built = [target for target in asked if (folder() / f"{target.name}.so").is_file()]
    problems = []
    for target in built:
        loaded = _load(folder() / f"{target.name}.so", target)
        if isinstance(loaded, Library):
            return loaded, ""
        problems.append(loaded)
    if problems:
        return None, "; ".join(problems)
    if word and lacking(asked[0]):
        return None, f"{word}: this processor has no {', '.join(lacking(asked[0]))}; name another target or none"
    others = [path for path in folder().parent.glob("*/*.so") if path.parent != folder()]
    age = " (those beside it are of other sources)" if others else ""
    return None, f"not built: {folder()} holds no {word or 'kernels'}{age}; run toolkit build-kernels"


_loaded: dict[Path, Library | str] = {}


def _load(path: Path, target: Target) -> Library | str:
    """Load a library once. What hinders it is remembered too, until the process ends."""
    if path not in _loaded:
        _loaded[path] = _open(path, target)
    return _loaded[path]


def _open(path: Path, target: Target) -> Library | str:
    if lacking(target):
        return f"{target.name}: this processor has no {', '.join(lacking(target))}"
    if target is AMX and ctypes.CDLL(None).syscall(*REQUEST_XCOMP) != 0:
        return "amx: the system does not grant its registers"
    try:
        return Library(target.name, ctypes.CDLL(str(path)), path)
    except OSError as error:
        return f"{path}: cannot be loaded: {error}; run toolkit build-kernels --force"
