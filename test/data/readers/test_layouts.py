"""Corpora of every layout: what is found in them, and what is left out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.bin.main import main
from toolkit.data import corpus, kaldi
from toolkit.data.readers import READERS
from toolkit.data.readers.guessing import guess
from toolkit.errors import DataError

Make = Callable[[str, Path], Path]
Write = Callable[[Path, str], Path]

Found = list[tuple[str, str, str, str]]
LAYOUTS: dict[str, tuple[Found, list[str]]] = {
    "vctk": (
        [
            ("p225_001", "p225_001_mic1.flac", "Please call Stella.", "p225"),
            ("p225_002", "p225_002_mic1.flac", "Ask her to bring these things.", "p225"),
            ("s5_001", "s5_001_mic1.flac", "Six spoons.", "s5"),
        ],
        ["1 texts have no recording *_mic1.flac and are left out: s5_009", "1 recordings have no text and are left out: p315_001"],
    ),
    "vctk 0.80": ([("p225_001", "p225_001.wav", "Please call Stella.", "p225")], []),
    "libritts": (
        [
            ("103_1240_000000_000001", "103_1240_000000_000001.wav", "Chapter one of 103.", "103"),
            ("84_121123_000007_000000", "84_121123_000007_000000.wav", "Chapter one of 84_.", "84"),
        ],
        ["1 texts have no recording and are left out: 84_121123_000009_000000"],
    ),
    "m_ailabs": (
        [
            ("eva_k-kleine_lord_01_f000001", "kleine_lord_01_f000001.wav", "Erster Teil", "eva_k"),
            ("gilles-monsieur_01_f000001", "monsieur_01_f000001.wav", "Bonjour", "gilles"),
            ("ramona-kleine_lord_01_f000001", "kleine_lord_01_f000001.wav", "Teil eins", "ramona"),
        ],
        [
            "3 lines of metadata.csv have no recording and are left out: "
            "eva_k-lost_01_f000009, ramona-lost_01_f000009, gilles-lost_01_f000009",
            "2 recordings are of nobody in particular (mix) and are left out: others_01_f000001, lost_01_f000009",
        ],
    ),
    "kaldi": (
        [("u-a", "a.wav", "eins", "anna"), ("u-b", "b one.wav", "two", "ben")],
        ["1 texts have no line in wav.scp and are left out: u-z"],
    ),
    "jsonl": ([("3-a", "a.wav", "café", "3"), ("4-a", "a.wav", "a | b", "4")], []),
    "table": ([("a", "a.wav", "one", "anna"), ("b", "b.ogg", '"two"', "ben"), ("c", "c.flac", "three", "ben")], []),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_corpus_is_recognised_and_read(layout: str, tmp_path: Path, make: Make) -> None:
    expected, warnings = LAYOUTS[layout]
    source = make(layout, tmp_path / "corpus")
    assert guess(source) == layout.split()[0]
    found = corpus.read(source, "nobody")
    assert [(u.id, u.wav.name, u.text, u.speaker) for u in found.utterances] == expected
    assert found.warnings == warnings and found.reader.startswith(layout.split()[0])
    assert all(u.seconds == 0.3 and u.wav.is_absolute() for u in found.utterances)


def test_languages_of_the_corpus_go_into_the_data_directory(tmp_path: Path, make: Make) -> None:
    corpus.prepare(make("m_ailabs", tmp_path / "corpus"), tmp_path / "data", "x")
    assert (tmp_path / "data/utt2lang").read_text().split()[1::2] == ["de_DE", "fr_FR", "de_DE"]
    assert (tmp_path / "data/spk2utt").read_text().split()[::2] == ["eva_k", "gilles", "ramona"]
    one = corpus.read(tmp_path / "corpus/fr_FR/by_book/male/gilles", "x")
    assert one.languages == {"gilles-monsieur_01_f000001": "fr_FR"} and guess(tmp_path / "corpus/de_DE") == "m_ailabs"


def test_a_language_that_the_corpus_does_not_say_can_be_given(tmp_path: Path, make: Make) -> None:
    assert set(corpus.read(make("vctk", tmp_path / "a"), "x", language="en").languages.values()) == {"en"}
    assert corpus.read(tmp_path / "a", "x").languages == {}
    folder = make("jsonl", tmp_path / "b")
    (folder / "manifest.jsonl").write_text((folder / "manifest.jsonl").read_text().replace(', "lang": "en"', ""))
    with pytest.raises(DataError, match="1 recordings have no language, others do: 4-a; give --language"):
        corpus.read(folder, "x")
    assert corpus.read(folder, "x", language="en").languages == {"3-a": "fr", "4-a": "en"}


def test_speakers_can_be_chosen(tmp_path: Path, make: Make) -> None:
    source = make("table", tmp_path / "corpus")
    assert [u.id for u in corpus.read(source, "x", speakers=("ben",)).utterances] == ["b", "c"]
    with pytest.raises(DataError, match="--speakers: nobody of this corpus, got 'bem'; did you mean 'ben'"):
        corpus.read(source, "x", speakers=("anna", "bem"))


def test_lists_of_a_corpus_are_those_of_the_speakers_who_are_chosen(tmp_path: Path, make: Make, write: Write) -> None:
    folder = make("table", tmp_path / "corpus").rename(tmp_path / "corpus/metadata.csv").parent
    for name, ids in (("dev", "a\nb\n"), ("eval", "c\n")):
        write(folder / f"splits/{name}.list", ids)
    corpus.prepare(folder, tmp_path / "data", "x", READERS.part("table"), speakers=("ben",))
    assert (tmp_path / "data/dev.list").read_text() == "b\n"


def test_settings_of_readers(tmp_path: Path, make: Make, audio: Callable[..., None], write: Write) -> None:
    folder = make("vctk", tmp_path / "vctk")
    assert corpus.read(folder, "x", READERS.part("vctk", microphone="mic2")).utterances[0].wav.name == "p225_001_mic2.flac"
    folder = make("libritts", tmp_path / "libritts")
    assert corpus.read(folder, "x", READERS.part("libritts", text="original")).utterances[0].text == "Chapter 1."
    source = write(tmp_path / "t/list.tsv", "k1\ta.wav\tunused\thello\n")
    audio(tmp_path / "t/a.wav")
    reader = READERS.part("table", columns=("id", "file", "-", "text"), delimiter="\t")
    assert [(u.id, u.text, u.speaker) for u in corpus.read(source, "x", reader).utterances] == [("k1", "hello", "x")]
    source = write(tmp_path / "t/hf.jsonl", '{"file_name": "a.wav", "transcription": "hello"}\n')
    assert corpus.read(source, "x", READERS.part("jsonl", audio="file_name", text="transcription")).utterances[0].id == "a"


def test_prepare_only_looks_without_a_place_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Make) -> None:
    folder = make("m_ailabs", tmp_path / "corpus")
    before = sorted(tmp_path.rglob("*"))
    assert main(["prepare", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{folder}: read as m_ailabs (by_book/")
    assert said[-1] == f"{folder}: 3 utterances, 0.0 min, 8000 Hz, 3 speakers, 2 languages"
    assert sorted(tmp_path.rglob("*")) == before


def test_prepare_with_a_named_reader_and_its_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Make) -> None:
    folder, out = make("vctk", tmp_path / "corpus"), tmp_path / "data"
    words = ["prepare", "--corpus", str(folder), "--out", str(out), "--speakers", "p225"]
    assert main([*words, "--reader", "vctk", "--reader-conf", "{microphone: mic2}"]) == 0
    assert [u.wav.name for u in kaldi.read(out)] == ["p225_001_mic2.flac", "p225_002_mic2.flac"]
    for more, message in (
        (["--reader", "vkct"], "error: --reader: unknown reader, got 'vkct'; did you mean 'vctk'?"),
        (["--reader", "vctk", "--reader-conf", "{mic: mic2}"], "error: --reader-conf.mic: no such knob of 'vctk'"),
        (["--reader-conf", "{microphone: mic2}"], "error: --reader-conf: settings of a reader"),
        ([str(folder)], "error: toolkit prepare: one corpus, as FOLDER or with --corpus"),
    ):
        assert main([*words, *more]) == 2
        assert capsys.readouterr().err.startswith(message)
