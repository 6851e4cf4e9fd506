"""What training on predicted mels is worth: planted values come out with their intervals, and experiments are not mixed up."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.audio import wave as wave_files
from toolkit.data import kaldi
from toolkit.data.store import write_features
from toolkit.errors import ConfigError, DataError
from toolkit.evaluate import gta_effect as module
from toolkit.evaluate.gta_effect import as_markdown, gta_effect, summarise, write
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import load_system

MINI = Path(__file__).parents[2] / "recipes" / "ljspeech" / "conf" / "mini.yaml"
TINY = [
    "vocoder_conf.residual=4",
    "vocoder_conf.gate=4",
    "vocoder_conf.skip=4",
    "vocoder_conf.condition=4",
    "vocoder_conf.dilations=[1, 2]",
]
CELLS = [("nats", "predicted"), ("nats", "natural"), ("distortion", "predicted"), ("distortion", "natural")]


def planted(shift: float, seed: int = 0, utterances: int = 30) -> dict:
    """Values that differ by utterance far more than by training."""
    base = np.random.default_rng(seed).normal(5.0, 1.0, utterances)
    return {cell: {f"u{i}": float(value + shift) for i, value in enumerate(base)} for cell in CELLS}


def test_means_differences_and_trainings_are_those_that_were_planted(tmp_path: Path) -> None:
    effect = summarise({"predicted": [planted(0.0), planted(0.2)], "natural": [planted(0.3)]})
    difference = effect.differences["nats", "predicted"]
    assert difference.mean == pytest.approx(-0.2) and difference.high < 0
    assert effect.means["natural"]["nats", "natural"].low < effect.means["predicted"]["nats", "natural"].high  # apart, no order
    singles = effect.trainings["predicted"]["nats", "predicted"]
    assert singles[1] - singles[0] == pytest.approx(0.2)
    write(effect, tmp_path)
    data = json.loads((tmp_path / "gta_effect.json").read_text())
    assert data["difference"]["distortion, natural"]["mean"] == pytest.approx(-0.2) and data["utterances"]["nats"] == 30
    assert (tmp_path / "gta_effect.md").read_text() == as_markdown(effect)
    assert "| difference | -0.200 [-0.200, -0.200] |" in as_markdown(effect)


def test_trainings_that_were_measured_on_different_utterances_are_refused() -> None:
    with pytest.raises(DataError, match="different utterances"):
        summarise({"predicted": [planted(0.0)], "natural": [planted(0.3, utterances=29)]})


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders ``gta`` and ``natural`` with tiny vocoders, predicted mels, and data of three utterances."""
    generator, frames = np.random.default_rng(0), {"a": 9, "b": 12, "c": 7}
    for key, count in frames.items():
        with (tmp_path / f"{key}.wav").open("wb") as file:
            wave_files.write(file, 0.1 * generator.normal(size=count * 200).clip(-3, 3).astype(np.float32), 16000)
    entries = [kaldi.Utterance(key, tmp_path / f"{key}.wav", "one", "s", count * 200 / 16000) for key, count in frames.items()]
    kaldi.write(tmp_path / "data/eval", entries)
    kaldi.write_map(tmp_path / "data/eval/utt2num_frames", {key: str(count) for key, count in frames.items()})
    for folder in (tmp_path / "data/eval", tmp_path / "gta/gta/eval"):
        folder.mkdir(parents=True, exist_ok=True)
        write_features(folder, "mel", {key: generator.normal(-3, 1, (count, 80)).astype(np.float32) for key, count in frames.items()})

    def load(folder: Path) -> Mel2Wav:
        torch.manual_seed(len(folder.name))
        task = Mel2Wav(load_system(MINI, [*TINY, f"crops.input={folder.name}"])).eval()
        task.folder = folder
        return task

    monkeypatch.setattr(module, "load_mel2wav", load)
    return tmp_path


def test_every_cell_of_real_networks_is_measured(experiments: Path) -> None:
    effect = gta_effect([experiments / "gta"], [experiments / "natural"], experiments / "data", 3, 2)
    assert set(effect.differences) == set(CELLS) and effect.utterances == {"nats": 3, "distortion": 2}
    assert all(np.isfinite(value).all() for row in effect.means.values() for value in row.values())
    assert effect.means["predicted"]["nats", "predicted"].mean != effect.means["predicted"]["nats", "natural"].mean


def test_a_vocoder_that_was_trained_on_the_other_mels_is_refused(experiments: Path) -> None:
    with pytest.raises(ConfigError, match="must be 'natural' of a vocoder trained on natural mels, got 'gta'"):
        gta_effect([experiments / "gta"], [experiments / "gta"], experiments / "data")
