"""What is wrong with a corpus, or with the settings of its reader, is said at once and by line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.data import corpus
from toolkit.data.readers import READERS
from toolkit.errors import ConfigError, DataError

Make = Callable[[str, Path], Path]
Write = Callable[[Path, str], Path]


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


def test_all_that_is_wrong_with_a_manifest_is_said_at_once(tmp_path: Path, audio: Callable[..., None], write: Write) -> None:
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


def test_kaldi_commands_and_segments_are_refused(tmp_path: Path, make: Make, write: Write) -> None:
    folder = make("kaldi", tmp_path / "a")
    write(folder / "wav.scp", "u-a sox x.sph -t wav - |\nu-b audio/a.wav\n")
    with pytest.raises(DataError, match=r"wav.scp:1: commands are not run, got 'sox"):
        corpus.read(folder, "x")
    write(make("kaldi", tmp_path / "b") / "segments", "u-a rec 0 1\n")
    with pytest.raises(DataError, match="segments: parts of recordings are not cut"):
        corpus.read(tmp_path / "b", "x")


def test_kaldi_files_that_disagree_are_named_with_their_lines(tmp_path: Path, make: Make, write: Write) -> None:
    folder = make("kaldi", tmp_path / "a")
    write(folder / "utt2spk", "u-a anna\n")
    (folder / "audio/a.wav").unlink()
    with pytest.raises(DataError) as caught:
        corpus.read(folder, "x")
    said = str(caught.value).splitlines()
    assert said[0] == f"{folder}/wav.scp:2: {folder}/audio/a.wav: no such file"
    assert said[1] == f"{folder}/utt2spk: has no line for 1 recordings: u-b; add 'id value'"


@pytest.mark.parametrize("name", ["vctk", "libritts"])
def test_a_text_that_is_none_is_named_by_its_file(name: str, tmp_path: Path, make: Make) -> None:
    folder = make(name, tmp_path / "corpus")
    first, second = sorted(folder.rglob("*_001.txt" if name == "vctk" else "*000[0-7]_*.normalized.txt"))
    first.write_bytes("Ça va".encode("latin-1"))
    second.write_text("\n")
    with pytest.raises(DataError) as caught:
        corpus.read(folder, "x")
    said = str(caught.value).splitlines()
    assert len(said) == 2 and said[0].startswith(f"{first}:1: not UTF-8") and said[1].startswith(f"{second}: empty text of ")
