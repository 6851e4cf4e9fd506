"""Phones with stress, word boundaries and punctuation -> the linguistic context of each symbol, as numbers in [0, 1].

What WaveNet was conditioned on before there were predicted spectra (WaveNet, appendix B): the label set of HMM synthesis (Zen
2006) as far as it follows from phones: neighbours, stress, and positions in syllable, word, phrase and utterance. Parts of
speech and tones are not in it; the mark that ends a phrase is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from toolkit.text.pronunciation import CONSONANTS, PHONES, VOWELS
from toolkit.text.syllables import is_vowel, syllables
from toolkit.text.vocabulary import EOS

Floats = NDArray[np.float32]
T = TypeVar("T")
Group = Sequence[Sequence[int]]  # members, each the places of its symbols

PAUSE = "pause"
NEIGHBOURS = {"before2": -2, "before": -1, "this": 0, "after": 1, "after2": 2}
MARKS = {",": "comma", ".": "stop", "?": "question", "!": "exclamation"}
BREAKS = frozenset([*MARKS, ";", ":", "-", "(", ")", "[", "]", EOS])  # what ends a phrase; quotes do not
CLASSES = {
    "vowel": " ".join(VOWELS), "front": "AE EH EY IH IY", "central": "AH ER", "back": "AA AO OW UH UW", "high": "IH IY UH UW",
    "low": "AA AE AO", "diphthong": "AW AY EY OW OY", "rounded": "AO OW OY UH UW W",
    "stop": "B D G K P T", "fricative": "DH F HH S SH TH V Z ZH", "affricate": "CH JH", "nasal": "M N NG", "approximant": "L R W Y",
    "labial": "B F M P V W", "dental": "DH TH", "alveolar": "D L N S T Z", "palatal": "CH JH R SH Y ZH", "velar": "G K NG",
    "voiced": "B D DH G JH L M N NG R V W Y Z ZH",
}  # fmt: skip
LEVELS = {"phone_in_syllable": 6, "syllable_in_word": 6, "syllable_in_phrase": 24, "word_in_phrase": 16}  # largest count told apart
UTTERANCE = {"phrase_in_utterance": 8, "word_in_utterance": 48, "syllable_in_utterance": 80}
STRESSED = 12  # stressed syllables of a phrase

NAMES = (
    *(f"{place}.{phone}" for place in NEIGHBOURS for phone in (*CONSONANTS, *VOWELS, PAUSE)),
    *(f"class.{name}" for name in CLASSES),
    "pause.word", "pause.mark", "pause.end",
    *(f"syllable.{vowel}" for vowel in VOWELS),
    "stress.primary", "stress.secondary", "stress.before", "stress.after", "stressed.before", "stressed.after",
    *(f"phrase.{name}" for name in (*MARKS.values(), "other")),
    *(f"{level}.{what}" for level in LEVELS for what in ("forward", "backward", "count", "count_before", "count_after")),
    *(f"{level}.{what}" for level in UTTERANCE for what in ("forward", "backward", "count")),
)  # fmt: skip
"""What each of the values says."""
COLUMN = {name: index for index, name in enumerate(NAMES)}
WIDTH = len(NAMES)


class Phrase(NamedTuple):
    """A stretch of symbols up to and with the marks that end it."""

    places: range
    words: list[list[list[int]]]  # words of syllables of places of phones
    mark: str  # name of its first mark, empty where there is none


def is_phone(symbol: str) -> bool:
    """Whether the symbol is a sound; all others are pauses, of no length for the most part."""
    return symbol in _PHONES


_PHONES = frozenset(PHONES)


def phrases(symbols: Sequence[str]) -> list[Phrase]:
    """The phrases of an utterance. Every symbol belongs to one, unless no phone is there at all.

    Words are what other symbols part, so without word boundaries a phrase is one word.
    """
    found: list[Phrase] = []
    start, word, words, mark = 0, list[int](), list[list[int]](), ""
    for place, symbol in enumerate([*symbols, EOS]):
        if is_phone(symbol):
            if mark and words:
                found.append(_phrase(symbols, range(start, place), words, mark))
                start, words = place, []
            word, mark = [*word, place], ""
            continue
        words, word = [*words, word] if word else words, []
        if symbol in BREAKS and not mark:
            mark = "end" if symbol == EOS else MARKS.get(symbol, "other")
    if words:
        found.append(_phrase(symbols, range(start, len(symbols)), words, mark))
    return found


def _phrase(symbols: Sequence[str], places: range, words: Sequence[Sequence[int]], mark: str) -> Phrase:
    parted = [[[word[i] for i in syllable] for syllable in syllables([symbols[place] for place in word])] for word in words]
    return Phrase(places, parted, "" if mark == "end" else mark)


@lru_cache(maxsize=512)
def linguistic_features(symbols: tuple[str, ...]) -> Floats:
    """Symbols of an utterance -> ``S x WIDTH``, not to be written to. ``NAMES`` says what the columns are.

    Counts and positions are shares of the largest that are told apart, and 0 where there is nothing to count: for the syllable
    and the word of a pause, before the first and after the last.
    """
    rows = np.zeros((len(symbols), WIDTH), np.float32)
    _identities(rows, symbols)
    spoken = phrases(symbols)
    all_words = [word for phrase in spoken for word in phrase.words]
    all_syllables = [syllable for word in all_words for syllable in word]
    _positions(rows, "phone_in_syllable", [[[place] for place in syllable] for syllable in all_syllables])
    _positions(rows, "syllable_in_word", all_words)
    _positions(rows, "syllable_in_phrase", [_flat(phrase.words) for phrase in spoken])
    _positions(rows, "word_in_phrase", [[_flat(word) for word in phrase.words] for phrase in spoken])
    _positions(rows, "phrase_in_utterance", [[phrase.places for phrase in spoken]])
    _positions(rows, "word_in_utterance", [[_flat(word) for word in all_words]])
    _positions(rows, "syllable_in_utterance", [all_syllables])
    for phrase in spoken:
        if phrase.mark:
            rows[phrase.places, COLUMN[f"phrase.{phrase.mark}"]] = 1.0
        _stress_of_phrase(rows, symbols, _flat(phrase.words))
    _stress(rows, symbols, all_syllables)
    rows.setflags(write=False)
    return rows


def _flat(groups: Iterable[Iterable[T]]) -> list[T]:
    return [member for group in groups for member in group]


def _base(symbol: str) -> str:
    return symbol.rstrip("012") if is_phone(symbol) else PAUSE


def _identities(rows: Floats, symbols: Sequence[str]) -> None:
    """Who a symbol and its neighbours are. Boundaries of words are nobody's neighbours, for they are rarely heard."""
    heard = [place for place, symbol in enumerate(symbols) if is_phone(symbol) or symbol in BREAKS]
    for place, symbol in enumerate(symbols):
        rows[place, COLUMN[f"this.{_base(symbol)}"]] = 1.0
        rows[place, _CLASSES.get(_base(symbol), [])] = 1.0
        if not is_phone(symbol):
            kind = "end" if symbol == EOS else "mark" if symbol in BREAKS else "word"
            rows[place, COLUMN[f"pause.{kind}"]] = 1.0
        left, right = bisect_left(heard, place), bisect_right(heard, place)
        for name, offset in NEIGHBOURS.items():
            index = left + offset if offset < 0 else right + offset - 1
            if offset and 0 <= index < len(heard):
                rows[place, COLUMN[f"{name}.{_base(symbols[heard[index]])}"]] = 1.0


_CLASSES = {
    phone: [COLUMN[f"class.{name}"] for name, phones in CLASSES.items() if phone in phones.split()] for phone in (*CONSONANTS, *VOWELS)
}


def _positions(rows: Floats, level: str, groups: Sequence[Group]) -> None:
    """Where members stand in their groups, from 1 in both directions, and how many a group and its neighbours have."""
    most = (LEVELS | UTTERANCE)[level]
    first = COLUMN[f"{level}.forward"]
    sizes = [0, *map(len, groups), 0]
    for number, group in enumerate(groups):
        counts = [sizes[number + 1], sizes[number], sizes[number + 2]][: 3 if level in LEVELS else 1]
        for index, member in enumerate(group):
            values = np.minimum([index + 1, len(group) - index, *counts], most) / most
            rows[member, first : first + len(values)] = values


def _digit(symbols: Sequence[str], syllable: Sequence[int]) -> str:
    """Stress of a syllable: 1 primary, 2 secondary, 0 none."""
    return next((symbols[place][-1] for place in syllable if is_vowel(symbols[place])), "0")


def _stress(rows: Floats, symbols: Sequence[str], spoken: Sequence[Sequence[int]]) -> None:
    """Vowel and stress of each syllable, and whether its neighbours have the primary one."""
    digits = ["0", *(_digit(symbols, syllable) for syllable in spoken), "0"]
    for number, syllable in enumerate(spoken):
        before, here, after = digits[number : number + 3]
        flags = {"primary": here == "1", "secondary": here == "2", "before": before == "1", "after": after == "1"}
        rows[syllable, COLUMN["stress.primary"] : COLUMN["stress.after"] + 1] = [list(flags.values())]
        for place in syllable:
            if is_vowel(symbols[place]):
                rows[syllable, COLUMN[f"syllable.{_base(symbols[place])}"]] = 1.0


def _stress_of_phrase(rows: Floats, symbols: Sequence[str], spoken: Sequence[Sequence[int]]) -> None:
    """How many syllables with primary stress stand before and after each syllable in its phrase."""
    stressed = [_digit(symbols, syllable) == "1" for syllable in spoken]
    for number, syllable in enumerate(spoken):
        counts = sum(stressed[:number]), sum(stressed[number + 1 :])
        rows[syllable, COLUMN["stressed.before"] : COLUMN["stressed.after"] + 1] = np.minimum(counts, STRESSED) / STRESSED
