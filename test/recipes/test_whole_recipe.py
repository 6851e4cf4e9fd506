"""The whole recipe on a cut-down mini: what it leaves, what it skips, and what a killed stage gives when it is run again."""

from __future__ import annotations

import ast
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.audio.wave import probe
from toolkit.data import kaldi
from toolkit.data.store import FeatureStore

Finished = tuple[Path, str]
DATED = {"train.log", "RESULTS.md", "report.html", "scores.json", "utterances.jsonl", ".lock", "run.log", "clock.json", "training_card.md"}


def tree(folder: Path, work: Path) -> dict[str, str]:
    """Hashes of all files but logs, event files and dated ones; the folder's own path is taken out of texts."""
    hashes = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if not path.is_file() or path.name in DATED or {"tensorboard", "log", ".stages"} & set(inner.parts):
            continue
        if path.name.startswith("."):
            continue
        content = path.read_bytes().replace(str(work).encode(), b"WORK")
        hashes[str(inner)] = hashlib.sha256(content).hexdigest()
    return hashes


def test_a_run_leaves_what_is_promised(finished: Finished) -> None:
    work, printed = finished
    experiment = work / "exp" / "tiny"
    for name in ("text2mel", "mel2wav"):
        for left in ("train.log", "metrics.jsonl", "training_card.md", "checkpoints", "images/loss.png", "tensorboard"):
            assert (experiment / name / left).exists(), f"{name}/{left}"
    for left in ("config.yaml", "RESULTS.md", "report.html", "speech/eval/free", "speech/eval/copy", "gta/index.json", "gta/gap.json"):
        assert (experiment / left).exists(), left
    report = (experiment / "report.html").read_text(encoding="utf-8")
    assert report.count("<audio") >= 8 and report.count("<img") >= 6
    assert str(experiment / "report.html") in printed and " say " in printed.splitlines()[-1]
    dump = next(path.parent.parent for path in (work / "dump").rglob("eval/text"))
    words, first = shlex.split(printed.splitlines()[-1]), (dump / "eval/text").read_text(encoding="utf-8").splitlines()[0]
    assert words[words.index("say") + 1] == first.partition(" ")[2], "a sentence of this corpus"
    assert not list(work.rglob("*.tmp")) and not list(work.rglob("PWN"))


def test_gta_frames_times_hop_are_the_samples(finished: Finished) -> None:
    work, _ = finished
    index = json.loads((work / "exp/tiny/gta/index.json").read_text())
    dump = next(path.parent.parent for path in (work / "dump").rglob("train/wav.scp"))
    assert set(index["splits"]) == {"train", "dev", "eval"}
    for split, frames in index["splits"].items():
        store = FeatureStore(work / "exp/tiny/gta" / split / "feats.scp")
        waves = kaldi.read_map(dump / split / "wav.scp")
        assert set(waves) == set(store.ids) == set(frames)
        for key, path in waves.items():
            assert len(store.load(key)) * index["hop"] == frames[key] * index["hop"] == probe(kaldi.to_path(path)).samples


def test_finished_stages_are_skipped(finished: Finished, run_recipe) -> None:
    work, _ = finished
    before = tree(work, work)
    again = run_recipe(work)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("skipped") + again.stdout.count("finished") >= 9, again.stdout
    assert tree(work, work) == before


def test_another_attention_reuses_the_data_stages(finished: Finished, run_recipe) -> None:
    work, _ = finished
    done = run_recipe(work, "--set", "attention=content", "--exp", "content", "--stop-stage", "text2mel")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("skipped") + done.stdout.count("finished") >= 4, done.stdout
    assert "attention: content" in (work / "exp/content/config.yaml").read_text()
    report = (work / "exp/content/report.html").read_text(encoding="utf-8")
    assert "location_sensitive" in report and report.count("<audio") >= 4  # both alignments, and speech through Griffin-Lim


def test_say_with_what_the_run_left(finished: Finished, tmp_path: Path) -> None:
    work, _ = finished
    command = [sys.executable, "-m", "toolkit", "say", "one two", "--model", str(work / "exp/tiny"), "--out", str(tmp_path / "a.wav")]
    said = subprocess.run([*command, "--vocoder", "griffin_lim"], capture_output=True, text=True)
    assert said.returncode in (0, 3), said.stderr
    assert probe(tmp_path / "a.wav").sample_rate == 16000


KILLS = [
    ("2", "ark.fsync:1:KILL"),
    ("3", "data.rename:5:KILL"),
    ("4", "statistics.fsync:1:KILL"),
    ("5", "checkpoint.fsync:4:KILL"),
    ("6", "ark.rename:2:KILL"),
    ("7", "checkpoint.rename:2:KILL"),
    ("8", "wave.rename:3:KILL"),
]


@pytest.mark.parametrize(("stage", "fail"), KILLS)
def test_a_killed_stage_run_again_gives_the_same_bytes(stage: str, fail: str, finished: Finished, run_recipe, tmp_path: Path) -> None:
    done, _ = finished
    work = tmp_path / "work"
    before = run_recipe(work, "--stop-stage", str(int(stage) - 1))
    assert before.returncode == 0, before.stdout + before.stderr
    first = run_recipe(work, "--stop-stage", stage, TOOLKIT_FAIL=fail)
    assert first.returncode != 0 and f"--stage {stage}" in first.stdout + first.stderr
    second = run_recipe(work, "--stop-stage", stage)
    assert second.returncode == 0, second.stdout + second.stderr
    made, expected = tree(work, work), tree(done, done)
    assert {key: value for key, value in expected.items() if key in made} == made
    shutil.rmtree(work)


def test_a_training_step_is_few_lines(finished: Finished, tiny_config: Path, tmp_path: Path) -> None:
    """Lines within functions of toolkit/ that steps of text2mel execute, from the command to the sealed checkpoint.

    The training is stopped at its first checkpoint, so that no validation, which speaks and draws, comes in between.
    """
    coverage = pytest.importorskip("coverage")
    work, _ = finished
    dump = next(path.parent.parent for path in (work / "dump").rglob("train/wav.scp"))
    record = tmp_path / "lines"
    command = [sys.executable, "-m", "coverage", "run", f"--data-file={record}", "--rcfile=/dev/null", "--source=toolkit", "-m", "toolkit"]
    options = ["train", "text2mel", "--config", str(tiny_config), "--data", str(dump), "--exp", str(tmp_path / "exp")]
    many = [f"--set=text2mel.{name}" for name in ("max_steps=100000", "validate_every=100000", "save_every=1")]
    with subprocess.Popen([*command, *options, *many], stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as training:
        assert training.stderr is not None and any("wrote" in line for line in training.stderr)
        training.terminate()
        said = training.stderr.read()
    assert "checkpoint written" in said, said
    data = coverage.CoverageData(str(record))
    data.read()
    executed = 0
    for path in data.measured_files():
        functions = [node for node in ast.walk(ast.parse(Path(path).read_text())) if isinstance(node, ast.FunctionDef)]
        bodies = {line for node in functions for line in range(node.body[0].lineno, (node.end_lineno or 0) + 1)}
        executed += len(bodies & set(data.lines(path) or []))
    assert 1000 < executed <= 1800


def test_two_processes_train_the_same(finished: Finished, run_recipe) -> None:
    work, _ = finished
    options = ("--exp", "two", "--stop-stage", "text2mel", "--nproc", "2")
    done = run_recipe(work, *options)
    assert done.returncode == 0, done.stdout + done.stderr

    def losses(name: str) -> list[float]:
        rows = [json.loads(line) for line in (work / "exp" / name / "text2mel/metrics.jsonl").read_text().splitlines()]
        return [value for row in rows for key, value in sorted(row.items()) if "loss" in key and isinstance(value, float)]

    assert losses("two") and losses("two") == pytest.approx(losses("tiny"), rel=1e-4)
