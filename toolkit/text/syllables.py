"""English words in phones -> syllables, by the principle of maximal onset."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.text.pronunciation import CONSONANTS

CLUSTERS = """
P L|B L|K L|G L|F L|S L|P R|B R|T R|D R|K R|G R|F R|TH R|SH R|S P|S T|S K|S M|S N|S F|S W|T W|D W|K W|G W|TH W|HH W|P Y|B Y|F Y|V Y|M Y
K Y|G Y|HH Y|N Y|T Y|D Y|S Y|S P L|S P R|S P Y|S T R|S T Y|S K L|S K R|S K W|S K Y
"""
ONSETS = {(phone,) for phone in CONSONANTS if phone != "NG"} | {tuple(c.split()) for c in CLUSTERS.replace("\n", "|").split("|") if c}
"""What an English syllable may start with before its vowel."""


def is_vowel(phone: str) -> bool:
    """Vowels, and only they, carry a digit for stress."""
    return phone[-1].isdigit()


def syllables(word: Sequence[str]) -> list[range]:
    """Positions in the word of the phones of each syllable; together they are the whole word.

    Of the consonants between two vowels the second syllable takes as many as an English word may begin with. A word without a
    vowel is one syllable, an empty one has none.
    """
    if not word:
        return []
    vowels, starts = [i for i, phone in enumerate(word) if is_vowel(phone)], [0]
    for left, right in zip(vowels, vowels[1:], strict=False):
        starts.append(next((i for i in range(left + 1, right) if tuple(word[i:right]) in ONSETS), right))
    return [range(start, end) for start, end in zip(starts, [*starts[1:], len(word)], strict=True)]
