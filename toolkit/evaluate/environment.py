"""Where a result was made: versions, processor, revision of the code."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from toolkit import __version__

PACKAGES = ("numpy", "scipy", "soundfile", "pocketsphinx")


def environment() -> dict[str, str]:
    """Facts by name, in the order in which they are shown. What cannot be found out is left out."""
    facts = {
        "toolkit": __version__,
        "revision": revision(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{processor()}, {os.cpu_count()} logical cores",
        "GPU": ", ".join(torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())) or "none",
    }
    return {name: value for name, value in facts.items() if value}


def revision() -> str:
    """The commit of the code that runs, with ``-dirty`` where it was changed since; empty outside a repository."""
    folder = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
