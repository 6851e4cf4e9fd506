"""A cut-down mini: two dozen clips and networks of a few thousand weights, taken through the whole recipe once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

TINY = """
extends: {mini}
encoder_conf: {{embedding: 8, channels: 8, lstm: 8, dropout: 0.0}}
attention_conf: {{dim: 8, filters: 4, kernel_size: 5}}
decoder_conf: {{prenet: [8, 8], lstm: 8}}
postnet_conf: {{channels: 8, layers: 2}}
text2mel: {{batch: {{global: 4, micro: 2}}, max_steps: 6, save_every: 3, validate_every: 3, threads: 1}}
vocoder_conf: {{layers: 4, dilations: null, cycles: 2, residual: 8, gate: 8, skip: 8}}
mel2wav: {{batch: {{global: 4, micro: 2}}, max_steps: 4, save_every: 2, validate_every: 2, threads: 1}}
synthesis: {{frames_per_symbol: 1.0, utterances: 2}}
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """Twelve clips of the embedded corpus in its form, with its lists."""
    mini, folder = root / "recipes" / "ljspeech" / "mini", tmp_path_factory.mktemp("corpora") / "tiny"
    rows = (mini / "metadata.csv").read_text(encoding="utf-8").splitlines()
    lists = {name: (mini / "splits" / name).read_text().split()[:2] for name in ("dev.list", "eval.list")}
    held_out = {key for name in lists for key in (mini / "splits" / name).read_text().split()}
    train = [row for row in rows if row.split("|")[0] not in held_out][:8]
    chosen = train + [row for row in rows if row.split("|")[0] in {key for keys in lists.values() for key in keys}]
    (folder / "wavs").mkdir(parents=True)
    (folder / "splits").mkdir()
    (folder / "metadata.csv").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    for name, keys in lists.items():
        (folder / "splits" / name).write_text("\n".join(keys) + "\n")
    for row in chosen:
        for path in (mini / "wavs").glob(f"{row.split('|')[0]}.*"):
            shutil.copy(path, folder / "wavs")
    return folder


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    path = tmp_path_factory.mktemp("conf") / "tiny.yaml"
    path.write_text(TINY.format(mini=root / "recipes" / "ljspeech" / "conf" / "mini.yaml"))
    return path


@pytest.fixture(scope="session")
def run_recipe(root: Path, corpus: Path, tiny_config: Path) -> Run:
    """``run_recipe(work, *options, **environment)``: run.sh on the tiny corpus with its folders in ``work``."""

    def run(work: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(root / "recipes/ljspeech/run.sh"), "--corpus", str(corpus), "--config", str(tiny_config), "--nj", "1", "--ngpu", "0"]
        variables = os.environ | {"TOOLKIT_WORK": str(work), "OMP_NUM_THREADS": "1"} | environment
        return subprocess.run([*command, *options], capture_output=True, text=True, env=variables, cwd=root.parent, timeout=400)

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, run_recipe: Run) -> tuple[Path, str]:
    """The work folder of a run of all stages, and what it printed."""
    work = tmp_path_factory.mktemp("work a'b $(touch PWN)")
    done = run_recipe(work)
    assert done.returncode == 0, done.stdout + done.stderr
    return work, done.stdout
