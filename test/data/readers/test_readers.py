"""Corpora of every layout, made up as they are published: what is found in them, what is left out, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit.bin.main import main
from toolkit.data import corpus, kaldi
from toolkit.data.readers import READERS, Findings, Table
from toolkit.data.readers.base import ids_of
from toolkit.data.readers.guessing import guess
from toolkit.errors import ConfigError, DataError


def audio(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(2400, np.float32), 8000)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def vctk(folder: Path) -> Path:
    for speaker, name in (("p225", "p225_001"), ("p225", "p225_002"), ("s5", "s5_001"), ("p315", "p315_001")):
        audio(*(folder / "wav48_silence_trimmed" / speaker / f"{name}_{mic}.flac" for mic in ("mic1", "mic2")))
    write(folder / "txt/p225/p225_001.txt", "Please call  Stella.\n")
    write(folder / "txt/p225/p225_002.txt", "Ask her\nto bring these things.")
    write(folder / "txt/s5/s5_001.txt", "Six spoons.\n")
    write(folder / "txt/s5/s5_009.txt", "Nobody said this.\n")
    return folder


def old_vctk(folder: Path) -> Path:
    audio(folder / "wav48/p225/p225_001.wav")
    write(folder / "txt/p225/p225_001.txt", "Please call Stella.\n")
    return folder


def libritts(folder: Path) -> Path:
    for subset, name in (("train-clean-100", "103_1240_000000_000001"), ("dev-clean", "84_121123_000007_000000")):
        place = folder / subset / "/".join(name.split("_")[:2])
        audio(place / f"{name}.wav")
        write(place / f"{name}.normalized.txt", f"Chapter one of {name[:3]}.")
        write(place / f"{name}.original.txt", "Chapter 1.")
    write(folder / "dev-clean/84/121123/84_121123_000009_000000.normalized.txt", "Lost.")
    return folder


def m_ailabs(folder: Path) -> Path:
    for place, line in (
        ("de_DE/by_book/female/eva_k/kleine_lord", "kleine_lord_01_f000001|1. Teil|Erster Teil"),
        ("de_DE/by_book/female/ramona/kleine_lord", "kleine_lord_01_f000001|Teil|Teil eins"),
        ("fr_FR/by_book/male/gilles/monsieur", "monsieur_01_f000001|Bon|Bonjour"),
        ("fr_FR/by_book/mix/others", "others_01_f000001|Non|Non"),
    ):
        write(folder / place / "metadata.csv", f"{line}\nlost_01_f000009|x|y\n")
        audio(folder / place / "wavs" / f"{line.partition('|')[0]}.wav")
    return folder


def kaldi_directory(folder: Path) -> Path:
    audio(folder / "audio/b one.wav", folder / "audio/a.wav")
    write(folder / "wav.scp", f"u-b {folder}/audio/b one.wav\nu-a audio/a.wav\n")
    write(folder / "text", "u-a eins\nu-b two\nu-z lost\n")
    write(folder / "utt2spk", "u-a anna\nu-b ben\n")
    write(folder / "utt2lang", "u-a de\nu-b en\n")
    return folder


def manifest(folder: Path) -> Path:
    audio(folder / "3/a.wav", folder / "4/a.wav")
    rows = [
        {"audio_filepath": "3/a.wav", "text": "caf\u0065\u0301", "speaker": 3, "duration": 0.3, "lang": "fr"},
        {"audio_filepath": str(folder / "4/a.wav"), "text": "a | b", "speaker": "4", "lang": "en"},
    ]
    return write(folder / "manifest.jsonl", "".join(json.dumps(row) + "\n" for row in rows)).parent


def table(folder: Path) -> Path:
    audio(folder / "wavs/a.wav", folder / "wavs/b.ogg", folder / "wavs/c.flac")
    return write(folder / "list.txt", 'wavs/b.ogg|ben|"two"\nwavs/a.wav|anna|one\n\nwavs/c.flac|ben|three\n')


Found = list[tuple[str, str, str, str]]
LAYOUTS: dict[str, tuple[Callable[[Path], Path], Found, list[str]]] = {
    "vctk": (
        vctk,
        [
            ("p225_001", "p225_001_mic1.flac", "Please call Stella.", "p225"),
            ("p225_002", "p225_002_mic1.flac", "Ask her to bring these things.", "p225"),
            ("s5_001", "s5_001_mic1.flac", "Six spoons.", "s5"),
        ],
        ["1 texts have no recording *_mic1.flac and are left out: s5_009", "1 recordings have no text and are left out: p315_001"],
    ),
    "vctk 0.80": (old_vctk, [("p225_001", "p225_001.wav", "Please call Stella.", "p225")], []),
    "libritts": (
        libritts,
        [
            ("103_1240_000000_000001", "103_1240_000000_000001.wav", "Chapter one of 103.", "103"),
            ("84_121123_000007_000000", "84_121123_000007_000000.wav", "Chapter one of 84_.", "84"),
        ],
        ["1 texts have no recording and are left out: 84_121123_000009_000000"],
    ),
    "m_ailabs": (
        m_ailabs,
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
        kaldi_directory,
        [("u-a", "a.wav", "eins", "anna"), ("u-b", "b one.wav", "two", "ben")],
        ["1 texts have no line in wav.scp and are left out: u-z"],
    ),
    "jsonl": (manifest, [("3-a", "a.wav", "café", "3"), ("4-a", "a.wav", "a | b", "4")], []),
    "table": (table, [("a", "a.wav", "one", "anna"), ("b", "b.ogg", '"two"', "ben"), ("c", "c.flac", "three", "ben")], []),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_corpus_is_recognised_and_read(layout: str, tmp_path: Path) -> None:
    make, expected, warnings = LAYOUTS[layout]
    source = make(tmp_path / "corpus")
    assert guess(source) == layout.split()[0]
    found = corpus.read(source, "nobody")
    assert [(u.id, u.wav.name, u.text, u.speaker) for u in found.utterances] == expected
    assert found.warnings == warnings and found.reader.startswith(layout.split()[0])
    assert all(u.seconds == 0.3 and u.wav.is_absolute() for u in found.utterances)


def test_languages_of_the_corpus_go_into_the_data_directory(tmp_path: Path) -> None:
    corpus.prepare(m_ailabs(tmp_path / "corpus"), tmp_path / "data", "x")
    assert (tmp_path / "data/utt2lang").read_text().split()[1::2] == ["de_DE", "fr_FR", "de_DE"]
    assert (tmp_path / "data/spk2utt").read_text().split()[::2] == ["eva_k", "gilles", "ramona"]
    one = corpus.read(tmp_path / "corpus/fr_FR/by_book/male/gilles", "x")
    assert one.languages == {"gilles-monsieur_01_f000001": "fr_FR"} and guess(tmp_path / "corpus/de_DE") == "m_ailabs"


def test_a_language_that_the_corpus_does_not_say_can_be_given(tmp_path: Path) -> None:
    assert set(corpus.read(vctk(tmp_path / "a"), "x", language="en").languages.values()) == {"en"}
    assert corpus.read(tmp_path / "a", "x").languages == {}
    folder = manifest(tmp_path / "b")
    (folder / "manifest.jsonl").write_text((folder / "manifest.jsonl").read_text().replace(', "lang": "en"', ""))
    with pytest.raises(DataError, match="1 recordings have no language, others do: 4-a; give --language"):
        corpus.read(folder, "x")
    assert corpus.read(folder, "x", language="en").languages == {"3-a": "fr", "4-a": "en"}


def test_speakers_can_be_chosen(tmp_path: Path) -> None:
    source = table(tmp_path / "corpus")
    assert [u.id for u in corpus.read(source, "x", speakers=("ben",)).utterances] == ["b", "c"]
    with pytest.raises(DataError, match="--speakers: nobody of this corpus, got 'bem'; did you mean 'ben'"):
        corpus.read(source, "x", speakers=("anna", "bem"))


def test_lists_of_a_corpus_are_those_of_the_speakers_who_are_chosen(tmp_path: Path) -> None:
    folder = table(tmp_path / "corpus").rename(tmp_path / "corpus/metadata.csv").parent
    for name, ids in (("dev", "a\nb\n"), ("eval", "c\n")):
        write(folder / f"splits/{name}.list", ids)
    corpus.prepare(folder, tmp_path / "data", "x", READERS.part("table"), speakers=("ben",))
    assert (tmp_path / "data/dev.list").read_text() == "b\n"


def test_settings_of_readers(tmp_path: Path) -> None:
    folder = vctk(tmp_path / "vctk")
    assert corpus.read(folder, "x", READERS.part("vctk", microphone="mic2")).utterances[0].wav.name == "p225_001_mic2.flac"
    folder = libritts(tmp_path / "libritts")
    assert corpus.read(folder, "x", READERS.part("libritts", text="original")).utterances[0].text == "Chapter 1."
    source = write(tmp_path / "t/list.tsv", "k1\ta.wav\tunused\thello\n")
    audio(tmp_path / "t/a.wav")
    reader = READERS.part("table", columns=("id", "file", "-", "text"), delimiter="\t")
    assert [(u.id, u.text, u.speaker) for u in corpus.read(source, "x", reader).utterances] == [("k1", "hello", "x")]
    source = write(tmp_path / "t/hf.jsonl", '{"file_name": "a.wav", "transcription": "hello"}\n')
    assert corpus.read(source, "x", READERS.part("jsonl", audio="file_name", text="transcription")).utterances[0].id == "a"


@pytest.mark.parametrize(
    ("reader", "knobs", "message"),
    [
        ("vctk", {"microphone": "mic3"}, "microphone: unknown, got 'mic3'; known: mic1, mic2"),
        ("libritts", {"text": "raw"}, "text: unknown, got 'raw'"),
        ("table", {"columns": ("file", "txt")}, "columns: unknown, got 'txt'; did you mean 'text'"),
        ("table", {"columns": ("file", "speaker")}, "columns: file and text, each name once"),
        ("table", {"columns": ("file", "text", "text")}, "columns: file and text, each name once"),
        ("table", {"delimiter": "||"}, "delimiter: one character"),
        ("table", {"delimiter": "a"}, "delimiter: one character"),
    ],
)
def test_settings_without_sense_are_refused(reader: str, knobs: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("|", r"\|")):
        READERS.part(reader, **knobs).build()


def test_what_can_be_read_in_two_ways_names_both(tmp_path: Path) -> None:
    folder = kaldi_directory(tmp_path / "corpus")
    write(folder / "metadata.csv", "a|one\n")
    with pytest.raises(DataError, match=r"choose one with --reader: kaldi \(.*\); ljspeech \("):
        guess(folder)
    folder = tmp_path / "three"
    write(folder / "metadata.csv", "a.wav|anna|one\nb.wav|anna|two\n")
    with pytest.raises(DataError, match=r"choose one with --reader: ljspeech .*; table"):
        guess(folder)
    write(folder / "metadata.csv", "a|first words|one\nb|other words|two\n")
    assert guess(folder) == "ljspeech"


def test_an_unknown_layout_names_all_and_the_folder_that_may_be_meant(tmp_path: Path) -> None:
    vctk(tmp_path / "VCTK-Corpus-0.92")
    with pytest.raises(DataError, match=r"no layout that is known; did you mean .*VCTK-Corpus-0.92\? known: jsonl .*; vctk"):
        guess(tmp_path)
    with pytest.raises(DataError, match="there is no folder or file of that name; did you mean 'VCTK-Corpus-0.92'"):
        guess(tmp_path / "VCTK-Corpus-0.91")


def test_all_that_is_wrong_with_a_manifest_is_said_at_once(tmp_path: Path) -> None:
    audio(tmp_path / "a.wav", tmp_path / "b.wav")
    lines = {
        '{"audio_filepath": "a.wav", "text": "fine"}': "",
        "not json": "not JSON: ",
        "[1]": "expected an object {...}, got '[1]'",
        '{"audio": "a.wav", "text": "x"}': "no key 'audio_filepath'; ",
        '{"audio_filepath": "a.wav", "text": 3.5}': "text: expected a word, got 3.5",
        '{"audio_filepath": "b.wav", "text": "x", "offset": 1.5}': "parts of recordings are not cut, got offset 1.5",
        '{"audio_filepath": "gone.wav", "text": "x"}': "gone.wav: no such file",
        '{"audio_filepath": "b.wav", "text": " "}': "empty text of 'b'",
        '{"audio_filepath": "b.wav", "text": "x", "id": "two words"}': "unsafe id, got 'two words'",
        '{"audio_filepath": "b.wav", "text": "x", "speaker": "a b", "id": "u1"}': "unsafe speaker, got 'a b'",
        '{"audio_filepath": "b.wav", "text": "a\\u0007b", "id": "u2"}': "control character in 'u2', got U+0007",
        '{"audio_filepath": "b\\u0000.wav", "text": "ab", "id": "u3"}': "control character in 'u3', got U+0000",
        '{"audio_filepath": "a.wav", "text": "y", "id": "a"}': "id stands twice, got 'a', first in line 1",
        "[" * 5000: "not JSON: ",
    }
    source = write(tmp_path / "all.jsonl", "".join(f"{line}\n" for line in lines))
    with pytest.raises(DataError) as caught:
        corpus.prepare(source, tmp_path / "out", "x")
    said = str(caught.value).splitlines()
    expected = [(number, why) for number, why in enumerate(lines.values(), 1) if why]
    assert len(said) == len(expected)
    for line, (number, why) in zip(said, expected, strict=True):
        assert line.startswith(f"{source}:{number}: ") and why in line
    assert not (tmp_path / "out").exists()


def test_kaldi_commands_and_segments_are_refused(tmp_path: Path) -> None:
    folder = kaldi_directory(tmp_path / "a")
    write(folder / "wav.scp", "u-a sox x.sph -t wav - |\nu-b audio/a.wav\n")
    with pytest.raises(DataError, match=r"wav.scp:1: commands are not run, got 'sox"):
        corpus.read(folder, "x")
    write(kaldi_directory(tmp_path / "b") / "segments", "u-a rec 0 1\n")
    with pytest.raises(DataError, match="segments: parts of recordings are not cut"):
        corpus.read(tmp_path / "b", "x")


def test_kaldi_files_that_disagree_are_named_with_their_lines(tmp_path: Path) -> None:
    folder = kaldi_directory(tmp_path / "a")
    write(folder / "utt2spk", "u-a anna\n")
    (folder / "audio/a.wav").unlink()
    with pytest.raises(DataError) as caught:
        corpus.read(folder, "x")
    said = str(caught.value).splitlines()
    assert said[0] == f"{folder}/wav.scp:2: {folder}/audio/a.wav: no such file"
    assert said[1] == f"{folder}/utt2spk: has no line for 1 recordings: u-b; add 'id value'"


@pytest.mark.parametrize("name", ["vctk", "libritts"])
def test_a_text_that_is_none_is_named_by_its_file(name: str, tmp_path: Path) -> None:
    folder = LAYOUTS[name][0](tmp_path / "corpus")
    first, second = sorted(folder.rglob("*_001.txt" if name == "vctk" else "*000[0-7]_*.normalized.txt"))
    first.write_bytes("Ça va".encode("latin-1"))
    second.write_text("\n")
    with pytest.raises(DataError) as caught:
        corpus.read(folder, "x")
    said = str(caught.value).splitlines()
    assert len(said) == 2 and said[0].startswith(f"{first}:1: not UTF-8") and said[1].startswith(f"{second}: empty text of ")


def test_prepare_only_looks_without_a_place_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = m_ailabs(tmp_path / "corpus")
    before = sorted(tmp_path.rglob("*"))
    assert main(["prepare", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{folder}: read as m_ailabs (by_book/")
    assert said[-1] == f"{folder}: 3 utterances, 0.0 min, 8000 Hz, 3 speakers, 2 languages"
    assert sorted(tmp_path.rglob("*")) == before


def test_prepare_with_a_named_reader_and_its_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = vctk(tmp_path / "corpus"), tmp_path / "data"
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


words = st.text(st.characters(blacklist_categories=["Cc", "Cs", "Zs", "Zl", "Zp"], blacklist_characters="\ufeff"), min_size=1, max_size=8)
fields = st.lists(words, min_size=1, max_size=3).map(" ".join)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(fields, fields, fields), min_size=1, max_size=5), delimiter=st.sampled_from("|\t;"))
def test_rows_of_a_table_are_read_as_they_are_or_refused_by_line(tmp_path: Path, rows: list[tuple[str, ...]], delimiter: str) -> None:
    source = tmp_path / "list.txt"
    source.write_text("".join(f"{delimiter.join(row)}\n" for row in rows), encoding="utf-8", newline="")
    findings = Findings()
    found = list(Table(delimiter=delimiter).recordings(source, findings))
    good = [(number, row) for number, row in enumerate(rows, 1) if not any(delimiter in value for value in row)]
    assert [(r.line, r.wav, r.speaker, r.text) for r in found] == [(n, tmp_path / row[0], row[1], row[2]) for n, row in good]
    if len(good) < len(rows):
        with pytest.raises(DataError) as caught:
            findings.raise_all()
        said = str(caught.value).splitlines()
        assert [int(line.removeprefix(f"{source}:").partition(":")[0]) for line in said] == sorted(
            set(range(1, len(rows) + 1)) - {number for number, _ in good}
        )
        assert all(f"a {delimiter!r} inside the text?" in line for line in said)
    else:
        assert not findings


def test_a_table_of_nvidia_with_too_few_columns_says_what_it_expected(tmp_path: Path) -> None:
    source = write(tmp_path / "list.txt", "a.wav|hello\n|ben|hello\n")
    with pytest.raises(DataError) as caught:
        corpus.read(source, "x")
    assert str(caught.value).splitlines() == [
        f"{source}:1: expected 3 columns (file|speaker|text), found 2, got 'a.wav|hello'",
        f"{source}:2: nothing in column 'file' of file|speaker|text, got '|ben|hello'",
    ]


def test_ids_take_as_many_folders_as_tell_files_apart() -> None:
    assert ids_of([Path("x/a.wav"), Path("x/b.wav")]) == ["a", "b"]
    assert ids_of([Path("x/1/a.wav"), Path("x/2/a.wav"), Path("x/2/b.c.wav")]) == ["1-a", "2-a", "2-b.c"]
    assert len(set(ids_of([Path("a.wav"), Path("a.wav")]))) == 1
