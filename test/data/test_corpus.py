"""Corpora in the shape of LJSpeech: what is accepted, what is converted, and what goes into the data directory."""

import argparse
import unicodedata

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit.bin import prepare as verb
from toolkit.data import corpus, kaldi
from toolkit.data.readers import Findings
from toolkit.data.readers.metadata import read_metadata
from toolkit.errors import DataError

ids = st.from_regex(kaldi.IDENTIFIER, fullmatch=True).map(lambda text: text[:40])
ids = ids.filter(lambda text: not text.lower().endswith((".wav", ".flac", ".ogg")))
texts = st.text(st.characters(blacklist_categories=["Cc", "Cs"], blacklist_characters="|\ufeff")).map(
    lambda text: unicodedata.normalize("NFC", " ".join(text.split()))
)


def make(folder, lines, rate=16000, suffix="wav", place="wavs", names=None):
    (folder / place).mkdir(parents=True, exist_ok=True)
    (folder / "metadata.csv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    for name in names or [f"{line.split('|')[0]}.{suffix}" for line in lines]:
        soundfile.write(folder / place / name, np.zeros(rate, np.float32), rate)
    return folder


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(ids, st.lists(texts, min_size=1, max_size=2).filter(any)), unique_by=lambda row: row[0], min_size=1),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.booleans(),
)
def test_rows_survive_writing_and_parsing(tmp_path, rows, end, mark):
    path = tmp_path / "metadata.csv"
    text = "".join("|".join([key, *columns]) + end for key, columns in rows)
    path.write_bytes(text.encode("utf-8-sig" if mark else "utf-8"))
    findings = Findings()
    parsed = read_metadata(path, findings)
    findings.raise_all()
    assert [(row.line, row.id, row.text) for row in parsed] == [
        (number, key, columns[-1] or columns[0]) for number, (key, columns) in enumerate(rows, start=1)
    ]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.text("ab|\n\r\0 é.wav/-", max_size=60).map(lambda text: text.encode()))
def test_any_bytes_give_rows_or_problems(tmp_path, data):
    path = tmp_path / "metadata.csv"
    path.write_bytes(data)
    findings = Findings()
    rows = read_metadata(path, findings)
    try:
        findings.raise_all()
        problems = []
    except DataError as error:
        problems = [line.removeprefix(f"{path}:").partition(":")[0] for line in str(error).splitlines()]
    if not all(number.isdecimal() for number in problems):
        return  # a problem of the whole file
    numbers = {row.line for row in rows} | {int(number) for number in problems}
    filled = {n for n, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1) if line.decode("utf-8", "replace").strip()}
    assert filled <= numbers


def test_text_is_normalised_and_quotes_are_text(tmp_path):
    lines = ["a|\"it is 5 o'clock", "b|  two\t words  |", "c|raw|cafe\u0301 ", "d|🙂 שלום"]
    make(tmp_path, lines, names=["a.wav", "b.wav", "c.wav", "d.wav"])
    assert [u.text for u in corpus.read(tmp_path, "x").utterances] == ["\"it is 5 o'clock", "two words", "café", "🙂 שלום"]


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "WAV"])
@pytest.mark.parametrize("place", ["wavs", "."])
def test_audio_of_all_formats_is_found_in_wavs_or_beside(tmp_path, suffix, place):
    make(tmp_path, ["LJ-2|two", "LJ-1|one"], rate=8000, suffix=suffix, place=place)
    found = corpus.read(tmp_path, "lj")
    assert [(u.id, u.wav.name, u.text, u.speaker, u.seconds) for u in found.utterances] == [
        ("LJ-1", f"LJ-1.{suffix}", "one", "lj", 1.0),
        ("LJ-2", f"LJ-2.{suffix}", "two", "lj", 1.0),
    ]
    assert found.rates == {8000: 2} and found.warnings == []


def test_the_first_column_may_name_the_file(tmp_path):
    make(tmp_path, ["a.flac|one", "b.WAV|two"], names=["a.wav", "a.flac", "b.WAV"])
    assert [(u.id, u.wav.name) for u in corpus.read(tmp_path, "x").utterances] == [("a", "a.flac"), ("b", "b.WAV")]


def test_unused_recordings_and_mixed_rates_are_warnings(tmp_path):
    make(tmp_path, ["a|one", "b|two"], names=["a.wav", "x.wav", "y.wav", "z.wav", "zz.wav"])
    soundfile.write(tmp_path / "wavs/b.wav", np.zeros(100), 22050)
    assert corpus.read(tmp_path, "x").warnings == [
        "4 recordings have no line in metadata.csv and are left out: x, y, z, ...",
        "recordings differ in sample rate (16000 Hz: 1, 22050 Hz: 1); all are resampled",
    ]


def test_prepare_writes_a_data_directory(tmp_path, capsys):
    make(tmp_path / "c", ["b|2|two", "a|one"])
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    assert verb.run(parser.parse_args(["--corpus", str(tmp_path / "c"), "--out", str(tmp_path / "data/x"), "--speaker", "lj"])) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'c'}: read as ljspeech (metadata.csv with id|text, and wavs/)",
        f"{tmp_path / 'data/x'}: 2 utterances, 0.0 min, 16000 Hz",
    ]
    read = kaldi.read(tmp_path / "data/x")
    assert [(u.id, u.text, u.speaker, u.seconds) for u in read] == [("a", "one", "lj", 1.0), ("b", "two", "lj", 1.0)]
    assert all(u.wav.is_absolute() and u.wav.is_file() for u in read)


def test_maps_beside_the_metadata_say_who_speaks_and_in_which_language(tmp_path):
    folder = make(tmp_path / "corpus", ["a|one", "b|two", "c|three"])
    (folder / "utt2spk").write_text("a anna\nb ben\nc anna\nother carl\n")
    (folder / "utt2lang").write_text("a en\nb de\nc en\n")
    corpus.prepare(folder, tmp_path / "out", "unused")
    assert [u.speaker for u in kaldi.read(tmp_path / "out")] == ["anna", "ben", "anna"]
    assert (tmp_path / "out/spk2utt").read_text() == "anna a c\nben b\n"
    assert (tmp_path / "out/utt2lang").read_text() == "a en\nb de\nc en\n"
    (folder / "utt2lang").unlink()
    corpus.prepare(folder, tmp_path / "out", "unused")
    assert not (tmp_path / "out/utt2lang").exists()
    (folder / "utt2spk").write_text("a anna\n")
    with pytest.raises(DataError, match="utt2spk: has no line for 2 recordings: b, c; add 'id name'"):
        corpus.prepare(folder, tmp_path / "out", "unused")


def test_lists_of_the_corpus_are_checked_and_copied(tmp_path):
    make(tmp_path / "c", ["a|1", "b|2", "c|3"])
    (tmp_path / "c/splits").mkdir()
    (tmp_path / "c/splits/dev.list").write_text("b\r\n")
    with pytest.raises(DataError, match="dev.list stands alone"):
        corpus.prepare(tmp_path / "c", tmp_path / "d", "x")
    (tmp_path / "c/splits/eval.list").write_text("z\nc\nc\n")
    with pytest.raises(DataError) as caught:
        corpus.prepare(tmp_path / "c", tmp_path / "d", "x")
    path = tmp_path / "c/splits/eval.list"
    assert str(caught.value).splitlines() == [f"{path}:1: no utterance of this corpus, got 'z'", f"{path}:3: id stands twice, got 'c'"]
    assert not (tmp_path / "d").exists()
    (tmp_path / "c/splits/eval.list").write_text("c\n")
    corpus.prepare(tmp_path / "c", tmp_path / "d", "x")
    assert ((tmp_path / "d/dev.list").read_text(), (tmp_path / "d/eval.list").read_text()) == ("b\n", "c\n")
    (tmp_path / "c/splits/dev.list").unlink()
    (tmp_path / "c/splits/eval.list").unlink()
    corpus.prepare(tmp_path / "c", tmp_path / "d", "x")
    assert not (tmp_path / "d/dev.list").exists()


def test_odd_folder_names_are_only_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = tmp_path / "a b'c\"$(touch PWN);é"
    make(odd, ["a|one", "b|two"])
    corpus.prepare(odd, odd / "data dir", "x")
    assert [u.wav for u in kaldi.read(odd / "data dir")] == [odd / "wavs/a.wav", odd / "wavs/b.wav"]
    assert not list(tmp_path.rglob("PWN"))


def test_real_metadata_parses_whole(real_data):
    findings = Findings()
    rows = read_metadata(real_data / "texts/ljspeech_transcripts.csv", findings)
    assert len(rows) == 13100 and not findings
