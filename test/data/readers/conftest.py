"""Corpora of every layout, made up as they are published, with recordings of 0.3 s."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile


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
        {"audio_filepath": "3/a.wav", "text": "cafe\u0301", "speaker": 3, "duration": 0.3, "lang": "fr"},
        {"audio_filepath": str(folder / "4/a.wav"), "text": "a | b", "speaker": "4", "lang": "en"},
    ]
    return write(folder / "manifest.jsonl", "".join(json.dumps(row) + "\n" for row in rows)).parent


def table(folder: Path) -> Path:
    audio(folder / "wavs/a.wav", folder / "wavs/b.ogg", folder / "wavs/c.flac")
    return write(folder / "list.txt", 'wavs/b.ogg|ben|"two"\nwavs/a.wav|anna|one\n\nwavs/c.flac|ben|three\n')


LAYOUTS = {
    "vctk": vctk, "vctk 0.80": old_vctk, "libritts": libritts, "m_ailabs": m_ailabs, "kaldi": kaldi_directory, "jsonl": manifest,
    "table": table,
}  # fmt: skip


@pytest.fixture
def make() -> Callable[[str, Path], Path]:
    """``make(layout, folder)``: a corpus in the folder; its path, which may be that of a file."""
    return lambda layout, folder: LAYOUTS[layout](folder)


@pytest.fixture(name="audio")
def audio_of() -> Callable[..., None]:
    """``audio(*paths)``: recordings at these places."""
    return audio


@pytest.fixture(name="write")
def write_of() -> Callable[[Path, str], Path]:
    """``write(path, text)``: a file with its folders."""
    return write
