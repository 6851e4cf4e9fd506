"""The benchmarks start, explain themselves, and run at tiny sizes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tools/benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))
NET = ["--layers", "2", "--cycles", "1", "--channels", "32"]
TINY = {
    "features": ["--utterances", "2", "--rounds", "1", "--threads", "1"],
    "griffin_lim": ["--iterations", "2", "--seconds", "0.5", "--rounds", "1"],
    "decoder_synthesis": ["--symbols", "4", "--frames", "4", "--batch", "2", "--lstm", "32", "--rounds", "1"],
    "wavenet_generation": [*NET, "--rows", "1", "2", "--threads", "1", "--seconds", "0.05", "--rounds", "1"],
    "wavenet_without_compiler": [*NET, "--seconds", "0.2", "--utterances", "1", "--folds", "2", "--rounds", "1"],
    "teacher_forced": ["--batch", "2", "--symbols", "4", "--frames", "4", "--rounds", "1", "--no-memory"],
}
# trained nets, a GPU, or recognisers; and a step of a net of fixed size
ELSEWHERE = {
    "alignment", "attentions", "gpu", "mini_word_errors", "new_voice", "precision_of_decoder", "precision_of_wavenet", "transcribe",
    "wavenet_training",
}  # fmt: skip


def run(*words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True, timeout=180, check=False)


def test_every_script_stands_on_the_page() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}.py`" in page for name in SCRIPTS)
    assert {*TINY, *ELSEWHERE} == set(SCRIPTS)


@pytest.mark.full
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_explains_itself(name: str) -> None:
    done = run(str(FOLDER / f"{name}.py"), "--help")
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(TINY))
def test_a_script_runs_at_tiny_sizes(name: str, tmp_path: Path) -> None:
    done = run(str(FOLDER / f"{name}.py"), *TINY[name], "--json", str(tmp_path / "out.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["rows"] and "flags" in written["machine"]


def test_the_short_set_says_the_path_of_each_figure(tmp_path: Path) -> None:
    small = (
        *("--set", "encoder_conf={embedding: 8, channels: 8, lstm: 8}", "--set", "decoder_conf={prenet: [8, 8], lstm: 8}"),
        *("--set", "postnet_conf={channels: 8}", "--set", "vocoder_conf={layers: 2, cycles: 1, residual: 4, gate: 4, skip: 4}"),
    )
    config = str(ROOT / "recipes/ljspeech/conf/mini.yaml")
    done = run("-m", "toolkit", "bench", "--config", config, *small, "--seconds", "1", "--json", str(tmp_path / "bench.json"))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "bench.json").read_text())
    asked = {row["what"] for row in written["rows"]}
    assert {"text -> mel", "mel -> wave, wavenet", "training text2mel", "training mel2wav", "features, one process"} <= asked
    waves = [row for row in written["rows"] if row["what"] == "mel -> wave, wavenet"]
    assert all(row["figure"] > 0 and row["path"].startswith(("torch: ", "native ")) for row in waves)
