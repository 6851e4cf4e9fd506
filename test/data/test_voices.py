"""Who speaks: lists of names, the voices of a data directory, and vectors that were made elsewhere."""

from pathlib import Path

import numpy as np
import pytest

from toolkit.data import kaldi
from toolkit.data.names import Names
from toolkit.data.store import ArkWriter, FeatureStore, read_ark
from toolkit.data.vectors import VectorSource, read_vector, write_vectors
from toolkit.data.voices import Voice, Voices
from toolkit.errors import ConfigError, DataError

IDS = ("a1", "a2", "b1")
SPEAKERS = {"a1": "anna", "a2": "anna", "b1": "ben"}
VECTORS = {"anna": np.array([1.0, 2.0, 3.0], np.float32), "ben": np.array([4.0, 5.0, 6.0], np.float32)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    kaldi.write(tmp_path / "data", [kaldi.Utterance(key, Path(f"/{key}.wav"), "text", SPEAKERS[key], 1.0) for key in IDS])
    return tmp_path / "data"


def ark(folder: Path, values: dict[str, np.ndarray]) -> None:
    with ArkWriter(folder / "v.ark", folder / "v.scp") as writer:
        for key, vector in values.items():
            writer.add(key, vector)


def test_names_are_those_of_the_data_and_stay_in_order(folder: Path, tmp_path: Path) -> None:
    table = Names.found("speaker", folder)
    assert table.names == ("anna", "ben") and [table.id("ben"), table.id("anna")] == [1, 0]
    table.save(tmp_path)
    assert (tmp_path / "speakers.txt").read_text() == "anna\nben\n" and Names.load("speaker", tmp_path) == table
    (tmp_path / "speakers.txt").write_text("ben\nanna\n")
    assert Names.load("speaker", tmp_path).id("ben") == 0


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    table = Names("speaker", ["anna", "ben"])
    with pytest.raises(ConfigError, match=r"^speaker: unknown to this model, got 'anne'; did you mean 'anna'\? known: anna, ben$"):
        table.id("anne")
    with pytest.raises(ConfigError, match=r"^speaker: this model has 2, say which; known: anna, ben$"):
        table.id(None)
    assert Names("language", ["en"]).id(None) == 0
    many = Names("speaker", [f"p{number}" for number in range(225, 330)])
    with pytest.raises(ConfigError) as caught:
        many.id("p2255")
    assert "did you mean 'p" in str(caught.value) and "of 105" in str(caught.value) and len(str(caught.value)) < 160


@pytest.mark.parametrize("text", ["", "anna\nanna\n", "../anna\n"])
def test_a_damaged_list_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "speakers.txt").write_text(text)
    with pytest.raises(DataError, match=r"speakers\.txt"):
        Names.load("speaker", tmp_path)
    with pytest.raises(DataError, match=r"languages\.txt: no list of languages: .*; train again, or bring the file along"):
        Names.load("language", tmp_path)


def test_a_batch_has_the_ids_and_vectors_of_its_utterances(folder: Path) -> None:
    kaldi.write_map(folder / "utt2lang", {"a1": "en", "a2": "de", "b1": "en"})
    ark(folder, VECTORS)
    assert write_vectors(VectorSource(folder / "v.scp"), folder) == 3
    tables = {"speaker": Names("speaker", ["ben", "anna"]), "language": Names("language", ["de", "en"])}
    voices = Voices(folder, IDS, tables, 3)
    batch = voices.tensors([2, 1])
    assert batch["speaker"].tolist() == [0, 1] and batch["language"].tolist() == [1, 0]
    assert batch["vector"].tolist() == [[4, 5, 6], [1, 2, 3]]
    voice = voices.voice(1)
    assert voice.named() == {"speaker": "anna", "language": "de"} and voice.vector is not None and voice.vector.tolist() == [1, 2, 3]
    assert Voice("ben").over(voice).speaker == "ben" and Voice("ben").over(voice).language == "de"


def test_what_training_does_not_know_is_refused_before_it(folder: Path) -> None:
    with pytest.raises(
        DataError, match=r"utt2spk: 1 utterances of a speaker that the model does not know, such as b1, got 'ben'; known: anna"
    ):
        Voices(folder, IDS, {"speaker": Names("speaker", ["anna"])}, None)
    languages = {"language": Names("language", ["en"])}
    with pytest.raises(
        DataError, match=r"utt2lang: no such file, and this model is conditioned on the language; write lines 'id language'"
    ):
        Voices(folder, IDS, languages, None)
    kaldi.write_map(folder / "utt2lang", {"a1": "en"})
    with pytest.raises(DataError, match=r"utt2lang: has no line for 2 utterances, such as a2; add 'id language'"):
        Voices(folder, IDS, languages, None)


def test_a_vector_of_another_size_is_refused_with_file_and_utterance(folder: Path) -> None:
    with pytest.raises(DataError, match=r"has no vectors\.scp, and this model is conditioned on vectors; run: toolkit vectors"):
        Voices(folder, IDS, {}, 3)
    ark(folder, VECTORS)
    write_vectors(VectorSource(folder / "v.scp"), folder)
    with pytest.raises(DataError, match=r"vectors\.scp: a1: vectors of 4 values are asked for by conditioning\.vector\.dim, got 3"):
        Voices(folder, IDS, {}, 4)
    ark(folder, {**VECTORS, "a2": np.zeros(2, np.float32)})
    with pytest.raises(DataError, match=r"v\.scp: a2: 3 values as those before, got 2"):
        write_vectors(VectorSource(folder / "v.scp"), folder)


@pytest.mark.parametrize("form", ["scp", "ark", "npz", "npy"])
def test_sources_of_vectors(form: str, folder: Path, tmp_path: Path) -> None:
    """An utterance's own vector comes before that of its speaker."""
    values = {**VECTORS, "a2": np.array([7.0, 8.0, 9.0], np.float32)}
    path = tmp_path / f"v.{form}"
    if form in ("scp", "ark"):
        ark(tmp_path, values)
    elif form == "npz":
        np.savez(path, **values)
    else:
        path.mkdir()
        for key, vector in values.items():
            np.save(path / f"{key}.npy", vector[None])  # as some tools save them
    write_vectors(VectorSource(path), folder)
    store = FeatureStore(folder / "vectors.scp")
    assert [store.load(key).tolist() for key in IDS] == [[1, 2, 3], [7, 8, 9], [4, 5, 6]]


def test_sources_that_are_none(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no vectors; an scp, an ark"):
        VectorSource(tmp_path / "empty")
    with pytest.raises(DataError, match="no source of vectors; an scp, an ark"):
        VectorSource(tmp_path / "v.csv")
    np.savez(tmp_path / "one.npz", anna=np.ones(3))
    with pytest.raises(DataError, match="no vector of utterance b1 nor of its speaker, got 'ben'; known: anna"):
        write_vectors(VectorSource(tmp_path / "one.npz"), folder)
    np.savez(tmp_path / "bad.npz", anna=np.ones((2, 3)), ben=np.array([np.nan, 1.0]))
    with pytest.raises(DataError, match=r"bad\.npz: anna: a vector is a row of finite numbers, got float64 of shape \(2, 3\)"):
        write_vectors(VectorSource(tmp_path / "bad.npz"), folder)
    (tmp_path / "text.npy").write_text("1 2 3")
    with pytest.raises(DataError, match=r"text\.npy: no numpy file that can be read"):
        read_vector(tmp_path / "text.npy")


def test_a_cut_ark_is_refused(tmp_path: Path) -> None:
    ark(tmp_path, VECTORS)
    assert [key for key, _ in read_ark(tmp_path / "v.ark")] == ["anna", "ben"]
    whole = (tmp_path / "v.ark").read_bytes()
    (tmp_path / "v.ark").write_bytes(whole[:-3])
    with pytest.raises(DataError, match=r"features of ben: damaged"):
        list(read_ark(tmp_path / "v.ark"))
    (tmp_path / "v.ark").write_bytes(b"x" * 5000)
    with pytest.raises(DataError, match=r"v\.ark:"):
        list(read_ark(tmp_path / "v.ark"))
