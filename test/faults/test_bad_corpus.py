"""A corpus with everything wrong: every mistake is reported in one run, with file, line and reason, and nothing is written."""

import os

import numpy as np
import pytest
import soundfile

from toolkit.data import corpus
from toolkit.errors import DataError

LINES = {
    2: (b"column", "expected 2 or 3 columns (id|text or id|text|normalised text), found 1, got 'column'"),
    3: (b"a|b|c|d", "found 4"),
    4: (b"empty|   ", "empty text of 'empty'"),
    5: (b"good|again", "id stands twice, got 'good', first in line 1"),
    6: (b"gone|no audio", "no recording of 'gone': expected "),
    7: (b"nul|a\x00b", "control character, got U+0000 at character 6"),
    8: (b"latin|\xe9t\xe9", "not UTF-8, got byte 0xe9 at byte 7"),
    9: (b"long|" + b"x" * 100_000, "line of 100005 characters, at most 20000"),
    10: (b"two words|text", "unsafe id, got 'two words'"),
    11: (b"../up|text", "unsafe id, got '../up'"),
    12: (b"-rf|text", "unsafe id, got '-rf'"),
    13: (b"a;rm|text", "unsafe id, got 'a;rm'"),
    14: (b"$(touch PWN)|text", "unsafe id"),
    15: (b"|text", "unsafe id, got ''"),
    16: (b"both|empty|", None),  # falls back to the second column
    17: (b"none||", "empty text of 'none'"),
    18: ("naïve|text".encode(), "unsafe id, got 'naïve'"),
    19: (b"double|text", "2 recordings of 'double': double.flac, double.wav"),
    20: (b"cut|text", "truncated"),
    21: (b"folder|text", "not a regular file but a folder"),
    22: (b"pipe|text", "not a regular file but a named pipe"),
    23: (b"dangling|text", "which does not exist"),
    24: (b"mp3|text", "it looks like MP3"),
    25: (b"silent|text", "holds no samples"),
    26: (b"wavs/good|text", "unsafe id, got 'wavs/good'"),
    27: (b"esc|a \x1b[31m b", "control character, got U+001B"),
}


@pytest.fixture
def folder(tmp_path):
    """A corpus with one good line and all the bad ones."""
    wavs = tmp_path / "c/wavs"
    wavs.mkdir(parents=True)
    for name in ("good.wav", "both.wav", "double.wav", "double.flac", "empty.wav", "extra.wav"):
        soundfile.write(wavs / name, np.zeros(1600), 16000)
    (wavs / "cut.wav").write_bytes((wavs / "good.wav").read_bytes()[:1000])
    (wavs / "folder.wav").mkdir()
    os.mkfifo(wavs / "pipe.wav")
    (wavs / "dangling.wav").symlink_to("nowhere")
    (wavs / "mp3.wav").write_bytes(b"\xff\xfb\x90\x64" + bytes(400))
    soundfile.write(wavs / "silent.wav", np.zeros(0), 16000)
    data = b"good|fine\n" + b"".join(line + b"\n" for line, _ in LINES.values())
    (tmp_path / "c/metadata.csv").write_bytes(data)
    return tmp_path / "c"


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_lines(folder, tmp_path):
    with pytest.raises(DataError) as caught:
        corpus.prepare(folder, tmp_path / "out", "x")
    lines = str(caught.value).splitlines()
    expected = {number: reason for number, (_, reason) in LINES.items() if reason}
    assert len(lines) == len(expected)
    for line, (number, reason) in zip(lines, expected.items(), strict=True):
        assert line.startswith(f"{folder / 'metadata.csv'}:{number}: ") and reason in line
        assert len(line) < 400
    assert not (tmp_path / "out").exists()


def test_the_message_has_an_end(tmp_path):
    (tmp_path / "metadata.csv").write_text("bad\n" * 80)
    with pytest.raises(DataError) as caught:
        corpus.read(tmp_path, "x")
    lines = str(caught.value).splitlines()
    assert len(lines) == 51 and lines[-1] == "... and 30 more"


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf\r\n"])
def test_an_empty_metadata_is_named(tmp_path, data):
    (tmp_path / "metadata.csv").write_bytes(data)
    with pytest.raises(DataError, match="holds no lines"):
        corpus.read(tmp_path, "x")


def test_utf16_and_a_folder_for_a_file_are_named(tmp_path):
    (tmp_path / "metadata.csv").write_text("a|b", encoding="utf-16")
    with pytest.raises(DataError, match="UTF-16 text; save the file as UTF-8"):
        corpus.read(tmp_path, "x")
    (tmp_path / "metadata.csv").unlink()
    (tmp_path / "metadata.csv").mkdir()
    with pytest.raises(DataError, match="not a regular file"):
        corpus.read(tmp_path, "x")


def test_a_wrong_folder_is_met_with_the_right_one(tmp_path):
    (tmp_path / "LJSpeech-1.1").mkdir()
    (tmp_path / "LJSpeech-1.1/metadata.csv").write_text("a|b\n")
    with pytest.raises(DataError, match="did you mean .*LJSpeech-1.1"):
        corpus.read(tmp_path, "x")
    with pytest.raises(DataError, match="did you mean 'LJSpeech-1.1'"):
        corpus.read(tmp_path / "LJSpeech-1.0", "x")
    with pytest.raises(DataError, match="there is no folder"):
        corpus.read(tmp_path / "x/y", "x")


@pytest.mark.parametrize("speaker", ["", "a b", "../x", "-x"])
def test_a_wrong_speaker_is_refused(tmp_path, speaker):
    with pytest.raises(DataError, match="--speaker: unsafe name"):
        corpus.read(tmp_path, speaker)
