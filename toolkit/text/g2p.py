"""English words -> phones: the CMU dictionary, homographs by their part of speech, and predictions for the rest."""

from __future__ import annotations

import re
from pathlib import Path

from toolkit.text.base import G2P, G2PS
from toolkit.text.pronunciation import PHONES, find_dictionary, load_dictionary, load_homographs, predict, tags

_PIECE = re.compile(
    r"""(?P<gap>\s+|(?<=[A-Za-z'.])-(?=[A-Za-z'.]))       # what parts words; a hyphen within words is not heard
    |\{[^{}]*\}                                           # inline phonemes
    |(?:[A-Za-z]\.)+[A-Za-z]\b(?:\.(?!\s*$))?            # initials such as a.m., without the stop that ends the sentence
    |'?[A-Za-z]+(?:'[A-Za-z]+)*'?                          # words
    |-+|.""",
    re.X | re.S,
)


@G2PS.register("english")
class EnglishG2P(G2P):
    """ARPAbet with stress from the CMU dictionary; unknown words are guessed by g2p_en's network.

    Where two pronunciations depend on the part of speech, a tagger decides. Neither is imported before it is needed, and
    nothing is downloaded.
    """

    def __init__(self, dictionary: str) -> None:
        self.dictionary = dictionary
        self._path: Path | None = None

    def inventory(self) -> list[str]:
        return PHONES

    def __call__(self, text: str) -> list[tuple[str, list[str]]]:
        pieces = list(_PIECE.finditer(text))
        words = [piece[0] for piece in pieces]
        pronounced = [[] if piece.lastgroup == "gap" else self._first(piece[0]) for piece in pieces]
        if any(word.lower() in load_homographs() for word in words):
            self._decide_homographs(words, pronounced)
        return list(zip(words, pronounced, strict=True))

    def _first(self, token: str) -> list[str]:
        """The symbols of a token regardless of its neighbours."""
        if not (token.isascii() and any(character.isalpha() for character in token)):
            return [] if token == "'" else [token[0]]  # a lone apostrophe is not heard, several hyphens are one pause
        return [] if token.startswith("{") and len(token) > 1 else self._look_up(token) or self._spelled(token)

    def _look_up(self, token: str) -> list[str]:
        if self._path is None:
            self._path = find_dictionary(self.dictionary)
        words = load_dictionary(self._path)
        word = token.upper()
        forms = (word, f"{word}.", word.rstrip("'"), word.strip("'")) if "." in word or "'" in word else (word,)
        return next((words[form].split() for form in forms if form in words), [])

    def _spelled(self, token: str) -> list[str]:
        """A token that the dictionary lacks: initials by letter, everything else by prediction."""
        if "." in token:
            return [phone for letter in token if letter != "." for phone in self._look_up(f"{letter}.")]
        stem, apostrophe, ending = token.lower().strip("'").partition("'")
        if apostrophe and ending == "s":
            return (self._look_up(stem) or list(predict(stem))) + ["Z"]
        return list(predict(token.lower().replace("'", "")))

    @staticmethod
    def _decide_homographs(words: list[str], pronounced: list[list[str]]) -> None:
        """Replace the pronunciations of homographs in place, by their part of speech in the sentence."""
        known = load_homographs()
        spoken = [index for index, word in enumerate(words) if not word.isspace()]
        lower = [words[index].lower() for index in spoken]
        for index, word, tag in zip(spoken, lower, tags(lower), strict=True):
            if word in known:
                pronounced[index] = known[word].first if tag.startswith(known[word].tag) else known[word].second
