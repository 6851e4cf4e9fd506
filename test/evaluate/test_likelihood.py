"""Nats a sample: the same in crops as in one piece, lower where the vocoder knows more, refused where there are none."""

from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.audio import wave as wave_files
from toolkit.data import kaldi
from toolkit.data.store import FeatureStore, write_features
from toolkit.errors import ConfigError, DataError
from toolkit.evaluate import likelihood
from toolkit.evaluate.likelihood import nats
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import load_system

MINI = Path(__file__).parents[2] / "recipes" / "ljspeech" / "conf" / "mini.yaml"
TINY = [
    "vocoder_conf.residual=6", "vocoder_conf.gate=5", "vocoder_conf.skip=7", "vocoder_conf.condition=4",
    "vocoder_conf.dilations=[1, 2, 4, 8]", "vocoder_conf.mixtures=3",
]  # fmt: skip
FRAMES = {"a": 23, "b": 7}
HOP = 200


@pytest.fixture(scope="module")
def task() -> Mel2Wav:
    torch.manual_seed(0)
    return Mel2Wav(load_system(MINI, TINY)).eval()


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Two utterances of random frames and noise."""
    folder, generator = tmp_path / "eval", np.random.default_rng(0)
    for key, frames in FRAMES.items():
        with (tmp_path / f"{key}.wav").open("wb") as file:
            wave_files.write(file, 0.1 * generator.normal(size=frames * HOP).clip(-3, 3).astype(np.float32), 16000)
    kaldi.write(
        folder, [kaldi.Utterance(key, tmp_path / f"{key}.wav", "one two", "s", frames * HOP / 16000) for key, frames in FRAMES.items()]
    )
    kaldi.write_map(folder / "utt2num_frames", {key: str(frames) for key, frames in FRAMES.items()})
    write_features(folder, "mel", {key: generator.normal(-3, 1, (frames, 80)).astype(np.float32) for key, frames in FRAMES.items()})
    return folder


def whole(task: Mel2Wav, split: Path, key: str) -> float:
    """The same by the vocoder's own method, in one piece."""
    mel = torch.from_numpy(FeatureStore(split / "feats.scp").load(key).copy())[None]
    wave = torch.from_numpy(wave_files.read(split.parent / f"{key}.wav", None))[None]
    with torch.inference_mode():
        return -float(task.vocoder.log_likelihood(mel, wave, torch.tensor([mel.shape[1]])))


@pytest.mark.parametrize(("seconds", "rows"), [(0.05, 4), (0.1, 1), (10.0, 2)])
def test_crops_add_up_to_the_whole_utterance(task: Mel2Wav, split: Path, monkeypatch, seconds: float, rows: int) -> None:
    monkeypatch.setattr(likelihood, "CROP_SECONDS", seconds)
    monkeypatch.setattr(likelihood, "ROWS", rows)
    found = nats(task, split, split / "feats.scp")
    assert list(found) == ["a", "b"]
    for key, value in found.items():
        assert value == pytest.approx(whole(task, split, key), abs=1e-4)


def test_only_the_utterances_and_seconds_asked_for(task: Mel2Wav, split: Path) -> None:
    assert list(nats(task, split, split / "feats.scp", ["b"])) == ["b"]
    start = nats(task, split, split / "feats.scp", max_seconds=0.1)["a"]  # 8 of 23 frames
    assert start != pytest.approx(nats(task, split, split / "feats.scp")["a"], abs=1e-6)
    assert nats(task, split, split / "feats.scp", max_seconds=9.0) == nats(task, split, split / "feats.scp")


def test_conditions_matter(task: Mel2Wav, split: Path, tmp_path: Path) -> None:
    write_features(tmp_path, "other", {key: np.full((frames, 80), -9.0, np.float32) for key, frames in FRAMES.items()})
    assert nats(task, split, split / "feats.scp") != nats(task, split, tmp_path / "feats.scp")


def test_a_vocoder_without_a_likelihood_and_an_unknown_utterance_are_refused(task: Mel2Wav, split: Path) -> None:
    plain = Mel2Wav(load_system(MINI, ["vocoder=griffin_lim", "vocoder_conf={iterations: 2}"])).eval()
    with pytest.raises(ConfigError, match="'griffin_lim' has no likelihood"):
        nats(plain, split, split / "feats.scp")
    with pytest.raises(DataError, match="no such utterance, got 'c'"):
        nats(task, split, split / "feats.scp", ["c"])
