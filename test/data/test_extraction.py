"""From recordings to a data directory with features."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from toolkit.audio import wave
from toolkit.audio.f0 import energy, f0
from toolkit.audio.mel import MelSettings, log_mel
from toolkit.audio.trim import Trim
from toolkit.data import extraction as module
from toolkit.data import kaldi
from toolkit.data.extraction import check_features, extract
from toolkit.data.kaldi import Utterance
from toolkit.data.shards import Extraction, Shard, extract_shard
from toolkit.data.store import FeatureStore
from toolkit.errors import ConfigError, DataError

FEATURES = MelSettings(8000, 100, 400, 512, 20, 60.0, 3800.0, 1e-3, band_norm="sum")
WORK = Extraction(FEATURES, Trim(), 0.7, ("f0", "energy"))


def record(path: Path, seconds: float, hertz: float, rate: int = 8000) -> None:
    time = np.arange(int(seconds * rate)) / rate
    tone = np.where((time > 0.2) & (time < seconds - 0.3), 0.2 * np.sign(np.sin(2 * np.pi * hertz * time)), 0)
    wave.write(path, tone.astype(np.float32), rate)


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "in").mkdir()
    utterances = []
    for number in range(5):
        path = tmp_path / "in" / f"r {number}.wav"
        record(path, 1 + 0.1 * number, 100 + 10 * number, rate=8000 if number % 2 else 16000)
        utterances.append(Utterance(f"u{number}", path, f"text {number}", "s", 1 + 0.1 * number))
    kaldi.write(tmp_path / "data", utterances)
    (tmp_path / "data" / "dev.list").write_text("u1\n")
    return tmp_path


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(module, "SHARD", 2)


class InProcess:
    """Stands in for the pool of processes."""

    def __init__(self, *_, **__):
        self.ran = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, function, *arguments):
        result = function(*arguments)
        return type("Done", (), {"result": staticmethod(lambda: result)})

    def shutdown(self, cancel_futures):
        pass


@pytest.fixture
def in_process(monkeypatch):
    monkeypatch.setattr(module, "ProcessPoolExecutor", InProcess)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_frames_times_hop_is_samples_and_the_wave_gives_the_mel_again(corpus, in_process):
    out = corpus / "out dir"
    lines = []
    frames = extract(corpus / "data", out, WORK, 1, lines.append)
    assert lines[-1] == "features: 5 of 5 utterances"
    stores = {name: FeatureStore(out / f"{name}.scp") for name in ("feats", "f0", "energy")}
    counts = kaldi.read_map(out / "utt2num_frames")
    assert frames == sum(map(int, counts.values()))
    for utterance in kaldi.read(out):
        kept = wave.read(utterance.wav)
        mel = stores["feats"].load(utterance.id)
        assert len(mel) == int(counts[utterance.id]) and len(mel) * 100 == len(kept)
        assert utterance.seconds == pytest.approx(len(kept) / 8000) and utterance.seconds < 1.1
        assert np.abs(kept).max() == pytest.approx(0.7, abs=1e-4)
        np.testing.assert_allclose(mel, log_mel(kept, FEATURES), atol=1e-5)
        np.testing.assert_allclose(stores["f0"].load(utterance.id), f0(kept, FEATURES), rtol=1e-5)
        np.testing.assert_allclose(stores["energy"].load(utterance.id), energy(kept, FEATURES), rtol=1e-4)
    assert (out / "dev.list").read_text() == "u1\n" and kaldi.read(out)[3].text == "text 3"
    header, first, *_ = (out / "trimmed.tsv").read_text().splitlines()
    assert header == "id\tseconds\tcut_at_start\tcut_at_end"
    name, seconds, start, end = first.split("\t")
    assert name == "u0" and float(seconds) == 1 and 0.1 < float(start) < 0.2 and 0.15 < float(end) < 0.25


def test_processes_give_the_same_bytes(corpus, in_process, monkeypatch):
    extract(corpus / "data", corpus / "out", WORK, 1, print)
    alone = tree(corpus / "out")
    for path in (corpus / "out").rglob("*.stamp"):
        path.unlink()
    monkeypatch.undo()
    monkeypatch.setattr(module, "SHARD", 2)
    extract(corpus / "data", corpus / "out", WORK, 2, print)
    assert tree(corpus / "out") == alone


def test_a_finished_shard_is_skipped_and_a_changed_one_made_again(corpus):
    parts = kaldi.read(corpus / "data")[:2]
    shard = Shard(0, parts, corpus / "out")
    first, _ = extract_shard(shard, WORK)
    ark = shard.ark("mel")
    before = ark.stat().st_ino
    assert extract_shard(shard, WORK)[0] == first and ark.stat().st_ino == before
    record(parts[0].wav, 1.5, 200)
    second, _ = extract_shard(shard, WORK)
    assert second["u0"].frames > first["u0"].frames and ark.stat().st_ino != before
    other = dataclasses.replace(WORK, level=0.3)
    before = ark.stat().st_ino
    extract_shard(shard, other)
    assert ark.stat().st_ino != before
    shard.wav("u1").write_bytes(b"damaged")
    extract_shard(shard, other)
    assert len(wave.read(shard.wav("u1"))) == second["u1"].frames * 100


def test_all_bad_recordings_are_named_and_a_second_try_finishes(corpus, in_process):
    recordings = [u.wav for u in kaldi.read(corpus / "data")]
    good = recordings[1].read_bytes()
    bad = [recordings[1], recordings[2], recordings[4]]
    bad[0].write_bytes(b"RIFF")
    wave.write(bad[1], np.zeros(8000, np.float32), 8000)
    bad[2].unlink()
    with pytest.raises(DataError) as caught:
        extract(corpus / "data", corpus / "out", WORK, 1, print)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(str(path)) for line, path in zip(lines, bad, strict=True))
    assert "silent" in lines[1] and not (corpus / "out" / "feats.scp").exists()
    for path in bad:
        path.write_bytes(good)
    extract(corpus / "data", corpus / "out", WORK, 1, print)
    assert len(FeatureStore(corpus / "out" / "feats.scp")) == 5


def test_what_another_run_left_is_removed(corpus, in_process):
    extract(corpus / "data", corpus / "out", WORK, 1, print)
    kaldi.write(corpus / "data", kaldi.read(corpus / "data")[:2])
    extract(corpus / "data", corpus / "out", dataclasses.replace(WORK, extras=()), 1, print)
    assert {path.name for path in (corpus / "out" / "wav").iterdir()} == {"u0.wav", "u1.wav"}
    assert {path.name for path in (corpus / "out" / "arks").iterdir()} == {"mel.0.ark", "mel.0.scp", "table.0.json", ".0.stamp"}


def test_features_json_is_checked_field_by_field(corpus, in_process):
    extract(corpus / "data", corpus / "out", WORK, 1, print)
    path = corpus / "out" / "features.json"
    check_features(path, FEATURES)
    with pytest.raises(DataError, match="f_min: 0 here, 60 there; .*again"):
        check_features(path, dataclasses.replace(FEATURES, f_min=0.0))
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "fingerprint": "0"}))
    with pytest.raises(DataError, match="another definition"):
        check_features(path, FEATURES)
    path.write_text("{}")
    with pytest.raises(DataError, match="cannot be read"):
        check_features(path, FEATURES)


def test_wrong_requests_are_refused(corpus):
    with pytest.raises(ConfigError, match="--nj"):
        extract(corpus / "data", corpus / "out", WORK, 0, print)
    with pytest.raises(ConfigError, match="--out"):
        extract(corpus / "data", corpus / "data", WORK, 1, print)
    with pytest.raises(ConfigError, match="level"):
        dataclasses.replace(WORK, level=0.0)
    with pytest.raises(ConfigError, match="did you mean 'energy'"):
        dataclasses.replace(WORK, extras=("energi",))
