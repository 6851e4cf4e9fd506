"""Data directories: what is written is read again, and every wrong line is named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit.data import kaldi
from toolkit.data.kaldi import Utterance
from toolkit.errors import DataError

ids = st.from_regex(kaldi.IDENTIFIER, fullmatch=True).map(lambda text: text[:40])
texts = st.text(st.characters(blacklist_categories=["Cc", "Cs"]), min_size=1).map(str.strip).filter(bool)
names = st.text(st.characters(blacklist_categories=["Cc", "Cs"], blacklist_characters="/"), min_size=1, max_size=20).map(
    lambda name: f"/some folder/{name.strip()}.wav"
)
seconds = st.integers(1, 10**9).map(lambda micros: micros / 1e6)


def utterance(key, **changes):
    return Utterance(**{"id": key, "wav": Path(f"/a/{key}.wav"), "text": "some text", "speaker": "lj", "seconds": 1.5, **changes})


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(ids, names, texts, ids, seconds), unique_by=lambda row: row[0], min_size=1, max_size=6))
def test_what_is_written_is_read(tmp_path, rows):
    utterances = [Utterance(key, Path(name), text, speaker, length) for key, name, text, speaker, length in rows]
    kaldi.write(tmp_path / "data", utterances)
    assert kaldi.read(tmp_path / "data") == sorted(utterances, key=lambda u: u.id)


def test_files_are_sorted_by_bytes_and_speakers_inverted(tmp_path):
    keys = ["a_1", "B-2", "a-10", "a.3", "A1"]
    kaldi.write(tmp_path, [utterance(key, speaker="x" if key[0] == "a" else "y") for key in keys])
    order = sorted(keys, key=str.encode)
    for name in ("wav.scp", "text", "utt2spk", "utt2dur"):
        assert [line.split()[0] for line in (tmp_path / name).read_text().splitlines()] == order
    assert (tmp_path / "spk2utt").read_text() == "x a-10 a.3 a_1\ny A1 B-2\n"
    assert (tmp_path / "utt2dur").read_text().splitlines()[0] == "A1 1.500000"


def test_relative_paths_become_absolute_and_spaces_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kaldi.write("data", [utterance("a", wav=Path("my wavs/it's  é.wav"))])
    assert kaldi.read("data")[0].wav == tmp_path / "my wavs/it's  é.wav"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": "../a"}, "unsafe name, got '../a'"),
        ({"id": "-rf"}, "unsafe name"),
        ({"id": "a b"}, "unsafe name"),
        ({"speaker": "a;b"}, "unsafe name, got 'a;b'"),
        ({"text": "two\nlines"}, "does not fit on a line"),
        ({"text": " x"}, "does not fit on a line"),
        ({"text": ""}, "does not fit on a line"),
        ({"wav": Path("/a\nb")}, "does not fit on a line"),
        ({"wav": Path(os.fsdecode(b"/a\xff.wav"))}, "not UTF-8"),
    ],
)
def test_writing_refuses_what_could_not_be_read(tmp_path, changes, reason):
    with pytest.raises(DataError, match=reason):
        kaldi.write(tmp_path, [utterance("ok"), utterance("bad", **changes)])


def test_writing_refuses_doubles(tmp_path):
    with pytest.raises(DataError, match="1 ids stand twice"):
        kaldi.write(tmp_path, [utterance("a"), utterance("a")])


def test_reading_names_every_wrong_line(tmp_path):
    path = tmp_path / "wav.scp"
    path.write_bytes(b"a /x.wav\nb sox x.wav -t wav - |\nc | rm\na /y.wav\n;d /x.wav\ne\n\nf \xe9t\xe9.wav\ng x\x00y\nh /x|y.wav\n")
    with pytest.raises(DataError) as caught:
        kaldi.read_map(path)
    lines = sorted(str(caught.value).splitlines())
    assert [line.removeprefix(f"{path}:").split(":")[0] for line in lines] == ["2", "3", "4", "5", "6", "8", "9"]
    command = "commands are not run"
    reasons = [command, command, "id stands twice", "unsafe id", "the id 'e' alone", "byte 0xe9 at byte 3", "U+0000"]
    assert all(reason in line for line, reason in zip(lines, reasons, strict=True))


def test_pipes_are_text_outside_scp(tmp_path):
    (tmp_path / "text").write_text("a this or that |\n")
    assert kaldi.read_map(tmp_path / "text") == {"a": "this or that |"}


def test_foreign_line_ends_and_byte_order_marks_are_accepted(tmp_path):
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfa one\ttwo\r\nb\tthree\rc  four\n\n")
    assert kaldi.read_map(tmp_path / "text") == {"a": "one\ttwo", "b": "three", "c": "four"}


def test_ids_must_agree_and_seconds_be_numbers(tmp_path):
    kaldi.write(tmp_path, [utterance(key) for key in "abcdef"])
    (tmp_path / "text").write_text("a x\nz y\n")
    (tmp_path / "utt2dur").write_text("a 1\nb 0\nc -1\nd nan\ne x\nf 2\n")
    with pytest.raises(DataError) as caught:
        kaldi.read(tmp_path)
    message = str(caught.value)
    assert f"{tmp_path / 'text'}: lacks 5 ids of the other files: b, c, d, ..." in message
    assert f"{tmp_path / 'utt2spk'}: lacks 1 ids of the other files: z" in message
    assert message.count("seconds are a number above 0") == 4


def test_missing_and_empty_files_are_named_together(tmp_path):
    kaldi.write(tmp_path, [utterance("a")])
    (tmp_path / "text").unlink()
    (tmp_path / "utt2spk").write_text("")
    (tmp_path / "utt2dur").unlink()
    (tmp_path / "utt2dur").mkdir()
    with pytest.raises(DataError) as caught:
        kaldi.read(tmp_path)
    assert str(caught.value).splitlines() == [
        f"{tmp_path / 'text'}: no such file",
        f"{tmp_path / 'utt2spk'}: empty file",
        f"{tmp_path / 'utt2dur'}: not a regular file",
    ]


def test_utf16_is_refused(tmp_path):
    (tmp_path / "text").write_text("a b", encoding="utf-16")
    with pytest.raises(DataError, match="UTF-16 text; save the file as UTF-8"):
        kaldi.read_map(tmp_path / "text")


def test_subset_takes_all_maps(tmp_path):
    kaldi.write(tmp_path / "all", [utterance(key, speaker=f"s{key}") for key in "abc"])
    kaldi.write_map(tmp_path / "all/feats.scp", {key: f"x y.ark:{number}" for number, key in enumerate("abc")})
    kaldi.write_map(tmp_path / "all/utt2num_frames", dict.fromkeys("abc", "9"))
    (tmp_path / "all/dev.list").write_text("a\n")
    kaldi.subset(tmp_path / "all", tmp_path / "some", ["c", "a"])
    assert [u.id for u in kaldi.read(tmp_path / "some")] == ["a", "c"]
    assert (tmp_path / "some/spk2utt").read_text() == "sa a\nsc c\n"
    assert (tmp_path / "some/feats.scp").read_text() == "a x y.ark:0\nc x y.ark:2\n"
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == sorted([*kaldi.FILES, "feats.scp", "utt2num_frames"])


def test_subset_names_a_map_that_lacks_ids(tmp_path):
    kaldi.write(tmp_path / "all", [utterance(key) for key in "ab"])
    kaldi.write_map(tmp_path / "all/feats.scp", {"a": "x.ark:0"})
    with pytest.raises(DataError, match="feats.scp: has no line for 1 ids: b"):
        kaldi.subset(tmp_path / "all", tmp_path / "some", ["a", "b"])


def test_the_locale_changes_nothing(tmp_path):
    folder = tmp_path / "é b"
    folder.mkdir()
    kaldi.write(folder, [utterance("a", wav=folder / "ü.wav", text="naïve 🙂 שלום")])
    before = {name: (folder / name).read_bytes() for name in kaldi.FILES}
    code = "import sys; from toolkit.data import kaldi; kaldi.write(sys.argv[1], kaldi.read(sys.argv[1]))"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment["PYTHONPATH"] = str(Path(kaldi.__file__).parents[2])
    subprocess.run([sys.executable, "-c", code, os.fsencode(folder)], check=True, env=environment, timeout=60)
    assert {name: (folder / name).read_bytes() for name in kaldi.FILES} == before
