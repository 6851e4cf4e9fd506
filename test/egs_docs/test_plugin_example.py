"""The example of a plugin is a wheel that, once installed, trains, resumes and speaks, without one line changed in the toolkit."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "egs_docs/plugin_example"
MINI = ROOT / "recipes/ljspeech/mini"
TINY = """
extends: {mini}
attention: sharp
vocoder: frames
tokenizer: phone
tokenizer_conf: {{g2p: spelling}}
reduction: 8
encoder_conf: {{embedding: 8, channels: 8, lstm: 8, layers: 1}}
decoder_conf: {{prenet: [8, 8], lstm: 8}}
postnet_conf: {{channels: 8, layers: 2}}
text2mel: {{batch: {{global: 4, micro: 4}}, max_steps: 2, save_every: 2, validate_every: 2, threads: 1}}
mel2wav: {{batch: {{global: 2, micro: 2}}, max_steps: 2, save_every: 2, validate_every: 2, threads: 1}}
crops: {{frames: 4, input: natural}}
synthesis: {{stop_threshold: 0.0}}
"""
# the stages, one after the other in one process; what a verb prints stands between its name and its exit code, of which 3 is
# that of a voice that did not find its end
PLAY = """
import shutil, sys
from toolkit.bin.main import console, main
sys.modules["pytest"] = None  # whoever imports it fails
conf = ["--config", "tiny.yaml"]
train = lambda task, *more: ["train", task, *conf, "--data", "dump", "--exp", "exp", "--device", "cpu", *more]
def play(*words):
    print(">", *words, flush=True)
    print("=", main(words), flush=True)
play("parts", "vocoder")
play("check-plugin", "example")
play("prepare", "--corpus", "corpus", "--out", "data")
play("extract", *conf, "--data", "data", "--out", "features", "--nj", "2")
play("split", *conf, "--data", "features", "--out", "dump")
shutil.copy("features/features.json", "dump")
play("tokens", *conf, "--text", "dump/train/text", "--out", "dump/tokens.txt")
play("stats", "--data", "dump/train", "--out", "dump/stats.npz")
play(*train("text2mel"))
play(*train("text2mel", "--set", "text2mel.max_steps=4"))
play(*train("mel2wav"))
play(*train("mel2wav", "--set", "mel2wav.max_steps=4"))
play("say", "seven", "--model", "exp", "--out", "seven.wav")
"""


def corpus(folder: Path) -> None:
    """The first ten digits and a split of their own."""
    rows = [row for row in (MINI / "metadata.csv").read_text().splitlines() if row.startswith("mini-d")][:10]
    names = [row.partition("|")[0] for row in rows]
    for name in ("wavs", "splits"):
        (folder / name).mkdir(parents=True)
    for name in names:
        shutil.copy(MINI / f"wavs/{name}.ogg", folder / "wavs")
    (folder / "metadata.csv").write_text("".join(f"{row}\n" for row in rows))
    (folder / "splits/dev.list").write_text(f"{names[-2]}\n")
    (folder / "splits/eval.list").write_text(f"{names[-1]}\n")


def python(folder: Path, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("TOOLKIT_PLUGINS", "PYTHONPATH")}
    env = {**kept, "OMP_NUM_THREADS": "1", "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "CUDA_VISIBLE_DEVICES": ""}
    env |= {"PYTHONPATH": path} if path else {}
    return subprocess.run([sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the example's wheel is installed."""
    if not all(importlib.util.find_spec(name) for name in ("pip", "setuptools")):
        pytest.skip("pip and setuptools make the wheel")
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(EXAMPLE, folder / "source")
    made = python(folder, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", "./source")
    assert made.returncode == 0, made.stdout + made.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    done = python(folder, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--target", "site", str(wheel))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def test_an_installed_wheel_trains_resumes_and_speaks(site: Path, tmp_path: Path) -> None:
    corpus(tmp_path / "corpus")
    (tmp_path / "tiny.yaml").write_text(TINY.format(mini=ROOT / "recipes/ljspeech/conf/mini.yaml"))
    done = python(tmp_path, "-c", PLAY, path=os.pathsep.join([str(ROOT), str(site)]))
    words = done.stdout.splitlines()
    failed = [line for line in words if line.startswith("= ") and line not in ("= 0", "= 3")]
    assert done.returncode == 0 and not failed, done.stdout + done.stderr
    for line in ("attention sharp: contract: ok", "vocoder frames: contract: ok", "g2p spelling: contract: ok"):
        assert line in words
    assert set((tmp_path / "dump/tokens.txt").read_text().split()) >= set("sevn")
    for task in ("text2mel", "mel2wav"):
        validated = (tmp_path / f"exp/{task}/metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in validated] == [2, 4], "the second training goes on where the first ended"
    assert (tmp_path / "seven.wav").stat().st_size > 44
    assert "attention.sharp: toolkit_example_parts.attention (toolkit-example-parts 1.0)" in (tmp_path / "exp/config.yaml").read_text()
    lost = python(tmp_path, "-m", "toolkit", "say", "seven", "--model", "exp", path=str(ROOT))
    assert lost.returncode == 2 and lost.stderr == (
        "error: exp/config.yaml: attention 'sharp' comes from plugin toolkit_example_parts.attention (toolkit-example-parts 1.0); "
        "give --plugin toolkit_example_parts.attention\n"
    )


@pytest.mark.parametrize("name", ["attention", "g2p", "vocoder"])
def test_a_part_of_the_example_is_short(name: str) -> None:
    text = (EXAMPLE / f"toolkit_example_parts/{name}.py").read_text(encoding="utf-8")
    body = text[text.index("@") :]
    assert sum(bool(line.strip()) for line in body.splitlines()) <= 20
