"""Validation of a data directory: all errors and warnings of a run, with file and id."""

import argparse

import numpy as np
import pytest
import soundfile

from toolkit.bin import validate_data as verb
from toolkit.data import kaldi
from toolkit.data.kaldi import Utterance
from toolkit.data.validation import validate
from toolkit.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """Six good utterances of 2 s and 28 characters each."""
    utterances = []
    for key in "abcdef":
        soundfile.write(tmp_path / f"{key}.wav", np.zeros(16000), 8000)
        utterances.append(Utterance(key, tmp_path / f"{key}.wav", "twenty eight characters here", "lj", 2.0))
    kaldi.write(tmp_path / "data", utterances)
    return tmp_path / "data"


def change(folder, name, key, value):
    values = kaldi.read_map(folder / name)
    values[key] = value
    if value is None:
        del values[key]
    (folder / name).write_text("".join(f"{k} {v}\n" for k, v in values.items()), encoding="utf-8")


def test_a_good_directory_is_fit(folder, capsys):
    report = validate(folder)
    assert (report.errors, report.warnings) == ([], [])
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    assert verb.run(parser.parse_args([str(folder)])) == 0
    assert capsys.readouterr().out == f"{folder}: 6 utterances, 0.2 min, 1 speakers: fit for use\n"


def test_all_errors_are_found_in_one_run(folder, tmp_path, capsys):
    change(folder, "text", "a", None)
    change(folder, "text", "b", "zero\u200bwidth characters are here")
    change(folder, "utt2dur", "c", "1.900000")
    change(folder, "utt2dur", "d", "0")
    change(folder, "utt2spk", "e", "other")
    (tmp_path / "f.wav").write_bytes((tmp_path / "f.wav").read_bytes()[:1000])
    soundfile.write(tmp_path / "d.wav", np.zeros(100), 8000)
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    with pytest.raises(DataError) as caught:
        verb.run(parser.parse_args([str(folder)]))
    lines = str(caught.value).splitlines()
    for start, reason in {
        "text: lacks 1 ids": "a",
        "spk2utt: is not the inverse": "",
        "text: b: ": "U+200B",
        "wav.scp: f: ": "truncated",
        "utt2dur: c: ": "the recording changed: 2.000 s, got 1.900",
        "utt2dur: d: ": "seconds are a number above 0",
        "text: d: ": "28 characters in 0.01 s",
    }.items():
        assert any(line.startswith(f"{folder}/{start}") and reason in line for line in lines), start
    assert len(lines) == 7
    assert "warning: " in capsys.readouterr().out  # d is short


def test_order_and_duplicates_are_errors(folder):
    (folder / "text").write_text("b x\na x\nc x\nd x\ne x\nf x\n")
    (folder / "utt2dur").write_text("a 2\na 2\nb 2\nc 2\nd 2\ne 2\nf 2\n")
    errors = validate(folder).errors
    assert errors[0] == f"{folder / 'text'}:2: not sorted by the bytes of the id, got 'a' after 'b'; sort with LC_ALL=C"
    assert errors[1] == f"{folder / 'utt2dur'}:2: id stands twice, got 'a'; ids are unique"


def test_missing_files_are_errors_and_do_not_hide_others(folder):
    (folder / "spk2utt").unlink()
    (folder / "utt2dur").write_text("")
    (folder / "text").write_bytes(b"a \xff\n")
    assert [line.split(": ")[0] for line in validate(folder).errors] == [
        str(folder / "text") + ":1",
        str(folder / "spk2utt"),
        str(folder / "utt2dur"),
    ]


def test_a_missing_folder_is_an_error(tmp_path):
    assert all("no such file" in line for line in validate(tmp_path / "nothing").errors)


def test_outliers_are_warnings(folder, tmp_path):
    for key, length, rate, channels in (("a", 0.2, 8000, 1), ("b", 21, 16000, 1), ("c", 2, 8000, 2)):
        soundfile.write(tmp_path / f"{key}.wav", np.zeros((int(length * rate), channels)), rate)
        change(folder, "utt2dur", key, f"{length:.6f}")
    change(folder, "text", "a", "nine char")
    change(folder, "text", "d", "x")
    report = validate(folder)
    assert report.errors == []
    assert [line.partition(": ")[2] for line in report.warnings] == [
        "recordings differ (8000 Hz: 5, 16000 Hz: 1); all are converted when features are extracted",
        "recordings differ (1 channels: 5, 2 channels: 1); all are converted when features are extracted",
        "1 utterances are shorter than 0.3 s: a",
        "1 utterances are longer than 20 s: b",
        "1 utterances are spoken 3 times faster than the median: a",
        "2 utterances are spoken 3 times slower than the median: b, d",
    ]
