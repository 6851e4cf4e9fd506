"""Features on disk: round trips, Kaldi's own reader, and files that are damaged or hostile."""

import pickle
import struct
from concurrent.futures import ThreadPoolExecutor

import kaldiio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.data.store import ArkWriter, FeatureStore, write_features
from toolkit.errors import DataError, ToolkitError

rng = np.random.default_rng(0)
FEATURES = {f"utt-{i}": rng.standard_normal((i + 1, 5)).astype(np.float32) for i in range(4)}


def record(folder, data: bytes, offset: int = 2):
    (folder / "x.ark").write_bytes(data)
    (folder / "x.scp").write_text(f"u {folder}/x.ark:{offset}\n")
    return FeatureStore(folder / "x.scp")


def matrix(rows: int, columns: int, values: bytes) -> bytes:
    return b"u \0BFM " + struct.pack("<BiBi", 4, rows, 4, columns) + values


@pytest.mark.parametrize("name", ["plain", "with space", 'it\'s: "quoted" | 1:2'])
def test_round_trip_whatever_the_path(tmp_path, name):
    write_features(tmp_path / name, "mel", FEATURES)
    store = FeatureStore(tmp_path / name / "feats.scp")
    assert store.ids == list(FEATURES) and len(store) == 4 and "utt-1" in store and "utt-9" not in store
    for key in store:
        np.testing.assert_array_equal(store.load(key), FEATURES[key])
        assert store.load(key).dtype == np.float32 and store.load(key).flags.writeable


def test_kaldiio_reads_what_is_written(tmp_path):
    vector = np.arange(7, dtype=np.float32)
    with ArkWriter(tmp_path / "mel.0.ark", tmp_path / "mel.0.scp") as writer:
        for key, values in FEATURES.items():
            writer.add(key, values)
        writer.add("vector", vector)
    theirs = kaldiio.load_scp(str(tmp_path / "mel.0.scp"))
    in_order = dict(kaldiio.load_ark(str(tmp_path / "mel.0.ark")))
    for key, values in {**FEATURES, "vector": vector}.items():
        np.testing.assert_array_equal(theirs[key], values)
        np.testing.assert_array_equal(in_order[key], values)
        np.testing.assert_array_equal(FeatureStore(tmp_path / "mel.0.scp").load(key), values)


def test_what_kaldiio_writes_is_read(tmp_path):
    doubles = {key: values.astype(np.float64) for key, values in FEATURES.items()}
    kaldiio.save_ark(str(tmp_path / "k.ark"), doubles, scp=str(tmp_path / "k.scp"))
    np.testing.assert_array_equal(FeatureStore(tmp_path / "k.scp").load("utt-2"), FEATURES["utt-2"])


def test_nothing_appears_when_writing_fails(tmp_path):
    write_features(tmp_path, "mel", FEATURES)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RuntimeError), ArkWriter(tmp_path / "mel.ark", tmp_path / "feats.scp") as writer:
        writer.add("other", FEATURES["utt-0"])
        raise RuntimeError
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_old_scp_never_points_into_a_new_ark(tmp_path, monkeypatch):
    write_features(tmp_path, "mel", FEATURES)
    monkeypatch.setenv("TOOLKIT_FAIL", "data.write:1:ENOSPC")
    with pytest.raises(ToolkitError, match="disk full"):
        write_features(tmp_path, "mel", {"other": FEATURES["utt-3"]})
    assert not (tmp_path / "feats.scp").exists()


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("../evil", np.ones((1, 1))),
        ("a b", np.ones((1, 1))),
        ("nan", np.full((2, 2), np.nan)),
        ("empty", np.ones((0, 5))),
        ("cube", np.ones((2, 2, 2))),
        ("twice", np.ones((2, 2))),
    ],
)
def test_what_must_not_be_written_is_refused(tmp_path, key, values):
    with pytest.raises(DataError), ArkWriter(tmp_path / "a.ark", tmp_path / "a.scp") as writer:
        writer.add("twice", FEATURES["utt-0"])
        writer.add(key, values.astype(np.float32))
    assert not list(tmp_path.iterdir())


def test_pickles_are_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    with pytest.raises(DataError, match="not a matrix"):
        record(tmp_path, b"u PKL" + pickle.dumps(Bomb())).load("u")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("line", ["u touch executed |", "u | touch executed", "u x.ark", "u x.ark:", "u x.ark:-3", "u x.ark:1e3", "u :5"])
def test_lines_that_are_no_place_are_refused(tmp_path, line):
    (tmp_path / "x.scp").write_text(line + "\n")
    with pytest.raises(DataError, match="x.scp"):
        FeatureStore(tmp_path / "x.scp")


@pytest.mark.parametrize(
    "data",
    [
        matrix(2**31 - 1, 2**31 - 1, bytes(80)),
        matrix(3, 4, bytes(47)),
        matrix(-1, 4, bytes(48)),
        matrix(0, 4, bytes(48)),
        matrix(1, 1, struct.pack("<f", float("nan"))),
        b"u \0BCM " + bytes(40),
        b"u \0BFM \x08" + bytes(40),
        b"u \0BFM \x04",
        b"u [ 1 2 3 ]",
        b"u ",
    ],
)
def test_damaged_records_are_named(tmp_path, data):
    with pytest.raises(DataError, match="x.ark:2: features of u"):
        record(tmp_path, data).load("u")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 80))
def test_any_bytes_give_features_or_a_data_error(tmp_path_factory, data, offset):
    store = record(tmp_path_factory.mktemp("ark"), b"u \0BF" + data, offset)
    try:
        assert np.isfinite(store.load("u")).all()
    except DataError:
        pass


def test_unknown_ids_and_missing_arks(tmp_path):
    write_features(tmp_path, "mel", FEATURES)
    store = FeatureStore(tmp_path / "feats.scp")
    with pytest.raises(DataError, match="did you mean 'utt-1'"):
        store.load("utt_1")
    (tmp_path / "mel.ark").unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        store.load("utt-1")


def test_threads_share_a_store_and_processes_receive_it(tmp_path):
    write_features(tmp_path, "mel", FEATURES)
    store = pickle.loads(pickle.dumps(FeatureStore(tmp_path / "feats.scp")))
    with ThreadPoolExecutor(4) as pool:
        for key, values in zip(store.ids * 20, pool.map(store.load, store.ids * 20), strict=True):
            np.testing.assert_array_equal(values, FEATURES[key])
