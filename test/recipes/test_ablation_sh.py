"""The ablation's shell: options, order of its steps, what a failed one leaves, and, in full, every cell on a cut-down corpus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "recipes/ljspeech/conf"
# stands in for run.sh: notes its options; fails where FAILS says
STUB = """#!/usr/bin/env bash
printf '%s|' "$@" >>"$TOOLKIT_WORK/calls"
echo >>"$TOOLKIT_WORK/calls"
case "$*" in *"--exp ${FAILS:-none} "*) echo 'error: as asked'; exit 1 ;; esac
"""
PLAN = """
experiments:
  first: {extends: small.yaml}
  second: {predictor: first, set: {crops: {input: natural}}}
  third: {extends: first, set: {postnet: none}}
tables:
  postnet: {reference: with, cells: {with: {experiment: first}, without: {experiment: third}}}
"""
CUT = """
extends: {conf}/ablation.yaml
set:
  features: {{sample_rate: 16000, hop: 200, window: 800, n_fft: 1024, n_mels: 80, f_min: 60.0, f_max: 7600.0, floor: 0.001, band_norm: sum}}
  level: 0.7
  text2mel: {{batch: {{global: 4, micro: 2}}, max_steps: 6, save_every: 3, validate_every: 3, threads: 1}}
  mel2wav: {{batch: {{global: 4, micro: 2}}, max_steps: 4, save_every: 2, validate_every: 2, threads: 1}}
  synthesis: {{frames_per_symbol: 1.0, utterances: 2, max_seconds: 0.5}}
likelihood_seconds: 0.3
experiments:
  mel: {{extends: {tiny}, set: {{vocoder_conf: {{lp_shift: false, precision: fp32}}, crops: {{frames: 8}}}}}}
  hop_5ms: {{set: {{features: {{hop: 80}}, crops: {{frames: 20}}, synthesis: {{frames_per_symbol: 2.0}}}}}}
  tacotron1:
    extends: {conf}/paper_tacotron1.yaml
    set:
      reduction: 4
      encoder_conf: {{embedding: 8, prenet: [8, 8], banks: 2, channels: 8, projection: 8, highways: 1, highway: 8, gru: 8}}
      attention_conf: {{dim: 8}}
      decoder_conf: {{prenet: [8, 8], units: 8}}
      postnet_conf: {{banks: 2, channels: 8, projection: 8, highways: 1, highway: 8, gru: 8}}
  linguistic:
    extends: {conf}/paper_wavenet_linguistic.yaml
    set:
      features: {{hop: 80}}
      aligner: {{channels: 8, training: {{max_steps: 4, save_every: 2, validate_every: 2}}}}
      decoder_conf: {{duration_lstm: 8, f0_layers: 2, f0_cycles: 1, f0_channels: 8}}
      vocoder_conf: {{layers: 4, cycles: 2, residual: 8, gate: 8, skip: 8, scales: [8, 10]}}
      crops: {{frames: 20}}
      synthesis: {{frames_per_symbol: 2.0}}
"""


def play(script: Path, work: Path, *options: str, timeout: int = 120, **extra: str) -> subprocess.CompletedProcess[str]:
    paths = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    env = {**os.environ, "TOOLKIT_PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "TOOLKIT_WORK": str(work), "PYTHONPATH": paths, **extra}
    return subprocess.run([str(script), *options], cwd=work, env=env, capture_output=True, text=True, timeout=timeout)


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    """A checkout whose run.sh is the stub, and a work folder with a hostile name in it."""
    recipe = tmp_path / "checkout/recipes/ljspeech"
    recipe.mkdir(parents=True)
    (tmp_path / "checkout/tools").symlink_to(ROOT / "tools")
    for name in ("ablation.sh", "path.sh", "conf"):
        (recipe / name).symlink_to(ROOT / "recipes/ljspeech" / name)
    (recipe / "run.sh").write_text(STUB)
    (recipe / "run.sh").chmod(0o755)
    (tmp_path / "a b'c").mkdir()
    (tmp_path / "a b'c/plan.yaml").write_text(PLAN.replace("small.yaml", str(CONF / "small.yaml")))
    return recipe / "ablation.sh"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--plan", "ablatoin"), "--plan: no such file, got 'ablatoin'; known names: ablation"),
        (("--jobs", "0"), "--jobs: at least 1, got '0'"),
        (("--list", "none.txt"), "--list: no such file, got 'none.txt'"),
        (("--plan", "small"), "experiments: "),
        (("--config", "small"), "ablation.sh: no such option, got '--config'"),
    ],
)
def test_wrong_options_are_one_line(options: tuple[str, ...], message: str, sandbox: Path) -> None:
    result = play(sandbox, sandbox.parents[3], *options)
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("error: ") and (message in result.stderr or "no such key" in result.stderr)


def test_steps_come_in_order_and_one_that_fails_does_not_stop_the_others(sandbox: Path) -> None:
    work = sandbox.parents[3] / "a b'c"
    result = play(sandbox, work, "--plan", "plan.yaml", "--corpus", "mini", "--jobs", "2", FAILS="plan-third")
    calls = [line.split("|")[:-1] for line in (work / "calls").read_text().splitlines()]
    by_name = [(dict(zip(call[::2], call[1::2], strict=True))) for call in calls]
    stages = [(call["--exp"], call["--stage"], call["--stop-stage"], call.get("--predictor", "")) for call in by_name]
    assert stages[:2] == [("plan-first", "0", "4", ""), ("plan-third", "0", "4", "")], "data one after the other"
    assert sorted(stages[2:4]) == [("plan-first", "5", "6", ""), ("plan-third", "5", "6", "")]
    assert sorted(stages[4:]) == [("plan-first", "7", "8", ""), ("plan-second", "5", "8", "plan-first"), ("plan-third", "7", "8", "")]
    assert all(Path(call["--config"]).is_file() and call["--corpus"] == "mini" for call in by_name)
    assert result.returncode == 1 and "failed: error: as asked; log: " in result.stdout
    assert "steps failed; once that is mended, the same command goes on" in result.stderr
    assert "not made" in (work / "ablation/plan/ablation.md").read_text(encoding="utf-8")
    assert not list(work.rglob(".lock"))


@pytest.mark.full
def test_every_cell_is_filled_and_the_same_command_goes_on(corpus: Path, tiny_config: Path, tmp_path: Path) -> None:
    plan, work = tmp_path / "cut.yaml", tmp_path / "a b'c"
    plan.write_text(CUT.format(conf=CONF, tiny=tiny_config))
    work.mkdir()
    sentences = tmp_path / "custom.txt"
    sentences.write_text("1. one two%\n2. it is ten past one\n")
    options = ("--plan", str(plan), "--corpus", str(corpus), "--jobs", "2", "--nj", "1", "--ngpu", "0", "--list", str(sentences))
    script = ROOT / "recipes/ljspeech/ablation.sh"
    killed = play(script, work, *options, timeout=900, TOOLKIT_FAIL="ark.rename:1:KILL")
    assert killed.returncode == 1 and "failed: " in killed.stdout
    done = play(script, work, *options, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    out = work / "ablation/cut"
    data = json.loads((out / "ablation.json").read_text(encoding="utf-8"))
    rows = {f"{table}.{key}": row for table, part in data["tables"].items() for key, row in part["rows"].items() if row["rebuilt"]}
    assert len(rows) == 20 and not any(row["missing"] for row in rows.values())
    for key, row in rows.items():
        assert row["sentences"] == 2 and (row["speech"] == "recording" or row["means"]["mel_cepstral_distortion"]["mean"] > 0), key
        assert not row["vocoder"] or row["speed"]["rtf"] > 0
    assert all(rows[f"vocoder_training.{key}"]["means"]["nats"]["mean"] > 0 for key in ("predicted_truth", "truth_predicted"))
    assert (out / "ablation.html").read_text(encoding="utf-8").count("<audio") >= 40
    assert "list-custom" not in (out / "ablation.md").read_text(encoding="utf-8") and data["lists"]["custom"]["body"][0][1] == "2"
    assert [path.resolve().parent.name for path in (work / "exp/cut-truth").glob("gta")] == ["cut-mel"]
