"""A copy of the checkout with a small corpus and small networks, in which the documentation's commands run as they stand."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("recipes/ljspeech/run.sh", "recipes/ljspeech/path.sh", "recipes/ljspeech/cmd.sh", "test/run.sh")
FOLDERS = ("toolkit", "tools", "egs_docs", "recipes/ljspeech/conf", "recipes/ljspeech/local")
CLIPS = {"mini-c": 10, "mini-d": 14}  # times and digits
# the same recipe, minutes made seconds: a preset that extends the real one
TINY = """
extends: real_mini.yaml
reduction: 8
encoder_conf: {embedding: 8, channels: 8, lstm: 8, layers: 1}
attention_conf: {dim: 8, filters: 4}
decoder_conf: {prenet: [8, 8], lstm: 8}
postnet_conf: {channels: 8, layers: 2}
text2mel: {batch: {global: 4, micro: 4}, max_steps: 3, save_every: 3, validate_every: 3, threads: 1}
vocoder_conf: {layers: 2, cycles: 1, residual: 4, gate: 4, skip: 4, mixtures: 2, condition: 4}
mel2wav: {batch: {global: 2, micro: 2}, max_steps: 2, save_every: 2, validate_every: 2, threads: 1}
crops: {frames: 2}
synthesis: {stop_threshold: 0.0, utterances: 2}
"""
Shell = Callable[[str], subprocess.CompletedProcess[str]]


def small_corpus(source: Path, target: Path) -> None:
    """The first clips of each kind, with a split of their own."""
    every = (source / "metadata.csv").read_text().splitlines()
    rows = [row for kind, count in CLIPS.items() for row in [row for row in every if row.startswith(kind)][:count]]
    names = [row.partition("|")[0] for row in rows]
    (target / "wavs").mkdir(parents=True)
    (target / "splits").mkdir()
    for name in names:
        shutil.copy(source / f"wavs/{name}.ogg", target / "wavs")
    shutil.copy(source / "lexicon.txt", target)
    (target / "metadata.csv").write_text("".join(f"{row}\n" for row in rows))
    for split, chosen in (("dev", names[-4:-2]), ("eval", names[-2:])):
        (target / f"splits/{split}.list").write_text("".join(f"{name}\n" for name in chosen))


def environment_of(checkout: Path) -> None:
    """What set-up would leave in .venv: this Python, under the names that the documentation uses."""
    programs = checkout / ".venv/bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text(f"export PATH={shlex.quote(str(programs))}:$PATH\n")
    for name, words in (("python", ""), ("toolkit", "-m toolkit ")):
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words}"$@"\n')
        (programs / name).chmod(0o755)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copy. Nothing in it is trained yet."""
    folder = tmp_path_factory.mktemp("docs") / "checkout"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name)
    for name in PROGRAMS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    small_corpus(ROOT / "recipes/ljspeech/mini", folder / "recipes/ljspeech/mini")
    conf = folder / "recipes/ljspeech/conf"
    (conf / "mini.yaml").rename(conf / "real_mini.yaml")
    (conf / "mini.yaml").write_text(TINY)
    environment_of(folder)
    return folder


@pytest.fixture(scope="session")
def shell(checkout: Path) -> Shell:
    """Runs lines of bash at the top of the copy."""
    kept = {key: value for key, value in os.environ.items() if key not in ("TOOLKIT_WORK", "TOOLKIT_FAIL")}
    env = {
        **kept, "TOOLKIT_PYTHON": sys.executable, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
        "PATH": f"{checkout / '.venv/bin'}:{os.environ['PATH']}", "MPLCONFIGDIR": str(checkout / ".matplotlib"),
    }  # fmt: skip

    def run(lines: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-euo", "pipefail", "-c", lines]
        return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture(scope="session")
def trained(shell: Shell) -> str:
    """What the first command of README prints, which trains the experiment that other pages use."""
    done = shell("./recipes/ljspeech/run.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
