"""Features to micro-batches: crops, edges, counts, and the errors of data that do not fit together."""

from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.audio import wave
from toolkit.data import kaldi
from toolkit.data.dataset import TextMelData, WaveData
from toolkit.data.store import ArkWriter, write_features
from toolkit.errors import DataError

HOP, FRAMES = 10, {"a": 7, "b": 3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Utterances a and b; sample n and frame t tell their own position."""
    rows = []
    for key, frames in FRAMES.items():
        path = tmp_path / f"{key}.wav"
        wave.write(path, np.arange(1, frames * HOP + 1, dtype=np.float32) / 1000, 8000)
        rows.append(kaldi.Utterance(key, path, f"text {key}", "s", frames * HOP / 8000))
    kaldi.write(tmp_path, rows)
    kaldi.write_map(tmp_path / "utt2num_frames", {key: str(frames) for key, frames in FRAMES.items()})
    mels = {key: np.arange(1, frames + 1, dtype=np.float32)[:, None] * np.ones((1, 2), np.float32) for key, frames in FRAMES.items()}
    write_features(tmp_path, "mel", mels)
    return tmp_path


def test_text_batches_are_padded_with_zeros_and_carry_global_counts(folder: Path) -> None:
    data = TextMelData(folder, lambda text: [ord(text[-1]), 1], HOP)
    counts = data.counts([0, 1], (1, 2, 3))
    assert counts == (2, 10, 100)
    batch = data.load([1, 0], counts, (1, 2, 3))
    assert batch.ids == ["b", "a"] and batch.mel.shape == (2, 7, 2) and batch.mel_lengths.tolist() == [3, 7]
    assert not batch.mel[0, 3:].any() and batch.tokens.tolist() == [[98, 1], [97, 1]]
    assert batch.counts == counts and batch.key == (1, 2, 3)


@pytest.mark.parametrize("seed", range(6))
def test_crops_hold_samples_and_frames_of_the_same_place(folder: Path, seed: int) -> None:
    data = WaveData(folder, folder / "feats.scp", HOP, crop=2, context=3, lookahead=1)
    batch = data.load([0, 1], data.counts([0, 1], (seed, 0, 0)), (seed, 0, 0))
    assert batch.wave.shape == (2, 50) and batch.condition.shape == (2, 6, 2) and batch.counts.samples == 40
    for row, frames in enumerate(FRAMES.values()):
        first = int(batch.first[row])
        places = torch.arange(first, first + 6)
        assert torch.equal(batch.condition[row, :, 0], places.clamp(0, frames - 1) + 1.0)  # the edge frame is repeated
        samples = torch.arange(first * HOP, (first + 5) * HOP)
        inside = (samples >= 0) & (samples < frames * HOP)
        assert torch.allclose(batch.wave[row], (samples + 1) / 1000 * inside, atol=1e-4)
        assert int(batch.ends[row]) == min(50, (frames - first) * HOP)
    again = data.load([0, 1], batch.counts, (seed, 0, 0))
    assert torch.equal(again.wave, batch.wave)


def test_crops_move_with_the_key_and_short_utterances_are_taken_whole(folder: Path) -> None:
    data = WaveData(folder, folder / "feats.scp", HOP, crop=5, context=0, lookahead=0)
    starts = {int(data.load([0], data.counts([0], (s, 0, 0)), (s, 0, 0)).first[0]) for s in range(40)}
    assert starts == {0, 1, 2}
    short = data.load([1], data.counts([1], (0, 0, 0)), (0, 0, 0))
    assert int(short.first[0]) == 0 and int(short.ends[0]) == 30 and short.counts.samples == 30


def test_data_that_do_not_fit_together_are_refused(folder: Path) -> None:
    kaldi.write_map(folder / "utt2num_frames", {"a": "8", "b": "3"})
    with pytest.raises(DataError, match="a: 7 frames in the features, 8 in utt2num_frames"):
        TextMelData(folder, lambda text: [1], HOP).mel(0)
    kaldi.write_map(folder / "utt2num_frames", {"a": "7"})
    with pytest.raises(DataError, match="1 utterances have no features, such as b"):
        TextMelData(folder, lambda text: [1], HOP)
    kaldi.write_map(folder / "utt2num_frames", {"a": "7", "b": "3"})
    data = WaveData(folder, folder / "feats.scp", 9, crop=2, context=0, lookahead=0)
    with pytest.raises(DataError, match="70 samples, its 7 frames need 63"):
        data.load([0], data.counts([0], (0, 0, 0)), (0, 0, 0))


def beside(folder: Path, name: str, rows: dict[str, list[float]]) -> None:
    """Write ``<name>.scp`` of vectors."""
    with ArkWriter(folder / f"{name}.ark", folder / f"{name}.scp") as writer:
        for key, values in rows.items():
            writer.add(key, np.array(values, np.float32))


def test_durations_f0_and_energy_come_along_where_they_are_needed(folder: Path) -> None:
    beside(folder, "durations", {"a": [3, 4], "b": [3, 0]})
    beside(folder, "f0", {key: [100.0 + t for t in range(frames)] for key, frames in FRAMES.items()})
    beside(folder, "energy", {key: [2.0 + t for t in range(frames)] for key, frames in FRAMES.items()})
    data = TextMelData(folder, lambda text: [2, 1], HOP, ("durations", "f0", "energy"))
    batch = data.load([1, 0], data.counts([1, 0], (0, 0, 0)), (0, 0, 0))
    assert batch.durations is not None and batch.f0 is not None
    assert batch.durations.dtype == torch.int64 and batch.durations.tolist() == [[3, 0], [3, 4]]
    assert batch.f0[0].tolist() == [100, 101, 102, 0, 0, 0, 0]
    assert batch.energy is not None and batch.energy[0].tolist() == [2, 3, 4, 0, 0, 0, 0]
    assert TextMelData(folder, lambda text: [2, 1], HOP).load([0], batch.counts, (0, 0, 0)).durations is None


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("durations", {"a": [3, 3], "b": [1, 2]}, "a: durations of 2 symbols and 6 frames, it has 2 and 7; align again"),
        ("durations", {"a": [3, 2, 2], "b": [1, 2]}, "a: durations of 3 symbols and 7 frames, it has 2 and 7; align again"),
        ("f0", {"a": [1.0] * 6, "b": [1.0] * 3}, "a: F0 of 6 frames, it has 7; extract features again"),
        ("energy", {"a": [1.0] * 8, "b": [1.0] * 3}, "a: energy of 8 frames, it has 7; extract features again"),
    ],
)
def test_what_stands_beside_and_does_not_fit_is_refused(folder: Path, name: str, rows: dict[str, list[float]], message: str) -> None:
    with pytest.raises(DataError, match=f"has no {name}.scp, which this decoder is trained on; "):
        TextMelData(folder, lambda text: [2, 1], HOP, (name,))
    beside(folder, name, rows)
    data = TextMelData(folder, lambda text: [2, 1], HOP, (name,))
    with pytest.raises(DataError, match=message):
        data.load([0], data.counts([0], (0, 0, 0)), (0, 0, 0))
