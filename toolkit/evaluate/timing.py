"""Timing that can be compared: rivals take turns in one process, medians, peak memory, and what the machine can do at most."""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from toolkit.data.writing import write_json
from toolkit.evaluate.environment import processor
from toolkit.nn.execution import cores

Row = Mapping[str, Any]

FLAGS = {  # names in /proc/cpuinfo that decide which kernel runs
    "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "i8mm", "bf16", "sve",
}  # fmt: skip
GEMM = 2048
GEMV_MEGABYTES = {"L2": 1, "L3": 16, "memory": 256}  # weights that are read for each product


def interleaved(rivals: Mapping[str, Callable[[], object]], rounds: int = 5, warm_up: int = 1) -> dict[str, float]:
    """Median seconds of each rival. They take turns, so that whatever slows the machine for a while slows them all."""
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for turn in range(warm_up + rounds):
        for name, run in rivals.items():
            _finish()
            start = time.perf_counter()
            run()
            _finish()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def peak_memory(function: Callable[..., object], *arguments: Any) -> int:
    """Largest resident size in bytes of a fresh process that calls ``function(*arguments)``.

    The function is one of a module, or of the script that runs (below ``if __name__ == "__main__"`` nothing is repeated);
    closures cannot be sent to another process.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_measured, args=(sender, torch.get_num_threads(), function, arguments))
    child.start()
    sender.close()
    try:
        return int(receiver.recv())
    except EOFError as error:
        raise RuntimeError(f"the process that measures {function} ended without an answer; what it said stands above") from error
    finally:
        child.join()


def machine(threads: int | None = None) -> dict[str, Any]:
    """The processor, and the largest speed of dense products here: what another machine's figures are scaled by."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        facts = {
            "processor": processor(),
            "cores": cores(),
            "threads": torch.get_num_threads(),
            "flags": " ".join(cpu_flags()),
            "system": f"{platform.system()} {platform.machine()}",
            "torch": torch.__version__,
            "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        }
        for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            facts[f"gemm_{name}_gflops"] = round(_gemm(kind) / 1e9, 1)
        for place, megabytes in GEMV_MEGABYTES.items():
            facts[f"gemv_{place}_gb_per_s"] = round(_gemv(megabytes) / 1e9, 1)
        return facts
    finally:
        torch.set_num_threads(before)


def cpu_flags() -> list[str]:
    """Which of the instruction sets that matter here the processor has."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    named = next((line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features"))), [])
    return sorted(FLAGS & set(named))


def compared(seconds: Mapping[str, float], **facts: object) -> list[dict[str, Any]]:
    """A row for each rival with its speed against the first one: ``ratio`` 2 is twice as fast."""
    first = next(iter(seconds.values()))
    return [{**facts, "path": name, "seconds": value, "ratio": first / value} for name, value in seconds.items()]


def report(name: str, rows: Sequence[Row], path: Path | None = None) -> None:
    """Print a table of the rows under the machine's figures and, with a path, write both as JSON."""
    facts = machine()
    print(f"## {name}\n")
    print("\n".join(f"{key}: {value}" for key, value in facts.items()) + "\n")
    print(table(rows))
    if path is not None:
        write_json(path, {"name": name, "machine": facts, "rows": [dict(row) for row in rows]})


def table(rows: Sequence[Row]) -> str:
    """A Markdown table with a column for each name that any row has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def add_arguments(parser: argparse.ArgumentParser, rounds: int = 5) -> None:
    """The options that every benchmark has."""
    parser.add_argument(
        "--threads", type=int, default=min(2, cores()), help="threads of torch and of native kernels (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=rounds, help="times that each rival runs (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and the machine's here too")


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _finish() -> None:
    """Wait for what a GPU still computes."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _measured(sender: Any, threads: int, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    """In the child process: run, then send the largest resident size."""
    torch.set_num_threads(threads)
    function(*arguments)
    sender.send(_peak())


def _peak() -> int:
    """Bytes. ``ru_maxrss`` would count what the parent held when it started this process, so it is the second choice."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


def _gemm(kind: torch.dtype) -> float:
    """Operations a second of a square product."""
    left, right = torch.ones(GEMM, GEMM, dtype=kind), torch.ones(GEMM, GEMM, dtype=kind)
    return float(2 * GEMM**3 / interleaved({"gemm": lambda: left @ right}, 3)["gemm"])


def _gemv(megabytes: int) -> float:
    """Bytes of weights a second of a matrix times a vector."""
    weights, vector = torch.ones(megabytes * 256, 1024), torch.ones(1024)
    times = max(1, 64 // megabytes)

    def run() -> None:
        for _ in range(times):
            torch.mv(weights, vector)

    return float(times * weights.numel() * 4 / interleaved({"gemv": run}, 5)["gemv"])
