"""Linguistic context by hand, and what holds for any symbols."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.text.linguistic import BREAKS, COLUMN, LEVELS, NAMES, UTTERANCE, WIDTH, linguistic_features, phrases
from toolkit.text.pronunciation import PHONES
from toolkit.text.syllables import syllables

HELLO = ("HH", "AH0", "L", "OW1", " ", "W", "ER1", "L", "D", ",", "Y", "EH1", "S", "?", "<eos>")
phone_words = st.lists(st.sampled_from(PHONES), max_size=9)
any_symbols = st.lists(st.sampled_from([*PHONES, " ", *sorted(BREAKS), '"', "symbol3"]), max_size=30)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("HH AH0 L OW1", "HH AH0|L OW1"),
        ("W ER1 L D", "W ER1 L D"),
        ("EH1 K S T R AH0", "EH1 K|S T R AH0"),  # as much as an English word may begin with
        ("AE1 TH L IY2 T", "AE1 TH|L IY2 T"),
        ("S IH1 NG ER0", "S IH1 NG|ER0"),  # no word begins with NG
        ("K R IY0 EY1 T", "K R IY0|EY1 T"),
        ("HH M", "HH M"),
        ("", ""),
    ],
)
def test_syllables_by_hand(word: str, expected: str) -> None:
    phones = word.split()
    assert "|".join(" ".join(phones[i] for i in syllable) for syllable in syllables(phones)) == expected


@given(phone_words)
def test_syllables_are_the_whole_word_and_have_a_vowel_each(word: list[str]) -> None:
    parts = syllables(word)
    assert [i for part in parts for i in part] == list(range(len(word)))
    vowels = [sum(word[i][-1].isdigit() for i in part) for part in parts]
    assert vowels == [1] * len(parts) or (len(parts) <= 1 and sum(vowels) == 0)


def test_phrases_of_words_of_syllables() -> None:
    first, second = phrases(HELLO)
    assert (first.places, first.mark) == (range(0, 10), "comma")
    assert first.words == [[[0, 1], [2, 3]], [[5, 6, 7, 8]]]
    assert (second.places, second.mark) == (range(10, 15), "question")
    assert second.words == [[[10, 11, 12]]]


def test_marks_without_words_make_no_phrase() -> None:
    assert phrases((",", " ", ".", "<eos>")) == []
    quoted = phrases(('"', "AY1", '"', " ", "S", "EH1", "D", ",", '"', "N", "OW1", ".", '"', "<eos>"))
    assert [(phrase.places, phrase.mark) for phrase in quoted] == [(range(0, 9), "comma"), (range(9, 14), "stop")]


def named(place: int) -> dict[str, float]:
    return {name: float(value) for name, value in zip(NAMES, linguistic_features(HELLO)[place], strict=True) if value}


def test_the_third_phone_by_hand() -> None:
    """L of "hello" in "Hello world, yes?": the first phone of the second syllable."""
    expected = {
        "before2.HH": 1, "before.AH": 1, "this.L": 1, "after.OW": 1, "after2.W": 1,  # the word boundary is nobody's neighbour
        "class.approximant": 1, "class.alveolar": 1, "class.voiced": 1,
        "syllable.OW": 1, "stress.primary": 1, "stress.after": 1, "stressed.after": 1 / 12, "phrase.comma": 1,
        "phone_in_syllable.forward": 1 / 6, "phone_in_syllable.backward": 2 / 6, "phone_in_syllable.count": 2 / 6,
        "phone_in_syllable.count_before": 2 / 6, "phone_in_syllable.count_after": 4 / 6,
        "syllable_in_word.forward": 2 / 6, "syllable_in_word.backward": 1 / 6, "syllable_in_word.count": 2 / 6,
        "syllable_in_word.count_after": 1 / 6,
        "syllable_in_phrase.forward": 2 / 24, "syllable_in_phrase.backward": 2 / 24, "syllable_in_phrase.count": 3 / 24,
        "syllable_in_phrase.count_after": 1 / 24,
        "word_in_phrase.forward": 1 / 16, "word_in_phrase.backward": 2 / 16, "word_in_phrase.count": 2 / 16,
        "word_in_phrase.count_after": 1 / 16,
        "phrase_in_utterance.forward": 1 / 8, "phrase_in_utterance.backward": 2 / 8, "phrase_in_utterance.count": 2 / 8,
        "word_in_utterance.forward": 1 / 48, "word_in_utterance.backward": 3 / 48, "word_in_utterance.count": 3 / 48,
        "syllable_in_utterance.forward": 2 / 80, "syllable_in_utterance.backward": 3 / 80, "syllable_in_utterance.count": 4 / 80,
    }  # fmt: skip
    assert named(2) == pytest.approx(expected)


def test_pauses_by_hand() -> None:
    phrase = {"phrase_in_utterance.forward": 1 / 8, "phrase_in_utterance.backward": 2 / 8, "phrase_in_utterance.count": 2 / 8}
    boundary = {"before2.L": 1, "before.OW": 1, "this.pause": 1, "after.W": 1, "after2.ER": 1, "pause.word": 1, "phrase.comma": 1}
    comma = {"before2.L": 1, "before.D": 1, "this.pause": 1, "after.Y": 1, "after2.EH": 1, "pause.mark": 1, "phrase.comma": 1}
    assert named(4) == pytest.approx(boundary | phrase)
    assert named(9) == pytest.approx(comma | phrase)
    last = {"phrase_in_utterance.forward": 2 / 8, "phrase_in_utterance.backward": 1 / 8, "phrase_in_utterance.count": 2 / 8}
    end = {"before2.S": 1, "before.pause": 1, "this.pause": 1, "pause.end": 1, "phrase.question": 1}
    assert named(14) == pytest.approx(end | last)


def test_large_counts_are_the_largest_told_apart() -> None:
    features = linguistic_features(("AA1", " ") * 100)
    assert features[0, COLUMN["word_in_phrase.backward"]] == features[0, COLUMN["stressed.after"]] == 1.0
    assert features[198, COLUMN["word_in_utterance.forward"]] == 1.0


@given(any_symbols)
def test_any_symbols_give_values_in_range(symbols: list[str]) -> None:
    features = linguistic_features(tuple(symbols))
    assert features.shape == (len(symbols), WIDTH) and features.dtype == np.float32
    assert features.min(initial=0.0) >= 0.0 and features.max(initial=0.0) <= 1.0
    here = [COLUMN[name] for name in NAMES if name.startswith("this.")]
    assert (features[:, here].sum(1) == 1.0).all()
    spoken = np.array([symbol in PHONES for symbol in symbols], bool)
    for level in (*LEVELS, "word_in_utterance", "syllable_in_utterance"):
        counted = features[:, COLUMN[f"{level}.forward"]] > 0
        assert np.array_equal(counted, spoken), level  # every phone has its syllable, word and phrase, and nothing else has
    in_phrase = features[:, COLUMN["phrase_in_utterance.forward"]] > 0
    assert in_phrase.all() or not spoken.any()
    assert set(UTTERANCE) == {"phrase_in_utterance", "word_in_utterance", "syllable_in_utterance"}


def test_what_is_shared_cannot_be_changed() -> None:
    features = linguistic_features(HELLO)
    assert linguistic_features(HELLO) is features
    with pytest.raises(ValueError, match="read-only"):
        features[0, 0] = 2.0
