"""Statistics of features."""

import numpy as np
import pytest

from toolkit.bin.main import main
from toolkit.data.statistics import LEAST_STD, compute, load_statistics, save_statistics
from toolkit.data.store import FeatureStore, write_features
from toolkit.errors import DataError

rng = np.random.default_rng(0)
FEATURES = {f"u{i}": (1000 + 0.5 * rng.standard_normal((n, 3)) * [1, 10, 0]).astype(np.float32) for i, n in enumerate((1, 70, 13))}


@pytest.fixture
def store(tmp_path):
    write_features(tmp_path / "d", "mel", FEATURES)
    return FeatureStore(tmp_path / "d" / "feats.scp")


def test_equals_the_direct_computation(store):
    everything = np.concatenate(list(FEATURES.values())).astype(np.float64)
    result = compute(store, store.ids)
    np.testing.assert_allclose(result.mean, everything.mean(0), rtol=1e-12)
    np.testing.assert_allclose(result.std[:2], everything.std(0)[:2], rtol=1e-9)
    assert result.std[2] == LEAST_STD and result.frames == 84 and result.utterances == 3


def test_saved_and_loaded(store, tmp_path):
    result = compute(store, ["u1"])
    for name in ("a.npz", "b.npz"):
        save_statistics(tmp_path / name, result)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    mean, std = load_statistics(tmp_path / "a.npz")
    np.testing.assert_allclose(mean.numpy(), result.mean, rtol=1e-6)
    np.testing.assert_allclose(std.numpy(), result.std, rtol=1e-6)


def test_verb(store, tmp_path, capsys):
    assert main(["stats", "--data", str(tmp_path / "d"), "--out", str(tmp_path / "s.npz")]) == 0
    assert "3 bins over 84 frames of 3 utterances" in capsys.readouterr().out
    assert main(["stats", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "t.npz")]) == 1
    assert not (tmp_path / "t.npz").exists()


def test_nothing_or_unequal_features_are_refused(store, tmp_path):
    with pytest.raises(DataError, match="no utterances"):
        compute(store, [])
    write_features(tmp_path, "mel", {"a": np.ones((3, 2), np.float32), "b": np.ones((3, 4), np.float32)})
    with pytest.raises(DataError, match="b: expected T x 2"):
        compute(FeatureStore(tmp_path / "feats.scp"), ["a", "b"])


@pytest.mark.parametrize(
    "arrays",
    [
        {"mean": np.zeros(3)},
        {"mean": np.zeros(3), "std": np.ones(4)},
        {"mean": np.zeros(3), "std": np.zeros(3)},
        {"mean": np.full(3, np.nan), "std": np.ones(3)},
        {"mean": np.array(["a"]), "std": np.ones(1)},
        {"mean": np.array([{}], dtype=object), "std": np.ones(1)},
    ],
)
def test_other_files_are_refused(tmp_path, arrays):
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(DataError, match="s.npz"):
        load_statistics(tmp_path / "s.npz")


def test_missing_and_cut_files_are_refused(store, tmp_path):
    with pytest.raises(DataError, match="no such file; run the statistics stage"):
        load_statistics(tmp_path / "s.npz")
    save_statistics(tmp_path / "s.npz", compute(store, store.ids))
    data = (tmp_path / "s.npz").read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 5):
        (tmp_path / "s.npz").write_bytes(data[:size])
        with pytest.raises(DataError, match="not a file of statistics"):
            load_statistics(tmp_path / "s.npz")
