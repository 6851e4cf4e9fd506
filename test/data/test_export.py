"""Features for other programs: read back by kaldiio, numpy and h5py, all at once or not at all, and never over something else."""

import json
import sys
from pathlib import Path

import kaldiio
import numpy as np
import pytest

from toolkit.bin.main import main
from toolkit.data.export import export
from toolkit.data.store import ArkWriter
from toolkit.data.writing import WriteError
from toolkit.errors import ConfigError, DataError

MELS = {key: np.random.default_rng(place).normal(size=(3 + place, 4)).astype(np.float32) for place, key in enumerate(("u1", "u2", "u10"))}
FACTS = '{"fingerprint": "abc", "features": {"hop": 200}}\n'


def features(folder: Path, keys: tuple[str, ...] = ("u1", "u2", "u10"), f0: bool = False) -> Path:
    folder.mkdir(parents=True)
    with ArkWriter(folder / "mel.ark", folder / "feats.scp") as writer:
        for key in keys:
            writer.add(key, MELS[key])
    if f0:
        with ArkWriter(folder / "pitch.ark", folder / "f0.scp") as writer:
            for key in keys:
                writer.add(key, MELS[key][:, 0])
    return folder


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """A folder of features with two sets."""
    features(tmp_path / "dump/train", ("u1", "u10"), f0=True)
    features(tmp_path / "dump/dev", ("u2",))
    (tmp_path / "dump/features.json").write_text(FACTS)
    return tmp_path / "dump"


def test_kaldi_files_are_read_by_kaldiio(dump: Path, tmp_path: Path) -> None:
    assert export(dump, "kaldi", tmp_path / "out") == {"dev": 1, "train": 2}
    read = kaldiio.load_scp(str(tmp_path / "out/train/feats.scp"))
    assert list(read) == ["u1", "u10"] and all(np.array_equal(read[key], MELS[key]) for key in read)
    assert np.array_equal(kaldiio.load_scp(str(tmp_path / "out/train/f0.scp"))["u10"], MELS["u10"][:, 0])
    assert sorted(path.name for path in (tmp_path / "out/train").iterdir()) == ["f0.ark", "f0.scp", "feats.ark", "feats.scp"]
    assert [key for key, _ in kaldiio.load_ark(str(tmp_path / "out/dev/feats.ark"))] == ["u2"]
    assert (tmp_path / "out/features.json").read_text() == FACTS


def test_npy_files_are_read_by_numpy(dump: Path, tmp_path: Path) -> None:
    export(dump, "npy", tmp_path / "out")
    assert np.array_equal(np.load(tmp_path / "out/train/feats/u10.npy", allow_pickle=False), MELS["u10"])
    assert np.load(tmp_path / "out/train/f0/u1.npy", allow_pickle=False).dtype == np.float32
    assert len(list((tmp_path / "out").rglob("*.npy"))) == 5


def test_hdf5_files_are_read_by_h5py(dump: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    export(dump, "hdf5", tmp_path / "out")
    with h5py.File(tmp_path / "out/train/feats.h5") as data:
        assert list(data) == ["u1", "u10"] and np.array_equal(data["u10"][()], MELS["u10"])
    assert export(dump, "hdf5", tmp_path / "out") == {"dev": 1, "train": 2}, "the same again is no other content"


def test_hdf5_without_its_package_names_the_extra(dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert main(["export-features", str(dump), "--format", "hdf5", "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "error: --format hdf5 needs the package 'h5py'; pip install 'toolkit[export]'\n"
    assert not (tmp_path / "out").exists()


def test_one_data_directory_and_the_aligned_mels_of_an_experiment(dump: Path, tmp_path: Path, capsys) -> None:
    assert main(["export-features", str(dump / "train"), "--out", str(tmp_path / "one")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'one'}: features of 2 utterances as kaldi\n"
    assert json.loads((tmp_path / "one/features.json").read_text())["fingerprint"] == "abc"
    assert list(kaldiio.load_scp(str(tmp_path / "one/feats.scp"))) == ["u1", "u10"]
    features(tmp_path / "exp/gta/eval")
    (tmp_path / "exp/features.json").write_text(FACTS)
    assert export(tmp_path / "exp", "npy", tmp_path / "gta") == {"eval": 3}
    assert (tmp_path / "gta/eval/feats/u2.npy").is_file()


def test_only_the_same_may_stand_there_already(dump: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    export(dump, "kaldi", out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert export(dump, "kaldi", out) == {"dev": 1, "train": 2}
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    (out / "train/feats.ark").write_bytes(b"mine")
    with pytest.raises(ConfigError, match="--out: holds something else, got .*out; choose another folder"):
        export(dump, "kaldi", out)
    assert (out / "train/feats.ark").read_bytes() == b"mine"
    with pytest.raises(ConfigError, match="--out: holds something else"):
        export(dump, "npy", dump / "features.json")


def test_a_full_disk_leaves_nothing(dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_FAIL", "export.fsync:2:ENOSPC")
    with pytest.raises(WriteError, match="disk full"):
        export(dump, "npy", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dump"]


def test_what_cannot_be_exported_is_said(dump: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--format: unknown, got 'hdf'; did you mean 'hdf5'"):
        export(dump, "hdf", tmp_path / "out")
    with pytest.raises(DataError, match="no features: neither feats.scp nor"):
        export(tmp_path, "kaldi", tmp_path / "out")
    (dump / "features.json").unlink()
    with pytest.raises(DataError, match="no features.json there or above"):
        export(dump, "kaldi", tmp_path / "out")
    assert not (tmp_path / "out").exists()
