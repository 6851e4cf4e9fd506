"""Which reader a corpus is for, where nobody says it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.data.readers.guessing import guess
from toolkit.errors import DataError

Make = Callable[[str, Path], Path]
Write = Callable[[Path, str], Path]


def test_what_can_be_read_in_two_ways_names_both(tmp_path: Path, make: Make, write: Write) -> None:
    folder = make("kaldi", tmp_path / "corpus")
    write(folder / "metadata.csv", "a|one\n")
    with pytest.raises(DataError, match=r"choose one with --reader: kaldi \(.*\); ljspeech \("):
        guess(folder)
    folder = tmp_path / "three"
    write(folder / "metadata.csv", "a.wav|anna|one\nb.wav|anna|two\n")
    with pytest.raises(DataError, match=r"choose one with --reader: ljspeech .*; table"):
        guess(folder)
    write(folder / "metadata.csv", "a|first words|one\nb|other words|two\n")
    assert guess(folder) == "ljspeech"


def test_an_unknown_layout_names_all_and_the_folder_that_may_be_meant(tmp_path: Path, make: Make) -> None:
    make("vctk", tmp_path / "VCTK-Corpus-0.92")
    with pytest.raises(DataError, match=r"no layout that is known; did you mean .*VCTK-Corpus-0.92\? known: jsonl .*; vctk"):
        guess(tmp_path)
    with pytest.raises(DataError, match="there is no folder or file of that name; did you mean 'VCTK-Corpus-0.92'"):
        guess(tmp_path / "VCTK-Corpus-0.91")
