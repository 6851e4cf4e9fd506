"""Reading texts as spoken words, counting their edits, and one real recogniser."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import ConfigError, DataError
from toolkit.evaluate.recognition import (
    Errors,
    PocketsphinxRecogniser,
    WhisperRecogniser,
    character_error_rate,
    resampled,
    shuffled,
    spoken_words,
    total,
    word_errors,
)

MINI = Path(__file__).resolve().parents[2] / "recipes" / "ljspeech" / "mini"
HOURS = "one two three four five six seven eight nine ten eleven twelve".split()
PAST = {5: "five", 10: "ten", 15: "quarter", 20: "twenty", 25: "twenty five", 30: "half"}


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("4 7 3", "four seven three"),
        ("473", "four seven three"),
        ("4-7-3.", "four seven three"),
        ("4, 7, 3", "four seven three"),
        ("1,473", "one four seven three"),
        ("Four, seven, three.", "four seven three"),
        ("(473) 998-2108", "four seven three nine nine eight two one zero eight"),
        ("02 05", "zero two zero five"),
        ("25 past 11", "twenty five past eleven"),
        ("It's 25 past 11.", "it is twenty five past eleven"),
        ("It is 20 to 12.", "it is twenty to twelve"),
        ("It is twenty-five past 7", "it is twenty five past seven"),
        ("It is 7:25.", "it is twenty five past seven"),
        ("It is 7.40", "it is twenty to eight"),
        ("It is 12:45", "it is quarter to one"),
        ("It is 7:30", "it is half past seven"),
        ("It is 4:00", "it is four o'clock"),
        ("It's four O'clock", "it is four o'clock"),
        ("It\u2019s 4 o\u2019clock", "it is four o'clock"),
        ("It is 4 oclock", "it is four o'clock"),
        ("five two four", "five to four"),
        ("five too for", "five two four"),
        ("", ""),
    ],
)
def test_spellings_of_the_same_speech_are_equal(written: str, spoken: str) -> None:
    assert spoken_words(written) == spoken_words(spoken)


@pytest.mark.parametrize(("one", "other"), [("473", "437"), ("4 7 3", "forty seven three"), ("It is 7:25", "it is twenty past seven")])
def test_different_speech_stays_different(one: str, other: str) -> None:
    assert spoken_words(one) != spoken_words(other)


@pytest.mark.parametrize("minute", range(0, 60, 5))
def test_every_time_by_the_clock_reads_as_the_grammar_says_it(minute: int) -> None:
    for hour, name in enumerate(HOURS, 1):
        following = HOURS[hour % 12]
        if minute == 0:
            expected = f"it is {name} o'clock"
        elif minute <= 30:
            expected = f"it is {PAST[minute]} past {name}"
        else:
            expected = f"it is {PAST[60 - minute]} to {following}"
        assert spoken_words(f"It is {hour}:{minute:02d}.") == spoken_words(expected)


@given(st.text(alphabet=st.sampled_from("0123456789 :.,-'aoclktwp'st\u2019"), max_size=30))
def test_reading_is_stable_and_leaves_no_figures(text: str) -> None:
    words = spoken_words(text)
    assert not any(character.isdigit() for word in words for character in word)
    assert spoken_words(" ".join(words)) == words


def test_edits_are_counted_one_by_one() -> None:
    pytest.importorskip("jiwer", reason="word errors need the extra [eval]")
    assert word_errors("four seven three", "473") == Errors(0, 0, 0, 3)
    assert word_errors("four seven three", "4 8 3 1") == Errors(1, 0, 1, 3)
    assert word_errors("four seven three", "") == Errors(0, 3, 0, 3)
    summed = total([Errors(1, 0, 1, 3), Errors(0, 0, 0, 5)])
    assert summed == Errors(1, 0, 1, 8) and summed.rate == 0.25
    assert character_error_rate("four", "for") == 0 and character_error_rate("six", "sax") == pytest.approx(1 / 3)


def test_nothing_to_count_is_refused() -> None:
    with pytest.raises(DataError, match="no words"):
        word_errors(" . ", "four")
    with pytest.raises(DataError, match="no sentences"):
        total([])


def test_shuffling_moves_every_text_and_loses_none() -> None:
    texts = [str(i) for i in range(50)]
    moved = shuffled(texts)
    assert sorted(moved) == sorted(texts) and moved == shuffled(texts)
    assert all(a != b for a, b in zip(texts, moved, strict=True))


def test_resampling_keeps_the_duration() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(22050) / 22050).astype(np.float32)
    low = resampled(tone, 22050)
    assert low.dtype == np.float32 and len(low) == 16000
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(low - expected)[200:-200].max() < 1e-2


def test_pocketsphinx_hears_recordings_and_no_speech_in_silence() -> None:
    pytest.importorskip("pocketsphinx", reason="the recogniser needs the extra [eval]")
    pytest.importorskip("jiwer", reason="word errors need the extra [eval]")
    recogniser = PocketsphinxRecogniser((MINI / "lexicon.txt").read_text(encoding="utf-8").split())
    texts = dict(line.split("|") for line in (MINI / "metadata.csv").read_text(encoding="utf-8").splitlines())
    for uid in ("mini-c0001", "mini-d0001"):
        wave, rate = soundfile.read(MINI / "wavs" / f"{uid}.ogg", dtype="float32")
        assert word_errors(texts[uid], recogniser.transcribe(wave, rate)).rate == 0
        twice = np.repeat(wave, 2)
        assert word_errors(texts[uid], recogniser.transcribe(twice, 2 * rate)).rate <= 0.5
    assert len(recogniser.transcribe(np.zeros(16000, np.float32), 16000).split()) <= 1


def test_words_without_pronunciation_are_refused() -> None:
    pytest.importorskip("pocketsphinx", reason="the recogniser needs the extra [eval]")
    with pytest.raises(ConfigError, match="qqxyz"):
        PocketsphinxRecogniser(["one", "qqxyz"])
    with pytest.raises(ConfigError, match="no words"):
        PocketsphinxRecogniser([])


def test_folder_without_a_whisper_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper", reason="Whisper needs faster-whisper")
    with pytest.raises(ConfigError, match="model.bin"):
        WhisperRecogniser(tmp_path)
