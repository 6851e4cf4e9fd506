"""Tokenizers: cleaned text -> symbols."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigError, DataError, nearest
from toolkit.text.base import INLINE, TOKENIZERS, TextError, Tokenizer
from toolkit.text.pronunciation import PHONES, find_dictionary, load_dictionary, load_homographs, predict, tags

__all__ = ["TOKENIZERS", "BpeTokenizer", "CharTokenizer", "PhoneTokenizer", "Tokenizer", "inline_phones"]

_PIECE = re.compile(
    r"""(?P<gap>\s+|(?<=[A-Za-z'.])-(?=[A-Za-z'.]))       # what parts words; a hyphen within words is not heard
    |\{[^{}]*\}                                           # inline phonemes
    |(?:[A-Za-z]\.)+[A-Za-z]\b(?:\.(?!\s*$))?            # initials such as a.m., without the stop that ends the sentence
    |'?[A-Za-z]+(?:'[A-Za-z]+)*'?                          # words
    |-+|.""",
    re.X | re.S,
)


def inline_phones(block: str) -> list[str]:
    """``{HH AH0 L OW1}`` -> its phones, each of them one of the CMU dictionary's."""
    phones = block[1:-1].split()
    for phone in phones:
        if phone not in PHONES:
            raise TextError(f"inline phonemes {block}: no such phone, got {phone!r}; {nearest(phone, PHONES)}")
    return phones


def _around_inline(text: str, tokenize: Callable[[str], Iterable[str]]) -> list[str]:
    """Symbols of a text, where inline phones become symbols such as ``@HH``."""
    result: list[str] = []
    for index, piece in enumerate(INLINE.split(text)):
        result.extend((f"@{phone}" for phone in inline_phones(piece)) if index % 2 else tokenize(piece))
    return result


@TOKENIZERS.register("char")
class CharTokenizer(Tokenizer):
    """Every character is a symbol (Tacotron 2, section 2.2). An inline phone such as ``{HH}`` is the symbol ``@HH``."""

    def symbols(self, text: str) -> list[str]:
        return _around_inline(text, list)


@TOKENIZERS.register("phone")
class PhoneTokenizer(Tokenizer):
    """English phones with stress (ARPAbet) from the CMU dictionary; punctuation marks are symbols too.

    Unknown words are pronounced by g2p_en's network; where two pronunciations depend on the part of speech, a tagger decides.
    Neither is imported before it is needed, and nothing is downloaded.

    Args:
        word_boundary: put a space symbol between words.
        dictionary: file of pronunciations, lines ``WORD 1 W ER1 D``; empty: the CMU dictionary in NLTK's folders.
    """

    def __init__(self, *, word_boundary: bool = False, dictionary: str = "") -> None:
        self.word_boundary, self.dictionary = word_boundary, dictionary
        self._path: Path | None = None

    def inventory(self) -> list[str]:
        return PHONES + [" "] * self.word_boundary

    def symbols(self, text: str) -> list[str]:
        return [symbol for _, symbols in self.pieces(text) for symbol in symbols]

    def pieces(self, text: str) -> list[tuple[str, list[str]]]:
        pieces = list(_PIECE.finditer(text))
        words = [piece[0] for piece in pieces]
        pronounced = [[" "] * self.word_boundary if piece.lastgroup == "gap" else self._first(piece[0]) for piece in pieces]
        if any(word.lower() in load_homographs() for word in words):
            self._decide_homographs(words, pronounced)
        return list(zip(words, pronounced, strict=True))

    def _first(self, token: str) -> list[str]:
        """The symbols of a token regardless of its neighbours."""
        if token.startswith("{") and len(token) > 1:
            return inline_phones(token)
        if not (token.isascii() and any(character.isalpha() for character in token)):
            return [] if token == "'" else [token[0]]  # a lone apostrophe is not heard, several hyphens are one pause
        return self._look_up(token) or self._spelled(token)

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


@TOKENIZERS.register("bpe")
class BpeTokenizer(Tokenizer):
    """Pieces of words by byte-pair encoding (sentencepiece); the model is made by ``toolkit bpe``. Inline phones are as in ``char``.

    Args:
        model: the file ``PREFIX.model``.
    """

    def __init__(self, *, model: str = "") -> None:
        if not model:
            raise ConfigError("model: the bpe tokenizer needs a sentencepiece model, got ''; make one with: toolkit bpe")
        self.model = model

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model}

    @cached_property
    def _processor(self) -> Any:
        import sentencepiece

        if not Path(self.model).is_file():
            raise DataError(f"{self.model}: no such sentencepiece model; make one with: toolkit bpe --text TEXT --model PREFIX")
        try:
            return sentencepiece.SentencePieceProcessor(model_file=self.model)
        except (RuntimeError, OSError) as error:
            raise DataError(f"{self.model}: not a sentencepiece model; make it again with: toolkit bpe") from error

    def inventory(self) -> list[str]:
        model = self._processor
        plain = (index for index in range(model.get_piece_size()) if not model.is_control(index) and not model.is_unknown(index))
        return [model.id_to_piece(index) for index in plain]

    def symbols(self, text: str) -> list[str]:
        return _around_inline(text, lambda piece: self._processor.encode(piece, out_type=str))
