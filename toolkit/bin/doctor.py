"""Look at this machine: versions, cores, memory, disk, optional packages; ends with a block to paste into an issue."""

import argparse
import importlib.util
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CORE = ("torch", "numpy", "scipy", "sentencepiece", "g2p-en", "kaldiio", "typeguard", "soundfile", "PyYAML", "safetensors")
EXTRAS = {"train": ("tensorboard", "matplotlib", "rich"), "eval": ("pocketsphinx", "jiwer", "matplotlib")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose."""


def installed(package: str) -> str:
    """Version of a package, or that it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def machine() -> dict[str, str]:
    """What a maintainer asks first."""
    import torch

    from toolkit import __version__

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "toolkit": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "cores": f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}",
        "memory": f"{memory:.0f} GB",
        "disk": f"{shutil.disk_usage(Path.cwd()).free / 1e9:.0f} GB free here",
        "GPU": ", ".join(gpus) or "none",
    }


def run(args: argparse.Namespace) -> int:
    """Print what is there; 1 if something is missing without which nothing runs."""
    from toolkit.kernels.native import summary

    packages = {package: installed(package) for package in CORE}
    missing = [package for package in CORE if packages[package] == "not installed"]
    extras = {f"[{extra}]": ", ".join(f"{name} {installed(name)}" for name in names) for extra, names in EXTRAS.items()}
    data = Path(sys.prefix) / "nltk_data" / "corpora" / "cmudict"
    spoken = "found" if data.exists() else "none; run tools/setup.sh (the tokenizer 'phone' needs them)"
    found = {} if importlib.util.find_spec("torch") is None else machine()
    rows = {**found, **packages, **extras, "pronunciations": spoken, "kernels": summary()}
    print("```\n" + "\n".join(f"{name + ':':<15} {value}" for name, value in rows.items()) + "\n```")
    print(f"missing: {', '.join(missing)}; run tools/setup.sh" if missing else "ready: paste the block above into an issue")
    return 1 if missing else 0
