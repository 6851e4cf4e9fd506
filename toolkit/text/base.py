"""The contracts of cleaners, tokenizers and G2Ps, and the form of inline phonemes."""

import re
from collections.abc import Iterable

from toolkit.errors import DataError
from toolkit.registry import Registry

INLINE = re.compile(r"(\{[^{}]*\})")
"""Inline phonemes such as ``{HH AH0 L OW1}``: cleaners pass them through, tokenizers turn them into symbols."""

WORD_MARK = "\u2581"
"""What sentencepiece puts before a word."""


class TextError(DataError):
    """A text cannot be spoken as it is written."""


class Cleaner:
    """Written text -> text as it is spoken. Never raises; lower-case text that is clean stays as it is."""

    def __call__(self, text: str) -> str:
        raise NotImplementedError


class Tokenizer:
    """Cleaned text -> symbols. Built once and used for many texts; it can be sent to worker processes."""

    def symbols(self, text: str) -> list[str]:
        """The symbols of a cleaned text, without the end-of-sentence symbol.

        Raises:
            TextError: an inline phoneme is unknown.
            DataError: a file that the tokenizer needs is missing.
        """
        raise NotImplementedError

    def pieces(self, text: str) -> list[tuple[str, list[str]]]:
        """The text in pieces, each with its symbols, which together are ``symbols(text)``. A word is a piece that can be spoken.

        Here: stretches of symbols that hold letters, digits or apostrophes, and stretches of others; ``WORD_MARK`` begins a piece too.
        """
        pieces: list[tuple[str, list[str]]] = []
        last = False  # whether the last symbol belonged to a word
        for symbol in self.symbols(text):
            before, last = last, symbol == "'" or speakable([symbol])
            if not pieces or last != before or symbol.startswith(WORD_MARK):
                pieces.append(("", []))
            word, symbols = pieces[-1]
            pieces[-1] = (word + symbol.removeprefix(WORD_MARK), [*symbols, symbol])
        return pieces

    def inventory(self) -> list[str]:
        """Symbols that belong to the vocabulary whether or not the training text has them."""
        return []


class G2P:
    """Cleaned text -> phones (grapheme to phoneme). The tokenizer ``phone`` uses one; it can be sent to worker processes.

    Wired, for those that name it: ``dictionary``, a file of pronunciations that the user may give.
    """

    def __call__(self, text: str) -> list[tuple[str, list[str]]]:
        """The text in pieces, which together are the text: words with their phones, marks with themselves, white space with nothing.

        An inline block such as ``{HH AY1}`` is one piece; its phones are the tokenizer's business.
        """
        raise NotImplementedError

    def inventory(self) -> list[str]:
        """All phones."""
        raise NotImplementedError


def speakable(symbols: Iterable[str]) -> bool:
    """Whether any symbol stands for a sound: punctuation alone makes no speech."""
    return any(character.isalnum() for symbol in symbols for character in symbol)


CLEANERS: Registry[Cleaner] = Registry("cleaner", Cleaner)
TOKENIZERS: Registry[Tokenizer] = Registry("tokenizer", Tokenizer)
G2PS: Registry[G2P] = Registry("g2p", G2P, wired=("dictionary",))
